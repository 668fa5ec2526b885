//! The browser page: static files, embedded in the binary.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Scripts and styles of our own only, and audio and video that a script made.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; media-src 'self' blob: data:; \
     connect-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal $mime:expr),* $(,)?) => {
        &[$(($name, $mime, include_str!(concat!("../../web/", $name)))),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const FILES: &[(&str, &str, &str)] = files! {
    "index.html" HTML,
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "capture-worklet.js" SCRIPT,
    "clip.js" SCRIPT,
    "devices.js" SCRIPT,
    "facts.js" SCRIPT,
    "latency.js" SCRIPT,
    "main.js" SCRIPT,
    "microphone.js" SCRIPT,
    "notices.js" SCRIPT,
    "pcm.js" SCRIPT,
    "playback-queue.js" SCRIPT,
    "playback-worklet.js" SCRIPT,
    "player.js" SCRIPT,
    "problems.js" SCRIPT,
    "protocol.js" SCRIPT,
    "resampler.js" SCRIPT,
    "state.js" SCRIPT,
    "transcript-view.js" SCRIPT,
    "transcript.js" SCRIPT,
};

/// `/`
pub async fn index() -> Response {
    file("index.html")
}

/// `/{name}`
pub async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    let Some((_, mime, content)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, format!("there is no page {name}\n")).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *mime),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, *content).into_response()
}
