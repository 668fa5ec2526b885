//! OpenAI-compatible servers as engines: LM Studio, Ollama, llama.cpp, vLLM, speaches, Kokoro-FastAPI, or
//! somebody's cloud. One name in `config.yml`, `openai`, for three stages:
//!
//! - `llm`: replies, `POST {llm.url}/chat/completions` (`server`, `request`, `sse`, `reply`);
//! - [`OpenAiAsr`]: words, `POST {asr.openai.url}/audio/transcriptions` (`asr`);
//! - [`OpenAiTts`]: speech, `POST {tts.openai.url}/audio/speech` (`tts`).
//!
//! `remote` asks, repeats and explains refusals for all of them. The calling worker waits for every piece
//! of an answer together with the cancel token, so that a stalled server holds nobody up, and a cancel
//! closes the request. Sockets and timers belong to the one thread of
//! `Connections`, the sinks are always called outside of it.

mod asr;
mod llm;
mod remote;
mod reply;
mod request;
mod server;
mod sse;
mod tts;
mod words;

pub use asr::OpenAiAsr;
pub use llm::{OpenAi, probe};
pub use server::ServerInfo;
pub use tts::OpenAiTts;

/// The name in `config.yml`.
pub const NAME: &str = "openai";
