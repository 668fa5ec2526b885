//! `POST /chat/stream`: the same over server-sent events. The file is written at the start and at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use super::chat::accept;
use super::pace::Pace;
use super::reply::Reply;
use super::request::{Asked, Failure};
use super::work::{Base, Done, work};
use crate::engines::CancelToken;
use crate::frontends::auth::Visitor;
use crate::frontends::listener::Peer;
use crate::frontends::problem::DetailedBody;
use crate::frontends::server::Server;

/// A growing reply is sent so often.
const SENT_EVERY: Duration = Duration::from_millis(100);

/// What is known of a stream that goes on.
struct Writing {
    pace: Option<Pace>,
    base: watch::Receiver<Option<Base>>,
    working: JoinHandle<Result<Done, Failure>>,
    /// What was last sent.
    sent: String,
    over: bool,
    /// Dropped with the stream when the client goes away.
    _leaves: DropGuard,
}

/// A reply into a Markdown file, as it is written
///
/// Events: `delta` with `new_content` (the whole file), then one `done` (what POST /chat answers) or `error`
/// (`status_code`, `detail`).
#[utoipa::path(post, path = "/chat/stream", operation_id = "markdown_chat_stream", tag = "markdown", request_body = Asked,
    responses(
        (status = 200, description = "Events", body = String, content_type = "text/event-stream"),
        (status = 400, description = "What cannot be", body = DetailedBody),
        (status = 401, description = "No token", body = DetailedBody),
        (status = 409, description = "The file is being answered", body = Object),
    ))]
pub async fn stream(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let job = match accept(&server, visitor, peer.ip(), body, "markdown_chat_stream", false).await {
        Ok(job) => job,
        Err(response) => return *response,
    };
    let cancel = CancelToken::new();
    let _leaves = cancel.clone().drop_guard();
    let (reply, base) = (watch::Sender::new(Reply::default()), watch::Sender::new(None));
    let (pace, shown) = (Pace::new(reply.subscribe(), SENT_EVERY), base.subscribe());
    let working = server.sessions.spawn(work(Arc::clone(&server), job, base, reply, cancel));
    let writing =
        Writing { pace: Some(pace), base: shown, working, sent: String::new(), over: false, _leaves };
    let events = futures_util::stream::unfold(writing, |mut writing| async move {
        let event = writing.next().await?;
        Some((Ok::<_, Infallible>(event), writing))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Writing {
    /// The next event; `None`: that was the last.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        while let Some(pace) = &mut self.pace {
            let Some(reply) = pace.next().await else {
                self.pace = None;
                break;
            };
            let base = self.base.borrow().clone();
            let Some(base) = base.filter(|_| !reply.is_empty()) else { continue };
            let new_content = base.with_reply(&reply.markdown(), false).render();
            if new_content != self.sent {
                self.sent.clone_from(&new_content);
                return Some(event("delta", &json!({ "new_content": new_content })));
            }
        }
        self.over = true;
        let ended = (&mut self.working).await;
        let ended = ended.unwrap_or_else(|_| Err(Failure::backend("the work was stopped")));
        Some(match ended {
            Ok(done) => event("done", &done),
            Err(Failure { status, detail }) => {
                event("error", &json!({ "status_code": status.as_u16(), "detail": detail }))
            }
        })
    }
}

fn event(name: &str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}
