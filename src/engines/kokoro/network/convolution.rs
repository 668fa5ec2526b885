//! Convolutions over time on the processor: where Kokoro's time goes.
//!
//! A general matrix product would want every frame's surroundings side by side, up to eleven copies of the
//! signal. Here a tile of eight outputs × 32 frames stays in registers while all inputs and taps run by: a
//! vector is frames side by side, and a tap is the same row, loaded a few frames further on. The part of the
//! signal that a tile looks at is copied once, with zeros around it, so that the second-level cache holds it
//! for all outputs.
//!
//! Transposed convolutions are convolutions too: each of `rate` phases of the output sees few taps of its own.
//!
//! Absent: strides and groups, which the network has only in small places.
#![allow(unsafe_code)]

use rayon::prelude::*;

use crate::engines::local::packed::disjoint::Disjoint;
use crate::engines::local::packed::simd::{Isa, Kernel, LANES, Simd};

/// Outputs whose weights lie side by side.
const BLOCK: usize = 8;
/// Vectors of a tile with sixteen lanes in one register. Three would fit as well, but the compiler then keeps
/// some sums in memory, and takes half as long again.
const WIDE: usize = 2;
/// Values of a piece of the signal: a quarter of a second-level cache of 1 MB.
const PIECE_VALUES: usize = 1 << 16;
/// Frames of a piece, at most.
const MAX_PIECE_FRAMES: usize = 30 * WIDE * LANES;
/// Fewer multiplications are not worth waking a thread for.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 18;

/// Weights of a convolution of stride 1, packed for the kernels.
pub struct Convolution {
    /// Output block, input, tap: the weights of eight outputs.
    taps: Vec<[f32; BLOCK]>,
    /// One per output; zeros if there are none.
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    dilation: usize,
    /// Zeros in front of the signal …
    before: usize,
    /// … and behind it.
    after: usize,
}

impl Convolution {
    /// Of weights `[outputs, inputs, kernel]`, with `padding` zeros at both ends.
    ///
    /// # Panics
    /// If there are not as many weights, a size is 0, or `bias` is neither empty nor one per output.
    pub fn new(
        weights: &[f32],
        bias: &[f32],
        [outputs, inputs, kernel]: [usize; 3],
        padding: usize,
        dilation: usize,
    ) -> Convolution {
        let of = |output: usize, input: usize, tap: usize| weights[(output * inputs + input) * kernel + tap];
        assert_eq!(weights.len(), outputs * inputs * kernel, "weights of {outputs} × {inputs} × {kernel}");
        Convolution::packed(of, bias, [outputs, inputs, kernel], [padding, padding], dilation)
    }

    fn packed(
        weight: impl Fn(usize, usize, usize) -> f32,
        bias: &[f32],
        [outputs, inputs, kernel]: [usize; 3],
        [before, after]: [usize; 2],
        dilation: usize,
    ) -> Convolution {
        assert!(outputs > 0 && inputs > 0 && kernel > 0 && dilation > 0, "sizes above zero");
        assert!(bias.is_empty() || bias.len() == outputs, "a bias for each output");
        let mut taps = vec![[0.0; BLOCK]; outputs.div_ceil(BLOCK) * inputs * kernel];
        for output in 0..outputs {
            let block = &mut taps[output / BLOCK * inputs * kernel..][..inputs * kernel];
            for (at, tap) in block.iter_mut().enumerate() {
                tap[output % BLOCK] = weight(output, at / kernel, at % kernel);
            }
        }
        let bias = if bias.is_empty() { vec![0.0; outputs] } else { bias.to_vec() };
        Convolution { taps, bias, inputs, outputs, kernel, dilation, before, after }
    }

    /// Rows of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Frames of the output for so many of the input.
    pub fn frames(&self, frames: usize) -> usize {
        (frames + self.before + self.after).saturating_sub(self.dilation * (self.kernel - 1))
    }

    /// x `[inputs, frames]` → `[outputs, frames']`, plus `residual` of the same shape, if there is one. In the
    /// current pool of threads.
    ///
    /// # Panics
    /// If x is not whole rows, or `residual` has another shape.
    pub fn run(&self, x: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        self.run_with(Isa::best(), x, residual)
    }

    fn run_with(&self, isa: Isa, x: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        assert!(x.len().is_multiple_of(self.inputs), "whole rows");
        let frames = self.frames(x.len() / self.inputs);
        let mut y = vec![0.0; self.outputs * frames];
        assert!(residual.is_none_or(|residual| residual.len() == y.len()), "a residual of the same shape");
        if y.is_empty() {
            return y;
        }
        let products = y.len() * self.inputs * self.kernel;
        let out = Disjoint::new(&mut y);
        let tile = WIDE * LANES;
        let piece = (PIECE_VALUES / self.inputs / tile * tile).clamp(tile, MAX_PIECE_FRAMES);
        let (pieces, blocks) = (frames.div_ceil(piece), self.outputs.div_ceil(BLOCK));
        let threads = if products < MIN_PARALLEL_PRODUCTS { 1 } else { rayon::current_num_threads() };
        // Few pieces: the threads share out the outputs as well.
        let shares = if threads == 1 || pieces >= 4 * threads { 1 } else { (2 * threads).min(blocks) };
        let share = blocks.div_ceil(shares);
        let run = |scratch: &mut Vec<f32>, at: usize| {
            let (start, first) = (at / shares * piece, at % shares * share);
            isa.run(Job {
                convolution: self,
                x,
                residual,
                frames: start..frames.min(start + piece),
                blocks: first.min(blocks)..blocks.min(first + share),
                total: frames,
                scratch,
                out: &out,
            });
        };
        if threads == 1 {
            let mut scratch = vec![];
            (0..pieces * shares).for_each(|at| run(&mut scratch, at));
        } else {
            (0..pieces * shares).into_par_iter().with_max_len(1).for_each_init(Vec::new, run);
        }
        y
    }
}

/// Some frames of some outputs.
struct Job<'a> {
    convolution: &'a Convolution,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    /// Of the output.
    frames: std::ops::Range<usize>,
    /// Of the outputs, eight each.
    blocks: std::ops::Range<usize>,
    /// Frames of the whole output.
    total: usize,
    scratch: &'a mut Vec<f32>,
    out: &'a Disjoint<'a>,
}

impl Kernel for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.copy();
        for block in self.blocks.clone() {
            let mut at = 0;
            while at < self.frames.len() {
                let left = self.frames.len() - at;
                // A tile as large as the registers hold, or as there are frames.
                if S::ROWS_PER_PASS < BLOCK {
                    self.tile::<S, 4, 1>(simd, width, block, 0, at);
                    self.tile::<S, 4, 1>(simd, width, block, 4, at);
                    at += LANES;
                } else if left > LANES {
                    self.tile::<S, BLOCK, WIDE>(simd, width, block, 0, at);
                    at += WIDE * LANES;
                } else {
                    self.tile::<S, BLOCK, 1>(simd, width, block, 0, at);
                    at += LANES;
                }
            }
        }
    }
}

impl Job<'_> {
    /// The part of x that the frames see, row by row, zeros where there is nothing; returns a row's length.
    fn copy(&mut self) -> usize {
        let Convolution { inputs, kernel, dilation, before, .. } = *self.convolution;
        // Tiles end at whole vectors.
        let width = self.frames.len().next_multiple_of(LANES) + dilation * (kernel - 1);
        let frames = self.x.len() / inputs;
        // A row begins with x's frame `start − before`.
        let zeros = before.saturating_sub(self.frames.start).min(width);
        let from = (self.frames.start + zeros).saturating_sub(before).min(frames);
        let count = (width - zeros).min(frames - from);
        self.scratch.clear();
        self.scratch.reserve(inputs * width);
        for input in 0..inputs {
            self.scratch.extend(std::iter::repeat_n(0.0, zeros));
            self.scratch.extend_from_slice(&self.x[input * frames + from..][..count]);
            self.scratch.extend(std::iter::repeat_n(0.0, width - zeros - count));
        }
        width
    }

    /// `M` outputs of a block, from the `first` on, by `N` vectors of frames.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(
        &self,
        simd: S,
        width: usize,
        block: usize,
        first: usize,
        at: usize,
    ) {
        let Convolution { inputs, kernel, dilation, outputs, .. } = *self.convolution;
        let taps = &self.convolution.taps[block * inputs * kernel..][..inputs * kernel];
        let mut sums = [[simd.splat(0.0); N]; M];
        for (taps, row) in taps.chunks_exact(kernel).zip(self.scratch.chunks_exact(width)) {
            let mut from = at;
            for tap in taps {
                let (x, _) = row[from..][..N * LANES].as_chunks::<LANES>();
                let mut seen = [simd.splat(0.0); N];
                for n in 0..N {
                    seen[n] = simd.load(&x[n]);
                }
                for m in 0..M {
                    let weight = simd.splat(tap[first + m]);
                    for n in 0..N {
                        sums[m][n] = simd.fma(weight, seen[n], sums[m][n]);
                    }
                }
                from += dilation;
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let output = block * BLOCK + first + m;
            if output >= outputs {
                return;
            }
            let bias = simd.splat(self.convolution.bias[output]);
            for (n, sum) in sums.into_iter().enumerate() {
                let frame = at + n * LANES;
                let count = self.frames.len().saturating_sub(frame).min(LANES);
                let place = output * self.total + self.frames.start + frame;
                let mut sum = simd.add(sum, bias);
                if let Some(residual) = self.residual {
                    let mut old = [0.0; LANES];
                    old[..count].copy_from_slice(&residual[place..][..count]);
                    sum = simd.add(sum, simd.load(&old));
                }
                if count > 0 {
                    // SAFETY: jobs differ in their outputs or in their frames, and a job writes each place once.
                    unsafe { self.out.write(place, &simd.lanes(sum)[..count]) };
                }
            }
        }
    }
}

/// Weights of a transposed convolution, which raises the number of frames.
pub struct Transposed {
    /// Its outputs: the phases of each output.
    phases: Convolution,
    rate: usize,
    /// Frames that are cut off in front.
    padding: usize,
}

impl Transposed {
    /// Of weights `[inputs, outputs, kernel]`; each frame of x becomes `rate`.
    ///
    /// # Panics
    /// As [`Convolution::new`], or if `rate` is 0.
    pub fn new(
        weights: &[f32],
        bias: &[f32],
        [inputs, outputs, kernel]: [usize; 3],
        rate: usize,
        padding: usize,
    ) -> Transposed {
        assert_eq!(weights.len(), inputs * outputs * kernel, "weights of {inputs} × {outputs} × {kernel}");
        let taps = kernel.div_ceil(rate);
        // x's frame t is heard in the outputs t · rate …; a phase sees this frame and the ones before it.
        let weight = |row: usize, input: usize, tap: usize| {
            let at = row % rate + (taps - 1 - tap) * rate;
            if at < kernel { weights[(input * outputs + row / rate) * kernel + at] } else { 0.0 }
        };
        let bias: Vec<f32> = bias.iter().flat_map(|bias| std::iter::repeat_n(*bias, rate)).collect();
        let shape = [outputs * rate, inputs, taps];
        let phases = Convolution::packed(weight, &bias, shape, [taps - 1, taps - 1], 1);
        Transposed { phases, rate, padding }
    }

    /// Rows of the output.
    pub fn outputs(&self) -> usize {
        self.phases.outputs / self.rate
    }

    /// x `[inputs, frames]` → `[outputs, frames · rate]`.
    ///
    /// # Panics
    /// If x is not whole rows.
    pub fn run(&self, x: &[f32]) -> Vec<f32> {
        let frames = x.len() / self.phases.inputs;
        let length = frames * self.rate;
        let mut y = vec![0.0; self.outputs() * length];
        if y.is_empty() {
            return y;
        }
        let phases = self.phases.run(x, None);
        let each = phases.len() / self.phases.outputs;
        y.par_chunks_exact_mut(length).zip(phases.par_chunks_exact(each * self.rate)).for_each(
            |(y, phases)| {
                for (at, y) in y.iter_mut().enumerate() {
                    let at = at + self.padding;
                    *y = phases.get(at % self.rate * each + at / self.rate).copied().unwrap_or(0.0);
                }
            },
        );
        y
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::engines::kokoro::network::source::seeded_noise;

    fn noise(seed: u64, count: usize) -> Vec<f32> {
        let mut noise = seeded_noise(seed);
        (0..count).map(|_| noise()).collect()
    }

    fn tensor(values: &[f32], shape: [usize; 3]) -> Tensor {
        Tensor::from_slice(values, &shape[..], &Device::Cpu).expect("a tensor")
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &Tensor, what: &str) {
        let expected: Vec<f32> = expected.flatten_all().and_then(|all| all.to_vec1()).expect("numbers");
        assert_eq!(found.len(), expected.len(), "{what}");
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-5, "{what}: off by {worst}");
    }

    /// Every instruction set, lengths around those of tiles and pieces, and candle's as the reference.
    #[test]
    fn convolutions_are_candles() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        for (outputs, inputs, kernel, dilation) in
            [(1, 1, 1, 1), (8, 3, 3, 1), (13, 22, 7, 3), (24, 17, 11, 5), (16, 700, 3, 1)]
        {
            for frames in [1, 15, 16, 17, 47, 49, 97, 1_000] {
                let padding = dilation * (kernel - 1) / 2;
                let weights: Vec<f32> = noise(1, outputs * inputs * kernel)
                    .iter()
                    .map(|w| w / (inputs * kernel) as f32)
                    .collect();
                let (bias, x) = (noise(2, outputs), noise(3, inputs * frames));
                let residual = noise(4, outputs * frames);
                let expected = tensor(&x, [1, inputs, frames])
                    .conv1d(&tensor(&weights, [outputs, inputs, kernel]), padding, 1, dilation, 1)
                    .and_then(|y| y.broadcast_add(&tensor(&bias, [1, outputs, 1])))
                    .and_then(|y| y + tensor(&residual, [1, outputs, frames]))
                    .expect("candle's");
                let shape = [outputs, inputs, kernel];
                let convolution = Convolution::new(&weights, &bias, shape, padding, dilation);
                for isa in Isa::available() {
                    let found = pool.install(|| convolution.run_with(isa, &x, Some(&residual)));
                    let what = format!("{shape:?} dilated by {dilation}, {frames} frames, {}", isa.name());
                    assert_close(&found, &expected, &what);
                }
            }
        }
    }

    #[test]
    fn transposed_convolutions_are_candles() {
        for (inputs, outputs, kernel, rate) in [(5, 3, 20, 10), (16, 8, 12, 6), (2, 2, 3, 1), (3, 4, 7, 3)] {
            for frames in [1, 2, 31] {
                let padding = (kernel - rate) / 2;
                let weights: Vec<f32> =
                    noise(1, inputs * outputs * kernel).iter().map(|w| w / inputs as f32).collect();
                let (bias, x) = (noise(2, outputs), noise(3, inputs * frames));
                let expected = tensor(&x, [1, inputs, frames])
                    .conv_transpose1d(&tensor(&weights, [inputs, outputs, kernel]), 0, 0, rate, 1, 1)
                    .and_then(|y| y.narrow(2, padding, frames * rate))
                    .and_then(|y| y.broadcast_add(&tensor(&bias, [1, outputs, 1])))
                    .expect("candle's");
                let found =
                    Transposed::new(&weights, &bias, [inputs, outputs, kernel], rate, padding).run(&x);
                assert_close(&found, &expected, &format!("{inputs} to {outputs}, {kernel}, {rate}"));
            }
        }
    }
}
