//! Deleted words leave the file: their payloads and salts are dropped, the tables are made again
//! without them, and the file is written anew, so that nothing of them is left in free pages, in the
//! index of words or in the write-ahead log. The chains still verify.

use rusqlite::{Connection, TransactionBehavior, params};

use super::rows::{self, signed};
use super::writer::rebuild_in;
use crate::conversation::erasure::{Erasure, KINDS_OF_MEMORY, KINDS_THAT_STAY};
use crate::conversation::store::CompactReport;

/// See [`crate::conversation::Store::compact`].
pub(super) fn compact(connection: &mut Connection) -> rusqlite::Result<CompactReport> {
    let bytes_before = size(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let erased_events = erase_memories(&transaction)? + erase_sessions(&transaction)?;
    rebuild_in(&transaction)?;
    transaction.commit()?;

    connection.execute("INSERT INTO memory_words (memory_words) VALUES ('rebuild')", [])?;
    connection.execute_batch("VACUUM")?;
    // Old pages are in the write-ahead log until it is cut off. Readers that are at work keep it for a
    // while; the busy timeout waits for them.
    let in_use: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if in_use {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(CompactReport { erased_events, bytes_before, bytes_after: size(connection)? })
}

fn erase_memories(db: &Connection) -> rusqlite::Result<u64> {
    let mut erasure = Erasure::default();
    let mut statement = db.prepare(&format!(
        "SELECT session_id, {} FROM events WHERE kind IN ({}) ORDER BY position",
        rows::EVENT_COLUMNS,
        quoted(&KINDS_OF_MEMORY)
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(session) = rows::parsed(row, 0) else { continue };
        // What cannot be read has no words that could be dropped with a sound chain.
        let Ok(stored) = rows::event_of(session, row, 1) else { continue };
        if let Some(event) = stored.event() {
            erasure.see(session, stored.seq, event);
        }
    }
    let mut erase = db.prepare(
        "UPDATE events SET payload = NULL, salt = NULL
         WHERE session_id = ?1 AND seq = ?2 AND payload IS NOT NULL",
    )?;
    let mut erased = 0;
    for (session, seq) in erasure.erased() {
        erased += erase.execute(params![session.to_string(), signed(seq.0)])? as u64;
    }
    Ok(erased)
}

fn erase_sessions(db: &Connection) -> rusqlite::Result<u64> {
    let deleted = "session_id IN (SELECT session_id FROM deleted_sessions)";
    db.execute(&format!("DELETE FROM cut_events WHERE {deleted}"), [])?;
    let erased = db.execute(
        &format!(
            "UPDATE events SET payload = NULL, salt = NULL
             WHERE {deleted} AND payload IS NOT NULL AND kind NOT IN ({})
               AND NOT (kind = 'session_start' AND EXISTS (
                   SELECT 1 FROM events AS kept WHERE kept.session_id = events.session_id
                   AND kept.kind IN ('memory_item', 'memory') AND kept.payload IS NOT NULL))",
            quoted(&KINDS_THAT_STAY)
        ),
        [],
    )?;
    Ok(erased as u64)
}

/// Names of kinds (ours: without quotes in them) as a list in SQL.
fn quoted(kinds: &[&str]) -> String {
    kinds.iter().map(|kind| format!("'{kind}'")).collect::<Vec<_>>().join(", ")
}

fn size(db: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok((pragma("page_count")? * pragma("page_size")?).cast_unsigned())
}
