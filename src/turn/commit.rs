//! What a turn leaves behind. See [`super::io`].

use serde::{Deserialize, Serialize};

use super::io::{InputRange, ToolUse, TurnId};

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What a turn leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Which.
    pub turn: TurnId,
    /// What the user said; `None` for a greeting.
    pub user: Option<String>,
    /// Whether the user typed it.
    pub typed: bool,
    /// Where in the input it was said, utterance by utterance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spoken: Vec<InputRange>,
    /// Tools that the LLM used, in the order of the calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
    /// The part of the reply that the user heard; empty if none.
    pub assistant: String,
    /// The whole reply as the LLM wrote it, where that is more than was heard.
    pub whole_reply: Option<String>,
    /// `assistant` was cut by estimate, not by the times of words.
    pub estimated: bool,
    /// So many samples (24 kHz) of the reply's audio were heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub heard_samples: u64,
    /// How the turn ended.
    pub outcome: Outcome,
    /// Stage times.
    pub metrics: Metrics,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The reply was heard to its end.
    Completed,
    /// It was stopped.
    Interrupted,
    /// There were no words to answer.
    Empty,
    /// The user went on speaking before anything was heard; the words moved to the next turn.
    Superseded,
    /// A stage failed.
    Failed,
}

/// Times of a turn's stages in ms; `None` where the stage did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// End of the user's voice → decision that the turn ended (the hangover, for the most part).
    pub endpoint: Option<f64>,
    /// Decision → final transcript (0 if recognition was already done).
    pub asr: Option<f64>,
    /// Final transcript → first token (or call of a tool).
    pub llm_first_token: Option<f64>,
    /// First segment to the TTS → its first audio.
    pub tts_first_audio: Option<f64>,
    /// Decision → first chunk (or clip) sent.
    pub first_audio: Option<f64>,
    /// Decision → end of the turn.
    pub total: Option<f64>,
}
