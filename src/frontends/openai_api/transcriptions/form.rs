//! What comes with a recording: the fields of the form, checked.

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use bytes::Bytes;
use utoipa::ToSchema;

use crate::frontends::problem::Problem;

/// Longest prompt, in characters.
const MAX_PROMPT_CHARS: usize = 4_000;
/// Fields of a form, at most; a stock client sends no more than a dozen.
const MAX_FIELDS: usize = 64;

/// The fields, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(as = TranscriptionRequest)]
#[allow(dead_code)]
pub struct Form {
    /// The recording.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Any name: there is one recogniser here.
    model: Option<String>,
    /// ISO 639-1, if it is known.
    language: Option<String>,
    /// What the recording is about: names and words that are likely in it.
    prompt: Option<String>,
    /// `json` (if absent), `text`, `srt`, `vtt` or `verbose_json`.
    response_format: Option<String>,
    /// The words as they are recognised, as server-sent events.
    stream: Option<bool>,
    /// Only `segment`, for `verbose_json`: this server does not time words.
    #[schema(rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<String>>,
}

/// A checked form.
#[derive(Debug)]
pub struct Upload {
    /// The recording.
    pub file: Bytes,
    /// Of the file's name.
    pub extension: Option<String>,
    /// ISO 639-1.
    pub language: Option<String>,
    /// What it is about.
    pub prompt: Option<String>,
    /// How the words are wanted.
    pub format: Format,
    /// As they are recognised.
    pub stream: bool,
}

/// `response_format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Json,
    Text,
    Srt,
    Vtt,
    VerboseJson,
}

impl Format {
    fn of(name: &str) -> Result<Format, Problem> {
        Ok(match name {
            "json" => Format::Json,
            "text" => Format::Text,
            "srt" => Format::Srt,
            "vtt" => Format::Vtt,
            "verbose_json" => Format::VerboseJson,
            other => {
                let message = format!(
                    "response_format: there is no {other:?}; there are json, text, srt, vtt and verbose_json"
                );
                return Err(Problem::bad_value("response_format", message));
            }
        })
    }
}

/// Reads and checks all fields. What is unknown is ignored, as newer clients may send more.
///
/// # Errors
/// The first thing that cannot be.
pub async fn read(mut form: Multipart) -> Result<Upload, Problem> {
    let (mut file, mut extension, mut language, mut prompt) = (None, None, None, None);
    let (mut format, mut stream) = (Format::Json, false);
    let mut fields = 0;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        fields += 1;
        if fields > MAX_FIELDS {
            let message = format!("the form has more than {MAX_FIELDS} fields");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_form", message));
        }
        match field.name().unwrap_or_default() {
            "file" => {
                let name = field.file_name().unwrap_or_default();
                extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
                file = Some(field.bytes().await.map_err(broken)?);
            }
            "language" => language = Some(text(field).await?).filter(|language| !language.is_empty()),
            "prompt" => prompt = Some(text(field).await?).filter(|prompt| !prompt.trim().is_empty()),
            "response_format" => format = Format::of(&text(field).await?)?,
            "stream" => stream = flag(&text(field).await?)?,
            "timestamp_granularities[]" | "timestamp_granularities" => {
                check_granularity(&text(field).await?)?;
            }
            _ => {}
        }
    }
    let file = file
        .filter(|file| !file.is_empty())
        .ok_or_else(|| Problem::bad_value("file", "file: there is no recording in the form"))?;
    if let Some(language) = language.as_deref().filter(|code| !is_language(code)) {
        let message = format!("language: {language:?} is no ISO 639-1 code such as en");
        return Err(Problem::bad_value("language", message));
    }
    if prompt.as_ref().is_some_and(|prompt| prompt.chars().count() > MAX_PROMPT_CHARS) {
        return Err(Problem::bad_value("prompt", format!("prompt: at most {MAX_PROMPT_CHARS} characters")));
    }
    if stream && !matches!(format, Format::Json | Format::Text) {
        let message = "response_format: with stream only json and text are possible";
        return Err(Problem::bad_value("response_format", message));
    }
    Ok(Upload { file, extension, language, prompt, format, stream })
}

fn check_granularity(name: &str) -> Result<(), Problem> {
    if name == "segment" {
        return Ok(());
    }
    let message = "timestamp_granularities: there is only segment: words are not timed here";
    Err(Problem::bad_value("timestamp_granularities", message))
}

fn is_language(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn flag(text: &str) -> Result<bool, Problem> {
    match text.to_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        other => Err(Problem::bad_value("stream", format!("stream: {other:?} is neither true nor false"))),
    }
}

async fn text(field: Field<'_>) -> Result<String, Problem> {
    field.text().await.map_err(broken)
}

/// A form that breaks off, is none, or is too large.
fn broken(error: MultipartError) -> Problem {
    let status = error.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let message = "the recording is too large; the limit is limits.upload_bytes";
        return Problem::new(status, "too_large", message);
    }
    Problem::new(status, "invalid_form", error.body_text())
}
