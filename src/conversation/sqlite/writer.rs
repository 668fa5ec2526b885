//! What the writing thread does to the file.

use std::collections::HashMap;
use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};

use super::{compact, rows};
use crate::conversation::chain::{Damage, StoredEvent};
use crate::conversation::error::StoreError;
use crate::conversation::ids::{Head, SeqNo, SessionId};
use crate::conversation::queue::{Belongs, Moved, Pending, Writer, belongs, fork_start, new_place};
use crate::conversation::store::{Appended, CompactReport, NewEvent, Place, RebuildReport};

/// Why an append was not written: the append's own fault, or the store's.
enum Refusal {
    /// Nothing was written for it; the transaction goes on without it.
    Append(StoreError),
    /// The transaction is lost.
    Store(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Refusal {
        Refusal::Store(error)
    }
}

/// The thread's state.
pub(super) struct SqliteWriter {
    path: PathBuf,
    connection: Connection,
    damaged: HashMap<SessionId, Damage>,
}

impl SqliteWriter {
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        damaged: HashMap<SessionId, Damage>,
    ) -> SqliteWriter {
        SqliteWriter { path, connection, damaged }
    }

    fn in_words<T>(
        &mut self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        job(&mut self.connection).map_err(|e| StoreError::sqlite(&self.path, &e))
    }
}

impl Writer for SqliteWriter {
    fn try_commit(&mut self, group: &[Pending]) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let SqliteWriter { path, connection, damaged } = self;
        commit_group(connection, damaged, group).map_err(|e| StoreError::sqlite(path, &e))
    }

    fn rebuild(&mut self) -> Result<RebuildReport, StoreError> {
        self.in_words(rebuild)
    }

    fn compact(&mut self) -> Result<CompactReport, StoreError> {
        self.in_words(compact::compact)
    }
}

fn commit_group(
    connection: &mut Connection,
    damaged: &HashMap<SessionId, Damage>,
    group: &[Pending],
) -> rusqlite::Result<Vec<Result<Appended, StoreError>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut moved = Moved::default();
    let mut results = Vec::with_capacity(group.len());
    for Pending { head, events, .. } in group {
        results.push(match append(&transaction, damaged, moved.place(head), events) {
            Ok(appended) => {
                moved.set(head, appended.place);
                Ok(appended)
            }
            Err(Refusal::Append(error)) => Err(error),
            Err(Refusal::Store(error)) => return Err(error),
        });
    }
    transaction.commit()?;
    Ok(results)
}

/// Writes `events` behind `place`, or behind a fork of it.
fn append(
    db: &Connection,
    damaged: &HashMap<SessionId, Damage>,
    place: Place,
    events: &[NewEvent],
) -> Result<Appended, Refusal> {
    let Place { session, head } = place;
    let is_damaged = |damage| Refusal::Append(StoreError::Damaged { session, damage });
    if let Some(damage) = damaged.get(&session) {
        return Err(is_damaged(damage.clone()));
    }
    if rows::is_deleted(db, session)? {
        return Err(Refusal::Append(StoreError::UnknownSession { session }));
    }
    let found = rows::head(db, session)?.transpose().map_err(is_damaged)?;
    let (place, forked) = match belongs(place, found, events).map_err(Refusal::Append)? {
        Belongs::Here => (place, false),
        Belongs::InFork => {
            let (ours, first) = (rows::event(db, session, head.seq)?, rows::event(db, session, SeqNo(1))?);
            let start = fork_start(place, ours, first).map_err(Refusal::Append)?;
            let new = new_place();
            (Place { head: write(db, new, &[start])?, ..new }, true)
        }
    };
    let head = write(db, place, events)?;
    Ok(Appended { place: Place { head, ..place }, forked })
}

/// Writes `events` behind `place`, which is the head of its session; returns the new head.
fn write(db: &Connection, place: Place, events: &[NewEvent]) -> rusqlite::Result<Head> {
    let mut head = place.head;
    for event in events {
        let sealed = StoredEvent::seal(place.session, head, &event.kind, &event.payload, event.at_unix_us);
        rows::put_event(db, &sealed)?;
        head = sealed.head();
    }
    if head != place.head {
        rows::put_head(db, place.session, head)?;
    }
    Ok(head)
}

fn rebuild(connection: &mut Connection) -> rusqlite::Result<RebuildReport> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let report = rebuild_in(&transaction)?;
    transaction.commit()?;
    Ok(report)
}

/// Makes the projections again, inside of a transaction.
pub(super) fn rebuild_in(transaction: &Connection) -> rusqlite::Result<RebuildReport> {
    transaction.execute_batch(
        "DELETE FROM messages; DELETE FROM conversations; DELETE FROM deleted_sessions;
         DELETE FROM memory_items; DELETE FROM memories; DELETE FROM audits;",
    )?;
    let mut report = RebuildReport::default();
    {
        let all = format!("SELECT session_id, {} FROM events ORDER BY position", rows::EVENT_COLUMNS);
        let mut statement = transaction.prepare(&all)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.events += 1;
            let name = row.get_ref(0)?.as_str().unwrap_or_default();
            let Ok(session) = name.parse() else { continue };
            // Damage is the business of `check`; what is readable is projected.
            let Ok(event) = rows::event_of(session, row, 1) else { continue };
            rows::project(transaction, &event)?;
        }
    }
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        transaction.query_row(&sql, [], |row| row.get(0)).map(i64::cast_unsigned)
    };
    report.conversations = count("conversations")?;
    report.messages = count("messages")?;
    Ok(report)
}
