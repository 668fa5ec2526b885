//! MODELS. Blocking calls behind small traits; an engine knows no session, no turn and no socket.
//!
//! Every trait is called from a worker thread of its pool ([`workers`]), never from an async
//! executor: [`forbid_executor_thread`] stands at the top of every model call and panics in debug
//! builds when that is broken. State that belongs to a conversation (the VAD's recurrent state, a
//! language model's KV cache) travels *by value* with the work and comes back with the result.

pub mod asr_models;
mod asr_state;
pub mod denoise;
pub mod echo;
pub mod flite;
pub mod kokoro;
mod layers;
pub mod llm_choice;
mod load;
pub mod local;
pub mod mel;
pub mod onnx;
pub mod openai_http;
pub mod pocketsphinx;
pub mod qwen3_asr;
pub mod scripted;
pub mod silero;
pub mod smart_turn;
mod speech_context;
mod think;
pub mod whisper;
pub mod workers;

pub use asr_state::AsrState;
pub use load::{EngineNames, Engines, load_asr, load_llm, load_tts};
pub use speech_context::SpeechContext;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// The one stop signal of a piece of work. Checked between all stages and steps.
pub type CancelToken = CancellationToken;

/// Sample rate of everything the user says, in Hz.
pub const INPUT_RATE_HZ: u32 = 16_000;
/// Sample rate of everything the server says, in Hz.
pub const OUTPUT_RATE_HZ: u32 = 24_000;

/// Why an engine could not do its work. [`EngineError::code`] is stable and goes to clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A model could not be loaded. The message names the file and the remedy.
    #[error("{engine}: {message}")]
    Load {
        /// Name of the engine as in `config.yml`.
        engine: &'static str,
        /// What is wrong, where, and what to do about it.
        message: String,
    },
    /// A call failed. The session goes on; the turn ends as `failed`.
    #[error("{engine}: {message}")]
    Failed {
        /// Name of the engine as in `config.yml`.
        engine: &'static str,
        /// Stable, snake_case, for clients (`llm_unreachable`, `llm_timeout`, …).
        code: &'static str,
        /// What is wrong, where, and what to do about it.
        message: String,
    },
    /// The cancel token was set. Never shown to anybody.
    #[error("cancelled")]
    Cancelled,
}

impl EngineError {
    /// Stable, snake_case code for clients and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            EngineError::Load { .. } => "engine_load_failed",
            EngineError::Failed { code, .. } => code,
            EngineError::Cancelled => "cancelled",
        }
    }
}

/// Number of new samples in one VAD frame (32 ms at 16 kHz).
pub const VAD_FRAME_SAMPLES: usize = 512;
/// Number of samples of the frame before that the network sees again in front of a frame.
pub const VAD_CONTEXT_SAMPLES: usize = 64;

/// The recurrent state of one session's VAD stream: what `vad.stream()` is elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct VadState {
    /// The last samples of the frame before, `[64]`, in −1…1.
    pub context: [f32; VAD_CONTEXT_SAMPLES],
    /// The network's recurrent state, [2, 128] (the batch dimension taken out).
    pub recurrent: Box<[f32; 256]>,
}

impl Default for VadState {
    fn default() -> Self {
        VadState { context: [0.0; VAD_CONTEXT_SAMPLES], recurrent: Box::new([0.0; 256]) }
    }
}

/// One frame of one stream, to be judged in a batch with those of others.
#[derive(Debug)]
pub struct VadFrame {
    /// State of the frame's stream; advanced by the call.
    pub state: VadState,
    /// `[512]` samples in −1…1, 16 kHz.
    pub pcm: Box<[f32; VAD_FRAME_SAMPLES]>,
    /// Out: the probability of speech, 0…1.
    pub probability: f32,
    /// Takes the noise out before the frame is judged; [`workers::vad_pool`] sees to it. The frame that is
    /// judged is then the one before.
    pub denoiser: Option<Box<denoise::Denoiser>>,
}

impl VadFrame {
    /// Silence, the first frame of a stream.
    pub fn silence() -> VadFrame {
        VadFrame {
            state: VadState::default(),
            pcm: Box::new([0.0; VAD_FRAME_SAMPLES]),
            probability: 0.0,
            denoiser: None,
        }
    }
}

/// Voice activity detection: the network only. Hysteresis and padding are decisions and live in
/// [`crate::turn`].
pub trait Vad: Send {
    /// Judges one frame of each of up to [`Vad::max_batch`] streams in one model call.
    fn judge(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), EngineError>;
    /// The most frames that one call takes.
    fn max_batch(&self) -> usize;
}

/// End-of-turn detection: the network only. When it is asked and what follows are decisions and live in
/// [`crate::turn`].
pub trait TurnJudge: Send {
    /// The probability, 0…1, that somebody who pauses after `pcm` (16 kHz mono: the turn so far) has finished.
    fn judge(&mut self, pcm: &[i16]) -> Result<f32, EngineError>;
}

/// What was recognised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// The words; empty if there were none.
    pub text: String,
    /// ISO 639-1, if the engine knows.
    pub language: Option<String>,
}

/// An utterance to recognise.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsrRequest<'a> {
    /// 16 kHz mono.
    pub pcm: &'a [i16],
    /// A wish, ISO 639-1.
    pub language: Option<&'a str>,
    /// What the conversation is about. Engines keep what they make of it for the next request with an
    /// equal one.
    pub context: Option<&'a Arc<SpeechContext>>,
}

impl<'a> AsrRequest<'a> {
    /// An utterance of which nothing is known.
    pub fn new(pcm: &'a [i16]) -> AsrRequest<'a> {
        AsrRequest { pcm, ..AsrRequest::default() }
    }
}

/// Speech recognition of a whole utterance.
pub trait Asr: Send {
    /// Blocks until the utterance is recognised or `cancel` is set. What `state` holds of an earlier,
    /// shorter recording of it can make that faster and changes nothing of what comes out; an engine may
    /// ignore it.
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        state: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError>;

    /// The same for an utterance of which nothing was recognised before.
    fn transcribe(
        &mut self,
        request: &AsrRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        self.transcribe_on(request, &mut AsrState::default(), cancel)
    }
}

/// Who said a message of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// Us.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// One message of the prompt.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said; what a tool gave.
    pub content: String,
    /// Tools that the assistant called in this message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a [`Role::Tool`] message: the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A message of words only.
    pub fn new(role: Role, content: impl Into<String>) -> ChatMessage {
        ChatMessage { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ToolCall {
    /// The provider's id of the call; unique in a conversation.
    pub id: String,
    /// Function name.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// A tool that the model may call; `parameters` is a JSON schema.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ToolSpec {
    /// Function name.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON schema of the arguments.
    pub parameters: serde_json::Value,
}

/// What a language model is asked.
#[derive(Debug, Clone, Default)]
pub struct LlmRequest {
    /// System prompt, history, and the user's new words, in order.
    pub messages: Vec<ChatMessage>,
    /// Tools the model may call.
    pub tools: Vec<ToolSpec>,
    /// Stop after so many tokens; 0: as many as the operator allows.
    pub max_new_tokens: u32,
    /// How its words are chosen.
    pub sampling: RequestSampling,
    /// What it is to be.
    pub form: ReplyForm,
}

/// What a reply is to be. Engines without a choice (`echo`, `scripted`) take no notice.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ReplyForm {
    /// Words, and calls of tools, as the model sees fit.
    #[default]
    Free,
    /// JSON of this schema.
    Json(serde_json::Value),
    /// At first a call of one of the tools; of this one, if it is named.
    Call(Option<String>),
}

/// Whether a model calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Calls {
    /// As it sees fit.
    #[default]
    May,
    /// No.
    Never,
    /// At first one of them, whichever.
    Must,
    /// At first this one.
    MustBe(String),
}

impl Calls {
    /// The form of a reply with these tools. A tool that is not among them cannot be called.
    pub fn form(&self, tools: &[ToolSpec]) -> ReplyForm {
        match self {
            Calls::Must if !tools.is_empty() => ReplyForm::Call(None),
            Calls::MustBe(name) if tools.iter().any(|tool| tool.name == *name) => {
                ReplyForm::Call(Some(name.clone()))
            }
            Calls::May | Calls::Never | Calls::Must | Calls::MustBe(_) => ReplyForm::Free,
        }
    }
}

/// How the words of one reply are chosen, where it is to be otherwise than the operator configured. Engines
/// without a choice (`echo`, `scripted`) take no notice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestSampling {
    /// 0: always the likeliest.
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f32>,
    /// The same seed and prompt give the same reply.
    pub seed: Option<u64>,
    /// The reply ends before any of these, as before those of the operator.
    pub stop: Vec<String>,
}

/// What a language model says while it is at it.
#[derive(Debug, Clone, PartialEq)]
pub enum LlmEvent {
    /// A piece of the reply: whole characters, any number of them.
    Text(String),
    /// What the model thinks before it speaks: never a part of the reply.
    Thought(String),
    /// The model calls a tool.
    ToolCall(ToolCall),
}

/// Measured token counts of one request, where the engine knows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the reply.
    pub output_tokens: u32,
}

/// What an engine keeps of one conversation between its turns (a KV cache). It belongs to the
/// session and travels with the request; an engine that keeps nothing leaves it empty.
#[derive(Default)]
pub struct LlmState(pub Option<Box<dyn std::any::Any + Send>>);

impl std::fmt::Debug for LlmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "LlmState(kept)" } else { "LlmState(empty)" })
    }
}

/// Counts the tokens of a text, about as the model at work would.
pub type TokenCounter = Arc<dyn Fn(&str) -> u64 + Send + Sync>;

/// A language model.
pub trait Llm: Send {
    /// Streams the reply into `sink` until the end, the token limit, a `Break` or a cancel.
    fn generate(
        &mut self,
        request: &LlmRequest,
        state: &mut LlmState,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Usage, EngineError>;
}

/// A word of the spoken text and when it has been said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WordTime {
    /// Bytes of the word in the text that was given to the engine.
    pub text: Range<usize>,
    /// The word has been heard when this sample of the segment has (24 kHz, from the segment's start).
    pub end_sample: u64,
}

/// What a speech synthesiser gives while it is at it.
#[derive(Debug, Clone, PartialEq)]
pub enum TtsEvent {
    /// The next samples: 24 kHz mono, −1…1.
    Audio(Vec<f32>),
    /// Times of words, in order; may come before or after their audio, each word once.
    Words(Vec<WordTime>),
    /// What the engine pronounced, if it tells (IPA or its own alphabet).
    Phonemes(String),
}

/// Speech synthesis of one segment.
pub trait Tts: Send {
    /// Streams the speech of `text` into `sink` until the end, a `Break` or a cancel.
    fn synthesize(
        &mut self,
        text: &str,
        voice: Option<&str>,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError>;
}

/// A complete video reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// An MP4 file.
    pub mp4: bytes::Bytes,
    /// Its length.
    pub duration_ms: u64,
}

/// Renders one talking-head clip of a whole reply.
pub trait ClipRenderer: Send {
    /// `audio`: 24 kHz mono, −1…1. The cancel token is checked per batch of frames.
    fn render_clip(
        &mut self,
        audio: &[f32],
        sample_rate_hz: u32,
        text: &str,
        cancel: &CancelToken,
    ) -> Result<Clip, EngineError>;
}

/// Panics in debug builds if the calling thread belongs to an async executor: a model call there
/// would stop every session that shares it.
#[track_caller]
pub fn forbid_executor_thread(what: &str) {
    if cfg!(debug_assertions) && tokio::runtime::Handle::try_current().is_ok() {
        panic!("{what} was called on an async executor thread; give it to a worker pool");
    }
}
