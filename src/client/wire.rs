//! The messages of `/ws/chat` as a client sees them (`docs/protocol.md`).
//!
//! What a newer server adds does not break this client: unknown fields are ignored, and unknown
//! messages, or known ones with values that this client does not know, are [`ServerMessage::Other`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audio::pcm;
use crate::turn::io::{InterruptReason, Metrics, Outcome, State};

/// From the server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ServerMessage {
    Session {
        session_id: String,
        resume_token: String,
        resumed: bool,
        #[serde(default)]
        live: bool,
        #[serde(default)]
        recorded: bool,
        agent: String,
        protocol: u32,
        engines: Engines,
    },
    Status {
        state: State,
        turn_id: Option<u64>,
    },
    VideoMode {
        enabled: bool,
        reason: Option<String>,
        idle_clip_url: Option<String>,
    },
    PartialTranscript {
        text: String,
        turn_id: u64,
    },
    Transcript {
        text: String,
        turn_id: u64,
        audio_ms: u64,
        language: Option<String>,
    },
    ResponseText {
        text: String,
        turn_id: u64,
        segment_id: u64,
        #[serde(rename = "final")]
        last: bool,
        /// Bridges the wait for a tool and is no part of the reply.
        #[serde(default)]
        filler: bool,
    },
    /// A chunk, joined with its binary message.
    #[serde(skip)]
    Audio(Audio),
    SpeakingClip {
        turn_id: u64,
        mime: String,
        url: Option<String>,
        /// base64
        data: Option<String>,
        text: String,
        duration_ms: u64,
    },
    Pause {
        turn_id: u64,
    },
    Resume {
        turn_id: u64,
        from_chunk_id: u64,
    },
    Interrupt {
        turn_id: u64,
        heard_text: String,
        reason: InterruptReason,
    },
    TurnEnd {
        turn_id: u64,
        outcome: Outcome,
    },
    Metrics {
        turn_id: u64,
        #[serde(flatten)]
        metrics: Metrics,
    },
    /// The effective settings, as they came.
    #[serde(skip)]
    Configured(Value),
    ToolCall {
        turn_id: u64,
        name: String,
        arguments: String,
    },
    ToolResult {
        turn_id: u64,
        name: String,
        summary: String,
    },
    Error {
        code: String,
        message: String,
        turn_id: Option<u64>,
        fatal: bool,
    },
    Pong,
    /// Something that this client does not know.
    #[serde(skip)]
    Other(Value),
}

/// One chunk of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Audio {
    pub turn_id: u64,
    pub segment_id: u64,
    pub chunk_id: u64,
    /// 24 kHz mono signed 16-bit little-endian.
    pub pcm: Bytes,
}

impl Audio {
    /// The samples, 24 kHz mono.
    pub fn samples(&self) -> Vec<i16> {
        // The number of bytes was checked when it came.
        pcm::samples_from_bytes(&self.pcm).unwrap_or_default()
    }
}

/// Names of the server's engines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct Engines {
    pub vad: String,
    pub turn: Option<String>,
    pub asr: String,
    pub llm: String,
    pub tts: String,
    pub video: Option<String>,
}

/// An `audio` message; its samples come as the next, binary message.
#[derive(Debug, Deserialize)]
pub(super) struct AudioHead {
    turn_id: u64,
    segment_id: u64,
    pub chunk_id: u64,
    samples: usize,
}

impl AudioHead {
    pub fn with(self, pcm: Bytes) -> Result<ServerMessage, String> {
        let AudioHead { turn_id, segment_id, chunk_id, samples } = self;
        if pcm.len() != 2 * samples {
            return Err(format!("chunk {chunk_id} has {} bytes for {samples} samples", pcm.len()));
        }
        Ok(ServerMessage::Audio(Audio { turn_id, segment_id, chunk_id, pcm }))
    }
}

/// What a text message is.
#[derive(Debug)]
pub(super) enum Decoded {
    Message(ServerMessage),
    AudioFollows(AudioHead),
}

pub(super) fn decode(text: &str) -> Result<Decoded, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("a text message is no JSON: {error}"))?;
    let kind = value.get("type").and_then(Value::as_str).ok_or("a text message has no `type`")?;
    Ok(match kind {
        "audio" => Decoded::AudioFollows(
            serde_json::from_value(value).map_err(|error| format!("an `audio` message: {error}"))?,
        ),
        "configured" => Decoded::Message(ServerMessage::Configured(value)),
        _ => Decoded::Message(
            ServerMessage::deserialize(&value).unwrap_or_else(|_| ServerMessage::Other(value)),
        ),
    })
}

/// To the server. Audio is no message of this kind: it is sent as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Stop talking.
    Interrupt {
        /// The last chunk that the user heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_chunk_id: Option<u64>,
    },
    /// A chunk has been played.
    Played {
        /// Which.
        chunk_id: u64,
    },
    /// A typed turn.
    Text {
        /// What the user says.
        text: String,
    },
    /// Changes the settings of this conversation.
    Configure(Configure),
    /// Manual mode: the turn is complete.
    Commit,
    /// Manual mode: forget the audio.
    Clear,
    /// To be answered with [`ServerMessage::Pong`].
    Ping,
}

/// What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Configure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_detection: Option<Detection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_interrupt_ms: Option<u32>,
}

/// How the end of a turn is found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Detection {
    /// `vad`, `smart` or `manual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangover_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_padding_ms: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontends::voice_ws::wire as server;

    fn message(text: &str) -> ServerMessage {
        match decode(text) {
            Ok(Decoded::Message(message)) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_a_newer_server_adds_breaks_nothing() {
        let more = message(r#"{"type":"status","state":"listening","turn_id":null,"mood":"calm"}"#);
        assert_eq!(more, ServerMessage::Status { state: State::Listening, turn_id: None });
        for unknown in [
            r#"{"type":"weather","sky":"blue"}"#,
            r#"{"type":"status","state":"dreaming","turn_id":1}"#,
            r#"{"type":"turn_end","turn_id":1}"#,
        ] {
            assert_eq!(message(unknown), ServerMessage::Other(serde_json::from_str(unknown).unwrap()));
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for text in ["", "hello", "[1]", "{}", r#"{"type":7}"#, r#"{"type":"audio","chunk_id":-1}"#] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_chunk_has_as_many_samples_as_announced() {
        let head = || AudioHead { turn_id: 1, segment_id: 0, chunk_id: 5, samples: 2 };
        let ServerMessage::Audio(audio) = head().with(Bytes::from_static(&[1, 0, 255, 255])).unwrap() else {
            panic!("no audio");
        };
        assert_eq!(audio.samples(), [1, -1]);
        assert!(head().with(Bytes::from_static(&[0; 3])).unwrap_err().contains("chunk 5"));
    }

    /// Every message of ours is one that the server takes.
    #[test]
    fn the_server_understands_every_message() {
        let detection =
            Detection { mode: Some("manual".into()), threshold: Some(0.6), ..Detection::default() };
        let configure = Configure {
            facts: Some(vec!["open until six".into()]),
            turn_detection: Some(detection),
            ..Configure::default()
        };
        for message in [
            ClientMessage::Interrupt { last_chunk_id: None },
            ClientMessage::Interrupt { last_chunk_id: Some(3) },
            ClientMessage::Played { chunk_id: 3 },
            ClientMessage::Text { text: "hello".into() },
            ClientMessage::Configure(Configure::default()),
            ClientMessage::Configure(configure),
            ClientMessage::Commit,
            ClientMessage::Clear,
            ClientMessage::Ping,
        ] {
            let text = serde_json::to_string(&message).unwrap();
            assert!(server::decode(&text).is_ok(), "{text}: {:?}", server::decode(&text).err());
        }
    }
}
