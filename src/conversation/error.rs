//! Why the log could not be read or written. Every message names the file or session and the remedy.

use std::path::{Path, PathBuf};

use super::chain::Damage;
use super::ids::SessionId;

/// Why the log could not be read or written. [`StoreError::code`] is stable and goes to clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// `store.url` names no store that this version has.
    #[error(
        "store.url: {what}; write sqlite://PATH, as in sqlite://data/vivavoce.sqlite, or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    BadUrl {
        /// What is wrong with it. Never the URL itself, which may hold a password.
        what: String,
    },
    /// The file or its folder cannot be opened or made.
    #[error("event log {}: cannot be opened ({cause}); check that the path of store.url is right and that this user may write there", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// It is a file of something else.
    #[error("event log {}: is not an event log of vivavoce; let store.url name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version has written it.
    #[error("event log {}: has schema version {found}, this vivavoce knows versions up to {supported}; use the newer vivavoce that wrote it, or another file", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        supported: i64,
    },
    /// An older version has written it, and it was opened for reading only.
    #[error("event log {}: has the older schema version {found}; start `vivavoce serve` or run `vivavoce db rebuild` once, which bring it up to {supported}", path.display())]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        supported: i64,
    },
    /// No space left.
    #[error("event log {}: the disk (or the limit of the file) is full; free some space, nothing that was acknowledged is lost", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("event log {}: is read-only; make the file and its folder writable for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds it for long.
    #[error("event log {}: another process keeps it locked; wait for it (`vivavoce db rebuild`, a backup) or stop it", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file's own structure is broken.
    #[error("event log {}: the file is damaged ({cause}); stop the server, keep a copy, and restore a backup or run sqlite3's .recover", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
    /// A session is not what was written. Nothing is appended to it.
    #[error("session {session}{}: is damaged: {}; it stays as it is, start a new one (`vivavoce db check` lists all damage)", event_of(.damage), .damage.what)]
    Damaged {
        /// Which.
        session: SessionId,
        /// Where and what.
        damage: Damage,
    },
    /// There is no such session.
    #[error("session {session}: is not in the log; it may have been deleted, or belong to another server")]
    UnknownSession {
        /// Which.
        session: SessionId,
    },
    /// Its first event is missing, since that could not be stored.
    #[error("session {session}: was never stored, since its start could not be; start a new one")]
    NotStarted {
        /// Which.
        session: SessionId,
    },
    /// Somebody else has gone on with it, and there is no start to make a fork from.
    #[error("session {session}: has gone on elsewhere and cannot be forked; start a new one")]
    Stale {
        /// Which.
        session: SessionId,
    },
    /// The writer does not keep up.
    #[error("event log {}: its queue of {waiting} appends is full; the disk is too slow for this load", path.display())]
    QueueFull {
        /// The file.
        path: PathBuf,
        /// Length of the queue.
        waiting: usize,
    },
    /// A backup is never written over anything.
    #[error("backup {}: there is something already; name a file that does not exist", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The store has tools of its own for this.
    #[error("event log {}: is a database server's; make backups with its own tools (pg_dump, or a base backup)", path.display())]
    NoBackup {
        /// The database.
        path: PathBuf,
    },
    /// The database server does not answer, or the connection broke.
    #[error("event log {}: cannot be reached ({cause}); check that the database server runs and that host, user and password of store.url are right", path.display())]
    Unreachable {
        /// The database, without its password.
        path: PathBuf,
        /// What the system or the server says.
        cause: String,
    },
    /// The store has been closed.
    #[error("event log {}: is closed; the server is stopping", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that SQLite says.
    #[error("event log {}: {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
}

impl StoreError {
    /// Stable, snake_case code for clients and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::BadUrl { .. } => "store_bad_url",
            StoreError::Open { .. } => "store_open_failed",
            StoreError::Foreign { .. } => "store_foreign_file",
            StoreError::NewerSchema { .. } => "store_newer_schema",
            StoreError::OlderSchema { .. } => "store_older_schema",
            StoreError::DiskFull { .. } => "store_disk_full",
            StoreError::ReadOnly { .. } => "store_read_only",
            StoreError::Locked { .. } => "store_locked",
            StoreError::DamagedFile { .. } => "store_damaged",
            StoreError::Damaged { .. } => "session_damaged",
            StoreError::UnknownSession { .. } => "session_unknown",
            StoreError::NotStarted { .. } => "session_not_started",
            StoreError::Stale { .. } => "session_stale",
            StoreError::QueueFull { .. } => "store_overloaded",
            StoreError::Exists { .. } => "backup_exists",
            StoreError::NoBackup { .. } => "store_no_backup",
            StoreError::Unreachable { .. } => "store_unreachable",
            StoreError::Closed { .. } => "store_closed",
            StoreError::Failed { .. } => "store_failed",
        }
    }

    /// What SQLite says about the file at `path`, in our words.
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode::*;
        let (path, cause) = (path.to_path_buf(), error.to_string());
        match error.sqlite_error_code() {
            Some(DiskFull) => StoreError::DiskFull { path },
            Some(ReadOnly) => StoreError::ReadOnly { path },
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Locked { path },
            Some(DatabaseCorrupt) => StoreError::DamagedFile { path, cause },
            Some(NotADatabase) => StoreError::Foreign { path },
            Some(CannotOpen | PermissionDenied) => StoreError::Open { path, cause },
            _ => StoreError::Failed { path, cause },
        }
    }
}

fn event_of(damage: &Damage) -> String {
    damage.seq.map(|seq| format!(", event {seq}")).unwrap_or_default()
}
