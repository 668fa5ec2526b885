//! Names of things in the log: sessions, places in a session, hashes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Random bytes from the operating system.
///
/// # Panics
/// If the operating system has none to give: nothing that depends on secrets may go on then.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct BadName {
    text: String,
    what: &'static str,
}

impl BadName {
    fn new(text: &str, what: &'static str) -> BadName {
        BadName { text: text.chars().take(80).collect(), what }
    }
}

/// A conversation's name: 128 random bits, written as 22 url-safe characters. Nobody guesses one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new one.
    pub fn random() -> SessionId {
        SessionId(random_bytes())
    }

    /// The one with these bits; for tests and for stores that keep them as bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> SessionId {
        SessionId(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<SessionId, BadName> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(SessionId).ok_or_else(|| BadName::new(text, "a session id (22 url-safe characters)"))
    }
}

/// A place in a session; its first event is number 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> SeqNo {
        SeqNo(self.0 + 1)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest; 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands in front of a session's first event.
    pub const ZERO: Hash = Hash([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Hash, BadName> {
        let bad = || BadName::new(text, "a hash (64 hexadecimal digits)");
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut hash = Hash::ZERO;
        for (byte, at) in hash.0.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())?;
        }
        Ok(hash)
    }
}

/// Where a session's chain ends: its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place.
    pub seq: SeqNo,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Of a session without any event yet.
    pub const EMPTY: Head = Head { seq: SeqNo(0), hash: Hash::ZERO };
}

/// Names are texts in JSON.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}
serde_as_text!(SessionId);
serde_as_text!(Hash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text_and_json() {
        let id = SessionId::from_bytes([0xfb; 16]);
        assert_eq!(id.to_string(), "-_v7-_v7-_v7-_v7-_v7-w");
        assert_eq!(id.to_string().parse(), Ok(id));
        let hash = Hash([0xa5; 32]);
        let json = serde_json::to_string(&(id, hash)).unwrap();
        assert_eq!(json, format!(r#"["-_v7-_v7-_v7-_v7-_v7-w","{}"]"#, "a5".repeat(32)));
        assert_eq!(serde_json::from_str::<(SessionId, Hash)>(&json).unwrap(), (id, hash));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "short", "-_v7-_v7-_v7-_v7-_v7-x", "../../etc/passwd-------", "-_v7-_v7-_v7-_v7-_v7-w="]
        {
            assert!(text.parse::<SessionId>().is_err(), "{text:?}");
        }
        for text in ["", "a5", &"é".repeat(32), &"+5".repeat(32)] {
            assert!(text.parse::<Hash>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(SessionId::random(), SessionId::random());
    }
}
