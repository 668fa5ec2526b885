//! `GET /api/sessions/{id}`: the history of a conversation, for whom it belongs to.
//!
//! A session belongs to the access token that made it, and to its resume token. To anybody else it
//! does not exist.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::auth;
use super::server::Server;
use crate::conversation::error::StoreError;
use crate::conversation::ids::SessionId;
use crate::conversation::log::StoredSession;

/// `GET /api/sessions/{id}` with `Authorization: Bearer` and the session's resume token, or the
/// access token that made it.
pub async fn get(State(server): State<Arc<Server>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = server.door.check_names(&headers) {
        return super::server::refusal(&refusal);
    }
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
    let Some(owner) = server.tokens.verify(token)? else { return Ok(None) };
    Ok(server.log.read_session(id)?.filter(|session| session.owner == Some(owner)))
}

fn not_found() -> Response {
    super::server::error(StatusCode::NOT_FOUND, "not_found", "there is no such session, or it is not yours")
}
