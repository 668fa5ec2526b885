//! The tables of conversations, messages, memories and audits: what readers ask for without reading
//! the log.
//!
//! [`change`] says what one event does to them; it is pure, and it is all there is to know: a store
//! carries the changes out in the transaction of the append, and rebuilding is doing so again from an
//! empty start, over all events in the order in which they were written. [`super::tables::Tables`]
//! carries them out in memory, as the model that tests hold stores against.

use serde::Serialize;

use super::chain::StoredEvent;
use super::events::{Event, MemoryKind, Origin, Spot};
use super::history::HistoryMessage;
use super::ids::{Hash, SeqNo, SessionId};

/// Frontends of sessions that are no conversations: they hold what the server writes about others.
/// They have no row.
pub const UPKEEP_FRONTENDS: [&str; 2] = ["upkeep", "audit"];

/// Whose rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of the access token with this hash; `None`: those made in open mode.
    Of(Option<Hash>),
}

impl Whose {
    /// Whether a row of `owner` is among them.
    pub fn holds(self, owner: Option<Hash>) -> bool {
        match self {
            Whose::All => true,
            Whose::Of(wanted) => wanted == owner,
        }
    }
}

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
    /// Time of its last turn, message or end.
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

/// A row of `memory_items`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryItemRow {
    /// See [`super::events::MemoryItem::id`].
    pub id: SessionId,
    /// In whose log it is.
    pub session: SessionId,
    /// That session's owner.
    #[serde(skip)]
    pub owner: Option<Hash>,
    /// About whom or by whom.
    pub person: String,
    /// What it is.
    pub kind: MemoryKind,
    /// In words.
    pub text: String,
    /// The last turn that was looked at.
    pub turn: u64,
    /// When it was extracted, µs since 1970 UTC.
    pub at_unix_us: i64,
    /// A memory has been made of it; it waits no longer.
    pub consolidated: bool,
}

/// A row of `memories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryRow {
    /// See [`super::events::Memory::id`].
    pub id: SessionId,
    /// In whose log it is.
    pub session: SessionId,
    /// That session's owner.
    #[serde(skip)]
    pub owner: Option<Hash>,
    /// About whom or by whom.
    pub person: String,
    /// In words.
    pub text: String,
    /// When it was last said, µs since 1970 UTC.
    pub said_at_unix_us: i64,
    /// When it was made or corrected, µs since 1970 UTC.
    pub updated_at_unix_us: i64,
}

/// A row of `audits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// In whose log it is: one session per process.
    pub session: SessionId,
    /// Its event there.
    pub seq: SeqNo,
    /// When, µs since 1970 UTC.
    pub at_unix_us: i64,
    /// See [`super::events::Audit`].
    pub actor: String,
    /// What was asked for.
    pub kind: String,
    /// Of which agent; empty: none.
    pub agent: String,
    /// Which file; empty: none.
    pub filename: String,
    /// How many messages it held.
    pub messages: u64,
}

/// What one event does to the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A conversation begins.
    Start(Box<ConversationRow>),
    /// Something happens in a conversation; nothing, if it has no row.
    Talk(Talk),
    /// An item waits. The row's owner is that of its conversation, which the store knows.
    AddItem(Box<MemoryItemRow>),
    /// A memory takes the place of items and of other memories. Owner: likewise.
    Remember {
        /// The memory.
        row: Box<MemoryRow>,
        /// Items that wait no longer.
        from: Vec<SessionId>,
        /// Memories that go; before the row comes, so it may be one of them.
        replaces: Vec<SessionId>,
    },
    /// A memory, if it is known, says this from now on.
    Correct {
        /// Which.
        id: SessionId,
        /// In words.
        text: String,
        /// Its row's `updated_at_unix_us`.
        at_unix_us: i64,
    },
    /// The memory or item with this name goes.
    Forget(SessionId),
    /// A conversation goes with its messages (not with its memories), and its name is noted: nothing
    /// more is appended to it, and nobody finds it.
    DeleteSession(SessionId),
    /// Somebody asked for something.
    Audit(Box<AuditRow>),
}

/// What happens in a conversation. It also sets the conversation's `updated_at_unix_us`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Talk {
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
        Event::SessionStart(start) if UPKEEP_FRONTENDS.contains(&start.frontend.as_str()) => None,
        Event::SessionStart(start) => Some(Change::Start(Box::new(ConversationRow {
            session,
            agent: printable(start.agent),
            frontend: printable(start.frontend),
            owner: start.owner,
            forked_from: start.forked_from,
            compacted_from: start.compacted_from,
            started_at_unix_us: at_unix_us,
            updated_at_unix_us: at_unix_us,
            turns: 0,
            messages: 0,
            ended: None,
        }))),
        Event::TurnEnd(_) => Some(Change::Talk(Talk::EndTurn)),
        Event::Amend(amend) => Some(Change::Talk(Talk::Amend {
            turn: amend.turn,
            heard_text: amend.heard_text,
            estimated: amend.estimated,
        })),
        Event::SessionEnd(end) => {
            Some(Change::Talk(Talk::End(Ended { at_unix_us, reason: printable(end.reason) })))
        }
        event @ (Event::UserMessage(_)
        | Event::ToolCall(_)
        | Event::ToolResult(_)
        | Event::SystemMessage(_)
        | Event::AssistantMessage(_)) => HistoryMessage::of(&event, at_unix_us)
            .map(|message| Change::Talk(Talk::Say(Box::new(MessageRow { session, seq, message })))),
        Event::Withdrawn(spot) => Some(Change::Talk(Talk::Withdraw(spot))),
        Event::MemoryItem(item) => Some(Change::AddItem(Box::new(MemoryItemRow {
            id: item.id,
            session,
            owner: None,
            person: printable(item.person),
            kind: item.kind,
            text: printable(item.text),
            turn: item.turn,
            at_unix_us,
            consolidated: false,
        }))),
        Event::Memory(memory) => Some(Change::Remember {
            row: Box::new(MemoryRow {
                id: memory.id,
                session,
                owner: None,
                person: printable(memory.person),
                text: printable(memory.text),
                said_at_unix_us: memory.said_at_unix_us,
                updated_at_unix_us: at_unix_us,
            }),
            from: memory.from,
            replaces: memory.replaces,
        }),
        Event::MemoryCorrected(new) => {
            Some(Change::Correct { id: new.id, text: printable(new.text), at_unix_us })
        }
        Event::MemoryDeleted(deleted) => Some(Change::Forget(deleted.id)),
        Event::SessionDeleted(deleted) => Some(Change::DeleteSession(deleted.session)),
        Event::Audit(audit) => Some(Change::Audit(Box::new(AuditRow {
            session,
            seq,
            at_unix_us,
            actor: printable(audit.actor),
            kind: printable(audit.kind),
            agent: printable(audit.agent),
            filename: printable(audit.filename),
            messages: audit.messages,
        }))),
        // The tables list messages as they came.
        Event::Placed(_) | Event::Unknown(_) => None,
        // What a session needs to go on; nobody asks for it by itself.
        Event::Usage(_) | Event::Task(_) | Event::MemoryPointer(_) => None,
    }
}

/// Without the one character that not every database can keep in a text.
fn printable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
