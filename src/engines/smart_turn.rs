//! smart-turn v3 by ONNX Runtime: the probability that somebody who has paused has finished.
//!
//! Reference: `inference.py` of pipecat-ai/smart-turn and transformers' `WhisperFeatureExtractor`; golden
//! test in `tests/it/smart_turn.rs`. The network hears the last 8 s of a turn: zeros stand before a
//! shorter one, and the whole is brought to zero mean and unit variance, zeros included.
//!
//! Input `input_features` [n, 80, 800]; output `logits` [n, 1], which is a probability already.
//!
//! Deliberately absent: when it is asked, and what follows from its answer ([`crate::turn`]); batches of
//! several turns, because pauses of several people hardly ever fall together.

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::TensorRef;

use super::mel::LogMel;
use super::{EngineError, INPUT_RATE_HZ, TurnJudge, forbid_executor_thread, onnx};
use crate::config::{self, Config};
use crate::models::{self, ModelError, manifest};

/// The name in `config.yml` and in messages.
pub const NAME: &str = "smart-turn";

/// So much of a turn's end is heard.
pub const HEARS_SAMPLES: usize = 8 * INPUT_RATE_HZ as usize;

const BINS: usize = 80;
const FRAMES: usize = 800;
/// Added to the variance, so that silence can be divided by it.
const EPSILON: f64 = 1e-7;
const REMEDY: &str = "run `vivavoce models pull smart-turn-v3`, or set vad.smart_turn_model to another one";

/// The network, on one thread.
pub struct SmartTurn {
    session: Session,
    mel: LogMel,
}

/// Where the network is that `vad.smart_turn_model` means; `None` if it is `auto` and none was pulled.
///
/// # Errors
/// A name that is no model's, or a model that is not here.
pub fn find(config: &Config) -> Result<Option<PathBuf>, EngineError> {
    let found = match config.vad.smart_turn_model.as_str() {
        "auto" => {
            let pulled = models::pulled(config, manifest::Engine::Turn).map_err(|error| no_model(&error))?;
            pulled.into_iter().next().map(|found| found.path)
        }
        named => Some(models::find(config, named).map_err(|error| no_model(&error))?),
    };
    found.map(|path| if path.is_dir() { network_in(&path) } else { Ok(path) }).transpose()
}

/// Models are folders on disk; this one's folder holds one network.
fn network_in(folder: &Path) -> Result<PathBuf, EngineError> {
    let fault = |what: &str| load_error(folder, what);
    let entries = std::fs::read_dir(folder).map_err(|error| fault(&error.to_string()))?;
    let networks = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut networks = networks.filter(|path| path.extension().is_some_and(|kind| kind == "onnx"));
    match (networks.next(), networks.next()) {
        (Some(network), None) => Ok(network),
        (None, _) => Err(fault("there is no .onnx file in it")),
        (Some(_), Some(_)) => Err(fault("there are several .onnx files in it")),
    }
}

impl SmartTurn {
    /// Loads a network and runs it once, so that the first judgement is as fast as the tenth.
    pub fn load(models: &config::Models, network: &Path) -> Result<SmartTurn, EngineError> {
        let environment = onnx::environment(models)?;
        let session = open_session(&environment, network).map_err(|reason| load_error(network, &reason))?;
        let mut judge = SmartTurn { session, mel: LogMel::new(BINS) };
        judge.run(&[]).map_err(|reason| load_error(network, &reason))?;
        Ok(judge)
    }

    /// What the network is given for `pcm`: `[80, 800]`, bin after bin.
    pub fn features(&self, pcm: &[i16]) -> Vec<f32> {
        self.mel.extract(&normalised(pcm)).by_bin()
    }

    fn run(&mut self, pcm: &[i16]) -> Result<f32, String> {
        let features = self.features(pcm);
        let told = |error: ort::Error| error.to_string();
        let input = TensorRef::from_array_view(([1, BINS, FRAMES], &features[..])).map_err(told)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(told)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(told)?;
        match *values {
            [probability] if (0.0..=1.0).contains(&probability) => Ok(probability),
            [other] => Err(format!("the network gave {other}, which is no probability")),
            _ => Err(format!("the network gave {} values instead of one", values.len())),
        }
    }
}

impl TurnJudge for SmartTurn {
    fn judge(&mut self, pcm: &[i16]) -> Result<f32, EngineError> {
        forbid_executor_thread(NAME);
        self.run(pcm).map_err(|message| EngineError::Failed {
            engine: NAME,
            code: "turn_judge_failed",
            message,
        })
    }
}

/// The last 8 s, zeros before them if they are fewer, with mean 0 and variance 1. `[128000]`
fn normalised(pcm: &[i16]) -> Vec<f32> {
    let heard = &pcm[pcm.len().saturating_sub(HEARS_SAMPLES)..];
    let mut samples = vec![0.0_f32; HEARS_SAMPLES];
    crate::audio::pcm::write_f32(heard, &mut samples[HEARS_SAMPLES - heard.len()..]);
    let count = HEARS_SAMPLES as f64;
    let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (f64::from(*sample) - mean).powi(2)).sum::<f64>() / count;
    let scale = (variance + EPSILON).sqrt().recip();
    for sample in &mut samples {
        *sample = ((f64::from(*sample) - mean) * scale) as f32;
    }
    samples
}

/// A session on the calling thread alone.
fn open_session(environment: &ort::environment::Environment, path: &Path) -> Result<Session, String> {
    let configure = || {
        Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_log_level(ort::logging::LogLevel::Error)?
            .commit_from_file(path)
    };
    let session = configure().map_err(|error: ort::Error| error.to_string())?;
    let names = |outlets: &[ort::value::Outlet]| -> Vec<String> {
        outlets.iter().map(|outlet| outlet.name().to_owned()).collect()
    };
    let (inputs, outputs) = (names(session.inputs()), names(session.outputs()));
    if inputs != ["input_features"] || outputs != ["logits"] {
        return Err(format!("it is another network: inputs {inputs:?}, outputs {outputs:?}"));
    }
    Ok(session)
}

fn load_error(path: &Path, reason: &str) -> EngineError {
    let message = format!("cannot load {}: {reason}; {REMEDY}", path.display());
    EngineError::Load { engine: NAME, message }
}

fn no_model(error: &ModelError) -> EngineError {
    EngineError::Load { engine: NAME, message: format!("vad.smart_turn_model: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_turn_is_heard_behind_zeros() {
        let short = normalised(&[1_000; 16_000]);
        let (before, heard) = short.split_at(HEARS_SAMPLES - 16_000);
        assert!(before.iter().all(|sample| *sample == before[0]) && before[0] < 0.0);
        assert!(heard.iter().all(|sample| *sample == heard[0]) && heard[0] > 0.0);
        let power: f64 = short.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        assert!((power / HEARS_SAMPLES as f64 - 1.0).abs() < 1e-3);

        let long: Vec<i16> = (0..HEARS_SAMPLES as i32 + 999).map(|n| (n % 777) as i16).collect();
        assert_eq!(normalised(&long), normalised(&long[999..]));
        assert!(normalised(&[]).iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn without_a_pulled_model_there_is_none_and_a_named_one_must_be_here() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.models.cache = folder.path().to_owned();
        assert_eq!(find(&config).unwrap(), None);

        config.vad.smart_turn_model = "smart-turn-v3".into();
        let error = find(&config).unwrap_err().to_string();
        assert!(error.contains("vivavoce models pull smart-turn-v3"), "{error}");

        config.vad.smart_turn_model = folder.path().to_str().unwrap().into();
        let error = find(&config).unwrap_err().to_string();
        assert!(error.contains("no .onnx file") && error.contains("vad.smart_turn_model"), "{error}");
        let network = folder.path().join("x.onnx");
        std::fs::write(&network, "").unwrap();
        assert_eq!(find(&config).unwrap(), Some(network));
    }
}
