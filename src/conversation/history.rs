//! The history of one session: what was said and what was heard, as the next prompt and a reader
//! see it. A pure function of the session's events.

use serde::{Deserialize, Serialize};

use super::events::{Event, Placed, Spot, TurnOutcome};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions that a client put in.
    System,
    /// The person.
    User,
    /// Us, to a tool.
    ToolCall,
    /// A tool, to us.
    ToolResult,
    /// Us.
    Assistant,
}

/// Which tool a message is to or from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolNote {
    /// Of a [`Role::ToolCall`] message; see [`super::events::ToolCall`].
    #[allow(missing_docs)]
    Call { id: String, name: String, request: u32, after_chars: u64 },
    /// Of a [`Role::ToolResult`] message; see [`super::events::ToolResult`].
    #[allow(missing_docs)]
    Result { id: String, name: String, summary: String, failed: bool },
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryMessage {
    /// When it was written, µs since 1970 UTC.
    pub at_unix_us: i64,
    /// Turn of the session, from 1.
    pub turn: u64,
    /// Who said it.
    pub role: Role,
    /// What was said; of a reply, what the user heard; the arguments or the result of a tool.
    pub text: String,
    /// A reply as the model wrote it, where that is more than was heard.
    pub whole_reply: Option<String>,
    /// `text` was cut by estimate.
    pub estimated: bool,
    /// The reply was stopped.
    pub interrupted: bool,
    /// Typed, not spoken.
    pub typed: bool,
    /// Of a message to or from a tool: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolNote>,
}

impl HistoryMessage {
    /// The message that an event adds, if it adds one.
    pub fn of(event: &Event, at_unix_us: i64) -> Option<HistoryMessage> {
        let plain = |turn: u64, role: Role, text: &str| HistoryMessage {
            at_unix_us,
            turn,
            role,
            text: text.to_owned(),
            whole_reply: None,
            estimated: false,
            interrupted: false,
            typed: false,
            tool: None,
        };
        match event {
            Event::UserMessage(message) => Some(HistoryMessage {
                typed: message.typed,
                ..plain(message.turn, Role::User, &message.text)
            }),
            Event::SystemMessage(message) => Some(plain(message.turn, Role::System, &message.text)),
            Event::ToolCall(call) => {
                let (id, name) = (call.id.clone(), call.name.clone());
                let note = ToolNote::Call { id, name, request: call.request, after_chars: call.after_chars };
                Some(HistoryMessage { tool: Some(note), ..plain(call.turn, Role::ToolCall, &call.arguments) })
            }
            Event::ToolResult(result) => {
                let (id, name, summary) = (result.id.clone(), result.name.clone(), result.summary.clone());
                let note = ToolNote::Result { id, name, summary, failed: result.failed };
                Some(HistoryMessage {
                    tool: Some(note),
                    ..plain(result.turn, Role::ToolResult, &result.content)
                })
            }
            Event::AssistantMessage(message) => Some(HistoryMessage {
                whole_reply: message.whole_reply.clone(),
                estimated: message.estimated,
                interrupted: message.outcome == TurnOutcome::Interrupted,
                ..plain(message.turn, Role::Assistant, &message.text)
            }),
            _ => None,
        }
    }

    /// Whether it is at `spot`.
    pub fn is_at(&self, spot: &Spot) -> bool {
        let call_id = self.tool.as_ref().map(|(ToolNote::Call { id, .. } | ToolNote::Result { id, .. })| id);
        self.turn == spot.turn && self.role == spot.role && call_id == spot.call_id.as_ref()
    }

    /// The user turned out to have heard this of the reply.
    pub fn amend(&mut self, heard_text: &str, estimated: bool) {
        let heard_before = std::mem::replace(&mut self.text, heard_text.into());
        let whole = self.whole_reply.take().unwrap_or(heard_before);
        if whole != heard_text {
            self.interrupted = true;
            self.whole_reply = Some(whole);
        }
        self.estimated = estimated;
    }
}

/// Lets one more event happen to a history.
pub fn apply(history: &mut Vec<HistoryMessage>, event: &Event, at_unix_us: i64) {
    match event {
        Event::Amend(amend) => {
            let reply = history.iter_mut().rev().find(|m| m.role == Role::Assistant && m.turn == amend.turn);
            if let Some(reply) = reply {
                reply.amend(&amend.heard_text, amend.estimated);
            }
        }
        Event::Placed(placed) => place(history, placed),
        Event::Withdrawn(spot) => history.retain(|message| !message.is_at(spot)),
        event => {
            let Some(message) = HistoryMessage::of(event, at_unix_us) else { return };
            let at = if message.role == Role::ToolResult { place_of_result(history, &message) } else { None };
            history.insert(at.unwrap_or(history.len()), message);
        }
    }
}

/// A client's tools answer when the reply that called them is over: the result still belongs before what
/// was said behind the call. `None`: at the end.
fn place_of_result(history: &[HistoryMessage], result: &HistoryMessage) -> Option<usize> {
    let last = history.iter().rposition(|message| message.turn == result.turn)?;
    Some(if history[last].role == Role::Assistant { last } else { last + 1 })
}

fn place(history: &mut Vec<HistoryMessage>, placed: &Placed) {
    let known = |history: &[HistoryMessage], spot: &Spot| history.iter().rposition(|m| m.is_at(spot));
    if placed.after.as_ref().is_some_and(|spot| spot.turn == placed.turn || known(history, spot).is_none()) {
        return; // Nowhere: it stays where it is.
    }
    let moved: Vec<HistoryMessage> = history.extract_if(.., |message| message.turn == placed.turn).collect();
    let at = placed.after.as_ref().and_then(|spot| known(history, spot)).map_or(0, |at| at + 1);
    history.splice(at..at, moved);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{Amend, AssistantMessage};

    fn reply(text: &str, whole_reply: Option<&str>, outcome: TurnOutcome) -> Event {
        let whole_reply = whole_reply.map(String::from);
        Event::AssistantMessage(AssistantMessage {
            turn: 1,
            text: text.into(),
            whole_reply,
            estimated: false,
            outcome,
        })
    }

    fn amend(turn: u64, heard_text: &str) -> Event {
        Event::Amend(Amend { turn, heard_text: heard_text.into(), estimated: true })
    }

    /// (heard, whole, interrupted, estimated) of the only message.
    fn after(events: &[Event]) -> (String, Option<String>, bool, bool) {
        let mut history = vec![];
        events.iter().for_each(|event| apply(&mut history, event, 0));
        assert_eq!(history.len(), 1);
        let message = history.remove(0);
        (message.text, message.whole_reply, message.interrupted, message.estimated)
    }

    fn user(turn: u64, text: &str) -> Event {
        Event::UserMessage(super::super::events::UserMessage { turn, text: text.into(), typed: true })
    }

    fn texts(events: &[Event]) -> Vec<String> {
        let mut history = vec![];
        events.iter().for_each(|event| apply(&mut history, event, 0));
        history.into_iter().map(|message| message.text).collect()
    }

    fn spot(turn: u64) -> Spot {
        Spot { turn, role: Role::User, call_id: None }
    }

    #[test]
    fn messages_stand_where_they_were_placed_and_go_when_they_are_withdrawn() {
        let three = [user(1, "one"), user(2, "two"), user(3, "three")];
        let with = |more: &[Event]| texts(&[&three, more].concat());
        let placed = |turn, after| Event::Placed(Placed { turn, after });
        assert_eq!(with(&[placed(3, Some(spot(1)))]), ["one", "three", "two"]);
        assert_eq!(with(&[placed(3, None)]), ["three", "one", "two"]);
        for nowhere in [spot(3), spot(9), Spot { role: Role::Assistant, ..spot(1) }] {
            assert_eq!(with(&[placed(3, Some(nowhere))]), ["one", "two", "three"]);
        }
        assert_eq!(with(&[Event::Withdrawn(spot(2))]), ["one", "three"]);
        assert_eq!(with(&[Event::Withdrawn(spot(9))]), ["one", "two", "three"]);
    }

    #[test]
    fn a_result_that_comes_later_stands_behind_its_call() {
        let (turn, id, name) = (1, "a".to_owned(), "look".to_owned());
        let call = super::super::events::ToolCall {
            turn,
            request: 1,
            id: id.clone(),
            name: name.clone(),
            arguments: "{}".into(),
            after_chars: 0,
        };
        let result = super::super::events::ToolResult {
            turn,
            id,
            name,
            content: "found".into(),
            summary: String::new(),
            failed: false,
        };
        let events = [
            user(1, "one"),
            Event::ToolCall(call),
            reply("Let me see.", None, TurnOutcome::Completed),
            user(2, "two"),
            Event::ToolResult(result),
        ];
        assert_eq!(texts(&events), ["one", "{}", "found", "Let me see.", "two"]);
    }

    #[test]
    fn a_later_truncation_keeps_what_was_written() {
        let whole = reply("One two three.", None, TurnOutcome::Completed);
        let cut = ("One".to_string(), Some("One two three.".to_string()), true, true);
        assert_eq!(after(&[whole.clone(), amend(1, "One")]), cut);
        assert_eq!(after(&[whole.clone(), amend(1, "One two"), amend(1, "One")]), cut);
        assert_eq!(
            after(&[reply("One two", Some("One two three."), TurnOutcome::Interrupted), amend(1, "One")]),
            cut
        );
        assert_eq!(after(&[whole.clone(), amend(2, "One")]), after(&[whole]), "of another turn");
    }
}
