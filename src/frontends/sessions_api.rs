//! `/api/sessions`: conversations, for whom they belong to.
//!
//! A session belongs to the access token that made it, and to its resume token. To anybody else it
//! does not exist. A list shows no words: those are asked for by session.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::auth::{self, Refusal, Visitor};
use super::memories_api::{answer, whose};
use super::problem::{ErrorBody, Problem};
use super::server::Server;
use crate::conversation::audio::{Recorded, Speaker};
use crate::conversation::events::{Event, SessionDeleted};
use crate::conversation::export;
use crate::conversation::ids::SessionId;
use crate::conversation::log::StoredSession;
use crate::conversation::projections::ConversationRow;
use crate::conversation::tokens::Scope;

/// Sessions in one answer.
const MOST: usize = 500;

/// Whose sessions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// `all`: everybody's (scope `admin`).
    whose: Option<String>,
}

/// How a session is written out.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `markdown` (the default) or `json`.
    format: Option<String>,
}

/// Sessions, the last updated first.
#[derive(Debug, Serialize)]
struct Sessions {
    sessions: Vec<ConversationRow>,
}

/// A conversation, and what of it can be listened to.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    session: StoredSession,
    audio: Vec<Recorded>,
}

/// Conversations
///
/// Those that the token made, the last updated first, 500 at most: when, with whom, how long. Not what was
/// said.
#[utoipa::path(get, path = "/api/sessions", operation_id = "sessions", tag = "conversations",
    params(SessionsQuery), responses((status = 200, description = "Sessions", body = Object)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<SessionsQuery>,
    headers: HeaderMap,
) -> Response {
    answer(move || {
        let whose = whose(&server, &visitor, &headers, query.whose.as_deref() == Some("all"))?;
        let sessions = server.log.conversations(whose, MOST)?;
        Ok(Json(Sessions { sessions }).into_response())
    })
    .await
}

/// The history of a conversation
///
/// With the session's resume token, or the access token (with the scope `voice`) that made it, as bearer.
#[utoipa::path(
    get,
    path = "/api/sessions/{id}", operation_id = "session_history",
    tag = "conversations",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "Messages as they were heard, each turn's outcome and times, and which \
            of them were recorded (`audio`)", body = Object),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 404, description = "There is no such session, or it is not yours", body = ErrorBody),
    )
)]
pub async fn get(State(server): State<Arc<Server>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    answer(move || {
        let session = find(&server, &id, &headers)?;
        let audio = server.audio.list(session.session_id).map_err(unreadable)?;
        Ok(Json(Shown { session, audio }).into_response())
    })
    .await
}

/// What was said in a turn
///
/// If it was recorded (`record_audio`) and is still kept. `speaker` is `user` or `assistant`; of a reply there is
/// what was heard.
#[utoipa::path(get, path = "/api/sessions/{id}/audio/{turn}/{speaker}", operation_id = "session_audio",
    tag = "conversations",
    params(
        ("id" = String, Path, description = "The session's id"),
        ("turn" = u64, Path, description = "The turn"),
        ("speaker" = String, Path, description = "`user` or `assistant`"),
    ),
    responses(
        (status = 200, description = "A WAV file: 16 bits, mono", body = Vec<u8>, content_type = "audio/wav"),
        (status = 404, description = "There is no such recording, or it is not yours", body = ErrorBody),
    ))]
pub async fn audio(
    State(server): State<Arc<Server>>,
    Path((id, turn, speaker)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(move || {
        let session = find(&server, &id, &headers)?.session_id;
        let (Ok(turn), Ok(speaker)) = (turn.parse::<u64>(), speaker.parse::<Speaker>()) else {
            return Err(not_recorded());
        };
        let wav = server.audio.read(session, turn, speaker).map_err(unreadable)?.ok_or_else(not_recorded)?;
        Ok(([(header::CONTENT_TYPE, "audio/wav")], wav).into_response())
    })
    .await
}

/// A conversation as a file
#[utoipa::path(get, path = "/api/sessions/{id}/export", operation_id = "export_session", tag = "conversations",
    params(("id" = String, Path, description = "The session's id"), ExportQuery),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/markdown"),
        (status = 400, description = "There is no such format", body = ErrorBody),
        (status = 404, description = "There is no such session, or it is not yours", body = ErrorBody),
    ))]
pub async fn export(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    Query(query): Query<ExportQuery>,
    headers: HeaderMap,
) -> Response {
    answer(move || {
        let session = find(&server, &id, &headers)?;
        let (mime, ending, text) = match query.format.as_deref().unwrap_or("markdown") {
            "markdown" => ("text/markdown; charset=utf-8", "md", export::markdown(&session)),
            "json" => ("application/json", "json", export::json(&session)),
            other => {
                let message = format!("there is no format {other:?}; there are markdown and json");
                return Err(Problem::bad_value("format", message));
            }
        };
        let name = format!("attachment; filename=\"{}.{ending}\"", session.session_id);
        let headers = [(header::CONTENT_TYPE, mime.to_owned()), (header::CONTENT_DISPOSITION, name)];
        Ok((headers, text).into_response())
    })
    .await
}

/// Delete a conversation
///
/// With all sessions that it was compacted from and into, and their recordings. A connection that is open on
/// it ends. Its words leave the files with `vivavoce db compact`; memories of it are deleted by themselves.
#[utoipa::path(delete, path = "/api/sessions/{id}", operation_id = "delete_session", tag = "conversations",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "There is no such session, or it is not yours", body = ErrorBody),
    ))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let reading = Arc::clone(&server);
    let found = tokio::task::spawn_blocking(move || {
        let session = find(&reading, &id, &headers)?;
        Ok::<_, Problem>(reading.log.compactions_of(session.session_id)?)
    });
    let sessions = match found.await {
        Ok(Ok(sessions)) => sessions,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => {
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "reading was stopped")
                .into_response();
        }
    };
    // Nobody goes on with it meanwhile.
    let mut held = Vec::new();
    for session in &sessions {
        held.push(server.live.enter(*session).await);
    }
    let response = answer(move || {
        for session in sessions {
            server.audio.forget(session).map_err(unreadable)?;
            server.log.record(Event::SessionDeleted(SessionDeleted { session }))?;
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await;
    drop(held);
    response
}

/// A session that belongs to who asks. Blocking.
fn find(server: &Server, id: &str, headers: &HeaderMap) -> Result<StoredSession, Problem> {
    let (Ok(id), Some(token)) = (id.parse::<SessionId>(), auth::bearer(headers)) else {
        return Err(not_found());
    };
    if server.log.check_resume_token(id, token)? {
        return server.log.read_session(id)?.ok_or_else(not_found);
    }
    let owner = match server.door.owner(token, Scope::Voice) {
        Ok(owner) => owner,
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(_) => return Err(not_found()),
    };
    let session = server.log.read_session(id)?.filter(|session| session.owner == Some(owner));
    session.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such session, or it is not yours")
}

fn not_recorded() -> Problem {
    let message = "there is no recording of this turn; GET /api/sessions/{id} names those that there are";
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

fn unreadable(error: std::io::Error) -> Problem {
    tracing::error!("record_audio.dir: {error}");
    let message = "the recordings cannot be read or deleted (see the server's log)";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "recordings_unavailable", message)
}
