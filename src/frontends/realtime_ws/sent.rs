//! What a client was told last: one that lost its connection gets what it missed of it.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;

/// So much is kept: some fifteen seconds of speech.
const MOST_BYTES: usize = 1 << 20;

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
        sent.push("d".repeat(MOST_BYTES - 1).into());
        assert_eq!(after(&sent, 1), None, "b is no longer there");
        assert_eq!(after(&sent, 2).unwrap().len(), 2);
    }
}
