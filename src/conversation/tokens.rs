//! Secrets that are handed out once and of which only the hash is kept: resume tokens (one per
//! session, in its `session_start`) and access tokens (of the server, in a table of the same store).
//!
//! The tokens are random (192 and 256 bits), so one round of SHA-256 is as good as a slow password
//! hash: there is nothing to guess. Comparisons take the same time wherever the difference is.
//! Deliberately absent: the decision when a token is needed and for what, which is the frontends'.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::StoreError;
use super::ids::{Hash, random_bytes};
use super::postgres::{self, Database, is_postgres_url};
use super::sqlite::{Access, open_connection, sqlite_path};
use super::store::now_unix_us;

/// A new token for resuming one session: 192 random bits, 32 url-safe characters.
pub fn new_resume_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<24>())
}

/// What is kept of a token.
pub fn token_hash(token: &str) -> Hash {
    Hash(Sha256::digest(token).into())
}

/// Whether this is the token of which `hash` was kept.
pub fn token_matches(token: &str, hash: &Hash) -> bool {
    token_hash(token).0.ct_eq(&hash.0).into()
}

/// What a token allows. A token has one or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Talk: `/ws/chat`, and the histories of sessions made with the token.
    Voice,
    /// Talk by OpenAI's Realtime protocol, and make client secrets for browsers.
    Realtime,
    /// The engines by themselves: `/v1/models`, `/v1/audio/…`, `/v1/chat/completions`.
    Api,
    /// Conversations in Markdown files: `/chat`, `/chat/stream`, `/agents`.
    Messages,
    /// The guard's cameras and encounters.
    Guard,
    /// Scenes.
    Scenes,
    /// Measurements: `/metrics`.
    Metrics,
    /// Look after the server; opens what `metrics` opens, too.
    Admin,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Scope; 8] = [
        Scope::Voice,
        Scope::Realtime,
        Scope::Api,
        Scope::Messages,
        Scope::Guard,
        Scope::Scenes,
        Scope::Metrics,
        Scope::Admin,
    ];
    /// What a token can do that somebody makes without saying more: talk, and use the engines.
    pub const USUAL: [Scope; 3] = [Scope::Voice, Scope::Realtime, Scope::Api];

    /// Whether a token with this scope may do what `needed` is asked for.
    pub fn covers(self, needed: Scope) -> bool {
        self == needed || (self == Scope::Admin && needed == Scope::Metrics)
    }

    /// As it is written in the store and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Voice => "voice",
            Scope::Realtime => "realtime",
            Scope::Api => "api",
            Scope::Messages => "messages",
            Scope::Guard => "guard",
            Scope::Scenes => "scenes",
            Scope::Metrics => "metrics",
            Scope::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no scope {0:?}; there are voice, realtime, api, messages, guard, scenes, metrics and admin"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Scope, UnknownScope> {
        let known = Scope::ALL.into_iter().find(|scope| scope.name() == name);
        known.ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

/// What is known of an access token; never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The name under which it owns sessions.
    pub hash: Hash,
    /// What it is for, in somebody's words.
    pub name: String,
    /// What it allows, in the order of [`Scope::ALL`].
    pub scopes: Vec<Scope>,
    /// Microseconds since 1970.
    pub created_at_unix_us: i64,
    /// Microseconds since 1970; `None`: it does not expire.
    pub expires_at_unix_us: Option<i64>,
}

impl TokenInfo {
    /// By what it is called where it may not be shown: the beginning of its hash, in hexadecimal digits.
    pub fn id(&self) -> String {
        self.hash.0[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether its time is over at `now`.
    pub fn has_expired(&self, now_unix_us: i64) -> bool {
        self.expires_at_unix_us.is_some_and(|end| end <= now_unix_us)
    }
}

/// Bytes of a token's hash that name it on the command line.
const ID_BYTES: usize = 6;

/// A token to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// What it is for.
    pub name: &'a str,
    /// What it allows.
    pub scopes: &'a [Scope],
    /// Microseconds since 1970; `None`: it does not expire.
    pub expires_at_unix_us: Option<i64>,
}

/// The server's access tokens. Its functions block for a read or write of the store.
#[derive(Debug)]
pub struct TokenStore(Place);

#[derive(Debug)]
enum Place {
    Sqlite { path: PathBuf, connection: Mutex<Connection> },
    Postgres(Database),
}

impl TokenStore {
    /// Opens the store that `store.url` names, and makes it where it is missing.
    ///
    /// # Errors
    /// As [`super::ConversationLog::open`].
    pub fn open(url: &str) -> Result<TokenStore, StoreError> {
        if is_postgres_url(url) {
            return Ok(TokenStore(Place::Postgres(postgres::tokens::open(url)?)));
        }
        let path = sqlite_path(url)?;
        let connection = Mutex::new(open_connection(&path, Access::Create)?);
        Ok(TokenStore(Place::Sqlite { path, connection }))
    }

    /// Makes a token. It is shown to somebody now or never.
    ///
    /// # Errors
    /// What the store says.
    pub fn create(&self, new: &NewToken<'_>) -> Result<String, StoreError> {
        let token = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        let info = TokenInfo {
            hash: token_hash(&token),
            name: new.name.to_owned(),
            scopes: Scope::ALL.into_iter().filter(|scope| new.scopes.contains(scope)).collect(),
            created_at_unix_us: now_unix_us(),
            expires_at_unix_us: new.expires_at_unix_us,
        };
        match &self.0 {
            Place::Sqlite { path, connection } => with(path, connection, |db| put(db, &info))?,
            Place::Postgres(database) => database.put_token(&info)?,
        }
        Ok(token)
    }

    /// All tokens, the oldest first; those that have expired, too.
    ///
    /// # Errors
    /// What the store says.
    pub fn list(&self) -> Result<Vec<TokenInfo>, StoreError> {
        match &self.0 {
            Place::Sqlite { path, connection } => with(path, connection, |db| {
                let mut all = db.prepare_cached(&format!("{SELECT} ORDER BY created_at_unix_us, hash"))?;
                all.query_map([], info_of)?.collect()
            }),
            Place::Postgres(database) => database.tokens(),
        }
    }

    /// Takes away a token; `false` if there is none with this hash. What it opened before goes on.
    ///
    /// # Errors
    /// What the store says.
    pub fn revoke(&self, hash: &Hash) -> Result<bool, StoreError> {
        match &self.0 {
            Place::Sqlite { path, connection } => with(path, connection, |db| {
                db.execute("DELETE FROM access_tokens WHERE hash = ?1", [hash.0]).map(|rows| rows > 0)
            }),
            Place::Postgres(database) => database.delete_token(hash),
        }
    }

    /// Whether there is any token.
    ///
    /// # Errors
    /// What the store says.
    pub fn has_any(&self) -> Result<bool, StoreError> {
        match &self.0 {
            Place::Sqlite { path, connection } => with(path, connection, |db| {
                db.query_row("SELECT EXISTS (SELECT 1 FROM access_tokens)", [], |row| row.get(0))
            }),
            Place::Postgres(database) => Ok(!database.tokens()?.is_empty()),
        }
    }

    /// What is known of `token` if it is one of ours, whether it has expired or not. A token that another
    /// process made just now counts, and one that was revoked just now does not.
    ///
    /// # Errors
    /// What the store says.
    pub fn find(&self, token: &str) -> Result<Option<TokenInfo>, StoreError> {
        let hash = token_hash(token);
        match &self.0 {
            Place::Sqlite { path, connection } => with(path, connection, |db| {
                // All are compared, each in constant time: the time tells nothing about the hashes.
                let mut statement = db.prepare_cached(SELECT)?;
                let mut rows = statement.query([])?;
                let mut found = None;
                while let Some(row) = rows.next()? {
                    if row.get::<_, [u8; 32]>(0)?.ct_eq(&hash.0).into() {
                        found = Some(info_of(row)?);
                    }
                }
                Ok(found)
            }),
            Place::Postgres(database) => database.token(&hash),
        }
    }
}

fn with<T>(
    path: &Path,
    connection: &Mutex<Connection>,
    run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    run(&connection).map_err(|e| StoreError::sqlite(path, &e))
}

fn put(db: &Connection, info: &TokenInfo) -> rusqlite::Result<()> {
    let scopes: Vec<&str> = info.scopes.iter().map(|scope| scope.name()).collect();
    db.execute(
        "INSERT INTO access_tokens (hash, label, created_at_unix_us, scopes, expires_at_unix_us)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![info.hash.0, info.name, info.created_at_unix_us, scopes.join(" "), info.expires_at_unix_us],
    )?;
    Ok(())
}

const SELECT: &str = "SELECT hash, label, created_at_unix_us, scopes, expires_at_unix_us FROM access_tokens";

fn info_of(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    Ok(TokenInfo {
        hash: Hash(row.get(0)?),
        name: row.get(1)?,
        created_at_unix_us: row.get(2)?,
        scopes: scopes_of(&row.get::<_, String>(3)?),
        expires_at_unix_us: row.get(4)?,
    })
}

/// The scopes in a stored list. One of a newer version means nothing here.
pub(super) fn scopes_of(written: &str) -> Vec<Scope> {
    let has = |scope: &Scope| written.split(' ').any(|name| name == scope.name());
    Scope::ALL.into_iter().filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: NewToken<'_> =
        NewToken { name: "talk", scopes: &[Scope::Voice], expires_at_unix_us: Some(1_000) };

    #[test]
    fn a_token_is_known_by_its_hash_only() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let tokens = TokenStore::open(&url).unwrap();
        assert!(!tokens.has_any().unwrap());
        assert_eq!(tokens.find("").unwrap(), None);

        let first = tokens.create(&TALK).unwrap();
        let second = TokenStore::open(&url).unwrap().create(&TALK).unwrap();
        assert_eq!((first.len(), first == second), (43, false));
        assert!(tokens.has_any().unwrap());
        for token in [&first, &second] {
            assert_eq!(tokens.find(token).unwrap().unwrap().hash, token_hash(token));
            assert_eq!(tokens.find(&token[1..]).unwrap(), None);
        }
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(first.len()).any(|window| window == first.as_bytes()));
        }
    }

    #[test]
    fn a_token_keeps_its_name_scopes_and_end_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let tokens = TokenStore::open(&url).unwrap();
        let token = tokens.create(&TALK).unwrap();
        let scopes = &[Scope::Admin, Scope::Api];
        tokens.create(&NewToken { name: "both", scopes, expires_at_unix_us: None }).unwrap();

        let listed = tokens.list().unwrap();
        let shown = |info: &TokenInfo| (info.name.clone(), info.scopes.clone(), info.expires_at_unix_us);
        assert_eq!(shown(&listed[0]), ("talk".to_owned(), vec![Scope::Voice], Some(1_000)));
        assert_eq!(shown(&listed[1]), ("both".to_owned(), vec![Scope::Api, Scope::Admin], None));
        assert_eq!((listed[0].has_expired(999), listed[0].has_expired(1_000)), (false, true));
        assert!(!listed[1].has_expired(i64::MAX));
        assert_eq!(listed[0].id().len(), 12);

        let found = tokens.find(&token).unwrap().unwrap();
        assert_eq!(found, listed[0]);
        assert!(tokens.revoke(&found.hash).unwrap());
        assert!(!tokens.revoke(&found.hash).unwrap());
        assert_eq!(tokens.find(&token).unwrap(), None);
        assert_eq!(tokens.list().unwrap().len(), 1);
    }

    #[test]
    fn a_resume_token_matches_its_own_hash() {
        let (token, other) = (new_resume_token(), new_resume_token());
        assert_eq!(token.len(), 32);
        assert!(token_matches(&token, &token_hash(&token)));
        assert!(!token_matches(&other, &token_hash(&token)));
        assert!(!token_matches(&token, &Hash::ZERO));
    }
}
