//! What a place that keeps the log can do. One server, or several behind a load balancer, may hold the
//! same store open; nothing here assumes that nobody else writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::chain::{Damage, StoredEvent};
use super::error::StoreError;
use super::events::{Event, SessionStart};
use super::ids::{Hash, Head, SeqNo, SessionId};
use super::projections::{AuditRow, ConversationRow, MemoryItemRow, MemoryRow, MessageRow, Whose};

/// Now, µs since 1970 UTC. The log is written at the edge; what is projected from it reads no clock.
pub(crate) fn now_unix_us() -> i64 {
    // A clock set before 1970 is no reason to lose an event.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}

/// Compactions of compactions … that are followed.
pub(crate) const MAX_COMPACTIONS: usize = 100_000;

/// A session and the place in it on which a writer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which session.
    pub session: SessionId,
    /// Its last event, as far as the writer knows.
    pub head: Head,
}

/// The place on which the writers of one session *in this process* stand together: a turn and the
/// background jobs of its session share it, and so never fork from each other. Appends that were
/// queued behind each other each find the head that the one before made, without waiting for it.
///
/// Only the store moves it, when an append is durable.
#[derive(Debug, Clone)]
pub struct SharedHead(Arc<Mutex<Place>>);

impl SharedHead {
    /// Stands at `place`.
    pub fn new(place: Place) -> SharedHead {
        SharedHead(Arc::new(Mutex::new(place)))
    }

    /// Where its writers stand.
    pub fn place(&self) -> Place {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For stores: it moved.
    pub fn set(&self, place: Place) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Whether both are the same shared head (not: whether they stand at the same place).
    pub fn is_same(&self, other: &SharedHead) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// An event that is to be written.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// See [`Event::kind`].
    pub kind: String,
    /// See [`Event::payload`].
    pub payload: String,
    /// When it happened, µs since 1970 UTC.
    pub at_unix_us: i64,
}

impl NewEvent {
    /// `event` happened at `at_unix_us`.
    pub fn new(event: &Event, at_unix_us: i64) -> NewEvent {
        NewEvent { kind: event.kind().into(), payload: event.payload(), at_unix_us }
    }
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The session and its new head. The session is another one than before if it was forked.
    pub place: Place,
    /// Another writer had moved the head: the events are in a new session.
    pub forked: bool,
}

/// Called once, when the events are durable or cannot be made so. It runs on the store's writer
/// thread (a full queue calls it at once, on the caller's): it must not block; send it somewhere.
pub type OnDurable = Box<dyn FnOnce(Result<Appended, StoreError>) + Send>;

/// A store of the log.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Writes all of `events` behind the head, or none of them, and then calls `on_durable`. Never
    /// blocks. Appends with one `head` are written in the order of the calls.
    ///
    /// A session's first event, and no other, is [`Event::SessionStart`]. If somebody else has moved
    /// the head of the session in the meantime, nothing of theirs is overwritten and nothing of ours
    /// is lost: a new session is started, whose `SessionStart` is that of the old one with
    /// `forked_from` the place on which this writer stood; the events go there, and `head` with them.
    fn append(&self, head: SharedHead, events: Vec<NewEvent>, on_durable: OnDurable);

    /// Makes sure that `head` still is its session's, or forks as [`Store::append`] does.
    fn ensure_head_or_fork(&self, head: SharedHead, on_durable: OnDurable) {
        self.append(head, vec![], on_durable);
    }

    /// All events of a session that was not deleted, in order, its whole chain verified; with `until` those up to the one
    /// with this hash, and the chain up to there. Blocking.
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`], [`StoreError::Damaged`], or what the store says.
    fn load(&self, session: SessionId, until: Option<Hash>) -> Result<Vec<StoredEvent>, StoreError>;

    /// The first event of a session, itself verified; `None` if there is no such session (any more).
    /// Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    fn session_start(&self, session: SessionId) -> Result<Option<SessionStart>, StoreError>;

    /// Up to `limit` conversations, the last updated first. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn conversations(&self, whose: Whose, limit: usize) -> Result<Vec<ConversationRow>, StoreError>;

    /// The session that goes on with this one: the newest that was compacted from it, and so on to the
    /// end of that chain; `None` if it was never compacted. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn successor(&self, session: SessionId) -> Result<Option<SessionId>, StoreError>;

    /// The messages of one session in order (without those of the session that it was forked from).
    /// Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn messages(&self, session: SessionId) -> Result<Vec<MessageRow>, StoreError>;

    /// Up to `limit` memory items that wait to be made memories of, the oldest first. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn memory_items(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryItemRow>, StoreError>;

    /// Up to `limit` memories, the last updated first. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn memories(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryRow>, StoreError>;

    /// One memory; `None` if there is none (any more). Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn memory(&self, id: SessionId) -> Result<Option<MemoryRow>, StoreError>;

    /// Up to `limit` memories in which any word of `query` occurs, the best match first, each with how
    /// well it matches (higher is better; comparable only within one answer). With `person`, only those
    /// about that person. The query is plain words. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn search_memories(
        &self,
        whose: Whose,
        person: Option<&str>,
        query: &str,
        limit: usize,
    ) -> Result<Vec<(MemoryRow, f64)>, StoreError>;

    /// Up to `limit` audits, the newest first. Blocking.
    ///
    /// # Errors
    /// What the store says.
    fn audits(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// Sessions whose head was found damaged when the store was opened; nothing is appended to them.
    fn damaged_on_open(&self) -> Vec<Problem>;

    /// Sessions of which a damaged end was cut off when the store was opened; they go on in front of it.
    /// What was cut is in the table `cut_events`.
    fn cut_on_open(&self) -> Vec<Cut>;

    /// Verifies every chain. Blocking, and long where there is much.
    ///
    /// # Errors
    /// What the store says, where that keeps it from going on. Damage is in the report.
    fn check(&self) -> Result<CheckReport, StoreError>;

    /// Makes the tables of [`super::projections`] again from the log. Blocking.
    ///
    /// # Errors
    /// What the store says; the tables are then as they were.
    fn rebuild(&self) -> Result<RebuildReport, StoreError>;

    /// Drops the words that were deleted (see [`super::erasure`]) for good, and gives their space back.
    /// Blocking, and long where there is much.
    ///
    /// # Errors
    /// What the store says.
    fn compact(&self) -> Result<CompactReport, StoreError>;

    /// Where it is, for error messages: a file, or a database's URL without its password.
    fn place(&self) -> PathBuf;

    /// Copies the whole store, as it is at one moment, into a new file. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NoBackup`], or what the store says.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Events whose words are gone now.
    pub erased_events: u64,
    /// Size of the store before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Sessions that were checked.
    pub sessions: u64,
    /// Events that were found sound (a chain is not followed beyond damage).
    pub events: u64,
    /// All damage; at most one entry per session, its first.
    pub problems: Vec<Problem>,
}

/// One piece of damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The session as it is called in the store (damage may have hit the name itself); `None`: the
    /// store's own structure.
    pub session: Option<String>,
    /// Where and what.
    pub damage: Damage,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.session {
            Some(session) => write!(f, "session {session}")?,
            None => f.write_str("the file")?,
        }
        if let Some(seq) = self.damage.seq {
            write!(f, ", event {seq}")?;
        }
        write!(f, ": {}", self.damage.what)
    }
}

/// A damaged end that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of which session.
    pub session: SessionId,
    /// The last event that stayed.
    pub kept: SeqNo,
    /// Events that were cut; 0 if they were missing, or only the head was wrong.
    pub events: u64,
    /// What was wrong.
    pub damage: Damage,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cut { session, kept, events, damage } = self;
        let place = damage.seq.map(|seq| format!(", event {seq}")).unwrap_or_default();
        write!(f, "session {session}{place}: {}; ", damage.what)?;
        write!(
            f,
            "{events} events were moved to the table cut_events, the session goes on behind event {kept}"
        )
    }
}

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Events that were read.
    pub events: u64,
    /// Rows of `conversations` now.
    pub conversations: u64,
    /// Rows of `messages` now.
    pub messages: u64,
}
