//! The embedded store: one SQLite file.
//!
//! Write-ahead log and `synchronous=FULL`: what was acknowledged is on the disk. One thread writes
//! (`writer.rs`); readers have connections of their own, see the last commit and never block it.
//! Another process may hold the same file open (`vivavoce db check` beside a running server).

mod compact;
mod memory_rows;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::chain::{Damage, StoredEvent, Walked};
use super::error::StoreError;
use super::events::{Event, SessionStart};
use super::ids::{Hash, Head, SeqNo, SessionId};
use super::projections::{AuditRow, ConversationRow, MemoryItemRow, MemoryRow, MessageRow, Whose};
use super::queue::WriterQueue;
use super::store::{
    CheckReport, CompactReport, Cut, NewEvent, OnDurable, Problem, RebuildReport, SharedHead, Store,
};
pub use schema::Access;
pub(super) use schema::open as open_connection;
use writer::SqliteWriter;

/// Reading connections that are kept for the next reader.
const IDLE_READERS: usize = 4;

/// The file that `sqlite://path` names. A relative path is the caller's to resolve, beforehand.
///
/// # Errors
/// [`StoreError::BadUrl`].
pub fn sqlite_path(url: &str) -> Result<PathBuf, StoreError> {
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        Some(_) => Err(StoreError::BadUrl { what: "names no file".into() }),
        None => {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            Err(StoreError::BadUrl { what: format!("there is no store for {scheme:?}") })
        }
    }
}

/// What can be set apart from the path.
#[derive(Debug, Clone, Copy)]
pub struct SqliteOptions {
    /// How the file may be opened.
    pub access: Access,
    /// Appends that may wait for the writer; more are refused at once.
    pub queue_len: usize,
    /// Size limit of the file in pages of 4 KiB; `None`: the disk's.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions { access: Access::Create, queue_len: 1_024, max_pages: None }
    }
}

/// A SQLite file with the log and its projections. Dropping it writes what is queued, and blocks until
/// that is done.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    queue: WriterQueue,
    idle_readers: Mutex<Vec<Connection>>,
    damaged: HashMap<SessionId, Damage>,
    cuts: Vec<Cut>,
}

impl SqliteStore {
    /// Opens the file, brings its schema up to date, checks all heads, cuts off damaged ends (unless it
    /// is opened for reading only), and starts the writer. Blocking.
    ///
    /// # Errors
    /// Where the file cannot be used at all. A damaged session is not such a case: see
    /// [`Store::damaged_on_open`].
    pub fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        let mut connection = schema::open(path, options.access)?;
        let in_words = |e: rusqlite::Error| StoreError::sqlite(path, &e);
        prepare_for_writing(&connection, &options).map_err(in_words)?;
        let mut damaged = verify::damaged_heads(&connection).map_err(in_words)?;
        let cuts = match options.access {
            Access::ReadOnly => vec![],
            _ => verify::cut_tails(&mut connection, &mut damaged).map_err(in_words)?,
        };

        let writer = SqliteWriter::new(path.into(), connection, damaged.clone());
        Ok(SqliteStore {
            path: path.into(),
            queue: WriterQueue::start(path.into(), options.queue_len, writer)?,
            idle_readers: Mutex::default(),
            damaged,
            cuts,
        })
    }

    /// Runs `read` on one snapshot of the file.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.with_reader(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let result = read(&snapshot)?;
            snapshot.finish()?;
            Ok(result)
        })
    }

    /// Runs `work` on a connection that cannot write.
    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let in_words = |e: rusqlite::Error| StoreError::sqlite(&self.path, &e);
        let idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::connect(&self.path, Access::ReadOnly).map_err(in_words)?,
        };
        let result = work(&connection).map_err(in_words)?;
        let mut idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        Ok(result)
    }
}

impl Store for SqliteStore {
    fn append(&self, head: SharedHead, events: Vec<NewEvent>, on_durable: OnDurable) {
        self.queue.append(head, events, on_durable);
    }

    fn load(&self, session: SessionId, until: Option<Hash>) -> Result<Vec<StoredEvent>, StoreError> {
        let walked = self.read(|db| match rows::is_deleted(db, session)? {
            true => Ok(Walked { events: vec![], damage: None }),
            false => verify::walk(db, session, until),
        })?;
        walked.into_events(session)
    }

    fn session_start(&self, session: SessionId) -> Result<Option<SessionStart>, StoreError> {
        let first = self.read(|db| match rows::is_deleted(db, session)? {
            true => Ok(None),
            false => rows::event(db, session, SeqNo(1)),
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
        self.read(|db| rows::conversations(db, whose, limit))
    }

    fn successor(&self, session: SessionId) -> Result<Option<SessionId>, StoreError> {
        self.read(|db| rows::successor(db, session))
    }

    fn messages(&self, session: SessionId) -> Result<Vec<MessageRow>, StoreError> {
        self.read(|db| {
            let in_order = "SELECT * FROM messages WHERE session_id = ?1 ORDER BY seq";
            rows::collect(db.prepare_cached(in_order)?.query([session.to_string()])?, rows::message_of)
        })
    }

    fn memory_items(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryItemRow>, StoreError> {
        self.read(|db| memory_rows::items(db, whose, limit))
    }

    fn memories(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.read(|db| memory_rows::memories(db, whose, limit))
    }

    fn memory(&self, id: SessionId) -> Result<Option<MemoryRow>, StoreError> {
        self.read(|db| memory_rows::memory(db, id))
    }

    fn search_memories(
        &self,
        whose: Whose,
        person: Option<&str>,
        query: &str,
        limit: usize,
    ) -> Result<Vec<(MemoryRow, f64)>, StoreError> {
        self.read(|db| memory_rows::search(db, whose, person, query, limit))
    }

    fn audits(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|db| memory_rows::audits(db, limit))
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
        self.read(verify::check)
    }

    fn rebuild(&self) -> Result<RebuildReport, StoreError> {
        self.queue.rebuild()
    }

    fn compact(&self) -> Result<CompactReport, StoreError> {
        self.queue.compact()
    }

    fn place(&self) -> PathBuf {
        self.path.clone()
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        schema::create_new_private(to).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => StoreError::Exists { path: to.into() },
            _ => StoreError::Open { path: to.into(), cause: cause.to_string() },
        })?;
        let copied =
            self.with_reader(|db| db.execute("VACUUM INTO ?1", [to.to_string_lossy()])).and_then(|_| {
                let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
                synced.map_err(|e| StoreError::Open { path: to.into(), cause: e.to_string() })
            });
        if copied.is_err() {
            let _ = std::fs::remove_file(to); // half a backup is none
        }
        copied
    }
}

fn prepare_for_writing(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    // After a checkpoint the write-ahead log shrinks to this again.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}
