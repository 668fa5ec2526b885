//! `/v1`: the engines by themselves, as OpenAI's HTTP interface has them, so that other software can use
//! them. One file per resource.
//!
//! Stock clients name models that are not here (`gpt-4o`, `whisper-1`): a request's `model` may be any
//! name, and the answer tells which one has answered. There is one model for each task.

mod body;
pub mod chat;
pub mod client_secrets;
pub mod models;
pub mod speech;
pub mod transcriptions;
mod work;
