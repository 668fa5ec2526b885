//! Finding damage: one event per session when the file is opened, a whole chain when a session is
//! loaded, everything by `db check`. A damaged end is cut off; nothing else is repaired.

use std::collections::HashMap;

use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::rows::{self, signed};
use super::writer::rebuild_in;
use crate::conversation::chain::{self, Damage, Walked, sound_beginning};
use crate::conversation::ids::{Hash, Head, SessionId};
use crate::conversation::store::{CheckReport, Cut, Problem, now_unix_us};

/// Checks each session's head: one event per session, whatever their length.
pub(super) fn damaged_heads(db: &Connection) -> rusqlite::Result<HashMap<SessionId, Damage>> {
    let mut statement = db.prepare(&format!(
        "SELECT heads.session_id, heads.seq, heads.hash, {} FROM heads
         LEFT JOIN events ON events.session_id = heads.session_id AND events.seq = heads.seq",
        rows::EVENT_COLUMNS
    ))?;
    let mut rows = statement.query([])?;
    let mut damaged = HashMap::new();
    while let Some(row) = rows.next()? {
        // A damaged name is nobody's session: nothing is ever appended to it. `check` reports it.
        let Ok(session) = row.get::<_, String>(0)?.parse() else { continue };
        if let Err(damage) = verify_head(session, row) {
            damaged.insert(session, damage);
        }
    }
    Ok(damaged)
}

/// Checks a head in the columns from 1 against the event in those from 3.
fn verify_head(session: SessionId, row: &Row<'_>) -> Result<(), Damage> {
    let head = rows::head_of(row, 1)?;
    let here = |what| Damage { seq: Some(head.seq), what };
    let last = rows::event_of(session, row, 3).map_err(|damage| here(damage.what))?;
    last.verify()?;
    if last.head() == head { Ok(()) } else { Err(here("it is not the last one that was written".into())) }
}

/// Cuts off the damaged ends of those sessions that are damaged nowhere else, and takes them out of
/// `damaged`. The tables are made again then, since they may hold what was cut.
pub(super) fn cut_tails(
    connection: &mut Connection,
    damaged: &mut HashMap<SessionId, Damage>,
) -> rusqlite::Result<Vec<Cut>> {
    if damaged.is_empty() {
        return Ok(vec![]);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock: another process may have been faster.
    let mut cuts = vec![];
    for (session, damage) in damaged_heads(&transaction)? {
        if let Some((events, head)) = cut_tail(&transaction, session)? {
            cuts.push(Cut { session, kept: head.seq, events, damage });
        }
    }
    if !cuts.is_empty() {
        rebuild_in(&transaction)?;
    }
    *damaged = damaged_heads(&transaction)?;
    transaction.commit()?;
    Ok(cuts)
}

/// How many events were cut, and the new head; `None`: what is damaged is not just the end.
fn cut_tail(db: &Connection, session: SessionId) -> rusqlite::Result<Option<(u64, Head)>> {
    let name = session.to_string();
    let mut statement = db
        .prepare(&format!("SELECT {} FROM events WHERE session_id = ?1 ORDER BY seq", rows::EVENT_COLUMNS))?;
    let events = rows::collect(statement.query([&name])?, |row| Ok(rows::event_of(session, row, 0)))?;
    let Ok((_, head)) = sound_beginning(&events) else { return Ok(None) };
    db.execute(
        "INSERT INTO cut_events
         SELECT session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash, ?3
         FROM events WHERE session_id = ?1 AND seq > ?2",
        params![name, signed(head.seq.0), now_unix_us()],
    )?;
    let cut = db.execute(
        "DELETE FROM events WHERE session_id = ?1 AND seq > ?2",
        params![name, signed(head.seq.0)],
    )?;
    rows::put_head(db, session, head)?;
    Ok(Some((cut as u64, head)))
}

/// Verifies a session's chain, to its head or to the event with the hash `until`.
pub(super) fn walk(db: &Connection, session: SessionId, until: Option<Hash>) -> rusqlite::Result<Walked> {
    let end = match rows::head(db, session)?.transpose() {
        Ok(end) => end,
        Err(damage) => return Ok(Walked { events: vec![], damage: Some(damage) }),
    };
    let mut statement = db.prepare_cached(&format!(
        "SELECT {} FROM events WHERE session_id = ?1 ORDER BY seq",
        rows::EVENT_COLUMNS
    ))?;
    let events = statement.query_map([session.to_string()], |row| Ok(rows::event_of(session, row, 0)))?;
    chain::walk(events, end, until)
}

/// Verifies the file's own structure and every chain.
pub(super) fn check(db: &Connection) -> rusqlite::Result<CheckReport> {
    let mut report = CheckReport::default();
    let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
    for what in rows::collect(statement.query([])?, |row| row.get::<_, String>(0))? {
        if what != "ok" {
            report.problems.push(Problem { session: None, damage: Damage { seq: None, what } });
        }
    }
    let mut statement = db.prepare("SELECT session_id FROM heads UNION SELECT session_id FROM events")?;
    let names = rows::collect(statement.query([])?, |row| {
        Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned())
    })?;
    for name in names {
        report.sessions += 1;
        let damage = match name.parse() {
            Ok(session) => {
                let Walked { events, damage } = walk(db, session, None)?;
                report.events += events.len() as u64;
                damage
            }
            Err(e) => Some(Damage { seq: None, what: format!("{e}") }),
        };
        if let Some(damage) = damage {
            report.problems.push(Problem { session: Some(name), damage });
        }
    }
    Ok(report)
}
