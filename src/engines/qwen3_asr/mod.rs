//! Speech recognition by Qwen3-ASR, 0.6B or 1.7B, on the CPU: thirty languages, with what the conversation is
//! about as context.
//!
//! ```text
//! samples → mel → tower ──────────────┐ rows
//!     facts, names, language → prompt ┴→ text model → decode → answer → words
//! ```
//!
//! - [`tower`] hears; the text model is the [`Decoder`](super::local::decoder) that writes replies, too.
//!   [`config`] and [`layout`] say what a model's files must hold, in the two layouts that are published.
//! - [`prompt`] makes tokens of what is asked, [`decode`] writes the answer, [`answer`] takes it apart;
//!   [`languages`] are those that the model can name.
//! - [`recogniser`] is all of it for one recording, which [`split`] cuts if it is very long. [`streaming`] is
//!   how the model's makers recognise while somebody speaks.
//!
//! The beginning of a conversation's prompts, up to the audio, is read once and kept. An utterance that was
//! already recognised while it was shorter is guessed to begin with the same words, which are then only
//! checked.
//!
//! Deliberately absent: GPUs, word times (they want another model, the forced aligner), and voice activity
//! detection.

pub mod answer;
pub mod config;
pub mod decode;
pub mod languages;
pub mod layout;
pub mod prompt;
pub mod random_weights;
pub mod recogniser;
pub mod split;
pub mod streaming;
pub mod tower;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::asr_models::{self, Source};
use super::local::checkpoint::SafetensorsFolder;
use super::{
    Asr, AsrRequest, AsrState, CancelToken, EngineError, SpeechContext, Transcript, forbid_executor_thread,
};
use crate::audio::pcm::f32s_from_i16s;
use crate::config::Config;
use config::Qwen3AsrConfig;
use decode::Beginning;
use languages::Language;
use recogniser::{Hints, Precision, Recogniser};
use streaming::Streaming;

/// Its name in `config.yml`.
pub const NAME: &str = "qwen3-asr";

/// A loaded model. Every [`Asr`] made by it shares its weights and threads.
#[derive(Clone)]
pub struct Qwen3AsrModel {
    name: String,
    shared: Arc<Shared>,
}

struct Shared {
    recogniser: Recogniser,
    threads: rayon::ThreadPool,
    context_tokens: usize,
}

/// One worker's recogniser.
struct Qwen3Asr {
    shared: Arc<Shared>,
    /// What the model is told of the context that was asked for last.
    told: Option<(Arc<SpeechContext>, String)>,
}

/// The model that `asr.qwen3_asr.model` means, if it is there: of `auto`, the best that was pulled.
///
/// # Errors
/// If another model than `auto` is named and not there, or the models' folder cannot be read.
pub fn find(config: &Config) -> Result<Option<Source>, EngineError> {
    asr_models::find(config, "asr.qwen3_asr.model", &config.asr.qwen3_asr.model, is_qwen3_asr)
        .map_err(load_error)
}

fn is_qwen3_asr(folder: &Path) -> bool {
    SafetensorsFolder::open(folder).is_ok_and(|folder| Qwen3AsrConfig::is_in(&folder))
}

impl Qwen3AsrModel {
    /// Loads what `asr.qwen3_asr` names, reads what `persona` says of conversations, and recognises a moment
    /// of noise to warm up. Seconds, and for a moment a third more memory than it keeps.
    ///
    /// # Errors
    /// Names the file, and the tensor or token with what was expected and what was found.
    pub fn load(config: &Config) -> Result<Qwen3AsrModel, EngineError> {
        let source = find(config)?.ok_or_else(|| {
            load_error(
                "no Qwen3-ASR model was pulled; run `vivavoce models pull qwen3-asr-0.6b`, or name a folder in \
                 asr.qwen3_asr.model",
            )
        })?;
        let settings = &config.asr.qwen3_asr;
        let folder = SafetensorsFolder::open(&source.path).map_err(load_error)?;
        let threads = asr_models::threads(settings.threads, usize::MAX).map_err(load_error)?;
        let precision = if settings.quantize { Precision::EightBits } else { Precision::AsStored };
        let recogniser = threads.install(|| Recogniser::load(&folder, precision))?;
        let mb = recogniser.bytes() / 1_000_000;
        tracing::info!(
            model = source.name,
            mb,
            threads = threads.current_num_threads(),
            "qwen3-asr has loaded its weights"
        );
        let shared = Arc::new(Shared { recogniser, threads, context_tokens: settings.context_tokens });
        let model = Qwen3AsrModel { name: source.name, shared };
        let noise = asr_models::warm_up_noise();
        let context = Arc::new(SpeechContext::of(&config.persona));
        let request = AsrRequest { context: Some(&context), language: Some("en"), ..AsrRequest::new(&noise) };
        model.asr().transcribe(&request, &CancelToken::new())?;
        Ok(model)
    }

    /// For people: the model's name in the manifest, or its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A recogniser for one worker.
    pub fn asr(&self) -> Box<dyn Asr> {
        Box::new(Qwen3Asr { shared: self.shared.clone(), told: None })
    }
}

impl Qwen3Asr {
    /// What the model is told of a conversation.
    fn told(&mut self, context: Option<&Arc<SpeechContext>>) -> Result<&str, EngineError> {
        let Some(context) = context.filter(|_| self.shared.context_tokens > 0) else { return Ok("") };
        if self.told.as_ref().is_none_or(|(of, _)| of != context) {
            let vocabulary = &self.shared.recogniser.vocabulary;
            let text = vocabulary.context(context, self.shared.context_tokens).map_err(failed)?;
            self.told = Some((context.clone(), text));
        }
        Ok(self.told.as_ref().map_or("", |(_, text)| text))
    }
}

impl Asr for Qwen3Asr {
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        state: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("Qwen3Asr::transcribe");
        let shared = self.shared.clone();
        // What is kept stays where it is until there is more: a recognition that is cancelled takes nothing.
        let mut streaming = state.kept_of::<Streaming>(request.pcm).cloned().unwrap_or_default();
        let hints = Hints {
            language: request.language.and_then(Language::of),
            context: self.told(request.context)?,
            beginning: Beginning::Guessed(streaming.written()),
        };
        let samples = f32s_from_i16s(request.pcm);
        let recognised = shared.threads.install(|| shared.recogniser.transcribe(&samples, &hints, cancel))?;
        streaming.push(samples.len(), recognised.tokens);
        state.keep(request.pcm, streaming);
        let language = recognised.language.map(|language| language.code.to_owned());
        Ok(Transcript { text: recognised.text, language })
    }
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load { engine: NAME, message: error.to_string() }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: NAME, code: "asr_failed", message: error.to_string() }
}
