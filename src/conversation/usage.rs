//! How many tokens a conversation takes: measured where the model has counted, estimated in between.
//!
//! An estimate is a tokenizer's count of what the prompt holds, times what the model's own count of the
//! last prompt was of the same estimate: another model's tokenizer, a chat template and a server's hidden
//! instructions are in that factor. Behind a measured prompt only what was added is estimated.

use super::events::Usage;

/// A factor beyond this says more about a wrong count than about the tokenizer.
const MOST_SCALE: f64 = 16.0;

/// What was counted so far.
#[derive(Debug, Clone, Default)]
pub struct UsageHistory {
    requests: Vec<Usage>,
    /// The last count of the model, and the tokenizer's of the same prompt.
    last: Option<(u64, u64)>,
}

impl UsageHistory {
    /// The model has counted a prompt for which the tokenizer gives `estimated`.
    pub fn measured(&mut self, usage: Usage, estimated: u64) {
        if usage.input_tokens > 0 && estimated > 0 {
            self.last = Some((usage.input_tokens, estimated));
        }
        self.requests.push(usage);
    }

    /// What was read in the log; its prompts cannot be estimated any more.
    pub fn remembered(&mut self, usage: Usage) {
        self.requests.push(usage);
    }

    /// All requests, the oldest first.
    pub fn requests(&self) -> &[Usage] {
        &self.requests
    }

    /// Tokens of the last prompt that the model counted; 0 if none was.
    pub fn last_input_tokens(&self) -> u64 {
        self.requests.last().map_or(0, |usage| usage.input_tokens)
    }

    /// Tokens that the model would count in a text of which the tokenizer counts `estimated`.
    pub fn scaled(&self, estimated: u64) -> u64 {
        (estimated as f64 * self.scale()).round() as u64
    }

    /// Tokens of a prompt of which the tokenizer counts `estimated`: the last one, and what is more.
    pub fn of_prompt(&self, estimated: u64) -> u64 {
        match self.last {
            Some((measured, before)) if estimated >= before => measured + self.scaled(estimated - before),
            _ => self.scaled(estimated),
        }
    }

    /// The history is another one now: how tokens are counted is still known, how many there are is not.
    pub fn begin_anew(&mut self) {
        self.requests.clear();
    }

    fn scale(&self) -> f64 {
        self.last.map_or(1.0, |(measured, estimated)| {
            (measured as f64 / estimated as f64).clamp(1.0 / MOST_SCALE, MOST_SCALE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64) -> Usage {
        Usage { turn: 1, request: 1, input_tokens, output_tokens: 1, messages: 0 }
    }

    #[test]
    fn without_a_count_the_tokenizer_is_believed() {
        assert_eq!(UsageHistory::default().of_prompt(100), 100);
        assert_eq!(UsageHistory::default().last_input_tokens(), 0);
    }

    #[test]
    fn behind_a_measured_prompt_only_what_is_more_is_estimated() {
        let mut history = UsageHistory::default();
        history.measured(usage(300), 100);
        assert_eq!(history.of_prompt(100), 300);
        assert_eq!(history.of_prompt(110), 330);
        assert_eq!(history.of_prompt(50), 150, "a shorter one, by the same factor");
        history.measured(usage(400), 200);
        assert_eq!((history.of_prompt(210), history.last_input_tokens()), (420, 400));
    }

    #[test]
    fn an_engine_that_does_not_count_changes_nothing() {
        let mut history = UsageHistory::default();
        history.measured(usage(0), 100);
        assert_eq!(history.of_prompt(80), 80);
        history.measured(usage(1_000_000), 1);
        assert_eq!(history.scaled(1), MOST_SCALE as u64, "nor does a count that cannot be");
    }
}
