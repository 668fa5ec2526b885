//! `GET /v1/models`: what is at work here.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engines::EngineNames;
use crate::frontends::problem::{ErrorBody, Problem};
use crate::frontends::server::Server;

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub struct Models {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Model {
    /// Its name.
    id: String,
    #[schema(example = "model")]
    object: &'static str,
    /// When the server loaded it: seconds since 1970.
    created: i64,
    #[schema(example = "vivavoce")]
    owned_by: &'static str,
}

/// The models that are loaded
#[utoipa::path(get, path = "/v1/models", operation_id = "list_models", tag = "engines",
    responses((status = 200, description = "Language model, recogniser, synthesiser", body = Models)))]
pub async fn list(State(server): State<Arc<Server>>) -> Json<Models> {
    Json(Models { object: "list", data: models(&server) })
}

/// One of the models
#[utoipa::path(get, path = "/v1/models/{id}", operation_id = "get_model", tag = "engines",
    params(("id" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "It is loaded", body = Model),
        (status = 404, description = "It is not", body = ErrorBody),
    ))]
pub async fn get(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Result<Json<Model>, Problem> {
    let models = models(&server);
    if let Some(model) = models.iter().find(|model| model.id == id) {
        return Ok(Json(model.clone()));
    }
    let known: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    let message = format!("there is no model `{id}` here; there is {}", known.join(", "));
    Err(Problem::new(StatusCode::NOT_FOUND, "model_not_found", message))
}

/// The name under which the language model answers.
pub fn llm(names: &EngineNames) -> &str {
    names.llm_model.as_deref().unwrap_or(&names.llm)
}

fn models(server: &Server) -> Vec<Model> {
    let names = &server.engines.names;
    let mut ids: Vec<&str> = Vec::new();
    for id in [llm(names), &names.asr, &names.tts] {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let created = server.started_at_unix_s;
    let model = |id: &str| Model { id: id.to_owned(), object: "model", created, owned_by: "vivavoce" };
    ids.into_iter().map(model).collect()
}
