//! Which speech engines the configuration means, loaded and warm.
//!
//! An engine belongs to one thread, so a pool calls these once per worker.

use super::{Asr, EngineError, Tts, flite::FliteTts, pocketsphinx::PocketSphinx};
use crate::config::Config;

/// The engine of `tts.engine`.
pub fn load_tts(config: &Config) -> Result<Box<dyn Tts>, EngineError> {
    match config.tts.engine.as_str() {
        "auto" | "flite" => Ok(Box::new(FliteTts::load(config)?)),
        other => Err(unknown("tts", other, "auto, flite")),
    }
}

/// The engine of `asr.engine`.
pub fn load_asr(config: &Config) -> Result<Box<dyn Asr>, EngineError> {
    match config.asr.engine.as_str() {
        "auto" | "pocketsphinx" => Ok(Box::new(PocketSphinx::load(config)?)),
        other => Err(unknown("asr", other, "auto, pocketsphinx")),
    }
}

fn unknown(stage: &'static str, name: &str, there_are: &str) -> EngineError {
    EngineError::Load {
        engine: stage,
        message: format!("there is no engine {name:?} here; set `{stage}.engine` to one of: {there_are}"),
    }
}
