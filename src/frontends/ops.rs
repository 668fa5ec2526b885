//! Health and metrics, for balancers and operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::server::Server;
use crate::metrics;

/// A server whose fullest queue is fuller than this takes no more sessions for now.
const SATURATED: f64 = 0.5;

/// Where [`healthz`] is.
pub const HEALTH_PATH: &str = "/healthz";

/// The process is alive
#[utoipa::path(get, path = HEALTH_PATH, operation_id = "health", tag = "operation",
    responses((status = 200, description = "`{\"status\": \"ok\"}`", body = Object)))]
pub async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// Is there room for one more session?
#[utoipa::path(get, path = "/readyz", operation_id = "readiness", tag = "operation",
    responses(
        (status = 200, description = "The models are loaded, and there is room", body = Object),
        (status = 503, description = "There is none, and why", body = Object),
    ))]
pub async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let reason = server.why_not_ready();
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({
        "ready": reason.is_none(),
        "reason": reason,
        "sessions": server.admission.open_sessions(),
        "engines": server.engines.names,
    });
    (status, Json(body)).into_response()
}

/// Measurements, in Prometheus' text format
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses((status = 200, description = "Measurements", body = String, content_type = "text/plain")))]
pub async fn show_metrics(State(server): State<Arc<Server>>) -> Response {
    let engines = &server.engines;
    metrics::queue_length("vad", engines.vad.queued());
    metrics::queue_length("asr", engines.asr.queued());
    metrics::queue_length("llm", engines.llm.queued());
    metrics::queue_length("tts", engines.tts.queued());
    if let Some(clip) = &engines.clip {
        metrics::queue_length("video", clip.queued());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render()).into_response()
}

impl Server {
    /// Why no session more should be sent here; `None` if there is room.
    pub fn why_not_ready(&self) -> Option<&'static str> {
        if self.drain.is_cancelled() {
            Some("the server is about to stop")
        } else if self.admission.is_full() {
            Some("all sessions are taken")
        } else if self.engines.load_factor() > SATURATED {
            Some("the engines are saturated")
        } else {
            None
        }
    }
}
