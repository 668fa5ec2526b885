//! `POST /v1/realtime/client_secrets`: short-lived keys for browsers (see
//! [`client_secrets`](crate::frontends::client_secrets)).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::Body;
use crate::conversation::ids::random_bytes;
use crate::frontends::auth::Visitor;
use crate::frontends::client_secrets::TooManySecrets;
use crate::frontends::problem::{ErrorBody, Problem};
use crate::frontends::realtime_ws;
use crate::frontends::server::Server;

/// Lifetimes that are given, in seconds.
const LIFETIMES_S: std::ops::RangeInclusive<u64> = 10..=7_200;
/// Where none is asked for.
const USUAL_LIFETIME_S: u64 = 600;

/// What is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ClientSecretRequest)]
pub struct Request {
    /// When the secret expires.
    expires_after: Option<ExpiresAfter>,
    /// The session's configuration, as in `session.update`.
    #[schema(value_type = Option<Object>)]
    session: Option<Map<String, Value>>,
}

/// When a secret expires.
#[derive(Debug, Deserialize, ToSchema)]
struct ExpiresAfter {
    /// From when: only `created_at`.
    anchor: Option<String>,
    /// 10 to 7200 seconds; 600 if absent.
    seconds: Option<u64>,
}

/// A client secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClientSecret)]
pub struct Answer {
    /// The secret itself: `ek_…`.
    value: String,
    /// Seconds since 1970.
    expires_at: i64,
    /// The configuration that sessions with it have.
    #[schema(value_type = Object)]
    session: Value,
}

/// Make a client secret
///
/// A key for a browser: it opens `/v1/realtime` with this session configuration (and `/ws/chat` where there is
/// none), for some minutes, and nothing else.
#[utoipa::path(post, path = "/v1/realtime/client_secrets", operation_id = "create_client_secret", tag = "conversations", request_body = Request,
    responses(
        (status = 200, description = "The secret", body = Answer),
        (status = 400, description = "The request makes no sense", body = ErrorBody),
    ))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Extension(visitor): Extension<Visitor>,
    Body(request): Body<Request>,
) -> Result<Json<Answer>, Problem> {
    let lifetime = lifetime(request.expires_after)?;
    let mut session = request.session.unwrap_or_default();
    let kind = session.entry("type").or_insert_with(|| "realtime".into());
    if kind != "realtime" {
        let message = format!("session.type: {kind} is not supported; realtime is");
        return Err(Problem::bad_value("session.type", message));
    }
    let session = Value::Object(session);
    realtime_ws::check(&server, &session).map_err(|wrong| {
        Problem::bad_value(wrong.param.unwrap_or_else(|| "session".to_owned()), wrong.message)
    })?;
    let made = server.door.secrets.create(visitor.owner, session, lifetime);
    let (value, secret) = made.map_err(|error: TooManySecrets| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", error.to_string())
            .after(Duration::from_secs(60))
    })?;
    // What clients expect of a session, though there is none yet.
    let mut session = secret.session.clone();
    session["object"] = "realtime.session".into();
    session["id"] = format!("sess_{}", URL_SAFE_NO_PAD.encode(random_bytes::<12>())).into();
    Ok(Json(Answer { value, expires_at: secret.expires_at_unix_s, session }))
}

fn lifetime(asked: Option<ExpiresAfter>) -> Result<Duration, Problem> {
    let ExpiresAfter { anchor, seconds } = asked.unwrap_or(ExpiresAfter { anchor: None, seconds: None });
    if let Some(anchor) = anchor.filter(|anchor| anchor != "created_at") {
        let message = format!("expires_after.anchor: {anchor:?} is unknown; there is created_at");
        return Err(Problem::bad_value("expires_after.anchor", message));
    }
    let seconds = seconds.unwrap_or(USUAL_LIFETIME_S);
    if !LIFETIMES_S.contains(&seconds) {
        let (least, most) = LIFETIMES_S.into_inner();
        let message = format!("expires_after.seconds: {seconds} is not within {least} to {most}");
        return Err(Problem::bad_value("expires_after.seconds", message));
    }
    Ok(Duration::from_secs(seconds))
}
