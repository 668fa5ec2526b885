//! Conversations in Markdown files: `POST /chat`, `POST /chat/stream`, `GET /agents`, and the vault that the
//! files are in. docs/markdown.md is for users.
//!
//! ```text
//! request ─▶ accept: JSON, path, claim ─▶ work: file ─▶ document ─▶ history (diff_and_fork, log) ─▶ run: a session
//!                                          ▲                                                        │ text, tools
//!                                          └──────── with_reply ◀── pace ◀──────── reply ◀──────────┘
//! ```
//!
//! - Pure: [`lines`], [`frontmatter`], [`document`] (a file as turns, every byte kept), [`reply`] (a growing
//!   reply as Markdown), [`fork`] (file and log compared).
//! - The files: [`vault`] (which one is meant), [`write`](mod@write) (whole or not at all), [`claims`] (one request at
//!   a time each), [`index`] (which holds what).
//! - The work: [`request`], [`chat`], [`stream`], [`work`](mod@work), [`history`], [`run`](mod@run), [`pace`], [`audit`](mod@audit), [`cors`].
//! - [`logs`]: what other frontends say, in the same vault.
//!
//! Deliberately absent: a tool loop or prompts of its own. A run is a session like every other.

pub mod audit;
pub mod chat;
pub mod claims;
pub mod cors;
pub mod document;
pub mod fork;
pub mod frontmatter;
pub mod history;
pub mod index;
pub mod lines;
pub mod logs;
pub mod pace;
pub mod reply;
pub mod request;
pub mod run;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod vault;
pub mod work;
pub mod write;

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::config;
use crate::conversation::ids::SessionId;
use claims::Claims;
use index::Index;
use vault::Vault;
pub use vault::VaultError;

/// What all requests share.
#[derive(Debug)]
pub struct Markdown {
    /// The folder of the files.
    pub vault: Vault,
    /// Which of them are being answered.
    pub claims: Claims,
    /// Which of them holds which conversation.
    pub index: Index,
    /// Sessions of other frontends in which a turn has ended.
    turns: mpsc::Sender<SessionId>,
    ended_turns: Mutex<Option<mpsc::Receiver<SessionId>>>,
}

impl Markdown {
    /// With the vault of the configuration.
    ///
    /// # Errors
    /// Its folder cannot be used.
    pub fn open(config: &config::Markdown) -> Result<Markdown, VaultError> {
        let (turns, ended_turns) = mpsc::channel(logs::QUEUE_LENGTH);
        Ok(Markdown {
            vault: Vault::open(&config.vault_path)?,
            claims: Claims::default(),
            index: Index::default(),
            turns,
            ended_turns: Mutex::new(Some(ended_turns)),
        })
    }

    /// For [`logs::keep`], once.
    pub fn take_ended_turns(&self) -> Option<mpsc::Receiver<SessionId>> {
        self.ended_turns.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
