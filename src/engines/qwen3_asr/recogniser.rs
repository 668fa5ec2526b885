//! A recording to words: pieces of what is long, audio to rows, rows and a prompt to an answer, the answer to
//! words.

use std::sync::{Arc, Mutex, PoisonError};

use super::config::Qwen3AsrConfig;
use super::decode::{self, Beginning, Known, Question};
use super::languages::Language;
use super::prompt::Vocabulary;
use super::split;
use super::tower::Tower;
use super::{failed, load_error};
use crate::engines::local::checkpoint::{Checkpoint, SafetensorsFolder};
use crate::engines::local::decoder::{Decoder, KvCache, KvType, LoadOptions, WeightType};
use crate::engines::local::text::Tokenizer;
use crate::engines::mel::LogMel;
use crate::engines::{CancelToken, EngineError, INPUT_RATE_HZ};

/// What is shorter is filled up with silence: half a second.
const MIN_SAMPLES: usize = INPUT_RATE_HZ as usize / 2;
/// The loudest sample of silence: −80 dB of full scale, where a microphone's noise is far above.
const SILENCE: f32 = 1e-4;
/// Conversations whose beginnings of prompts are kept: up to 30 MB each, with the default settings.
const MAX_KEPT: usize = 4;

/// What weights are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Blocks of 8 bits; keys and values in 16.
    EightBits,
    /// What the files have; keys and values in 16 bits, unless the files have 32.
    AsStored,
    /// 32 bits everywhere.
    F32,
}

/// A model with its vocabulary: everything that sessions share.
pub struct Recogniser {
    /// Hears.
    pub tower: Tower,
    /// Writes.
    pub text: Decoder,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    mel: LogMel,
    kept: Mutex<Vec<Arc<Kept>>>,
}

/// The beginning of a prompt, read: the same for all utterances of a conversation.
struct Kept {
    tokens: Vec<u32>,
    cache: KvCache,
}

/// What is known before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// `None`: found out.
    pub language: Option<Language>,
    /// What the conversation is about: names, words, sentences.
    pub context: &'a str,
    /// What is known of the answer; only looked at if the recording is recognised in one go.
    pub beginning: Beginning<'a>,
}

/// What was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recognised {
    /// All words.
    pub text: String,
    /// That of the first words.
    pub language: Option<Language>,
    /// The answer, for a longer recording of the same speech to begin with; empty if it took several goes.
    pub tokens: Vec<u32>,
}

impl Recogniser {
    /// Reads a folder.
    ///
    /// # Errors
    /// Names the file, and the tensor or token with what was expected and what was found.
    pub fn load(folder: &SafetensorsFolder, precision: Precision) -> Result<Recogniser, EngineError> {
        let config = Qwen3AsrConfig::read(folder).map_err(load_error)?;
        let tokenizer = Tokenizer::from_folder(folder.path()).map_err(load_error)?;
        let vocabulary = Vocabulary::new(tokenizer, &config)
            .map_err(|reason| load_error(format_args!("{}: {reason}", folder.path().display())))?;
        let (tower, text) = load_networks(folder, &config, precision)?;
        let mel = LogMel::new(config.tower.num_mel_bins);
        Ok(Recogniser { tower, text, vocabulary, mel, kept: Mutex::default() })
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.tower.bytes() as u64 + self.text.weight_bytes()
    }

    /// Recognises 16 kHz mono, −1…1. Computes in the rayon pool of the caller.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`]; or if the context leaves no room for audio.
    pub fn transcribe(
        &self,
        samples: &[f32],
        hints: &Hints<'_>,
        cancel: &CancelToken,
    ) -> Result<Recognised, EngineError> {
        let before = self.vocabulary.before_audio(hints.context).map_err(failed)?;
        let max_samples = split::max_samples(self.rows_left(before.len()));
        let pieces = split::pieces(samples, max_samples);
        let is_whole = pieces.len() == 1;
        let mut done = Recognised { language: hints.language, ..Recognised::default() };
        for piece in pieces {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            if piece.iter().all(|sample| sample.abs() < SILENCE) {
                continue;
            }
            let beginning = if is_whole { hints.beginning } else { Beginning::Free };
            let tokens = self.answer(piece, &before, hints.language, beginning, cancel)?;
            let answer = self.vocabulary.read(&tokens, hints.language);
            if is_whole {
                done.tokens = tokens;
            }
            if answer.text.is_empty() {
                continue;
            }
            done.language = done.language.or(answer.language);
            if !done.text.is_empty() && answer.language.is_none_or(has_spaces) {
                done.text.push(' ');
            }
            done.text.push_str(&answer.text);
        }
        Ok(done)
    }

    /// The tokens of what is said in a piece.
    fn answer(
        &self,
        piece: &[f32],
        before: &[u32],
        language: Option<Language>,
        beginning: Beginning<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<u32>, EngineError> {
        let mut padded = piece.to_vec();
        padded.resize(piece.len().max(MIN_SAMPLES), 0.0);
        let audio = self.tower.forward(&self.mel.extract(&padded), cancel)?;
        let after = self.vocabulary.after_audio(language).map_err(failed)?;
        let rows = before.len() + audio.len() / self.text.config().hidden_size + after.len();
        let left = self.text.config().max_position.saturating_sub(rows);
        let question = Question {
            before,
            audio: &audio,
            after: &after,
            beginning,
            // An answer's last token is not read again.
            max_tokens: decode::max_tokens(piece.len()).min(left),
        };
        let known = Known { tokens: self.vocabulary.size(), ends: self.vocabulary.ends() };
        let mut cache = self.begin(before, cancel)?;
        Ok(decode::answer(&self.text, &question, known, &mut cache, cancel)?)
    }

    /// Rows that are left for audio behind so many tokens, with room for an answer.
    fn rows_left(&self, before: usize) -> usize {
        // An answer has two tokens for a row at most: 25 tokens a second, and 13 rows.
        self.text.config().max_position.saturating_sub(before + 64) / 3
    }

    /// A cache that has read `before`.
    fn begin(&self, before: &[u32], cancel: &CancelToken) -> Result<KvCache, EngineError> {
        let find = || {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let at = kept.iter().position(|kept| kept.tokens == before)?;
            kept[..=at].rotate_right(1);
            kept.first().cloned()
        };
        if let Some(found) = find() {
            return found.cache.prefix(before.len()).map_err(failed);
        }
        let mut cache = self.text.new_cache();
        decode::read(&self.text, before, &mut cache, cancel)?;
        let copy = cache.prefix(before.len()).map_err(failed)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(0, Arc::new(Kept { tokens: before.to_vec(), cache: copy }));
        kept.truncate(MAX_KEPT);
        Ok(cache)
    }
}

/// Tower and text model of a folder.
pub fn load_networks(
    folder: &SafetensorsFolder,
    config: &Qwen3AsrConfig,
    precision: Precision,
) -> Result<(Tower, Decoder), EngineError> {
    let eight_bits = precision == Precision::EightBits;
    let tower = Tower::load(folder, config.tower.clone(), eight_bits).map_err(load_error)?;
    let (weights, kv_type) = match precision {
        Precision::EightBits => (WeightType::Q8_0, Some(KvType::F16)),
        Precision::AsStored => (WeightType::AsStored, None),
        Precision::F32 => (WeightType::F32, Some(KvType::F32)),
    };
    let options = LoadOptions { weights, kv_type, max_position: None };
    let checkpoint = Checkpoint::Folder(folder.clone());
    let text =
        Decoder::from_checkpoint(&checkpoint, &candle_core::Device::Cpu, &options).map_err(load_error)?;
    Ok((tower, text))
}

/// Whether words are divided by spaces.
fn has_spaces(language: Language) -> bool {
    !["zh", "yue", "ja", "th"].contains(&language.code)
}
