//! The browser pages: static files, embedded in the binary; and the description of the interface.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::routes;

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
    "docs.css" "text/css; charset=utf-8",
    "docs.html" HTML,
    "docs.js" SCRIPT,
    "facts.js" SCRIPT,
    "latency.js" SCRIPT,
    "main.js" SCRIPT,
    "memory.html" HTML,
    "memory.js" SCRIPT,
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

/// The page to talk from
#[utoipa::path(get, path = "/", operation_id = "page", tag = "pages",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub async fn index() -> Response {
    file("index.html")
}

/// A file of the pages
#[utoipa::path(get, path = "/{name}", operation_id = "page_file", tag = "pages",
    params(("name" = String, Path, description = "The file's name")),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/plain"),
        (status = 404, description = "There is none of that name", body = String, content_type = "text/plain"),
    ))]
pub async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

/// The page of what is remembered
#[utoipa::path(get, path = "/memory", operation_id = "memory_page", tag = "pages",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub async fn memory() -> Response {
    file("memory.html")
}

/// A page that shows this document
#[utoipa::path(get, path = "/docs", operation_id = "docs", tag = "pages",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub async fn docs() -> Response {
    file("docs.html")
}

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "pages",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| routes::openapi().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], DOCUMENT.as_str())
        .into_response()
}

fn file(name: &str) -> Response {
    let Some((_, mime, content)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, format!("there is no page {name}\n")).into_response();
    };
    ([(header::CONTENT_TYPE, *mime), (header::CACHE_CONTROL, "no-cache")], *content).into_response()
}
