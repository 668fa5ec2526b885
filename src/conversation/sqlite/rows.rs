//! Rows ↔ values: the log's tables and those of the conversations. SQL and nothing else.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::memory_rows;
use crate::conversation::chain::{Damage, StoredEvent};
use crate::conversation::events::Spot;
use crate::conversation::history::{HistoryMessage, Role};
use crate::conversation::ids::{Hash, Head, SeqNo, SessionId};
use crate::conversation::projections::{Change, ConversationRow, Ended, MessageRow, Talk, Whose, change};
use crate::conversation::store::MAX_COMPACTIONS;

/// The columns that [`event_of`] reads, in its order.
pub(super) const EVENT_COLUMNS: &str =
    "events.seq, kind, at_unix_us, payload, salt, digest, prev_hash, events.hash";

/// The event in the columns from `first` of this row. Damage may have made anything of them.
pub(super) fn event_of(session: SessionId, row: &Row<'_>, first: usize) -> Result<StoredEvent, Damage> {
    let seq: Option<SeqNo> = integer(row, first).and_then(|seq| u64::try_from(seq).ok()).map(SeqNo);
    let damage = |column: &str| Damage { seq, what: format!("its {column} is unreadable") };
    let hash = |column: usize, name: &str| {
        bytes(row, first + column)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Hash)
            .ok_or_else(|| damage(name))
    };
    Ok(StoredEvent {
        session,
        seq: seq.ok_or_else(|| damage("number"))?,
        kind: bytes(row, first + 1)
            .and_then(|text| String::from_utf8(text).ok())
            .ok_or_else(|| damage("kind"))?,
        at_unix_us: integer(row, first + 2).ok_or_else(|| damage("time"))?,
        payload: bytes(row, first + 3),
        salt: bytes(row, first + 4),
        digest: hash(5, "digest")?,
        prev_hash: hash(6, "link to the event before it")?,
        hash: hash(7, "hash")?,
    })
}

fn integer(row: &Row<'_>, column: usize) -> Option<i64> {
    row.get_ref(column).ok()?.as_i64().ok()
}

/// The bytes of a text or blob; `None` for anything else.
fn bytes(row: &Row<'_>, column: usize) -> Option<Vec<u8>> {
    row.get_ref(column).ok()?.as_bytes().ok().map(<[u8]>::to_vec)
}

/// SQLite's integers are signed; the same bits go in and come out.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

/// The head in the columns `seq, hash` from `first` of this row. Damage may have made anything of them.
pub(super) fn head_of(row: &Row<'_>, first: usize) -> Result<Head, Damage> {
    let seq = integer(row, first).and_then(|seq| u64::try_from(seq).ok()).map(SeqNo);
    let hash = bytes(row, first + 1).and_then(|bytes| bytes.try_into().ok()).map(Hash);
    let head = seq.zip(hash).map(|(seq, hash)| Head { seq, hash });
    head.ok_or_else(|| Damage { seq: None, what: "its head is unreadable".into() })
}

/// Where a session's chain should end; `None` if there is no such session.
pub(super) fn head(db: &Connection, session: SessionId) -> rusqlite::Result<Option<Result<Head, Damage>>> {
    db.prepare_cached("SELECT seq, hash FROM heads WHERE session_id = ?1")?
        .query_row([session.to_string()], |row| Ok(head_of(row, 0)))
        .optional()
}

/// Moves a session's head.
pub(super) fn put_head(db: &Connection, session: SessionId, head: Head) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO heads (session_id, seq, hash) VALUES (?1, ?2, ?3)
         ON CONFLICT (session_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
    )?
    .execute(params![session.to_string(), signed(head.seq.0), head.hash.0])?;
    Ok(())
}

/// One event of a session, unverified.
pub(super) fn event(
    db: &Connection,
    session: SessionId,
    seq: SeqNo,
) -> rusqlite::Result<Option<Result<StoredEvent, Damage>>> {
    db.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events WHERE session_id = ?1 AND seq = ?2"))?
        .query_row(params![session.to_string(), signed(seq.0)], |row| Ok(event_of(session, row, 0)))
        .optional()
}

/// Writes an event and what it does to the projections.
pub(super) fn put_event(db: &Connection, event: &StoredEvent) -> rusqlite::Result<()> {
    // As text, so that people can read it with sqlite3.
    let payload = event.payload.as_deref().map(str::from_utf8).transpose();
    let payload = payload.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    db.prepare_cached(
        "INSERT INTO events (session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        event.session.to_string(),
        signed(event.seq.0),
        event.kind,
        event.at_unix_us,
        payload,
        event.salt,
        event.digest.0,
        event.prev_hash.0,
        event.hash.0,
    ])?;
    project(db, event)
}

/// Carries out what an event does to the projections, see [`change`].
pub(super) fn project(db: &Connection, event: &StoredEvent) -> rusqlite::Result<()> {
    match change(event) {
        None => Ok(()),
        Some(Change::Start(row)) => put_conversation(db, &row),
        Some(Change::Talk(talk)) => project_talk(db, event, talk),
        Some(Change::DeleteSession(session)) => delete_session(db, session),
        Some(
            other @ (Change::AddItem(_)
            | Change::Remember { .. }
            | Change::Correct { .. }
            | Change::Forget(_)
            | Change::Audit(_)),
        ) => memory_rows::project(db, other),
    }
}

fn project_talk(db: &Connection, event: &StoredEvent, talk: Talk) -> rusqlite::Result<()> {
    let session = event.session.to_string();
    let (mut turns, mut messages, mut ended) = (0_i64, 0_i64, None);
    match &talk {
        Talk::EndTurn => turns = 1,
        Talk::Say(_) => messages = 1,
        Talk::End(end) => ended = Some(end),
        Talk::Amend { .. } | Talk::Withdraw(_) => {}
    }
    let known = db
        .prepare_cached(
            "UPDATE conversations SET updated_at_unix_us = ?2, turns = turns + ?3, messages = messages + ?4,
                    ended_at_unix_us = coalesce(?5, ended_at_unix_us), end_reason = coalesce(?6, end_reason)
             WHERE session_id = ?1",
        )?
        .execute(params![
            session,
            event.at_unix_us,
            turns,
            messages,
            ended.map(|end| end.at_unix_us),
            ended.map(|end| &end.reason),
        ])?;
    match talk {
        Talk::Say(row) if known == 1 => put_message(db, &row),
        Talk::Amend { turn, heard_text, estimated } if known == 1 => {
            let reply = db
                .prepare_cached(
                    "SELECT * FROM messages WHERE session_id = ?1 AND turn = ?2 AND role = 'assistant'
                     ORDER BY seq DESC LIMIT 1",
                )?
                .query_row(params![session, signed(turn)], message_of)
                .optional()?;
            let Some(mut row) = reply else { return Ok(()) };
            row.message.amend(&heard_text, estimated);
            put_message(db, &row)
        }
        Talk::Withdraw(spot) if known == 1 => withdraw(db, &session, &spot),
        _ => Ok(()),
    }
}

fn delete_session(db: &Connection, session: SessionId) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM messages WHERE session_id = ?1",
        "DELETE FROM conversations WHERE session_id = ?1",
        "INSERT OR IGNORE INTO deleted_sessions (session_id) VALUES (?1)",
    ] {
        db.prepare_cached(statement)?.execute([session.to_string()])?;
    }
    Ok(())
}

/// Whether a session was deleted.
pub(super) fn is_deleted(db: &Connection, session: SessionId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM deleted_sessions WHERE session_id = ?1)")?
        .query_row([session.to_string()], |row| row.get(0))
}

fn withdraw(db: &Connection, session: &str, spot: &Spot) -> rusqlite::Result<()> {
    let mut of_turn = db.prepare_cached("SELECT * FROM messages WHERE session_id = ?1 AND turn = ?2")?;
    let rows: Vec<MessageRow> =
        of_turn.query_map(params![session, signed(spot.turn)], message_of)?.collect::<Result<_, _>>()?;
    for row in rows.iter().filter(|row| row.message.is_at(spot)) {
        db.prepare_cached("DELETE FROM messages WHERE session_id = ?1 AND seq = ?2")?
            .execute(params![session, signed(row.seq.0)])?;
        db.prepare_cached("UPDATE conversations SET messages = messages - 1 WHERE session_id = ?1")?
            .execute(params![session])?;
    }
    Ok(())
}

fn put_conversation(db: &Connection, row: &ConversationRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO conversations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        row.session.to_string(),
        row.agent,
        row.frontend,
        row.owner.map(|hash| hash.0),
        row.forked_from.map(json),
        row.compacted_from.map(json),
        row.started_at_unix_us,
        row.updated_at_unix_us,
        signed(row.turns),
        signed(row.messages),
        row.ended.as_ref().map(|end| end.at_unix_us),
        row.ended.as_ref().map(|end| &end.reason),
    ])?;
    Ok(())
}

fn put_message(db: &Connection, row: &MessageRow) -> rusqlite::Result<()> {
    let message = &row.message;
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::ToolCall => "tool_call",
        Role::ToolResult => "tool_result",
        Role::Assistant => "assistant",
    };
    let tool = message.tool.as_ref().map(json);
    db.prepare_cached(
        "INSERT OR REPLACE INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        row.session.to_string(),
        signed(row.seq.0),
        signed(message.turn),
        role,
        message.text,
        message.whole_reply,
        message.estimated,
        message.interrupted,
        message.typed,
        message.at_unix_us,
        tool,
    ])?;
    Ok(())
}

/// See [`crate::conversation::Store::conversations`].
pub(super) fn conversations(
    db: &Connection,
    whose: Whose,
    limit: usize,
) -> rusqlite::Result<Vec<ConversationRow>> {
    let (all, owner) = memory_rows::of(whose);
    let mut statement = db.prepare_cached(
        "SELECT * FROM conversations WHERE ?1 OR owner IS ?2
         ORDER BY updated_at_unix_us DESC, session_id LIMIT ?3",
    )?;
    collect(statement.query(params![all, owner, memory_rows::at_most(limit)])?, conversation_of)
}

/// See [`crate::conversation::Store::successor`].
pub(super) fn successor(db: &Connection, session: SessionId) -> rusqlite::Result<Option<SessionId>> {
    let mut next = db.prepare_cached(
        "SELECT session_id FROM conversations WHERE compacted_from ->> '$.session' = ?1
         ORDER BY started_at_unix_us DESC, session_id LIMIT 1",
    )?;
    let mut found = None;
    // (Hashes of hashes cannot go round in a circle; a broken table could.)
    for _ in 0..MAX_COMPACTIONS {
        let of: SessionId = found.unwrap_or(session);
        match next.query_row([of.to_string()], |row| parsed(row, 0)).optional()? {
            Some(session) => found = Some(session),
            None => break,
        }
    }
    Ok(found)
}

/// The conversation in a row of `SELECT * FROM conversations`.
pub(super) fn conversation_of(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    let ended_at: Option<i64> = row.get(10)?;
    let reason: Option<String> = row.get(11)?;
    Ok(ConversationRow {
        session: parsed(row, 0)?,
        agent: row.get(1)?,
        frontend: row.get(2)?,
        owner: row.get::<_, Option<_>>(3)?.map(Hash),
        forked_from: from_json(row, 4)?,
        compacted_from: from_json(row, 5)?,
        started_at_unix_us: row.get(6)?,
        updated_at_unix_us: row.get(7)?,
        turns: unsigned(row, 8)?,
        messages: unsigned(row, 9)?,
        ended: ended_at.zip(reason).map(|(at_unix_us, reason)| Ended { at_unix_us, reason }),
    })
}

/// The message in a row of `SELECT * FROM messages`.
pub(super) fn message_of(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let role: String = row.get(3)?;
    Ok(MessageRow {
        session: parsed(row, 0)?,
        seq: SeqNo(unsigned(row, 1)?),
        message: HistoryMessage {
            turn: unsigned(row, 2)?,
            role: match role.as_str() {
                "system" => Role::System,
                "user" => Role::User,
                "tool_call" => Role::ToolCall,
                "tool_result" => Role::ToolResult,
                _ => Role::Assistant,
            },
            text: row.get(4)?,
            whole_reply: row.get(5)?,
            estimated: row.get(6)?,
            interrupted: row.get(7)?,
            typed: row.get(8)?,
            at_unix_us: row.get(9)?,
            tool: from_json(row, 10)?,
        },
    })
}

/// All rows as values.
pub(super) fn collect<T>(
    mut rows: Rows<'_>,
    of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut all = vec![];
    while let Some(row) = rows.next()? {
        all.push(of(row)?);
    }
    Ok(all)
}

pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// Places and tools: structs with text keys, of which making JSON cannot fail.
pub(super) fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).expect("names and numbers are JSON")
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}
