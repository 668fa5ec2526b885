//! The queue between a connection and a loudspeaker: plays chunks without gaps, holds still, and
//! forgets at once. Pure: whoever drives a device asks for its next samples.

use std::collections::VecDeque;

/// Chunks of 24 kHz mono that wait to be played.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaybackQueue {
    chunks: VecDeque<Chunk>,
    /// Samples of the first chunk that have been played.
    played: usize,
    held: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    id: u64,
    samples: Vec<i16>,
}

impl PlaybackQueue {
    /// Adds a chunk behind the others.
    pub fn push(&mut self, id: u64, samples: Vec<i16>) {
        self.chunks.push_back(Chunk { id, samples });
    }

    /// Fills `out` with what is played next: silence where the queue is held or empty. `on_played` is
    /// told the id of every chunk whose last sample is in `out`.
    pub fn pull(&mut self, out: &mut [i16], mut on_played: impl FnMut(u64)) {
        let mut filled = 0;
        while !self.held
            && let Some(chunk) = self.chunks.front()
        {
            let rest = &chunk.samples[self.played..];
            let count = rest.len().min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.played += count;
            if self.played < chunk.samples.len() {
                break;
            }
            on_played(chunk.id);
            self.chunks.pop_front();
            self.played = 0;
        }
        out[filled..].fill(0);
    }

    /// Stands still at this very sample.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Goes on from where it was held.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// Forgets everything; what comes next is played.
    pub fn flush(&mut self) {
        *self = PlaybackQueue::default();
    }

    /// Nothing waits to be played.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(queue: &mut PlaybackQueue, count: usize) -> (Vec<i16>, Vec<u64>) {
        let (mut out, mut played) = (vec![77; count], Vec::new());
        queue.pull(&mut out, |id| played.push(id));
        (out, played)
    }

    #[test]
    fn chunks_follow_each_other_without_a_gap_and_are_reported_with_their_last_sample() {
        let mut queue = PlaybackQueue::default();
        queue.push(4, vec![1, 2, 3]);
        queue.push(5, vec![]);
        queue.push(6, vec![4, 5]);
        assert_eq!(pull(&mut queue, 2), (vec![1, 2], vec![]));
        assert_eq!(pull(&mut queue, 1), (vec![3], vec![4, 5]));
        assert_eq!(pull(&mut queue, 4), (vec![4, 5, 0, 0], vec![6]));
        assert!(queue.is_empty());
        assert_eq!(pull(&mut queue, 2), (vec![0, 0], vec![]));
    }

    #[test]
    fn one_pull_may_play_several_chunks() {
        let mut queue = PlaybackQueue::default();
        (0..5).for_each(|id| queue.push(id, vec![id as i16; 2]));
        assert_eq!(pull(&mut queue, 7), (vec![0, 0, 1, 1, 2, 2, 3], vec![0, 1, 2]));
    }

    #[test]
    fn a_held_queue_goes_on_from_the_very_sample() {
        let mut queue = PlaybackQueue::default();
        queue.push(1, vec![1, 2, 3, 4]);
        pull(&mut queue, 1);
        queue.hold();
        queue.push(2, vec![5]);
        assert_eq!(pull(&mut queue, 3), (vec![0, 0, 0], vec![]));
        assert!(!queue.is_empty());
        queue.release();
        assert_eq!(pull(&mut queue, 4), (vec![2, 3, 4, 5], vec![1, 2]));
    }

    #[test]
    fn a_flush_forgets_everything_and_the_hold_with_it() {
        let mut queue = PlaybackQueue::default();
        queue.push(1, vec![1, 2, 3]);
        pull(&mut queue, 2);
        queue.hold();
        queue.flush();
        assert_eq!(pull(&mut queue, 2), (vec![0, 0], vec![]));
        queue.push(2, vec![9, 8]);
        assert_eq!(pull(&mut queue, 2), (vec![9, 8], vec![2]));
    }
}
