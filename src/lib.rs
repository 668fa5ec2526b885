//! Vivavoce (*viva voce*, "by live voice"): a self-hosted server that people talk with.
//!
//! ```text
//!             ┌───────────────── session actor (one per connection, owns its state) ─────────────────┐
//! frontends → │ audio in → VAD → TURN (pure) → ASR → TURN → LLM → segments → TTS → TURN → audio/clip │ → frontends
//!             └──────────────────────────────────────────────────────────────────────────────────────┘
//!                    engines (threads; know no session)        conversation (event log, history)
//! ```
//!
//! *Decide in pure code; act at the edge.* [`turn`] decides and knows no socket, clock, thread or
//! model. [`session`] carries out what it decided. [`engines`] know no session, [`frontends`] decide
//! nothing, [`conversation`] knows none of them.
//!
//! The modules, in flow order:

pub mod config;
pub mod models;
mod number_words;
mod outbound;

pub mod audio;
pub mod engines;
pub mod tools;
pub mod turn;

pub mod conversation;
pub mod session;

pub mod metrics;

pub mod frontends;

pub mod client;

pub mod cli;
