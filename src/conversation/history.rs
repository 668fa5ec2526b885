//! The history of one session: what was said and what was heard, as the next prompt and a reader
//! see it. A pure function of the session's events.

use serde::{Deserialize, Serialize};

use super::events::{Event, TurnOutcome};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// Us.
    Assistant,
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
    /// What was said; of a reply, what the user heard.
    pub text: String,
    /// A reply as the model wrote it, where that is more than was heard.
    pub whole_reply: Option<String>,
    /// `text` was cut by estimate.
    pub estimated: bool,
    /// The reply was stopped.
    pub interrupted: bool,
    /// Typed, not spoken.
    pub typed: bool,
}

impl HistoryMessage {
    /// The message that an event adds, if it adds one.
    pub fn of(event: &Event, at_unix_us: i64) -> Option<HistoryMessage> {
        match event {
            Event::UserMessage(message) => Some(HistoryMessage {
                at_unix_us,
                turn: message.turn,
                role: Role::User,
                text: message.text.clone(),
                whole_reply: None,
                estimated: false,
                interrupted: false,
                typed: message.typed,
            }),
            Event::AssistantMessage(message) => Some(HistoryMessage {
                at_unix_us,
                turn: message.turn,
                role: Role::Assistant,
                text: message.text.clone(),
                whole_reply: message.whole_reply.clone(),
                estimated: message.estimated,
                interrupted: message.outcome == TurnOutcome::Interrupted,
                typed: false,
            }),
            _ => None,
        }
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
    if let Event::Amend(amend) = event {
        let reply = history.iter_mut().rev().find(|m| m.role == Role::Assistant && m.turn == amend.turn);
        if let Some(reply) = reply {
            reply.amend(&amend.heard_text, amend.estimated);
        }
    } else if let Some(message) = HistoryMessage::of(event, at_unix_us) {
        history.push(message);
    }
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
