//! The one thread that writes.
//!
//! It takes everything that is queued, writes it in one transaction, and calls the callbacks when the
//! commit is on the disk: under load, 64 sessions pay for one `fsync`, not for 64. An append that
//! cannot be written (a full disk, say) does not take the others of its group with it: each is then
//! tried alone.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::{Connection, TransactionBehavior};

use super::{compact, rows};
use crate::conversation::chain::{Damage, StoredEvent};
use crate::conversation::error::StoreError;
use crate::conversation::events::{Event, Origin, SessionStart};
use crate::conversation::ids::{Head, SeqNo, SessionId};
use crate::conversation::store::{
    Appended, CompactReport, NewEvent, OnDurable, Place, RebuildReport, SharedHead, now_unix_us,
};

/// Appends in one transaction, at most: a bound on how long the first of them waits for the last.
const MAX_GROUP: usize = 256;

/// What the thread is asked to do.
pub(super) enum Job {
    /// See [`crate::conversation::store::Store::append`].
    Append(Pending),
    /// See [`crate::conversation::store::Store::rebuild`].
    Rebuild(Sender<Result<RebuildReport, StoreError>>),
    /// See [`crate::conversation::store::Store::compact`].
    Compact(Sender<Result<CompactReport, StoreError>>),
}

/// An append in the queue.
pub(super) struct Pending {
    pub head: SharedHead,
    pub events: Vec<NewEvent>,
    pub on_durable: OnDurable,
}

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
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    damaged: HashMap<SessionId, Damage>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, connection: Connection, damaged: HashMap<SessionId, Damage>) -> Writer {
        Writer { path, connection, damaged }
    }

    /// Works until nobody can send any more and the queue is empty.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![];
            let mut next = Some(first);
            while let Some(Job::Append(pending)) = next {
                group.push(pending);
                next = if group.len() < MAX_GROUP { queue.try_recv().ok() } else { None };
            }
            self.commit(group);
            // Whoever asked may have gone.
            match next {
                Some(Job::Rebuild(answer)) => drop(answer.send(self.in_words(rebuild))),
                Some(Job::Compact(answer)) => drop(answer.send(self.in_words(compact::compact))),
                Some(Job::Append(_)) | None => {}
            }
        }
    }

    fn commit(&mut self, group: Vec<Pending>) {
        match self.try_commit(&group) {
            Ok(results) => {
                for (pending, result) in group.into_iter().zip(results) {
                    if let Ok(appended) = &result {
                        pending.head.set(appended.place);
                    }
                    answer(pending.on_durable, result);
                }
            }
            Err(_) if group.len() > 1 => group.into_iter().for_each(|alone| self.commit(vec![alone])),
            Err(error) => {
                for pending in group {
                    answer(pending.on_durable, Err(StoreError::sqlite(&self.path, &error)));
                }
            }
        }
    }

    /// One transaction with everything in it; after an error nothing of it is written.
    fn try_commit(&mut self, group: &[Pending]) -> rusqlite::Result<Vec<Result<Appended, StoreError>>> {
        let Writer { path: _, connection, damaged } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Heads move when the commit is durable; until then the group's own progress is kept here.
        let mut moved: Vec<(&SharedHead, Place)> = vec![];
        let mut results = Vec::with_capacity(group.len());
        for Pending { head, events, .. } in group {
            let earlier = moved.iter().rev().find(|(other, _)| other.is_same(head));
            let place = earlier.map_or_else(|| head.place(), |(_, place)| *place);
            results.push(match append(&transaction, damaged, place, events) {
                Ok(appended) => {
                    moved.push((head, appended.place));
                    Ok(appended)
                }
                Err(Refusal::Append(error)) => Err(error),
                Err(Refusal::Store(error)) => return Err(error),
            });
        }
        transaction.commit()?;
        Ok(results)
    }

    fn in_words<T>(
        &mut self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        job(&mut self.connection).map_err(|e| StoreError::sqlite(&self.path, &e))
    }
}

/// A callback that panics is a bug of its session; the others go on.
fn answer(on_durable: OnDurable, result: Result<Appended, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| on_durable(result))).is_err() {
        tracing::error!("a callback of the event log panicked; its session was not told of an append");
    }
}

/// Writes `events` behind `place`, or behind a fork of it.
fn append(
    db: &Connection,
    damaged: &HashMap<SessionId, Damage>,
    place: Place,
    events: &[NewEvent],
) -> Result<Appended, Refusal> {
    let session = place.session;
    if let Some(damage) = damaged.get(&session) {
        return Err(Refusal::Append(StoreError::Damaged { session, damage: damage.clone() }));
    }
    let (place, forked) = ensure_head_or_fork(db, place, events)?;
    let head = write(db, place, events)?;
    Ok(Appended { place: Place { head, ..place }, forked })
}

/// Where the events belong: at `place`, if it still is the head of its session, else at the start of
/// a new session that is forked from it.
fn ensure_head_or_fork(db: &Connection, place: Place, events: &[NewEvent]) -> Result<(Place, bool), Refusal> {
    let Place { session, head } = place;
    let damaged = |damage| Refusal::Append(StoreError::Damaged { session, damage });
    if rows::is_deleted(db, session)? {
        return Err(Refusal::Append(StoreError::UnknownSession { session }));
    }
    match rows::head(db, session)?.transpose().map_err(damaged)? {
        Some(found) if found == head => Ok((place, false)),
        None if head == Head::EMPTY => match events.first() {
            Some(first) if first.kind == "session_start" => Ok((place, false)),
            _ => Err(Refusal::Append(StoreError::NotStarted { session })),
        },
        None => Err(Refusal::Append(StoreError::UnknownSession { session })),
        Some(_) => Ok((fork(db, place)?, true)),
    }
}

/// Starts a new session at `place` of an old one.
fn fork(db: &Connection, place: Place) -> Result<Place, Refusal> {
    let Place { session, head } = place;
    let stale = || Refusal::Append(StoreError::Stale { session });
    let damaged = |damage| Refusal::Append(StoreError::Damaged { session, damage });
    let ours = rows::event(db, session, head.seq)?.ok_or_else(stale)?.map_err(damaged)?;
    if ours.hash != head.hash {
        let what = "it is not the one after which this server wrote".into();
        return Err(damaged(Damage { seq: Some(head.seq), what }));
    }
    let first = rows::event(db, session, SeqNo(1))?.ok_or_else(stale)?.map_err(damaged)?;
    let Some(Event::SessionStart(start)) = first.event() else { return Err(stale()) };
    let start = SessionStart {
        forked_from: Some(Origin { session, hash: head.hash }),
        compacted_from: None,
        ..start
    };
    let new = Place { session: SessionId::random(), head: Head::EMPTY };
    let head = write(db, new, &[NewEvent::new(&Event::SessionStart(start), now_unix_us())])?;
    Ok(Place { head, ..new })
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
