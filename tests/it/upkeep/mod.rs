//! Compaction, memories and tasks: sessions with scripted models, without a socket; what they tell and what
//! is in the log.

mod compaction;
mod http;
mod long;
mod memory;
mod talk;
