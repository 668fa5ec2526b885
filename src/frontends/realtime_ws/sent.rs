//! What a client was told last: one that lost its connection gets what it missed of it. Pings behind each turn
//! tell what has arrived, and need not be kept.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;

/// So much is kept: some fifteen seconds of speech.
const MOST_BYTES: usize = 1 << 20;

/// A client's software may have seen a little less than its socket: so many events more are kept.
const MARGIN: usize = 16;

/// Events by their numbers, which count from 1.
#[derive(Debug, Default)]
pub struct Sent {
    events: VecDeque<Utf8Bytes>,
    /// The number of the last one.
    last: u64,
    bytes: usize,
}

impl Sent {
    /// The number of the next event.
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// It is sent.
    pub fn push(&mut self, event: Utf8Bytes) {
        self.last += 1;
        self.bytes += event.len();
        self.events.push_back(event);
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// The client has all up to event `number`. What comes behind the last of them is known to be missed.
    pub fn forget_to(&mut self, number: u64) {
        let behind = usize::try_from(self.last.saturating_sub(number)).unwrap_or(usize::MAX);
        while self.events.len() > behind.saturating_add(MARGIN)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Those behind event `number`; `None`: not all of them are known any more, or there was no such event.
    pub fn after(&self, number: u64) -> Option<impl Iterator<Item = &Utf8Bytes>> {
        let missed = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let first = self.events.len().checked_sub(missed)?;
        (number > 0).then(|| self.events.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sent: &Sent, number: u64) -> Option<Vec<&str>> {
        sent.after(number).map(|events| events.map(Utf8Bytes::as_str).collect())
    }

    #[test]
    fn what_came_behind_an_event_is_told_again_if_all_of_it_is_known() {
        let mut sent = Sent::default();
        assert_eq!(after(&sent, 1), None);
        for event in ["a", "b", "c"] {
            sent.push(event.into());
        }
        assert_eq!(sent.next(), 4);
        assert_eq!(after(&sent, 1).unwrap(), ["b", "c"]);
        assert!(after(&sent, 3).unwrap().is_empty());
        assert_eq!((after(&sent, 0), after(&sent, 4)), (None, None));
        sent.forget_to(3);
        assert_eq!(after(&sent, 1).unwrap(), ["b", "c"], "a few are kept all the same");
        sent.push("d".repeat(MOST_BYTES - 1).into());
        assert_eq!(after(&sent, 1), None, "b is no longer there");
        assert_eq!(after(&sent, 2).unwrap().len(), 2);
    }

    #[test]
    fn what_has_arrived_is_not_kept() {
        let mut sent = Sent::default();
        (0..100).for_each(|_| sent.push("event".into()));
        sent.forget_to(60);
        assert_eq!(sent.events.len(), 40 + MARGIN);
        assert_eq!(sent.bytes, 5 * sent.events.len());
        assert_eq!(after(&sent, 60).unwrap().len(), 40);
        sent.forget_to(1_000);
        assert_eq!(sent.events.len(), MARGIN);
    }
}
