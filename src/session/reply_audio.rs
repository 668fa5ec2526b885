//! The audio of the reply at work, from where it was made to where it is sent.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::audio::pcm;

/// Samples (24 kHz) of one reply: cut into chunks as they are sent, or kept whole for a clip.
#[derive(Debug)]
pub enum ReplyAudio {
    /// Signed 16-bit little-endian PCM that has not been sent yet, and the sample it begins with.
    Stream {
        /// Not sent yet.
        unsent: BytesMut,
        /// Position of the first unsent sample.
        from: u64,
    },
    /// Everything, in −1…1, for the renderer.
    Whole(Vec<f32>),
}

impl ReplyAudio {
    /// To be sent as it is made.
    pub fn stream() -> ReplyAudio {
        ReplyAudio::Stream { unsent: BytesMut::new(), from: 0 }
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

    /// The PCM of `range`. Chunks are cut in order, each once, so this copies nothing.
    pub fn cut(&mut self, range: &Range<u64>) -> Bytes {
        self.start_streaming();
        let ReplyAudio::Stream { unsent, from } = self else { return Bytes::new() };
        let skip = (range.start.saturating_sub(*from) * 2) as usize;
        drop(unsent.split_to(skip.min(unsent.len())));
        let len = ((range.end - range.start) * 2) as usize;
        *from = range.end;
        unsent.split_to(len.min(unsent.len())).freeze()
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
}
