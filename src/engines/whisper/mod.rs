//! Speech recognition by Whisper, on the CPU: any model of the family as Hugging Face's libraries write it,
//! English-only or multilingual, from tiny to large-v3, its turbo, and the distilled ones.
//!
//! ```text
//!  samples → mel → network/encoder ─┐                    rules
//!                                   ├→ network/decoder → decode → guards → words
//!    tokens (prompt: names, language)┘                  (temperatures, transcribe)
//! ```
//!
//! - [`network`] computes; [`layout`] and [`config`] say what a model's files must hold.
//! - [`tokens`] makes prompts, [`rules`] says what may follow, [`decode`] writes one text, [`transcribe`] makes
//!   windows and tries again where [`guards`] distrust the text. `names` finds words to expect.
//!
//! The encoder reads only as much as was said, and a second of silence (`asr.whisper.window: short`), where
//! the model was trained with 30 s filled up with silence: five seconds then cost a fifth of the time. What
//! that does to accuracy depends on the model and was not measured here, since no trained model could be
//! reached; others report more errors in very short windows and with tiny models. `full` reads 30 s always.
//!
//! Deliberately absent: GPUs, beam search, word times, translation, and voice activity detection (the turn
//! machine has that).

pub mod config;
pub mod decode;
pub mod guards;
pub mod layout;
mod names;
pub mod network;
pub mod random_weights;
pub mod rules;
pub mod tokens;
pub mod transcribe;

#[cfg(test)]
#[allow(clippy::print_stderr)] // Tests tell why they skip.
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::asr_models::{self, Source};
use super::local::checkpoint::SafetensorsFolder;
use super::local::text::Tokenizer;
use super::{
    Asr, AsrRequest, AsrState, CancelToken, EngineError, SpeechContext, Transcript, forbid_executor_thread,
};
use crate::audio::pcm::f32_from_i16;
use crate::config::Config;
use config::{GenerationConfig, WhisperConfig};
use network::Network;
use rules::Rules;
use tokens::Vocabulary;
use transcribe::{Hints, Recogniser};

/// Its name in `config.yml`.
pub const NAME: &str = "whisper";
/// More threads than this have too little to do each.
const MAX_THREADS: usize = 4;
/// Tokens of names in a prompt.
const MAX_NAME_TOKENS: usize = 96;

/// A loaded model. Every [`Asr`] made by it shares its weights and threads.
#[derive(Clone)]
pub struct WhisperModel {
    name: String,
    shared: Arc<Shared>,
}

struct Shared {
    recogniser: Recogniser,
    threads: rayon::ThreadPool,
    prompt: String,
    expects_names: bool,
}

/// One worker's recogniser.
struct Whisper {
    shared: Arc<Shared>,
    /// The tokens that go before, of the context that was asked for last.
    previous: Option<(Arc<SpeechContext>, Vec<u32>)>,
}

/// What is kept of an utterance between its interim recognitions and the final one.
struct Draft(Vec<u32>);

/// The model that `asr.whisper.model` means, if it is there: of `auto`, the best that was pulled.
///
/// # Errors
/// If another model than `auto` is named and not there, or the models' folder cannot be read.
pub fn find(config: &Config) -> Result<Option<Source>, EngineError> {
    asr_models::find(config, "asr.whisper.model", &config.asr.whisper.model, is_whisper).map_err(load_error)
}

fn is_whisper(folder: &Path) -> bool {
    SafetensorsFolder::open(folder).is_ok_and(|folder| WhisperConfig::read(&folder).is_ok())
}

impl WhisperModel {
    /// Loads what `asr.whisper` names and recognises a moment of noise to warm up.
    ///
    /// # Errors
    /// Names the file, and the tensor or token with what was expected and what was found.
    pub fn load(config: &Config) -> Result<WhisperModel, EngineError> {
        let source = find(config)?.ok_or_else(|| {
            load_error(
                "no Whisper model was pulled; run `vivavoce models pull whisper-base`, or name a folder in \
                 asr.whisper.model",
            )
        })?;
        let settings = &config.asr.whisper;
        let folder = SafetensorsFolder::open(&source.path).map_err(load_error)?;
        let network_config = WhisperConfig::read(&folder).map_err(load_error)?;
        let generation = GenerationConfig::read(&folder).map_err(load_error)?;
        let tokenizer = Tokenizer::from_folder(&source.path).map_err(load_error)?;
        let vocabulary = Vocabulary::new(tokenizer, &network_config, &generation)
            .map_err(|reason| load_error(format_args!("{}: {reason}", source.path.display())))?;
        let rules = Rules::new(&vocabulary, &generation);
        let threads = asr_models::threads(settings.threads, MAX_THREADS).map_err(load_error)?;
        let network = threads
            .install(|| Network::load(&folder, network_config, settings.weights))
            .map_err(load_error)?;
        tracing::info!(
            model = source.name,
            mb = network.bytes() / 1_000_000,
            threads = threads.current_num_threads(),
            "whisper has loaded its weights"
        );
        let recogniser = Recogniser::new(network, vocabulary, rules, settings.window, settings.fallbacks);
        let shared = Shared {
            recogniser,
            threads,
            prompt: settings.prompt.clone(),
            expects_names: settings.expect_names,
        };
        let model = WhisperModel { name: source.name, shared: Arc::new(shared) };
        let noise = asr_models::warm_up_noise();
        model.asr().transcribe(&AsrRequest::new(&noise), &CancelToken::new())?;
        Ok(model)
    }

    /// For people: the model's name in the manifest, or its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A recogniser for one worker.
    pub fn asr(&self) -> Box<dyn Asr> {
        Box::new(Whisper { shared: self.shared.clone(), previous: None })
    }
}

impl Whisper {
    /// Tokens that go before: the operator's prompt, and names of the conversation.
    fn previous(&mut self, context: Option<&Arc<SpeechContext>>) -> Result<&[u32], EngineError> {
        let context = context.cloned().unwrap_or_default();
        if self.previous.as_ref().is_none_or(|(of, _)| *of != context) {
            let vocabulary = &self.shared.recogniser.vocabulary;
            let mut tokens = vec![];
            if self.shared.expects_names {
                tokens = vocabulary.encode_previous(&names::list(&context)).map_err(failed)?;
                tokens.truncate(MAX_NAME_TOKENS);
            }
            tokens.extend(vocabulary.encode_previous(&self.shared.prompt).map_err(failed)?);
            self.previous = Some((context, tokens));
        }
        Ok(self.previous.as_ref().map_or(&[], |(_, tokens)| tokens))
    }
}

impl Asr for Whisper {
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        state: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("Whisper::transcribe");
        let shared = self.shared.clone();
        let draft = state.kept_of::<Draft>(request.pcm);
        let samples: Vec<f32> = request.pcm.iter().map(|sample| f32_from_i16(*sample)).collect();
        let vocabulary = &shared.recogniser.vocabulary;
        let hints = Hints {
            language: request.language.and_then(|tag| vocabulary.language(tag)),
            previous: self.previous(request.context)?,
            draft: draft.map_or(&[], |draft| &draft.0),
            timestamps: false,
        };
        let recognised = shared.threads.install(|| shared.recogniser.transcribe(&samples, &hints, cancel))?;
        state.keep(request.pcm, Draft(recognised.tokens));
        Ok(Transcript { text: recognised.text, language: vocabulary.code(recognised.language) })
    }
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load { engine: NAME, message: error.to_string() }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: NAME, code: "asr_failed", message: error.to_string() }
}
