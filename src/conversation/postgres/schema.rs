//! The tables in PostgreSQL: those of the embedded store (see `sqlite/schema.rs`), with what differs:
//! payloads are bytes, a message is JSON beside what it is looked up by, and the index of words is a
//! column of `memories`.

use super::connection::{Database, Db, Fault};
use crate::conversation::error::StoreError;
use crate::conversation::sqlite::Access;

/// Advisory lock of whoever makes or changes the tables: "Viva", 0.
const LOCK_OF_SCHEMA: i64 = 0x5669_7661_0000_0000;

/// Each brings a database from the version of its index to the next. Never change one that was released.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE vivavoce_schema (version BIGINT NOT NULL);
INSERT INTO vivavoce_schema VALUES (0);

CREATE TABLE events (
    position    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    at_unix_us  BIGINT NOT NULL,
    payload     BYTEA,  -- JSON; NULL, like its salt, once deleted
    salt        BYTEA,
    digest      BYTEA  NOT NULL,
    prev_hash   BYTEA  NOT NULL,
    hash        BYTEA  NOT NULL,
    UNIQUE (session_id, seq)
);
CREATE INDEX events_of_memory ON events (position)
    WHERE kind IN ('memory_item', 'memory', 'memory_corrected', 'memory_deleted');

CREATE TABLE heads (
    session_id  TEXT   PRIMARY KEY,
    seq         BIGINT NOT NULL,
    hash        BYTEA  NOT NULL
);

CREATE TABLE cut_events (
    session_id      TEXT,
    seq             BIGINT,
    kind            TEXT,
    at_unix_us      BIGINT,
    payload         BYTEA,
    salt            BYTEA,
    digest          BYTEA,
    prev_hash       BYTEA,
    hash            BYTEA,
    cut_at_unix_us  BIGINT NOT NULL
);

CREATE TABLE conversations (
    session_id          TEXT   PRIMARY KEY,
    agent               TEXT   NOT NULL,
    frontend            TEXT   NOT NULL,
    owner               BYTEA,
    forked_from         TEXT,  -- JSON {session, hash}
    compacted_from      TEXT,  -- JSON {session, hash}
    predecessor         TEXT,  -- the session of compacted_from
    started_at_unix_us  BIGINT NOT NULL,
    updated_at_unix_us  BIGINT NOT NULL,
    turns               BIGINT NOT NULL,
    messages            BIGINT NOT NULL,
    ended_at_unix_us    BIGINT,
    end_reason          TEXT
);
CREATE INDEX conversations_by_update ON conversations (updated_at_unix_us);
CREATE INDEX conversations_by_predecessor ON conversations (predecessor, started_at_unix_us)
    WHERE predecessor IS NOT NULL;

CREATE TABLE messages (
    session_id  TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    turn        BIGINT NOT NULL,
    role        TEXT   NOT NULL,
    message     TEXT   NOT NULL,  -- JSON
    PRIMARY KEY (session_id, seq)
);

CREATE TABLE deleted_sessions (
    session_id  TEXT PRIMARY KEY
);

CREATE TABLE memory_items (
    id            TEXT    PRIMARY KEY,
    session_id    TEXT    NOT NULL,
    owner         BYTEA,
    person        TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    turn          BIGINT  NOT NULL,
    at_unix_us    BIGINT  NOT NULL,
    consolidated  BOOLEAN NOT NULL
);
CREATE INDEX memory_items_waiting ON memory_items (at_unix_us) WHERE NOT consolidated;

CREATE TABLE memories (
    id                  TEXT   PRIMARY KEY,
    session_id          TEXT   NOT NULL,
    owner               BYTEA,
    person              TEXT   NOT NULL,
    text                TEXT   NOT NULL,
    said_at_unix_us     BIGINT NOT NULL,
    updated_at_unix_us  BIGINT NOT NULL,
    words               TSVECTOR GENERATED ALWAYS AS (to_tsvector('english', text)) STORED
);
CREATE INDEX memories_by_update ON memories (updated_at_unix_us);
CREATE INDEX memories_by_words ON memories USING GIN (words);

CREATE TABLE audits (
    session_id  TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    at_unix_us  BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    filename    TEXT   NOT NULL,
    messages    BIGINT NOT NULL,
    PRIMARY KEY (session_id, seq)
);
CREATE INDEX audits_by_time ON audits (at_unix_us);

CREATE TABLE access_tokens (
    hash                BYTEA  PRIMARY KEY,
    label               TEXT   NOT NULL,
    created_at_unix_us  BIGINT NOT NULL,
    scopes              TEXT   NOT NULL,
    expires_at_unix_us  BIGINT  -- NULL: never
);
"];

/// The version that this program writes.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Makes the tables where there are none, and brings older ones up.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    database.write(async |db| migrate(database, db).await)
}

async fn migrate(database: &Database, db: &Db<'_>) -> Result<(), Fault> {
    let path = database.place();
    let supported = SCHEMA_VERSION;
    let mut found = version(db).await?;
    if found < supported && database.access() != Access::ReadOnly {
        // Asked again under the lock: another server may have been faster.
        db.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_OF_SCHEMA]).await?;
        found = version(db).await?;
        let done = usize::try_from(found).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(done) {
            db.batch(migration).await?;
        }
        if found < supported {
            db.batch(&format!("UPDATE vivavoce_schema SET version = {supported}")).await?;
            found = supported;
        }
    }
    match found {
        found if found > supported => Err(StoreError::NewerSchema { path, found, supported }.into()),
        found if found < supported => Err(StoreError::OlderSchema { path, found, supported }.into()),
        _ => Ok(()),
    }
}

/// 0: there are no tables of ours.
async fn version(db: &Db<'_>) -> Result<i64, Fault> {
    let exists = db.row("SELECT to_regclass('vivavoce_schema') IS NOT NULL", &[]).await?;
    if !exists.map(|row| row.try_get(0)).transpose()?.unwrap_or(false) {
        return Ok(0);
    }
    let row = db.row("SELECT version FROM vivavoce_schema", &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}
