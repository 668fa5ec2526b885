//! What the writing thread does to the database.
//!
//! Several servers write at the same time. A group locks the heads that it moves, in the order of their
//! names, and so waits for others but never in a circle. What memories and deletions do depends on their
//! order over all sessions: a group with any of them first takes a lock that all servers share, so that
//! events of these kinds are numbered in the order in which they are committed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::IsolationLevel;

use super::connection::{Database, Db, Fault, Link};
use super::{compact, rows};
use crate::conversation::chain::{Damage, StoredEvent};
use crate::conversation::error::StoreError;
use crate::conversation::events::Event;
use crate::conversation::ids::{Head, SeqNo, SessionId, random_bytes};
use crate::conversation::queue::{Belongs, Moved, Pending, Writer, belongs, fork_start, new_place};
use crate::conversation::store::{Appended, CompactReport, NewEvent, Place, RebuildReport};

/// Advisory lock of whoever writes about memories or deletions: "Viva", 1.
const LOCK_OF_MEMORY: i64 = 0x5669_7661_0000_0001;

/// Kinds of the events whose order over all sessions counts.
const ORDERED_KINDS: [&str; 5] =
    ["memory_item", "memory", "memory_corrected", "memory_deleted", "session_deleted"];

/// The thread's state.
pub(super) struct PostgresWriter {
    database: Arc<Database>,
    damaged: HashMap<SessionId, Damage>,
    link: Option<Link>,
    /// Advisory lock of this writer alone: who holds it knows that no transaction of this writer is
    /// still under way.
    own_lock: i64,
}

impl PostgresWriter {
    pub(super) fn new(database: Arc<Database>, damaged: HashMap<SessionId, Damage>) -> PostgresWriter {
        PostgresWriter { database, damaged, link: None, own_lock: i64::from_be_bytes(random_bytes()) }
    }

    /// Runs `work` on a connection that is made anew if it broke. The thread is none of an executor.
    fn on_link<T>(
        &mut self,
        work: impl FnOnce(&mut Link, &HashMap<SessionId, Damage>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if self.link.as_ref().is_none_or(Link::is_broken) {
            self.link = None;
            self.link = Some(self.database.connect()?);
        }
        let Some(link) = &mut self.link else {
            return Err(StoreError::Closed { path: self.database.place() });
        };
        let result = work(link, &self.damaged);
        if result.as_ref().is_err_and(Fault::is_lost_connection) {
            self.link = None;
        }
        result.map_err(|fault| self.database.in_words(fault))
    }

    /// Whether a transaction whose end nobody heard of was committed.
    fn was_committed(&mut self, place: Place) -> Result<bool, StoreError> {
        let own_lock = self.own_lock;
        self.on_link(|link, _| {
            link.transaction(IsolationLevel::ReadCommitted, &async |db: &Db<'_>| {
                db.execute("SELECT pg_advisory_xact_lock($1)", &[&own_lock]).await?;
                let there = rows::event(db, place.session, place.head.seq).await?;
                Ok(there.is_some_and(|event| event.is_ok_and(|event| event.hash == place.head.hash)))
            })
        })
    }
}

impl Writer for PostgresWriter {
    fn try_commit(&mut self, group: &[Pending]) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let own_lock = self.own_lock;
        let used_before = self.link.is_some();
        // What was written, once only the commit is left.
        let written = std::cell::RefCell::new(None);
        let committed = self.on_link(|link, damaged| {
            link.transaction(IsolationLevel::ReadCommitted, &async |db: &Db<'_>| {
                let results = write_group(db, damaged, own_lock, group).await?;
                written.replace(Some(results));
                Ok(())
            })
        });
        let results = written.into_inner();
        match (committed, results) {
            (Ok(()), Some(results)) => Ok(results),
            (Ok(()), None) => Err(StoreError::Closed { path: self.database.place() }),
            // It broke while nobody used it, which is seen only now. Nothing was committed.
            (Err(StoreError::Unreachable { .. }), None) if used_before => {
                self.link = None;
                self.try_commit(group)
            }
            // The connection broke while the commit was on its way: it may have arrived.
            (Err(error @ StoreError::Unreachable { .. }), Some(results)) => {
                let moved = results.iter().flatten().map(|appended| appended.place).next();
                match moved.map(|place| self.was_committed(place)) {
                    Some(Ok(true)) => Ok(results),
                    _ => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    fn rebuild(&mut self) -> Result<RebuildReport, StoreError> {
        self.on_link(|link, _| {
            link.transaction(IsolationLevel::ReadCommitted, &async |db: &Db<'_>| {
                stop_others(db).await?;
                rebuild_in(db).await
            })
        })
    }

    fn compact(&mut self) -> Result<CompactReport, StoreError> {
        self.on_link(|link, _| compact::compact(link))
    }
}

/// Lets nobody else append until the transaction ends.
pub(super) async fn stop_others(db: &Db<'_>) -> Result<(), Fault> {
    db.batch("LOCK TABLE heads IN EXCLUSIVE MODE").await
}

/// A group on its way into the database.
struct Group<'a> {
    db: &'a Db<'a>,
    heads: HashMap<SessionId, Result<Head, Damage>>,
    deleted: HashSet<SessionId>,
    /// Events that are not in the database yet.
    sealed: Vec<StoredEvent>,
    moved_heads: BTreeMap<SessionId, Head>,
}

async fn write_group(
    db: &Db<'_>,
    damaged: &HashMap<SessionId, Damage>,
    own_lock: i64,
    group: &[Pending],
) -> Result<Vec<Result<Appended, StoreError>>, Fault> {
    db.execute("SELECT pg_advisory_xact_lock($1)", &[&own_lock]).await?;
    let mut writing = Group::lock(db, group).await?;
    let mut moved = Moved::default();
    let mut results = Vec::with_capacity(group.len());
    for Pending { head, events, .. } in group {
        let place = moved.place(head);
        let result = match damaged.get(&place.session) {
            Some(damage) => Err(StoreError::Damaged { session: place.session, damage: damage.clone() }),
            None => writing.append(place, events).await?,
        };
        if let Ok(appended) = &result {
            moved.set(head, appended.place);
        }
        results.push(result);
    }
    writing.flush().await?;
    rows::put_heads(db, writing.moved_heads).await?;
    Ok(results)
}

impl<'a> Group<'a> {
    /// Locks what the group moves, and reads where it stands.
    async fn lock(db: &'a Db<'a>, group: &[Pending]) -> Result<Group<'a>, Fault> {
        let events = || group.iter().flat_map(|pending| &pending.events);
        if events().any(|event| ORDERED_KINDS.contains(&event.kind.as_str())) {
            db.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_OF_MEMORY]).await?;
        }
        let own = group.iter().map(|pending| pending.head.place().session);
        let sessions: BTreeSet<SessionId> = own.chain(events().filter_map(deletes)).collect();
        let names: Vec<String> = sessions.iter().map(SessionId::to_string).collect();
        let lock = "SELECT session_id, seq, hash FROM heads WHERE session_id = ANY($1)
                    ORDER BY session_id FOR UPDATE";
        let mut heads = HashMap::new();
        for row in db.rows(lock, &[&names]).await? {
            heads.insert(rows::parsed(&row, 0)?, rows::head_of(&row, 1));
        }
        let gone = "SELECT session_id FROM deleted_sessions WHERE session_id = ANY($1)";
        let mut deleted = HashSet::new();
        for row in db.rows(gone, &[&names]).await? {
            deleted.insert(rows::parsed(&row, 0)?);
        }
        Ok(Group { db, heads, deleted, sealed: vec![], moved_heads: BTreeMap::new() })
    }

    /// Writes `events` behind `place`, or behind a fork of it.
    async fn append(
        &mut self,
        place: Place,
        events: &[NewEvent],
    ) -> Result<Result<Appended, StoreError>, Fault> {
        let Place { session, head } = place;
        if self.deleted.contains(&session) {
            return Ok(Err(StoreError::UnknownSession { session }));
        }
        let found = match self.heads.get(&session).cloned().transpose() {
            Ok(found) => found,
            Err(damage) => return Ok(Err(StoreError::Damaged { session, damage })),
        };
        let (place, forked) = match belongs(place, found, events) {
            Ok(Belongs::Here) => (place, false),
            Ok(Belongs::InFork) => {
                self.flush().await?; // what it forks from may be in this group
                let ours = rows::event(self.db, session, head.seq).await?;
                let first = rows::event(self.db, session, SeqNo(1)).await?;
                match fork_start(place, ours, first) {
                    Ok(start) => (self.seal(new_place(), &[start]), true),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Err(error) => return Ok(Err(error)),
        };
        let place = self.seal(place, events);
        self.deleted.extend(events.iter().filter_map(deletes));
        Ok(Ok(Appended { place, forked }))
    }

    fn seal(&mut self, place: Place, events: &[NewEvent]) -> Place {
        let Place { session, mut head } = place;
        for event in events {
            let sealed = StoredEvent::seal(session, head, &event.kind, &event.payload, event.at_unix_us);
            head = sealed.head();
            self.sealed.push(sealed);
        }
        if head != place.head {
            self.heads.insert(session, Ok(head));
            self.moved_heads.insert(session, head);
        }
        Place { session, head }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let sealed = std::mem::take(&mut self.sealed);
        if sealed.is_empty() { Ok(()) } else { rows::put_events(self.db, &sealed).await }
    }
}

/// The session that an event deletes.
fn deletes(event: &NewEvent) -> Option<SessionId> {
    if event.kind != "session_deleted" {
        return None;
    }
    match Event::read(&event.kind, event.payload.as_bytes()) {
        Event::SessionDeleted(deleted) => Some(deleted.session),
        _ => None,
    }
}

/// Makes the projections again, inside of a transaction.
pub(super) async fn rebuild_in(db: &Db<'_>) -> Result<RebuildReport, Fault> {
    db.batch(
        "DELETE FROM messages; DELETE FROM conversations; DELETE FROM deleted_sessions;
         DELETE FROM memory_items; DELETE FROM memories; DELETE FROM audits;",
    )
    .await?;
    let all = "SELECT session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash
               FROM events ORDER BY position";
    let mut report = RebuildReport::default();
    db.each_row(all, async |row| {
        report.events += 1;
        let Ok(session) = rows::parsed(&row, 0) else { return Ok(()) };
        // Damage is the business of `check`; what is readable is projected.
        let Ok(event) = rows::event_of(session, &row, 1) else { return Ok(()) };
        rows::project(db, &event).await
    })
    .await?;
    for (count, into) in [
        ("SELECT count(*) FROM conversations", &mut report.conversations),
        ("SELECT count(*) FROM messages", &mut report.messages),
    ] {
        if let Some(row) = db.row(count, &[]).await? {
            *into = rows::unsigned(&row, 0)?;
        }
    }
    Ok(report)
}
