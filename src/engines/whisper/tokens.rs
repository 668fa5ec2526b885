//! Tokens that steer Whisper, and the prompts that are made of them.
//!
//! A prompt is `<|startofprev|>` and what was said before (or names to expect), if anything;
//! `<|startoftranscript|>`; language and task, where the model knows several; and `<|notimestamps|>` unless
//! times are wanted. Reference: `WhisperTokenizer` of transformers 5.23.
//!
//! Deliberately absent: translation into English (`<|translate|>`).

use super::config::{GenerationConfig, WhisperConfig};
use crate::engines::local::text::{ParseSpecial, TextError, Tokenizer};

/// Milliseconds from one time stamp to the next.
pub const TIMESTAMP_MS: u64 = 20;
/// Models with more tokens than this know languages and tasks.
const ENGLISH_ONLY_VOCABULARY: usize = 51_864;

/// A vocabulary with the tokens that steer.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    /// `<|startoftranscript|>`
    pub start: u32,
    /// `<|endoftext|>`: the end, and the first token that is no text.
    pub end: u32,
    /// `<|notimestamps|>`; the token behind it is `<|0.00|>`.
    pub no_timestamps: u32,
    /// `<|nospeech|>`, called `<|nocaptions|>` in older models.
    pub no_speech: Option<u32>,
    previous: u32,
    transcribe: u32,
    /// Languages by ISO 639 code, in the order of their tokens; empty in English-only models.
    languages: Vec<(String, u32)>,
    /// All ids: `vocab_size` of the network.
    len: usize,
}

/// What to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Task<'a> {
    /// Tokens of text that went before.
    pub previous: &'a [u32],
    /// One of [`Vocabulary::languages`]; not looked at in English-only models.
    pub language: Option<u32>,
    /// Time stamps between the words.
    pub timestamps: bool,
}

impl Vocabulary {
    /// Finds the tokens in a tokenizer.
    ///
    /// # Errors
    /// Names the token that is missing or that the network has no row for.
    pub fn new(
        tokenizer: Tokenizer,
        config: &WhisperConfig,
        generation: &GenerationConfig,
    ) -> Result<Vocabulary, String> {
        let len = config.vocab_size;
        let id_of = |name: &str| tokenizer.id_of(name).filter(|id| (*id as usize) < len);
        let needed = |name: &str| {
            id_of(name).ok_or_else(|| {
                format!(
                    "the tokenizer has no {name} among its added tokens, or one beyond config.json's \
                     vocab_size ({len}); fetch its files again"
                )
            })
        };
        let (start, end) = (needed("<|startoftranscript|>")?, needed("<|endoftext|>")?);
        let multilingual = generation.is_multilingual.unwrap_or(len > ENGLISH_ONLY_VOCABULARY);
        let is_code =
            |code: &str| (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        let mut languages: Vec<(String, u32)> = vec![];
        for token in tokenizer.added().iter().filter(|token| multilingual && (token.id as usize) < len) {
            let code = token.text.strip_prefix("<|").and_then(|text| text.strip_suffix("|>"));
            if let Some(code) = code.filter(|code| is_code(code)) {
                languages.push((code.to_owned(), token.id));
            }
        }
        if multilingual && languages.is_empty() {
            return Err("the tokenizer has no languages (<|en|>, …) among its added tokens".to_owned());
        }
        let no_timestamps = needed("<|notimestamps|>")?;
        let no_speech = id_of("<|nospeech|>").or_else(|| id_of("<|nocaptions|>"));
        let (previous, transcribe) = (needed("<|startofprev|>")?, needed("<|transcribe|>")?);
        Ok(Vocabulary {
            tokenizer,
            start,
            end,
            no_timestamps,
            no_speech,
            previous,
            transcribe,
            languages,
            len,
        })
    }

    /// Ids of the network.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Languages by ISO 639 code; empty in English-only models.
    pub fn languages(&self) -> &[(String, u32)] {
        &self.languages
    }

    /// The token of a language: `de`, and of a longer tag (`de-AT`) the language alone.
    pub fn language(&self, tag: &str) -> Option<u32> {
        let code = tag.split(['-', '_']).next()?.to_ascii_lowercase();
        self.languages.iter().find(|(known, _)| *known == code).map(|(_, id)| *id)
    }

    /// The code of a language's token; `en` of English-only models whatever the token.
    pub fn code(&self, language: Option<u32>) -> Option<String> {
        if self.languages.is_empty() {
            return Some("en".to_owned());
        }
        self.languages.iter().find(|(_, id)| Some(*id) == language).map(|(code, _)| code.clone())
    }

    /// The token of `<|0.00|>`; all from there on are time stamps.
    pub fn first_timestamp(&self) -> u32 {
        self.no_timestamps + 1
    }

    /// Whether the network has time stamps.
    pub fn has_timestamps(&self) -> bool {
        (self.first_timestamp() as usize) < self.len
    }

    /// The time of a time stamp from the window's beginning; `None` for other tokens.
    pub fn time_ms(&self, token: u32) -> Option<u64> {
        token.checked_sub(self.first_timestamp()).map(|steps| u64::from(steps) * TIMESTAMP_MS)
    }

    /// The beginning of what the decoder reads.
    pub fn prompt(&self, task: &Task) -> Vec<u32> {
        let mut prompt = Vec::with_capacity(task.previous.len() + 5);
        if !task.previous.is_empty() {
            prompt.push(self.previous);
            prompt.extend_from_slice(task.previous);
        }
        prompt.push(self.start);
        if !self.languages.is_empty() {
            prompt.extend(task.language);
            prompt.push(self.transcribe);
        }
        if !task.timestamps {
            prompt.push(self.no_timestamps);
        }
        prompt
    }

    /// The tokens of a text that goes before: a space and the text. Nothing in it steers.
    ///
    /// # Errors
    /// If the tokenizer refuses it.
    pub fn encode_previous(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(vec![]);
        }
        let mut tokens = self.tokenizer.encode(&format!(" {text}"), ParseSpecial::No)?;
        tokens.retain(|token| *token < self.end);
        Ok(tokens)
    }

    /// The text of tokens; what steers is left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let words: Vec<u32> = tokens.iter().copied().filter(|token| *token < self.end).collect();
        self.tokenizer.decode(&words)
    }

    /// Tokens that steer and are never written: all between the end and the time stamps.
    pub fn steering(&self) -> std::ops::Range<u32> {
        self.end + 1..self.first_timestamp()
    }
}
