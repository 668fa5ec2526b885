//! `POST /chat`: one reply, written into its file while it grows, and then answered whole.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::request::{Asked, Failure, content_of, in_progress};
use super::work::{Job, work};
use super::{Markdown, reply::Reply};
use crate::engines::CancelToken;
use crate::frontends::auth::Visitor;
use crate::frontends::listener::Peer;
use crate::frontends::problem::DetailedBody;
use crate::frontends::server::Server;

/// What `POST /chat` answers, and the event `done` of `POST /chat/stream` says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkdownReply)]
#[allow(dead_code)] // the shape, for the OpenAPI document
pub struct Answer {
    /// `ok` or `nothing_to_do`.
    status: String,
    /// Why there is nothing to do.
    reason: Option<String>,
    /// 1, with `ok`.
    turns_appended: Option<u32>,
    /// Who answered.
    agent: Option<String>,
    /// What the file holds now.
    new_content: String,
}

/// The agents that may be named
#[utoipa::path(get, path = "/agents", operation_id = "list_agents", tag = "markdown",
    responses(
        (status = 200, description = "Their names", body = Object),
        (status = 401, description = "No token", body = DetailedBody),
    ))]
pub async fn agents(State(server): State<Arc<Server>>) -> Response {
    if server.markdown.is_none() {
        return off().into_response();
    }
    let agents: Vec<_> = server.agents.names().map(|name| json!({ "name": name })).collect();
    Json(json!({ "agents": agents })).into_response()
}

/// A reply into a Markdown file
///
/// docs/markdown.md has the format of the files.
#[utoipa::path(post, path = "/chat", operation_id = "markdown_chat", tag = "markdown", request_body = Asked,
    responses(
        (status = 200, description = "The reply is in the file, or there is nothing to do", body = Answer),
        (status = 400, description = "What cannot be", body = DetailedBody),
        (status = 401, description = "No token", body = DetailedBody),
        (status = 404, description = "There is no such agent", body = DetailedBody),
        (status = 409, description = "The file is being answered", body = Object),
        (status = 500, description = "The agent's model failed", body = DetailedBody),
        (status = 503, description = "The agent's model cannot be reached, or the server is busy", body = DetailedBody),
    ))]
pub async fn chat(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let job = match accept(&server, visitor, peer.ip(), body, "markdown_chat", true).await {
        Ok(job) => job,
        Err(response) => return *response,
    };
    let cancel = CancelToken::new();
    // A client that goes away drops this future.
    let _leaves = cancel.clone().drop_guard();
    let job = Job { shows_in_file: true, ..job };
    let (reply, base) = (watch::Sender::new(Reply::default()), watch::Sender::new(None));
    let working = server.sessions.spawn(work(Arc::clone(&server), job, base, reply, cancel));
    match working.await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => Failure::backend("the work was stopped").into_response(),
    }
}

/// What is known of a request before any work: what it says, which file that is, and that nobody else is at it.
/// `checks_content`: what is no text is refused here, and not later.
pub async fn accept(
    server: &Arc<Server>,
    visitor: Visitor,
    address: IpAddr,
    body: Result<Bytes, BytesRejection>,
    kind: &'static str,
    checks_content: bool,
) -> Result<Job, Box<Response>> {
    let refuse = |failure: Failure| Box::new(failure.into_response());
    let Some(markdown) = &server.markdown else { return Err(Box::new(off().into_response())) };
    let body = body.map_err(|rejection| refuse(Failure::new(rejection.status(), rejection.body_text())))?;
    let asked = Asked::read(&body).map_err(refuse)?;
    if checks_content {
        content_of(&asked).map_err(refuse)?;
    }
    let Markdown { vault, claims, .. } = markdown;
    let path = {
        let (vault, filename) = (vault.clone(), asked.filename.clone());
        tokio::task::spawn_blocking(move || vault.resolve(&filename)).await
    };
    let path = path
        .map_err(|_| refuse(Failure::backend("the work was stopped")))?
        .map_err(|bad| refuse(Failure::bad(bad.to_string())))?;
    let Some(claim) = claims.claim(&path) else { return Err(Box::new(in_progress(&asked.filename))) };
    Ok(Job { asked, visitor, address, path, claim, kind, shows_in_file: false })
}

/// 404: this server has no Markdown frontend.
pub fn off() -> Failure {
    Failure::new(
        axum::http::StatusCode::NOT_FOUND,
        "there are no Markdown files here; set markdown.enabled to true",
    )
}
