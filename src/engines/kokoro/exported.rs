//! The network by ONNX Runtime. Exports differ in the names and types of their inputs, so these are asked
//! of the session: ids (`input_ids`, `tokens`), the style, the speed (f32 or whole numbers). The samples
//! are the first output; durations are a second one, where an export has them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType, ValueType};

use super::error::KokoroError;
use super::speech::Speech;
use crate::config;
use crate::engines::{EngineError, onnx};

/// A loaded export. One call at a time: its threads take the whole budget anyway.
pub struct Exported {
    session: Mutex<Session>,
    path: PathBuf,
    ids: String,
    style: String,
    speed: Option<(String, TensorElementType)>,
    /// Values of a style vector, where the export fixes them.
    width: Option<usize>,
}

impl Exported {
    /// Opens an ONNX file with so many threads.
    pub fn load(path: &Path, models: &config::Models, threads: usize) -> Result<Exported, EngineError> {
        let environment = onnx::environment(models)?;
        if let Err(error) = std::fs::metadata(path) {
            return Err(KokoroError::unreadable(path, error).at_load());
        }
        let open = || -> Result<Session, ort::Error> {
            let mut builder = Session::builder(&environment)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                .with_parallel_execution(false)?
                .with_log_level(ort::logging::LogLevel::Error)?;
            builder.commit_from_file(path)
        };
        let session =
            open().map_err(|error| KokoroError::damaged(path, "ONNX", error.to_string()).at_load())?;
        Exported::of(session, path).map_err(KokoroError::at_load)
    }

    fn of(session: Session, path: &Path) -> Result<Exported, KokoroError> {
        let inputs: Vec<(&str, &ValueType)> =
            session.inputs().iter().map(|input| (input.name(), input.dtype())).collect();
        let names = || inputs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let find = |wanted: &[&str]| inputs.iter().find(|(name, _)| wanted.contains(name));
        let missing = |what: &str| {
            KokoroError::damaged(path, "inputs", format!("there is no input for {what} among: {}", names()))
        };
        let (ids, _) = find(&["input_ids", "tokens"]).ok_or_else(|| missing("the phonemes"))?;
        let (style, kind) = find(&["style", "ref_s"]).ok_or_else(|| missing("the style"))?;
        let width = match kind {
            ValueType::Tensor { shape, .. } => shape.last().and_then(|width| usize::try_from(*width).ok()),
            _ => None,
        };
        let speed = find(&["speed"]).map(|(name, kind)| match kind {
            ValueType::Tensor { ty, .. } => ((*name).to_owned(), *ty),
            _ => ((*name).to_owned(), TensorElementType::Float32),
        });
        let (ids, style) = ((*ids).to_owned(), (*style).to_owned());
        Ok(Exported { path: path.to_owned(), ids, style, speed, width, session: Mutex::new(session) })
    }

    /// Values of a style vector, if the export fixes them.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// ids (a start and an end around the phonemes), style → samples, and durations where there are any.
    pub fn speak(&self, ids: &[u32], style: &[f32], speed: f32) -> Result<Speech, KokoroError> {
        let network = |error: ort::Error| KokoroError::Network(error.to_string());
        let count = ids.len();
        let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::from_array(([1, count], ids)).map_err(network)?;
        let style = Tensor::from_array(([1, style.len()], style.to_vec())).map_err(network)?;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> =
            vec![(&self.ids, ids.into()), (&self.style, style.into())];
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
                TensorElementType::Float64 => {
                    Tensor::from_array(([1], vec![f64::from(speed)])).map_err(network)?.into()
                }
                _ => Tensor::from_array(([1], vec![speed])).map_err(network)?.into(),
            };
            inputs.push((name, value));
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(network)?;
        let mut values = outputs.values();
        let samples = values.next().ok_or_else(|| KokoroError::Network("there is no output".to_owned()))?;
        let (_, samples) = samples
            .try_extract_tensor::<f32>()
            .map_err(|error| KokoroError::damaged(&self.path, "first output", error.to_string()))?;
        let samples = samples.to_vec();
        let durations = values.next().and_then(|value| {
            let frames = |frames: f64| if frames.is_finite() && frames >= 0.0 { frames as u32 } else { 0 };
            let whole =
                value.try_extract_tensor::<i64>().map(|(_, d)| d.iter().map(|d| frames(*d as f64)).collect());
            let short = || {
                value
                    .try_extract_tensor::<i32>()
                    .map(|(_, d)| d.iter().map(|d| frames(f64::from(*d))).collect())
            };
            let real = || {
                value
                    .try_extract_tensor::<f32>()
                    .map(|(_, d)| d.iter().map(|d| frames(f64::from(*d))).collect())
            };
            whole.or_else(|_| short()).or_else(|_| real()).ok()
        });
        let durations = durations.filter(|durations: &Vec<u32>| durations.len() == count);
        Ok(Speech { samples, durations })
    }
}
