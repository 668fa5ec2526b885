//! One decoding of one window: tokens one after the other, until the end.
//!
//! What an earlier, shorter recording of the same speech gave can be passed as a *draft*. It is read in one
//! go, which costs little more than one token, and each of its tokens is kept that the network would write
//! now; from the first other one on, decoding goes on as always. So a draft changes how long decoding takes,
//! and nothing of what comes out.

use super::guards;
use super::network::{Heard, Network};
use super::rules::Rules;
use super::tokens::{Task, Vocabulary};
use crate::engines::local::packed::log_sum_exp;
use crate::engines::local::text::SplitMix64;
use crate::engines::{CancelToken, EngineError};

/// Tokens of a draft that are read together.
const DRAFT_TOKENS: usize = 32;

/// What is decoded, and how.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The prompt.
    pub task: Task<'a>,
    /// 0: always the likeliest token. Else tokens are drawn.
    pub temperature: f32,
    /// Tokens that are written at most.
    pub max_tokens: usize,
    /// What will probably be written. Only looked at where the temperature is 0.
    pub draft: &'a [u32],
}

/// What was decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Words and time stamps, without the prompt and the end.
    pub tokens: Vec<u32>,
    /// Mean of the tokens' ln(probability), the end's included.
    pub mean_log_probability: f32,
    /// The probability that nobody speaks, 0…1; 0 where the model cannot tell.
    pub no_speech: f32,
    /// It began to repeat itself and was stopped.
    pub looped: bool,
    /// Tokens of the draft that were right.
    pub drafted: usize,
}

/// Decodes `heard`.
///
/// # Errors
/// [`EngineError::Cancelled`]; the token is looked at before each step.
pub fn decode(
    network: &Network,
    vocabulary: &Vocabulary,
    rules: &Rules,
    heard: &Heard,
    request: &Request,
    cancel: &CancelToken,
) -> Result<Decoded, EngineError> {
    let prompt = vocabulary.prompt(&request.task);
    let start = prompt.iter().rposition(|token| *token == vocabulary.start).unwrap_or(0);
    let positions = network.config().max_target_positions;
    let max_tokens = request.max_tokens.min(positions.saturating_sub(prompt.len()));

    let mut past = network.past();
    let mut written = Written::new(request.temperature);
    let (mut no_speech, mut drafted, mut looped) = (0.0, 0, false);
    // Logits that are wanted before those of the next token: from `<|startoftranscript|>` on.
    let mut ahead = prompt.len() - 1 - start;
    let mut unread = prompt;
    'steps: loop {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let guess = guess(request, &written.tokens, max_tokens);
        unread.extend_from_slice(guess);
        let is_first = past.is_empty();
        let mut logits = network.decode(&unread, &mut past, heard, ahead + 1 + guess.len());
        if is_first {
            no_speech = no_speech_probability(vocabulary, &logits[..vocabulary.len()]);
        }
        for (at, row) in logits.chunks_exact_mut(vocabulary.len()).skip(ahead).enumerate() {
            if written.tokens.len() == max_tokens {
                break 'steps;
            }
            rules.apply(&written.tokens, request.task.timestamps, row);
            let token = written.choose(row);
            if token == vocabulary.end {
                break 'steps;
            }
            written.tokens.push(token);
            if guards::is_looping(&written.tokens) {
                looped = true;
                break 'steps;
            }
            if guess.get(at) == Some(&token) {
                drafted += 1;
                continue;
            }
            // What was read of the draft behind this token was read for nothing.
            past.truncate(past.len() - (guess.len() - at));
            unread = vec![token];
            ahead = 0;
            break;
        }
    }
    Ok(Decoded {
        mean_log_probability: written.mean_log_probability(),
        tokens: written.tokens,
        no_speech,
        looped,
        drafted,
    })
}

/// The most probable language of what was heard, and its probability. `None` of English-only models.
pub fn detect_language(network: &Network, vocabulary: &Vocabulary, heard: &Heard) -> Option<(u32, f32)> {
    if vocabulary.languages().is_empty() {
        return None;
    }
    let logits = network.decode(&[vocabulary.start], &mut network.past(), heard, 1);
    let languages: Vec<f32> = vocabulary.languages().iter().map(|(_, id)| logits[*id as usize]).collect();
    let total = log_sum_exp(&languages);
    let (best, logit) = languages.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some((vocabulary.languages()[best].1, (logit - total).exp()))
}

/// The part of the draft that is read next: nothing once something else was written.
fn guess<'a>(request: &Request<'a>, written: &[u32], max_tokens: usize) -> &'a [u32] {
    if request.temperature > 0.0 || !request.draft.starts_with(written) {
        return &[];
    }
    let rest = &request.draft[written.len()..];
    &rest[..rest.len().min(DRAFT_TOKENS).min(max_tokens - written.len())]
}

fn no_speech_probability(vocabulary: &Vocabulary, logits: &[f32]) -> f32 {
    vocabulary.no_speech.map_or(0.0, |token| (logits[token as usize] - log_sum_exp(logits)).exp())
}

/// What has been written, and how likely it was.
struct Written {
    tokens: Vec<u32>,
    log_probability: f32,
    chosen: usize,
    temperature: f32,
    random: SplitMix64,
}

impl Written {
    fn new(temperature: f32) -> Written {
        // The same recording gives the same words.
        let random = SplitMix64::new(u64::from(temperature.to_bits()));
        Written { tokens: vec![], log_probability: 0.0, chosen: 0, temperature, random }
    }

    fn choose(&mut self, logits: &[f32]) -> u32 {
        let token = if self.temperature > 0.0 { self.draw(logits) } else { likeliest(logits) };
        self.log_probability += logits[token] - log_sum_exp(logits);
        self.chosen += 1;
        token as u32
    }

    /// Draws from softmax(logits / temperature).
    fn draw(&mut self, logits: &[f32]) -> usize {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: &f32| f64::from((logit - greatest) / self.temperature).exp();
        let total: f64 = logits.iter().map(weight).sum();
        let mut left = self.random.next_unit() * total;
        for (token, logit) in logits.iter().enumerate() {
            left -= weight(logit);
            if left < 0.0 {
                return token;
            }
        }
        likeliest(logits)
    }

    fn mean_log_probability(&self) -> f32 {
        self.log_probability / self.chosen.max(1) as f32
    }
}

/// The first of the greatest.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}
