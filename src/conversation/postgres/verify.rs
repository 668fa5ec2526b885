//! Finding damage, and cutting off damaged ends: as in the embedded store (see `sqlite/verify.rs`).

use std::collections::HashMap;

use tokio_postgres::Row;

use super::connection::{Db, Fault};
use super::rows::{self, signed};
use super::writer::{rebuild_in, stop_others};
use crate::conversation::chain::{Damage, Walked, sound_beginning};
use crate::conversation::ids::{Head, SessionId};
use crate::conversation::store::{CheckReport, Cut, Problem, now_unix_us};

/// Checks each session's head: one event per session, whatever their length.
pub(super) async fn damaged_heads(db: &Db<'_>) -> Result<HashMap<SessionId, Damage>, Fault> {
    let heads = "SELECT heads.session_id, heads.seq, heads.hash, events.seq, kind, at_unix_us, payload, salt,
                        digest, prev_hash, events.hash
                 FROM heads LEFT JOIN events
                 ON events.session_id = heads.session_id AND events.seq = heads.seq";
    let mut damaged = HashMap::new();
    db.each_row(heads, async |row| {
        // A damaged name is nobody's session: nothing is ever appended to it. `check` reports it.
        if let Ok(session) = rows::parsed(&row, 0)
            && let Err(damage) = verify_head(session, &row)
        {
            damaged.insert(session, damage);
        }
        Ok(())
    })
    .await?;
    Ok(damaged)
}

fn verify_head(session: SessionId, row: &Row) -> Result<(), Damage> {
    let head = rows::head_of(row, 1)?;
    let here = |what| Damage { seq: Some(head.seq), what };
    let last = rows::event_of(session, row, 3).map_err(|damage| here(damage.what))?;
    last.verify()?;
    if last.head() == head { Ok(()) } else { Err(here("it is not the last one that was written".into())) }
}

/// Cuts off the damaged ends of those sessions that are damaged nowhere else, and says which are left.
pub(super) async fn cut_tails(db: &Db<'_>) -> Result<(Vec<Cut>, HashMap<SessionId, Damage>), Fault> {
    stop_others(db).await?;
    let mut cuts = vec![];
    for (session, damage) in damaged_heads(db).await? {
        if let Some((events, head)) = cut_tail(db, session).await? {
            cuts.push(Cut { session, kept: head.seq, events, damage });
        }
    }
    if !cuts.is_empty() {
        rebuild_in(db).await?;
    }
    Ok((cuts, damaged_heads(db).await?))
}

async fn cut_tail(db: &Db<'_>, session: SessionId) -> Result<Option<(u64, Head)>, Fault> {
    let Ok((_, head)) = sound_beginning(&rows::events(db, session).await?) else { return Ok(None) };
    let (name, last) = (session.to_string(), signed(head.seq.0));
    let keep = "INSERT INTO cut_events
                SELECT session_id, seq, kind, at_unix_us, payload, salt, digest, prev_hash, hash, $3
                FROM events WHERE session_id = $1 AND seq > $2";
    db.execute(keep, &[&name, &last, &now_unix_us()]).await?;
    let cut = db.execute("DELETE FROM events WHERE session_id = $1 AND seq > $2", &[&name, &last]).await?;
    rows::put_heads(db, [(session, head)]).await?;
    Ok(Some((cut, head)))
}

/// Verifies every chain.
pub(super) async fn check(db: &Db<'_>) -> Result<CheckReport, Fault> {
    let mut report = CheckReport::default();
    let names = "SELECT session_id FROM heads UNION SELECT session_id FROM events ORDER BY 1";
    for row in db.rows(names, &[]).await? {
        report.sessions += 1;
        let name: String = row.try_get(0)?;
        let damage = match name.parse() {
            Ok(session) => {
                let Walked { events, damage } = rows::walk_session(db, session, None).await?;
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
