//! Which token may come next.
//!
//! Reference: `SuppressTokensLogitsProcessor`, `SuppressTokensAtBeginLogitsProcessor` and
//! `WhisperTimeStampLogitsProcessor` of transformers 5.23. Two things are stricter here: tokens that steer
//! are never written, also where a model's configuration forgets them; and without time stamps in the
//! prompt there are none in the answer.

use super::config::GenerationConfig;
use super::tokens::Vocabulary;
use crate::engines::local::packed::log_sum_exp;

const NEVER: f32 = f32::NEG_INFINITY;

/// The rules of one model.
#[derive(Debug, Clone)]
pub struct Rules {
    end: u32,
    first_timestamp: u32,
    suppressed: Vec<u32>,
    suppressed_first: Vec<u32>,
    max_first_timestamp: Option<usize>,
}

impl Rules {
    /// From the model's configuration; ids that it has no token for are passed over.
    pub fn new(vocabulary: &Vocabulary, generation: &GenerationConfig) -> Rules {
        let known = |tokens: &Option<Vec<i64>>| -> Vec<u32> {
            let ids = tokens.iter().flatten().filter_map(|id| u32::try_from(*id).ok());
            ids.filter(|id| (*id as usize) < vocabulary.len()).collect()
        };
        let mut suppressed = known(&generation.suppress_tokens);
        suppressed.retain(|token| *token != vocabulary.end);
        suppressed.extend(vocabulary.steering());
        Rules {
            end: vocabulary.end,
            first_timestamp: vocabulary.first_timestamp(),
            suppressed,
            suppressed_first: known(&generation.begin_suppress_tokens),
            max_first_timestamp: generation.max_initial_timestamp_index,
        }
    }

    /// Takes out of the `logits` of the next token what may not follow `written` (without the prompt).
    pub fn apply(&self, written: &[u32], timestamps: bool, logits: &mut [f32]) {
        for token in &self.suppressed {
            logits[*token as usize] = NEVER;
        }
        if written.is_empty() {
            for token in &self.suppressed_first {
                logits[*token as usize] = NEVER;
            }
        }
        if timestamps {
            self.apply_timestamps(written, logits);
        } else {
            logits[self.first_timestamp as usize..].fill(NEVER);
        }
    }

    /// Time stamps come in pairs (except right before the end), do not decrease, and come first.
    fn apply_timestamps(&self, written: &[u32], logits: &mut [f32]) {
        let first = self.first_timestamp as usize;
        let is_time = |token: Option<&u32>| token.is_some_and(|token| *token >= self.first_timestamp);
        let last_is_time = is_time(written.last());
        let one_before_is_time = written.len() < 2 || is_time(written.get(written.len() - 2));
        if last_is_time && one_before_is_time {
            logits[first..].fill(NEVER);
        } else if last_is_time {
            logits[..self.end as usize].fill(NEVER);
        }
        if let Some(last) = written.iter().rev().find(|token| **token >= self.first_timestamp) {
            // The second of a pair may be the same; a stretch of words takes some time.
            let may_repeat = last_is_time && !one_before_is_time;
            let least = *last as usize + usize::from(!may_repeat);
            let forbidden = first..least.min(logits.len());
            logits[forbidden].fill(NEVER);
        }
        if written.is_empty() {
            logits[..first].fill(NEVER);
            if let Some(most) = self.max_first_timestamp {
                let from = (first + most + 1).min(logits.len());
                logits[from..].fill(NEVER);
            }
        }
        // A time stamp, if all together are likelier than the likeliest word.
        let (words, times) = logits.split_at_mut(first);
        if log_sum_exp(times) > greatest(words) {
            words.fill(NEVER);
        }
    }
}

fn greatest(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(NEVER, f32::max)
}
