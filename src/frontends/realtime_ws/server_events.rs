//! Everything that a Realtime client is sent, typed as the wire has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::conversation::Item;
use super::fields::Problem;
use super::session_config::SessionEcho;

/// An id of the wire: of an item, a response, an event of the client.
pub type Id = Arc<str>;

/// One server event. Its `event_id` is added by [`encode`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum ServerEvent {
    #[serde(rename = "session.created")]
    SessionCreated { session: Box<SessionEcho> },
    #[serde(rename = "session.updated")]
    SessionUpdated { session: Box<SessionEcho> },
    #[serde(rename = "error")]
    Error { error: ErrorBody },

    #[serde(rename = "input_audio_buffer.speech_started")]
    SpeechStarted { item_id: Id, audio_start_ms: u64 },
    #[serde(rename = "input_audio_buffer.speech_stopped")]
    SpeechStopped { item_id: Id, audio_end_ms: u64 },
    #[serde(rename = "input_audio_buffer.committed")]
    Committed { item_id: Id, previous_item_id: Option<Id> },
    #[serde(rename = "input_audio_buffer.cleared")]
    Cleared,
    #[serde(rename = "input_audio_buffer.timeout_triggered")]
    TimeoutTriggered { item_id: Id, audio_start_ms: u64, audio_end_ms: u64 },

    #[serde(rename = "conversation.item.added")]
    ItemAdded { previous_item_id: Option<Id>, item: Item },
    #[serde(rename = "conversation.item.done")]
    ItemDone { previous_item_id: Option<Id>, item: Item },
    #[serde(rename = "conversation.item.retrieved")]
    ItemRetrieved { item: Item },
    #[serde(rename = "conversation.item.deleted")]
    ItemDeleted { item_id: Id },
    #[serde(rename = "conversation.item.truncated")]
    ItemTruncated { item_id: Id, content_index: u32, audio_end_ms: u64 },
    #[serde(rename = "conversation.item.input_audio_transcription.delta")]
    TranscriptionDelta { item_id: Id, content_index: u32, delta: String },
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    TranscriptionCompleted { item_id: Id, content_index: u32, transcript: String, usage: Duration },
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    TranscriptionFailed { item_id: Id, content_index: u32, error: ErrorBody },

    #[serde(rename = "response.created")]
    ResponseCreated { response: Box<ResponseBody> },
    #[serde(rename = "response.done")]
    ResponseDone { response: Box<ResponseBody> },
    #[serde(rename = "response.output_item.added")]
    OutputItemAdded { response_id: Id, output_index: u32, item: Item },
    #[serde(rename = "response.output_item.done")]
    OutputItemDone { response_id: Id, output_index: u32, item: Item },
    #[serde(rename = "response.content_part.added")]
    ContentPartAdded {
        #[serde(flatten)]
        at: At,
        part: Part,
    },
    #[serde(rename = "response.content_part.done")]
    ContentPartDone {
        #[serde(flatten)]
        at: At,
        part: Part,
    },
    #[serde(rename = "response.output_audio.delta")]
    AudioDelta { response_id: Id, item_id: Id, output_index: u32, content_index: u32, delta: Base64 },
    #[serde(rename = "response.output_audio.done")]
    AudioDone {
        #[serde(flatten)]
        at: At,
    },
    #[serde(rename = "response.output_audio_transcript.delta")]
    AudioTranscriptDelta {
        #[serde(flatten)]
        at: At,
        delta: String,
    },
    #[serde(rename = "response.output_audio_transcript.done")]
    AudioTranscriptDone {
        #[serde(flatten)]
        at: At,
        transcript: String,
    },
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        #[serde(flatten)]
        at: At,
        delta: String,
    },
    #[serde(rename = "response.output_text.done")]
    TextDone {
        #[serde(flatten)]
        at: At,
        text: String,
    },
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta { response_id: Id, item_id: Id, output_index: u32, call_id: String, delta: String },
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone {
        response_id: Id,
        item_id: Id,
        output_index: u32,
        call_id: String,
        name: String,
        arguments: String,
    },
    #[serde(rename = "output_audio_buffer.cleared")]
    OutputAudioCleared { response_id: Id },
    #[serde(rename = "rate_limits.updated")]
    RateLimits { rate_limits: [(); 0] },
}

/// Which content of which item of which response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct At {
    pub response_id: Id,
    pub item_id: Id,
    pub output_index: u32,
    pub content_index: u32,
}

/// A content part as `response.content_part.*` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Part {
    Text { text: String },
    Audio { transcript: String },
}

/// Bytes that become base64 where they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64(pub Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

/// What a transcription cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "duration")]
pub struct Duration {
    /// Of the audio.
    pub seconds: f64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ErrorBody {
    pub r#type: &'static str,
    pub code: String,
    pub message: String,
    pub param: Option<String>,
    /// The client's event that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Id>,
}

impl ErrorBody {
    /// The client's fault.
    pub fn refused(problem: Problem, event_id: Option<Id>) -> ErrorBody {
        let Problem { code, message, param } = problem;
        ErrorBody { r#type: "invalid_request_error", code: code.to_owned(), message, param, event_id }
    }

    /// Ours.
    pub fn failed(code: &str, message: &str) -> ErrorBody {
        let (code, message) = (code.to_owned(), message.to_owned());
        ErrorBody { r#type: "server_error", code, message, param: None, event_id: None }
    }
}

/// A response, as it is when it begins and when it is done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ResponseBody {
    pub object: &'static str,
    pub id: Id,
    pub status: &'static str,
    pub status_details: Option<StatusDetails>,
    pub output: Vec<Item>,
    pub conversation_id: Option<Id>,
    pub output_modalities: [&'static str; 1],
    pub max_output_tokens: MaxTokens,
    pub audio: AudioBody,
    pub usage: Option<UsageBody>,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Why a response ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct StatusDetails {
    pub r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct StatusError {
    pub r#type: &'static str,
    pub code: String,
    pub message: String,
}

/// A number of tokens, or `"inf"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaxTokens(pub Option<u32>);

impl Serialize for MaxTokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(tokens) => serializer.serialize_u32(tokens),
            None => serializer.serialize_str("inf"),
        }
    }
}

/// How a response sounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct AudioBody {
    pub output: AudioOutputBody,
}

/// See [`AudioBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct AudioOutputBody {
    pub format: FormatBody,
    pub voice: String,
}

/// A format of audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct FormatBody {
    pub r#type: &'static str,
    /// Only PCM's: the others have but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// Tokens. Audio is none here: what is said is counted as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct UsageBody {
    pub total_tokens: u32,
    pub input_tokens: u32,
    pub output_tokens: u32,
    pub input_token_details: InputTokens,
    pub output_token_details: OutputTokens,
}

/// See [`UsageBody`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct InputTokens {
    pub text_tokens: u32,
    pub audio_tokens: u32,
    pub image_tokens: u32,
    pub cached_tokens: u32,
}

/// See [`UsageBody`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct OutputTokens {
    pub text_tokens: u32,
    pub audio_tokens: u32,
}

impl UsageBody {
    /// Of these counts.
    pub fn new(input: u32, output: u32) -> UsageBody {
        UsageBody {
            total_tokens: input.saturating_add(output),
            input_tokens: input,
            output_tokens: output,
            input_token_details: InputTokens { text_tokens: input, ..InputTokens::default() },
            output_token_details: OutputTokens { text_tokens: output, ..OutputTokens::default() },
        }
    }
}

/// Bytes of an event besides its audio or text.
const FRAME_BYTES: usize = 256;

/// The event as JSON text. Audio is written as base64 straight into it.
pub fn encode(event: &ServerEvent, event_id: &str) -> String {
    let payload = match event {
        ServerEvent::AudioDelta { delta, .. } => delta.0.len().div_ceil(3) * 4,
        _ => FRAME_BYTES,
    };
    let mut json = Vec::with_capacity(FRAME_BYTES + payload);
    json.extend_from_slice(b"{\"event_id\":\"");
    json.extend_from_slice(event_id.as_bytes());
    json.push(b'"');
    let rest = json.len();
    // Strings and finite numbers only: this cannot fail, nor give anything but an object in UTF-8.
    if serde_json::to_writer(&mut json, event).is_ok() && json.get(rest) == Some(&b'{') {
        json[rest] = b',';
    }
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_object_with_its_id_and_type() {
        let event = ServerEvent::AudioDelta {
            response_id: "r".into(),
            item_id: "i".into(),
            output_index: 0,
            content_index: 0,
            delta: Base64(Bytes::from_static(&[0, 1, 2, 3])),
        };
        let json = r#"{"event_id":"e1","type":"response.output_audio.delta","response_id":"r","item_id":"i","output_index":0,"content_index":0,"delta":"AAECAw=="}"#;
        assert_eq!(encode(&event, "e1"), json);
        assert_eq!(
            encode(&ServerEvent::Cleared, "e2"),
            r#"{"event_id":"e2","type":"input_audio_buffer.cleared"}"#
        );
    }
}
