//! One binary with all integration tests: real sockets, real engines, real files.

// Tests tell why they skip and what they measured.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod access;
mod ask;
mod bench;
mod browser;
mod client;
mod e2e;
mod harness;
mod http_api;
mod local;
mod markdown;
mod models;
mod openai;
mod openai_speech;
mod packaging;
mod real_models;
mod realtime;
mod silero;
mod smart_turn;
mod speech;
mod store;
mod store_servers;
mod stores;
mod stories;
mod strangers;
mod stub_hub;
mod stub_llm;
mod talk;
mod tls;
mod upkeep;
mod word_errors;

/// HTTP clients of tests need a TLS provider even where they use none.
fn tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
