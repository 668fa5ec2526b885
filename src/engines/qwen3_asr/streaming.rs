//! Recognition while somebody speaks, as the model's makers do it: every two seconds all that was said so far
//! is heard again, and what was written the last time is given to go on from, but for its last tokens, which
//! the next words may change.
//!
//! Reference: `streaming_transcribe` of qwen-asr 0.0.6, on tokens where that goes back and forth through
//! text.
//!
//! This is bookkeeping only; who recognises passes [`Streaming::prefix`] on as
//! [`Beginning::Given`](super::decode::Beginning). The engine itself would rather have its words checked: it
//! passes them as [`Beginning::Guessed`](super::decode::Beginning), which costs little and cannot keep a
//! mistake.

use crate::engines::INPUT_RATE_HZ;

/// Samples from one time to the next: 2 s.
pub const STEP_SAMPLES: usize = 2 * INPUT_RATE_HZ as usize;
/// So many times begin from nothing.
const FREE_STEPS: usize = 2;
/// Tokens that the next words may change.
const LOOSE_TOKENS: usize = 5;

/// One utterance in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streaming {
    /// Samples that have been heard.
    samples: usize,
    /// How often.
    steps: usize,
    written: Vec<u32>,
}

impl Streaming {
    /// Whether there is enough news in a recording that is `samples` long by now.
    pub fn is_due(&self, samples: usize) -> bool {
        samples >= self.samples + STEP_SAMPLES
    }

    /// What the next answer begins with. `bytes` are those of a token: the prefix ends with a whole
    /// character.
    pub fn prefix<'b>(&self, bytes: impl Fn(u32) -> &'b [u8]) -> &[u32] {
        if self.steps < FREE_STEPS {
            return &[];
        }
        let mut prefix = &self.written[..self.written.len().saturating_sub(LOOSE_TOKENS)];
        while let Some((_, shorter)) = prefix.split_last() {
            let text: Vec<u8> = prefix.iter().flat_map(|token| bytes(*token)).copied().collect();
            if std::str::from_utf8(&text).is_ok() {
                break;
            }
            prefix = shorter;
        }
        prefix
    }

    /// Notes that `samples` have been heard and became `written`, the prefix included.
    pub fn push(&mut self, samples: usize, written: Vec<u32>) {
        self.samples = samples;
        self.steps += 1;
        self.written = written;
    }

    /// All that was written the last time.
    pub fn written(&self) -> &[u32] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token `n` is a byte, 200 and 201 are the halves of `é`.
    fn bytes(token: u32) -> &'static [u8] {
        match token {
            200 => &[0xc3],
            201 => &[0xa9],
            _ => b"x",
        }
    }

    #[test]
    fn the_first_two_times_are_free_and_then_five_tokens_are_loose() {
        let mut streaming = Streaming::default();
        for (time, prefix) in [(1, 0), (2, 0), (3, 3), (4, 3)] {
            assert_eq!(streaming.prefix(bytes).len(), prefix, "time {time}");
            streaming.push(time * STEP_SAMPLES, (0..8).collect());
        }
        assert_eq!(streaming.written(), [0, 1, 2, 3, 4, 5, 6, 7]);
        streaming.push(5 * STEP_SAMPLES, vec![1, 2, 3]);
        assert!(streaming.prefix(bytes).is_empty());
    }

    #[test]
    fn a_step_is_due_after_two_seconds_more() {
        let mut streaming = Streaming::default();
        assert!(!streaming.is_due(STEP_SAMPLES - 1) && streaming.is_due(STEP_SAMPLES));
        streaming.push(STEP_SAMPLES + 100, vec![]);
        assert!(!streaming.is_due(2 * STEP_SAMPLES + 99) && streaming.is_due(2 * STEP_SAMPLES + 100));
    }

    #[test]
    fn a_prefix_ends_with_a_whole_character() {
        let mut streaming = Streaming { steps: FREE_STEPS, ..Streaming::default() };
        streaming.push(0, vec![1, 2, 200, 201, 3, 4, 5, 6]);
        assert_eq!(streaming.prefix(bytes), [1, 2]);
        streaming.push(0, vec![1, 2, 200, 201, 3, 4, 5, 6, 7]);
        assert_eq!(streaming.prefix(bytes), [1, 2, 200, 201]);
        streaming.push(0, vec![200, 1, 2, 3, 4, 5]);
        assert!(streaming.prefix(bytes).is_empty());
    }
}
