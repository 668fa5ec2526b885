//! The tables `conversations` and `messages`: what readers ask for without reading the log.
//!
//! [`change`] says what one event does to them; it is pure, and it is all there is to know: a store
//! carries the changes out in the transaction of the append, and rebuilding is doing so again from an
//! empty start. [`Tables`] carries them out in memory, as the model that tests hold stores against.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chain::StoredEvent;
use super::events::{Event, Origin, Spot};
use super::history::{HistoryMessage, Role};
use super::ids::{Hash, SeqNo, SessionId};

/// A row of `conversations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConversationRow {
    /// Its name.
    pub session: SessionId,
    /// Whom the user talks with.
    pub agent: String,
    /// Through which wire.
    pub frontend: String,
    /// Hash of the access token that made it; not for clients.
    #[serde(skip)]
    pub owner: Option<Hash>,
    /// See [`super::events::SessionStart::forked_from`].
    pub forked_from: Option<Origin>,
    /// See [`super::events::SessionStart::compacted_from`].
    pub compacted_from: Option<Origin>,
    /// µs since 1970 UTC.
    pub started_at_unix_us: i64,
    /// Time of its last event that this version can read.
    pub updated_at_unix_us: i64,
    /// Turns that ended.
    pub turns: u64,
    /// Its own messages (without those of the session that it was forked from).
    pub messages: u64,
    /// When and why it ended, if it did.
    pub ended: Option<Ended>,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// µs since 1970 UTC.
    pub at_unix_us: i64,
    /// See [`super::events::SessionEnd::reason`].
    pub reason: String,
}

/// A row of `messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageRow {
    /// Its session.
    pub session: SessionId,
    /// Its event there.
    pub seq: SeqNo,
    /// What was said.
    #[serde(flatten)]
    pub message: HistoryMessage,
}

/// What one event does to the tables. Each but `Start` also sets the conversation's
/// `updated_at_unix_us`, and none of them does anything to a conversation that has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A conversation begins.
    Start(Box<ConversationRow>),
    /// A message is added.
    Say(Box<MessageRow>),
    /// A turn has ended.
    EndTurn,
    /// The last reply of a turn was heard to here, see [`HistoryMessage::amend`].
    Amend {
        /// Which turn.
        turn: u64,
        /// To here.
        heard_text: String,
        /// Cut by estimate.
        estimated: bool,
    },
    /// A message is taken out.
    Withdraw(Spot),
    /// The conversation has ended.
    End(Ended),
}

/// What an event does to the tables; `None` for one that was deleted or that this version cannot read.
pub fn change(stored: &StoredEvent) -> Option<Change> {
    let StoredEvent { session, seq, at_unix_us, .. } = *stored;
    match stored.event()? {
        Event::SessionStart(start) => Some(Change::Start(Box::new(ConversationRow {
            session,
            agent: start.agent,
            frontend: start.frontend,
            owner: start.owner,
            forked_from: start.forked_from,
            compacted_from: start.compacted_from,
            started_at_unix_us: at_unix_us,
            updated_at_unix_us: at_unix_us,
            turns: 0,
            messages: 0,
            ended: None,
        }))),
        Event::TurnEnd(_) => Some(Change::EndTurn),
        Event::Amend(amend) => {
            Some(Change::Amend { turn: amend.turn, heard_text: amend.heard_text, estimated: amend.estimated })
        }
        Event::SessionEnd(end) => Some(Change::End(Ended { at_unix_us, reason: end.reason })),
        event @ (Event::UserMessage(_)
        | Event::ToolCall(_)
        | Event::ToolResult(_)
        | Event::SystemMessage(_)
        | Event::AssistantMessage(_)) => HistoryMessage::of(&event, at_unix_us)
            .map(|message| Change::Say(Box::new(MessageRow { session, seq, message }))),
        Event::Withdrawn(spot) => Some(Change::Withdraw(spot)),
        // The tables list messages as they came.
        Event::Placed(_) | Event::Unknown(_) => None,
        // What a session needs to go on; nobody asks for it by itself.
        Event::Usage(_) | Event::Task(_) | Event::MemoryPointer(_) => None,
        Event::MemoryItem(_)
        | Event::Memory(_)
        | Event::MemoryCorrected(_)
        | Event::MemoryDeleted(_)
        | Event::SessionDeleted(_)
        | Event::Audit(_) => None,
    }
}

/// Both tables, in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// `conversations`
    pub conversations: BTreeMap<SessionId, ConversationRow>,
    /// `messages`
    pub messages: BTreeMap<(SessionId, SeqNo), MessageRow>,
}

impl Tables {
    /// Lets one more event happen.
    pub fn apply(&mut self, stored: &StoredEvent) {
        let Some(change) = change(stored) else { return };
        if let Change::Start(row) = change {
            self.conversations.insert(row.session, *row);
            return;
        }
        let Some(conversation) = self.conversations.get_mut(&stored.session) else { return };
        conversation.updated_at_unix_us = stored.at_unix_us;
        match change {
            Change::Start(_) => {}
            Change::Say(row) => {
                conversation.messages += 1;
                self.messages.insert((row.session, row.seq), *row);
            }
            Change::EndTurn => conversation.turns += 1,
            Change::Amend { turn, heard_text, estimated } => {
                let of_session = (stored.session, SeqNo(0))..=(stored.session, SeqNo(u64::MAX));
                let mut newest_first =
                    self.messages.range_mut(of_session).map(|(_, row)| &mut row.message).rev();
                if let Some(reply) = newest_first.find(|m| m.role == Role::Assistant && m.turn == turn) {
                    reply.amend(&heard_text, estimated);
                }
            }
            Change::Withdraw(spot) => {
                let of_session = (stored.session, SeqNo(0))..=(stored.session, SeqNo(u64::MAX));
                let at = |(_, row): &(_, &MessageRow)| row.message.is_at(&spot);
                let gone: Vec<_> =
                    self.messages.range(of_session).filter(at).map(|(place, _)| *place).collect();
                conversation.messages -= gone.len() as u64;
                gone.iter().for_each(|place| drop(self.messages.remove(place)));
            }
            Change::End(ended) => conversation.ended = Some(ended),
        }
    }
}
