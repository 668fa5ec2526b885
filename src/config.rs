//! `config.yml` → [`Config`], once. Nothing else reads YAML.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything an operator can decide. Every key has a default; units are in the names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub server: Server,
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
    /// Write every input of each session's turn machine to `record_dir`.
    pub record: bool,
    /// Folder of the recordings.
    pub record_dir: PathBuf,
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
    /// Threads of the async executor; 0: as many as cores.
    pub executor_threads: usize,
    /// After SIGTERM replies may take so long to finish.
    pub drain_ms: u64,
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
    /// `sqlite://path`.
    pub url: String,
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
    /// A longer utterance is split for recognition (the turn goes on).
    pub max_utterance_s: u32,
    /// Worker threads.
    pub workers: usize,
}

/// `asr.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asr {
    /// `auto`, `pocketsphinx` or `scripted`.
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
}

/// `llm.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Llm {
    /// `auto`, `openai`, `echo` or `scripted`.
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
    /// 0 is greedy.
    pub temperature: f32,
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
}

/// `tts.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tts {
    /// `auto`, `flite` or `scripted`.
    pub engine: String,
    /// Worker threads.
    pub workers: usize,
    /// A segment's first audio may take so long.
    pub timeout_ms: u32,
}

/// `video.*`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// Replies are clips instead of audio.
    pub enabled: bool,
    /// `auto` or `scripted`; the renderers come later.
    pub engine: String,
}

/// `persona.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Persona {
    /// What it calls itself.
    pub name: String,
    /// How it behaves.
    pub system_prompt: String,
    /// What it knows: one sentence each.
    pub facts: Vec<String>,
    /// Spoken first, if set.
    pub greeting: Option<String>,
    /// Voice of the TTS engine.
    pub voice: Option<String>,
    /// Spoken when a stage fails; empty: nothing.
    pub apology: String,
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
    /// TCP connections of the server.
    pub connections: usize,
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
}

/// `models.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Folder of the weights.
    pub dir: PathBuf,
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
    /// Delay of the first token.
    pub llm_first_token_ms: u64,
    /// Delay of each other token.
    pub llm_token_ms: u64,
    /// Replies, one each, round and round; a token is a word with its space.
    pub replies: Vec<String>,
    /// Delay of each segment's first audio.
    pub tts_delay_ms: u64,
    /// Audio made per character of text.
    pub tts_ms_per_char: u64,
    /// Render time of a clip.
    pub clip_delay_ms: u64,
    /// Failures on demand: `asr@2` fails the second call of `asr`; likewise `llm@N`, `llm-mid@N`
    /// (after its third token), `tts@N`, `clip@N`, and `@*` for every call.
    pub failures: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: 8080,
            allowed_hosts: vec![],
            executor_threads: 0,
            drain_ms: 10_000,
        }
    }
}
impl Default for Store {
    fn default() -> Self {
        Store { url: "sqlite://data/vivavoce.sqlite".into() }
    }
}
impl Default for Vad {
    fn default() -> Self {
        Vad {
            engine: "auto".into(),
            threshold: 0.5,
            negative_threshold: 0.35,
            min_speech_ms: 120,
            hangover_ms: 500,
            prefix_padding_ms: 300,
            max_utterance_s: 30,
            workers: 1,
        }
    }
}
impl Default for Asr {
    fn default() -> Self {
        Asr {
            engine: "auto".into(),
            workers: 2,
            speculate_after_ms: 96,
            interim_ms: 0,
            timeout_ms: 20_000,
            pocketsphinx_model_dir: "/usr/share/pocketsphinx/model/en-us".into(),
        }
    }
}
impl Default for Llm {
    fn default() -> Self {
        Llm {
            engine: "auto".into(),
            workers: 0,
            url: "http://127.0.0.1:1234/v1".into(),
            model: String::new(),
            api_key_env: "OPENAI_API_KEY".into(),
            max_new_tokens: 512,
            temperature: 0.7,
            connect_timeout_ms: 3_000,
            first_token_timeout_ms: 20_000,
            token_timeout_ms: 10_000,
            retries: 2,
            history_messages: 40,
        }
    }
}
impl Default for Tts {
    fn default() -> Self {
        Tts { engine: "auto".into(), workers: 2, timeout_ms: 10_000 }
    }
}
impl Default for Persona {
    fn default() -> Self {
        Persona { name: "Vivavoce".into(), system_prompt: "You are {name}, a friendly assistant that people talk with by voice. Answer in one to three short spoken sentences, without lists, markdown or emoji.".into(), facts: vec![], greeting: None, voice: None, apology: "Sorry, something went wrong. Please try again.".into() }
    }
}
impl Default for Turn {
    fn default() -> Self {
        Turn {
            min_interrupt_ms: 300,
            min_interrupt_words: 0,
            resume_false_interruption: true,
            lead_ms: 400,
            chunk_ms: 40,
            first_segment_chars: 40,
            max_segment_chars: 200,
            tts_ahead_ms: 3_000,
            played_grace_ms: 1_000,
            max_reply_chars: 8_000,
        }
    }
}
impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions: 64,
            sessions_per_address: 0,
            connections: 1_024,
            message_bytes: 1 << 20,
            messages_per_second: 200,
            audio_speed: 2.0,
            bad_messages: 20,
            outbound_messages: 256,
            idle_timeout_s: 300,
            session_max_s: 7_200,
            ping_s: 20,
        }
    }
}
impl Default for Models {
    fn default() -> Self {
        Models { dir: "models".into(), onnxruntime: PathBuf::new() }
    }
}
impl Default for Log {
    fn default() -> Self {
        Log { level: "info".into(), json: false, transcripts: false }
    }
}
impl Default for Scripted {
    fn default() -> Self {
        Scripted {
            asr_delay_ms: 0,
            transcripts: vec!["scripted words".into()],
            llm_first_token_ms: 0,
            llm_token_ms: 0,
            replies: vec!["This is a scripted reply. It has two sentences.".into()],
            tts_delay_ms: 0,
            tts_ms_per_char: 60,
            clip_delay_ms: 0,
            failures: vec![],
        }
    }
}
