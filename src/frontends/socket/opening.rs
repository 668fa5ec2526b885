//! How a session begins: whether there is room, and its place in the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use crate::conversation::error::StoreError;
use crate::conversation::ids::{Hash, SessionId};
use crate::conversation::log::{NewSession, SessionWriter};
use crate::frontends::admission::{Admitted, Refused};
use crate::frontends::agents::Agent;
use crate::frontends::live::{Live, WayBack};
use crate::frontends::problem::Problem;
use crate::frontends::quotas::{AudioQuota, Payer};
use crate::frontends::server::Server;
use crate::session::messages::{Connection, FromClient, Hello, Return, ToClient};
use crate::turn::io::ChunkId;

use super::{INBOUND_MESSAGES, Rejoin};

/// When somebody who found no place may try again.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Who comes.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// From where.
    pub address: IpAddr,
    /// With which token.
    pub owner: Option<Hash>,
}

/// A place among the sessions for `guest`, or why there is none.
fn make_room(server: &Server, guest: Guest) -> Result<Admitted, Problem> {
    if let Some(reason) = server.why_not_ready() {
        return Err(Problem::busy(reason).after(BUSY_WAIT));
    }
    server.admission.admit(guest.address, guest.owner).map_err(|refused| {
        let status = match refused {
            Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Refused::TooManyFromAddress | Refused::TooManyOfToken => StatusCode::TOO_MANY_REQUESTS,
        };
        Problem::new(status, "busy", refused.to_string()).after(BUSY_WAIT)
    })
}

/// The answer to a request that is no upgrade. A browser's script cannot see why a socket was refused; it asks
/// again without an upgrade, and is told whether there is room.
pub fn no_upgrade(server: &Server, guest: Guest, rejection: WebSocketUpgradeRejection) -> Response {
    match make_room(server, guest) {
        Ok(_) => rejection.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// A conversation that can begin, or go on.
pub struct Opened {
    /// Who is talked with.
    pub agent: Arc<Agent>,
    /// Its name in the log.
    pub session: SessionId,
    /// Where it is.
    pub place: Place,
    /// Its first message.
    pub hello: Hello,
    /// What may be said in it.
    pub quota: AudioQuota,
}

/// Where a conversation is that begins or goes on.
pub enum Place {
    /// In the log.
    Log {
        /// Its place among the sessions.
        admitted: Admitted,
        /// Its pen.
        writer: Box<SessionWriter>,
        /// It is open for as long as this lives.
        live: Live,
        /// Where its client comes back, if it is waited for.
        returns: Option<Returns>,
    },
    /// Its session never ended: this is the way to it.
    Session {
        /// What the client says.
        to_session: mpsc::Sender<FromClient>,
        /// What it is told.
        from_session: mpsc::Receiver<ToClient>,
    },
    /// Nor did its wire.
    Wire {
        /// The way to that.
        way_back: mpsc::Sender<Rejoin>,
        /// See [`Rejoin::last_event`].
        last_event: Option<String>,
    },
}

/// The other end of a [`WayBack`].
pub enum Returns {
    /// To the session.
    Session(mpsc::Receiver<Return>),
    /// To the wire.
    Wire(mpsc::Receiver<Rejoin>),
}

/// What outlives a lost connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlives {
    /// The session.
    Session,
    /// The session and its wire.
    Wire,
}

/// An earlier session, and the key to it.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Resume {
    pub session: String,
    pub token: String,
    pub last_chunk: Option<ChunkId>,
    pub last_event: Option<String>,
}

/// What the log keeps of a new session.
pub fn new_session(agent: &Agent, frontend: &str, owner: Option<Hash>) -> NewSession {
    let names = &agent.engines.names;
    let known = [("vad", &names.vad), ("asr", &names.asr), ("llm", &names.llm), ("tts", &names.tts)];
    let mut engines: BTreeMap<String, String> =
        known.map(|(task, name)| (task.to_owned(), name.clone())).into();
    engines.extend(names.video.clone().map(|name| ("video".to_owned(), name)));
    let (agent, frontend) = (agent.name.clone(), frontend.to_owned());
    NewSession { agent, frontend, engines, owner, ..NewSession::default() }
}

/// Both ends of the way back into a new session, if lost clients are waited for.
fn way_back(server: &Server, outlives: Outlives) -> Option<(WayBack, Returns)> {
    if server.config.limits.resume_grace_ms == 0 {
        return None;
    }
    Some(match outlives {
        Outlives::Session => {
            let (to_session, returns) = mpsc::channel(1);
            (WayBack::Session(to_session), Returns::Session(returns))
        }
        Outlives::Wire => {
            let (to_wire, rejoins) = mpsc::channel(1);
            (WayBack::Wire(to_wire), Returns::Wire(rejoins))
        }
    })
}

/// A new place in the log, or that of a conversation that goes on; that one keeps its agent. `outlives`: what
/// of a session of this wire outlives its connection for a while.
pub async fn open_history(
    server: &Arc<Server>,
    agent: Arc<Agent>,
    frontend: &str,
    resume: Option<Resume>,
    outlives: Outlives,
    guest: Guest,
) -> Result<Opened, Problem> {
    let Guest { address, owner } = guest;
    let quota = server.quotas.audio(Payer::of(owner, address));
    let hello = |agent: &Agent, session_id: SessionId, resume_token: String, resumed: bool| Hello {
        session_id: session_id.to_string(),
        resume_token,
        resumed,
        live: false,
        recorded: agent.config.record_audio.enabled,
        agent: agent.name.clone(),
        engines: agent.engines.names.clone(),
    };
    let Some(Resume { session, token, last_chunk, last_event }) = resume else {
        let admitted = make_room(server, guest)?;
        let (way_back, returns) = way_back(server, outlives).unzip();
        let new = new_session(&agent, frontend, owner);
        let started = server.log.start_session(
            new,
            Box::new(|result| {
                if let Err(error) = result {
                    tracing::error!("the session is not in the log: {error}");
                }
            }),
        );
        let id = started.writer.session_id();
        let live = server.live.enter_with(id, way_back).await;
        let hello = hello(&agent, id, started.resume_token, false);
        let place = Place::Log { admitted, writer: Box::new(started.writer), live, returns };
        return Ok(Opened { agent, session: id, place, hello, quota });
    };
    let not_found = || {
        let message = "there is no such session, or it is not yours; give its resume_token";
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    };
    let id = session.parse::<SessionId>().map_err(|_| not_found())?;
    let allowed = {
        let (log, token) = (Arc::clone(&server.log), token.clone());
        // By the session's own token, or the one that made it.
        let may =
            move || Ok::<_, StoreError>(log.check_resume_token(id, &token)? || log.is_owned_by(id, owner)?);
        tokio::task::spawn_blocking(may).await
    };
    if !matches!(allowed, Ok(Ok(true))) {
        return Err(not_found());
    }
    // One that is still open has its place.
    match (server.live.way_back(id), outlives) {
        (Some(WayBack::Session(back)), Outlives::Session) => {
            let (to_session, from_client) = mpsc::channel(INBOUND_MESSAGES);
            let (to_client, from_session) = mpsc::channel(server.config.limits.outbound_messages);
            let connection = Connection { from_client, to_client };
            let hello = hello(&agent, id, token.clone(), true);
            let sent = back.send(Return { connection, last_chunk, hello: hello.clone() }).await;
            if sent.is_ok() {
                let place = Place::Session { to_session, from_session };
                return Ok(Opened { agent, session: id, place, hello, quota });
            }
            // It ended at this moment.
        }
        (Some(WayBack::Wire(way_back)), Outlives::Wire) => {
            let hello = hello(&agent, id, token, true);
            let place = Place::Wire { way_back, last_event };
            return Ok(Opened { agent, session: id, place, hello, quota });
        }
        _ => {}
    }
    // A conversation that was compacted goes on in its newest session.
    let log = Arc::clone(&server.log);
    let newest = tokio::task::spawn_blocking(move || log.successor(id)).await;
    let id = newest.ok().and_then(Result::ok).flatten().unwrap_or(id);
    // Only now: nobody else may end the connection that is there. Its place is free then.
    let (way_back, returns) = way_back(server, outlives).unzip();
    let live = server.live.enter_with(id, way_back).await;
    let admitted = make_room(server, guest)?;
    let log = Arc::clone(&server.log);
    let found = tokio::task::spawn_blocking(move || (log.continue_session(id), log.start_of(id))).await;
    let Ok((Ok(writer), Ok(start))) = found else { return Err(not_found()) };
    let agent = start.and_then(|start| server.agent(Some(&start.agent))).unwrap_or_else(|| {
        tracing::warn!(session_id = %id, "the session's agent is no longer configured; it goes on as asked for");
        agent
    });
    let hello = hello(&agent, id, token, true);
    let place = Place::Log { admitted, writer: Box::new(writer), live, returns };
    Ok(Opened { agent, session: id, place, hello, quota })
}
