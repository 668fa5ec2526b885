//! The store for several servers: a PostgreSQL database.
//!
//! The same trait, tables and rules as the embedded one. One thread of each server writes, in groups;
//! readers have connections of their own. Another server may go on with a session whose history it finds
//! here; if two do at once, one of them forks.
//!
//! A connection that broke is made anew for the next group. Appends whose end nobody heard of are looked
//! up then; those that cannot be found are reported as failed. Deliberately absent: backups, which the
//! database has tools for.

mod compact;
mod connection;
mod memory_rows;
mod rows;
mod schema;
pub(super) mod tokens;
mod verify;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::{Damage, StoredEvent, Walked};
use super::error::StoreError;
use super::events::{Event, SessionStart};
use super::ids::{Hash, Head, SeqNo, SessionId};
use super::projections::{AuditRow, ConversationRow, MemoryItemRow, MemoryRow, MessageRow, Whose};
use super::queue::WriterQueue;
use super::sqlite::Access;
use super::store::{
    CheckReport, CompactReport, Cut, NewEvent, OnDurable, Problem, RebuildReport, SharedHead, Store,
};
pub(super) use connection::Database;
use writer::PostgresWriter;

/// Appends that may wait for the writer; more are refused at once.
const QUEUE_LEN: usize = 1_024;

/// Whether `url` names a PostgreSQL database.
pub fn is_postgres_url(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// A PostgreSQL database with the log and its projections. Dropping it writes what is queued, and blocks
/// until that is done.
#[derive(Debug)]
pub struct PostgresStore {
    database: Arc<Database>,
    queue: WriterQueue,
    damaged: HashMap<SessionId, Damage>,
    cuts: Vec<Cut>,
}

impl PostgresStore {
    /// Connects, makes the tables or brings them up to date, checks all heads, cuts off damaged ends
    /// (unless `access` is for reading only), and starts the writer. Blocking.
    ///
    /// # Errors
    /// Where the database cannot be used at all. No message holds the URL's password.
    pub fn open(url: &str, access: Access) -> Result<PostgresStore, StoreError> {
        let database = Arc::new(Database::new(url, access)?);
        schema::prepare(&database)?;
        let mut damaged = database.read(async |db| verify::damaged_heads(db).await)?;
        let mut cuts = vec![];
        if !damaged.is_empty() && access != Access::ReadOnly {
            (cuts, damaged) = database.write(async |db| verify::cut_tails(db).await)?;
        }
        let writer = PostgresWriter::new(Arc::clone(&database), damaged.clone());
        let queue = WriterQueue::start(database.place(), QUEUE_LEN, writer)?;
        Ok(PostgresStore { database, queue, damaged, cuts })
    }
}

impl Store for PostgresStore {
    fn append(&self, head: SharedHead, events: Vec<NewEvent>, on_durable: OnDurable) {
        self.queue.append(head, events, on_durable);
    }

    fn load(&self, session: SessionId, until: Option<Hash>) -> Result<Vec<StoredEvent>, StoreError> {
        let walked = self.database.read(async |db| match rows::is_deleted(db, session).await? {
            true => Ok(Walked { events: vec![], damage: None }),
            false => rows::walk_session(db, session, until).await,
        })?;
        walked.into_events(session)
    }

    fn session_start(&self, session: SessionId) -> Result<Option<SessionStart>, StoreError> {
        let first = self.database.read(async |db| match rows::is_deleted(db, session).await? {
            true => Ok(None),
            false => rows::event(db, session, SeqNo(1)).await,
        })?;
        let Some(first) = first else { return Ok(None) };
        let first = first.and_then(|event| event.verify_after(Head::EMPTY).map(|()| event));
        let first = first.map_err(|damage| StoreError::Damaged { session, damage })?;
        Ok(match first.event() {
            Some(Event::SessionStart(start)) => Some(start),
            _ => None,
        })
    }

    fn conversations(&self, whose: Whose, limit: usize) -> Result<Vec<ConversationRow>, StoreError> {
        self.database.read(async |db| rows::conversations(db, whose, limit).await)
    }

    fn successor(&self, session: SessionId) -> Result<Option<SessionId>, StoreError> {
        self.database.read(async |db| rows::successor(db, session).await)
    }

    fn messages(&self, session: SessionId) -> Result<Vec<MessageRow>, StoreError> {
        self.database.read(async |db| rows::messages(db, session).await)
    }

    fn memory_items(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryItemRow>, StoreError> {
        self.database.read(async |db| memory_rows::items(db, whose, limit).await)
    }

    fn memories(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.database.read(async |db| memory_rows::memories(db, whose, limit).await)
    }

    fn memory(&self, id: SessionId) -> Result<Option<MemoryRow>, StoreError> {
        self.database.read(async |db| memory_rows::memory(db, id).await)
    }

    fn search_memories(
        &self,
        whose: Whose,
        person: Option<&str>,
        query: &str,
        limit: usize,
    ) -> Result<Vec<(MemoryRow, f64)>, StoreError> {
        self.database.read(async |db| memory_rows::search(db, whose, person, query, limit).await)
    }

    fn audits(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.database.read(async |db| memory_rows::audits(db, limit).await)
    }

    fn damaged_on_open(&self) -> Vec<Problem> {
        let problem = |(session, damage): (&SessionId, &Damage)| Problem {
            session: Some(session.to_string()),
            damage: damage.clone(),
        };
        self.damaged.iter().map(problem).collect()
    }

    fn cut_on_open(&self) -> Vec<Cut> {
        self.cuts.clone()
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        self.database.read(async |db| verify::check(db).await)
    }

    fn rebuild(&self) -> Result<RebuildReport, StoreError> {
        self.queue.rebuild()
    }

    fn compact(&self) -> Result<CompactReport, StoreError> {
        self.queue.compact()
    }

    fn place(&self) -> PathBuf {
        self.database.place()
    }

    fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::NoBackup { path: self.database.place() })
    }
}
