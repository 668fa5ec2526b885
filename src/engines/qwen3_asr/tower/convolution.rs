//! A convolution of 3 × 3 that halves time and frequency, as a product with patches.

use rayon::prelude::*;

use crate::engines::layers::{Linear, gelu};

/// Width of the square that a convolution looks at.
pub(super) const KERNEL: usize = 3;
/// Patches that a thread cuts at a time.
const PATCHES_PER_PIECE: usize = 32;

/// Pictures are `[time, frequency, channel]`.
pub(super) struct Convolution {
    /// `[out, 3 (time) · 3 (frequency) · in]`
    pub(super) linear: Linear,
    /// Channels that come in.
    pub(super) channels: usize,
}

impl Convolution {
    /// A picture of the given size, to one of half of it and through GELU. Around the picture are zeros.
    pub(super) fn forward(&self, x: &[f32], size: [usize; 2]) -> (Vec<f32>, [usize; 2]) {
        let [time, frequencies] = size.map(|length| length.div_ceil(2));
        let patch = KERNEL * KERNEL * self.channels;
        let mut patches = vec![0.0; time * frequencies * patch];
        patches.par_chunks_mut(PATCHES_PER_PIECE * patch).enumerate().for_each(|(piece, patches)| {
            for (at, patch) in patches.chunks_exact_mut(patch).enumerate() {
                let at = piece * PATCHES_PER_PIECE + at;
                self.cut(x, size, [at / frequencies, at % frequencies], patch);
            }
        });
        let mut out = self.linear.forward(&patches, time * frequencies);
        gelu(&mut out);
        (out, [time, frequencies])
    }

    /// The patch around twice the given place; what is outside of the picture stays as it is, zero.
    fn cut(&self, x: &[f32], [times, frequencies]: [usize; 2], place: [usize; 2], patch: &mut [f32]) {
        let [from_time, from_frequency] = place.map(|at| 2 * at);
        // The patch begins one before that. Neighbouring frequencies lie side by side.
        let first = from_frequency.saturating_sub(1);
        let last = (from_frequency + KERNEL - 1).min(frequencies);
        let skipped = usize::from(from_frequency == 0);
        for (at, row) in patch.chunks_exact_mut(KERNEL * self.channels).enumerate() {
            let Some(time) = (from_time + at).checked_sub(1).filter(|time| *time < times) else { continue };
            let seen = &x[(time * frequencies + first) * self.channels..][..(last - first) * self.channels];
            row[skipped * self.channels..][..seen.len()].copy_from_slice(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the picture becomes, by the definition of a convolution.
    fn expected(x: &[f32], [times, frequencies]: [usize; 2], channels: usize, weights: &[f32]) -> Vec<f32> {
        let mut out = vec![];
        for time in 0..times.div_ceil(2) {
            for frequency in 0..frequencies.div_ceil(2) {
                let mut sum = 0.0;
                for (at, weight) in weights.iter().enumerate() {
                    let (t, f, channel) = (at / (3 * channels), at / channels % 3, at % channels);
                    let (t, f) = ((2 * time + t) as isize - 1, (2 * frequency + f) as isize - 1);
                    if (0..times as isize).contains(&t) && (0..frequencies as isize).contains(&f) {
                        sum += weight * x[(t as usize * frequencies + f as usize) * channels + channel];
                    }
                }
                out.push(sum);
            }
        }
        gelu(&mut out);
        out
    }

    #[test]
    fn patches_are_those_of_the_definition_at_all_edges() {
        for (size, channels) in [([8, 6], 1), ([7, 5], 2), ([1, 1], 3), ([2, 9], 2), ([70, 4], 1)] {
            let number = |at: usize| ((at * 7_919 + 13) % 401) as f32 / 100.0 - 2.0;
            let x: Vec<f32> = (0..size[0] * size[1] * channels).map(number).collect();
            let weights: Vec<f32> = (0..9 * channels).map(|at| number(at + 57)).collect();
            let wanted = expected(&x, size, channels, &weights);
            let linear = Linear::new(weights, [1, 9 * channels], None, false).unwrap();
            let (ours, halved) = Convolution { linear, channels }.forward(&x, size);
            assert_eq!(halved, [size[0].div_ceil(2), size[1].div_ceil(2)]);
            let furthest = ours.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(ours.len() == wanted.len() && furthest < 1e-4, "{size:?}, {channels}: {furthest} away");
        }
    }
}
