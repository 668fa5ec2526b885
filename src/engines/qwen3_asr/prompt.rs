//! Between words and tokens: prompts, and what the model answers to them.
//!
//! ```text
//! <|im_start|>system⏎ CONTEXT <|im_end|>⏎
//! <|im_start|>user⏎ <|audio_start|> a row for each 80 ms <|audio_end|> <|im_end|>⏎
//! <|im_start|>assistant⏎ [language English<asr_text>]
//! ```
//!
//! Reference: `apply_transcription_request` of transformers' Qwen3-ASR processor; a golden test compares the
//! tokens. Different on purpose: a context never becomes a control token, whatever it looks like.

use super::answer::{ASR_TEXT, Answer};
use super::config::Qwen3AsrConfig;
use super::languages::Language;
use crate::engines::SpeechContext;
use crate::engines::local::text::{ParseSpecial, TextError, TokenKind, Tokenizer};

/// The tokens of one model.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    message_start: u32,
    message_end: u32,
    audio_start: u32,
    audio_end: u32,
    asr_text: u32,
}

impl Vocabulary {
    /// Finds the tokens that steer the model.
    ///
    /// # Errors
    /// Names the token that is missing, or that is another one than the config says.
    pub fn new(tokenizer: Tokenizer, config: &Qwen3AsrConfig) -> Result<Vocabulary, String> {
        let id = |name: &str| {
            let missing = || format!("its tokenizer has no token {name}; fetch the model's files again");
            tokenizer.id_of(name).ok_or_else(missing)
        };
        let strangers = "they do not belong together; fetch the model's files again";
        let (audio, said) = (id("<|audio_pad|>")?, config.audio_token);
        if audio != said {
            return Err(format!(
                "its tokenizer has <|audio_pad|> as token {audio}, config.json says audio_token_id is {said}: \
                 {strangers}"
            ));
        }
        let (known, rows) = (tokenizer.vocab_size(), config.text.vocab_size);
        if known > rows {
            return Err(format!(
                "its tokenizer has {known} tokens, config.json says vocab_size is {rows}: {strangers}"
            ));
        }
        Ok(Vocabulary {
            message_start: id("<|im_start|>")?,
            message_end: id("<|im_end|>")?,
            audio_start: id("<|audio_start|>")?,
            audio_end: id("<|audio_end|>")?,
            asr_text: id(ASR_TEXT)?,
            tokenizer,
        })
    }

    /// Number of tokens. The network may know more, which mean nothing.
    pub fn size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    /// Tokens that end an answer.
    pub fn ends(&self) -> &[u32] {
        self.tokenizer.ends()
    }

    /// The bytes that a token stands for.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.tokenizer.token_bytes(token)
    }

    /// What the model is told of a conversation: the assistant's name and the facts, as many of the first as
    /// `max_tokens` have room for.
    pub fn context(&self, context: &SpeechContext, max_tokens: usize) -> Result<String, TextError> {
        let mut text = String::new();
        let mut left = max_tokens;
        for line in std::iter::once(&context.name).chain(&context.facts) {
            let line = line.trim();
            let tokens = self.plain(line)?.len();
            if tokens == 0 {
                continue;
            }
            // One is the end of the line.
            let Some(rest) = left.checked_sub(tokens + 1) else { break };
            left = rest;
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
        }
        Ok(text)
    }

    /// What stands before the audio.
    pub fn before_audio(&self, context: &str) -> Result<Vec<u32>, TextError> {
        let mut tokens = vec![self.message_start];
        tokens.extend(self.plain(&format!("system\n{context}"))?);
        tokens.push(self.message_end);
        tokens.extend(self.plain("\n")?);
        tokens.push(self.message_start);
        tokens.extend(self.plain("user\n")?);
        tokens.push(self.audio_start);
        Ok(tokens)
    }

    /// What stands behind the audio. With a language the answer is nothing but words.
    pub fn after_audio(&self, language: Option<Language>) -> Result<Vec<u32>, TextError> {
        let mut tokens = vec![self.audio_end, self.message_end];
        tokens.extend(self.plain("\n")?);
        tokens.push(self.message_start);
        match language {
            None => tokens.extend(self.plain("assistant\n")?),
            Some(language) => {
                tokens.extend(self.plain(&format!("assistant\nlanguage {}", language.name))?);
                tokens.push(self.asr_text);
            }
        }
        Ok(tokens)
    }

    /// What the model said, `language` being that of the prompt.
    pub fn read(&self, tokens: &[u32], language: Option<Language>) -> Answer {
        let is_said = |token: &u32| self.tokenizer.kind(*token) != TokenKind::Control;
        let said: Vec<u32> = tokens.iter().copied().filter(is_said).collect();
        let text = self.tokenizer.decode(&said);
        match language {
            Some(language) => Answer::of_words(&text, language),
            None => Answer::parse(&text),
        }
    }

    fn plain(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.tokenizer.encode(text, ParseSpecial::No)
    }
}
