//! The messages of `/ws/chat`, as `docs/protocol.md` describes them.

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::conversation::ids::SessionId;
use crate::engines::{EngineNames, INPUT_RATE_HZ, OUTPUT_RATE_HZ};
use crate::session::messages::{CloseReason, FromClient, ToClient, Upkept};
use crate::session::settings::{Settings, SettingsPatch};
use crate::turn::config::TurnDetection;
use crate::turn::io::{ChunkId, Event, Fault, InterruptReason, Metrics, Outcome, SegmentId, State, TurnId};

/// Version of the protocol, in the `session` message.
const PROTOCOL: u32 = 1;

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerMessage<'a> {
    Session {
        session_id: &'a str,
        resume_token: &'a str,
        resumed: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        live: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        recorded: bool,
        agent: &'a str,
        protocol: u32,
        input_sample_rate: u32,
        output_sample_rate: u32,
        engines: &'a EngineNames,
    },
    VideoMode {
        enabled: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        idle_clip_url: Option<&'a str>,
    },
    Status {
        state: State,
        turn_id: Option<TurnId>,
    },
    PartialTranscript {
        text: &'a str,
        turn_id: TurnId,
    },
    Transcript {
        text: &'a str,
        turn_id: TurnId,
        audio_ms: u64,
        language: Option<&'a str>,
    },
    ResponseText {
        text: &'a str,
        turn_id: TurnId,
        segment_id: SegmentId,
        #[serde(rename = "final")]
        last: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        filler: bool,
    },
    Audio {
        turn_id: TurnId,
        segment_id: SegmentId,
        chunk_id: ChunkId,
        samples: usize,
    },
    SpeakingClip {
        turn_id: TurnId,
        mime: &'static str,
        data: String,
        text: &'a str,
        duration_ms: u64,
    },
    Pause {
        turn_id: TurnId,
    },
    Resume {
        turn_id: TurnId,
        from_chunk_id: ChunkId,
    },
    Interrupt {
        turn_id: TurnId,
        heard_text: &'a str,
        reason: InterruptReason,
    },
    TurnEnd {
        turn_id: TurnId,
        outcome: Outcome,
    },
    Metrics {
        turn_id: TurnId,
        #[serde(flatten)]
        metrics: Metrics,
    },
    Configured {
        system_prompt: &'a str,
        facts: &'a [String],
        voice: Option<&'a str>,
        language: Option<&'a str>,
        turn_detection: Detection,
        min_interrupt_ms: u32,
    },
    ToolCall {
        turn_id: TurnId,
        name: &'a str,
        arguments: &'a str,
    },
    ToolResult {
        turn_id: TurnId,
        name: &'a str,
        summary: &'a str,
    },
    Error {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        turn_id: Option<TurnId>,
        fatal: bool,
    },
    CompactStart,
    CompactDone {
        new_session_id: SessionId,
    },
    CompactFailed {
        error: Failure<'a>,
    },
    SystemMessage {
        item: Item<'a>,
    },
    MemoryStart,
    MemoryDone {
        items: usize,
        memories: usize,
    },
    MemoryFailed {
        error: Failure<'a>,
    },
    Pong,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    role: &'static str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct Detection {
    mode: TurnDetection,
    threshold: f32,
    hangover_ms: u32,
    prefix_padding_ms: u32,
}

/// What a message to the client is on the wire: JSON text, and binary data behind it.
#[derive(Debug, PartialEq)]
pub struct Wire {
    /// JSON.
    pub text: String,
    /// PCM.
    pub binary: Option<bytes::Bytes>,
}

/// `None`: this wire has no such message.
pub fn encode(message: &ToClient) -> Option<Wire> {
    let (text, binary) = match message {
        ToClient::Hello(hello) => (
            json(&ServerMessage::Session {
                session_id: &hello.session_id,
                resume_token: &hello.resume_token,
                resumed: hello.resumed,
                live: hello.live,
                recorded: hello.recorded,
                agent: &hello.agent,
                protocol: PROTOCOL,
                input_sample_rate: INPUT_RATE_HZ,
                output_sample_rate: OUTPUT_RATE_HZ,
                engines: &hello.engines,
            }),
            None,
        ),
        ToClient::VideoMode { enabled, reason } => {
            let reason = reason.as_deref();
            (json(&ServerMessage::VideoMode { enabled: *enabled, reason, idle_clip_url: None }), None)
        }
        ToClient::Event(event) => (json(&event_message(event)?), None),
        ToClient::Audio { turn, segment, chunk, pcm } => {
            let samples = pcm.len() / 2;
            let head =
                ServerMessage::Audio { turn_id: *turn, segment_id: *segment, chunk_id: *chunk, samples };
            (json(&head), Some(pcm.clone()))
        }
        ToClient::Clip { turn, text, clip } => (
            json(&ServerMessage::SpeakingClip {
                turn_id: *turn,
                mime: "video/mp4",
                data: base64::engine::general_purpose::STANDARD.encode(&clip.mp4),
                text,
                duration_ms: clip.duration_ms,
            }),
            None,
        ),
        ToClient::Configured(settings) => (json(&configured(settings)), None),
        ToClient::Upkept(upkept) => (json(&upkept_message(upkept)), None),
        // For wires that keep a copy of the conversation, ask for replies beside it, or show thoughts.
        ToClient::Committed { .. }
        | ToClient::Written { .. }
        | ToClient::Thought(_)
        | ToClient::Aside { .. }
        | ToClient::Echo(_) => {
            return None;
        }
        ToClient::Close(reason) => {
            let (code, message) = farewell(*reason)?;
            (json(&ServerMessage::Error { code, message, turn_id: None, fatal: true }), None)
        }
    };
    Some(Wire { text, binary })
}

fn failure(fault: &Fault) -> Failure<'_> {
    Failure { code: &fault.code, message: &fault.message }
}

fn upkept_message(upkept: &Upkept) -> ServerMessage<'_> {
    match upkept {
        Upkept::CompactStart => ServerMessage::CompactStart,
        Upkept::CompactDone { session } => ServerMessage::CompactDone { new_session_id: *session },
        Upkept::CompactFailed { fault } => ServerMessage::CompactFailed { error: failure(fault) },
        Upkept::SystemMessage { text } => {
            ServerMessage::SystemMessage { item: Item { role: "system", text } }
        }
        Upkept::MemoryStart => ServerMessage::MemoryStart,
        Upkept::MemoryDone { items, memories } => {
            ServerMessage::MemoryDone { items: *items, memories: *memories }
        }
        Upkept::MemoryFailed { fault } => ServerMessage::MemoryFailed { error: failure(fault) },
    }
}

fn event_message(event: &Event) -> Option<ServerMessage<'_>> {
    Some(match event {
        Event::Status { state, turn } => ServerMessage::Status { state: *state, turn_id: *turn },
        Event::PartialTranscript { turn, text } => ServerMessage::PartialTranscript { text, turn_id: *turn },
        Event::Transcript { turn, text, audio_ms, language } => ServerMessage::Transcript {
            text,
            turn_id: *turn,
            audio_ms: *audio_ms,
            language: language.as_deref(),
        },
        Event::ResponseText { turn, segment, text, last, filler } => ServerMessage::ResponseText {
            text,
            turn_id: *turn,
            segment_id: *segment,
            last: *last,
            filler: *filler,
        },
        Event::Pause { turn } => ServerMessage::Pause { turn_id: *turn },
        Event::Resume { turn, from_chunk } => {
            ServerMessage::Resume { turn_id: *turn, from_chunk_id: *from_chunk }
        }
        Event::Interrupt { turn, heard_text, reason } => {
            ServerMessage::Interrupt { turn_id: *turn, heard_text, reason: *reason }
        }
        Event::ToolCall { turn, name, arguments, .. } => {
            ServerMessage::ToolCall { turn_id: *turn, name, arguments }
        }
        Event::ToolResult { turn, name, summary } => {
            ServerMessage::ToolResult { turn_id: *turn, name, summary }
        }
        Event::Metrics { turn, metrics } => ServerMessage::Metrics { turn_id: *turn, metrics: *metrics },
        Event::TurnEnd { turn, outcome } => ServerMessage::TurnEnd { turn_id: *turn, outcome: *outcome },
        Event::Error { turn, fault } => {
            ServerMessage::Error { code: &fault.code, message: &fault.message, turn_id: *turn, fatal: false }
        }
        // `status` says as much, and data comes as messages of its own.
        Event::SpeechStarted { .. }
        | Event::SpeechStopped { .. }
        | Event::Audio { .. }
        | Event::SpeakingClip { .. }
        // Of replies that this wire cannot ask for.
        | Event::Idled { .. }
        | Event::NoReply { .. }
        | Event::ReplyText { .. }
        | Event::Amended { .. }
        // `transcript`, `status` and `turn_end` say as much.
        | Event::Contributed { .. }
        | Event::ReplyStarted { .. }
        | Event::Delivered { .. } => return None,
    })
}

fn configured(settings: &Settings) -> ServerMessage<'_> {
    let turn = &settings.turn;
    ServerMessage::Configured {
        system_prompt: &settings.persona.system_prompt,
        facts: &settings.persona.facts,
        voice: settings.persona.voice.as_deref(),
        language: settings.language.as_deref(),
        turn_detection: Detection {
            mode: turn.detection,
            threshold: turn.threshold,
            hangover_ms: turn.hangover_ms,
            prefix_padding_ms: turn.prefix_padding_ms,
        },
        min_interrupt_ms: turn.min_interrupt_ms,
    }
}

/// The last `error` of a session that the server ends: code and message. None where nothing is wrong.
fn farewell(reason: CloseReason) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        CloseReason::Idle => ("idle_timeout", "nothing was said for too long; connect again to go on"),
        CloseReason::TooLong => ("session_max", "the session reached its maximum length; connect again"),
        CloseReason::Restart => ("restart", "the server restarts; connect again in a moment"),
        CloseReason::Replaced => ("replaced", "the session goes on in another connection"),
        CloseReason::Fault => ("server_fault", "the session cannot go on; connect again"),
        CloseReason::HungUp => return None,
    })
}

/// An `error` message.
pub fn encode_error(fault: &Fault, fatal: bool) -> String {
    json(&ServerMessage::Error { code: &fault.code, message: &fault.message, turn_id: None, fatal })
}

/// The answer to `ping`.
pub fn encode_pong() -> String {
    json(&ServerMessage::Pong)
}

fn json(message: &ServerMessage<'_>) -> String {
    // Strings and numbers only: this cannot fail.
    serde_json::to_string(message).unwrap_or_default()
}

/// A parsed message of the client.
// It is taken apart where it is made.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum ClientMessage {
    /// For the session.
    ToSession(FromClient),
    /// To be answered with `pong`.
    Ping,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum RawMessage {
    Interrupt { last_chunk_id: Option<ChunkId> },
    Played { chunk_id: ChunkId },
    Text { text: String },
    Configure(RawConfigure),
    Commit {},
    Clear {},
    Ping {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfigure {
    system_prompt: Option<String>,
    facts: Option<Vec<String>>,
    voice: Option<String>,
    language: Option<String>,
    turn_detection: Option<RawDetection>,
    min_interrupt_ms: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetection {
    mode: Option<TurnDetection>,
    threshold: Option<f32>,
    hangover_ms: Option<u32>,
    prefix_padding_ms: Option<u32>,
}

/// Longest typed turn, in characters.
const MAX_TEXT_CHARS: usize = 16_000;

/// Parses a text message. The fault goes back to the client; nothing else has changed.
pub fn decode(text: &str) -> Result<ClientMessage, Fault> {
    let raw: RawMessage = serde_json::from_str(text).map_err(|error| bad_message(&error.to_string()))?;
    let message = match raw {
        RawMessage::Ping {} => return Ok(ClientMessage::Ping),
        RawMessage::Interrupt { last_chunk_id } => {
            FromClient::Interrupt { last_chunk: last_chunk_id, turn: None }
        }
        RawMessage::Played { chunk_id } => FromClient::Played(chunk_id),
        RawMessage::Text { text } => {
            let text = text.trim();
            if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS {
                return Err(bad_message(&format!("text: 1 to {MAX_TEXT_CHARS} characters")));
            }
            FromClient::Text(text.to_owned())
        }
        RawMessage::Configure(raw) => FromClient::Configure(patch(raw)),
        RawMessage::Commit {} => FromClient::Commit,
        RawMessage::Clear {} => FromClient::Clear,
    };
    Ok(ClientMessage::ToSession(message))
}

fn patch(raw: RawConfigure) -> SettingsPatch {
    SettingsPatch {
        system_prompt: raw.system_prompt,
        facts: raw.facts,
        voice: raw.voice,
        language: raw.language,
        detection: raw.turn_detection.as_ref().and_then(|detection| detection.mode),
        threshold: raw.turn_detection.as_ref().and_then(|detection| detection.threshold),
        hangover_ms: raw.turn_detection.as_ref().and_then(|detection| detection.hangover_ms),
        prefix_padding_ms: raw.turn_detection.as_ref().and_then(|detection| detection.prefix_padding_ms),
        min_interrupt_ms: raw.min_interrupt_ms,
        ..SettingsPatch::default()
    }
}

fn bad_message(message: &str) -> Fault {
    Fault { code: "bad_message".to_owned(), message: message.to_owned() }
}
