//! One binary of integration tests: real sockets, real engines.

mod openai;
mod stub_llm;
