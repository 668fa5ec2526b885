//! `POST /v1/audio/transcriptions`: the words of a recording.
//!
//! The recording is divided where the VAD hears silence; each utterance is recognised by itself and is a
//! segment with its times. So a recording may be long, the first words of it come soon (`stream`), and a
//! recogniser never hears minutes of silence.

mod captions;
pub mod form;
mod segments;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{ConnectInfo, Extension, Multipart, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use self::form::{Format, Upload};
use self::segments::{Segment, Segments};
use crate::audio::decode::{self, DecodeError};
use crate::engines::{INPUT_RATE_HZ, SpeechContext};
use crate::frontends::auth::Visitor;
use crate::frontends::listener::Peer;
use crate::frontends::problem::{ErrorBody, Problem};
use crate::frontends::quotas::{AudioQuota, Payer};
use crate::frontends::server::Server;

/// Its route, which takes larger bodies than others.
pub const PATH: &str = "/v1/audio/transcriptions";
/// When somebody who found no place may try again.
const UPLOADS_WAIT: Duration = Duration::from_secs(5);
/// Longest recording, whatever its size: what is decoded has to fit into memory (230 MB).
const MAX_SECONDS: u32 = 2 * 3_600;

/// A transcript.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcription {
    /// All words.
    text: String,
    usage: DurationUsage,
}

/// A transcript with its segments.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerboseTranscription {
    #[schema(example = "transcribe")]
    task: &'static str,
    /// ISO 639-1, if the recogniser or the request tells.
    language: String,
    /// Of the recording, in seconds.
    duration: f64,
    /// All words.
    text: String,
    segments: Vec<VerboseSegment>,
    usage: DurationUsage,
}

/// How long the recording was.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct DurationUsage {
    #[schema(example = "duration")]
    r#type: &'static str,
    seconds: f64,
}

/// A segment as OpenAI's clients expect it. What is not measured here is 0 or empty: `seek`, `tokens`,
/// `temperature`, `avg_logprob`, `compression_ratio`, `no_speech_prob`.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerboseSegment {
    id: usize,
    seek: u32,
    /// Seconds from the beginning of the recording.
    start: f64,
    /// Seconds from the beginning of the recording.
    end: f64,
    text: String,
    tokens: [u32; 0],
    temperature: f32,
    avg_logprob: f32,
    compression_ratio: f32,
    no_speech_prob: f32,
}

/// The words of a recording
///
/// WAV, MP3, FLAC, Ogg, M4A or WebM. With `stream` the words come as server-sent events
/// (`transcript.text.delta`, at last `transcript.text.done`), an utterance at a time.
#[utoipa::path(post, path = "/v1/audio/transcriptions", operation_id = "create_transcription", tag = "engines",
    request_body(content = form::Form, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The words, in the form of `response_format`", content(
            (Transcription = "application/json"),
            (VerboseTranscription = "application/json"),
            (String = "text/plain"),
            (String = "text/vtt"),
            (String = "text/event-stream"),
        )),
        (status = 400, description = "What cannot be", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
        (status = 429, description = "Too much audio", body = ErrorBody),
        (status = 503, description = "The server is busy", body = ErrorBody),
    ))]
pub async fn create(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Extension(visitor): Extension<Visitor>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    // Recordings are large, and what they are decoded to is larger.
    let place = Arc::clone(&server.uploads).try_acquire_owned().map_err(|_| {
        Problem::busy("too many recordings are worked on (limits.uploads)").after(UPLOADS_WAIT)
    })?;
    let multipart = multipart
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, "invalid_form", rejection.body_text()))?;
    let Upload { file, extension, language, prompt, format, stream } = form::read(multipart).await?;
    let quota = server.quotas.audio(Payer::of(visitor.owner, peer.ip()));
    let pcm = decoded(file, extension, quota).await?;
    let seconds = pcm.len() as f64 / f64::from(INPUT_RATE_HZ);
    let mut context = SpeechContext::of(&server.persona());
    if let Some(prompt) = prompt {
        // What the caller says of the recording is worth more than what the persona is about.
        context = SpeechContext { facts: vec![prompt], ..SpeechContext::default() };
    }
    let segments = Segments::begin(&server, pcm, language.clone(), Arc::new(context), place);
    if stream {
        let events = events(segments).map(Ok::<_, Infallible>);
        return Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response());
    }
    let segments = segments.all().await?;
    Ok(answer(format, &segments, language, seconds))
}

/// Decodes off the executor, and counts what came.
async fn decoded(
    file: bytes::Bytes,
    extension: Option<String>,
    quota: AudioQuota,
) -> Result<Vec<i16>, Problem> {
    let decoding = tokio::task::spawn_blocking(move || {
        decode::decode(file, extension.as_deref(), INPUT_RATE_HZ, MAX_SECONDS)
    });
    let decoded = decoding.await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the recording's decoder has failed")
    })?;
    let pcm = decoded.map_err(|error| {
        let code = match error {
            DecodeError::TooLong(_) => "too_long",
            _ => "unreadable_audio",
        };
        let problem = Problem::new(StatusCode::BAD_REQUEST, code, error.to_string());
        Problem { param: Some("file".to_owned()), ..problem }
    })?;
    quota.take(pcm.len() as f64 / f64::from(INPUT_RATE_HZ))?;
    Ok(pcm)
}

fn answer(format: Format, segments: &[Segment], language: Option<String>, seconds: f64) -> Response {
    let text = joined(segments);
    let usage = DurationUsage { r#type: "duration", seconds };
    let plain = |mime: &'static str, text: String| ([(header::CONTENT_TYPE, mime)], text).into_response();
    match format {
        Format::Json => Json(Transcription { text, usage }).into_response(),
        Format::Text => plain("text/plain; charset=utf-8", text + "\n"),
        Format::Srt => plain("text/plain; charset=utf-8", captions::srt(segments)),
        Format::Vtt => plain("text/vtt; charset=utf-8", captions::vtt(segments)),
        Format::VerboseJson => {
            let heard = segments.iter().find_map(|segment| segment.language.clone());
            let language = heard.or(language).unwrap_or_default();
            let segments = segments.iter().enumerate().map(verbose).collect();
            let task = "transcribe";
            Json(VerboseTranscription { task, language, duration: seconds, text, segments, usage })
                .into_response()
        }
    }
}

fn verbose((id, segment): (usize, &Segment)) -> VerboseSegment {
    VerboseSegment {
        id,
        seek: 0,
        start: segment.start_s,
        end: segment.end_s,
        text: segment.text.clone(),
        tokens: [],
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 0.0,
        no_speech_prob: 0.0,
    }
}

fn joined(segments: &[Segment]) -> String {
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    texts.join(" ")
}

/// The words as they are recognised, and at last all of them.
fn events(segments: Segments) -> impl Stream<Item = Event> {
    let start = Some((segments, String::new()));
    futures_util::stream::unfold(start, |state| async move {
        let (mut segments, mut text) = state?;
        let (data, state) = match segments.next().await {
            Ok(Some(segment)) => {
                let delta = if text.is_empty() { segment.text } else { format!(" {}", segment.text) };
                text.push_str(&delta);
                (json!({"type": "transcript.text.delta", "delta": delta}), Some((segments, text)))
            }
            // Without `usage`: there OpenAI counts tokens only, which are not counted here.
            Ok(None) => (json!({"type": "transcript.text.done", "text": text}), None),
            Err(problem) => (json!(problem.body()), None),
        };
        Some((Event::default().data(data.to_string()), state))
    })
}
