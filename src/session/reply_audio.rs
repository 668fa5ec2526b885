//! The audio of the reply at work, from where it was made to where it is sent.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::audio::pcm;
use crate::turn::absence::MAX_REPLAY_MS;
use crate::turn::playout::SAMPLES_PER_MS;

/// So much of what was sent is kept.
const KEPT_SAMPLES: u64 = MAX_REPLAY_MS * SAMPLES_PER_MS;

/// Samples (24 kHz) of one reply: cut into chunks as they are sent, or kept whole for a clip.
#[derive(Debug)]
pub enum ReplyAudio {
    /// Signed 16-bit little-endian PCM that has not been sent yet, and the sample it begins with.
    Stream {
        /// Not sent yet.
        unsent: BytesMut,
        /// Position of the first unsent sample.
        from: u64,
        /// What was sent last, with the positions of its first samples: it may have to be sent again.
        sent: VecDeque<(u64, Bytes)>,
    },
    /// Everything, in −1…1, for the renderer.
    Whole(Vec<f32>),
}

impl ReplyAudio {
    /// To be sent as it is made.
    pub fn stream() -> ReplyAudio {
        ReplyAudio::Stream { unsent: BytesMut::new(), from: 0, sent: VecDeque::new() }
    }

    /// More speech.
    pub fn push(&mut self, samples: &[f32]) {
        match self {
            ReplyAudio::Stream { unsent, .. } => {
                unsent.reserve(2 * samples.len());
                samples.iter().for_each(|sample| unsent.put_i16_le(pcm::i16_from_f32(*sample)));
            }
            ReplyAudio::Whole(all) => all.extend_from_slice(samples),
        }
    }

    /// The PCM of `range`. Chunks are cut in order, each once, so this copies nothing; what has to be sent
    /// again is copied out of what was sent last.
    pub fn cut(&mut self, range: &Range<u64>) -> Bytes {
        self.start_streaming();
        let ReplyAudio::Stream { unsent, from, sent } = self else { return Bytes::new() };
        if range.start < *from {
            let again = sent_before(sent, range.start..range.end.min(*from));
            if range.end <= *from {
                return again;
            }
            let rest = *from..range.end;
            let mut both = BytesMut::from(&again[..]);
            both.extend_from_slice(&self.cut(&rest));
            return both.freeze();
        }
        let skip = (range.start.saturating_sub(*from) * 2) as usize;
        drop(unsent.split_to(skip.min(unsent.len())));
        let len = ((range.end - range.start) * 2) as usize;
        *from = range.end;
        let chunk = unsent.split_to(len.min(unsent.len())).freeze();
        sent.push_back((range.start, chunk.clone()));
        while sent.front().is_some_and(|(start, _)| start + KEPT_SAMPLES < range.start) {
            sent.pop_front();
        }
        chunk
    }

    /// A clip is not to be had: what was kept for it is sent after all.
    fn start_streaming(&mut self) {
        if let ReplyAudio::Whole(samples) = self {
            let samples = std::mem::take(samples);
            *self = ReplyAudio::stream();
            self.push(&samples);
        }
    }
}

/// The PCM of `range` out of chunks that were sent in order; what is no longer kept is left out.
fn sent_before(sent: &VecDeque<(u64, Bytes)>, range: Range<u64>) -> Bytes {
    let mut found = BytesMut::new();
    for (start, chunk) in sent {
        let end = start + chunk.len() as u64 / 2;
        let (from, to) = (range.start.max(*start), range.end.min(end));
        if from < to {
            found.extend_from_slice(&chunk[2 * (from - start) as usize..2 * (to - start) as usize]);
        }
    }
    found.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_the_samples_in_order() {
        for mut audio in [ReplyAudio::stream(), ReplyAudio::Whole(Vec::new())] {
            audio.push(&[0.0, 0.5]);
            audio.push(&[-0.5, 1.0]);
            assert_eq!(&audio.cut(&(0..1))[..], &[0, 0]);
            let two: Vec<u8> = [pcm::i16_from_f32(0.5), pcm::i16_from_f32(-0.5)]
                .iter()
                .flat_map(|s| s.to_le_bytes())
                .collect();
            assert_eq!(&audio.cut(&(1..3))[..], &two[..]);
            audio.push(&[0.0]);
            assert_eq!(audio.cut(&(3..5)).len(), 4);
        }
    }

    #[test]
    fn what_is_sent_again_is_what_was_sent() {
        let mut audio = ReplyAudio::stream();
        audio.push(&[0.1, 0.2, 0.3, 0.4, 0.5]);
        let first: Vec<u8> = [0..2, 2..3].iter().flat_map(|range| audio.cut(range)).collect();
        assert_eq!(&audio.cut(&(1..3))[..], &first[2..6], "out of two chunks");
        let across = audio.cut(&(2..5));
        assert_eq!(&across[..2], &first[4..6]);
        assert_eq!(across[2..], audio.cut(&(3..5)), "and into what was not sent before");
    }
}
