//! Rows ↔ values: the tables of memories and audits, and the access tokens. SQL and nothing else.

use tokio_postgres::Row;

use super::connection::{Db, Fault};
use super::rows::{at_most, hash, of, parsed, signed, unsigned};
use crate::conversation::events::MemoryKind;
use crate::conversation::ids::{SeqNo, SessionId};
use crate::conversation::projections::{AuditRow, Change, MemoryItemRow, MemoryRow, Whose};
use crate::conversation::words;

/// Carries out a change of these tables; others are not.
pub(super) async fn project(db: &Db<'_>, change: Change) -> Result<(), Fault> {
    match change {
        Change::AddItem(row) => put_item(db, &row).await,
        Change::Remember { row, from, replaces } => {
            let names = |ids: Vec<SessionId>| ids.iter().map(SessionId::to_string).collect::<Vec<_>>();
            let wait_no_longer = "UPDATE memory_items SET consolidated = true WHERE id = ANY($1)";
            db.execute(wait_no_longer, &[&names(from)]).await?;
            db.execute("DELETE FROM memories WHERE id = ANY($1)", &[&names(replaces)]).await?;
            put_memory(db, &row).await
        }
        Change::Correct { id, text, at_unix_us } => {
            let correct = "UPDATE memories SET text = $2, updated_at_unix_us = $3 WHERE id = $1";
            db.execute(correct, &[&id.to_string(), &text, &at_unix_us]).await?;
            Ok(())
        }
        Change::Forget(id) => {
            db.execute("DELETE FROM memory_items WHERE id = $1", &[&id.to_string()]).await?;
            db.execute("DELETE FROM memories WHERE id = $1", &[&id.to_string()]).await?;
            Ok(())
        }
        Change::Audit(row) => put_audit(db, &row).await,
        Change::Start(_) | Change::Talk(_) | Change::DeleteSession(_) => Ok(()),
    }
}

async fn put_item(db: &Db<'_>, row: &MemoryItemRow) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO memory_items
         VALUES ($1, $2, (SELECT owner FROM conversations WHERE session_id = $2), $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET session_id = excluded.session_id, owner = excluded.owner,
             person = excluded.person, kind = excluded.kind, text = excluded.text, turn = excluded.turn,
             at_unix_us = excluded.at_unix_us, consolidated = excluded.consolidated",
        &[
            &row.id.to_string(),
            &row.session.to_string(),
            &row.person,
            &row.kind.name(),
            &row.text,
            &signed(row.turn),
            &row.at_unix_us,
            &row.consolidated,
        ],
    )
    .await?;
    Ok(())
}

async fn put_memory(db: &Db<'_>, row: &MemoryRow) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO memories (id, session_id, owner, person, text, said_at_unix_us, updated_at_unix_us)
         VALUES ($1, $2, (SELECT owner FROM conversations WHERE session_id = $2), $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET session_id = excluded.session_id, owner = excluded.owner,
             person = excluded.person, text = excluded.text, said_at_unix_us = excluded.said_at_unix_us,
             updated_at_unix_us = excluded.updated_at_unix_us",
        &[
            &row.id.to_string(),
            &row.session.to_string(),
            &row.person,
            &row.text,
            &row.said_at_unix_us,
            &row.updated_at_unix_us,
        ],
    )
    .await?;
    Ok(())
}

async fn put_audit(db: &Db<'_>, row: &AuditRow) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO audits VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        &[
            &row.session.to_string(),
            &signed(row.seq.0),
            &row.at_unix_us,
            &row.actor,
            &row.kind,
            &row.agent,
            &row.filename,
            &signed(row.messages),
        ],
    )
    .await?;
    Ok(())
}

/// See [`crate::conversation::Store::memory_items`].
pub(super) async fn items(db: &Db<'_>, whose: Whose, limit: usize) -> Result<Vec<MemoryItemRow>, Fault> {
    let (all, owner) = of(whose);
    let waiting = "SELECT id, session_id, owner, person, kind, text, turn, at_unix_us, consolidated
                   FROM memory_items WHERE NOT consolidated AND ($1 OR owner IS NOT DISTINCT FROM $2)
                   ORDER BY at_unix_us, id LIMIT $3";
    db.rows(waiting, &[&all, &owner, &at_most(limit)]).await?.iter().map(item_of).collect()
}

/// See [`crate::conversation::Store::memories`].
pub(super) async fn memories(db: &Db<'_>, whose: Whose, limit: usize) -> Result<Vec<MemoryRow>, Fault> {
    let (all, owner) = of(whose);
    let newest = "SELECT id, session_id, owner, person, text, said_at_unix_us, updated_at_unix_us
                  FROM memories WHERE $1 OR owner IS NOT DISTINCT FROM $2
                  ORDER BY updated_at_unix_us DESC, id LIMIT $3";
    db.rows(newest, &[&all, &owner, &at_most(limit)]).await?.iter().map(memory_of).collect()
}

/// See [`crate::conversation::Store::memory`].
pub(super) async fn memory(db: &Db<'_>, id: SessionId) -> Result<Option<MemoryRow>, Fault> {
    let one = "SELECT id, session_id, owner, person, text, said_at_unix_us, updated_at_unix_us
               FROM memories WHERE id = $1";
    db.row(one, &[&id.to_string()]).await?.map(|row| memory_of(&row)).transpose()
}

/// See [`crate::conversation::Store::search_memories`].
pub(super) async fn search(
    db: &Db<'_>,
    whose: Whose,
    person: Option<&str>,
    query: &str,
    limit: usize,
) -> Result<Vec<(MemoryRow, f64)>, Fault> {
    // Words have no quotes in them: nothing of the index's query language can come from outside.
    let quoted: Vec<String> = words::of_query(query).iter().map(|word| format!("'{word}'")).collect();
    if quoted.is_empty() {
        return Ok(vec![]);
    }
    let (all, owner) = of(whose);
    // 1: what is long matches more easily, and counts less for it.
    let best = "SELECT id, session_id, owner, person, text, said_at_unix_us, updated_at_unix_us,
                       ts_rank_cd(words, query, 1)::float8 AS score
                FROM memories, to_tsquery('english', $1) AS query
                WHERE words @@ query AND ($2 OR owner IS NOT DISTINCT FROM $3)
                  AND ($4::text IS NULL OR person = $4)
                ORDER BY score DESC, updated_at_unix_us DESC, id LIMIT $5";
    let rows = db.rows(best, &[&quoted.join(" | "), &all, &owner, &person, &at_most(limit)]).await?;
    rows.iter().map(|row| Ok((memory_of(row)?, row.try_get(7)?))).collect()
}

/// See [`crate::conversation::Store::audits`].
pub(super) async fn audits(db: &Db<'_>, limit: usize) -> Result<Vec<AuditRow>, Fault> {
    let newest = "SELECT session_id, seq, at_unix_us, actor, kind, agent, filename, messages
                  FROM audits ORDER BY at_unix_us DESC, session_id, seq DESC LIMIT $1";
    db.rows(newest, &[&at_most(limit)]).await?.iter().map(audit_of).collect()
}

fn item_of(row: &Row) -> Result<MemoryItemRow, Fault> {
    Ok(MemoryItemRow {
        id: parsed(row, 0)?,
        session: parsed(row, 1)?,
        owner: hash(row, 2)?,
        person: row.try_get(3)?,
        kind: MemoryKind::of_name(row.try_get(4)?),
        text: row.try_get(5)?,
        turn: unsigned(row, 6)?,
        at_unix_us: row.try_get(7)?,
        consolidated: row.try_get(8)?,
    })
}

fn memory_of(row: &Row) -> Result<MemoryRow, Fault> {
    Ok(MemoryRow {
        id: parsed(row, 0)?,
        session: parsed(row, 1)?,
        owner: hash(row, 2)?,
        person: row.try_get(3)?,
        text: row.try_get(4)?,
        said_at_unix_us: row.try_get(5)?,
        updated_at_unix_us: row.try_get(6)?,
    })
}

fn audit_of(row: &Row) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        session: parsed(row, 0)?,
        seq: SeqNo(unsigned(row, 1)?),
        at_unix_us: row.try_get(2)?,
        actor: row.try_get(3)?,
        kind: row.try_get(4)?,
        agent: row.try_get(5)?,
        filename: row.try_get(6)?,
        messages: unsigned(row, 7)?,
    })
}
