//! How a request is refused: one JSON shape on all routes, that of OpenAI's API.
//!
//! ```json
//! {"error": {"message": "…", "type": "rate_limit_error", "param": null, "code": "too_many_requests"}}
//! ```

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::conversation::error::StoreError;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable, snake_case.
    pub code: Cow<'static, str>,
    /// For people: what is wrong, and the remedy.
    pub message: String,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// It may be worth to ask again after this time.
    pub retry_after: Option<Duration>,
}

/// The body of a refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// The same where clients look for a `detail`.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailedBody {
    /// For people: what is wrong, and the remedy.
    pub detail: String,
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For people: what is wrong, and the remedy.
    pub message: String,
    /// Which kind of error: `invalid_request_error`, `authentication_error`, `permission_error`,
    /// `rate_limit_error` or `server_error`.
    pub r#type: &'static str,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// Stable, snake_case.
    pub code: String,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Problem {
        Problem { status, code: code.into(), message: message.into(), param: None, retry_after: None }
    }

    /// 400: `param` cannot be what it is.
    pub fn bad_value(param: impl Into<String>, message: impl Into<String>) -> Problem {
        let param = Some(param.into());
        Problem { param, ..Problem::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// 503: there is no room for this now.
    pub fn busy(message: impl Into<String>) -> Problem {
        let retry_after = Some(Duration::from_secs(1));
        Problem { retry_after, ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message) }
    }

    /// The same, to be asked again after `wait`.
    pub fn after(self, wait: Duration) -> Problem {
        Problem { retry_after: Some(wait), ..self }
    }

    /// What is told of it, as it stands in a response's body or in an event of a stream.
    pub fn body(&self) -> ErrorBody {
        let r#type = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let (message, param, code) = (self.message.clone(), self.param.clone(), self.code.to_string());
        ErrorBody { error: ErrorDetail { message, r#type, param, code } }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!("the log cannot be used: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), error.to_string())
    }
}

impl Problem {
    /// An answer whose body has a `detail`, too.
    pub fn into_detailed_response(self) -> Response {
        let body = DetailedBody { detail: self.message.clone(), error: self.body().error };
        self.respond(Json(body))
    }

    fn respond(&self, body: impl IntoResponse) -> Response {
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never at once.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(Json(self.body()))
    }
}
