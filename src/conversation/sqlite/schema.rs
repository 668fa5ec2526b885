//! The tables of the embedded store, and how an older file becomes a newer one.
//!
//! `events` and `heads` are the log, and `cut_events` what damage made unusable of it. `access_tokens`
//! is no part of a conversation; it lies here because a server has one database. All others are
//! projections, which can be made again.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::conversation::error::StoreError;

/// `PRAGMA application_id` of our files: "Viva".
const APPLICATION_ID: i64 = 0x5669_7661;

/// Each brings a file from the version of its index to the next. Never change one that was released.
const MIGRATIONS: [&str; 4] = [
    "
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,  -- order of writing over all sessions
    session_id  TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    at_unix_us  INTEGER NOT NULL,
    payload     TEXT,                 -- JSON; NULL, like its salt, once deleted
    salt        BLOB,
    digest      BLOB    NOT NULL,
    prev_hash   BLOB    NOT NULL,
    hash        BLOB    NOT NULL,
    UNIQUE (session_id, seq)
) STRICT;

CREATE TABLE heads (
    session_id  TEXT PRIMARY KEY,
    seq         INTEGER NOT NULL,
    hash        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    session_id          TEXT PRIMARY KEY,
    agent               TEXT    NOT NULL,
    frontend            TEXT    NOT NULL,
    owner               BLOB,
    forked_from         TEXT,         -- JSON {session, hash}
    compacted_from      TEXT,         -- JSON {session, hash}
    started_at_unix_us  INTEGER NOT NULL,
    updated_at_unix_us  INTEGER NOT NULL,
    turns               INTEGER NOT NULL,
    messages            INTEGER NOT NULL,
    ended_at_unix_us    INTEGER,
    end_reason          TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_by_update ON conversations (updated_at_unix_us);

CREATE TABLE messages (
    session_id   TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    turn         INTEGER NOT NULL,
    role         TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    whole_reply  TEXT,
    estimated    INTEGER NOT NULL,
    interrupted  INTEGER NOT NULL,
    typed        INTEGER NOT NULL,
    at_unix_us   INTEGER NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_tokens (
    hash                BLOB PRIMARY KEY,
    label               TEXT    NOT NULL,
    created_at_unix_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE messages ADD COLUMN tool TEXT;  -- JSON; NULL in what people and we said
",
    // A token made before there were scopes could do everything, and goes on doing so.
    "
ALTER TABLE access_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'voice realtime api admin';
ALTER TABLE access_tokens ADD COLUMN expires_at_unix_us INTEGER;  -- NULL: never
",
    // What a session remembers, tasks apart: no older version has written events of these kinds.
    "
CREATE INDEX events_of_memory ON events (position)
    WHERE kind IN ('memory_item', 'memory', 'memory_corrected', 'memory_deleted');
CREATE INDEX conversations_by_predecessor ON conversations (compacted_from ->> '$.session', started_at_unix_us)
    WHERE compacted_from IS NOT NULL;

CREATE TABLE deleted_sessions (
    session_id  TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE memory_items (
    id            TEXT PRIMARY KEY,
    session_id    TEXT    NOT NULL,
    owner         BLOB,
    person        TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    turn          INTEGER NOT NULL,
    at_unix_us    INTEGER NOT NULL,
    consolidated  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_items_waiting ON memory_items (at_unix_us) WHERE NOT consolidated;

CREATE TABLE memories (
    number              INTEGER PRIMARY KEY,  -- for the index of words
    id                  TEXT    NOT NULL UNIQUE,
    session_id          TEXT    NOT NULL,
    owner               BLOB,
    person              TEXT    NOT NULL,
    text                TEXT    NOT NULL,
    said_at_unix_us     INTEGER NOT NULL,
    updated_at_unix_us  INTEGER NOT NULL
) STRICT;
CREATE INDEX memories_by_update ON memories (updated_at_unix_us);
CREATE VIRTUAL TABLE memory_words USING fts5 (
    text, content = 'memories', content_rowid = 'number',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER memories_inserted AFTER INSERT ON memories BEGIN
    INSERT INTO memory_words (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER memories_deleted AFTER DELETE ON memories BEGIN
    INSERT INTO memory_words (memory_words, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE TRIGGER memories_changed AFTER UPDATE OF text ON memories BEGIN
    INSERT INTO memory_words (memory_words, rowid, text) VALUES ('delete', old.number, old.text);
    INSERT INTO memory_words (rowid, text) VALUES (new.number, new.text);
END;

CREATE TABLE audits (
    session_id  TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    at_unix_us  INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    filename    TEXT    NOT NULL,
    messages    INTEGER NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX audits_by_time ON audits (at_unix_us);

CREATE TABLE cut_events (  -- of damaged ends of sessions: anything may be in them
    session_id      ANY,
    seq             ANY,
    kind            ANY,
    at_unix_us      ANY,
    payload         ANY,
    salt            ANY,
    digest          ANY,
    prev_hash       ANY,
    hash            ANY,
    cut_at_unix_us  INTEGER NOT NULL
) STRICT;
",
];

/// The version that this program writes.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// So long somebody waits for another process that writes (`vivavoce db compact`, say).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How a file may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Made, with its folder, where it is missing.
    Create,
    /// It must be there.
    Existing,
    /// It must be there, and is not changed, not even brought to this version's schema.
    ReadOnly,
}

/// Opens the file and brings its schema to this version.
pub(crate) fn open(path: &Path, access: Access) -> Result<Connection, StoreError> {
    let cannot_open =
        |cause: std::io::Error| StoreError::Open { path: path.into(), cause: cause.to_string() };
    if access == Access::Create {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(cannot_open)?;
        }
        create_private(path).map_err(cannot_open)?;
    } else {
        std::fs::metadata(path).map_err(cannot_open)?;
    }
    let mut connection = connect(path, access).map_err(|e| StoreError::sqlite(path, &e))?;
    let found = version(path, &connection)?;
    if found < SCHEMA_VERSION {
        if access == Access::ReadOnly {
            return Err(StoreError::OlderSchema { path: path.into(), found, supported: SCHEMA_VERSION });
        }
        migrate(path, &mut connection)?;
    }
    Ok(connection)
}

/// Makes an empty file where there is none, see [`create_new_private`].
fn create_private(path: &Path) -> std::io::Result<()> {
    match create_new_private(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes an empty file that only its owner may read: what people say is private. (SQLite gives the
/// files beside it, `-wal` and `-shm`, the same permissions.)
pub(super) fn create_new_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection with our settings, whatever is in the file.
pub(super) fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    // Connections stay on one thread at a time (NO_MUTEX), and a path is a path (no URI).
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match access {
            Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Access::Existing => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Checks that the file is ours (or empty) and not too new; returns its schema version.
fn version(path: &Path, connection: &Connection) -> Result<i64, StoreError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, bool)> {
        let tables = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)";
        let empty = connection.query_row(tables, [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, empty))
    };
    let (application, found, empty) = read().map_err(|e| StoreError::sqlite(path, &e))?;
    if application != APPLICATION_ID && !(empty && application == 0) {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if found > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { path: path.into(), found, supported: SCHEMA_VERSION });
    }
    Ok(found)
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let in_words = |e: rusqlite::Error| StoreError::sqlite(path, &e);
    // Write-ahead logging is a property of the file, and cannot be set inside a transaction.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(in_words)?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(in_words)?;
    // Asked again under the lock: another process may have been faster.
    let found = version(path, &transaction)?;
    apply_migrations(&transaction, found).and_then(|()| transaction.commit()).map_err(in_words)
}

fn apply_migrations(transaction: &Transaction<'_>, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<Connection, StoreError>) -> &'static str {
        result.expect_err("it must not open").code()
    }

    #[test]
    fn a_file_is_made_once_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/log.sqlite");
        assert_eq!(code(open(&path, Access::Existing)), "store_open_failed");
        assert_eq!(code(open(&path, Access::ReadOnly)), "store_open_failed");
        for access in [Access::Create, Access::Create, Access::Existing, Access::ReadOnly] {
            open(&path, access).unwrap_or_else(|e| panic!("{access:?}: {e}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_what_people_said() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("log.sqlite"), Access::Create).unwrap();
        connection
            .execute(
                "INSERT INTO access_tokens (hash, label, created_at_unix_us) VALUES (x'00', 'label', 0)",
                [],
            )
            .unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 3, "the file, -wal and -shm");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
        }
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_up_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let said =
            "INSERT INTO messages VALUES ('BgPFZM3yJyJP-j_bxWPvQg', 2, 1, 'user', 'hi', NULL, 0, 0, 1, 9)";
        old.execute_batch(said).unwrap();
        old.execute_batch("INSERT INTO access_tokens VALUES (x'00', 'of old', 7)").unwrap();
        drop(old);
        let new = open(&path, Access::Existing).unwrap();
        let row = new.query_row("SELECT * FROM messages", [], super::super::rows::message_of).unwrap();
        assert_eq!((row.message.text.as_str(), row.message.typed, row.message.tool), ("hi", true, None));
        let may = new.query_row("SELECT scopes, expires_at_unix_us FROM access_tokens", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
        });
        assert_eq!(may.unwrap(), ("voice realtime api admin".to_owned(), None));
        // The tables of later versions are there and work.
        let remember =
            "INSERT INTO memories (id, session_id, person, text, said_at_unix_us, updated_at_unix_us)
                        VALUES ('a', 'b', 'user', 'Likes tea.', 1, 1)";
        new.execute_batch(remember).unwrap();
        let found = "SELECT count(*) FROM memory_words WHERE memory_words MATCH 'like'";
        assert_eq!(new.query_row(found, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }

    #[test]
    fn a_newer_or_foreign_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let newer = folder.path().join("newer.sqlite");
        let connection = open(&newer, Access::Create).unwrap();
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        drop(connection);
        let other = folder.path().join("other.sqlite");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE cats (name)").unwrap();
        let text = folder.path().join("text.sqlite");
        std::fs::write(&text, "not a database, but long enough to look like one; ".repeat(100)).unwrap();

        for (path, expected) in
            [(&newer, "store_newer_schema"), (&other, "store_foreign_file"), (&text, "store_foreign_file")]
        {
            let before = std::fs::read(path).unwrap();
            assert_eq!(code(open(path, Access::Create)), expected);
            assert_eq!(std::fs::read(path).unwrap(), before, "{expected}");
        }
    }

    #[test]
    fn an_empty_file_is_not_migrated_by_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.sqlite");
        std::fs::write(&path, "").unwrap();
        assert_eq!(code(open(&path, Access::ReadOnly)), "store_older_schema");
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = open(&file.join("log.sqlite"), Access::Create).unwrap_err();
        assert_eq!(error.code(), "store_open_failed");
        assert!(error.to_string().contains("file/log.sqlite"), "{error}");
    }
}
