//! JSON bodies, refused in OpenAI's shape.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::frontends::problem::Problem;

/// The JSON body of a request, whatever its Content-Type says. An absent one is `{}`.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let (status, message) = (rejection.status(), rejection.body_text());
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "unreadable_body" };
            Problem::new(status, code, format!("{message}; the limit is limits.message_bytes"))
        })?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        let deserializer = &mut serde_json::Deserializer::from_slice(&bytes);
        match serde_path_to_error::deserialize(deserializer) {
            Ok(body) => Ok(Body(body)),
            Err(error) => {
                let path = error.path().to_string();
                let problem =
                    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", format!("in the body, at {error}"));
                Err(Problem { param: Some(path).filter(|path| path != "."), ..problem })
            }
        }
    }
}
