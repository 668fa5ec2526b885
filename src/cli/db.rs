//! `vivavoce db check` and `vivavoce db rebuild`. Both work beside a running server.

use std::io::Write;

use crate::config::Config;
use crate::conversation::sqlite::Access;
use crate::conversation::{ConversationLog, StoreError};

/// Look after the event log.
#[derive(Debug, clap::Args)]
pub struct Db {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Command {
    /// Verify the hash chain of every session; changes nothing
    Check,
    /// Make the tables of conversations and messages again from the log
    Rebuild,
}

/// Why `vivavoce db` failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The log cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The check found damage (which was listed).
    #[error("{problems} of the event log's parts are damaged, see above; restore them from a backup")]
    Damaged {
        /// Lines of the list.
        problems: usize,
    },
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] std::io::Error),
}

impl Db {
    /// Runs the command; its report goes to `out`. Blocking.
    ///
    /// # Errors
    /// Where the log cannot be used, or is damaged.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), DbError> {
        let url = &config.store.url;
        match self.command {
            Command::Check => {
                let report = ConversationLog::open_as(url, Access::ReadOnly)?.check()?;
                for problem in &report.problems {
                    writeln!(out, "{problem}")?;
                }
                writeln!(out, "{} sessions, {} events verified", report.sessions, report.events)?;
                match report.problems.len() {
                    0 => Ok(()),
                    problems => Err(DbError::Damaged { problems }),
                }
            }
            Command::Rebuild => {
                let report = ConversationLog::open_as(url, Access::Existing)?.rebuild()?;
                writeln!(
                    out,
                    "{} events read: {} conversations, {} messages",
                    report.events, report.conversations, report.messages
                )?;
                Ok(())
            }
        }
    }
}
