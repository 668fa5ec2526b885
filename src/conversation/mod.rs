//! MEMORY. The append-only event log and what is projected from it.
//!
//! The log is the truth: every session is a chain of events ([`events`], [`chain`]). Everything else
//! (the history that a model is shown, the tables that list sessions) is a pure function of it
//! ([`history`], [`projections`]) and can be made again. A [`store::Store`] keeps the log: [`sqlite`],
//! the embedded one, or [`postgres`], for several servers.
//!
//! ```text
//! session actor → SessionWriter ─ Append ─→ Store: one writer thread ─→ events, heads  ┐ one
//!                  (history)   ←─ on_durable ─┘  (group commit)        └→ conversations, messages ┘ transaction
//! HTTP, CLI → ConversationLog ─ read-only connections ─→ the same file, never blocking the writer
//! ```
//!
//! Beside the log lies the audio of conversations, where it is recorded ([`audio`]): files, no events.
//!
//! Nothing here knows an engine, a turn machine, a socket or a frontend. A deletion is an event too;
//! when the store is compacted, payloads that were deleted are dropped, and the chains still verify
//! ([`erasure`]).

pub mod audio;
mod backlog;
pub mod chain;
pub mod compaction;
pub mod erasure;
pub mod error;
pub mod events;
pub mod export;
pub mod extractive;
pub mod history;
pub mod ids;
pub mod log;
pub mod postgres;
pub mod projections;
pub mod pruning;
mod queue;
pub mod recall;
pub mod shown;
pub mod sqlite;
pub mod store;
pub mod tables;
pub mod tasks;
pub mod tokens;
mod upkeep;
pub mod usage;
mod words;

pub use error::StoreError;
pub use events::Event;
pub use history::{HistoryMessage, Role, ToolNote};
pub use ids::{Hash, Head, SeqNo, SessionId};
pub use log::{ConversationLog, NewSession, SessionWriter, StartedSession, StoredSession};
pub use projections::Whose;
pub use store::{Appended, OnDurable, Store};
pub use tokens::{NewToken, Scope, TokenStore};
