//! `compaction.*` and `memory.*`: how a long conversation stays short, and what is kept of it for ever.

use serde::{Deserialize, Serialize};

use super::validate::Check;

/// Valid values of `compaction.method` and `memory.method`.
pub const UPKEEP_METHODS: &[&str] = &["auto", "model", "extract"];

/// `compaction.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compaction {
    /// Prompt tokens over which a conversation is compacted when it has time for that; `None` or 0: never.
    pub threshold: Option<u64>,
    /// Prompt tokens over which it is compacted before the model is asked at all; `None` or 0: never.
    pub request_threshold: Option<u64>,
    /// Tokens at the end of the conversation that stay word for word, about.
    pub retained_tokens: u64,
    /// Who writes the summary, out of [`UPKEEP_METHODS`].
    pub method: String,
    /// Tokens that a summary should have.
    pub summary_target_tokens: u64,
    /// Tokens that it may have.
    pub summary_max_tokens: u64,
    /// Tokens of the conversation that who summarises it is shown, at most.
    pub worker_context_max_tokens: u64,
    /// Requests to the model for one summary, at most.
    pub worker_max_turns: u32,
    /// A compaction may take so long.
    pub timeout_ms: u32,
    /// Tokens that the model can take in; `None`: as far as the engine knows.
    pub context_tokens: Option<u64>,
    /// Old tool results are shortened in a prompt if that saves so many tokens; 0: never.
    pub prune_min_savings: u64,
    /// Tokens at the end of a prompt in which no tool result is shortened.
    pub prune_protected_tokens: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Compaction {
            threshold: None,
            request_threshold: None,
            retained_tokens: 1_000,
            method: "auto".into(),
            summary_target_tokens: 400,
            summary_max_tokens: 1_000,
            worker_context_max_tokens: 16_000,
            worker_max_turns: 3,
            timeout_ms: 60_000,
            context_tokens: None,
            prune_min_savings: 500,
            prune_protected_tokens: 2_000,
        }
    }
}

impl Compaction {
    /// Conversations are compacted at all.
    pub fn is_on(&self) -> bool {
        [self.threshold, self.request_threshold].iter().flatten().any(|threshold| *threshold > 0)
    }
}

/// `memory.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// A conversation is looked through for what is worth keeping when its prompts have grown by so many
    /// tokens; 0: never.
    pub extract_threshold: u64,
    /// What was found becomes memories when there are so many pieces; 0: never.
    pub consolidate_threshold: usize,
    /// Tokens of memories in a prompt, at most; 0: none.
    pub recall_tokens: u64,
    /// Who looks through, out of [`UPKEEP_METHODS`].
    pub method: String,
    /// One search through one conversation may take so long.
    pub timeout_ms: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            extract_threshold: 0,
            consolidate_threshold: 0,
            recall_tokens: 300,
            method: "auto".into(),
            timeout_ms: 120_000,
        }
    }
}

impl Memory {
    /// Prompts get memories.
    pub fn recalls(&self) -> bool {
        self.consolidate_threshold > 0 && self.recall_tokens > 0
    }
}

impl Check {
    pub(super) fn compaction(&mut self, compaction: &Compaction) {
        self.one_of("compaction.method", &compaction.method, UPKEEP_METHODS);
        let (target, most) = (compaction.summary_target_tokens, compaction.summary_max_tokens);
        self.range("compaction.summary_target_tokens", target, 10..=100_000);
        self.range("compaction.summary_max_tokens", most, 10..=100_000);
        self.at_least("compaction.summary_max_tokens", most, "compaction.summary_target_tokens", target);
        self.range(
            "compaction.worker_context_max_tokens",
            compaction.worker_context_max_tokens,
            100..=10_000_000,
        );
        self.range("compaction.worker_max_turns", compaction.worker_max_turns, 1..=20);
        self.range("compaction.timeout_ms", compaction.timeout_ms, super::validate::WAIT_MS);
    }

    pub(super) fn memory(&mut self, memory: &Memory) {
        self.one_of("memory.method", &memory.method, UPKEEP_METHODS);
        self.range("memory.timeout_ms", memory.timeout_ms, super::validate::WAIT_MS);
    }
}
