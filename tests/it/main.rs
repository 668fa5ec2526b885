//! One binary with all integration tests: real sockets, real engines, real files.

mod packaging;
mod silero;
mod store;
//! One binary of integration tests: real sockets, real engines.

mod openai;
mod stub_llm;
