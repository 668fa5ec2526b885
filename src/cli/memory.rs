//! `vivavoce memory list`, `correct` and `delete`: what the server remembers, for who runs it. They work
//! beside a running server, whose next prompts know of it.

use std::io::Write;

use crate::config::Config;
use crate::conversation::events::{Event, MemoryCorrected, MemoryDeleted};
use crate::conversation::projections::{MemoryRow, Whose};
use crate::conversation::sqlite::Access;
use crate::conversation::{ConversationLog, SessionId, StoreError};

/// Show, correct and delete what is remembered of conversations.
#[derive(Debug, clap::Args)]
pub struct Memory {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show memories of all people, the last changed first
    List {
        /// Only those in which one of these words occurs, the best match first
        #[arg(long)]
        query: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Say it otherwise
    Correct {
        /// Its id, as `list` shows it
        #[arg(allow_hyphen_values = true)]
        id: SessionId,
        /// What it says from now on
        text: String,
    },
    /// Forget it (its words leave the files with `vivavoce db compact`)
    Delete {
        /// Its id, as `list` shows it
        #[arg(allow_hyphen_values = true)]
        id: SessionId,
    },
}

/// Why `vivavoce memory` failed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The log cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none.
    #[error("there is no memory {0}; see `vivavoce memory list`")]
    Unknown(SessionId),
    /// It would say nothing.
    #[error("a memory must say something; to forget it: `vivavoce memory delete`")]
    Empty,
    /// The answer could not be written.
    #[error("cannot write to the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Memory {
    /// Runs the command; what it shows goes to `out`. Blocking.
    ///
    /// # Errors
    /// Where the log cannot be used, or the command names what is not there.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), MemoryError> {
        let open = |access| ConversationLog::open_as(&config.store.url, access);
        match self.command {
            Command::List { query, limit } => {
                let log = open(Access::ReadOnly)?;
                let rows: Vec<MemoryRow> = match query {
                    Some(query) => {
                        let found = log.search_memories(Whose::All, None, &query, limit)?;
                        found.into_iter().map(|(row, _)| row).collect()
                    }
                    None => log.memories(Whose::All, limit)?,
                };
                for MemoryRow { id, person, text, .. } in rows {
                    writeln!(out, "{id}  {person}: {text}")?;
                }
            }
            Command::Correct { id, text } => {
                let text = text.trim().to_owned();
                if text.is_empty() {
                    return Err(MemoryError::Empty);
                }
                let log = open(Access::Existing)?;
                log.memory(id)?.ok_or(MemoryError::Unknown(id))?;
                log.record(Event::MemoryCorrected(MemoryCorrected { id, text }))?;
            }
            Command::Delete { id } => {
                let log = open(Access::Existing)?;
                let row = log.memory(id)?.ok_or(MemoryError::Unknown(id))?;
                log.record(Event::MemoryDeleted(MemoryDeleted { id }))?;
                writeln!(out, "forgotten: {}", row.text)?;
            }
        }
        Ok(())
    }
}
