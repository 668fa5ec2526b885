//! `GET /v1/realtime?model=NAME`: the wire of OpenAI's Realtime API, on the same session as `/ws/chat`.
//!
//! - [`client_events`], [`server_events`]: the messages. [`fields`]: reads theirs, and names what is wrong.
//! - [`session_config`]: the session as the client configures it and gets it echoed.
//! - [`dialogue`]: the translator; pure. `user`, `wishes`, [`responses`], [`conversation`]: its parts.
//! - `sent`: what was told last, for a client that lost its connection.
//! - [`audio`]: PCM and G.711 in base64 ↔ the session's samples.
//!
//! Deliberately absent: decisions (the turn machine's), the socket's loop ([`super::socket`]), sessions of
//! other types than `realtime`, MCP, images. `docs/realtime.md` lists every event.

pub mod audio;
pub mod client_events;
pub mod conversation;
pub mod dialogue;
pub mod fields;
pub mod responses;
mod sent;
pub mod server_events;
pub mod session_config;
#[cfg(test)]
mod tests;
mod user;
mod wishes;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Extension, Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tracing::Instrument;

use super::agents::Agent;
use super::auth::{self, Visitor};
use super::listener::Peer;
use super::problem;
use super::server::Server;
use super::socket::opening::{self, Guest, Outlives, Resume};
use super::socket::{self, Frame, SOCKET_BUFFER_BYTES, Translated, Wire};
use crate::session::messages::{FromClient, ToClient};
use crate::session::settings::{Offers, Settings};
use crate::turn::config::TurnConfig;
use crate::turn::io::{ChunkId, Event, Fault};
use dialogue::{Dialogue, Out};
use fields::Problem;
use sent::Sent;
use server_events::{ErrorBody, ServerEvent};
use session_config::{Detection, Has, SessionConfig};

/// For so many replies back a client may say how much of them was heard.
const AMENDABLE_REPLIES: usize = 32;
/// Characters of the session's id that are a part of all ids.
const TAG_CHARS: usize = 10;

/// The query of `/v1/realtime`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RealtimeQuery {
    /// An agent's name, or any name for the session's model; which engines answer is the operator's choice.
    model: Option<String>,
    /// Ours: go on with the history of an earlier session.
    session: Option<String>,
    /// That session's resume token.
    resume_token: Option<String>,
    /// The `event_id` of the last event that came of it: those behind it come now.
    last_event_id: Option<String>,
}

/// Tells the session's name in the log …
const SESSION_HEADER: &str = "x-vivavoce-session-id";
/// … and the token with which its history goes on.
const RESUME_HEADER: &str = "x-vivavoce-resume-token";

/// The Realtime API
///
/// A WebSocket with the messages of OpenAI's Realtime API; docs/realtime.md lists them.
#[utoipa::path(get, path = "/v1/realtime", tag = "conversations", params(RealtimeQuery),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 429, description = "Too many sessions", body = problem::ErrorBody),
        (status = 503, description = "The server is busy", body = problem::ErrorBody),
    ))]
pub async fn upgrade(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<RealtimeQuery>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let guest = Guest { address: peer.ip(), owner: visitor.owner };
    let socket = match socket {
        Ok(socket) => socket,
        Err(rejection) => return opening::no_upgrade(&server, guest, rejection),
    };
    // The client says who it wants to talk with: one of the agents, by its name. Other models than those are
    // the operator's choice.
    let wanted = visitor.secret.as_ref().map(|secret| &secret.session);
    let model = wanted.and_then(model_of).or(query.model);
    let agent = model.as_deref().and_then(|model| server.agent(Some(model))).or_else(|| server.agent(None));
    let Some(agent) = agent else {
        return problem::Problem::busy("there is nobody to talk with").into_response();
    };
    let token = query.resume_token.unwrap_or_default();
    let resume = query.session.map(|session| Resume {
        session,
        token,
        last_chunk: None,
        last_event: query.last_event_id,
    });
    let opening = opening::open_history(&server, agent, "realtime", resume, Outlives::Wire, guest);
    let opened = match opening.await {
        Ok(opened) => opened,
        Err(problem) => return problem.into_response(),
    };
    // Its own messages have no place for them.
    let keys = [(SESSION_HEADER, &opened.hello.session_id), (RESUME_HEADER, &opened.hello.resume_token)];
    let keys: Vec<(HeaderName, HeaderValue)> = keys
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)))
        .collect();
    let limit = server.config.limits.message_bytes;
    let mut response = socket
        .protocols([auth::REALTIME_SUBPROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        // Messages that wait for each other go out in one piece.
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .on_upgrade(move |socket| {
            let session_id = &opened.hello.session_id;
            let span = tracing::info_span!("session", session_id = %session_id);
            let sessions = server.sessions.clone();
            let wanted = visitor.secret.as_ref().map(|secret| &secret.session);
            let model = model.unwrap_or_else(|| opened.agent.engines.names.llm.clone());
            let (settings, config) = begin(&server, &opened.agent, session_id, model, wanted);
            let wire = RealtimeWire::new(session_id, config);
            // Whoever wants to be greeted asks for a response.
            let serving = socket::serve(server, opened, settings, None, wire, socket);
            sessions.track_future(serving.instrument(span))
        });
    response.headers_mut().extend(keys);
    response
}

/// What is wrong with `session`, the configuration that sessions with a client secret are to begin with.
pub fn check(server: &Server, session: &Value) -> Result<(), Problem> {
    let Some(agent) = server.agent(None) else { return Ok(()) };
    let (_, _, config) = configured(server, &agent, "", model_of(session).unwrap_or_default());
    config.updated(session).map(drop)
}

/// The model that the configuration of a client secret names.
fn model_of(session: &Value) -> Option<String> {
    session["model"].as_str().map(str::to_owned)
}

/// The settings of a new session, and the same as its client sees it. `wanted`: the configuration of the
/// client secret with which it came.
fn begin(
    server: &Server,
    agent: &Agent,
    session_id: &str,
    model: String,
    wanted: Option<&Value>,
) -> (Settings, SessionConfig) {
    let (offers, settings, config) = configured(server, agent, session_id, model);
    let apply = |settings: Settings, patch| {
        settings.with(patch, &offers).unwrap_or_else(|fault| {
            // The operator's own values, which may lie beyond what clients may ask for.
            tracing::warn!("a Realtime session keeps what is configured: {}", fault.message);
            settings
        })
    };
    let settings = apply(settings, config.first_patch());
    // It was checked when the secret was made.
    match wanted.and_then(|wanted| config.updated(wanted).ok()) {
        Some((config, patch)) => (apply(settings, patch), config),
        None => (settings, config),
    }
}

/// What can be had, and what the operator configured: for the machine, and as clients see it.
fn configured<'a>(
    server: &Server,
    agent: &'a Agent,
    session_id: &str,
    model: String,
) -> (Offers<'a>, Settings, SessionConfig) {
    let mut offers = Offers::of(&agent.engines);
    offers.clips = false;
    let mut settings = Settings::new(&agent.config, &server.persona_of(agent), &offers);
    settings.turn = TurnConfig {
        // Clients drop their audio when they hear of speech: it is an interruption at once.
        resume_false_interruption: false,
        // Every utterance is an item of its own.
        joins: false,
        amendable_replies: AMENDABLE_REPLIES,
        clips: false,
        ..settings.turn
    };
    let has = Has {
        judges_turns: offers.judges_turns,
        voices: offers.voices.to_vec(),
        server_vad: Detection::ServerVad {
            threshold: settings.turn.threshold,
            prefix_padding_ms: settings.turn.prefix_padding_ms,
            silence_duration_ms: settings.turn.hangover_ms,
            create_response: true,
            interrupt_response: true,
            idle_timeout_ms: None,
        },
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_at = (now + Duration::from_secs(server.config.limits.session_max_s)).as_secs();
    let config = SessionConfig::new(format!("sess_{session_id}"), model, expires_at, &settings, has);
    (offers, settings, config)
}

/// The translator, and the bytes around it.
struct RealtimeWire {
    dialogue: Dialogue,
    /// Of all event ids.
    prefix: String,
    sent: Sent,
    /// The last chunk of audio that was sent.
    last_chunk: Option<ChunkId>,
    out: Out,
}

impl RealtimeWire {
    fn new(session_id: &str, config: SessionConfig) -> RealtimeWire {
        let tag: String = session_id.chars().filter(char::is_ascii_alphanumeric).take(TAG_CHARS).collect();
        RealtimeWire {
            dialogue: Dialogue::new(config, &tag),
            prefix: format!("event_{tag}"),
            sent: Sent::default(),
            last_chunk: None,
            out: Out::default(),
        }
    }

    fn encode(&mut self, event: &ServerEvent) -> Message {
        let text: Utf8Bytes =
            server_events::encode(event, &format!("{}{}", self.prefix, self.sent.next())).into();
        self.sent.push(text.clone());
        Message::Text(text)
    }

    fn flush(&mut self, out: &mut Translated) {
        out.session.append(&mut self.out.session);
        let mut events = std::mem::take(&mut self.out.client);
        out.client.extend(events.drain(..).map(|event| self.encode(&event)));
        // The buffer is used again.
        self.out.client = events;
    }
}

impl Wire for RealtimeWire {
    fn on_client(&mut self, frame: Frame<'_>, out: &mut Translated) {
        match frame {
            Frame::Text(text) => {
                if self.dialogue.on_client(text, &mut self.out).is_err() {
                    out.nonsense = Some("bad_event".to_owned());
                }
            }
            Frame::Binary(_) => {
                let message = "Events are JSON text; audio goes in input_audio_buffer.append.";
                let error = ErrorBody::refused(Problem::new("invalid_frame", message), None);
                self.out.client.push(ServerEvent::Error { error });
                out.nonsense = Some("bad_event".to_owned());
            }
        }
        self.flush(out);
    }

    fn on_session(&mut self, message: ToClient, out: &mut Translated) {
        if let ToClient::Audio { chunk, .. } = &message {
            self.last_chunk = Some(*chunk);
        }
        let turn_ends = matches!(&message, ToClient::Event(Event::TurnEnd { .. }));
        self.dialogue.on_session(message, &mut self.out);
        self.flush(out);
        if turn_ends {
            let last = self.sent.next() - 1;
            out.client.push(Message::Ping(Bytes::copy_from_slice(&last.to_be_bytes())));
        }
    }

    fn on_pong(&mut self, payload: &[u8]) {
        if let Ok(number) = payload.try_into() {
            self.sent.forget_to(u64::from_be_bytes(number));
        }
    }

    fn last_error(&mut self, fault: &Fault) -> Message {
        let event = ServerEvent::Error { error: ErrorBody::failed(&fault.code, &fault.message) };
        // Not for whoever comes back.
        Message::Text(server_events::encode(&event, &format!("{}last", self.prefix)).into())
    }

    fn is_worth_waiting_for(&self) -> bool {
        self.dialogue.is_begun()
    }

    fn rejoin(&mut self, last_event: Option<&str>, out: &mut Translated) {
        let number = last_event.and_then(|id| id.strip_prefix(&self.prefix)?.parse().ok());
        let missed = number.and_then(|number| Some(self.sent.after(number)?.cloned().collect::<Vec<_>>()));
        let last_chunk = match missed {
            Some(missed) => {
                out.client.extend(missed.into_iter().map(Message::Text));
                self.last_chunk
            }
            // What it has is not known: it learns where it is, and the session says what was heard.
            None => {
                self.dialogue.tell_session(&mut self.out);
                self.flush(out);
                None
            }
        };
        out.session.push(FromClient::Back { last_chunk });
    }
}
