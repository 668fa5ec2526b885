//! What a request asks for, and how it is told that it cannot be.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::frontends::problem::Problem;

/// The body of `POST /chat` and `POST /chat/stream`.
#[derive(Debug, Clone, PartialEq, ToSchema)]
#[schema(as = MarkdownChat)]
pub struct Asked {
    /// The file, seen from the vault; `.md` is added.
    pub filename: String,
    /// What the file is to hold first; absent: what is there.
    #[schema(value_type = Option<String>)]
    pub content: Option<Value>,
    /// Who answers; absent: as the file says, or the configuration.
    pub agent: Option<String>,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status; in a stream it is a field of the event.
    pub status: StatusCode,
    /// What is wrong, and the remedy.
    pub detail: String,
}

impl Failure {
    /// With a status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Failure {
        Failure { status, detail: detail.into() }
    }

    /// 400
    pub fn bad(detail: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 500
    pub fn backend(detail: impl std::fmt::Display) -> Failure {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("backend error: {detail}"))
    }

    fn code(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "invalid_request",
            404 => "unknown_agent",
            409 => "in_progress",
            413 => "too_large",
            429 => "rate_limit_exceeded",
            503 => "unavailable",
            _ => "backend_error",
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        Problem::new(self.status, self.code(), self.detail).into_detailed_response()
    }
}

/// 409: the file is being answered.
pub fn in_progress(filename: &str) -> Response {
    let detail = format!("{filename} is being answered already; wait for the end of that");
    (StatusCode::CONFLICT, Json(json!({ "status": "in_progress", "filename": filename, "detail": detail })))
        .into_response()
}

impl Asked {
    /// Reads a body. What kind of value `content` is, is looked at later: a stream tells it there.
    ///
    /// # Errors
    /// 400 with what is wrong.
    pub fn read(body: &[u8]) -> Result<Asked, Failure> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Failure::bad(format!("the body is not JSON: {error}")))?;
        let Value::Object(mut fields) = value else {
            return Err(Failure::bad("the body must be an object with `filename`"));
        };
        let filename = text(&mut fields, "filename")?.ok_or_else(|| Failure::bad("`filename` is missing"))?;
        let agent = text(&mut fields, "agent")?;
        let content = fields.remove("content").filter(|content| !content.is_null());
        Ok(Asked { filename, content, agent })
    }
}

/// A field that is text, absent or null.
fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::bad(format!("`{name}` must be a string"))),
    }
}

/// The given content.
///
/// # Errors
/// 400: it is no text.
pub fn content_of(asked: &Asked) -> Result<Option<&str>, Failure> {
    match &asked.content {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::bad("`content` must be a string")),
    }
}
