//! Headers that tell browsers what a page of this server may do, on every answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::server::Server;
use crate::config::TlsMode;

/// Scripts and styles of our own files only, none inline; sockets to here; audio and video that a script
/// made. No other page may show one of ours in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; media-src 'self' blob: data:; connect-src 'self'; worker-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The microphone and the choice of a loudspeaker for our own pages, and nothing else that asks people.
const PERMISSIONS_POLICY: &str = "microphone=(self), speaker-selection=(self), autoplay=(self), camera=(), \
     geolocation=(), display-capture=(), usb=(), serial=(), payment=()";

const ALWAYS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
];

/// A year. Only with a certificate that browsers trust: with one of the server's own, a browser that keeps
/// to this would not let anybody past its warning.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Adds them.
pub async fn add(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if server.config.tls.mode == TlsMode::Files {
        let value = HeaderValue::from_static(STRICT_TRANSPORT_SECURITY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
