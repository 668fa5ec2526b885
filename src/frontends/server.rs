//! What all connections share, and how they say no.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::auth::{Door, Refusal};
use super::live::LiveSessions;
use crate::config::{Config, Persona};
use crate::conversation::log::ConversationLog;
use crate::conversation::tokens::TokenStore;
use crate::engines::{CancelToken, Engines};
use crate::tools::Registry;

/// What all connections share.
pub struct Server {
    /// The configuration.
    pub config: Arc<Config>,
    /// The models.
    pub engines: Arc<Engines>,
    /// What the language model may call.
    pub tools: Arc<Registry>,
    /// The conversations.
    pub log: Arc<ConversationLog>,
    /// Access tokens.
    pub tokens: Arc<TokenStore>,
    /// Who may come in.
    pub door: Door,
    /// How many may.
    pub admission: Arc<Admission>,
    /// Which sessions are open.
    pub live: Arc<LiveSessions>,
    /// Set when the server is about to stop.
    pub drain: CancelToken,
    /// Set when what has not finished by then has to end.
    pub stop: CancelToken,
    /// Sessions that are open, or are writing their last turn.
    pub sessions: TaskTracker,
    persona: RwLock<Arc<Persona>>,
}

impl Server {
    /// Nobody is connected yet.
    pub fn new(
        config: Arc<Config>,
        engines: Arc<Engines>,
        tools: Arc<Registry>,
        log: Arc<ConversationLog>,
        tokens: Arc<TokenStore>,
        door: Door,
    ) -> Server {
        Server {
            admission: Admission::new(&config.limits),
            persona: RwLock::new(Arc::new(config.persona.clone())),
            config,
            engines,
            tools,
            log,
            tokens,
            door,
            live: Arc::default(),
            drain: CancelToken::new(),
            stop: CancelToken::new(),
            sessions: TaskTracker::new(),
        }
    }

    /// Who the server is, for a new session.
    pub fn persona(&self) -> Arc<Persona> {
        Arc::clone(&self.persona.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// New sessions get this persona.
    pub fn set_persona(&self, persona: Persona) {
        *self.persona.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(persona);
    }
}

/// An error as JSON: `{"error": {"code", "message"}}`.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    (status, Json(body)).into_response()
}

/// Somebody who does not come in.
pub fn refusal(refusal: &Refusal) -> Response {
    error(refusal.status(), refusal.code(), &refusal.to_string())
}
