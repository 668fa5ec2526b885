//! The user's audio of one session: what a later utterance may still need, and no more.

use std::collections::VecDeque;

use crate::engines::VAD_FRAME_SAMPLES;
use crate::turn::io::InputRange;

/// Room that is kept when the buffer is nearly empty; beyond it memory goes back.
const IDLE_CAPACITY: usize = 32 * VAD_FRAME_SAMPLES;

/// Samples (16 kHz) by their position since the session began.
#[derive(Debug, Default)]
pub struct Microphone {
    samples: VecDeque<i16>,
    /// Position of the first sample that is still here.
    start: u64,
    /// Position up to which samples went to the VAD.
    judged: u64,
}

impl Microphone {
    /// More audio.
    pub fn push(&mut self, pcm: &[i16]) {
        self.samples.extend(pcm);
    }

    /// The next frame for the VAD, in −1…1, if a whole one is there.
    pub fn next_frame(&mut self, frame: &mut [f32; VAD_FRAME_SAMPLES]) -> bool {
        let from = (self.judged - self.start) as usize;
        if self.samples.len() < from + VAD_FRAME_SAMPLES {
            return false;
        }
        for (out, sample) in frame.iter_mut().zip(self.samples.range(from..)) {
            *out = f32::from(*sample) / 32_768.0;
        }
        self.judged += VAD_FRAME_SAMPLES as u64;
        true
    }

    /// Fills the part of a frame at the end with silence.
    pub fn fill_frame(&mut self) {
        let part = self.backlog() % VAD_FRAME_SAMPLES;
        if part > 0 {
            self.samples.extend(std::iter::repeat_n(0, VAD_FRAME_SAMPLES - part));
        }
    }

    /// Samples that wait for the VAD.
    pub fn backlog(&self) -> usize {
        self.samples.len() - (self.judged - self.start) as usize
    }

    /// A copy of `range`, or of as much of it as is here.
    pub fn copy(&self, range: &InputRange) -> Vec<i16> {
        let end = self.start + self.samples.len() as u64;
        let from = range.start.clamp(self.start, end) - self.start;
        let to = range.end.clamp(self.start, end) - self.start;
        self.samples.range(from as usize..(to.max(from)) as usize).copied().collect()
    }

    /// Drops what lies before `sample` and has been judged.
    pub fn forget_before(&mut self, sample: u64) {
        let keep = sample.min(self.judged);
        if keep <= self.start {
            return;
        }
        self.samples.drain(..(keep - self.start) as usize);
        self.start = keep;
        if self.samples.capacity() > 2 * IDLE_CAPACITY && self.samples.len() < IDLE_CAPACITY {
            self.samples.shrink_to(IDLE_CAPACITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_copies_are_by_position_whatever_was_forgotten() {
        let mut microphone = Microphone::default();
        let mut frame = [0.0; VAD_FRAME_SAMPLES];
        microphone.push(&(0..700).collect::<Vec<i16>>());
        assert!(microphone.next_frame(&mut frame));
        assert_eq!((frame[0], frame[511]), (0.0, 511.0 / 32_768.0));
        assert!(!microphone.next_frame(&mut frame));
        microphone.forget_before(600); // only what was judged goes
        assert_eq!(microphone.copy(&(510..514)), vec![512, 513]);
        microphone.push(&(700..1_100).collect::<Vec<i16>>());
        assert!(microphone.next_frame(&mut frame));
        assert_eq!(frame[0], 512.0 / 32_768.0);
        assert_eq!(microphone.backlog(), 1_100 - 1_024);
        assert_eq!(microphone.copy(&(1_000..2_000)).len(), 100);
    }

    #[test]
    fn a_long_utterance_gives_its_memory_back() {
        let mut microphone = Microphone::default();
        let mut frame = [0.0; VAD_FRAME_SAMPLES];
        microphone.push(&vec![1; 30 * 16_000]);
        while microphone.next_frame(&mut frame) {}
        microphone.forget_before(30 * 16_000);
        assert!(microphone.samples.capacity() <= 2 * IDLE_CAPACITY);
    }
}
