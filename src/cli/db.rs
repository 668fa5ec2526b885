//! `vivavoce db …`: looks after the event log. All of it works beside a running server.

use std::io::Write;
use std::path::PathBuf;

use crate::config::Config;
use crate::conversation::sqlite::Access;
use crate::conversation::{ConversationLog, Role, SessionId, StoreError, StoredSession, Whose};

/// Look after the event log.
#[derive(Debug, clap::Args)]
pub struct Db {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Verify the hash chain of every session; changes nothing
    Check,
    /// Make the tables of conversations, messages and memories again from the log
    Rebuild,
    /// Erase the words of deleted sessions and memories for good, and give their space back
    Compact,
    /// Copy everything, as it is now, into a new file (SQLite)
    Backup {
        /// The new file
        path: PathBuf,
    },
    /// Print conversations: one, or all
    Export {
        /// Only this one
        #[arg(allow_hyphen_values = true)]
        session: Option<SessionId>,
        /// How
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// One JSON object per line and conversation
    Json,
    /// For people
    Markdown,
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
        let open = |access| ConversationLog::open_as(&config.store.url, access);
        match self.command {
            Command::Check => check(&*open(Access::ReadOnly)?, out),
            Command::Rebuild => {
                let report = open(Access::Existing)?.rebuild()?;
                let (events, conversations) = (report.events, report.conversations);
                writeln!(
                    out,
                    "{events} events read: {conversations} conversations, {} messages",
                    report.messages
                )?;
                Ok(())
            }
            Command::Compact => {
                let report = open(Access::Existing)?.compact()?;
                let (before, after) = (report.bytes_before, report.bytes_after);
                writeln!(
                    out,
                    "{} events erased; {before} bytes before, {after} after",
                    report.erased_events
                )?;
                Ok(())
            }
            Command::Backup { path } => {
                open(Access::ReadOnly)?.backup(&path)?;
                writeln!(out, "copied to {}", path.display())?;
                Ok(())
            }
            Command::Export { session, format } => export(&*open(Access::ReadOnly)?, session, format, out),
        }
    }
}

fn check(log: &ConversationLog, out: &mut dyn Write) -> Result<(), DbError> {
    let report = log.check()?;
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(out, "{} sessions, {} events verified", report.sessions, report.events)?;
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(DbError::Damaged { problems }),
    }
}

/// All that is sound is printed, whatever else is damaged.
fn export(
    log: &ConversationLog,
    session: Option<SessionId>,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), DbError> {
    let sessions = match session {
        Some(session) => vec![session],
        None => log.conversations(Whose::All, usize::MAX)?.into_iter().rev().map(|row| row.session).collect(),
    };
    let mut damaged = 0;
    for id in sessions {
        let read = log.read_session(id).and_then(|found| match found {
            None if session.is_some() => Err(StoreError::UnknownSession { session: id }),
            found => Ok(found), // deleted in the meantime: none
        });
        match (read, format) {
            (Ok(Some(found)), Format::Json) => {
                serde_json::to_writer(&mut *out, &found).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
            (Ok(Some(found)), Format::Markdown) => write_markdown(&found, out)?,
            (Ok(None), _) => {}
            (Err(error @ StoreError::Damaged { .. }), _) if session.is_none() => {
                tracing::error!("{error}");
                damaged += 1;
            }
            (Err(error), _) => return Err(error.into()),
        }
    }
    if damaged > 0 { Err(DbError::Damaged { problems: damaged }) } else { Ok(()) }
}

fn write_markdown(session: &StoredSession, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "# {} · {}\n", session.session_id, time(session.started_at_unix_us))?;
    for message in &session.messages {
        let who = match message.role {
            Role::System => "System",
            Role::User => "User",
            Role::Assistant if message.interrupted => "Assistant (interrupted)",
            Role::Assistant => "Assistant",
            Role::ToolCall => "Tool call",
            Role::ToolResult => "Tool result",
        };
        writeln!(out, "## {who}\n\n{}\n", message.text.trim_end())?;
    }
    Ok(())
}

fn time(at_unix_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_unix_us).map_or_else(|_| String::new(), |at| at.to_string())
}
