//! What the tools of a reply were asked, and what they gave. See [`super::io`].

use serde::{Deserialize, Serialize};

use super::io::{ToolCall, is_false};

/// What a tool gave, well or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// JSON or text for the LLM.
    pub content: String,
    /// The same in a few words, for people, and for the LLM once the content is old.
    pub summary: String,
    /// The tool failed; `content` says why.
    pub failed: bool,
    /// The conversation is to end when the reply has been heard.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ends_session: bool,
}

/// A tool that the LLM used while it wrote a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUse {
    /// Which request of the run called it, from 1.
    pub request: u32,
    /// What was called; its id is unique in the run.
    pub call: ToolCall,
    /// So many characters of the reply's text (trimmed) were written up to the end of that request.
    pub after_chars: usize,
    /// `None`: the reply ended before there was one.
    pub result: Option<ToolResult>,
}

/// What an LLM run has brought so far: its next request goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoFar {
    /// The reply's text, trimmed.
    pub text: String,
    /// All with their results.
    pub tools: Vec<ToolUse>,
}
