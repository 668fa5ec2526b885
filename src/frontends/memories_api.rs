//! `/api/memories`: what the server remembers of whom it talks with, for them to read, correct and delete.
//!
//! Somebody's memories are those of the sessions that their token made (in open mode: those made without
//! one). Who has the scope `admin` may ask for everybody's with `?whose=all`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, extract::rejection::JsonRejection};
use serde::{Deserialize, Serialize};

use super::auth::{self, Visitor};
use super::problem::{ErrorBody, Problem};
use super::server::Server;
use crate::conversation::events::{Event, MemoryCorrected, MemoryDeleted};
use crate::conversation::ids::SessionId;
use crate::conversation::projections::{MemoryRow, Whose};
use crate::conversation::tokens::Scope;

/// Memories in one answer.
const MOST: usize = 500;
/// Characters of a memory.
const MAX_TEXT_CHARS: usize = 2_000;

/// Whose memories, and which.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MemoriesQuery {
    /// Words that are looked for; the best match comes first.
    query: Option<String>,
    /// `all`: everybody's (scope `admin`).
    whose: Option<String>,
}

/// A memory.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MemoryBody {
    /// Its name.
    id: String,
    /// About whom.
    person: String,
    /// In words.
    text: String,
    /// When it was last said, seconds since 1970 UTC.
    said_at: i64,
    /// When it was last changed, likewise.
    updated_at: i64,
    /// The conversation in which it was made.
    session_id: String,
}

/// All that were asked for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MemoriesBody {
    /// The last changed first, or the best match.
    memories: Vec<MemoryBody>,
}

/// A correction.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// What it is to say.
    text: String,
}

impl From<MemoryRow> for MemoryBody {
    fn from(row: MemoryRow) -> MemoryBody {
        MemoryBody {
            id: row.id.to_string(),
            person: row.person,
            text: row.text,
            said_at: row.said_at_unix_us / 1_000_000,
            updated_at: row.updated_at_unix_us / 1_000_000,
            session_id: row.session.to_string(),
        }
    }
}

/// What is remembered
///
/// At most 500 memories.
#[utoipa::path(get, path = "/api/memories", operation_id = "memories", tag = "memories", params(MemoriesQuery),
    responses((status = 200, description = "Memories", body = MemoriesBody)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<MemoriesQuery>,
    headers: HeaderMap,
) -> Response {
    let all = query.whose.as_deref() == Some("all");
    answer(move || {
        let whose = whose(&server, &visitor, &headers, all)?;
        let rows = match query.query.filter(|query| !query.trim().is_empty()) {
            Some(query) => {
                let found = server.log.search_memories(whose, None, &query, MOST)?;
                found.into_iter().map(|(row, _)| row).collect()
            }
            None => server.log.memories(whose, MOST)?,
        };
        let memories = rows.into_iter().map(MemoryBody::from).collect();
        Ok(Json(MemoriesBody { memories }).into_response())
    })
    .await
}

/// Correct a memory
#[utoipa::path(patch, path = "/api/memories/{id}", operation_id = "correct_memory", tag = "memories",
    params(("id" = String, Path, description = "Its id")), request_body = Correction,
    responses(
        (status = 200, description = "As it is now", body = MemoryBody),
        (status = 400, description = "No text", body = ErrorBody),
        (status = 404, description = "There is no such memory, or it is not yours", body = ErrorBody),
    ))]
pub async fn correct(
    State(server): State<Arc<Server>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Correction>, JsonRejection>,
) -> Response {
    let text = match body {
        Ok(Json(correction)) => correction.text.trim().to_owned(),
        Err(rejection) => {
            return Problem::new(StatusCode::BAD_REQUEST, "bad_request", rejection.body_text())
                .into_response();
        }
    };
    if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS {
        let message = format!("text: 1 to {MAX_TEXT_CHARS} characters");
        return Problem::new(StatusCode::BAD_REQUEST, "bad_request", message).into_response();
    }
    answer(move || {
        let row = own(&server, &visitor, &headers, &id)?;
        server.log.record(Event::MemoryCorrected(MemoryCorrected { id: row.id, text }))?;
        let row = server.log.memory(row.id)?.ok_or_else(not_found)?;
        Ok(Json(MemoryBody::from(row)).into_response())
    })
    .await
}

/// Delete a memory
///
/// No prompt gets it any more. Its words leave the files with `vivavoce db compact`.
#[utoipa::path(delete, path = "/api/memories/{id}", operation_id = "delete_memory", tag = "memories",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "There is no such memory, or it is not yours", body = ErrorBody),
    ))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(move || {
        let row = own(&server, &visitor, &headers, &id)?;
        server.log.record(Event::MemoryDeleted(MemoryDeleted { id: row.id }))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// A memory that the visitor may change.
fn own(server: &Server, visitor: &Visitor, headers: &HeaderMap, id: &str) -> Result<MemoryRow, Problem> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    let row = server.log.memory(id)?.ok_or_else(not_found)?;
    let mine = row.owner == visitor.owner || whose(server, visitor, headers, true).is_ok();
    if mine { Ok(row) } else { Err(not_found()) }
}

/// Whose rows the visitor may see. Blocks for a look-up.
///
/// # Errors
/// They want everybody's, and lack the scope.
pub(super) fn whose(
    server: &Server,
    visitor: &Visitor,
    headers: &HeaderMap,
    all: bool,
) -> Result<Whose, Problem> {
    if !all {
        return Ok(Whose::Of(visitor.owner));
    }
    if server.door.needs_tokens() {
        let token = auth::bearer(headers).unwrap_or_default();
        server
            .door
            .owner(token, Scope::Admin)
            .map_err(|refusal| Problem::new(refusal.status(), refusal.code(), refusal.to_string()))?;
    }
    Ok(Whose::All)
}

fn not_found() -> Problem {
    let message = "there is no such memory, or it is not yours";
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// Runs what reads or writes the log on a thread that may wait.
pub(super) async fn answer(work: impl FnOnce() -> Result<Response, Problem> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the work was stopped")
            .into_response(),
    }
}
