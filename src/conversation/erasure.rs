//! What a deletion really takes away: which events lose their words when the store is compacted. Pure.
//!
//! Of a memory or memory item that was deleted, everything that was written about it goes, and with it
//! the items and memories of which it was made, since they say the same. Of a session that was deleted
//! everything goes but what it gave to the memory, which has a life of its own, and the deletions that
//! are written in it, without which a rebuild would bring back what they took away.

use std::collections::{BTreeSet, HashMap};

use super::events::Event;
use super::ids::{SeqNo, SessionId};

/// Kinds of the events that [`Erasure::see`] has to see.
pub const KINDS_OF_MEMORY: [&str; 4] = ["memory_item", "memory", "memory_corrected", "memory_deleted"];

/// Kinds that stay in a session that was deleted. Its `session_start` stays with them, if there is a
/// memory or an item: it says whose they are.
pub const KINDS_THAT_STAY: [&str; 5] =
    ["memory_item", "memory", "memory_corrected", "memory_deleted", "session_deleted"];

/// Sees all events of [`KINDS_OF_MEMORY`], in the order in which they were written, and finds those that
/// lose their words.
#[derive(Debug, Default)]
pub struct Erasure {
    /// What has been written about each memory and item that is not deleted.
    known: HashMap<SessionId, About>,
    erased: BTreeSet<(SessionId, SeqNo)>,
}

#[derive(Debug, Default)]
struct About {
    events: Vec<(SessionId, SeqNo)>,
    made_of: Vec<SessionId>,
}

impl Erasure {
    /// The next event, and its place.
    pub fn see(&mut self, session: SessionId, seq: SeqNo, event: Event) {
        let (id, made_of) = match event {
            Event::MemoryItem(item) => (item.id, vec![]),
            Event::Memory(memory) => (memory.id, [memory.from, memory.replaces].concat()),
            Event::MemoryCorrected(corrected) => (corrected.id, vec![]),
            Event::MemoryDeleted(deleted) => return self.forget(deleted.id),
            _ => return,
        };
        let about = self.known.entry(id).or_default();
        about.events.push((session, seq));
        about.made_of.extend(made_of);
    }

    fn forget(&mut self, id: SessionId) {
        let mut ids = vec![id];
        while let Some(id) = ids.pop() {
            if let Some(about) = self.known.remove(&id) {
                self.erased.extend(about.events);
                ids.extend(about.made_of);
            }
        }
    }

    /// The events that lose their words.
    pub fn erased(self) -> BTreeSet<(SessionId, SeqNo)> {
        self.erased
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{Memory, MemoryCorrected, MemoryDeleted, MemoryItem, MemoryKind};

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    fn item(n: u8) -> Event {
        let (kind, person, text) = (MemoryKind::Request, "user".into(), "tea".into());
        Event::MemoryItem(MemoryItem { id: id(n), turn: 1, kind, person, text })
    }

    fn memory(n: u8, from: &[u8], replaces: &[u8]) -> Event {
        let ids = |of: &[u8]| of.iter().map(|n| id(*n)).collect();
        Event::Memory(Memory {
            id: id(n),
            person: "user".into(),
            text: "likes tea".into(),
            said_at_unix_us: 1,
            from: ids(from),
            replaces: ids(replaces),
        })
    }

    fn corrected(n: u8) -> Event {
        Event::MemoryCorrected(MemoryCorrected { id: id(n), text: "likes coffee".into() })
    }

    fn deleted(n: u8) -> Event {
        Event::MemoryDeleted(MemoryDeleted { id: id(n) })
    }

    /// Numbers of the events that are erased.
    fn erased(events: &[Event]) -> Vec<u64> {
        let mut erasure = Erasure::default();
        for (n, event) in (1..).zip(events) {
            erasure.see(id(0), SeqNo(n), event.clone());
        }
        erasure.erased().into_iter().map(|(_, SeqNo(n))| n).collect()
    }

    #[test]
    fn what_a_deleted_memory_was_made_of_goes_with_it() {
        let made = [item(1), item(2), memory(3, &[1], &[]), memory(4, &[2], &[3]), corrected(4), item(5)];
        let after = |event: Event| erased(&[&made[..], &[event]].concat());
        assert_eq!(after(deleted(4)), [1, 2, 3, 4, 5]);
        assert_eq!(after(deleted(3)), [1, 3]);
        assert_eq!(after(deleted(5)), [6]);
        assert_eq!(after(deleted(9)), [0; 0]);
    }

    #[test]
    fn memories_made_of_each_other_are_no_endless_loop() {
        assert_eq!(erased(&[memory(1, &[1], &[2]), memory(2, &[], &[1]), deleted(1)]), [1, 2]);
    }

    #[test]
    fn what_is_written_after_a_deletion_stays() {
        assert_eq!(erased(&[item(1), deleted(1), item(1)]), [1]);
    }
}
