//! The work on one file, from its text to the reply in it. It is a task of its own: a client that goes away
//! sets its token, and it still puts everything in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::audit::audit;
use super::claims::Claim;
use super::document::Document;
use super::fork::fingerprint;
use super::history::{self, Continued, Wanted};
use super::pace::Pace;
use super::reply::Reply;
use super::request::{Asked, Failure, content_of};
use super::run::{self, Ended, Run};
use super::write::write_atomically;
use crate::conversation::events::Audit;
use crate::conversation::ids::{Hash, SessionId};
use crate::engines::CancelToken;
use crate::frontends::admission::Refused;
use crate::frontends::agents::Agent;
use crate::frontends::auth::Visitor;
use crate::frontends::server::Server;
use crate::frontends::socket::opening::new_session;

/// The name of this wire in the log.
pub const FRONTEND: &str = "markdown";
/// The keys that we write into a file's frontmatter.
pub mod keys {
    #![allow(missing_docs)]
    pub const AGENT: &str = "agent";
    pub const CONVERSATION: &str = "conversation_id";
    pub const FINGERPRINT: &str = "fingerprint";
}
/// A growing reply is written into the file so often.
const SHOWN_EVERY: Duration = Duration::from_millis(400);
/// How a fault of an engine is called whose server does not answer.
const UNREACHABLE: &str = "llm_unreachable";

/// A request that may be worked on: its file is nobody else's.
pub struct Job {
    /// What is asked for.
    pub asked: Asked,
    /// Who asks.
    pub visitor: Visitor,
    /// From where.
    pub address: std::net::IpAddr,
    /// The file.
    pub path: PathBuf,
    /// Held until all is done.
    pub claim: Claim,
    /// The kind of its audit event: `markdown_chat`, `markdown_chat_stream`.
    pub kind: &'static str,
    /// The growing reply is shown in the file, too.
    pub shows_in_file: bool,
}

/// How it ended, if it did not fail: the answer's body.
pub type Done = Value;

/// What the file held when the reply began; a stream renders its events with it.
pub type Base = Arc<Document>;

/// Does it. `base` and `reply` are for whoever shows the reply as it grows.
pub async fn work(
    server: Arc<Server>,
    job: Job,
    base: watch::Sender<Option<Base>>,
    reply: watch::Sender<Reply>,
    cancel: CancelToken,
) -> Result<Done, Failure> {
    let Job { asked, visitor, address, path, claim, kind, shows_in_file } = job;
    let content = content_of(&asked)?.map(str::to_owned);
    let text = blocking({
        let (path, content) = (path.clone(), content.clone());
        move || match content {
            Some(content) => write_atomically(&path, &content)
                .map(|()| content)
                .map_err(|error| cannot("write", &path, &error)),
            None => read(&path),
        }
    })
    .await??;
    let document = Document::parse(&text);
    let turns = document.turns();
    let named = asked.agent.clone().or_else(|| document.get(keys::AGENT));
    let named = named.or_else(|| server.config.markdown.default_agent.clone());
    audit(
        &server,
        Audit {
            actor: format!("token:{}", visitor.token_name.as_deref().unwrap_or_default()),
            kind: kind.to_owned(),
            agent: named.clone().unwrap_or_default(),
            filename: asked.filename.clone(),
            messages: turns.len() as u64,
        },
    );
    let Some(name) = named else {
        let detail = "no agent: name one in the request, in the file's frontmatter (`agent`) or in \
                      markdown.default_agent";
        return Err(Failure::bad(detail));
    };
    let nothing = |reason: &str| json!({"status": "nothing_to_do", "reason": reason, "new_content": text});
    if turns.is_empty() {
        return Ok(nothing("empty file"));
    }
    if document.is_answered() {
        return Ok(nothing("last turn is assistant"));
    }
    let Some(agent) = server.agent(Some(&name)) else {
        let names: Vec<&str> = server.agents.names().collect();
        let detail = format!("there is no agent `{name}`; there is {}", names.join(", "));
        return Err(Failure::new(StatusCode::NOT_FOUND, detail));
    };
    let admitted = admit(&server, address, visitor.owner)?;
    let wanted = document.get(keys::CONVERSATION).and_then(|id| id.parse::<SessionId>().ok());
    let live = match wanted {
        // Wherever it is open, it ends there first, so that nothing of it is missing here.
        Some(session) => Some(server.live.enter(newest(&server, session).await?).await),
        None => None,
    };
    let Continued { writer, words, is_new } = blocking({
        let (server, agent, turns) = (Arc::clone(&server), Arc::clone(&agent), turns.clone());
        let owner = visitor.owner.unwrap_or(Hash::ZERO);
        move || {
            let new = new_session(&agent, FRONTEND, visitor.owner);
            history::go_on(&server.log, Wanted { session: wanted, owner, new, turns: &turns })
        }
    })
    .await?
    .map_err(Failure::backend)?;
    let live = match live {
        Some(live) if !is_new => live,
        _ => server.live.enter(writer.session_id()).await,
    };

    let document: Base = Arc::new(document);
    base.send_replace(Some(Arc::clone(&document)));
    let shown = reply.subscribe();
    let run = Run { agent: Arc::clone(&agent), writer, words, live, admitted };
    let pace = shows_in_file.then(|| Pace::new(reply.subscribe(), SHOWN_EVERY));
    let showing = async {
        if let Some(pace) = pace {
            show_in_file(pace, &document, &path, &cancel).await;
        }
    };
    let running = async {
        let ended = run::run(&server, run, &reply, &cancel).await;
        // Whoever shows it has seen the end.
        drop(reply);
        ended
    };
    // `showing` is over when `reply` is dropped; the other senders are gone by then.
    let (ended, ()) = tokio::join!(running, showing);
    let reply = shown.borrow().clone();
    let answer = finish(&server, &path, &document, &agent, reply, ended).await;
    drop(claim);
    answer
}

/// Writes what has come, and says how it went.
async fn finish(
    server: &Arc<Server>,
    path: &Path,
    base: &Document,
    agent: &Agent,
    mut reply: Reply,
    ended: Ended,
) -> Result<Done, Failure> {
    let Ended { session, fault, cancelled } = ended;
    let nothing_came = reply.is_empty();
    if let Some(fault) = &fault {
        if fault.code == UNREACHABLE && nothing_came {
            // As if nobody had asked.
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no backend: {}", fault.message),
            ));
        }
        reply.fail(&fault.message);
    } else if nothing_came && !cancelled {
        reply.fail("the model wrote nothing");
    }
    let failed = fault.map(|fault| fault.message);
    let failed =
        failed.or_else(|| (nothing_came && !cancelled).then(|| "the model wrote nothing".to_owned()));
    if cancelled && nothing_came {
        return Err(Failure::backend("the client has left"));
    }
    let mut document = base.with_reply(&reply.markdown(), true);
    let print = fingerprint(&document.turns());
    document.set(keys::AGENT, &agent.name);
    document.set(keys::CONVERSATION, &session.to_string());
    document.set(keys::FINGERPRINT, &print);
    let new_content = document.render();
    blocking({
        let (path, new_content) = (path.to_owned(), new_content.clone());
        move || write_atomically(&path, &new_content).map_err(|error| cannot("write", &path, &error))
    })
    .await??;
    if let Some(markdown) = &server.markdown {
        markdown.index.note(path, Some(session), Some(&print));
    }
    match failed {
        Some(message) => Err(Failure::backend(message)),
        None => Ok(json!({
            "status": "ok", "turns_appended": 1, "agent": agent.name, "new_content": new_content,
        })),
    }
}

/// Writes the reply into the file while it grows. Not when the client has left: then it is complete as it is.
async fn show_in_file(mut pace: Pace, base: &Base, path: &Path, cancel: &CancelToken) {
    let mut written = String::new();
    while let Some(reply) = pace.next().await {
        if reply.is_empty() || cancel.is_cancelled() {
            continue;
        }
        let text = base.with_reply(&reply.markdown(), false).render();
        if text == written {
            continue;
        }
        written.clone_from(&text);
        let path = path.to_owned();
        // The last word is written in any case; this is for eyes.
        if let Ok(Err(error)) = blocking(move || write_atomically(&path, &text)).await {
            tracing::warn!("a growing reply cannot be shown: {error}");
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| Failure::bad("the file is not UTF-8 text, and is left as it is")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    tracing::error!("cannot {what} {}: {error}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Failure::backend(format!("cannot {what} {name}: {error}"))
}

async fn newest(server: &Arc<Server>, session: SessionId) -> Result<SessionId, Failure> {
    let server = Arc::clone(server);
    let newest = move || server.log.successor(session).map(|newest| newest.unwrap_or(session));
    blocking(newest).await?.map_err(Failure::backend)
}

fn admit(
    server: &Server,
    address: std::net::IpAddr,
    owner: Option<Hash>,
) -> Result<crate::frontends::admission::Admitted, Failure> {
    if let Some(reason) = server.why_not_ready() {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    server.admission.admit(address, owner).map_err(|refused| {
        let status = match refused {
            Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Refused::TooManyFromAddress | Refused::TooManyOfToken => StatusCode::TOO_MANY_REQUESTS,
        };
        Failure::new(status, refused.to_string())
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::backend("the work was stopped"))
}
