//! What a session and its frontend say to each other. Wires translate these; they add nothing.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::conversation::history::Role;
use crate::conversation::ids::SessionId;
use crate::engines::{Calls, Clip, ToolCall, ToolSpec, Usage};
use crate::turn::io::{ChunkId, Event, Fault, MessageId, ReplyId, RequestId, SegmentId, TurnId};

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
        /// The reply of this turn, and no later one.
        turn: Option<TurnId>,
    },
    /// A chunk has been played.
    Played(ChunkId),
    /// Change the settings of this conversation.
    Configure(SettingsPatch),
    /// What was said is complete.
    Commit,
    /// Forget it.
    Clear,
    /// Reply to what is there.
    Respond(RequestId, Wish),
    /// Write something beside the conversation, which neither knows of it nor waits for it.
    RespondAside(RequestId, Wish, Beside),
    /// Stop that.
    CancelAside(RequestId),
    /// Put a message into the conversation.
    Insert {
        /// Its name from now on.
        id: MessageId,
        /// What it says.
        message: NewMessage,
        /// Where it stands; `None`: behind everything.
        place: Option<Place>,
    },
    /// Take a message out of the conversation.
    Withdraw(Anchor),
    /// So much of a turn's reply was heard, in samples (24 kHz).
    Truncate(TurnId, u64),
    /// Comes back as it is, behind the answers to everything before it.
    Echo(u64),
    /// The client goes, and does not come back.
    Leave,
    /// Its connection is lost, but not its wire, which waits for it.
    Lost,
    /// It is back.
    Back {
        /// The last chunk that it has, if it knows.
        last_chunk: Option<ChunkId>,
    },
}

/// A client's way to a session and back.
#[derive(Debug)]
pub struct Connection {
    /// What it says. Without a sender any more, the connection is lost.
    pub from_client: mpsc::Receiver<FromClient>,
    /// What it is told.
    pub to_client: mpsc::Sender<ToClient>,
}

/// A client that lost its connection is here again, on another one.
#[derive(Debug)]
pub struct Return {
    /// The new one.
    pub connection: Connection,
    /// The last chunk that the user heard, if it knows.
    pub last_chunk: Option<ChunkId>,
    /// What it is told first.
    pub hello: Hello,
}

/// What a client wants of a reply. What is `None` is as in the settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// It is to be read, not heard.
    pub text_only: bool,
    /// Instead of the instructions in force.
    pub instructions: Option<String>,
    /// Instead of the client's tools.
    pub tools: Option<Vec<ToolSpec>>,
    /// Whether tools are called, the server's as well as the client's.
    pub calls: Option<Calls>,
    /// Stop after so many tokens.
    pub max_new_tokens: Option<u32>,
    /// One of the TTS engine's.
    pub voice: Option<String>,
}

/// What a reply beside the conversation knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Beside {
    /// The conversation so far.
    Conversation,
    /// These messages, and nothing else.
    These(Vec<Given>),
}

/// A message that a reply beside the conversation is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// One that is only for this.
    New(NewMessage),
    /// One of the conversation.
    Known(Anchor),
}

/// A message that a client puts into the conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum NewMessage {
    /// Instructions.
    System(String),
    /// What the user wrote.
    User(String),
    /// What we are to have said.
    Assistant(String),
    /// What we are to have called.
    Call(ToolCall),
    /// What a tool of the client gave.
    Result {
        /// The call that it answers.
        call: Anchor,
        /// JSON or text.
        content: String,
    },
}

/// Where a message of a client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Before everything.
    First,
    /// Behind this one.
    After(Anchor),
}

/// A message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Where it came from.
    pub of: Of,
    /// Which of the turn's messages.
    pub role: Role,
    /// Of a message to or from a tool: the call's id.
    pub call_id: Option<String>,
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// From a turn.
    Turn(TurnId),
    /// From the client.
    Message(MessageId),
}

/// To the client, in order.
#[derive(Debug)]
pub enum ToClient {
    /// The first message.
    Hello(Hello),
    /// What the model thinks of the running reply, as it comes; see [`super::Start::shows_thoughts`].
    Thought(String),
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
    /// What the history holds of a reply, now that its turn is over.
    Committed {
        /// Which turn.
        turn: TurnId,
        /// What was heard of the reply.
        assistant: String,
    },
    /// The language model has ended a request for a reply.
    Written {
        /// Which reply.
        reply: ReplyId,
        /// What it counted; of this request.
        usage: Usage,
        /// It stopped because it had written as much as it was allowed to.
        cut: bool,
    },
    /// Of a reply beside the conversation.
    Aside(RequestId, Aside),
    /// See [`FromClient::Echo`].
    Echo(u64),
    /// What is done to keep the conversation going.
    Upkept(Upkept),
    /// The settings in force after [`FromClient::Configure`].
    Configured(Box<Settings>),
    /// The session is over.
    Close(CloseReason),
}

/// What is done to keep a conversation going. Each start has exactly one end.
#[derive(Debug, Clone, PartialEq)]
pub enum Upkept {
    /// The conversation is being compacted.
    CompactStart,
    /// It goes on in this session.
    CompactDone {
        /// Which.
        session: SessionId,
    },
    /// It goes on as it was.
    CompactFailed {
        /// Why; `cancelled` if the user wanted something else.
        fault: Fault,
    },
    /// A compaction put this into the conversation.
    SystemMessage {
        /// What it says.
        text: String,
    },
    /// The conversation is being looked through for what is worth keeping.
    MemoryStart,
    /// That has ended.
    MemoryDone {
        /// Pieces that were found.
        items: usize,
        /// Memories that were made of them and of earlier ones.
        memories: usize,
    },
    /// It found nothing, since it failed.
    MemoryFailed {
        /// Why.
        fault: Fault,
    },
}

/// What happens to a reply beside the conversation.
#[derive(Debug)]
pub enum Aside {
    /// A piece of it.
    Text(String),
    /// It calls a tool of the client.
    Call(ToolCall),
    /// It is over: what was counted, and whether it was cut.
    Ended(Result<(Usage, bool), Fault>),
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
    /// And so does all else: what was not heard of a reply comes now.
    pub live: bool,
    /// What is said and heard is recorded.
    pub recorded: bool,
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
