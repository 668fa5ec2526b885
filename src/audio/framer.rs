//! PCM in pieces of any length → the fixed frames that the VAD judges.

use crate::engines::VAD_FRAME_SAMPLES;

/// Cuts a stream of samples into frames; what is left over waits for the next piece.
#[derive(Debug, Clone)]
pub struct Framer {
    frame: Box<[f32; VAD_FRAME_SAMPLES]>,
    filled: usize,
}

impl Default for Framer {
    fn default() -> Self {
        Framer { frame: Box::new([0.0; VAD_FRAME_SAMPLES]), filled: 0 }
    }
}

impl Framer {
    /// Adds samples and gives `sink` every frame that became complete: `[512]` samples in −1…1
    /// (an i16 divided by 32768, so −1 occurs and 1 does not).
    pub fn push(&mut self, mut pcm: &[i16], mut sink: impl FnMut(&[f32; VAD_FRAME_SAMPLES])) {
        while !pcm.is_empty() {
            let room = &mut self.frame[self.filled..];
            let (now, later) = pcm.split_at(pcm.len().min(room.len()));
            for (to, from) in room.iter_mut().zip(now) {
                *to = f32::from(*from) / 32_768.0;
            }
            self.filled += now.len();
            pcm = later;
            if self.filled == VAD_FRAME_SAMPLES {
                self.filled = 0;
                sink(&self.frame);
            }
        }
    }

    /// Samples waiting for the rest of their frame, 0…511.
    pub fn pending_samples(&self) -> usize {
        self.filled
    }

    /// Drops the samples that wait.
    pub fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_hold_every_sample_once_and_in_order(lengths in prop::collection::vec(0..1_500usize, 0..20)) {
            let pcm: Vec<i16> = (0..lengths.iter().sum::<usize>()).map(|i| (i * 7_919) as u16 as i16).collect();
            let mut framer = Framer::default();
            let mut framed: Vec<f32> = vec![];
            let mut rest = &pcm[..];
            for length in lengths {
                let (piece, later) = rest.split_at(length);
                framer.push(piece, |frame| framed.extend(frame));
                rest = later;
            }
            prop_assert_eq!(framed.len() + framer.pending_samples(), pcm.len());
            prop_assert!(framer.pending_samples() < VAD_FRAME_SAMPLES);
            let expected: Vec<f32> = pcm[..framed.len()].iter().map(|s| f32::from(*s) / 32_768.0).collect();
            prop_assert_eq!(framed, expected);
        }
    }

    #[test]
    fn the_largest_samples_stay_in_range() {
        let mut seen = (0.0f32, 0.0f32);
        Framer::default().push(&[i16::MIN, i16::MAX].repeat(256), |frame| {
            seen = frame.iter().fold(seen, |(low, high), s| (low.min(*s), high.max(*s)));
        });
        assert_eq!(seen, (-1.0, 32_767.0 / 32_768.0));
    }

    #[test]
    fn clear_drops_what_waits() {
        let mut framer = Framer::default();
        framer.push(&[9; 300], |_| {});
        framer.clear();
        let mut frames = vec![];
        framer.push(&[0; 512], |frame| frames.push(*frame));
        assert_eq!((frames.len(), framer.pending_samples()), (1, 0));
        assert!(frames[0].iter().all(|sample| *sample == 0.0));
    }
}
