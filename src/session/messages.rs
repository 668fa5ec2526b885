//! What a session and its frontend say to each other. Wires translate these; they add nothing.

use bytes::Bytes;

use crate::engines::Clip;
use crate::turn::io::{ChunkId, Event, SegmentId, TurnId};

use super::settings::{Settings, SettingsPatch};

/// From the client, already parsed and within its limits.
#[derive(Debug)]
pub enum FromClient {
    /// 16 kHz mono.
    Audio(Vec<i16>),
    /// A typed turn.
    Text(String),
    /// Stop the reply.
    Interrupt {
        /// The last chunk that the user heard.
        last_chunk: Option<ChunkId>,
    },
    /// A chunk has been played.
    Played(ChunkId),
    /// Change the settings of this conversation.
    Configure(SettingsPatch),
    /// Manual mode: the turn is complete.
    Commit,
    /// Manual mode: forget the audio.
    Clear,
}

/// To the client, in order.
#[derive(Debug)]
pub enum ToClient {
    /// The first message.
    Hello(Hello),
    /// Whether replies are clips.
    VideoMode {
        /// They are.
        enabled: bool,
        /// Why not, if that is a fault.
        reason: Option<String>,
    },
    /// What the turn machine tells. Never [`Event::Audio`] or [`Event::SpeakingClip`]: those come
    /// with their data, below.
    Event(Event),
    /// A chunk of the reply.
    Audio {
        /// Which turn.
        turn: TurnId,
        /// Which segment.
        segment: SegmentId,
        /// Which chunk.
        chunk: ChunkId,
        /// 24 kHz mono signed 16-bit little-endian PCM.
        pcm: Bytes,
    },
    /// The reply, as a clip.
    Clip {
        /// Which turn.
        turn: TurnId,
        /// The whole reply.
        text: String,
        /// The clip.
        clip: Clip,
    },
    /// The settings in force after [`FromClient::Configure`].
    Configured(Box<Settings>),
    /// The session is over.
    Close(CloseReason),
}

/// The first message of a session.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Id of the session in the log.
    pub session_id: String,
    /// The key to this session's history.
    pub resume_token: String,
    /// The history of an earlier connection goes on.
    pub resumed: bool,
    /// Which agent.
    pub agent: String,
    /// Names of the engines at work.
    pub engines: crate::engines::EngineNames,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// Nothing happened for `limits.idle_timeout_s`.
    Idle,
    /// It reached `limits.session_max_s`.
    TooLong,
    /// The server restarts.
    Restart,
    /// Another connection goes on with it.
    Replaced,
    /// A model that every turn needs has failed.
    Fault,
    /// The conversation has come to its end, and the goodbye has been heard.
    HungUp,
}
