//! `POST /v1/audio/speech`: a text, spoken.
//!
//! The text goes through the segmenter and the rules of what is speakable, as a reply does, and the audio is
//! sent segment by segment as it is made. The next segment is begun when the one before has been taken, so a
//! slow client keeps no worker waiting, and a client that goes stops the one that is at work.

mod formats;

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use utoipa::ToSchema;

use self::formats::{Encoder, Format};
use super::body::Body;
use super::work::Speech;
use crate::frontends::problem::{ErrorBody, Problem};
use crate::frontends::server::Server;
use crate::turn::segmenter::Segmenter;

/// Names of voices that stock clients send; where the engine has none of that name, its usual voice speaks.
const STOCK_VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];
/// Pieces of the stream that wait for a slow client; then nothing more is made.
const AHEAD: usize = 4;

/// What is to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SpeechRequest)]
pub struct Request {
    /// The text; `turn.max_reply_chars` at most.
    input: String,
    /// Any name: there is one synthesiser here.
    #[serde(default)]
    #[allow(dead_code)]
    model: Option<String>,
    /// One of its voices. OpenAI's names mean the usual voice, where it has none of that name.
    #[serde(default)]
    voice: Option<Voice>,
    /// `mp3` (if absent), `opus`, `wav` or `pcm` (24 kHz mono signed 16-bit little-endian).
    #[serde(default)]
    response_format: Option<String>,
    /// 0.25 to 4; above 1 is faster.
    #[serde(default)]
    speed: Option<f32>,
    /// Only `audio`.
    #[serde(default)]
    stream_format: Option<String>,
}

/// A voice by its name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Voice {
    Name(String),
    Id { id: String },
}

/// A text, spoken
///
/// The audio comes as it is made.
#[utoipa::path(post, path = "/v1/audio/speech", operation_id = "create_speech", tag = "engines", request_body = Request,
    responses(
        (status = 200, description = "The audio, in the form of `response_format`", content(
            (Vec<u8> = "audio/mpeg"),
            (Vec<u8> = "audio/ogg"),
            (Vec<u8> = "audio/wav"),
            (Vec<u8> = "audio/pcm"),
        )),
        (status = 400, description = "What cannot be", body = ErrorBody),
        (status = 503, description = "The server is busy", body = ErrorBody),
    ))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Body(request): Body<Request>,
) -> Result<Response, Problem> {
    let format = Format::of(request.response_format.as_deref().unwrap_or("mp3"))?;
    let speed = request.speed.unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(Problem::bad_value("speed", format!("speed: {speed} is not within 0.25 to 4")));
    }
    if let Some(other) = request.stream_format.filter(|name| name != "audio") {
        let message = format!("stream_format: there is no {other:?}; there is audio");
        return Err(Problem::bad_value("stream_format", message));
    }
    let voice = voice(&server, request.voice)?;
    let segments = segments(&server, &request.input)?;
    let encoder = Encoder::new(format, speed)?;
    let (tell, mut made) = mpsc::channel(AHEAD);
    let task = tokio::spawn(async move {
        // A server that is about to stop waits for it.
        let _open = server.sessions.token();
        if let Err(problem) = speak(&server, segments, voice, encoder, &tell).await {
            let _ = tell.send(Err(problem)).await;
        }
    });
    // With the task go the guards of its work.
    let guard = AbortOnDropHandle::new(task);
    // What fails at once is still an answer of its own.
    let first = made.recv().await.unwrap_or_else(|| Ok(Bytes::new()))?;
    let rest = futures_util::stream::unfold((made, guard), |(mut made, guard)| async move {
        let next = made.recv().await?;
        Some((next, (made, guard)))
    });
    let stream = futures_util::stream::once(async { Ok(first) }).chain(rest).map(|piece| {
        // The head has been sent: all that is left to say it with is an end that is none.
        piece.map_err(|problem: Problem| {
            tracing::warn!("speech breaks off: {}", problem.message);
            std::io::Error::other(problem.message)
        })
    });
    Ok(([(header::CONTENT_TYPE, format.mime())], HttpBody::from_stream(stream)).into_response())
}

/// The engine's voice that is meant; `None`: its usual one.
fn voice(server: &Server, asked: Option<Voice>) -> Result<Option<String>, Problem> {
    let usual = || server.persona().voice.clone();
    let Some(Voice::Name(name) | Voice::Id { id: name }) = asked else { return Ok(usual()) };
    let voices = &server.engines.voices;
    if voices.is_empty() || voices.contains(&name) {
        return Ok(Some(name));
    }
    if STOCK_VOICES.contains(&name.as_str()) {
        return Ok(usual());
    }
    let message = format!("voice: there is no {name:?}; there is {}", voices.join(", "));
    Err(Problem::bad_value("voice", message))
}

/// What the synthesiser is given, in order.
fn segments(server: &Server, input: &str) -> Result<Vec<String>, Problem> {
    let turn = &server.config.turn;
    let chars = input.chars().count();
    if chars > turn.max_reply_chars {
        let message = format!(
            "input: {chars} characters are too many; {} at most (turn.max_reply_chars)",
            turn.max_reply_chars
        );
        return Err(Problem::bad_value("input", message));
    }
    let mut segmenter = Segmenter::new(turn.first_segment_chars, turn.max_segment_chars);
    segmenter.push(input);
    segmenter.finish();
    let all = std::iter::from_fn(|| segmenter.next_segment()).map(|segment| segment.spoken);
    let spoken: Vec<String> = all.filter(|spoken| !spoken.trim().is_empty()).collect();
    if spoken.is_empty() {
        return Err(Problem::bad_value("input", "input: there is nothing to say in it"));
    }
    Ok(spoken)
}

async fn speak(
    server: &Server,
    segments: Vec<String>,
    voice: Option<String>,
    encoder: Encoder,
    tell: &mpsc::Sender<Result<Bytes, Problem>>,
) -> Result<(), Problem> {
    let mut encoder = Some(encoder);
    for text in segments {
        let mut speech = Speech::begin(&server.engines, &server.config, text, voice.clone())?;
        while let Some(samples) = speech.next().await? {
            let bytes = formats::encoded(&mut encoder, Some(samples)).await?;
            if !bytes.is_empty() && tell.send(Ok(bytes)).await.is_err() {
                return Ok(());
            }
        }
    }
    let last = formats::encoded(&mut encoder, None).await?;
    if !last.is_empty() {
        // Without a reader nobody wants it.
        let _ = tell.send(Ok(last)).await;
    }
    Ok(())
}
