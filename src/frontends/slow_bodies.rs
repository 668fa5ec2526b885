//! Bodies of requests must come in time (`limits.request_body_s`): a client that sends one byte a second
//! would hold its place among the uploads for days. Heads of requests are the [`listener`](super::listener)'s
//! matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::problem::Problem;
use super::server::Server;

/// The body was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
struct TooSlow;

/// Ends a body that is not there in time, and says so.
pub async fn limit(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    let limit_s = server.config.limits.request_body_s;
    let until = Instant::now() + Duration::from_secs(limit_s);
    let late = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| in_time(body, until, Arc::clone(&late)));
    let response = next.run(request).await;
    if late.load(Ordering::Relaxed) {
        let message = format!("the body has not come within {limit_s} s (limits.request_body_s)");
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).into_response();
    }
    response
}

/// The same body, which fails where it is not there in time; `late` tells of it.
fn in_time(body: Body, until: Instant, late: Arc<AtomicBool>) -> Body {
    let pieces = futures_util::stream::unfold(Some(body.into_data_stream()), move |pieces| {
        let late = Arc::clone(&late);
        async move {
            let mut pieces = pieces?;
            let piece: Result<Bytes, axum::Error> = match tokio::time::timeout_at(until, pieces.next()).await
            {
                Ok(piece) => piece?,
                Err(_) => {
                    late.store(true, Ordering::Relaxed);
                    return Some((Err(axum::Error::new(TooSlow)), None));
                }
            };
            Some((piece, Some(pieces)))
        }
    });
    Body::from_stream(pieces)
}
