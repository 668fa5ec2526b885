//! Which pages may use the HTTP routes of `/v1` by `fetch`: those of `server.allowed_origins`, whose sockets
//! are let in, too. Without these headers browsers keep the answers from them.
//!
//! Nothing is let in here: [`auth`](super::auth) looks at the Origin of every request itself. Cookies do not
//! exist, so credentials other than the Authorization header are not spoken of.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::server::Server;

/// What the routes of `/v1` know.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// A browser need not ask again for so long.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");
/// Headers of answers that a page may read, beyond those that it always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after");

/// Answers preflights, and marks answers to pages that may read them.
pub async fn allow(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let origin =
        request.headers().get(header::ORIGIN).filter(|origin| server.door.knows_page(origin)).cloned();
    let mut response = match &origin {
        Some(_) if is_preflight(&request) => preflight(request.headers()),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Any header may be sent: clients add their own, and none of them means anything here.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    let wanted: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
    if let Some(names) = asked.get(wanted) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}
