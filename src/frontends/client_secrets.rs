//! Client secrets: short-lived keys that a server of somebody's makes with its token and gives to a browser,
//! so that the token itself never leaves that server. One opens sockets (`/v1/realtime`; `/ws/chat` only
//! without a session configuration) and nothing else, until it expires, with the session's configuration that
//! it was made with.
//!
//! Kept in memory, by their hashes: a restart of the server ends them all, as it ends the sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::conversation::ids::{Hash, random_bytes};
use crate::conversation::store::now_unix_us;
use crate::conversation::tokens::token_hash;

/// What all of them begin with.
pub const PREFIX: &str = "ek_";
/// Secrets that are good at a time …
const MAX_SECRETS: usize = 10_000;
/// … and the configurations of all of them, as JSON.
const MAX_BYTES: usize = 64 << 20;

/// What a client secret stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSecret {
    /// The token that it was made with; `None` where none was needed. Its sessions belong to that one.
    pub owner: Option<Hash>,
    /// The session's configuration, as `POST /v1/realtime/client_secrets` was given it.
    pub session: Value,
    /// Seconds since 1970.
    pub expires_at_unix_s: i64,
}

impl ClientSecret {
    /// It says how its sessions are to be, and not only of what kind. What somebody's server has laid down for
    /// them must hold, so they cannot be of a kind that takes no notice.
    pub fn configures(&self) -> bool {
        self.session
            .as_object()
            .is_some_and(|fields| fields.keys().any(|field| field != "type" && field != "model"))
    }
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are too many client secrets already; try again when some have expired")]
pub struct TooManySecrets;

/// The client secrets that are good.
#[derive(Debug, Default)]
pub struct ClientSecrets(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    secrets: HashMap<Hash, Arc<ClientSecret>>,
    /// Of their configurations.
    bytes: usize,
}

impl Held {
    fn has_room(&self, bytes: usize) -> bool {
        self.secrets.len() < MAX_SECRETS && self.bytes + bytes <= MAX_BYTES
    }

    fn forget_expired(&mut self, now_unix_s: i64) {
        self.secrets.retain(|_, secret| secret.expires_at_unix_s > now_unix_s);
        self.bytes = self.secrets.values().map(|secret| size(&secret.session)).sum();
    }
}

fn size(session: &Value) -> usize {
    session.to_string().len()
}

impl ClientSecrets {
    /// Makes one. It is shown to somebody now or never.
    ///
    /// # Errors
    /// There are too many.
    pub fn create(
        &self,
        owner: Option<Hash>,
        session: Value,
        lifetime: Duration,
    ) -> Result<(String, Arc<ClientSecret>), TooManySecrets> {
        self.create_at(owner, session, lifetime, now_unix_us() / 1_000_000)
    }

    fn create_at(
        &self,
        owner: Option<Hash>,
        session: Value,
        lifetime: Duration,
        now_unix_s: i64,
    ) -> Result<(String, Arc<ClientSecret>), TooManySecrets> {
        let bytes = size(&session);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.has_room(bytes) {
            held.forget_expired(now_unix_s);
        }
        if !held.has_room(bytes) {
            return Err(TooManySecrets);
        }
        let expires_at_unix_s =
            now_unix_s.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<24>()));
        let known = Arc::new(ClientSecret { owner, session, expires_at_unix_s });
        held.secrets.insert(token_hash(&secret), Arc::clone(&known));
        held.bytes += bytes;
        Ok((secret, known))
    }

    /// What `secret` stands for, if it is good. (Looked up by its hash: the time that takes tells nothing.)
    pub fn find(&self, secret: &str) -> Option<Arc<ClientSecret>> {
        self.find_at(secret, now_unix_us() / 1_000_000)
    }

    fn find_at(&self, secret: &str, now_unix_s: i64) -> Option<Arc<ClientSecret>> {
        if !secret.starts_with(PREFIX) {
            return None;
        }
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.secrets.get(&token_hash(secret)).filter(|known| known.expires_at_unix_s > now_unix_s).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_good_for_its_time_and_stands_for_its_session() {
        let secrets = ClientSecrets::default();
        let session = json!({"type": "realtime", "instructions": "Be brief."});
        let minute = Duration::from_secs(60);
        let (secret, known) = secrets.create_at(Some(Hash::ZERO), session.clone(), minute, 1_000).unwrap();
        assert!(secret.starts_with("ek_") && secret.len() == 35, "{secret}");
        assert_eq!((known.expires_at_unix_s, &known.session), (1_060, &session));
        assert_eq!(secrets.find_at(&secret, 1_059), Some(known));
        assert_eq!(secrets.find_at(&secret, 1_060), None);
        assert_eq!(secrets.find_at(&secret[..34], 1_000), None);
    }

    #[test]
    fn there_are_not_more_than_so_many_good_ones() {
        let secrets = ClientSecrets::default();
        let make = |now| secrets.create_at(None, Value::Null, Duration::from_secs(60), now);
        for _ in 0..MAX_SECRETS {
            make(0).unwrap();
        }
        assert_eq!(make(59).unwrap_err(), TooManySecrets);
        assert!(make(60).is_ok());
    }

    #[test]
    fn configurations_do_not_fill_the_memory() {
        let secrets = ClientSecrets::default();
        let large = Value::String("x".repeat(MAX_BYTES / 4));
        let make = |now| secrets.create_at(None, large.clone(), Duration::from_secs(60), now).map(drop);
        assert_eq!([make(0), make(0), make(0), make(0)], [Ok(()), Ok(()), Ok(()), Err(TooManySecrets)]);
        assert_eq!(make(60), Ok(()));
    }
}
