//! Secrets that are handed out once and of which only the hash is kept: resume tokens (one per
//! session, in its `session_start`) and access tokens (of the server, in a table of the same file).
//!
//! The tokens are random (192 and 256 bits), so one round of SHA-256 is as good as a slow password
//! hash: there is nothing to guess. Comparisons take the same time wherever the difference is.
//! Deliberately absent: the decision when a token is needed, which is the frontends'.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::error::StoreError;
use super::ids::{Hash, random_bytes};
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

/// The server's access tokens. Its functions block for a read or write of the file.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl TokenStore {
    /// Opens the store that `store.url` names, and makes it where it is missing.
    ///
    /// # Errors
    /// As [`super::ConversationLog::open`].
    pub fn open(url: &str) -> Result<TokenStore, StoreError> {
        let path = sqlite_path(url)?;
        let connection = Mutex::new(open_connection(&path, Access::Create)?);
        Ok(TokenStore { path, connection })
    }

    /// Makes a token. It is shown to somebody now or never.
    ///
    /// # Errors
    /// What the store says.
    pub fn create(&self, label: &str) -> Result<String, StoreError> {
        let token = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        self.with(|db| {
            db.execute(
                "INSERT INTO access_tokens (hash, label, created_at_unix_us) VALUES (?1, ?2, ?3)",
                params![token_hash(&token).0, label, now_unix_us()],
            )
        })?;
        Ok(token)
    }

    /// Whether there is any token.
    ///
    /// # Errors
    /// What the store says.
    pub fn has_any(&self) -> Result<bool, StoreError> {
        self.with(|db| db.query_row("SELECT EXISTS (SELECT 1 FROM access_tokens)", [], |row| row.get(0)))
    }

    /// The hash of `token` if it is one of ours: the name under which it owns sessions. A token that
    /// another process made just now counts.
    ///
    /// # Errors
    /// What the store says.
    pub fn verify(&self, token: &str) -> Result<Option<Hash>, StoreError> {
        let hash = token_hash(token);
        let known = self.with(|db| {
            // All are compared, each in constant time: the time tells nothing about the hashes.
            let mut statement = db.prepare_cached("SELECT hash FROM access_tokens")?;
            let mut rows = statement.query([])?;
            let mut known = Choice::from(0);
            while let Some(row) = rows.next()? {
                known |= row.get::<_, [u8; 32]>(0)?.ct_eq(&hash.0);
            }
            Ok(bool::from(known))
        })?;
        Ok(known.then_some(hash))
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        run(&connection).map_err(|e| StoreError::sqlite(self.path.as_path() as &Path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_only() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let tokens = TokenStore::open(&url).unwrap();
        assert!(!tokens.has_any().unwrap());
        assert_eq!(tokens.verify("").unwrap(), None);

        let first = tokens.create("first").unwrap();
        let second = TokenStore::open(&url).unwrap().create("of another process").unwrap();
        assert_eq!((first.len(), first == second), (43, false));
        assert!(tokens.has_any().unwrap());
        for token in [&first, &second] {
            assert_eq!(tokens.verify(token).unwrap(), Some(token_hash(token)));
            assert_eq!(tokens.verify(&token[1..]).unwrap(), None);
        }
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(first.len()).any(|window| window == first.as_bytes()));
        }
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
