//! Rows ↔ values: the tables of memories and audits. SQL and nothing else.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{collect, parsed, signed, unsigned};
use crate::conversation::events::MemoryKind;
use crate::conversation::ids::{Hash, SeqNo, SessionId};
use crate::conversation::projections::{AuditRow, Change, MemoryItemRow, MemoryRow, Whose};
use crate::conversation::words;

/// Columns of `memories` that [`memory_of`] reads.
const MEMORY_COLUMNS: &str =
    "id, session_id, owner, person, memories.text, said_at_unix_us, updated_at_unix_us";

/// Carries out a change of these tables; others are not.
pub(super) fn project(db: &Connection, change: Change) -> rusqlite::Result<()> {
    match change {
        Change::AddItem(row) => put_item(db, &row),
        Change::Remember { row, from, replaces } => {
            for id in from {
                db.prepare_cached("UPDATE memory_items SET consolidated = 1 WHERE id = ?1")?
                    .execute([id.to_string()])?;
            }
            for id in replaces.iter().chain([&row.id]) {
                delete_memory(db, *id)?;
            }
            put_memory(db, &row)
        }
        Change::Correct { id, text, at_unix_us } => {
            db.prepare_cached("UPDATE memories SET text = ?2, updated_at_unix_us = ?3 WHERE id = ?1")?
                .execute(params![id.to_string(), text, at_unix_us])?;
            Ok(())
        }
        Change::Forget(id) => {
            db.prepare_cached("DELETE FROM memory_items WHERE id = ?1")?.execute([id.to_string()])?;
            delete_memory(db, id)
        }
        Change::Audit(row) => put_audit(db, &row),
        Change::Start(_) | Change::Talk(_) | Change::DeleteSession(_) => Ok(()),
    }
}

fn put_item(db: &Connection, row: &MemoryItemRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO memory_items VALUES
         (?1, ?2, (SELECT owner FROM conversations WHERE session_id = ?2), ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        row.id.to_string(),
        row.session.to_string(),
        row.person,
        row.kind.name(),
        row.text,
        signed(row.turn),
        row.at_unix_us,
        row.consolidated,
    ])?;
    Ok(())
}

fn put_memory(db: &Connection, row: &MemoryRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO memories (id, session_id, owner, person, text, said_at_unix_us, updated_at_unix_us)
         VALUES (?1, ?2, (SELECT owner FROM conversations WHERE session_id = ?2), ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        row.id.to_string(),
        row.session.to_string(),
        row.person,
        row.text,
        row.said_at_unix_us,
        row.updated_at_unix_us,
    ])?;
    Ok(())
}

/// (A row that is replaced by `INSERT OR REPLACE` would not leave the index of words.)
fn delete_memory(db: &Connection, id: SessionId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM memories WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

fn put_audit(db: &Connection, row: &AuditRow) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO audits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
        params![
            row.session.to_string(),
            signed(row.seq.0),
            row.at_unix_us,
            row.actor,
            row.kind,
            row.agent,
            row.filename,
            signed(row.messages),
        ],
    )?;
    Ok(())
}

/// See [`crate::conversation::Store::memory_items`].
pub(super) fn items(db: &Connection, whose: Whose, limit: usize) -> rusqlite::Result<Vec<MemoryItemRow>> {
    let (all, owner) = of(whose);
    let mut statement = db.prepare_cached(
        "SELECT * FROM memory_items WHERE NOT consolidated AND (?1 OR owner IS ?2)
         ORDER BY at_unix_us, id LIMIT ?3",
    )?;
    collect(statement.query(params![all, owner, at_most(limit)])?, item_of)
}

/// See [`crate::conversation::Store::memories`].
pub(super) fn memories(db: &Connection, whose: Whose, limit: usize) -> rusqlite::Result<Vec<MemoryRow>> {
    let (all, owner) = of(whose);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {MEMORY_COLUMNS} FROM memories WHERE ?1 OR owner IS ?2
         ORDER BY updated_at_unix_us DESC, id LIMIT ?3"
    ))?;
    collect(statement.query(params![all, owner, at_most(limit)])?, memory_of)
}

/// See [`crate::conversation::Store::memory`].
pub(super) fn memory(db: &Connection, id: SessionId) -> rusqlite::Result<Option<MemoryRow>> {
    db.prepare_cached(&format!("SELECT {MEMORY_COLUMNS} FROM memories WHERE id = ?1"))?
        .query_row([id.to_string()], memory_of)
        .optional()
}

/// See [`crate::conversation::Store::search_memories`].
pub(super) fn search(
    db: &Connection,
    whose: Whose,
    person: Option<&str>,
    query: &str,
    limit: usize,
) -> rusqlite::Result<Vec<(MemoryRow, f64)>> {
    // Words have no quotes in them: nothing of the index's query language can come from outside.
    let quoted: Vec<String> = words::of_query(query).iter().map(|word| format!("\"{word}\"")).collect();
    if quoted.is_empty() {
        return Ok(vec![]);
    }
    let (all, owner) = of(whose);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {MEMORY_COLUMNS}, -bm25(memory_words) AS score
         FROM memory_words JOIN memories ON memories.number = memory_words.rowid
         WHERE memory_words MATCH ?1 AND (?2 OR owner IS ?3) AND (?4 IS NULL OR person = ?4)
         ORDER BY score DESC, updated_at_unix_us DESC, id LIMIT ?5"
    ))?;
    let rows = statement.query(params![quoted.join(" OR "), all, owner, person, at_most(limit)])?;
    collect(rows, |row| Ok((memory_of(row)?, row.get(7)?)))
}

/// See [`crate::conversation::Store::audits`].
pub(super) fn audits(db: &Connection, limit: usize) -> rusqlite::Result<Vec<AuditRow>> {
    let newest = "SELECT * FROM audits ORDER BY at_unix_us DESC, session_id, seq DESC LIMIT ?1";
    collect(db.prepare_cached(newest)?.query([at_most(limit)])?, audit_of)
}

/// Whether all are meant, and whose if not: for `?1 OR owner IS ?2`.
pub(super) fn of(whose: Whose) -> (bool, Option<[u8; 32]>) {
    match whose {
        Whose::All => (true, None),
        Whose::Of(owner) => (false, owner.map(|hash| hash.0)),
    }
}

/// For `LIMIT`.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn item_of(row: &Row<'_>) -> rusqlite::Result<MemoryItemRow> {
    Ok(MemoryItemRow {
        id: parsed(row, 0)?,
        session: parsed(row, 1)?,
        owner: row.get::<_, Option<_>>(2)?.map(Hash),
        person: row.get(3)?,
        kind: MemoryKind::of_name(&row.get::<_, String>(4)?),
        text: row.get(5)?,
        turn: unsigned(row, 6)?,
        at_unix_us: row.get(7)?,
        consolidated: row.get(8)?,
    })
}

fn memory_of(row: &Row<'_>) -> rusqlite::Result<MemoryRow> {
    Ok(MemoryRow {
        id: parsed(row, 0)?,
        session: parsed(row, 1)?,
        owner: row.get::<_, Option<_>>(2)?.map(Hash),
        person: row.get(3)?,
        text: row.get(4)?,
        said_at_unix_us: row.get(5)?,
        updated_at_unix_us: row.get(6)?,
    })
}

fn audit_of(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        session: parsed(row, 0)?,
        seq: SeqNo(unsigned(row, 1)?),
        at_unix_us: row.get(2)?,
        actor: row.get(3)?,
        kind: row.get(4)?,
        agent: row.get(5)?,
        filename: row.get(6)?,
        messages: unsigned(row, 7)?,
    })
}
