//! What all connections share, and how they say no.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::agents::Agents;
use super::auth::Door;
use super::live::LiveSessions;
use super::markdown::Markdown;
use super::problem::Problem;
use super::quotas::Quotas;
use super::tls::Certificates;
use crate::config::{Config, Persona};
use crate::conversation::audio::AudioArchive;
use crate::conversation::log::ConversationLog;
use crate::conversation::store::now_unix_us;
use crate::conversation::tokens::TokenStore;
use crate::engines::{CancelToken, Engines};
use crate::session::upkeep::memories::Keeper;
use crate::tools::Registry;

/// What all connections share.
pub struct Server {
    /// The configuration.
    pub config: Arc<Config>,
    /// The models.
    pub engines: Arc<Engines>,
    /// What the language model may call.
    pub tools: Arc<Registry>,
    /// Who may be talked with.
    pub agents: Agents,
    /// Conversations in Markdown files; `None`: `markdown.enabled` is false.
    pub markdown: Option<Markdown>,
    /// The conversations.
    pub log: Arc<ConversationLog>,
    /// Their audio.
    pub audio: Arc<AudioArchive>,
    /// Keeps memories of them.
    pub keeper: Arc<Keeper>,
    /// Access tokens.
    pub tokens: Arc<TokenStore>,
    /// Who may come in.
    pub door: Door,
    /// What it shows to whoever connects; `None`: plain HTTP.
    pub certificates: Option<Arc<Certificates>>,
    /// How many may.
    pub admission: Arc<Admission>,
    /// How much each may ask for.
    pub quotas: Quotas,
    /// Places for recordings that are sent to be transcribed.
    pub uploads: Arc<Semaphore>,
    /// Which sessions are open.
    pub live: Arc<LiveSessions>,
    /// When it was started, in seconds since 1970.
    pub started_at_unix_s: i64,
    /// Set when the server is about to stop.
    pub drain: CancelToken,
    /// Set when what has not finished by then has to end.
    pub stop: CancelToken,
    /// Sessions that are open, or are writing their last turn; and replies over HTTP.
    pub sessions: TaskTracker,
    persona: RwLock<Arc<Persona>>,
}

impl Server {
    /// Nobody is connected yet.
    #[allow(clippy::too_many_arguments)] // all different, and once
    pub fn new(
        config: Arc<Config>,
        engines: Arc<Engines>,
        tools: Arc<Registry>,
        agents: Agents,
        markdown: Option<Markdown>,
        log: Arc<ConversationLog>,
        audio: AudioArchive,
        tokens: Arc<TokenStore>,
        door: Door,
        certificates: Option<Arc<Certificates>>,
    ) -> Server {
        Server {
            admission: Admission::new(&config.limits),
            quotas: Quotas::new(&config.limits),
            uploads: Arc::new(Semaphore::new(config.limits.uploads)),
            started_at_unix_s: now_unix_us() / 1_000_000,
            keeper: Keeper::new(Arc::clone(&log), config.memory.clone()),
            persona: RwLock::new(Arc::new(config.persona.clone())),
            config,
            engines,
            tools,
            agents,
            markdown,
            log,
            audio: Arc::new(audio),
            tokens,
            door,
            certificates,
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

/// An error as JSON, in the shape of [`super::problem`].
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    Problem::new(status, code.to_owned(), message).into_response()
}
