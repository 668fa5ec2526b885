//! `GET /api/sessions/{id}`: the history of a conversation, for whom it belongs to.
//!
//! A session belongs to the access token that made it, and to its resume token. To anybody else it
//! does not exist.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::auth::{self, Refusal};
use super::problem::ErrorBody;
use super::server::Server;
use crate::conversation::error::StoreError;
use crate::conversation::ids::SessionId;
use crate::conversation::log::StoredSession;
use crate::conversation::tokens::Scope;

/// The history of a conversation
///
/// With the session's resume token, or the access token (with the scope `voice`) that made it, as bearer.
#[utoipa::path(
    get,
    path = "/api/sessions/{id}", operation_id = "session_history",
    tag = "conversations",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "Messages as they were heard, and each turn's outcome", body = Object),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 404, description = "There is no such session, or it is not yours", body = ErrorBody),
    )
)]
pub async fn get(State(server): State<Arc<Server>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let (Ok(id), Some(token)) = (id.parse::<SessionId>(), auth::bearer(&headers).map(str::to_owned)) else {
        return not_found();
    };
    let found = tokio::task::spawn_blocking(move || find(&server, id, &token)).await;
    match found {
        Ok(Ok(Some(session))) => Json(session).into_response(),
        Ok(Ok(None)) => not_found(),
        Ok(Err(error)) => {
            tracing::error!("cannot read session {id}: {error}");
            super::server::error(StatusCode::INTERNAL_SERVER_ERROR, error.code(), &error.to_string())
        }
        Err(_) => super::server::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "reading was stopped"),
    }
}

fn find(server: &Server, id: SessionId, token: &str) -> Result<Option<StoredSession>, StoreError> {
    if server.log.check_resume_token(id, token)? {
        return server.log.read_session(id);
    }
    let owner = match server.door.owner(token, Scope::Voice) {
        Ok(owner) => owner,
        Err(Refusal::Store(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(server.log.read_session(id)?.filter(|session| session.owner == Some(owner)))
}

fn not_found() -> Response {
    super::server::error(StatusCode::NOT_FOUND, "not_found", "there is no such session, or it is not yours")
}
