//! The log-mel spectrogram that Whisper, Qwen3-ASR and smart-turn listen to.
//!
//! Reference: `WhisperFeatureExtractor` of transformers 5.23, its NumPy path; golden test against it on
//! human speech in `mel/tests.rs`. (The Torch path of the same class works in 32 bits and is up to 4e-5
//! away from it.) A Hann window of 25 ms moves on by 10 ms, centred on its frame, the signal mirrored at
//! both ends; the powers go through Slaney's mel filters from 0 to 8 kHz; logarithms to the base of ten
//! are cut off 8 below the greatest one of the whole signal, and brought to about −1…1.
//!
//! Deliberately absent: padding and cutting. Who wants 30 s (Whisper), 8 s (smart-turn) or the bare signal
//! (Qwen3-ASR) gives just that.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

#[cfg(test)]
#[allow(clippy::print_stderr)] // Tests tell why they skip.
mod tests;

/// Samples from one frame to the next: 10 ms at 16 kHz.
pub const HOP_SAMPLES: usize = 160;
/// Samples of the window: 25 ms at 16 kHz.
pub const WINDOW_SAMPLES: usize = 400;

const SAMPLE_RATE_HZ: f64 = 16_000.0;
/// Powers per frame, from 0 to 8 kHz.
const POWERS: usize = WINDOW_SAMPLES / 2 + 1;
/// The logarithm's argument is at least this.
const FLOOR: f64 = 1e-10;
/// Decades below the loudest value that are told apart.
const RANGE_DECADES: f32 = 8.0;

/// Makes spectrograms of one number of bins. A clone shares the tables.
#[derive(Clone)]
pub struct LogMel {
    tables: Arc<Tables>,
}

struct Tables {
    window: Vec<f64>,
    filters: Vec<Filter>,
    fft: Arc<dyn RealToComplex<f64>>,
}

/// One triangle.
struct Filter {
    /// The first power that it takes in.
    first: usize,
    weights: Vec<f64>,
}

/// A spectrogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Mel {
    bins: usize,
    /// `[frames, bins]`
    values: Vec<f32>,
}

impl LogMel {
    /// For spectrograms of `bins` bins: 80, or 128 for Whisper large-v3 and Qwen3-ASR.
    pub fn new(bins: usize) -> LogMel {
        let turn = std::f64::consts::TAU / WINDOW_SAMPLES as f64;
        let window = (0..WINDOW_SAMPLES).map(|at| 0.5 - 0.5 * (turn * at as f64).cos()).collect();
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW_SAMPLES);
        LogMel { tables: Arc::new(Tables { window, filters: filters(bins), fft }) }
    }

    /// The spectrogram of 16 kHz mono, −1…1: a frame for each whole 160 samples.
    pub fn extract(&self, samples: &[f32]) -> Mel {
        let Tables { window, filters, fft } = &*self.tables;
        let (frames, bins) = (samples.len() / HOP_SAMPLES, filters.len());
        let mut values = Vec::with_capacity(frames * bins);
        let mut windowed = vec![0.0; WINDOW_SAMPLES];
        let mut spectrum = vec![Complex::default(); POWERS];
        let mut scratch = fft.make_scratch_vec();
        let mut powers = vec![0.0; POWERS];
        for frame in 0..frames {
            cut(samples, frame, &mut windowed);
            for (sample, weight) in windowed.iter_mut().zip(window) {
                *sample *= weight;
            }
            if fft.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch).is_err() {
                unreachable!("the buffers are as long as the plan asks for");
            }
            for (power, value) in powers.iter_mut().zip(&spectrum) {
                *power = value.norm_sqr();
            }
            values.extend(filters.iter().map(|filter| {
                let terms = filter.weights.iter().zip(&powers[filter.first..]);
                let energy: f64 = terms.map(|(weight, power)| weight * power).sum();
                energy.max(FLOOR).log10() as f32
            }));
        }
        let lowest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - RANGE_DECADES;
        for value in &mut values {
            *value = (value.max(lowest) + 4.0) / 4.0;
        }
        Mel { bins, values }
    }
}

impl Mel {
    /// Frames of 10 ms.
    pub fn frames(&self) -> usize {
        self.values.len() / self.bins.max(1)
    }

    /// Values of a frame.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// `[frames, bins]`: frame after frame.
    pub fn by_frame(&self) -> &[f32] {
        &self.values
    }

    /// `[bins, frames]`: the reference's order.
    pub fn by_bin(&self) -> Vec<f32> {
        let value = |bin: usize, frame: usize| self.values[frame * self.bins + bin];
        (0..self.bins).flat_map(|bin| (0..self.frames()).map(move |frame| value(bin, frame))).collect()
    }
}

/// The samples around a frame's centre; before the first and behind the last they are mirrored.
fn cut(samples: &[f32], frame: usize, out: &mut [f64]) {
    let begin = (frame * HOP_SAMPLES) as isize - (WINDOW_SAMPLES / 2) as isize;
    let inside = usize::try_from(begin).ok().and_then(|begin| samples.get(begin..begin + WINDOW_SAMPLES));
    match inside {
        Some(inside) => out.iter_mut().zip(inside).for_each(|(out, sample)| *out = f64::from(*sample)),
        None => {
            for (at, out) in out.iter_mut().enumerate() {
                *out = f64::from(samples[mirrored(begin + at as isize, samples.len())]);
            }
        }
    }
}

/// The index that stands for one outside of `len` samples, of which there is at least one. The last sample
/// itself is not repeated; what is shorter than the window is mirrored to and fro.
fn mirrored(at: isize, len: usize) -> usize {
    let period = (2 * (len as isize - 1)).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at).unsigned_abs().min(len - 1)
}

/// Triangles whose corners are evenly spaced in mel, each of the same area (Slaney's).
fn filters(bins: usize) -> Vec<Filter> {
    let highest = to_mel(SAMPLE_RATE_HZ / 2.0);
    let corner = |at: usize| to_hz(highest * at as f64 / (bins + 1) as f64);
    let power_hz = |power: usize| power as f64 * SAMPLE_RATE_HZ / WINDOW_SAMPLES as f64;
    let filter = |bin: usize| {
        let (from, peak, to) = (corner(bin), corner(bin + 1), corner(bin + 2));
        let height = 2.0 / (to - from);
        let weight = |power: usize| {
            let (up, down) = ((power_hz(power) - from) / (peak - from), (to - power_hz(power)) / (to - peak));
            up.min(down).max(0.0) * height
        };
        let first = (0..POWERS).find(|power| weight(*power) > 0.0).unwrap_or(0);
        let weights = (first..POWERS).map(weight).take_while(|weight| *weight > 0.0).collect();
        Filter { first, weights }
    };
    (0..bins).map(filter).collect()
}

/// Slaney's mel scale: even up to 1 kHz (mel 15), logarithmic above, 27 mel for a factor of 6.4.
fn to_mel(hz: f64) -> f64 {
    if hz < 1_000.0 { 3.0 * hz / 200.0 } else { 15.0 + (hz / 1_000.0).ln() * 27.0 / 6.4_f64.ln() }
}

fn to_hz(mel: f64) -> f64 {
    if mel < 15.0 { 200.0 * mel / 3.0 } else { 1_000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp() }
}
