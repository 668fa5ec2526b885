//! Rows ↔ values: the log's tables and those of the conversations. SQL and nothing else.

use std::str::FromStr;

use tokio_postgres::Row;

use super::connection::{Db, Fault};
use super::memory_rows;
use crate::conversation::chain::{Damage, StoredEvent, Walked, walk};
use crate::conversation::events::Spot;
use crate::conversation::ids::{Hash, Head, SeqNo, SessionId};
use crate::conversation::projections::{Change, ConversationRow, Ended, MessageRow, Talk, Whose, change};
use crate::conversation::store::MAX_COMPACTIONS;

/// The event in the columns `seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash` from `first`
/// of this row. Damage may have made anything of them.
pub(super) fn event_of(session: SessionId, row: &Row, first: usize) -> Result<StoredEvent, Damage> {
    let seq = row.try_get::<_, i64>(first).ok().and_then(|seq| u64::try_from(seq).ok()).map(SeqNo);
    let damage = |column: &str| Damage { seq, what: format!("its {column} is unreadable") };
    let hash = |column: usize, name: &str| {
        let bytes: Option<Vec<u8>> = row.try_get(first + column).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Hash).ok_or_else(|| damage(name))
    };
    Ok(StoredEvent {
        session,
        seq: seq.ok_or_else(|| damage("number"))?,
        kind: row.try_get(first + 1).map_err(|_| damage("kind"))?,
        at_unix_us: row.try_get(first + 2).map_err(|_| damage("time"))?,
        payload: row.try_get(first + 3).map_err(|_| damage("payload"))?,
        salt: row.try_get(first + 4).map_err(|_| damage("salt"))?,
        digest: hash(5, "digest")?,
        prev_hash: hash(6, "link to the event before it")?,
        hash: hash(7, "hash")?,
    })
}

/// The head in the columns `seq, hash` from `first` of this row.
pub(super) fn head_of(row: &Row, first: usize) -> Result<Head, Damage> {
    let seq = row.try_get::<_, i64>(first).ok().and_then(|seq| u64::try_from(seq).ok()).map(SeqNo);
    let hash = row.try_get::<_, Vec<u8>>(first + 1).ok().and_then(|hash| hash.try_into().ok()).map(Hash);
    let head = seq.zip(hash).map(|(seq, hash)| Head { seq, hash });
    head.ok_or_else(|| Damage { seq: None, what: "its head is unreadable".into() })
}

/// PostgreSQL's integers are signed; the same bits go in and come out.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(row: &Row, column: usize) -> Result<u64, Fault> {
    Ok(row.try_get::<_, i64>(column).map(i64::cast_unsigned)?)
}

/// A name (of a session, …) in this column.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(row: &Row, column: usize) -> Result<T, Fault> {
    row.try_get::<_, &str>(column)?.parse().map_err(|e| Fault::Content(format!("{e}")))
}

/// The hash, if any, in this column.
pub(super) fn hash(row: &Row, column: usize) -> Result<Option<Hash>, Fault> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    let wrong = |_| Fault::Content("a hash is not 32 bytes long".into());
    bytes.map(|bytes| bytes.try_into().map(Hash).map_err(wrong)).transpose()
}

/// For a `BYTEA`.
pub(super) fn bytes(hash: Option<Hash>) -> Option<Vec<u8>> {
    hash.map(|hash| hash.0.to_vec())
}

/// For `LIMIT`.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Whether all are meant, and whose if not: for `$1 OR owner IS NOT DISTINCT FROM $2`.
pub(super) fn of(whose: Whose) -> (bool, Option<Vec<u8>>) {
    match whose {
        Whose::All => (true, None),
        Whose::Of(owner) => (false, bytes(owner)),
    }
}

/// Whether a session was deleted.
pub(super) async fn is_deleted(db: &Db<'_>, session: SessionId) -> Result<bool, Fault> {
    let found = "SELECT 1 FROM deleted_sessions WHERE session_id = $1";
    Ok(db.row(found, &[&session.to_string()]).await?.is_some())
}

/// One event of a session, unverified.
pub(super) async fn event(
    db: &Db<'_>,
    session: SessionId,
    seq: SeqNo,
) -> Result<Option<Result<StoredEvent, Damage>>, Fault> {
    let one = "SELECT seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash
               FROM events WHERE session_id = $1 AND seq = $2";
    let row = db.row(one, &[&session.to_string(), &signed(seq.0)]).await?;
    Ok(row.map(|row| event_of(session, &row, 0)))
}

/// All events of a session, unverified, in order.
pub(super) async fn events(
    db: &Db<'_>,
    session: SessionId,
) -> Result<Vec<Result<StoredEvent, Damage>>, Fault> {
    let all = "SELECT seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash
               FROM events WHERE session_id = $1 ORDER BY seq";
    let rows = db.rows(all, &[&session.to_string()]).await?;
    Ok(rows.iter().map(|row| event_of(session, row, 0)).collect())
}

/// Verifies a session's chain, to its head or to the event with the hash `until`.
pub(super) async fn walk_session(
    db: &Db<'_>,
    session: SessionId,
    until: Option<Hash>,
) -> Result<Walked, Fault> {
    let head = db.row("SELECT seq, hash FROM heads WHERE session_id = $1", &[&session.to_string()]).await?;
    let end = match head.map(|row| head_of(&row, 0)).transpose() {
        Ok(end) => end,
        Err(damage) => return Ok(Walked { events: vec![], damage: Some(damage) }),
    };
    walk(events(db, session).await?.into_iter().map(Ok), end, until)
}

/// Writes events, all in one go, and what they do to the projections.
pub(super) async fn put_events(db: &Db<'_>, events: &[StoredEvent]) -> Result<(), Fault> {
    let sessions: Vec<String> = events.iter().map(|event| event.session.to_string()).collect();
    let seqs: Vec<i64> = events.iter().map(|event| signed(event.seq.0)).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let times: Vec<i64> = events.iter().map(|event| event.at_unix_us).collect();
    let payloads: Vec<Option<&[u8]>> = events.iter().map(|event| event.payload.as_deref()).collect();
    let salts: Vec<Option<&[u8]>> = events.iter().map(|event| event.salt.as_deref()).collect();
    let hashes = |of: fn(&StoredEvent) -> &Hash| events.iter().map(|e| &of(e).0[..]).collect::<Vec<_>>();
    let digests = hashes(|event| &event.digest);
    let prev_hashes = hashes(|event| &event.prev_hash);
    let own_hashes = hashes(|event| &event.hash);
    db.execute(
        "INSERT INTO events (session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash)
         SELECT session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash
         FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[],
                     $7::bytea[], $8::bytea[], $9::bytea[])
         WITH ORDINALITY AS new (session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash, n)
         ORDER BY n",
        &[&sessions, &seqs, &kinds, &times, &payloads, &salts, &digests, &prev_hashes, &own_hashes],
    )
    .await?;
    for event in events {
        project(db, event).await?;
    }
    Ok(())
}

/// Moves heads.
pub(super) async fn put_heads(
    db: &Db<'_>,
    heads: impl IntoIterator<Item = (SessionId, Head)>,
) -> Result<(), Fault> {
    let (mut sessions, mut seqs, mut hashes) = (vec![], vec![], vec![]);
    for (session, head) in heads {
        sessions.push(session.to_string());
        seqs.push(signed(head.seq.0));
        hashes.push(head.hash.0.to_vec());
    }
    db.execute(
        "INSERT INTO heads (session_id, seq, hash) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
         ON CONFLICT (session_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
        &[&sessions, &seqs, &hashes],
    )
    .await?;
    Ok(())
}

/// Carries out what an event does to the projections, see [`change`].
pub(super) async fn project(db: &Db<'_>, event: &StoredEvent) -> Result<(), Fault> {
    match change(event) {
        None => Ok(()),
        Some(Change::Start(row)) => put_conversation(db, &row).await,
        Some(Change::Talk(talk)) => project_talk(db, event, talk).await,
        Some(Change::DeleteSession(session)) => delete_session(db, session).await,
        Some(
            other @ (Change::AddItem(_)
            | Change::Remember { .. }
            | Change::Correct { .. }
            | Change::Forget(_)
            | Change::Audit(_)),
        ) => memory_rows::project(db, other).await,
    }
}

async fn project_talk(db: &Db<'_>, event: &StoredEvent, talk: Talk) -> Result<(), Fault> {
    let session = event.session.to_string();
    let (mut turns, mut messages, mut ended) = (0_i64, 0_i64, None);
    match &talk {
        Talk::EndTurn => turns = 1,
        Talk::Say(_) => messages = 1,
        Talk::End(end) => ended = Some(end),
        Talk::Amend { .. } | Talk::Withdraw(_) => {}
    }
    let known = db
        .execute(
            "UPDATE conversations SET updated_at_unix_us = $2, turns = turns + $3, messages = messages + $4,
                    ended_at_unix_us = coalesce($5, ended_at_unix_us), end_reason = coalesce($6, end_reason)
             WHERE session_id = $1",
            &[
                &session,
                &event.at_unix_us,
                &turns,
                &messages,
                &ended.map(|end| end.at_unix_us),
                &ended.map(|end| &end.reason),
            ],
        )
        .await?;
    match talk {
        Talk::Say(row) if known == 1 => put_message(db, &row).await,
        Talk::Amend { turn, heard_text, estimated } if known == 1 => {
            let newest = "SELECT session_id, seq, message FROM messages
                          WHERE session_id = $1 AND turn = $2 AND role = 'assistant' ORDER BY seq DESC LIMIT 1";
            let reply = db.row(newest, &[&session, &signed(turn)]).await?;
            let Some(row) = reply else { return Ok(()) };
            let mut row = message_of(&row)?;
            row.message.amend(&heard_text, estimated);
            put_message(db, &row).await
        }
        Talk::Withdraw(spot) if known == 1 => withdraw(db, &session, &spot).await,
        _ => Ok(()),
    }
}

async fn withdraw(db: &Db<'_>, session: &str, spot: &Spot) -> Result<(), Fault> {
    let of_turn = "SELECT session_id, seq, message FROM messages WHERE session_id = $1 AND turn = $2";
    for row in db.rows(of_turn, &[&session, &signed(spot.turn)]).await? {
        let row = message_of(&row)?;
        if row.message.is_at(spot) {
            let one = "DELETE FROM messages WHERE session_id = $1 AND seq = $2";
            db.execute(one, &[&session, &signed(row.seq.0)]).await?;
            let less = "UPDATE conversations SET messages = messages - 1 WHERE session_id = $1";
            db.execute(less, &[&session]).await?;
        }
    }
    Ok(())
}

async fn delete_session(db: &Db<'_>, session: SessionId) -> Result<(), Fault> {
    for statement in [
        "DELETE FROM messages WHERE session_id = $1",
        "DELETE FROM conversations WHERE session_id = $1",
        "INSERT INTO deleted_sessions (session_id) VALUES ($1) ON CONFLICT DO NOTHING",
    ] {
        db.execute(statement, &[&session.to_string()]).await?;
    }
    Ok(())
}

async fn put_conversation(db: &Db<'_>, row: &ConversationRow) -> Result<(), Fault> {
    let statement = "
        INSERT INTO conversations VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (session_id) DO UPDATE SET agent = excluded.agent, frontend = excluded.frontend,
            owner = excluded.owner, forked_from = excluded.forked_from,
            compacted_from = excluded.compacted_from, predecessor = excluded.predecessor,
            started_at_unix_us = excluded.started_at_unix_us,
            updated_at_unix_us = excluded.updated_at_unix_us, turns = excluded.turns,
            messages = excluded.messages, ended_at_unix_us = NULL, end_reason = NULL";
    db.execute(
        statement,
        &[
            &row.session.to_string(),
            &row.agent,
            &row.frontend,
            &bytes(row.owner),
            &row.forked_from.map(json),
            &row.compacted_from.map(json),
            &row.compacted_from.map(|origin| origin.session.to_string()),
            &row.started_at_unix_us,
            &row.updated_at_unix_us,
            &signed(row.turns),
            &signed(row.messages),
            &row.ended.as_ref().map(|end| end.at_unix_us),
            &row.ended.as_ref().map(|end| &end.reason),
        ],
    )
    .await?;
    Ok(())
}

async fn put_message(db: &Db<'_>, row: &MessageRow) -> Result<(), Fault> {
    let role = json(row.message.role);
    db.execute(
        "INSERT INTO messages VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (session_id, seq) DO UPDATE SET
             turn = excluded.turn, role = excluded.role, message = excluded.message",
        &[
            &row.session.to_string(),
            &signed(row.seq.0),
            &signed(row.message.turn),
            &role.trim_matches('"'),
            &json(&row.message),
        ],
    )
    .await?;
    Ok(())
}

/// See [`crate::conversation::Store::conversations`].
pub(super) async fn conversations(
    db: &Db<'_>,
    whose: Whose,
    limit: usize,
) -> Result<Vec<ConversationRow>, Fault> {
    let (all, owner) = of(whose);
    let newest = "SELECT session_id, agent, frontend, owner, forked_from, compacted_from, started_at_unix_us,
                         updated_at_unix_us, turns, messages, ended_at_unix_us, end_reason
                  FROM conversations WHERE $1 OR owner IS NOT DISTINCT FROM $2
                  ORDER BY updated_at_unix_us DESC, session_id LIMIT $3";
    db.rows(newest, &[&all, &owner, &at_most(limit)]).await?.iter().map(conversation_of).collect()
}

/// See [`crate::conversation::Store::successor`].
pub(super) async fn successor(db: &Db<'_>, session: SessionId) -> Result<Option<SessionId>, Fault> {
    let next = "SELECT session_id FROM conversations WHERE predecessor = $1
                ORDER BY started_at_unix_us DESC, session_id LIMIT 1";
    let mut found = None;
    for _ in 0..MAX_COMPACTIONS {
        let of: SessionId = found.unwrap_or(session);
        match db.row(next, &[&of.to_string()]).await? {
            Some(row) => found = Some(parsed(&row, 0)?),
            None => break,
        }
    }
    Ok(found)
}

/// See [`crate::conversation::Store::messages`].
pub(super) async fn messages(db: &Db<'_>, session: SessionId) -> Result<Vec<MessageRow>, Fault> {
    let in_order = "SELECT session_id, seq, message FROM messages WHERE session_id = $1 ORDER BY seq";
    db.rows(in_order, &[&session.to_string()]).await?.iter().map(message_of).collect()
}

fn conversation_of(row: &Row) -> Result<ConversationRow, Fault> {
    let ended_at: Option<i64> = row.try_get(10)?;
    let reason: Option<String> = row.try_get(11)?;
    Ok(ConversationRow {
        session: parsed(row, 0)?,
        agent: row.try_get(1)?,
        frontend: row.try_get(2)?,
        owner: hash(row, 3)?,
        forked_from: from_json(row, 4)?,
        compacted_from: from_json(row, 5)?,
        started_at_unix_us: row.try_get(6)?,
        updated_at_unix_us: row.try_get(7)?,
        turns: unsigned(row, 8)?,
        messages: unsigned(row, 9)?,
        ended: ended_at.zip(reason).map(|(at_unix_us, reason)| Ended { at_unix_us, reason }),
    })
}

fn message_of(row: &Row) -> Result<MessageRow, Fault> {
    let message = from_json(row, 2)?.ok_or_else(|| Fault::Content("a message is missing".into()))?;
    Ok(MessageRow { session: parsed(row, 0)?, seq: SeqNo(unsigned(row, 1)?), message })
}

/// Structs with text keys, of which making JSON cannot fail. JSON has no character that a text of
/// PostgreSQL could not hold.
fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).expect("names and numbers are JSON")
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, Fault> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|e| Fault::Content(format!("{e}")))
}
