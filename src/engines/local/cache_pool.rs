//! Where the KV caches of all sessions live between their turns, within one budget of memory.
//!
//! A session holds a [`Lease`]; while its reply is written, the model thread takes the cache out and
//! gives it back longer. When memory runs short, the sessions that have been idle for longest lose
//! theirs and read their prompt anew at their next turn, with the same result. What the operator's
//! own instructions cost is paid once, at the start: a session without a cache begins with a copy of
//! theirs (the [`CachePool::pin`]ned prefix). Nothing that a visitor said is ever shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::decoder::KvCache;

/// What a model has read: the tokens, and what it keeps of them.
pub struct Held {
    /// As many as the cache has positions.
    pub tokens: Vec<u32>,
    /// Keys and values of these tokens.
    pub cache: KvCache,
}

/// How many of the first tokens are the same.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// One session's place in the pool; it is free again when this is dropped.
pub struct Lease {
    slot: SlotId,
    pool: Arc<CachePool>,
}

impl Lease {
    /// Which place.
    pub fn slot(&self) -> SlotId {
        self.slot
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.lock().slots.remove(&self.slot);
    }
}

/// Names a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(u64);

/// All places.
pub struct CachePool {
    budget_bytes: u64,
    bytes_per_token: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    slots: HashMap<SlotId, Slot>,
    last_slot: u64,
    /// Counts what happens; orders the slots by their last use.
    moment: u64,
    pinned: Option<Held>,
}

enum Slot {
    Empty,
    Idle {
        held: Held,
        since: u64,
    },
    /// The model thread has it; it may grow to so much.
    Busy {
        bytes: u64,
    },
}

/// What came of [`CachePool::take`].
pub enum Taken {
    /// What is kept of this conversation; `None`: nothing, begin with an empty cache.
    Cache(Option<Held>),
    /// Another reply of this session still has it: ask again later.
    SessionBusy,
    /// Replies at work use up the memory: ask again later.
    NoRoom,
}

impl CachePool {
    /// An empty pool. `bytes_per_token`: of a cache.
    pub fn new(budget_bytes: u64, bytes_per_token: u64) -> Arc<CachePool> {
        Arc::new(CachePool { budget_bytes, bytes_per_token, inner: Mutex::default() })
    }

    /// A place for a session.
    pub fn lease(self: &Arc<Self>) -> Lease {
        let mut inner = self.lock();
        inner.last_slot += 1;
        let slot = SlotId(inner.last_slot);
        inner.slots.insert(slot, Slot::Empty);
        Lease { slot, pool: Arc::clone(self) }
    }

    /// Takes a cache out for a prompt, to grow to `tokens` at most, cut back to what the prompt has in
    /// common with what was read (all but its last token: that one gives the first new word).
    ///
    /// Evicts others if that makes the room; if only replies at work stand in the way, it is
    /// [`Taken::NoRoom`]. A cache alone may exceed the budget: a conversation is never refused for it.
    pub fn take(&self, slot: SlotId, prompt: &[u32], tokens: usize) -> Taken {
        let mut inner = self.lock();
        if let Some(Slot::Busy { .. }) = inner.slots.get(&slot) {
            return Taken::SessionBusy;
        }
        let need = self.bytes_per_token * tokens as u64;
        if inner.busy_bytes() > 0 && inner.busy_bytes() + inner.pinned_bytes() + need > self.budget_bytes {
            return Taken::NoRoom;
        }
        let before = inner.slots.insert(slot, Slot::Busy { bytes: need });
        inner.evict_down_to(self.budget_bytes);
        let useful = prompt.len().saturating_sub(1);
        if let Some(Slot::Idle { mut held, .. }) = before {
            let common = common_prefix(&held.tokens, prompt).min(useful);
            if common >= inner.pinned_prefix(prompt, useful) {
                held.tokens.truncate(common);
                held.cache.truncate(common);
                return Taken::Cache(Some(held));
            }
        }
        let common = inner.pinned_prefix(prompt, useful);
        let copy = inner.pinned.as_ref().filter(|_| common > 0).and_then(|pinned| {
            let cache = pinned.cache.prefix(common).ok()?;
            Some(Held { tokens: pinned.tokens[..common].to_vec(), cache })
        });
        Taken::Cache(copy)
    }

    /// Gives a cache back. One whose session is gone, or that does not fit any more, is dropped.
    pub fn give_back(&self, slot: SlotId, held: Option<Held>) {
        let mut inner = self.lock();
        inner.moment += 1;
        let since = inner.moment;
        if let Some(place) = inner.slots.get_mut(&slot) {
            *place = held.map_or(Slot::Empty, |held| Slot::Idle { held, since });
            inner.evict_down_to(self.budget_bytes);
        }
    }

    /// Keeps this beginning of all prompts for sessions that have read nothing yet.
    pub fn pin(&self, held: Held) {
        self.lock().pinned = Some(held);
    }

    /// Memory in use, and the number of sessions that hold some of it.
    pub fn usage(&self) -> (u64, usize) {
        let inner = self.lock();
        let holding = inner.slots.values().filter(|slot| !matches!(slot, Slot::Empty)).count();
        (inner.pinned_bytes() + inner.busy_bytes() + inner.idle_bytes(), holding)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code in here can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn busy_bytes(&self) -> u64 {
        self.slots.values().map(|slot| if let Slot::Busy { bytes } = slot { *bytes } else { 0 }).sum()
    }

    fn idle_bytes(&self) -> u64 {
        self.slots
            .values()
            .map(|slot| if let Slot::Idle { held, .. } = slot { held.cache.bytes() } else { 0 })
            .sum()
    }

    fn pinned_bytes(&self) -> u64 {
        self.pinned.as_ref().map_or(0, |pinned| pinned.cache.bytes())
    }

    fn pinned_prefix(&self, prompt: &[u32], useful: usize) -> usize {
        self.pinned.as_ref().map_or(0, |pinned| common_prefix(&pinned.tokens, prompt).min(useful))
    }

    /// Drops the caches that have been idle for longest, until the rest fits or none is left.
    fn evict_down_to(&mut self, budget_bytes: u64) {
        while self.busy_bytes() + self.pinned_bytes() + self.idle_bytes() > budget_bytes {
            let idle = self.slots.iter().filter_map(|(id, slot)| match slot {
                Slot::Idle { since, .. } => Some((*since, *id)),
                Slot::Empty | Slot::Busy { .. } => None,
            });
            let Some((_, oldest)) = idle.min_by_key(|(since, _)| *since) else { return };
            self.slots.insert(oldest, Slot::Empty);
            crate::metrics::llm_cache_evicted();
        }
    }
}
