//! The source: a sum of harmonics of the pitch, and short-time spectra, forth and back.
//!
//! Reference: `SineGen`, `SourceModuleHnNSF` and `TorchSTFT` of kokoro 0.9.4. The phase follows its
//! arithmetic to the rounding: it is summed in f64 and kept in f32 as there. What is drawn at random in
//! the reference (a little noise under voiced sounds, more under unvoiced ones) comes from a seeded
//! generator here, so that a text always sounds the same.

use std::f64::consts::PI;

use rayon::prelude::*;

use super::weights::Weights;
use crate::engines::OUTPUT_RATE_HZ;
use crate::engines::kokoro::error::KokoroError;

/// The fundamental and eight overtones.
const HARMONICS: usize = 9;
const SINE_AMPLITUDE: f32 = 0.1;
const VOICED_NOISE: f32 = 0.003;
/// Pitch below this many Hz is none.
const VOICED_ABOVE_HZ: f32 = 10.0;

/// Makes the excitation signal of a pitch curve.
pub struct Source {
    /// What each harmonic counts, and a bias.
    merge: ([f32; HARMONICS], f32),
    /// Samples of one value of the curve.
    scale: usize,
}

impl Source {
    /// `m_source` of the generator.
    pub fn load(weights: &Weights<'_>, scale: usize) -> Result<Source, KokoroError> {
        let linear = weights.pp("l_linear");
        let shares: Vec<f32> = linear.get("weight", &[1, HARMONICS])?.flatten_all()?.to_vec1()?;
        let bias: Vec<f32> = linear.bias(1)?.to_vec1()?;
        let mut merge = ([0.0; HARMONICS], bias.iter().sum());
        merge.0.iter_mut().zip(shares).for_each(|(merge, share)| *merge = share);
        Ok(Source { merge, scale })
    }

    /// Pitch in Hz `[values]` → samples `[values · scale]`. `noise`: standard normal numbers, from a source for
    /// each harmonic.
    pub fn excite<N: FnMut() -> f32>(&self, pitch_hz: &[f32], noise: impl Fn(usize) -> N + Sync) -> Vec<f32> {
        let (values, scale) = (pitch_hz.len(), self.scale);
        let wave = |harmonic: usize| -> Vec<f32> {
            let (phases, mut noise) = (self.phases(pitch_hz, harmonic), noise(harmonic));
            let wave = |at: usize| {
                let voiced = pitch_hz[at / scale] > VOICED_ABOVE_HZ;
                let phase = interpolated(&phases, at, scale);
                let wave = if voiced { f64::from(phase).sin() as f32 * SINE_AMPLITUDE } else { 0.0 };
                let amplitude = if voiced { VOICED_NOISE } else { SINE_AMPLITUDE / 3.0 };
                wave + amplitude * noise()
            };
            (0..values * scale).map(wave).collect()
        };
        let waves: Vec<Vec<f32>> = (0..HARMONICS).into_par_iter().map(wave).collect();
        let merged = |at: usize| {
            let sum: f32 = waves.iter().zip(self.merge.0).map(|(wave, share)| wave[at] * share).sum();
            (sum + self.merge.1).tanh()
        };
        (0..values * scale).into_par_iter().with_min_len(1_000).map(merged).collect()
    }

    /// The phase at the middle of each value of the curve, times the scale.
    fn phases(&self, pitch_hz: &[f32], harmonic: usize) -> Vec<f32> {
        let mut sum = 0.0_f64;
        let phase = |pitch: &f32| {
            let frequency = pitch * (harmonic + 1) as f32;
            sum += f64::from((frequency / OUTPUT_RATE_HZ as f32).rem_euclid(1.0));
            (sum as f32) * 2.0 * std::f32::consts::PI * self.scale as f32
        };
        pitch_hz.iter().map(phase).collect()
    }
}

/// Linear interpolation between the middles of `scale` samples each; held at both ends.
fn interpolated(values: &[f32], at: usize, scale: usize) -> f32 {
    let position = ((at as f32 + 0.5) * (1.0 / scale as f32) - 0.5).max(0.0);
    let first = (position as usize).min(values.len() - 1);
    let second = (first + 1).min(values.len() - 1);
    let part = position - first as f32;
    (1.0 - part) * values[first] + part * values[second]
}

/// Short-time Fourier transform of a Hann window, centred.
pub struct Stft {
    size: usize,
    hop: usize,
    /// Periodic Hann window.
    window: Vec<f64>,
    /// cos and sin of 2π·i/size.
    circle: Vec<(f64, f64)>,
}

impl Stft {
    /// Of `size` samples every `hop`.
    pub fn new(size: usize, hop: usize) -> Stft {
        let angle = |i: usize| 2.0 * PI * i as f64 / size as f64;
        Stft {
            size,
            hop,
            window: (0..size).map(|i| 0.5 - 0.5 * angle(i).cos()).collect(),
            circle: (0..size).map(|i| (angle(i).cos(), angle(i).sin())).collect(),
        }
    }

    fn bins(&self) -> usize {
        self.size / 2 + 1
    }

    /// Magnitudes, then phases: [2 · bins, frames]; the ends are mirrored.
    pub fn analyse(&self, samples: &[f32]) -> (Vec<f32>, usize) {
        let frames = samples.len() / self.hop + 1;
        let mirrored = |at: isize| -> f64 {
            let last = samples.len() as isize - 1;
            let at = at.unsigned_abs() as isize;
            let at = if at > last { 2 * last - at } else { at };
            f64::from(samples[at.clamp(0, last) as usize])
        };
        // Frame by frame, then turned round.
        let mut spectra = vec![(0.0, 0.0); self.bins() * frames];
        spectra.par_chunks_exact_mut(self.bins()).enumerate().with_min_len(200).for_each(|(frame, bins)| {
            let start = (frame * self.hop) as isize - (self.size / 2) as isize;
            let windowed = |(i, window): (usize, &f64)| mirrored(start + i as isize) * window;
            let windowed: Vec<f64> = self.window.iter().enumerate().map(windowed).collect();
            for (bin, value) in bins.iter_mut().enumerate() {
                let (mut real, mut imaginary, mut turn) = (0.0, 0.0, 0);
                for sample in &windowed {
                    let (cos, sin) = self.circle[turn];
                    real += sample * cos;
                    imaginary -= sample * sin;
                    turn += bin;
                    turn -= if turn >= self.size { self.size } else { 0 };
                }
                *value = (real.hypot(imaginary) as f32, (imaginary as f32).atan2(real as f32));
            }
        });
        let bins = self.bins();
        let turned = |at: usize| {
            let (row, frame) = (at / frames, at % frames);
            let (magnitude, phase) = spectra[frame * bins + row % bins];
            if row < bins { magnitude } else { phase }
        };
        ((0..2 * bins * frames).map(turned).collect(), frames)
    }

    /// Magnitudes and phases, [bins, frames] each → samples, overlapped and divided by the windows' sum.
    pub fn synthesise(&self, magnitudes: &[f32], phases: &[f32], frames: usize) -> Vec<f32> {
        let length = self.hop * frames.saturating_sub(1);
        let padded = length + self.size;
        let mut pieces = vec![0.0_f64; frames * self.size];
        pieces.par_chunks_exact_mut(self.size).enumerate().with_min_len(200).for_each(|(frame, piece)| {
            for bin in 0..self.bins() {
                let at = bin * frames + frame;
                let (sin, cos) = f64::from(phases[at]).sin_cos();
                // The first and the last bin have no partner.
                let twice = if bin == 0 || bin == self.size / 2 { 1.0 } else { 2.0 };
                let magnitude = f64::from(magnitudes[at]) * twice / self.size as f64;
                let (real, imaginary) = (magnitude * cos, if twice == 1.0 { 0.0 } else { magnitude * sin });
                let mut turn = 0;
                for sample in piece.iter_mut() {
                    let (cos, sin) = self.circle[turn];
                    *sample += real * cos - imaginary * sin;
                    turn += bin;
                    turn -= if turn >= self.size { self.size } else { 0 };
                }
            }
        });
        let (mut sums, mut weights) = (vec![0.0_f64; padded], vec![0.0_f64; padded]);
        for (frame, piece) in pieces.chunks_exact(self.size).enumerate() {
            for (i, (sample, window)) in piece.iter().zip(&self.window).enumerate() {
                sums[frame * self.hop + i] += sample * window;
                weights[frame * self.hop + i] += window * window;
            }
        }
        let half = self.size / 2;
        let sample = |at: usize| if weights[at] > 1e-11 { (sums[at] / weights[at]) as f32 } else { 0.0 };
        (half..half + length).map(sample).collect()
    }
}

/// Standard normal numbers from a seed: xorshift and the sum of twelve.
pub fn seeded_noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.max(1);
    move || {
        let mut sum = 0.0;
        for _ in 0..3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Four numbers of 16 bits each.
            for part in 0..4 {
                sum += (state >> (16 * part) & 0xffff) as f32 / 65_536.0;
            }
        }
        sum - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_comes_back_from_its_spectra() {
        let stft = Stft::new(20, 5);
        let mut noise = seeded_noise(7);
        let samples: Vec<f32> = (0..600).map(|_| noise()).collect();
        let (spectra, frames) = stft.analyse(&samples);
        let (magnitudes, phases) = spectra.split_at(spectra.len() / 2);
        let back = stft.synthesise(magnitudes, phases, frames);
        assert_eq!(back.len(), samples.len());
        for (back, sample) in back.iter().zip(&samples) {
            assert!((back - sample).abs() < 1e-5, "{back} instead of {sample}");
        }
    }

    #[test]
    fn the_noise_is_standard_normal() {
        let mut noise = seeded_noise(1);
        let values: Vec<f32> = (0..100_000).map(|_| noise()).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean}, {variance}");
    }
}
