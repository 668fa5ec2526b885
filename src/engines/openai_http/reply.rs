//! Data of the stream's events (`chat.completion.chunk` objects) → what the model says and calls.
//!
//! Pure: no socket, no clock. Reads what OpenAI, LM Studio, Ollama, llama.cpp and vLLM send, and is
//! lenient where they differ (missing `index`, `id`, `usage`, `[DONE]`). What comes in reasoning fields
//! (`reasoning_content`, `reasoning`) or between `<think>` tags are thoughts: they are never spoken.

use serde::Deserialize;

use super::words::{quote, server_message};
use crate::engines::think::ThinkStripper;
use crate::engines::{LlmEvent, ToolCall, Usage};

/// Tool calls of one reply, at most.
const MAX_TOOL_CALLS: usize = 64;
/// Bytes of the arguments of one tool call, at most.
const MAX_ARGUMENT_BYTES: usize = 1 << 20;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// An event is no chunk of a chat completion.
    #[error("an event of the stream is no chat completion chunk ({reason}): {quoted}")]
    NotAChunk {
        /// What the JSON parser says.
        reason: String,
        /// The beginning of the event.
        quoted: String,
    },
    /// The server reports a failure in the stream.
    #[error("the server broke off the reply: {0}")]
    Reported(String),
    /// More tool calls, or longer ones, than anybody means.
    #[error(
        "the model called more than {MAX_TOOL_CALLS} tools, or one with more than {MAX_ARGUMENT_BYTES} bytes of arguments"
    )]
    TooManyTools,
}

/// One reply being read.
#[derive(Debug, Default)]
pub struct ReplyReader {
    think: ThinkStripper,
    calls: Vec<CallSoFar>,
    usage: Usage,
    progress: Progress,
}

/// How far a reply has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing that can be heard yet (the model may be thinking).
    #[default]
    Silent,
    /// Text or a tool call has begun.
    Begun,
    /// The model has stopped; only token counts can follow.
    Stopped,
    /// `[DONE]`.
    Done,
}

#[derive(Debug, Default)]
struct CallSoFar {
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl ReplyReader {
    /// Reads the data of the next event; returns what was thought, and the text that can be spoken.
    pub fn read(&mut self, data: &str) -> Result<Vec<LlmEvent>, BadReply> {
        if data.trim() == "[DONE]" {
            self.progress = Progress::Done;
            return Ok(Vec::new());
        }
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| BadReply::NotAChunk { reason: error.to_string(), quoted: quote(data) })?;
        if let Some(error) = &chunk.error {
            return Err(BadReply::Reported(server_message(error)));
        }
        if let Some(usage) = chunk.usage {
            self.usage.input_tokens = usage.prompt_tokens.unwrap_or(self.usage.input_tokens);
            self.usage.output_tokens = usage.completion_tokens.unwrap_or(self.usage.output_tokens);
        }
        let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else {
            return Ok(Vec::new());
        };
        let delta = choice.delta.unwrap_or_default();
        for call in delta.tool_calls.unwrap_or_default() {
            self.progress = self.progress.max(Progress::Begun);
            self.add_to_call(call)?;
        }
        let reasoning = [delta.reasoning_content, delta.reasoning].into_iter().flatten();
        // Some servers send the same in both.
        let mut thought =
            reasoning.filter_map(|text| text.as_str().map(str::to_owned)).next().unwrap_or_default();
        let mut text = delta.content.map(|content| self.think.push(&content)).unwrap_or_default();
        if choice.finish_reason.is_some_and(|reason| !reason.is_empty()) {
            text += &self.think.finish();
            self.progress = self.progress.max(Progress::Stopped);
        }
        thought += &self.think.take_thought();
        let thought = (!thought.is_empty()).then_some(LlmEvent::Thought(thought));
        Ok(thought.into_iter().chain(self.speak(text)).collect())
    }

    /// The reply has ended; returns what was held back: the end of the text, then the tool calls.
    pub fn finish(&mut self) -> Vec<LlmEvent> {
        let text = self.think.finish();
        let text = self.speak(text);
        let calls = std::mem::take(&mut self.calls).into_iter().enumerate().map(|(number, call)| {
            LlmEvent::ToolCall(ToolCall {
                id: if call.id.is_empty() { format!("call_{number}") } else { call.id },
                name: call.name,
                arguments: if call.arguments.is_empty() { "{}".to_owned() } else { call.arguments },
            })
        });
        text.into_iter().chain(calls).collect()
    }

    /// How far the reply has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What the server counted; zeros if it did not.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn speak(&mut self, text: String) -> Option<LlmEvent> {
        if text.is_empty() {
            return None;
        }
        self.progress = self.progress.max(Progress::Begun);
        Some(LlmEvent::Text(text))
    }

    /// A piece belongs to the call of its index; without one (some servers), to the last call, unless
    /// it brings an id of its own. Some servers give every call index 0 and only the id differs.
    fn add_to_call(&mut self, piece: ToolPiece) -> Result<(), BadReply> {
        let id = piece.id.unwrap_or_default();
        let continues = |call: &CallSoFar| match piece.index {
            Some(index) => {
                call.index == Some(index) && (id.is_empty() || call.id.is_empty() || call.id == id)
            }
            None => id.is_empty() || call.id == id,
        };
        let known = self.calls.iter().rposition(continues);
        let at = known.unwrap_or(self.calls.len());
        if at == MAX_TOOL_CALLS {
            return Err(BadReply::TooManyTools);
        }
        if known.is_none() {
            self.calls.push(CallSoFar { index: piece.index, ..CallSoFar::default() });
        }
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            call.id = id;
        }
        let function = piece.function.unwrap_or_default();
        // Some servers repeat the whole name in every piece.
        if call.name.is_empty() {
            call.name = function.name.unwrap_or_default();
        }
        call.arguments += &function.arguments.unwrap_or_default();
        if call.arguments.len() > MAX_ARGUMENT_BYTES { Err(BadReply::TooManyTools) } else { Ok(()) }
    }
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<TokenCounts>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    /// A text, where it is one of ours.
    reasoning_content: Option<serde_json::Value>,
    reasoning: Option<serde_json::Value>,
    tool_calls: Option<Vec<ToolPiece>>,
}

#[derive(Deserialize)]
struct ToolPiece {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionPiece>,
}

#[derive(Default, Deserialize)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct TokenCounts {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads chunks with these deltas, then the end.
    fn read(deltas: &[serde_json::Value]) -> Vec<LlmEvent> {
        let mut reader = ReplyReader::default();
        let mut events = vec![];
        for delta in deltas {
            events.extend(reader.read(&json!({"choices": [{"delta": delta}]}).to_string()).unwrap());
        }
        events.extend(reader.finish());
        events
    }

    fn text(text: &str) -> LlmEvent {
        LlmEvent::Text(text.into())
    }

    fn call(id: &str, name: &str, arguments: &str) -> LlmEvent {
        LlmEvent::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() })
    }

    #[test]
    fn content_is_text_and_thoughts_are_not() {
        let events = read(&[
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "hm"}),
            json!({"reasoning": "so", "content": null}),
            json!({"reasoning_content": null, "reasoning": {"a": "b"}}),
            json!({"content": "<think>well</th"}),
            json!({"reasoning": "?", "content": "ink> Yes"}),
            json!({"content": " <"}),
        ]);
        let thought = |thought: &str| LlmEvent::Thought(thought.into());
        let thoughts = ["hm", "so", "well", "?"].map(thought);
        assert_eq!(events[..4], thoughts);
        assert_eq!(events[4..], [text("Yes"), text(" "), text("<")]);
    }

    #[test]
    fn tool_calls_are_put_together() {
        let events = read(&[
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "light", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"on\":"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "time"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "true}"}}]}),
        ]);
        assert_eq!(events, [call("a", "light", "{\"on\":true}"), call("b", "time", "{}")]);
    }

    #[test]
    fn tool_calls_without_index_or_with_the_same_one_are_told_apart_by_id() {
        for index in [json!(null), json!(0)] {
            let events = read(&[
                json!({"tool_calls": [{"index": index, "id": "a", "function": {"name": "x", "arguments": "1"}}]}),
                json!({"tool_calls": [{"index": index, "function": {"name": "x", "arguments": "2"}}]}),
                json!({"tool_calls": [{"index": index, "id": "b", "function": {"name": "y", "arguments": "3"}}]}),
                json!({"tool_calls": [{"index": index, "function": {"arguments": "4"}}]}),
            ]);
            assert_eq!(events, [call("a", "x", "12"), call("b", "y", "34")], "index {index}");
        }
    }

    #[test]
    fn a_call_without_an_id_gets_one() {
        let events = read(&[json!({"tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]})]);
        assert_eq!(events, [call("call_0", "x", "{}")]);
    }

    #[test]
    fn endless_tool_calls_are_refused() {
        let mut reader = ReplyReader::default();
        let mut add = |index: usize, arguments: &str| {
            let piece = json!({"index": index, "function": {"name": "x", "arguments": arguments}});
            reader.read(&json!({"choices": [{"delta": {"tool_calls": [piece]}}]}).to_string()).map(drop)
        };
        let half = "x".repeat(MAX_ARGUMENT_BYTES / 2);
        for index in 0..MAX_TOOL_CALLS {
            add(index, "").unwrap();
        }
        assert_eq!(add(MAX_TOOL_CALLS, ""), Err(BadReply::TooManyTools));
        add(0, &half).unwrap();
        add(0, &half).unwrap();
        assert_eq!(add(0, "x"), Err(BadReply::TooManyTools));
    }

    #[test]
    fn progress_and_usage_are_read_off() {
        let mut reader = ReplyReader::default();
        let mut progress = |data: &str| {
            reader.read(data).unwrap();
            reader.progress()
        };
        assert_eq!(
            progress(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#),
            Progress::Silent
        );
        assert_eq!(progress(r#"{"choices":[{"delta":{"content":"<think>x"}}]}"#), Progress::Silent);
        assert_eq!(progress(r#"{"choices":[{"delta":{"content":"</think>x"}}]}"#), Progress::Begun);
        assert_eq!(progress(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Progress::Stopped);
        assert_eq!(
            progress(r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#),
            Progress::Stopped
        );
        assert_eq!(progress("[DONE]"), Progress::Done);
        assert_eq!(reader.usage(), Usage { input_tokens: 7, output_tokens: 3 });
    }

    #[test]
    fn text_held_back_comes_out_when_the_model_stops() {
        let mut reader = ReplyReader::default();
        assert_eq!(reader.read(r#"{"choices":[{"delta":{"content":"<"}}]}"#), Ok(vec![]));
        let end = reader.read(r#"{"choices":[{"delta":{"content":"3"},"finish_reason":"stop"}]}"#);
        assert_eq!(end, Ok(vec![text("<3")]));
        assert_eq!(reader.finish(), []);
    }

    #[test]
    fn what_is_no_chunk_is_quoted() {
        let garbage = ReplyReader::default().read("<html>  hi\n</html>").unwrap_err().to_string();
        assert!(garbage.ends_with(": <html> hi </html>"), "{garbage}");
        let long = ReplyReader::default().read(&"é".repeat(1_000)).unwrap_err().to_string();
        assert!(long.ends_with("éé…") && long.chars().count() < 500, "{long}");
    }

    #[test]
    fn an_error_in_the_stream_is_an_error() {
        for data in [
            r#"{"error":{"message":"out of memory","type":"server_error"}}"#,
            r#"{"error":"out of memory"}"#,
            r#"{"object":"error","error":{"detail":"out of memory"}}"#,
        ] {
            let error = ReplyReader::default().read(data);
            assert_eq!(error, Err(BadReply::Reported("out of memory".into())), "{data}");
        }
    }
}
