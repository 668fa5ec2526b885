//! Deleted words leave the tables: as in the embedded store (see `sqlite/compact.rs`). The database
//! server's own write-ahead log, its archives and backups are its operator's to look after.

use tokio_postgres::IsolationLevel;

use super::connection::{Db, Fault, Link};
use super::rows::{self, signed};
use super::writer::{rebuild_in, stop_others};
use crate::conversation::erasure::{Erasure, KINDS_OF_MEMORY, KINDS_THAT_STAY};
use crate::conversation::store::CompactReport;

/// Tables that words are in.
const TABLES_WITH_WORDS: [&str; 7] =
    ["events", "cut_events", "conversations", "messages", "memory_items", "memories", "audits"];

/// See [`crate::conversation::Store::compact`].
pub(super) fn compact(link: &mut Link) -> Result<CompactReport, Fault> {
    let (bytes_before, erased_events) =
        link.transaction(IsolationLevel::ReadCommitted, &async |db: &Db<'_>| {
            let bytes_before = size(db).await?;
            stop_others(db).await?;
            let erased = erase_memories(db).await? + erase_sessions(db).await?;
            rebuild_in(db).await?;
            Ok((bytes_before, erased))
        })?;
    for table in TABLES_WITH_WORDS {
        link.execute_alone(&format!("VACUUM (FULL) {table}"))?;
    }
    let bytes_after = link.transaction(IsolationLevel::ReadCommitted, &async |db: &Db<'_>| size(db).await)?;
    Ok(CompactReport { erased_events, bytes_before, bytes_after })
}

async fn erase_memories(db: &Db<'_>) -> Result<u64, Fault> {
    let of_memory = "SELECT session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash
                     FROM events WHERE kind = ANY($1) ORDER BY position";
    let mut erasure = Erasure::default();
    for row in db.rows(of_memory, &[&&KINDS_OF_MEMORY[..]]).await? {
        let Ok(session) = rows::parsed(&row, 0) else { continue };
        // What cannot be read has no words that could be dropped with a sound chain.
        let Ok(stored) = rows::event_of(session, &row, 1) else { continue };
        if let Some(event) = stored.event() {
            erasure.see(session, stored.seq, event);
        }
    }
    let erase = "UPDATE events SET payload = NULL, salt = NULL
                 WHERE session_id = $1 AND seq = $2 AND payload IS NOT NULL";
    let mut erased = 0;
    for (session, seq) in erasure.erased() {
        erased += db.execute(erase, &[&session.to_string(), &signed(seq.0)]).await?;
    }
    Ok(erased)
}

async fn erase_sessions(db: &Db<'_>) -> Result<u64, Fault> {
    db.batch("DELETE FROM cut_events WHERE session_id IN (SELECT session_id FROM deleted_sessions)").await?;
    let erase = "UPDATE events SET payload = NULL, salt = NULL
                 WHERE session_id IN (SELECT session_id FROM deleted_sessions) AND payload IS NOT NULL
                   AND kind <> ALL($1)
                   AND NOT (kind = 'session_start' AND EXISTS (
                       SELECT 1 FROM events AS kept WHERE kept.session_id = events.session_id
                       AND kept.kind IN ('memory_item', 'memory') AND kept.payload IS NOT NULL))";
    db.execute(erase, &[&&KINDS_THAT_STAY[..]]).await
}

async fn size(db: &Db<'_>) -> Result<u64, Fault> {
    match db.row("SELECT pg_database_size(current_database())", &[]).await? {
        Some(row) => rows::unsigned(&row, 0),
        None => Ok(0),
    }
}
