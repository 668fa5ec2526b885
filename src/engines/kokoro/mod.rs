//! Speech synthesis by Kokoro-82M, in two ways behind one engine: exports by ONNX Runtime, and the
//! published checkpoint in candle.
//!
//! ```text
//! text ─▶ g2p: phonemes ─▶ phrases: ids per call ─▶ exported | network: samples, durations ─▶ finish ─▶ audio, word times
//!                                                               └─ windows: the network's sound in parts
//! ```
//!
//! A [`Kokoro`] is loaded once; each worker speaks by a [`KokoroTts`] of its own, which holds what talks
//! with espeak-ng and the voices it was asked for. A cancel is heard between pieces, and in candle between
//! the stages of one.
//!
//! Not here: Japanese and Chinese voices (see [`g2p`]), and word times from exports that give no durations:
//! the ledger then estimates, and says so.

mod error;
mod exported;
mod files;
mod finish;
pub mod g2p;
pub mod network;
mod phrases;
mod settings;
mod speech;
#[cfg(test)]
mod tests;
mod voices;
mod windows;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Device;
use rayon::ThreadPool;

pub use self::error::KokoroError;
pub use self::files::{Files, find};
pub use self::settings::Settings;
pub use self::speech::Speech;

use self::exported::Exported;
use self::finish::{Finisher, Piece};
use self::g2p::english::English;
use self::g2p::espeak::Espeak;
use self::g2p::lexicon::{Dialect, Lexicon};
use self::g2p::other::Other;
use self::g2p::{G2p, Spoken};
use self::network::Network;
use self::phrases::{Phrase, phrases};
use self::voices::{Voice, Voices};
use self::windows::{Blend, whole, windows};
use super::{CancelToken, EngineError, Tts, TtsEvent, forbid_executor_thread};
use crate::config::Config;

/// The name in `config.yml`.
pub const NAME: &str = "kokoro";
const ENGINE: &str = NAME;

/// Values of a style vector of the published voices.
const STYLE_WIDTH: usize = 256;
/// Ids of one call of an export (the published network's positions, less a start and an end).
const MAX_PHONEMES: usize = 510;
/// Samples of a frame of the published network.
const SAMPLES_PER_FRAME: usize = 600;
/// Voices and blends that a worker keeps.
const MAX_KEPT_VOICES: usize = 64;
/// In front of the phonemes and behind them.
const EDGE_ID: u32 = 0;

/// A loaded model, shared by all workers.
pub struct Kokoro {
    speaker: Speaker,
    vocab: HashMap<char, u32>,
    voices: Voices,
    files: Files,
    max_phonemes: usize,
    samples_per_frame: usize,
    default_voice: String,
    speed: f32,
    early_audio: bool,
    lexicons: Mutex<HashMap<Dialect, Arc<Lexicon>>>,
}

enum Speaker {
    Exported(Exported),
    Candle(Box<Network>, ThreadPool),
}

impl Kokoro {
    /// Loads what `tts.kokoro` names.
    ///
    /// # Errors
    /// Name the file (with tensor, expected and found shape) and the remedy.
    pub fn load(config: &Config) -> Result<Arc<Kokoro>, EngineError> {
        let files = Files::of(config).map_err(KokoroError::at_load)?;
        let options = &config.tts.kokoro;
        let mut kokoro = Kokoro::open(config, files, options.threads).map_err(|error| match error {
            Opening::Kokoro(error) => error.at_load(),
            Opening::Engine(error) => error,
        })?;
        kokoro.speed = options.speed;
        kokoro.early_audio = options.early_audio;
        kokoro.default_voice.clone_from(&options.voice);
        let asked = config.persona.voice.as_deref().unwrap_or(&options.voice);
        let load_voice = || -> Result<(), KokoroError> {
            kokoro.voices.load(asked)?;
            language_of(asked).map(|_| ())
        };
        load_voice().map_err(|error| EngineError::Load {
            engine: ENGINE,
            message: format!("{error}; change `persona.voice` or `tts.kokoro.voice`"),
        })?;
        tracing::info!(model = %kokoro.files.network.display(), voices = kokoro.voices.names().len(), "kokoro");
        Ok(Arc::new(kokoro))
    }

    fn open(config: &Config, files: Files, threads: usize) -> Result<Kokoro, Opening> {
        let (speaker, settings, width) = if files.is_checkpoint() {
            let settings = Settings::read(&files.folder.join(files::CONFIG))?;
            let network = Network::load(&files.network, &settings, &Device::Cpu)?;
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|at| format!("kokoro-{at}"))
                .build()
                .map_err(|error| KokoroError::Network(error.to_string()))?;
            let width = 2 * settings.style_dim;
            (Speaker::Candle(Box::new(network), pool), Some(settings), width)
        } else {
            let exported = Exported::load(&files.network, &config.models, threads, config.tts.workers)?;
            let width = exported.width().unwrap_or(STYLE_WIDTH);
            (Speaker::Exported(exported), None, width)
        };
        Ok(Kokoro {
            vocab: match &settings {
                Some(settings) => settings.vocab.clone(),
                None => files.vocab()?,
            },
            voices: Voices::find(&files.folder, width)?,
            max_phonemes: settings.as_ref().map_or(MAX_PHONEMES, Settings::max_phonemes),
            samples_per_frame: settings.as_ref().map_or(SAMPLES_PER_FRAME, Settings::samples_per_frame),
            files,
            speaker,
            default_voice: String::new(),
            speed: 1.0,
            early_audio: true,
            lexicons: Mutex::default(),
        })
    }

    /// An engine for one worker.
    pub fn tts(self: &Arc<Kokoro>) -> KokoroTts {
        KokoroTts { kokoro: Arc::clone(self), languages: HashMap::new(), voices: HashMap::new() }
    }

    /// Names of the voices that are here and can be pronounced.
    pub fn voices(&self) -> Vec<String> {
        self.voices.names()
    }

    fn lexicon(&self, dialect: Dialect) -> Result<Arc<Lexicon>, KokoroError> {
        let mut lexicons = self.lexicons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lexicon) = lexicons.get(&dialect) {
            return Ok(Arc::clone(lexicon));
        }
        let lexicon = Arc::new(Lexicon::read(&self.files.lexicons, dialect)?);
        lexicons.insert(dialect, Arc::clone(&lexicon));
        Ok(lexicon)
    }

    fn pronouncer(&self, language: &'static str) -> Result<G2p, KokoroError> {
        let dialect = match language {
            "en-us" => Dialect::American,
            "en-gb" => Dialect::British,
            other => return Ok(G2p::Other(Other::new(Espeak::start(other)?))),
        };
        let espeak = Espeak::start(language).inspect_err(|error| {
            tracing::warn!("kokoro: {error}; words that are in no lexicon are said by their letters");
        });
        Ok(G2p::English(English::new(self.lexicon(dialect)?, dialect, espeak.ok())))
    }

    /// Gives the phrase's parts as they are ready. `start`: samples of the phrases before.
    fn speak(
        &self,
        phrase: &Phrase,
        voice: &Voice,
        start: u64,
        cancel: &CancelToken,
        give: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KokoroError> {
        let check = || if cancel.is_cancelled() { Err(KokoroError::Cancelled) } else { Ok(()) };
        let mut ids = vec![EDGE_ID];
        ids.extend(&phrase.ids);
        ids.push(EDGE_ID);
        let style = voice.style(phrase.ids.len());
        let per_frame = self.samples_per_frame;
        check()?;
        let (network, pool) = match &self.speaker {
            Speaker::Exported(exported) => {
                let speech = exported.speak(&ids, style, self.speed)?;
                check()?;
                let durations = speech.durations.as_deref();
                let mut finisher = Finisher::new(phrase, durations, per_frame, 0, start);
                return Ok(give(finisher.part(speech.samples, true)));
            }
            Speaker::Candle(network, pool) => (network, pool),
        };
        let plan = pool.install(|| network.plan(&ids, style, self.speed, &|| check()))?;
        let ends_word = |id| phrase.words.iter().any(|(_, ids)| ids.end == id);
        let windows = match self.early_audio {
            true => windows(&plan.durations, ends_word),
            false => vec![whole(plan.durations.iter().sum::<u32>() as usize)],
        };
        let skipped = windows.first().map_or(0, |window| window.frames.start) * per_frame;
        let mut finisher = Finisher::new(phrase, Some(&plan.durations), per_frame, skipped, start);
        let mut blend = Blend::default();
        for (at, window) in windows.iter().enumerate() {
            // `check` borrows the token, which threads may share.
            let rendered = pool.install(|| network.render(&plan, window.seen.clone(), &|| check()))?;
            check()?;
            let samples = blend.next(window, rendered, per_frame);
            if give(finisher.part(samples, at + 1 == windows.len())).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Two kinds of errors of loading.
enum Opening {
    Kokoro(KokoroError),
    Engine(EngineError),
}

impl From<KokoroError> for Opening {
    fn from(error: KokoroError) -> Opening {
        Opening::Kokoro(error)
    }
}

impl From<EngineError> for Opening {
    fn from(error: EngineError) -> Opening {
        Opening::Engine(error)
    }
}

/// The language of a voice or of a blend's first voice.
fn language_of(voice: &str) -> Result<&'static str, KokoroError> {
    voices::language(voice.trim())
        .ok_or_else(|| KokoroError::Voice(format!("{voice:?} is no voice whose language can be pronounced")))
}

/// One worker's Kokoro.
pub struct KokoroTts {
    kokoro: Arc<Kokoro>,
    languages: HashMap<&'static str, G2p>,
    voices: HashMap<String, Voice>,
}

impl KokoroTts {
    fn prepare(&mut self, text: &str, voice: &str) -> Result<(Vec<Phrase>, Voice), KokoroError> {
        let spoken = self.pronounce(text, voice)?;
        if !self.voices.contains_key(voice) {
            if self.voices.len() >= MAX_KEPT_VOICES {
                self.voices.clear();
            }
            self.voices.insert(voice.to_owned(), self.kokoro.voices.load(voice)?);
        }
        let style = self.voices.get(voice).cloned();
        let style = style.ok_or_else(|| KokoroError::Voice(format!("there is no voice {voice:?}")))?;
        Ok((phrases(&spoken, &self.kokoro.vocab, self.kokoro.max_phonemes), style))
    }

    fn pronounce(&mut self, text: &str, voice: &str) -> Result<Vec<Spoken>, KokoroError> {
        let language = language_of(voice)?;
        let g2p = match self.languages.entry(language) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(self.kokoro.pronouncer(language)?),
        };
        Ok(g2p.phonemes(text)?)
    }

    fn say(
        &mut self,
        text: &str,
        voice: &str,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), KokoroError> {
        let (phrases, voice) = self.prepare(text, voice)?;
        let mut given = 0;
        for phrase in &phrases {
            if sink(TtsEvent::Phonemes(phrase.phonemes.clone())).is_break() {
                return Ok(());
            }
            let start = given;
            let mut give = |piece: Piece| {
                given += piece.samples.len() as u64;
                if !piece.words.is_empty() {
                    sink(TtsEvent::Words(piece.words))?;
                }
                if piece.samples.is_empty() {
                    ControlFlow::Continue(())
                } else {
                    sink(TtsEvent::Audio(piece.samples))
                }
            };
            if self.kokoro.speak(phrase, &voice, start, cancel, &mut give)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Tts for KokoroTts {
    fn synthesize(
        &mut self,
        text: &str,
        voice: Option<&str>,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        forbid_executor_thread("KokoroTts::synthesize");
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let voice = voice.map_or_else(|| self.kokoro.default_voice.clone(), str::to_owned);
        self.say(text, &voice, cancel, sink).map_err(KokoroError::at_work)
    }
}
