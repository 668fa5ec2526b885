//! `config.yml` → [`Config`], once. Nothing else reads YAML.
//!
//! A configuration is *parsed*, not validated afterwards: [`Config::load`] reads the file, lays the
//! environment's overrides over it, refuses what it does not know or what cannot be, resolves paths
//! against the file's folder, and only then is there a [`Config`]. The keys of `config.yml` are the
//! fields of these types under the same names; every key has a default (`defaults.rs`), every name
//! carries its unit.
//!
//! Deliberately absent: whether models, servers and devices exist (the engines find that out when
//! they load, and say it better), and the sections of later features, which are unknown keys today.

mod agents;
mod defaults;
mod env;
mod error;
mod load;
mod markdown;
mod persona;
mod remote;
#[cfg(test)]
mod tests;
mod tools;
mod tree;
mod upkeep;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use agents::{Agent, Agents, DEFAULT_AGENT};
pub use env::ENV_PREFIX;
pub use error::{ConfigError, Problem};
pub use load::{FILE_NAME, Source};
pub use markdown::{LOG_PATH_FIELDS, MARKDOWN_PORT, Markdown};
pub use persona::Persona;
pub use remote::{OpenAiAsr, OpenAiTts};
pub use tools::{BUILTIN_TOOLS, HTTP_METHODS, HttpTool, Tools};
pub use upkeep::{Compaction, Memory, UPKEEP_METHODS};
pub use validate::{ASR_ENGINES, LLM_ENGINES, TTS_ENGINES, TURN_DETECTIONS, VAD_ENGINES, VIDEO_ENGINES};

/// Everything an operator can decide. Every key has a default; units are in the names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub server: Server,
    /// Encryption on the wire.
    pub tls: Tls,
    /// Who may talk.
    pub auth: Auth,
    /// Where the event log is.
    pub store: Store,
    /// When somebody speaks.
    pub vad: Vad,
    /// Speech recognition.
    pub asr: Asr,
    /// Language model.
    pub llm: Llm,
    /// Speech synthesis.
    pub tts: Tts,
    /// Talking-head clips.
    pub video: Video,
    /// Who the server is.
    pub persona: Persona,
    /// Who else may be talked with, by name.
    pub agents: Agents,
    /// Conversations in Markdown files.
    pub markdown: Markdown,
    /// What the language model may call.
    pub tools: Tools,
    /// How a long conversation stays short.
    pub compaction: Compaction,
    /// What is kept of conversations for later ones.
    pub memory: Memory,
    /// Barge-in, segments and pacing.
    pub turn: Turn,
    /// Limits and timeouts.
    pub limits: Limits,
    /// Where the models are.
    pub models: Models,
    /// What is written to standard error.
    pub log: Log,
    /// Timelines of the `scripted` engines (tests and benches).
    pub scripted: Scripted,
    /// The audio of conversations on disk.
    pub record_audio: RecordAudio,
    /// Write every input of each session's turn machine to `record_dir`.
    pub record: bool,
    /// Folder of the recordings.
    pub record_dir: PathBuf,
}

/// `record_audio.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordAudio {
    /// Write what users say, and what they hear, into WAV files.
    pub enabled: bool,
    /// Folder of the files.
    pub dir: PathBuf,
    /// They are deleted after so many days.
    pub retention_days: u32,
}

/// `server.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to bind.
    pub host: String,
    /// TCP port; 0 picks a free one.
    pub port: u16,
    /// Host names (besides loopback's own) that the Host and Origin checks accept in open mode.
    pub allowed_hosts: Vec<String>,
    /// Pages of other servers that may use this one: `https://app.example.org`.
    pub allowed_origins: Vec<String>,
    /// Threads of the async executor; 0: as many as cores.
    pub executor_threads: usize,
    /// After SIGTERM replies may take so long to finish.
    pub drain_ms: u64,
}

/// `tls.mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Plain HTTP.
    #[default]
    Off,
    /// A certificate that the server makes for itself at its first start.
    SelfSigned,
    /// `tls.cert` and `tls.key`.
    Files,
}

/// `tls.*`; `tls: MODE` means `tls: {mode: MODE}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// See [`TlsMode`].
    pub mode: TlsMode,
    /// PEM file with the certificate and those that it was signed with.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// `auth.mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Open on loopback (with Host and Origin checks), tokens elsewhere.
    #[default]
    Auto,
    /// Tokens always.
    Tokens,
    /// No access control at all, on purpose.
    None,
}

/// `auth.*`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// See [`AuthMode`].
    pub mode: AuthMode,
}

/// `store.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite://path` or `postgres://user:password@host/database`.
    pub url: String,
}

impl Store {
    /// The database file of a `sqlite://` URL; `None` if it is not one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.strip_prefix("sqlite://").map(Path::new)
    }
}

/// `vad.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vad {
    /// `auto`, `silero` or `scripted`.
    pub engine: String,
    /// Probability from which a frame is speech.
    pub threshold: f32,
    /// Probability below which a frame of speech is silence.
    pub negative_threshold: f32,
    /// Less speech than this starts nothing.
    pub min_speech_ms: u32,
    /// Silence tolerated before speech end.
    pub hangover_ms: u32,
    /// Audio kept in front of speech start.
    pub prefix_padding_ms: u32,
    /// `auto`, `vad` or `smart`.
    pub turn_detection: String,
    /// `smart`: a pause of this length is judged.
    pub smart_pause_ms: u32,
    /// `smart`: silence tolerated where more is expected.
    pub smart_limit_ms: u32,
    /// `auto`, `scripted`, the name of a pulled model, or the path of an ONNX file.
    pub smart_turn_model: String,
    /// The VAD hears the microphone without its noise.
    pub denoise: bool,
    /// A longer utterance is split for recognition (the turn goes on).
    pub max_utterance_s: u32,
    /// Worker threads.
    pub workers: usize,
}

/// `asr.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asr {
    /// `auto`, `qwen3-asr`, `whisper`, `pocketsphinx`, `openai` or `scripted`.
    pub engine: String,
    /// Worker threads, each with a decoder of its own.
    pub workers: usize,
    /// Recognition starts on what is there after so much silence; 0: only at speech end.
    pub speculate_after_ms: u32,
    /// Time between two interim transcripts while the user speaks; 0: none.
    pub interim_ms: u32,
    /// An utterance's recognition may take so long.
    pub timeout_ms: u32,
    /// Folder of the acoustic model, dictionary and language model of PocketSphinx.
    pub pocketsphinx_model_dir: PathBuf,
    /// How likely PocketSphinx holds usual questions and the words of `persona.facts`, beside general
    /// English at 1; 0: it knows neither.
    pub pocketsphinx_domain_weight: f32,
    /// The engine `whisper`.
    pub whisper: WhisperAsr,
    /// The engine `openai`.
    pub openai: OpenAiAsr,
    /// The engine `qwen3-asr`.
    pub qwen3_asr: Qwen3Asr,
}

/// Qwen3-ASR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Qwen3Asr {
    /// `auto`, the name of a pulled model, or the path of a folder with safetensors.
    pub model: String,
    /// Weights in 16 or 32 bits become 8 bits.
    pub quantize: bool,
    /// Threads that compute, for all workers together; 0: all cores.
    pub threads: usize,
    /// Tokens of `persona.name` and `persona.facts` that the model is told, at most; 0: nothing.
    pub context_tokens: usize,
}

/// Whisper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhisperAsr {
    /// `auto`, the name of a pulled model, or the path of a folder with safetensors.
    pub model: String,
    /// How much the encoder reads: the speech (`short`), or 30 s always (`full`).
    pub window: WhisperWindow,
    /// What the weights become in memory.
    pub weights: WhisperWeights,
    /// Threads that compute, for all workers together; 0: as many as are of use.
    pub threads: usize,
    /// How often an utterance is decoded again, each time more freely, if its words cannot be trusted.
    pub fallbacks: usize,
    /// Names in `persona.name` and `persona.facts` are expected.
    pub expect_names: bool,
    /// Text that the model takes for what was said before: style, spelling, names.
    pub prompt: String,
}

/// `asr.whisper.window`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhisperWindow {
    /// The speech and a second of silence.
    #[default]
    Short,
    /// 30 s, filled up with silence, as in training.
    Full,
}

/// `asr.whisper.weights`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhisperWeights {
    /// 8 bits with a scale for each 32: a quarter of the memory to read.
    #[default]
    Int8,
    /// As exact as the reference.
    F32,
}

/// `llm.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Llm {
    /// `auto`, `local`, `openai`, `echo` or `scripted`.
    pub engine: String,
    /// Requests at the same time; 0: chosen by the engine.
    pub workers: usize,
    /// Base URL of an OpenAI-compatible server, with its `/v1`.
    pub url: String,
    /// Model name; empty: the first one that the server lists.
    pub model: String,
    /// Environment variable with the bearer key.
    pub api_key_env: String,
    /// Tokens per reply.
    pub max_new_tokens: u32,
    /// 0 is greedy; `None`: the model's own.
    pub temperature: Option<f32>,
    /// Only the likeliest so many tokens; `None`: the model's own.
    pub top_k: Option<u32>,
    /// Only the likeliest tokens that together have this probability; `None`: the model's own.
    pub top_p: Option<f32>,
    /// Only tokens that have this part of the likeliest one's probability; `None`: the model's own.
    pub min_p: Option<f32>,
    /// Above 1: less of what was just said; `None`: the model's own.
    pub repetition_penalty: Option<f32>,
    /// The same seed and prompt give the same reply; `None`: a new one each time.
    pub seed: Option<u64>,
    /// A reply ends before any of these.
    pub stop: Vec<String>,
    /// Time to connect.
    pub connect_timeout_ms: u32,
    /// Time to the first token.
    pub first_token_timeout_ms: u32,
    /// Time between two tokens.
    pub token_timeout_ms: u32,
    /// Tries again before the first token, never after it.
    pub retries: u32,
    /// Messages of the history in a prompt.
    pub history_messages: usize,
    /// The engine `local`.
    pub local: LocalLlm,
}

/// A language model inside the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalLlm {
    /// `auto`, `concierge`, the name of a pulled model, or the path of a GGUF file or a folder.
    pub model: String,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
    /// Threads that compute; 0: some cores are left for speech.
    pub threads: usize,
    /// Tokens of one conversation at most: prompt and reply.
    pub context_tokens: usize,
    /// Memory for the KV caches of all sessions, in MiB.
    pub cache_mb: usize,
    /// How long one step of computing may take: what a cancel or another session waits for.
    pub step_ms: u32,
    /// Weights in 16 or 32 bits become 8 bits on the CPU.
    pub quantize: bool,
}

/// `tts.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tts {
    /// `auto`, `kokoro`, `flite`, `openai` or `scripted`.
    pub engine: String,
    /// Worker threads.
    pub workers: usize,
    /// A segment's first audio may take so long, and the next after it.
    pub timeout_ms: u32,
    /// The engine `openai`.
    pub openai: OpenAiTts,
    /// The engine `kokoro`.
    pub kokoro: KokoroTts,
}

/// `tts.kokoro.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KokoroTts {
    /// `auto`, the name of a pulled model, or the path of an `.onnx` or `.pth` file or a folder.
    pub model: String,
    /// Voice or blend of voices, where `persona.voice` names none.
    pub voice: String,
    /// Above 1 is faster.
    pub speed: f32,
    /// Threads that compute.
    pub threads: usize,
    /// A checkpoint's long sentences are spoken in windows, so that the first is heard early.
    pub early_audio: bool,
    /// Folder of misaki's pronunciation dictionaries; empty: those in `models.dir`.
    pub lexicons: PathBuf,
}

/// `video.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// Replies are clips instead of audio.
    pub enabled: bool,
    /// `auto` or `scripted`; the renderers come later.
    pub engine: String,
    /// Longest rendering of one clip; then the reply is heard without it.
    pub timeout_ms: u32,
}

/// `turn.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// So much speech during a reply interrupts it.
    pub min_interrupt_ms: u32,
    /// … and so many words, if not 0.
    pub min_interrupt_words: u32,
    /// A sound that was not words only pauses a reply.
    pub resume_false_interruption: bool,
    /// Audio sent ahead of real-time playout, at most.
    pub lead_ms: u32,
    /// Length of one chunk of audio.
    pub chunk_ms: u32,
    /// The first segment is so short where a boundary allows.
    pub first_segment_chars: usize,
    /// No segment is longer.
    pub max_segment_chars: usize,
    /// Synthesised audio waiting to be sent, at most (the segment being synthesised may exceed it).
    pub tts_ahead_ms: u32,
    /// A client that reports playout may lag behind real time by so much at the end of a reply.
    pub played_grace_ms: u32,
    /// Text of one reply, at most.
    pub max_reply_chars: usize,
}

/// `limits.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions of the server.
    pub sessions: usize,
    /// Sessions of one address; 0: no limit of its own.
    pub sessions_per_address: usize,
    /// Sessions of one access token; 0: no limit of its own.
    pub sessions_per_token: usize,
    /// TCP connections of the server.
    pub connections: usize,
    /// TCP connections of one address; 0: no limit of its own.
    pub connections_per_address: usize,
    /// Requests of one address, and of one access token, a minute; 0: no limit.
    pub requests_per_minute: u32,
    /// Audio that one access token (or address, without one) may send in an hour; 0: no limit.
    pub audio_seconds_per_hour: u32,
    /// Bytes of one uploaded recording.
    pub upload_bytes: usize,
    /// Recordings that are worked on at a time.
    pub uploads: usize,
    /// The head of a connection's first request must have come within this.
    pub request_head_s: u64,
    /// The body of a request must have come within this.
    pub request_body_s: u64,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Messages per second, on average over ten seconds.
    pub messages_per_second: u32,
    /// Inbound audio may be so many times faster than real time, on average over ten seconds.
    pub audio_speed: f32,
    /// Bad messages before the socket is closed.
    pub bad_messages: u32,
    /// Messages waiting for a slow client before it is cut off.
    pub outbound_messages: usize,
    /// Nothing said or typed for so long closes the session.
    pub idle_timeout_s: u64,
    /// A session's length.
    pub session_max_s: u64,
    /// Time between two WebSocket pings.
    pub ping_s: u64,
    /// A client of `/ws/chat` that lost its connection can go on with its session for so long; 0: only with its
    /// history.
    pub resume_grace_ms: u64,
}

/// `models.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Folder of the weights that come with the program or by its set-up.
    pub dir: PathBuf,
    /// Folder that `models pull` fills; empty: in the user's cache folder
    /// ([`Cache::of`](crate::models::cache::Cache::of)).
    pub cache: PathBuf,
    /// Never ask a model hub.
    pub offline: bool,
    /// ONNX Runtime's shared library; empty: the one in `dir`, else `ORT_DYLIB_PATH`.
    pub onnxruntime: PathBuf,
}

/// `log.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A `tracing` filter.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
    /// Write what people say into the log.
    pub transcripts: bool,
}

/// `scripted.*`: what the engines named `scripted` do. Times are slept on their worker threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scripted {
    /// Delay of a transcript.
    pub asr_delay_ms: u64,
    /// Transcripts, one utterance each, round and round.
    pub transcripts: Vec<String>,
    /// Probabilities that the user has finished, one a pause, round and round.
    pub judgements: Vec<f32>,
    /// Delay of the first token.
    pub llm_first_token_ms: u64,
    /// Delay of each other token.
    pub llm_token_ms: u64,
    /// Replies, one for each request, round and round; a token is a word with its space, and
    /// `{call NAME ARGUMENTS}` calls a tool.
    pub replies: Vec<String>,
    /// Delay of each segment's first audio.
    pub tts_delay_ms: u64,
    /// Audio made per character of text.
    pub tts_ms_per_char: u64,
    /// Render time of a clip.
    pub clip_delay_ms: u64,
    /// Failures on demand: `asr@2` fails the second call of `asr`; likewise `llm@N`, `llm-mid@N`
    /// (after its third token), `turn@N`, `tts@N`, `clip@N`, and `@*` for every call.
    pub failures: Vec<String>,
}
