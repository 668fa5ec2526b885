//! Start and stop: opens the log, binds the address, serves, and lets replies finish.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::agents::Agents;
use super::auth::Door;
use super::listener::{LimitedListener, Peer};
use super::markdown::{self, Markdown, VaultError};
use super::routes::{self, Listener};
use super::server::Server;
use super::tls::{Certificates, TlsError};
use crate::config::{Config, RecordAudio};
use crate::conversation::audio::{ArchiveError, AudioArchive};
use crate::conversation::error::StoreError;
use crate::conversation::log::ConversationLog;
use crate::conversation::tokens::{NewToken, Scope, TokenStore};
use crate::engines::Engines;
use crate::tools::{Registry, ToolError};

/// Searches for memories may take so long when the server stops.
const LAST_MEMORIES: Duration = Duration::from_secs(20);
/// Sessions that have to end may take so long to write their last turn and to say goodbye.
const LAST_GOODBYES: Duration = Duration::from_secs(5);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}; change server.host or server.port")]
    Bind {
        /// Which.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The address of the Markdown frontend cannot be bound.
    #[error("cannot listen on {address}: {source}; change markdown.host or markdown.port")]
    BindMarkdown {
        /// Which.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no certificate to show.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The event log cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no place for recordings.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A tool of an agent cannot be made.
    #[error("agents: {0}")]
    Tool(#[from] ToolError),
    /// The folder of Markdown files cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A server that listens, and serves when [`Listening::run`] is awaited.
pub struct Listening {
    /// What all connections share.
    pub server: Arc<Server>,
    listener: TcpListener,
    /// That of the Markdown frontend, if it has one of its own, and where that listens.
    markdown: Option<(TcpListener, SocketAddr)>,
    /// Where it listens.
    pub address: SocketAddr,
    /// A token that was made because there was none: to be shown once.
    pub new_token: Option<String>,
}

impl Listening {
    /// Opens the log and binds the address.
    pub async fn open(
        config: Arc<Config>,
        engines: Arc<Engines>,
        tools: Arc<Registry>,
    ) -> Result<Listening, StartError> {
        let address = format!("{}:{}", config.server.host, config.server.port);
        let bind = |source| StartError::Bind { address: address.clone(), source };
        let listener =
            TcpListener::bind((config.server.host.as_str(), config.server.port)).await.map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let own = config.markdown.own_address(&config.server).filter(|_| config.markdown.enabled);
        let own_listener = match own {
            Some((host, port)) => {
                let address = format!("{host}:{port}");
                let failed = |source| StartError::BindMarkdown { address: address.clone(), source };
                let listener = TcpListener::bind((host.as_str(), port)).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                tracing::info!(address = %bound, "Markdown files are answered on a port of their own");
                Some((listener, bound))
            }
            None => None,
        };
        let log = ConversationLog::open(&config.store.url)?;
        let audio = open_archive(&config.record_audio)?;
        let tokens = Arc::new(TokenStore::open(&config.store.url)?);
        let certificates = Certificates::load(&config, bound.ip())?;
        let door = Door::new(&config, bound.ip(), Arc::clone(&tokens));
        let first = NewToken { name: "first start", scopes: &Scope::ALL, expires_at_unix_us: None };
        let new_token =
            (door.needs_tokens() && !tokens.has_any()?).then(|| tokens.create(&first)).transpose()?;
        let agents = Agents::new(&config, &engines, &tools)?;
        let markdown = config.markdown.enabled.then(|| Markdown::open(&config.markdown)).transpose()?;
        let server =
            Server::new(config, engines, tools, agents, markdown, log, audio, tokens, door, certificates);
        let server = Arc::new(server);
        Ok(Listening { server, listener, markdown: own_listener, address: bound, new_token })
    }

    /// Where the Markdown frontend listens, if that is not where all the others do.
    pub fn markdown_address(&self) -> Option<SocketAddr> {
        self.markdown.as_ref().map(|(_, address)| *address)
    }

    /// Serves until `stop` is done; then lets replies finish, up to `server.drain_ms`.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let Listening { server, listener, markdown, .. } = self;
        let drain_limit = Duration::from_millis(server.config.server.drain_ms);
        // These end with the server.
        let _watch = server.certificates.clone().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.watch())));
        let _markdown = markdown.map(|(listener, _)| {
            let serving = serve_markdown(Arc::clone(&server), listener);
            AbortOnDropHandle::new(tokio::spawn(serving))
        });
        let _logs = keep_logs(&server);
        let service = routes::router(&server, Listener::Main).into_make_service_with_connect_info::<Peer>();
        let limited = LimitedListener::new(listener, &server.config.limits, server.certificates.clone());
        let draining = Arc::clone(&server);
        let serve = axum::serve(limited, service).with_graceful_shutdown(async move {
            stop.await;
            tracing::info!("stopping: replies may finish within {} ms", drain_limit.as_millis());
            draining.drain.cancel();
        });
        let drained = async {
            server.drain.cancelled().await;
            server.sessions.close();
            if tokio::time::timeout(drain_limit, server.sessions.wait()).await.is_err() {
                tracing::warn!(sessions = server.sessions.len(), "not all replies finished in time");
                server.stop.cancel();
                // What was heard goes to the log, and the clients are told.
                let _ = tokio::time::timeout(LAST_GOODBYES, server.sessions.wait()).await;
            }
            let remembering = server.keeper.wait_for_memory_jobs();
            if tokio::time::timeout(LAST_MEMORIES, remembering).await.is_err() {
                tracing::warn!("a conversation is not looked through for memories to its end");
            }
        };
        // Sockets are no longer HTTP connections: that all of those are served says nothing of them.
        tokio::pin!(drained);
        tokio::select! {
            result = serve.into_future() => {
                drained.await;
                result
            }
            () = &mut drained => Ok(()),
        }
    }
}

/// What was recorded earlier is kept, and deleted in time, although nothing more may be recorded now.
fn open_archive(config: &RecordAudio) -> Result<AudioArchive, ArchiveError> {
    let keep_for = Duration::from_secs(u64::from(config.retention_days) * 86_400);
    let archive = AudioArchive::open(&config.dir, keep_for)?;
    if config.enabled {
        archive.prepare()?;
    }
    Ok(archive)
}

/// The Markdown frontend on a listener of its own.
async fn serve_markdown(server: Arc<Server>, listener: TcpListener) {
    let service = routes::router(&server, Listener::Markdown).into_make_service_with_connect_info::<Peer>();
    let limited = LimitedListener::new(listener, &server.config.limits, server.certificates.clone());
    if let Err(error) = axum::serve(limited, service).await {
        tracing::error!("Markdown files are answered no more: {error}");
    }
}

/// Looks through the vault, and then keeps it up to date with what other frontends say.
fn keep_logs(server: &Arc<Server>) -> Option<AbortOnDropHandle<()>> {
    let turns = server.markdown.as_ref()?.take_ended_turns()?;
    let server = Arc::clone(server);
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let shared = Arc::clone(&server);
        let warmed = tokio::task::spawn_blocking(move || {
            if let Some(markdown) = &shared.markdown {
                markdown.index.warm(&markdown.vault);
            }
        });
        let _ = warmed.await;
        markdown::logs::keep(server, turns).await;
    })))
}

/// Re-reads the persona on SIGHUP, for new sessions; and the certificate, for new connections.
pub fn reload_on_hangup(server: Arc<Server>, config_path: Option<PathBuf>) -> std::io::Result<()> {
    let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            match Config::reload_persona(config_path.as_deref()) {
                Ok(persona) => {
                    tracing::info!("persona re-read: new sessions get it");
                    server.set_persona(persona);
                }
                Err(error) => tracing::error!("persona not re-read, the old one stays: {error}"),
            }
            if let Some(Err(error)) = server.certificates.as_ref().map(|tls| tls.reload()) {
                tracing::error!("certificate not re-read, the old one stays: {error}");
            }
        }
    });
    Ok(())
}

/// Where an address may be reached by a person on this machine.
pub fn shown_host(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
