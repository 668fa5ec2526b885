//! The network by ONNX Runtime. Exports differ in the names and types of their inputs, so these are asked
//! of the session: ids (`input_ids`, `tokens`), the style, the speed (f32 or whole numbers). The samples
//! are the first output, in single or half precision; durations are a second one, where an export has them.
//!
//! A session takes one call at a time. So that a short text need not wait behind a long one, there are as
//! many sessions as workers: the first has all threads and is taken when it is free, the others have one
//! each. They share what ONNX Runtime rearranges of the weights.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender};
use half::f16;
use ort::session::builder::PrepackedWeights;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use super::error::KokoroError;
use super::speech::Speech;
use crate::config;
use crate::engines::{EngineError, onnx};

/// A loaded export.
pub struct Exported {
    idle: Sessions,
    path: PathBuf,
    ids: String,
    /// The style's input, and whether it is in half precision.
    style: (String, bool),
    speed: Option<(String, TensorElementType)>,
    /// Values of a style vector, where the export fixes them.
    width: Option<usize>,
}

impl Exported {
    /// Opens an ONNX file for so many workers; `threads`: of one call that is alone.
    pub fn load(
        path: &Path,
        models: &config::Models,
        threads: usize,
        workers: usize,
    ) -> Result<Exported, EngineError> {
        let environment = onnx::environment(models)?;
        if let Err(error) = std::fs::metadata(path) {
            return Err(KokoroError::unreadable(path, error).at_load());
        }
        let shared = PrepackedWeights::new();
        let open = |threads: usize| -> Result<Session, ort::Error> {
            let mut builder = Session::builder(&environment)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                .with_parallel_execution(false)?
                .with_log_level(ort::logging::LogLevel::Error)?
                .with_prepacked_weights(&shared)?;
            builder.commit_from_file(path)
        };
        let threads = std::iter::once(threads).chain(std::iter::repeat_n(1, workers.max(1) - 1));
        let sessions: Result<Vec<Session>, ort::Error> = threads.map(open).collect();
        let sessions =
            sessions.map_err(|error| KokoroError::damaged(path, "ONNX", error.to_string()).at_load())?;
        Exported::of(sessions, path).map_err(KokoroError::at_load)
    }

    fn of(sessions: Vec<Session>, path: &Path) -> Result<Exported, KokoroError> {
        let Some(session) = sessions.first() else {
            return Err(KokoroError::Network("there is no session".to_owned()));
        };
        let inputs: Vec<(&str, &ValueType)> =
            session.inputs().iter().map(|input| (input.name(), input.dtype())).collect();
        let names = || inputs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let find = |wanted: &[&str]| inputs.iter().find(|(name, _)| wanted.contains(name));
        let missing = |what: &str| {
            KokoroError::damaged(path, "inputs", format!("there is no input for {what} among: {}", names()))
        };
        let (ids, _) = find(&["input_ids", "tokens"]).ok_or_else(|| missing("the phonemes"))?;
        let (style, kind) = find(&["style", "ref_s"]).ok_or_else(|| missing("the style"))?;
        let (width, half) = match kind {
            ValueType::Tensor { shape, ty, .. } => {
                let width = shape.last().and_then(|width| usize::try_from(*width).ok());
                (width, *ty == TensorElementType::Float16)
            }
            _ => (None, false),
        };
        let speed = find(&["speed"]).map(|(name, kind)| match kind {
            ValueType::Tensor { ty, .. } => ((*name).to_owned(), *ty),
            _ => ((*name).to_owned(), TensorElementType::Float32),
        });
        let (ids, style) = ((*ids).to_owned(), ((*style).to_owned(), half));
        Ok(Exported { path: path.to_owned(), ids, style, speed, width, idle: Sessions::of(sessions) })
    }

    /// Values of a style vector, if the export fixes them.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Sessions that nobody uses.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.idle.wide.1.len() + self.idle.narrow.1.len()
    }

    /// ids (a start and an end around the phonemes), style → samples, and durations where there are any.
    pub fn speak(&self, ids: &[u32], style: &[f32], speed: f32) -> Result<Speech, KokoroError> {
        let network = |error: ort::Error| KokoroError::Network(error.to_string());
        let count = ids.len();
        let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::from_array(([1, count], ids)).map_err(network)?;
        let (style_name, half) = &self.style;
        let style: SessionInputValue<'_> = if *half {
            let style: Vec<f16> = style.iter().map(|value| f16::from_f32(*value)).collect();
            Tensor::from_array(([1, style.len()], style)).map_err(network)?.into()
        } else {
            Tensor::from_array(([1, style.len()], style.to_vec())).map_err(network)?.into()
        };
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> =
            vec![(&self.ids, ids.into()), (style_name, style)];
        if let Some((name, kind)) = &self.speed {
            // Whole numbers cannot say more than slow and fast.
            let whole = speed.round().max(1.0);
            let value: SessionInputValue<'_> = match kind {
                TensorElementType::Int32 => {
                    Tensor::from_array(([1], vec![whole as i32])).map_err(network)?.into()
                }
                TensorElementType::Int64 => {
                    Tensor::from_array(([1], vec![whole as i64])).map_err(network)?.into()
                }
                TensorElementType::Float16 => {
                    Tensor::from_array(([1], vec![f16::from_f32(speed)])).map_err(network)?.into()
                }
                TensorElementType::Float64 => {
                    Tensor::from_array(([1], vec![f64::from(speed)])).map_err(network)?.into()
                }
                _ => Tensor::from_array(([1], vec![speed])).map_err(network)?.into(),
            };
            inputs.push((name, value));
        }
        self.idle.with_one(|session| {
            let outputs = session.run(inputs).map_err(network)?;
            let mut values = outputs.values();
            let samples =
                values.next().ok_or_else(|| KokoroError::Network("there is no output".to_owned()))?;
            let samples = numbers(&samples).ok_or_else(|| {
                let found = format!("samples of the type {}", samples.dtype());
                KokoroError::damaged(&self.path, "first output", found)
            })?;
            let durations = values.next().and_then(|value| numbers(&value));
            let durations = durations.filter(|durations| durations.len() == count);
            Ok(Speech { samples, durations: durations.map(whole) })
        })
    }
}

/// Those that nobody uses; the one with all threads first.
struct Sessions {
    wide: (Sender<Session>, Receiver<Session>),
    narrow: (Sender<Session>, Receiver<Session>),
}

impl Sessions {
    fn of(sessions: Vec<Session>) -> Sessions {
        let (wide, narrow) = (crossbeam_channel::bounded(1), crossbeam_channel::bounded(sessions.len()));
        for (at, session) in sessions.into_iter().enumerate() {
            // There is room for all of them.
            let _ = if at == 0 { wide.0.send(session) } else { narrow.0.send(session) };
        }
        Sessions { wide, narrow }
    }

    /// Waits for a session, and gives it back whatever happens.
    fn with_one<T>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, KokoroError>,
    ) -> Result<T, KokoroError> {
        let gone = || KokoroError::Network("all sessions are gone".to_owned());
        let (mut session, home) = match self.wide.1.try_recv() {
            Ok(session) => (session, &self.wide.0),
            Err(_) => crossbeam_channel::select! {
                recv(self.wide.1) -> session => (session.map_err(|_| gone())?, &self.wide.0),
                recv(self.narrow.1) -> session => (session.map_err(|_| gone())?, &self.narrow.0),
            },
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut session)));
        let _ = home.send(session);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The values of an output, of whatever type of number.
fn numbers(value: &DynValue) -> Option<Vec<f32>> {
    let ValueType::Tensor { ty, .. } = value.dtype() else { return None };
    match ty {
        TensorElementType::Float32 => Some(value.try_extract_tensor::<f32>().ok()?.1.to_vec()),
        TensorElementType::Float16 => {
            let (_, values) = value.try_extract_tensor::<f16>().ok()?;
            Some(values.iter().map(|value| value.to_f32()).collect())
        }
        TensorElementType::Int64 => {
            let (_, values) = value.try_extract_tensor::<i64>().ok()?;
            Some(values.iter().map(|value| *value as f32).collect())
        }
        TensorElementType::Int32 => {
            let (_, values) = value.try_extract_tensor::<i32>().ok()?;
            Some(values.iter().map(|value| *value as f32).collect())
        }
        _ => None,
    }
}

fn whole(durations: Vec<f32>) -> Vec<u32> {
    durations.into_iter().map(|frames| if frames.is_finite() { frames.max(0.0) as u32 } else { 0 }).collect()
}
