//! `/ws/chat`: the voice socket. Parses what comes, within its limits; writes what the session says.
//!
//! Three tasks a connection: the session, a reader (this handler) and a writer. The queues between
//! them are bounded: a client that does not read fills the writer's, and its session cuts it off.

pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;
use tracing::Instrument;

use super::admission::{Admitted, Refused};
use super::auth::{self, SUBPROTOCOL, Visitor};
use super::limits::{Allowance, Excess};
use super::listener::Peer;
use super::live::Live;
use super::problem::{ErrorBody, Problem};
use super::quotas::{AudioQuota, Payer};
use super::server::{self, Server};
use crate::audio::pcm;
use crate::conversation::ids::SessionId;
use crate::conversation::log::{NewSession, SessionWriter};
use crate::metrics::{self, Direction};
use crate::session::messages::{CloseReason, FromClient, Hello, ToClient};
use crate::session::recording::Recorder;
use crate::session::settings::{Offers, Settings};
use crate::session::{self, Journal, Start};
use crate::turn::io::Fault;

/// The only agent there is until agents can be configured.
const DEFAULT_AGENT: &str = "default";
/// Messages of the client that wait for its session.
const INBOUND_MESSAGES: usize = 32;
/// Messages that go to the socket in one write.
const WRITE_BATCH: usize = 32;
/// Small buffers: a listening session should cost little memory.
const SOCKET_BUFFER_BYTES: usize = 8 * 1_024;
/// When somebody who found no place may try again.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// The socket's last messages may take so long.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// So much of what a client goes on sending is read after the goodbye.
const LAST_READ_BYTES: usize = 4 << 20;
/// A client that gave no sign of life for so many pings is gone.
const MISSED_PINGS: u32 = 3;

/// Close codes of RFC 6455 and its registry.
mod close {
    pub const DONE: u16 = 1000;
    pub const ABUSE: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const FAULT: u16 = 1011;
    pub const RESTART: u16 = 1012;
}

/// The query of `/ws/chat`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChatQuery {
    /// Who answers; only `default` so far.
    agent: Option<String>,
    /// Go on with an earlier session.
    session: Option<String>,
    /// That session's resume token.
    resume_token: Option<String>,
}

/// The voice socket
///
/// A WebSocket; docs/protocol.md has its messages.
#[utoipa::path(get, path = "/ws/chat", operation_id = "voice_socket", tag = "conversations", params(ChatQuery),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 404, description = "There is no such agent or session", body = ErrorBody),
        (status = 429, description = "Too many sessions", body = ErrorBody),
        (status = 503, description = "The server is busy", body = ErrorBody),
    ))]
pub async fn upgrade(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<ChatQuery>,
    headers: HeaderMap,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let resume_token = auth::resume_token(&headers).map(str::to_owned);
    if query.agent.as_deref().is_some_and(|agent| agent != DEFAULT_AGENT) {
        let message = format!("there is no such agent; there is `{DEFAULT_AGENT}`");
        return server::error(StatusCode::NOT_FOUND, "unknown_agent", &message);
    }
    if let Some(reason) = server.why_not_ready() {
        return Problem::busy(reason).after(BUSY_WAIT).into_response();
    }
    let admitted = match server.admission.admit(peer.ip(), visitor.owner) {
        Ok(admitted) => admitted,
        Err(refused) => {
            let status = match refused {
                Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
                Refused::TooManyFromAddress | Refused::TooManyOfToken => StatusCode::TOO_MANY_REQUESTS,
            };
            return Problem::new(status, "busy", refused.to_string()).after(BUSY_WAIT).into_response();
        }
    };
    // A browser's script cannot see why a socket was refused. It asks again without an upgrade, and
    // gets one of the answers above, or this one.
    let socket = match socket {
        Ok(socket) => socket,
        Err(rejection) => return rejection.into_response(),
    };
    let resume_token = query.resume_token.or(resume_token);
    let quota = server.quotas.audio(Payer::of(visitor.owner, peer.ip()));
    let opened = match open_history(&server, query.session, resume_token, visitor).await {
        Ok(opened) => opened,
        Err(response) => return *response,
    };
    let limit = server.config.limits.message_bytes;
    socket
        .protocols([SUBPROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| {
            let span = tracing::info_span!("session", session_id = %opened.hello.session_id);
            let sessions = server.sessions.clone();
            sessions.track_future(serve(server, admitted, quota, opened, socket).instrument(span))
        })
}

/// A conversation that can begin, or go on.
struct Opened {
    writer: SessionWriter,
    hello: Hello,
    live: Live,
}

/// A new place in the log, or that of a conversation that goes on.
async fn open_history(
    server: &Arc<Server>,
    session: Option<String>,
    resume_token: Option<String>,
    visitor: Visitor,
) -> Result<Opened, Box<Response>> {
    let names = &server.engines.names;
    let hello = |session_id: SessionId, resume_token: String, resumed: bool| Hello {
        session_id: session_id.to_string(),
        resume_token,
        resumed,
        agent: DEFAULT_AGENT.to_owned(),
        engines: names.clone(),
    };
    let Some(id) = session else {
        let known = [("vad", &names.vad), ("asr", &names.asr), ("llm", &names.llm), ("tts", &names.tts)];
        let mut engines: std::collections::BTreeMap<String, String> =
            known.map(|(task, name)| (task.to_owned(), name.clone())).into();
        engines.extend(names.video.clone().map(|name| ("video".to_owned(), name)));
        let new = NewSession {
            agent: DEFAULT_AGENT.to_owned(),
            frontend: "voice".to_owned(),
            engines,
            owner: visitor.owner,
            ..NewSession::default()
        };
        let started = server.log.start_session(
            new,
            Box::new(|result| {
                if let Err(error) = result {
                    tracing::error!("the session is not in the log: {error}");
                }
            }),
        );
        let id = started.writer.session_id();
        let live = server.live.enter(id).await;
        return Ok(Opened { writer: started.writer, hello: hello(id, started.resume_token, false), live });
    };
    let not_found = || {
        let message = "there is no such session, or it is not yours; give its resume_token";
        Box::new(server::error(StatusCode::NOT_FOUND, "not_found", message))
    };
    let token = resume_token.unwrap_or_default();
    let id = id.parse::<SessionId>().map_err(|_| not_found())?;
    let allowed = {
        let (log, token) = (Arc::clone(&server.log), token.clone());
        tokio::task::spawn_blocking(move || log.check_resume_token(id, &token)).await
    };
    if !matches!(allowed, Ok(Ok(true))) {
        return Err(not_found());
    }
    // Only now: nobody else may end the connection that is there.
    let live = server.live.enter(id).await;
    let log = Arc::clone(&server.log);
    let writer = tokio::task::spawn_blocking(move || log.continue_session(id)).await;
    let Ok(Ok(writer)) = writer else { return Err(not_found()) };
    Ok(Opened { writer, hello: hello(id, token, true), live })
}

async fn serve(
    server: Arc<Server>,
    admitted: Admitted,
    quota: AudioQuota,
    opened: Opened,
    socket: WebSocket,
) {
    let Opened { writer, hello, live } = opened;
    let config = &server.config;
    let persona = server.persona();
    let settings = Settings::new(config, &persona, &Offers::of(&server.engines));
    let (to_client, outbound) = mpsc::channel(config.limits.outbound_messages);
    let (to_session, inbound) = mpsc::channel(INBOUND_MESSAGES);
    let recorder =
        config.record.then(|| Recorder::create(&config.record_dir, &hello.session_id, &settings.turn));
    let recorder = recorder.and_then(|made| {
        made.inspect_err(|error| tracing::error!("this session is not recorded: {error}")).ok()
    });
    let greeting = persona.greeting_text().filter(|_| !hello.resumed);
    let start = Start {
        hello,
        config: Arc::clone(config),
        engines: Arc::clone(&server.engines),
        tools: Arc::clone(&server.tools),
        journal: Journal::new(writer),
        settings,
        greeting,
        recorder,
        drain: server.drain.clone(),
        stop: server.stop.clone(),
        replaced: live.replaced(),
    };
    let mut session = tokio::spawn(
        async move {
            session::run(start, inbound, to_client).await;
            drop((admitted, live));
        }
        .in_current_span(),
    );

    let (sink, mut stream) = socket.split();
    let (replies, direct) = mpsc::channel(INBOUND_MESSAGES);
    let (say_farewell, farewell) = oneshot::channel();
    let ping = Duration::from_secs(config.limits.ping_s);
    let mut writer = tokio::spawn(write(sink, outbound, direct, farewell, ping).in_current_span());
    // Whoever is done first ends the others: without a reader the session's input ends, without a
    // session the writer's does.
    let session_is_over = tokio::select! {
        farewell = read(&mut stream, &server, quota, &to_session, &replies) => {
            if let Some(farewell) = farewell {
                let _ = say_farewell.send(farewell);
            }
            false
        }
        _ = &mut writer => false,
        _ = &mut session => true,
    };
    drop((to_session, replies));
    if !session_is_over {
        let _ = session.await;
    }
    // A client that does not read is not waited for.
    if !writer.is_finished() && tokio::time::timeout(LAST_WRITES, &mut writer).await.is_err() {
        writer.abort();
        return;
    }
    // What is still coming in is read, or TCP would reset the connection and the goodbye with it; but
    // not without end.
    let rest = async {
        let mut bytes = 0;
        while bytes < LAST_READ_BYTES
            && let Some(Ok(message)) = stream.next().await
        {
            bytes += message.into_data().len();
        }
    };
    let _ = tokio::time::timeout(LAST_WRITES, rest).await;
}

/// Why the reader ends the connection: an error for the client, if there is more to say, and the close
/// code with its reason.
struct Farewell {
    error: Option<String>,
    code: u16,
    reason: &'static str,
}

/// Reads until the client is gone or has to go.
async fn read(
    stream: &mut SplitStream<WebSocket>,
    server: &Server,
    quota: AudioQuota,
    to_session: &mpsc::Sender<FromClient>,
    replies: &mpsc::Sender<String>,
) -> Option<Farewell> {
    let limits = &server.config.limits;
    let began = Instant::now();
    let mut allowance = Allowance::new(limits, quota);
    let patience = Duration::from_secs(limits.ping_s) * MISSED_PINGS;
    loop {
        let message = match tokio::time::timeout(patience, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                let farewell = Farewell { error: None, code: close::TOO_BIG, reason: "too big" };
                return is_too_big(error).then_some(farewell);
            }
            Ok(None) | Err(_) => return None,
        };
        let now = began.elapsed();
        let handled = match allowance.message(now) {
            Err(excess) => Err(excess),
            Ok(()) => handle(message, &mut allowance, now, to_session, replies).await,
        };
        match handled {
            Ok(true) => {}
            Ok(false) => return None,
            Err(excess) => {
                tracing::warn!("the client is cut off: {excess}");
                metrics::error("abuse");
                let fault = Fault { code: "abuse".to_owned(), message: excess.to_string() };
                let error = Some(wire::encode_error(&fault, true));
                return Some(Farewell { error, code: close::ABUSE, reason: "too much" });
            }
        }
    }
}

/// Whether the connection goes on.
async fn handle(
    message: Message,
    allowance: &mut Allowance,
    now: Duration,
    to_session: &mpsc::Sender<FromClient>,
    replies: &mpsc::Sender<String>,
) -> Result<bool, Excess> {
    let parsed = match message {
        Message::Binary(bytes) => {
            allowance.audio(bytes.len() / 2, now)?;
            metrics::audio(Direction::In, bytes.len() / 2);
            pcm::samples_from_bytes(&bytes)
                .map(|samples| wire::ClientMessage::ToSession(FromClient::Audio(samples)))
                .map_err(|error| Fault { code: "bad_audio".to_owned(), message: error.to_string() })
        }
        Message::Text(text) => wire::decode(&text),
        Message::Ping(_) | Message::Pong(_) => return Ok(true),
        Message::Close(_) => return Ok(false),
    };
    match parsed {
        // A session that cannot keep up slows its client down here, by TCP.
        Ok(wire::ClientMessage::ToSession(message)) => Ok(to_session.send(message).await.is_ok()),
        Ok(wire::ClientMessage::Ping) => Ok(replies.send(wire::encode_pong()).await.is_ok()),
        Err(fault) => {
            metrics::error(fault.code.clone());
            allowance.bad_message()?;
            Ok(replies.send(wire::encode_error(&fault, false)).await.is_ok())
        }
    }
}

/// Writes until the session is over or the socket is gone.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outbound: mpsc::Receiver<ToClient>,
    mut direct: mpsc::Receiver<String>,
    mut farewell: oneshot::Receiver<Farewell>,
    ping: Duration,
) {
    let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut closing = None;
    loop {
        let written = tokio::select! {
            biased;
            Some(text) = direct.recv() => sink.send(Message::Text(text.into())).await,
            Ok(farewell) = &mut farewell, if !farewell.is_terminated() => {
                if let Some(error) = farewell.error {
                    let _ = sink.send(Message::Text(error.into())).await;
                }
                closing = Some((farewell.code, farewell.reason));
                break;
            }
            count = outbound.recv_many(&mut batch, WRITE_BATCH) => {
                if count == 0 {
                    break;
                }
                closing = batch.iter().find_map(|message| match message {
                    ToClient::Close(reason) => Some(close_code(*reason)),
                    _ => None,
                });
                write_batch(&mut sink, &mut batch).await
            }
            _ = pings.tick() => sink.send(Message::Ping(bytes::Bytes::new())).await,
        };
        if written.is_err() {
            return;
        }
    }
    let (code, reason) = closing.unwrap_or((close::DONE, "done"));
    let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    let _ = sink.close().await;
}

async fn write_batch(
    sink: &mut SplitSink<WebSocket, Message>,
    batch: &mut Vec<ToClient>,
) -> Result<(), axum::Error> {
    for wire in batch.drain(..).filter_map(|message| wire::encode(&message)) {
        sink.feed(Message::Text(wire.text.into())).await?;
        if let Some(binary) = wire.binary {
            sink.feed(Message::Binary(binary)).await?;
        }
    }
    sink.flush().await
}

fn close_code(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        CloseReason::Idle => (close::DONE, "idle"),
        CloseReason::TooLong => (close::DONE, "session maximum"),
        CloseReason::Restart => (close::RESTART, "restart"),
        CloseReason::Replaced => (close::DONE, "replaced"),
        CloseReason::Fault => (close::FAULT, "fault"),
        CloseReason::HungUp => (close::DONE, "hung up"),
    }
}

fn is_too_big(error: axum::Error) -> bool {
    let inner = error.into_inner();
    matches!(inner.downcast_ref::<tungstenite::Error>(), Some(tungstenite::Error::Capacity(_)))
}
