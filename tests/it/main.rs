//! One binary with all integration tests: real sockets, real engines, real files.

mod browser;
mod client;
mod e2e;
mod harness;
mod openai;
mod packaging;
mod silero;
mod store;
mod stub_llm;
