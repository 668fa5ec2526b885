//! Noise suppression in front of the VAD: RNNoise (`nnnoiseless`), at its 48 kHz.
//!
//! ```text
//! 16 kHz frame ──▶ ×3 ──▶ frames of 10 ms ──▶ RNNoise ──▶ ÷3 ──▶ the frame before, quieter
//! ```
//!
//! Sample `n` that comes out is sample `n` that went in: both resamplers trim their delay, RNNoise's own
//! (one frame) is trimmed here. All of it together takes less than one VAD frame, so each call gives the
//! frame of the call before, and positions stay what they are; only decisions come 32 ms later.
//!
//! One state belongs to one microphone. Deliberately absent: what recognition hears. That stays as it was
//! said, because recognisers are trained on noise and suppression takes some speech with it.

use nnnoiseless::DenoiseState;

use super::{INPUT_RATE_HZ, VAD_FRAME_SAMPLES};
use crate::audio::resample::{ResampleError, Resampler};

const INSIDE_RATE_HZ: u32 = 48_000;
const BLOCK_SAMPLES: usize = DenoiseState::FRAME_SIZE;
/// Blocks of the resamplers. With these, and 10 ms in RNNoise, at most 424 samples are inside at the end
/// of a frame; blocks of 10 ms would sometimes be 16 too many.
const RESAMPLER_BLOCK_MS: u32 = 5;
/// RNNoise takes the range of 16-bit integers.
const FULL_SCALE: f32 = 32_768.0;

/// A frame of the VAD, −1…1.
pub type Frame = [f32; VAD_FRAME_SAMPLES];

/// The noise suppression of one microphone.
pub struct Denoiser {
    up: Resampler,
    state: Box<DenoiseState<'static>>,
    down: Resampler,
    /// At 48 kHz, less than a block.
    waiting: Vec<f32>,
    /// At 16 kHz, to be given out.
    clean: Vec<f32>,
    /// What RNNoise gives first is only its delay.
    begun: bool,
}

impl Denoiser {
    /// For a stream that begins.
    pub fn new() -> Result<Denoiser, ResampleError> {
        Ok(Denoiser {
            up: Resampler::with_blocks(INPUT_RATE_HZ, INSIDE_RATE_HZ, RESAMPLER_BLOCK_MS)?,
            state: DenoiseState::new(),
            down: Resampler::with_blocks(INSIDE_RATE_HZ, INPUT_RATE_HZ, RESAMPLER_BLOCK_MS)?,
            waiting: Vec::new(),
            clean: Vec::new(),
            begun: false,
        })
    }

    /// Takes the next frame and puts the one before in its place, without its noise. `false`: this was the
    /// first one, there is none before.
    pub fn exchange(&mut self, frame: &mut Frame) -> bool {
        self.up.push_into(frame, &mut self.waiting);
        let whole = self.waiting.len() - self.waiting.len() % BLOCK_SAMPLES;
        let mut block = [0.0; BLOCK_SAMPLES];
        let mut quiet = [0.0; BLOCK_SAMPLES];
        for samples in self.waiting[..whole].chunks_exact(BLOCK_SAMPLES) {
            for (out, sample) in block.iter_mut().zip(samples) {
                *out = sample * FULL_SCALE;
            }
            self.state.process_frame(&mut quiet, &block);
            if std::mem::replace(&mut self.begun, true) {
                quiet.iter_mut().for_each(|sample| *sample /= FULL_SCALE);
                self.down.push_into(&quiet, &mut self.clean);
            }
        }
        self.waiting.drain(..whole);
        let complete = self.clean.len() >= VAD_FRAME_SAMPLES;
        if complete {
            frame.copy_from_slice(&self.clean[..VAD_FRAME_SAMPLES]);
            self.clean.drain(..VAD_FRAME_SAMPLES);
        }
        complete
    }
}

impl std::fmt::Debug for Denoiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Denoiser").field("begun", &self.begun).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    /// What comes out for `samples`, whole frames; the first frame out is the first that went in.
    fn denoised(samples: &[f32]) -> Vec<f32> {
        let mut denoiser = Denoiser::new().unwrap();
        let mut out = vec![];
        for (index, samples) in samples.as_chunks::<VAD_FRAME_SAMPLES>().0.iter().enumerate() {
            let mut frame = *samples;
            assert_eq!(denoiser.exchange(&mut frame), index > 0, "frame {index}");
            if index > 0 {
                out.extend(frame);
            }
        }
        out
    }

    /// A vowel: harmonics of a gliding pitch, in syllables.
    fn voice(seconds: usize) -> Vec<f32> {
        let mut phase = 0.0_f32;
        let rate = INPUT_RATE_HZ as usize;
        let sample = |n: usize| {
            let at = n as f32 / rate as f32;
            phase = (phase + (140.0 + 30.0 * (TAU * 0.8 * at).sin()) / rate as f32).fract();
            let hum: f32 = (1..20).map(|k| (TAU * k as f32 * phase).sin() / k as f32).sum();
            0.15 * hum * (TAU * 2.0 * at).sin().max(0.0)
        };
        (0..seconds * rate).map(sample).collect()
    }

    fn noise(samples: usize) -> Vec<f32> {
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..samples).map(|_| 0.03 * next()).collect()
    }

    fn power(samples: &[f32]) -> f32 {
        samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn a_voice_stays_at_its_place() {
        let voice = voice(4);
        let out = denoised(&voice);
        // The lag at which both are most alike, within ± 40 ms.
        let (from, len) = (16_000, 32_000);
        let alike = |lag: isize| -> f32 {
            let moved = &out[(from as isize + lag) as usize..][..len];
            voice[from..][..len].iter().zip(moved).map(|(a, b)| a * b).sum()
        };
        let best = (-640..640).max_by(|a, b| alike(*a).total_cmp(&alike(*b))).unwrap();
        assert_eq!(best, 0);
        assert!(alike(0) > 0.8 * power(&voice[from..][..len]) * len as f32, "the voice is still there");
    }

    #[test]
    fn noise_becomes_quiet() {
        let noise = noise(64_000);
        let out = denoised(&noise);
        let (before, after) = (power(&noise[32_000..]), power(&out[32_000..]));
        assert!(after < before / 10.0, "{before} became {after}");
    }

    #[test]
    fn silence_stays_silence() {
        assert!(denoised(&[0.0; 16_384]).iter().all(|sample| *sample == 0.0));
    }
}
