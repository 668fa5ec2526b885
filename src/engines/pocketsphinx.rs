//! Placeholder until the engine is merged.
use super::*;
/// Not here yet.
pub struct PocketSphinx;
impl PocketSphinx {
    /// Fails.
    pub fn load(_: &crate::config::Config) -> Result<Self, EngineError> {
        Err(EngineError::Load { engine: "pocketsphinx", message: "not merged yet".into() })
    }
}
impl Asr for PocketSphinx {
    fn transcribe(&mut self, _: &[i16], _: Option<&str>, _: &CancelToken) -> Result<Transcript, EngineError> {
        Err(EngineError::Cancelled)
    }
}
