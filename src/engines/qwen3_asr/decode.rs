//! Audio and a prompt to the tokens of an answer, always the likeliest next one.

use candle_core::{Device, Tensor};

use super::answer;
use crate::engines::local::decoder::{Decoder, DecoderError, KvCache, RowSequence};
use crate::engines::{CancelToken, EngineError};

/// Rows of a prompt that are read together: as long as a cancel waits.
const ROWS_PER_PIECE: usize = 64;
/// Tokens of a guess that are read together.
const GUESSED_TOGETHER: usize = 32;
/// Tokens of the fastest speaker, in a script that has few tokens of its own, …
const TOKENS_PER_SECOND: usize = 25;
/// … and of an answer, however short the recording.
const MIN_TOKENS: usize = 32;

/// What is known of an answer before.
#[derive(Debug, Clone, Copy, Default)]
pub enum Beginning<'a> {
    /// Nothing.
    #[default]
    Free,
    /// It begins so: [`super::streaming`].
    Given(&'a [u32]),
    /// It probably begins so. These tokens are read in one go with the prompt, which costs little, and each
    /// is kept that the model would write now; from the first other one on it goes on as always. What comes
    /// out is what would come out without them.
    Guessed(&'a [u32]),
}

/// A prompt and how it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Tokens before the audio.
    pub before: &'a [u32],
    /// `[rows, hidden_size]`
    pub audio: &'a [f32],
    /// Tokens behind the audio.
    pub after: &'a [u32],
    /// What is known of the answer.
    pub beginning: Beginning<'a>,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
}

/// Which tokens there are.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Only those below this one mean something.
    pub tokens: usize,
    /// These end an answer.
    pub ends: &'a [u32],
}

/// Tokens that a recording of so many samples can become.
pub fn max_tokens(samples: usize) -> usize {
    MIN_TOKENS + samples * TOKENS_PER_SECOND / crate::engines::INPUT_RATE_HZ as usize
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The cancel token was set.
    #[error("cancelled")]
    Cancelled,
    /// The network failed.
    #[error(transparent)]
    Network(#[from] DecoderError),
}

impl From<candle_core::Error> for DecodeError {
    fn from(error: candle_core::Error) -> DecodeError {
        DecodeError::Network(error.into())
    }
}

impl From<DecodeError> for EngineError {
    fn from(error: DecodeError) -> EngineError {
        match error {
            DecodeError::Cancelled => EngineError::Cancelled,
            DecodeError::Network(error) => super::failed(error),
        }
    }
}

/// Reads tokens behind those in the cache. The cancel token is looked at between pieces.
pub fn read(
    decoder: &Decoder,
    tokens: &[u32],
    cache: &mut KvCache,
    cancel: &CancelToken,
) -> Result<(), DecodeError> {
    if !tokens.is_empty() {
        read_rows(decoder, &decoder.embed(tokens)?, 0, cache, cancel)?;
    }
    Ok(())
}

/// Answers a question, of which the cache has read some of the first tokens. Gives what is written behind the
/// prompt, without the end. The cancel token is looked at between pieces of the prompt and between tokens.
pub fn answer(
    decoder: &Decoder,
    question: &Question<'_>,
    known: Known<'_>,
    cache: &mut KvCache,
    cancel: &CancelToken,
) -> Result<Vec<u32>, DecodeError> {
    let (given, guess): (&[u32], &[u32]) = match question.beginning {
        Beginning::Free => (&[], &[]),
        Beginning::Given(tokens) => (tokens, &[]),
        Beginning::Guessed(tokens) => (&[], tokens),
    };
    let mut written = given.to_vec();
    let mut unread = prompt(decoder, question, cache.len(), given)?;
    let is_over = |written: &[u32]| written.len() >= question.max_tokens || answer::is_looping(written);
    while !is_over(&written) {
        let guess = next_of(guess, &written, question.max_tokens);
        if !guess.is_empty() {
            unread = Tensor::cat(&[unread, decoder.embed(guess)?], 0)?;
        }
        for (at, logits) in read_rows(decoder, &unread, 1 + guess.len(), cache, cancel)?.iter().enumerate() {
            let token = likeliest(&logits[..known.tokens.min(logits.len())]);
            if known.ends.contains(&token) {
                return Ok(written);
            }
            written.push(token);
            if is_over(&written) {
                return Ok(written);
            }
            if guess.get(at) != Some(&token) {
                // What was read of the guess behind this token was read for nothing.
                cache.truncate(cache.len() - (guess.len() - at));
                unread = decoder.embed(&[token])?;
                break;
            }
        }
    }
    Ok(written)
}

/// The part of a guess that is read next: nothing once something else was written.
fn next_of<'a>(guess: &'a [u32], written: &[u32], max_tokens: usize) -> &'a [u32] {
    let rest = guess.strip_prefix(written).unwrap_or_default();
    // One token more than is read comes out.
    let room = max_tokens.saturating_sub(written.len() + 1);
    &rest[..rest.len().min(GUESSED_TOGETHER).min(room)]
}

/// All rows of a question behind the first `done`, `[n, hidden_size]`.
fn prompt(
    decoder: &Decoder,
    question: &Question<'_>,
    done: usize,
    given: &[u32],
) -> Result<Tensor, DecodeError> {
    let hidden = decoder.config().hidden_size;
    let audio = (question.audio.len() / hidden, hidden);
    let mut parts = vec![];
    if let Some(unread) = question.before.get(done..).filter(|unread| !unread.is_empty()) {
        parts.push(decoder.embed(unread)?);
    }
    parts.push(Tensor::from_slice(question.audio, audio, &Device::Cpu)?.to_device(decoder.device())?);
    parts.push(decoder.embed(&[question.after, given].concat())?);
    Ok(Tensor::cat(&parts, 0)?)
}

/// Reads rows, piece by piece, and gives the logits of so many of the last ones.
fn read_rows(
    decoder: &Decoder,
    rows: &Tensor,
    wanted: usize,
    cache: &mut KvCache,
    cancel: &CancelToken,
) -> Result<Vec<Vec<f32>>, DecodeError> {
    let count = rows.dim(0)?;
    // The last piece has all rows whose logits are wanted.
    let before = count - wanted.min(count);
    let mut start = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(DecodeError::Cancelled);
        }
        let is_last = count - start <= ROWS_PER_PIECE || start + ROWS_PER_PIECE > before;
        let (len, logits) = if is_last { (count - start, wanted) } else { (ROWS_PER_PIECE, 0) };
        let piece = RowSequence { rows: rows.narrow(0, start, len)?, cache, logits };
        let logits = decoder.forward_rows(&mut [piece])?;
        if is_last {
            return Ok(logits.into_iter().next().unwrap_or_default());
        }
        start += len;
    }
}

/// The first of the greatest.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best as u32
}
