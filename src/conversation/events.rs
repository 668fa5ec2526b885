//! What happens in a conversation, as the log keeps it.
//!
//! An event is a `kind` and a JSON `payload`. Payloads are read with forgiveness, since the log
//! outlives the version that wrote it: fields that this version does not know are left out, and a
//! kind that it does not know, or a payload that it cannot read, becomes [`Event::Unknown`], which
//! stays in the log and which projections skip.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::Role;
use super::ids::{Hash, SessionId};

/// One event of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first event of every session, and only that.
    SessionStart(SessionStart),
    /// The user said or typed something.
    UserMessage(UserMessage),
    /// The model called a tool.
    ToolCall(ToolCall),
    /// The tool answered. Without one the reply ended before it could.
    ToolResult(ToolResult),
    /// What the user heard of a reply, behind the tools that it used.
    AssistantMessage(AssistantMessage),
    /// The turn is over; written in one transaction with its messages.
    TurnEnd(TurnEnd),
    /// The user turned out to have heard something else of a turn's reply.
    Amend(Amend),
    /// A client put instructions into the conversation.
    SystemMessage(SystemMessage),
    /// What a client put in stands elsewhere than at the end.
    Placed(Placed),
    /// A message no longer belongs to the conversation. (It stays in the log.)
    Withdrawn(Spot),
    /// What a request to the model counted.
    Usage(Usage),
    /// A task of the session is as it says here from now on.
    Task(Task),
    /// Something worth keeping was taken out of the conversation; it waits to be merged into memories.
    MemoryItem(MemoryItem),
    /// What the conversation holds up to here has been looked through for memories.
    MemoryPointer(MemoryPointer),
    /// A memory, of items and of the memories that it takes the place of.
    Memory(Memory),
    /// A person corrected a memory.
    MemoryCorrected(MemoryCorrected),
    /// A memory, or an item, is no longer known. Its text goes when the store is compacted.
    MemoryDeleted(MemoryDeleted),
    /// A session is no longer known. Its payloads go when the store is compacted.
    SessionDeleted(SessionDeleted),
    /// Somebody with a token asked for something.
    Audit(Audit),
    /// The session is over.
    SessionEnd(SessionEnd),
    /// Written by a newer version.
    Unknown(UnknownEvent),
}

/// A place in another session, from which this one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The other session.
    pub session: SessionId,
    /// Hash of the last event that counts.
    pub hash: Hash,
}

/// `session_start`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStart {
    /// Name of the agent (a set of configured prompts and voices) that the user talks with.
    #[serde(default)]
    pub agent: String,
    /// Which wire: `voice`, `realtime`, …
    #[serde(default)]
    pub frontend: String,
    /// Engine names by task: `vad`, `asr`, `llm`, `tts`, `video`; one that is off is absent.
    #[serde(default)]
    pub engines: BTreeMap<String, String>,
    /// Another writer moved the head of that session: what came before is its history up to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<Origin>,
    /// This session is the compaction of that one, whose messages it does not inherit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted_from: Option<Origin>,
    /// SHA-256 of the token with which a client may resume; the token itself is nowhere.
    pub resume_token_hash: Hash,
    /// SHA-256 of the access token that made the session; `None` in open mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Hash>,
}

/// `user_message`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserMessage {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// The words.
    pub text: String,
    /// Typed, not spoken.
    #[serde(default)]
    pub typed: bool,
}

/// `tool_call`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// Which request to the model called it, from 1 in the turn: calls of one request belong together.
    pub request: u32,
    /// Unique in the turn.
    pub id: String,
    /// Function name.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
    /// So many characters of the whole reply were written up to the end of that request.
    #[serde(default)]
    pub after_chars: u64,
}

/// `tool_result`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// The call's.
    pub id: String,
    /// The call's.
    pub name: String,
    /// What the model was told: JSON or text.
    pub content: String,
    /// The same in a few words; stands for the content in prompts from which old ones are pruned.
    pub summary: String,
    /// The tool failed, and `content` says why.
    #[serde(default)]
    pub failed: bool,
}

/// `assistant_message`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssistantMessage {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// What the user heard; empty if nothing.
    pub text: String,
    /// The reply as the model wrote it, where that is more than was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_reply: Option<String>,
    /// `text` was cut by estimate, not by the times of words.
    #[serde(default)]
    pub estimated: bool,
    /// How the turn ended.
    pub outcome: TurnOutcome,
}

/// How a turn ended. (The same words as on the wire, but for [`TurnOutcome::Yielded`], which no turn ends with there.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The reply was heard to its end.
    Completed,
    /// It was stopped.
    Interrupted,
    /// There were no words to answer.
    Empty,
    /// The user went on speaking; the words moved to the next turn.
    Superseded,
    /// A stage failed.
    Failed,
    /// It goes on in the session that was compacted from this one.
    Yielded,
}

/// `turn_end`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// How it ended.
    pub outcome: TurnOutcome,
    /// Stage times in ms, by stage; `None` where the stage did not happen.
    #[serde(default)]
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// `amend`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Amend {
    /// Turn whose reply is meant.
    pub turn: u64,
    /// What the user heard of it.
    pub heard_text: String,
    /// `heard_text` was cut by estimate, not by the times of words.
    #[serde(default)]
    pub estimated: bool,
}

/// `system_message`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemMessage {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// The instructions.
    pub text: String,
}

/// A message of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// Which of the turn's messages.
    pub role: Role,
    /// Of a message to or from a tool: the call's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

/// `placed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// The messages of this turn, which are in the log already, …
    pub turn: u64,
    /// … stand behind this one; `None`: at the beginning.
    pub after: Option<Spot>,
}

/// `usage`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// Which request of the turn, from 1.
    pub request: u32,
    /// Tokens of the prompt, as the engine counted them.
    pub input_tokens: u64,
    /// Tokens that were written.
    pub output_tokens: u64,
    /// Messages of the history that were in the prompt (those of this turn not among them).
    pub messages: u64,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Nobody has begun.
    Pending,
    /// Somebody is at it.
    InProgress,
    /// It is done.
    Completed,
}

/// `task`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Unique in the session and in those that it was compacted from.
    pub id: u64,
    /// What is to be done.
    pub title: String,
    /// How far it is.
    pub status: TaskStatus,
}

/// What sort of thing a memory item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// What was settled.
    Decision,
    /// What was talked about, with what is worth knowing of it.
    Discussion,
    /// What was tried, and how it went.
    Attempt,
    /// What the person wants.
    Request,
}

impl MemoryKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            MemoryKind::Decision => "decision",
            MemoryKind::Discussion => "discussion",
            MemoryKind::Attempt => "attempt",
            MemoryKind::Request => "request",
        }
    }

    /// The one with this name; one that has no such name is a discussion.
    pub(super) fn of_name(name: &str) -> MemoryKind {
        let kinds = [MemoryKind::Decision, MemoryKind::Attempt, MemoryKind::Request];
        kinds.into_iter().find(|kind| kind.name() == name).unwrap_or(MemoryKind::Discussion)
    }
}

/// `memory_item`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryItem {
    /// Unique in the store: of the same kind as a session's.
    pub id: SessionId,
    /// The last turn that was looked at.
    pub turn: u64,
    /// What it is.
    pub kind: MemoryKind,
    /// About whom or by whom: `user`, or a character's name.
    pub person: String,
    /// In words.
    pub text: String,
}

/// `memory_pointer`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPointer {
    /// The last turn that was looked at.
    pub turn: u64,
    /// Tokens of the last prompt then.
    #[serde(default)]
    pub input_tokens: u64,
}

/// `memory`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Unique in the store.
    pub id: SessionId,
    /// See [`MemoryItem::person`].
    pub person: String,
    /// In words.
    pub text: String,
    /// When it was last said, µs since 1970 UTC.
    pub said_at_unix_us: i64,
    /// Items that it is made of; they wait no longer.
    #[serde(default)]
    pub from: Vec<SessionId>,
    /// Memories that it takes the place of.
    #[serde(default)]
    pub replaces: Vec<SessionId>,
}

/// `memory_corrected`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryCorrected {
    /// Which.
    pub id: SessionId,
    /// What it says from now on.
    pub text: String,
}

/// `memory_deleted`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDeleted {
    /// Which.
    pub id: SessionId,
}

/// `session_deleted`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDeleted {
    /// Which.
    pub session: SessionId,
}

/// `audit`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// `token:NAME`.
    pub actor: String,
    /// What was asked for: `markdown_chat`, `markdown_chat_stream`, …
    pub kind: String,
    /// Of which agent; empty: none.
    #[serde(default)]
    pub agent: String,
    /// Which file.
    #[serde(default)]
    pub filename: String,
    /// How many messages it held.
    #[serde(default)]
    pub messages: u64,
}

/// `session_end`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// Stable, snake_case: `client_left`, `idle`, `drain`, …
    pub reason: String,
}

/// An event that this version cannot read.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownEvent {
    /// Its kind.
    pub kind: String,
    /// Its stored JSON.
    pub payload: String,
}

impl Event {
    /// Its stable name in the log.
    pub fn kind(&self) -> &str {
        match self {
            Event::SessionStart(_) => "session_start",
            Event::UserMessage(_) => "user_message",
            Event::ToolCall(_) => "tool_call",
            Event::ToolResult(_) => "tool_result",
            Event::AssistantMessage(_) => "assistant_message",
            Event::TurnEnd(_) => "turn_end",
            Event::Amend(_) => "amend",
            Event::SystemMessage(_) => "system_message",
            Event::Placed(_) => "placed",
            Event::Withdrawn(_) => "withdrawn",
            Event::Usage(_) => "usage",
            Event::Task(_) => "task",
            Event::MemoryItem(_) => "memory_item",
            Event::MemoryPointer(_) => "memory_pointer",
            Event::Memory(_) => "memory",
            Event::MemoryCorrected(_) => "memory_corrected",
            Event::MemoryDeleted(_) => "memory_deleted",
            Event::SessionDeleted(_) => "session_deleted",
            Event::Audit(_) => "audit",
            Event::SessionEnd(_) => "session_end",
            Event::Unknown(unknown) => &unknown.kind,
        }
    }

    /// The JSON to store.
    pub fn payload(&self) -> String {
        match self {
            Event::SessionStart(payload) => json(payload),
            Event::UserMessage(payload) => json(payload),
            Event::ToolCall(payload) => json(payload),
            Event::ToolResult(payload) => json(payload),
            Event::AssistantMessage(payload) => json(payload),
            Event::TurnEnd(payload) => json(payload),
            Event::Amend(payload) => json(payload),
            Event::SystemMessage(payload) => json(payload),
            Event::Placed(payload) => json(payload),
            Event::Withdrawn(payload) => json(payload),
            Event::Usage(payload) => json(payload),
            Event::Task(payload) => json(payload),
            Event::MemoryItem(payload) => json(payload),
            Event::MemoryPointer(payload) => json(payload),
            Event::Memory(payload) => json(payload),
            Event::MemoryCorrected(payload) => json(payload),
            Event::MemoryDeleted(payload) => json(payload),
            Event::SessionDeleted(payload) => json(payload),
            Event::Audit(payload) => json(payload),
            Event::SessionEnd(payload) => json(payload),
            Event::Unknown(unknown) => unknown.payload.clone(),
        }
    }

    /// The event that these stored bytes are.
    pub fn read(kind: &str, payload: &[u8]) -> Event {
        let known = match kind {
            "session_start" => serde_json::from_slice(payload).map(Event::SessionStart),
            "user_message" => serde_json::from_slice(payload).map(Event::UserMessage),
            "tool_call" => serde_json::from_slice(payload).map(Event::ToolCall),
            "tool_result" => serde_json::from_slice(payload).map(Event::ToolResult),
            "assistant_message" => serde_json::from_slice(payload).map(Event::AssistantMessage),
            "turn_end" => serde_json::from_slice(payload).map(Event::TurnEnd),
            "amend" => serde_json::from_slice(payload).map(Event::Amend),
            "system_message" => serde_json::from_slice(payload).map(Event::SystemMessage),
            "placed" => serde_json::from_slice(payload).map(Event::Placed),
            "withdrawn" => serde_json::from_slice(payload).map(Event::Withdrawn),
            "usage" => serde_json::from_slice(payload).map(Event::Usage),
            "task" => serde_json::from_slice(payload).map(Event::Task),
            "memory_item" => serde_json::from_slice(payload).map(Event::MemoryItem),
            "memory_pointer" => serde_json::from_slice(payload).map(Event::MemoryPointer),
            "memory" => serde_json::from_slice(payload).map(Event::Memory),
            "memory_corrected" => serde_json::from_slice(payload).map(Event::MemoryCorrected),
            "memory_deleted" => serde_json::from_slice(payload).map(Event::MemoryDeleted),
            "session_deleted" => serde_json::from_slice(payload).map(Event::SessionDeleted),
            "audit" => serde_json::from_slice(payload).map(Event::Audit),
            "session_end" => serde_json::from_slice(payload).map(Event::SessionEnd),
            _ => return Event::unknown(kind, payload),
        };
        known.unwrap_or_else(|_| Event::unknown(kind, payload))
    }

    fn unknown(kind: &str, payload: &[u8]) -> Event {
        let payload = String::from_utf8_lossy(payload).into();
        Event::Unknown(UnknownEvent { kind: kind.into(), payload })
    }
}

/// Payloads are plain structs with text keys: making JSON of them cannot fail.
fn json(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).expect("a payload is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_are_stable() {
        // These bytes are hashed and kept for years: a change here is a change of the format.
        let event = Event::AssistantMessage(AssistantMessage {
            turn: 3,
            text: "Two plus".into(),
            whole_reply: Some("Two plus two is four.".into()),
            estimated: true,
            outcome: TurnOutcome::Interrupted,
        });
        let bytes = r#"{"turn":3,"text":"Two plus","whole_reply":"Two plus two is four.","estimated":true,"outcome":"interrupted"}"#;
        assert_eq!(event.payload(), bytes);
        assert_eq!(Event::read("assistant_message", bytes.as_bytes()), event);

        let event = Event::ToolCall(ToolCall {
            turn: 3,
            request: 1,
            id: "a".into(),
            name: "now".into(),
            arguments: "{}".into(),
            after_chars: 12,
        });
        let bytes = r#"{"turn":3,"request":1,"id":"a","name":"now","arguments":"{}","after_chars":12}"#;
        assert_eq!(event.payload(), bytes);
        assert_eq!(Event::read("tool_call", bytes.as_bytes()), event);

        let event = Event::ToolResult(ToolResult {
            turn: 3,
            id: "a".into(),
            name: "now".into(),
            content: r#"{"time":"12:00"}"#.into(),
            summary: "noon".into(),
            failed: false,
        });
        let bytes = r#"{"turn":3,"id":"a","name":"now","content":"{\"time\":\"12:00\"}","summary":"noon","failed":false}"#;
        assert_eq!(event.payload(), bytes);
        assert_eq!(Event::read("tool_result", bytes.as_bytes()), event);
    }

    #[test]
    fn a_number_that_json_cannot_write_becomes_absent() {
        let metrics = BTreeMap::from([("total".to_string(), Some(f64::NAN))]);
        let end = Event::TurnEnd(TurnEnd { turn: 1, outcome: TurnOutcome::Completed, metrics });
        let Event::TurnEnd(read) = Event::read("turn_end", end.payload().as_bytes()) else {
            panic!("unreadable")
        };
        assert_eq!(read.metrics["total"], None);
    }

    #[test]
    fn what_a_newer_version_wrote_is_kept() {
        let newer_field = br#"{"turn":1,"text":"hi","typed":true,"mood":"good"}"#;
        let read = Event::read("user_message", newer_field);
        assert_eq!(read, Event::UserMessage(UserMessage { turn: 1, text: "hi".into(), typed: true }));

        let newer_value = r#"{"turn":1,"outcome":"transcended"}"#;
        for kind in ["turn_end", "dream"] {
            let read = Event::read(kind, newer_value.as_bytes());
            assert_eq!(read, Event::Unknown(UnknownEvent { kind: kind.into(), payload: newer_value.into() }));
            assert_eq!((read.kind(), read.payload()), (kind, newer_value.to_string()));
        }
    }
}
