//! Engines that answer at once, over HTTP: `cargo run --release --example stub_engines -- [PORT]` serves transcripts,
//! chat completions and speech as OpenAI's API has them, until it is stopped. For `vivavoce bench` against
//! a server whose engines are all `openai`: what is left of the latency is the server's own.

// A program of its own: it says where it listens.
#![allow(clippy::print_stdout, missing_docs)]

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

/// What everybody says.
const TRANSCRIPT: &str = "What are your opening hours today?";
/// What the model answers, token by token.
const REPLY: [&str; 8] = ["We", " open", " at", " nine", " in", " the", " morning", "."];
/// Speech: 24 kHz 16-bit mono, as long as the server's scripted voice takes.
const BYTES_PER_CHAR: usize = 2 * 24 * 60;
/// Speech comes in pieces.
const PIECE_BYTES: usize = 4_800;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(9_900_u16);
    let routes = Router::new()
        .route("/v1/models", get(|| async { Json(json!({"object": "list", "data": [{"id": "stub"}]})) }))
        .route("/v1/audio/transcriptions", post(transcribe))
        .route("/v1/chat/completions", post(complete))
        .route("/v1/audio/speech", post(speak));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/v1", listener.local_addr()?);
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |socket| drop(socket.set_nodelay(true))), routes)
        .await
}

/// The whole form is read, as a recogniser would.
async fn transcribe(form: Bytes) -> Json<Value> {
    drop(form);
    Json(json!({"text": TRANSCRIPT}))
}

async fn complete(Json(_): Json<Value>) -> Response {
    let delta = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "stub", "object": "chat.completion.chunk", "choices": [choice]}))
    };
    let words = REPLY.map(|word| delta(json!({"content": word}), Value::Null));
    let end = [delta(json!({}), json!("stop")), "data: [DONE]\n\n".to_owned()];
    let events = words.into_iter().chain(end).map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    let body = Body::from_stream(futures_util::stream::iter(events));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn speak(Json(request): Json<Value>) -> Response {
    let chars = request["input"].as_str().unwrap_or_default().chars().count();
    // A tone, so that nothing takes it for silence.
    let samples = (0..chars * BYTES_PER_CHAR / 2).map(|n| ((n as f32 * 0.1).sin() * 6_000.0) as i16);
    let pcm: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let pcm = Bytes::from(pcm);
    let pieces = (0..pcm.len())
        .step_by(PIECE_BYTES)
        .map(move |from| Ok::<_, Infallible>(pcm.slice(from..(from + PIECE_BYTES).min(pcm.len()))));
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    ([(header::CONTENT_TYPE, "audio/pcm")], body).into_response()
}
