//! What goes into the turn machine and what comes out of it. Plain data: recordable, comparable.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::config::TurnConfig;

pub use super::commit::{Commit, Metrics, Outcome};
pub use super::ids::{
    AsrJob, CallId, ChunkId, JudgementId, MessageId, ReplyId, RequestId, SegmentId, Time, TurnId,
};
pub use super::tool_use::{SoFar, ToolResult, ToolUse};

/// A range of input samples (16 kHz) since the session began.
pub type InputRange = Range<u64>;

/// A failure that an engine reported, as the machine and the client see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable, snake_case.
    pub code: String,
    /// For people.
    pub message: String,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub use crate::engines::ToolCall;
/// A word of a segment's spoken text and the sample of the segment (24 kHz) at which it has been said.
pub use crate::engines::WordTime;

/// Everything that can happen to a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The session is open.
    Open {
        /// The last turn of the history that goes on; 0 for a new conversation.
        last_turn: TurnId,
    },
    /// Speak first.
    Greet {
        /// This.
        text: String,
    },
    /// The VAD judged the next frame of the microphone.
    Frame {
        /// Probability of speech, 0…1.
        probability: f32,
    },
    /// What was said is complete: in manual mode since the last commit, else what is being said.
    Commit,
    /// Forget what was said: in manual mode since the last commit, else what is being said.
    Clear,
    /// The client asks for a reply to what is there, without new words of the user.
    Respond {
        /// Comes back with [`Event::ReplyStarted`] or [`Event::NoReply`].
        request: RequestId,
        /// It is to be read, not heard.
        text_only: bool,
    },
    /// The client puts a message into the conversation, behind what was said so far.
    Insert {
        /// Comes back with [`Output::Insert`].
        message: MessageId,
    },
    /// The client says how much of a turn's reply was heard, after the fact or to stop it.
    Truncate {
        /// Which turn.
        turn: TurnId,
        /// Samples (24 kHz) of the reply's audio.
        samples: u64,
    },
    /// A typed turn.
    Text {
        /// What the user typed; never empty.
        text: String,
    },
    /// The client asks the reply to stop.
    Interrupt {
        /// The last chunk that the user heard.
        last_chunk: Option<ChunkId>,
        /// The reply of this turn, and no later one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn: Option<TurnId>,
    },
    /// The client has played a chunk to its end.
    Played {
        /// Which.
        chunk: ChunkId,
    },
    /// The settings of the conversation change, from here on.
    Configure {
        /// All of them, valid.
        config: Box<TurnConfig>,
    },
    /// Recognition of [`Output::Transcribe`] has ended.
    Transcribed {
        /// Which.
        job: AsrJob,
        /// What was said.
        result: Result<Heard, Fault>,
    },
    /// The end-of-turn model has answered [`Output::JudgeTurn`].
    TurnJudged {
        /// Which.
        judgement: JudgementId,
        /// Probability that the user has finished, 0…1.
        result: Result<f32, Fault>,
    },
    /// The LLM of [`Output::Generate`] is not asked yet: the history is being made shorter first.
    Delayed {
        /// Which reply.
        reply: ReplyId,
    },
    /// Now it is asked.
    Asked {
        /// Which reply.
        reply: ReplyId,
    },
    /// The LLM wrote a piece of the reply.
    Token {
        /// Which reply.
        reply: ReplyId,
        /// Whole characters.
        text: String,
    },
    /// The LLM called a tool.
    ToolCall {
        /// Which reply.
        reply: ReplyId,
        /// What it called.
        call: ToolCall,
        /// The client runs it and brings the result as a message of its own: the reply ends here.
        #[serde(default, skip_serializing_if = "is_false")]
        by_client: bool,
    },
    /// The tool of [`Output::RunTool`] has ended, well or not.
    ToolDone {
        /// Which reply.
        reply: ReplyId,
        /// Which call.
        call: CallId,
        /// What it gave.
        result: ToolResult,
    },
    /// The LLM has ended, well or not.
    Generated {
        /// Which reply.
        reply: ReplyId,
        /// How.
        result: Result<(), Fault>,
    },
    /// The TTS made samples of a segment.
    Speech {
        /// Which reply.
        reply: ReplyId,
        /// Which segment.
        segment: SegmentId,
        /// How many samples (24 kHz); the session keeps the audio itself.
        samples: u64,
        /// Words whose times became known.
        words: Vec<WordTime>,
    },
    /// The TTS has ended with a segment, well or not.
    Spoken {
        /// Which reply.
        reply: ReplyId,
        /// Which segment.
        segment: SegmentId,
        /// How.
        result: Result<(), Fault>,
    },
    /// The clip of a reply is there, or is not to be had.
    Rendered {
        /// Which reply.
        reply: ReplyId,
        /// Its length in ms.
        result: Result<u64, Fault>,
    },
    /// What [`Output::Commit`] asked for is durable (or cannot be made so).
    Committed {
        /// Which turn.
        turn: TurnId,
        /// How.
        result: Result<(), Fault>,
    },
    /// The connection to the client is lost. It may come back.
    Detached,
    /// There is a connection again.
    Attached {
        /// The last chunk that the user heard, if the client knows.
        last_chunk: Option<ChunkId>,
    },
    /// A deadline of [`super::Turn::next_deadline`] has passed.
    Tick,
    /// The session ends: what was heard is committed, nothing more is said.
    Close,
}

/// The words of one utterance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Empty if there were none.
    pub text: String,
    /// ISO 639-1, if known.
    pub language: Option<String>,
}

/// Everything that the machine wants done. In order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Recognise these samples of the microphone.
    Transcribe {
        /// Answer with [`Input::Transcribed`].
        job: AsrJob,
        /// Which samples.
        range: InputRange,
    },
    /// The result of this job is no longer wanted.
    CancelTranscribe {
        /// Which.
        job: AsrJob,
    },
    /// The user pauses: ask the end-of-turn model about these samples of the microphone.
    JudgeTurn {
        /// Answer with [`Input::TurnJudged`].
        judgement: JudgementId,
        /// The user's turn so far, its last 8 s at most.
        range: InputRange,
    },
    /// The answer to this question is no longer wanted.
    CancelJudgement {
        /// Which.
        judgement: JudgementId,
    },
    /// Let the LLM answer, or go on with its answer.
    Generate {
        /// Answer with [`Input::Token`]…, [`Input::ToolCall`]… and [`Input::Generated`].
        reply: ReplyId,
        /// What the user said, to be put behind the history; empty: nothing is.
        user_text: String,
        /// The client asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// To be put behind that: what the run's earlier requests brought.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        so_far: Option<SoFar>,
        /// The LLM may call no more tools: this is the run's last request.
        #[serde(default, skip_serializing_if = "is_false")]
        without_tools: bool,
    },
    /// Run a tool.
    RunTool {
        /// For this reply.
        reply: ReplyId,
        /// Answer with [`Input::ToolDone`].
        call: CallId,
        /// Function name, as the LLM wrote it.
        name: String,
        /// JSON text, as the LLM wrote it.
        arguments: String,
    },
    /// The LLM may stop; the reply goes on with what it has.
    StopGenerating {
        /// Which.
        reply: ReplyId,
    },
    /// Let the TTS speak a segment. One at a time per reply.
    Synthesize {
        /// Which reply.
        reply: ReplyId,
        /// Answer with [`Input::Speech`]… and [`Input::Spoken`].
        segment: SegmentId,
        /// Speakable text.
        text: String,
    },
    /// Render the whole audio of the reply as one clip.
    Render {
        /// Answer with [`Input::Rendered`].
        reply: ReplyId,
        /// The reply's text.
        text: String,
    },
    /// Stop all work for this reply: set its cancel token, drop its audio and its clip.
    CancelReply {
        /// Which.
        reply: ReplyId,
    },
    /// The reply has ended: its audio is no longer needed, nor what is left of its work.
    ForgetReply {
        /// Which.
        reply: ReplyId,
    },
    /// Write what was said and heard into the log; answer with [`Input::Committed`].
    Commit(Commit),
    /// Write a message of the client into the log.
    Insert {
        /// Its place in the log.
        turn: TurnId,
        /// Which.
        message: MessageId,
    },
    /// The log is to say that the user heard this of a turn's reply, whose commit went before.
    Amend {
        /// Which turn.
        turn: TurnId,
        /// What the user heard of it.
        heard_text: String,
        /// Cut by estimate, not by the times of words.
        estimated: bool,
    },
    /// A tool was asked to end the conversation, and the goodbye has been heard.
    EndSession,
    /// Tell the client.
    Tell(Event),
}

/// What the conversation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for the user.
    Listening,
    /// The user speaks.
    UserSpeaking,
    /// Recognition is at work.
    Transcribing,
    /// The LLM is at work.
    Thinking,
    /// The reply is heard.
    Speaking,
    /// The clip is being made.
    Rendering,
}

/// Who stopped a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptReason {
    /// The user's voice.
    Speech,
    /// The client's request.
    Client,
}

/// What the client is told. Wires translate it; none of them adds to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The state changed.
    Status {
        /// To this.
        state: State,
        /// The turn it concerns.
        turn: Option<TurnId>,
    },
    /// The user started to speak (with this input sample; padding included).
    SpeechStarted {
        /// Input sample position.
        sample: u64,
    },
    /// The user stopped speaking (with this input sample).
    SpeechStopped {
        /// Input sample position.
        sample: u64,
    },
    /// The user's contribution is complete; its words come with [`Event::Transcript`].
    Contributed {
        /// Which turn.
        turn: TurnId,
    },
    /// Nobody has said anything for `idle_reply_ms` since the last reply was heard: one is made now.
    Idled {
        /// Its turn.
        turn: TurnId,
        /// Where in the input the silence began, in samples.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// A reply is being made.
    ReplyStarted {
        /// Which turn.
        turn: TurnId,
        /// Which reply.
        reply: ReplyId,
        /// The client asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
    },
    /// The reply that the client asked for is not made.
    NoReply {
        /// Which.
        request: RequestId,
        /// Why.
        fault: Fault,
    },
    /// The next piece of a reply that is read, not heard.
    ReplyText {
        /// Which turn.
        turn: TurnId,
        /// All pieces together are the reply.
        text: String,
    },
    /// All of the reply has been sent; some of it may still have to be heard.
    Delivered {
        /// Which turn.
        turn: TurnId,
    },
    /// How much of a reply was heard has been corrected.
    Amended {
        /// Which turn.
        turn: TurnId,
        /// What the user heard of it.
        heard_text: String,
    },
    /// Words while the user speaks.
    PartialTranscript {
        /// Which turn.
        turn: TurnId,
        /// So far.
        text: String,
    },
    /// The words of a turn.
    Transcript {
        /// Which turn.
        turn: TurnId,
        /// Empty if there were none.
        text: String,
        /// Length of the user's audio.
        audio_ms: u64,
        /// ISO 639-1, if known.
        language: Option<String>,
    },
    /// A segment is about to be heard, or (`last`) the whole reply.
    ResponseText {
        /// Which turn.
        turn: TurnId,
        /// Which segment.
        segment: SegmentId,
        /// The reply's own words.
        text: String,
        /// This is the whole reply.
        last: bool,
        /// Only said to bridge the wait for a tool; no part of the reply.
        #[serde(default, skip_serializing_if = "is_false")]
        filler: bool,
    },
    /// Samples `range` of the reply's audio are to be sent, as this chunk.
    Audio {
        /// Which turn.
        turn: TurnId,
        /// Which reply.
        reply: ReplyId,
        /// Which segment.
        segment: SegmentId,
        /// The chunk.
        chunk: ChunkId,
        /// Samples (24 kHz) of the reply's audio.
        range: Range<u64>,
    },
    /// The reply's clip is to be sent.
    SpeakingClip {
        /// Which turn.
        turn: TurnId,
        /// Which reply.
        reply: ReplyId,
        /// The whole reply.
        text: String,
        /// Length of the clip.
        duration_ms: u64,
    },
    /// Hold the queue: the user made a sound.
    Pause {
        /// Which turn.
        turn: TurnId,
    },
    /// It was not words: go on.
    Resume {
        /// Which turn.
        turn: TurnId,
        /// The next chunk that will be sent; those before it are in the client's queue.
        from_chunk: ChunkId,
    },
    /// The reply is cancelled: drop everything of it.
    Interrupt {
        /// Which turn.
        turn: TurnId,
        /// What the user heard.
        heard_text: String,
        /// Who stopped it.
        reason: InterruptReason,
    },
    /// The model called a tool.
    ToolCall {
        /// Which turn.
        turn: TurnId,
        /// Unique in the session if it is the client's.
        id: String,
        /// Function name.
        name: String,
        /// JSON text.
        arguments: String,
        /// The client is to run it.
        #[serde(default, skip_serializing_if = "is_false")]
        by_client: bool,
        /// The reply has words before it. They may still have to be said.
        #[serde(default, skip_serializing_if = "is_false")]
        behind_words: bool,
    },
    /// The tool has answered.
    ToolResult {
        /// Which turn.
        turn: TurnId,
        /// Function name.
        name: String,
        /// What it gave, in a few words.
        summary: String,
    },
    /// Stage times of a turn.
    Metrics {
        /// Which turn.
        turn: TurnId,
        /// Its times.
        metrics: Metrics,
    },
    /// The turn's one terminal event.
    TurnEnd {
        /// Which turn.
        turn: TurnId,
        /// How.
        outcome: Outcome,
    },
    /// Something failed, or the client asked for something that cannot be.
    Error {
        /// Which turn, if any.
        turn: Option<TurnId>,
        /// What.
        fault: Fault,
    },
}
