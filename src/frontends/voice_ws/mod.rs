//! `/ws/chat`: the voice socket. What a connection is, is [`super::socket`]'s matter; what its messages
//! mean is [`wire`]'s.

pub mod wire;

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tracing::Instrument;

use super::auth::{self, SUBPROTOCOL, Visitor};
use super::listener::Peer;
use super::problem::ErrorBody;
use super::server::{self, Server};
use super::socket::opening::{self, Guest, Outlives, Resume};
use super::socket::{self, Frame, SOCKET_BUFFER_BYTES, Translated, Wire};
use crate::audio::pcm;
use crate::session::messages::{FromClient, ToClient};
use crate::session::settings::{Offers, Settings};
use crate::turn::io::{ChunkId, Fault};

/// The query of `/ws/chat`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChatQuery {
    /// Who answers: the name of an agent.
    agent: Option<String>,
    /// Go on with an earlier session.
    session: Option<String>,
    /// That session's resume token. (The access token that made it will do, too.)
    resume_token: Option<String>,
    /// The last chunk of audio that was heard of it: what comes behind that is sent again.
    last_chunk_id: Option<u64>,
}

/// The voice socket
///
/// A WebSocket; docs/protocol.md has its messages.
#[utoipa::path(get, path = "/ws/chat", operation_id = "voice_socket", tag = "conversations", params(ChatQuery),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 403, description = "The client secret is for sessions of another kind", body = ErrorBody),
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
    if visitor.secret.as_ref().is_some_and(|secret| secret.configures()) {
        let message = "this client secret has a session configuration, which only /v1/realtime keeps to; make one \
                       without for /ws/chat";
        return server::error(StatusCode::FORBIDDEN, "configured_secret", message);
    }
    let resume_token = auth::resume_token(&headers).map(str::to_owned);
    let Some(agent) = server.agent(query.agent.as_deref()) else {
        let names: Vec<&str> = server.agents.names().collect();
        let message = format!("there is no such agent; there is {}", names.join(", "));
        return server::error(StatusCode::NOT_FOUND, "unknown_agent", &message);
    };
    let guest = Guest { address: peer.ip(), owner: visitor.owner };
    let socket = match socket {
        Ok(socket) => socket,
        Err(rejection) => return opening::no_upgrade(&server, guest, rejection),
    };
    let token = query.resume_token.or(resume_token).unwrap_or_default();
    let last_chunk = query.last_chunk_id.map(ChunkId);
    let resume = query.session.map(|session| Resume { session, token, last_chunk, last_event: None });
    let opening = opening::open_history(&server, agent, "voice", resume, Outlives::Session, guest);
    let opened = match opening.await {
        Ok(opened) => opened,
        Err(problem) => return problem.into_response(),
    };
    let limit = server.config.limits.message_bytes;
    socket
        .protocols([SUBPROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        // Messages that wait for each other go out in one piece.
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .on_upgrade(move |socket| {
            let span = tracing::info_span!("session", session_id = %opened.hello.session_id);
            let sessions = server.sessions.clone();
            let agent = &opened.agent;
            let persona = server.persona_of(agent);
            let settings = Settings::new(&agent.config, &persona, &Offers::of(&agent.engines));
            let greeting = persona.greeting_text().filter(|_| !opened.hello.resumed);
            let serving = socket::serve(server, opened, settings, greeting, VoiceWire, socket);
            sessions.track_future(serving.instrument(span))
        })
}

/// The messages of `docs/protocol.md`. They need no memory.
struct VoiceWire;

impl Wire for VoiceWire {
    fn on_client(&mut self, frame: Frame<'_>, out: &mut Translated) {
        let parsed = match frame {
            Frame::Binary(bytes) => pcm::samples_from_bytes(bytes)
                .map(|samples| wire::ClientMessage::ToSession(FromClient::Audio(samples)))
                .map_err(|error| Fault { code: "bad_audio".to_owned(), message: error.to_string() }),
            Frame::Text(text) => wire::decode(text),
        };
        match parsed {
            Ok(wire::ClientMessage::ToSession(message)) => out.session.push(message),
            Ok(wire::ClientMessage::Ping) => out.client.push(Message::Text(wire::encode_pong().into())),
            Err(fault) => {
                out.client.push(Message::Text(wire::encode_error(&fault, false).into()));
                out.nonsense = Some(fault.code);
            }
        }
    }

    fn on_session(&mut self, message: ToClient, out: &mut Translated) {
        if let Some(wire) = wire::encode(&message) {
            out.client.push(Message::Text(wire.text.into()));
            out.client.extend(wire.binary.map(Message::Binary));
        }
    }

    fn last_error(&mut self, fault: &Fault) -> Message {
        Message::Text(wire::encode_error(fault, true).into())
    }
}
