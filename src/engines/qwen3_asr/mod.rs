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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::local::checkpoint::SafetensorsFolder;
use super::{
    Asr, AsrRequest, AsrState, CancelToken, EngineError, INPUT_RATE_HZ, SpeechContext, Transcript,
    forbid_executor_thread,
};
use crate::audio::pcm::f32s_from_i16s;
use crate::config::Config;
use crate::models;
use config::Qwen3AsrConfig;
use decode::Beginning;
use languages::Language;
use recogniser::{Hints, Precision, Recogniser};
use streaming::Streaming;

/// Its name in `config.yml`.
pub const NAME: &str = "qwen3-asr";
/// So much of an utterance's beginning tells it from others (a tenth of a second).
const BEGINNING_SAMPLES: usize = INPUT_RATE_HZ as usize / 10;

/// A model that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For people: its name in the manifest, or its path.
    pub name: String,
    /// A folder with safetensors.
    pub path: PathBuf,
}

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

/// What is kept of an utterance between its interim recognitions and the final one.
struct Spoken {
    beginning: Vec<i16>,
    streaming: Streaming,
}

/// The model that `asr.qwen3_asr.model` means, if it is there: of `auto`, the best that was pulled.
///
/// # Errors
/// If another model than `auto` is named and not there, or the models' folder cannot be read.
pub fn find(config: &Config) -> Result<Option<Source>, EngineError> {
    match config.asr.qwen3_asr.model.as_str() {
        "auto" => {
            let pulled = models::pulled(config, models::Engine::Asr).map_err(load_error)?;
            let model = pulled.into_iter().find(|model| is_qwen3_asr(&model.path));
            Ok(model.map(|model| Source { name: model.name, path: model.path }))
        }
        name => {
            let path = models::find(config, name);
            let path = path.map_err(|error| load_error(format_args!("asr.qwen3_asr.model: {error}")))?;
            Ok(Some(Source { name: name.to_owned(), path }))
        }
    }
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
        let count = threads(settings.threads);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("asr-cpu-{index}"))
            .build()
            .map_err(load_error)?;
        let precision = if settings.quantize { Precision::EightBits } else { Precision::AsStored };
        let recogniser = threads.install(|| Recogniser::load(&folder, precision))?;
        let mb = recogniser.bytes() / 1_000_000;
        tracing::info!(model = source.name, mb, threads = count, "qwen3-asr has loaded its weights");
        let shared = Arc::new(Shared { recogniser, threads, context_tokens: settings.context_tokens });
        let model = Qwen3AsrModel { name: source.name, shared };
        let noise: Vec<i16> = (0..INPUT_RATE_HZ as i16).map(|at| at.wrapping_mul(7_919) / 64).collect();
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
    fn transcribe(
        &mut self,
        request: &AsrRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        self.transcribe_on(request, &mut AsrState::default(), cancel)
    }

    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        state: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("Qwen3Asr::transcribe");
        let shared = self.shared.clone();
        // What is kept stays where it is until there is more: a recognition that is cancelled takes nothing.
        let spoken = state.0.as_ref().and_then(|kept| kept.downcast_ref::<Spoken>());
        let spoken = spoken.filter(|spoken| request.pcm.starts_with(&spoken.beginning));
        let mut streaming = spoken.map(|spoken| spoken.streaming.clone()).unwrap_or_default();
        let hints = Hints {
            language: request.language.and_then(Language::of),
            context: self.told(request.context)?,
            beginning: Beginning::Guessed(streaming.written()),
        };
        let samples = f32s_from_i16s(request.pcm);
        let recognised = shared.threads.install(|| shared.recogniser.transcribe(&samples, &hints, cancel))?;
        let beginning = request.pcm[..request.pcm.len().min(BEGINNING_SAMPLES)].to_vec();
        streaming.push(samples.len(), recognised.tokens);
        state.0 = Some(Box::new(Spoken { beginning, streaming }));
        let language = recognised.language.map(|language| language.code.to_owned());
        Ok(Transcript { text: recognised.text, language })
    }
}

/// All cores if nobody says otherwise: recognition is what everybody waits for.
fn threads(configured: usize) -> usize {
    if configured > 0 { configured } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load { engine: NAME, message: error.to_string() }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: NAME, code: "asr_failed", message: error.to_string() }
}
