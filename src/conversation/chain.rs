//! The hash chain of a session.
//!
//! ```text
//! digest = SHA-256(salt ‖ payload)                      salt: 16 random bytes, payload: the stored bytes
//! hash   = SHA-256("vivavoce event 1\n"                 so that no other hash of ours can be mistaken for it
//!                  ‖ prev_hash                          32 bytes; zeros in front of the first event
//!                  ‖ len(session_id) ‖ session_id       as text
//!                  ‖ seq                                from 1, without gaps
//!                  ‖ len(kind) ‖ kind
//!                  ‖ at                                 µs since 1970 UTC, signed
//!                  ‖ digest)                            32 bytes
//! ```
//! Every number (lengths too) is 8 bytes, big-endian; with the lengths in front of the two texts, no
//! two different events make the same bytes. The hash runs over the digest, not over the payload:
//! payload and salt together can be dropped, and the chain still verifies. Without its salt, a digest
//! tells nothing about a short or guessable payload.
//!
//! Deliberately absent: signatures. The chain finds damage and forks; whoever can write the file can
//! write another chain.

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::events::Event;
use super::ids::{Hash, Head, SeqNo, SessionId, random_bytes};

/// Length of a salt in bytes.
pub const SALT_BYTES: usize = 16;

/// One event as it lies in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its session.
    pub session: SessionId,
    /// Its place there.
    pub seq: SeqNo,
    /// Its kind, see [`Event::kind`].
    pub kind: String,
    /// When it was written, µs since 1970 UTC.
    pub at_unix_us: i64,
    /// Its bytes; `None` once deleted.
    pub payload: Option<Vec<u8>>,
    /// What is hashed in front of them; `None` once deleted.
    pub salt: Option<Vec<u8>>,
    /// Hash of both.
    pub digest: Hash,
    /// Hash of the event before.
    pub prev_hash: Hash,
    /// Its own hash.
    pub hash: Hash,
}

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where; `None`: the session as a whole.
    pub seq: Option<SeqNo>,
    /// What, for people.
    pub what: String,
}

impl StoredEvent {
    /// The event that follows `head`.
    pub fn seal(session: SessionId, head: Head, kind: &str, payload: &str, at_unix_us: i64) -> StoredEvent {
        let salt = random_bytes::<SALT_BYTES>().to_vec();
        let mut event = StoredEvent {
            session,
            seq: head.seq.next(),
            kind: kind.into(),
            at_unix_us,
            digest: digest(&salt, payload.as_bytes()),
            payload: Some(payload.into()),
            salt: Some(salt),
            prev_hash: head.hash,
            hash: Hash::ZERO,
        };
        event.hash = event.computed_hash();
        event
    }

    /// The head of a session that ends with this event.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// The event itself; `None` once deleted.
    pub fn event(&self) -> Option<Event> {
        self.payload.as_deref().map(|payload| Event::read(&self.kind, payload))
    }

    /// The hash that its fields make, whatever [`StoredEvent::hash`] says.
    fn computed_hash(&self) -> Hash {
        let session = self.session.to_string();
        let mut sha = Sha256::new();
        sha.update(b"vivavoce event 1\n");
        sha.update(self.prev_hash.0);
        update_text(&mut sha, &session);
        sha.update(self.seq.0.to_be_bytes());
        update_text(&mut sha, &self.kind);
        sha.update(self.at_unix_us.to_be_bytes());
        sha.update(self.digest.0);
        Hash(sha.finalize().into())
    }

    /// Checks the event by itself: its payload against its digest, its fields against its hash.
    pub fn verify(&self) -> Result<(), Damage> {
        match (&self.salt, &self.payload) {
            (Some(salt), Some(payload)) if salt.len() == SALT_BYTES => {
                if digest(salt, payload) != self.digest {
                    return Err(self.damage("its payload is not the one that was written"));
                }
            }
            (None, None) => {}
            _ => return Err(self.damage("its payload and its salt do not belong together")),
        }
        if self.computed_hash() != self.hash {
            return Err(self.damage("its kind, time or place is not the one that was written"));
        }
        Ok(())
    }

    /// Checks the event by itself and as the one that follows `head`.
    pub fn verify_after(&self, head: Head) -> Result<(), Damage> {
        if self.seq != head.seq.next() {
            return Err(Damage {
                seq: Some(head.seq.next()),
                what: format!("it is missing; the next one is {}", self.seq),
            });
        }
        if self.prev_hash != head.hash {
            return Err(self.damage("it does not follow the event before it"));
        }
        self.verify()
    }

    fn damage(&self, what: &str) -> Damage {
        Damage { seq: Some(self.seq), what: what.into() }
    }
}

/// Checks a whole chain, from its first event; returns its head.
pub fn verify_chain<'a>(events: impl IntoIterator<Item = &'a StoredEvent>) -> Result<Head, Damage> {
    events.into_iter().try_fold(Head::EMPTY, |head, event| event.verify_after(head).map(|()| event.head()))
}

/// What a walk along a session's chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The sound events, up to the end or to the damage.
    pub events: Vec<StoredEvent>,
    /// The damage, if there is any. (No event and no damage: there is no such session.)
    pub damage: Option<Damage>,
}

impl Walked {
    /// The whole chain.
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`], [`StoreError::Damaged`].
    pub fn into_events(self, session: SessionId) -> Result<Vec<StoredEvent>, StoreError> {
        match self.damage {
            Some(damage) => Err(StoreError::Damaged { session, damage }),
            None if self.events.is_empty() => Err(StoreError::UnknownSession { session }),
            None => Ok(self.events),
        }
    }
}

/// Verifies the chain of a session that lies in a store as `events`, with its head said to be `end`; to
/// that head, or to the event with the hash `until`.
pub fn walk<E>(
    events: impl Iterator<Item = Result<Result<StoredEvent, Damage>, E>>,
    end: Option<Head>,
    until: Option<Hash>,
) -> Result<Walked, E> {
    let mut sound: Vec<StoredEvent> = vec![];
    let mut head = Head::EMPTY;
    for event in events {
        match event?.and_then(|event| event.verify_after(head).map(|()| event)) {
            Ok(event) => {
                head = event.head();
                sound.push(event);
            }
            Err(damage) => return Ok(Walked { events: sound, damage: Some(damage) }),
        }
        if until == Some(head.hash) {
            return Ok(Walked { events: sound, damage: None });
        }
    }
    let whole = |what: &str| Some(Damage { seq: None, what: what.into() });
    let damage = match end {
        _ if until.is_some() && !sound.is_empty() => whole("the event from which a fork goes on is missing"),
        None if sound.is_empty() => None,
        None => whole("its head is missing"),
        Some(end) if end == head => None,
        Some(end) => Some(Damage {
            seq: Some(end.seq.max(head.seq)),
            what: format!("its chain ends at event {}, its head is event {}", head.seq, end.seq),
        }),
    };
    Ok(Walked { events: sound, damage })
}

/// The sound beginning of a chain, if only its end is damaged: so many of `events` (all that lie in the
/// store, in order), and the head of a session that ends there.
///
/// # Errors
/// The damage that cannot be cut off: there is something sound behind it, or nothing in front of it.
pub fn sound_beginning(events: &[Result<StoredEvent, Damage>]) -> Result<(usize, Head), Damage> {
    let is_sound = |event: &Result<StoredEvent, Damage>| event.as_ref().is_ok_and(|e| e.verify().is_ok());
    let mut head = Head::EMPTY;
    for (n, event) in events.iter().enumerate() {
        let event = event.as_ref().map_err(Clone::clone);
        match event.and_then(|event| event.verify_after(head).map(|()| event.head())) {
            Ok(next) => head = next,
            // Itself sound, but out of its place: what should be in front of it is missing.
            Err(damage) if n == 0 || events[n..].iter().any(is_sound) => return Err(damage),
            Err(_) => return Ok((n, head)),
        }
    }
    match events.len() {
        0 => Err(Damage { seq: None, what: "none of its events is there".into() }),
        all => Ok((all, head)),
    }
}

/// SHA-256 of `salt ‖ payload`.
fn digest(salt: &[u8], payload: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(salt).chain_update(payload).finalize().into())
}

fn update_text(sha: &mut Sha256, text: &str) {
    sha.update((text.len() as u64).to_be_bytes());
    sha.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([7; 16]);

    fn chain(len: usize) -> Vec<StoredEvent> {
        let mut head = Head::EMPTY;
        (0..len)
            .map(|n| {
                let event = StoredEvent::seal(SESSION, head, "user_message", &format!("{{\"turn\":{n}}}"), 5);
                head = event.head();
                event
            })
            .collect()
    }

    #[test]
    fn the_format_is_what_it_was() {
        // Computed once with Python's hashlib from the layout in the head of this file.
        let event = StoredEvent {
            session: SESSION,
            seq: SeqNo(2),
            kind: "amend".into(),
            at_unix_us: -1,
            payload: Some(b"{}".to_vec()),
            salt: Some(vec![1; SALT_BYTES]),
            digest: "d355d911d2f26a54dc0366196d99e2ffef085bb9edf7a495a342ea52c2a4c2f3".parse().unwrap(),
            prev_hash: Hash([9; 32]),
            hash: "7f5d5d4fddbd222a7df92800c6b8d2312710c91f67b687c943699d57ecbf1ccd".parse().unwrap(),
        };
        assert_eq!(event.verify(), Ok(()));
    }

    #[test]
    fn a_deleted_payload_still_verifies() {
        let mut events = chain(3);
        (events[1].payload, events[1].salt) = (None, None);
        assert_eq!(verify_chain(&events), Ok(events[2].head()));
        assert_eq!(events[1].event(), None);
    }

    #[test]
    fn every_change_is_found_where_it_is() {
        type Change = fn(&mut StoredEvent);
        let changes: [(&str, Change); 8] = [
            ("payload", |e| e.payload.as_mut().unwrap()[0] ^= 1),
            ("salt", |e| e.salt.as_mut().unwrap()[0] ^= 1),
            ("salt dropped", |e| e.salt = None),
            ("byte moved from the payload to the salt", |e| {
                let byte = e.payload.as_mut().unwrap().remove(0);
                e.salt.as_mut().unwrap().push(byte);
            }),
            ("kind", |e| e.kind.push('s')),
            ("time", |e| e.at_unix_us += 1),
            ("digest", |e| e.digest.0[31] ^= 1),
            ("previous", |e| e.prev_hash.0[0] ^= 1),
        ];
        for (name, change) in changes {
            let mut events = chain(4);
            change(&mut events[2]);
            let damage = verify_chain(&events).expect_err(name);
            assert_eq!(damage.seq, Some(SeqNo(3)), "{name}: {damage:?}");
        }
    }

    #[test]
    fn only_a_damaged_end_can_be_cut_off() {
        let sound = |broken: &[usize], missing: &[usize]| {
            let events = chain(5).into_iter().map(Ok).enumerate().map(|(n, event)| match event {
                Ok(mut event) if broken.contains(&n) => {
                    event.at_unix_us += 1;
                    Ok(event)
                }
                other => other,
            });
            let mut events: Vec<_> = events.collect();
            missing.iter().rev().for_each(|n| drop(events.remove(*n)));
            sound_beginning(&events)
                .map(|(n, head)| (n, head.seq.0))
                .map_err(|damage| damage.seq.map(|seq| seq.0))
        };
        assert_eq!(sound(&[], &[]), Ok((5, 5)));
        assert_eq!(sound(&[4], &[]), Ok((4, 4)));
        assert_eq!(sound(&[2, 3, 4], &[]), Ok((2, 2)));
        assert_eq!(sound(&[], &[3, 4]), Ok((3, 3)));
        assert_eq!(sound(&[4], &[3]), Ok((3, 3)));
        assert_eq!(sound(&[2, 4], &[]), Err(Some(3)), "event 4 is sound");
        assert_eq!(sound(&[], &[3]), Err(Some(4)), "event 5 is sound");
        assert_eq!(sound(&[0, 1, 2, 3, 4], &[]), Err(Some(1)), "nothing to go on from");
        assert_eq!(sound(&[], &[0, 1, 2, 3, 4]), Err(None));
    }

    #[test]
    fn a_missing_swapped_or_foreign_event_is_found() {
        let mut events = chain(4);
        events.remove(1);
        assert_eq!(verify_chain(&events).unwrap_err().seq, Some(SeqNo(2)));

        let mut events = chain(4);
        events.swap(1, 2);
        assert_eq!(verify_chain(&events).unwrap_err().seq, Some(SeqNo(2)));

        let mut events = chain(4);
        events[2] = chain(4).remove(2); // the same place of another chain: only the salts differ
        assert_eq!(verify_chain(&events).unwrap_err().seq, Some(SeqNo(3)));
    }
}
