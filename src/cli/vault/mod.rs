//! `vivavoce vault watch`: for editors without a plugin. A file that is saved with words of the user at its
//! end is answered: by the running server, as if the editor had sent `POST /chat`.
//!
//! Deliberately absent: answering by itself. The server has the models, the log and the claims on files; two
//! that wrote into one vault would not know of each other.

mod saved;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecursiveMode, Watcher as _};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use crate::outbound;
use saved::Saved;

/// Bytes of an answer: a file, and more.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Files of Markdown conversations
#[derive(Debug, Clone, clap::Args)]
pub struct Vault {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Answer every saved file whose last turn is the user's
    Watch(Watch),
}

/// `vault watch`
#[derive(Debug, Clone, clap::Args)]
pub struct Watch {
    /// The server, as in http://localhost:8080 [default: markdown.public_base_url, or this machine]
    #[arg(long)]
    pub url: Option<String>,
    /// Access token with the scope `messages`
    #[arg(long, required_unless_present = "token_env")]
    pub token: Option<String>,
    /// Name of the environment variable with that token
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub token_env: Option<String>,
    /// Who answers where the file does not say
    #[arg(long)]
    pub agent: Option<String>,
    /// A file is answered when nothing has been saved for so long
    #[arg(long, default_value_t = 500)]
    pub wait_ms: u64,
}

/// Why nothing is watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder is not there, or cannot be watched.
    #[error("cannot watch {}: {cause}; check markdown.vault_path", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The address is none.
    #[error("{url:?} is no address of a server ({cause}); write http://HOST:PORT")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no token.
    #[error(
        "the environment variable {0} (--token-env) holds no token; make one with `vivavoce token create --scope messages`"
    )]
    Token(String),
    /// There can be no client.
    #[error("{0}")]
    Client(String),
    /// What happens cannot be told.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Vault {
    /// Watches until it is stopped.
    ///
    /// # Errors
    /// In one line: no folder, or no address.
    pub async fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), WatchError> {
        let Command::Watch(watch) = &self.command;
        watch.run(config, out).await
    }
}

/// Where files are answered.
struct Server {
    http: Client,
    chat: Url,
    token: String,
    agent: Option<String>,
}

impl Watch {
    /// Watches until it is stopped. A line for each file that was answered, or could not be.
    ///
    /// # Errors
    /// As [`Vault::run`].
    pub async fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), WatchError> {
        let folder = &config.markdown.vault_path;
        let failed = |cause: String| WatchError::Folder { path: folder.clone(), cause };
        let root = std::fs::canonicalize(folder).map_err(|error| failed(error.to_string()))?;
        let server = Arc::new(self.server(config)?);
        let (tell, mut changed) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if is_change(event.kind) {
                event.paths.into_iter().for_each(|path| drop(tell.send(path)));
            }
        })
        .map_err(|error| failed(error.to_string()))?;
        watcher.watch(&root, RecursiveMode::Recursive).map_err(|error| failed(error.to_string()))?;
        writeln!(out, "watching {}, answered by {}", root.display(), server.chat)?;
        out.flush()?;

        let wait = Duration::from_millis(self.wait_ms);
        let mut saved = Saved::new(root, config.markdown.logged_subdir.clone(), wait);
        let mut answering = JoinSet::<(PathBuf, String, String)>::new();
        loop {
            let due = saved.next_due();
            let idle =
                tokio::time::sleep_until(due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600)));
            tokio::select! {
                Some(path) = changed.recv() => saved.changed(&path, Instant::now()),
                Some(answered) = answering.join_next() => {
                    if let Ok((path, name, line)) = answered {
                        saved.answered(&path);
                        writeln!(out, "{name}: {line}")?;
                        out.flush()?;
                    }
                }
                () = idle => {
                    for (path, name) in saved.take_due(Instant::now()) {
                        let server = Arc::clone(&server);
                        answering.spawn(async move {
                            let line = server.answer(&name).await;
                            (path, name, line)
                        });
                    }
                }
            }
        }
    }

    fn server(&self, config: &Config) -> Result<Server, WatchError> {
        let here = || {
            let own = config.markdown.own_address(&config.server);
            let (host, port) = own.unwrap_or_else(|| (config.server.host.clone(), config.server.port));
            let host = if matches!(host.as_str(), "0.0.0.0" | "::") { "localhost".to_owned() } else { host };
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let scheme = if config.tls.mode == crate::config::TlsMode::Off { "http" } else { "https" };
            format!("{scheme}://{host}:{port}")
        };
        let public = Some(config.markdown.public_base_url.clone()).filter(|url| !url.is_empty());
        let url = self.url.clone().or(public).unwrap_or_else(here);
        let chat = format!("{}/chat", url.trim_end_matches('/'));
        let chat = Url::parse(&chat).map_err(|error| WatchError::Url { url, cause: error.to_string() })?;
        let http = outbound::client(&chat).build();
        let http = http.map_err(|error| WatchError::Client(outbound::no_client("--url", &error)))?;
        let token = match (&self.token, &self.token_env) {
            (Some(token), _) => token.clone(),
            (None, name) => {
                let name = name.as_deref().unwrap_or_default();
                let token = std::env::var(name).ok().filter(|token| !token.trim().is_empty());
                token.ok_or_else(|| WatchError::Token(name.to_owned()))?.trim().to_owned()
            }
        };
        Ok(Server { http, chat, token, agent: self.agent.clone() })
    }
}

impl Server {
    /// Has a file answered; how that went, in a line.
    async fn answer(&self, name: &str) -> String {
        let mut body = json!({ "filename": name });
        if let Some(agent) = &self.agent {
            body["agent"] = json!(agent);
        }
        let request = self.http.post(self.chat.clone()).bearer_auth(&self.token).json(&body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return format!("no answer of the server ({})", outbound::root_cause(&error)),
        };
        let status = response.status();
        let body = outbound::read_body(response, MAX_ANSWER_BYTES).await;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match (status.as_u16(), text("status").as_str()) {
            (200, "ok") => format!("answered by {}", text("agent")),
            (200, _) => format!("nothing to do ({})", text("reason")),
            (409, _) => "is being answered already".to_owned(),
            (status, _) => format!("{status}: {}", text("detail")),
        }
    }
}

/// Whether a file may hold something else now.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) => true,
        EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => false,
    }
}

/// The name of a file as requests say it; `None`: it is not one to be answered.
fn name_in(root: &Path, logged: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(root).ok()?;
    let hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    let is_markdown = name.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
    let wanted = is_markdown && !name.starts_with(logged) && !name.components().any(hidden);
    name.to_str().filter(|_| wanted).map(str::to_owned)
}
