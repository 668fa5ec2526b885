//! What networks for speech are made of on the CPU: products, norms, the feed-forward part. Weights are those
//! of [`packed`].

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::engines::local::packed::{self, Activations, PackedMatrix, multiply_all};

/// PyTorch's default, which all Whisper models keep.
const NORM_EPSILON: f32 = 1e-5;
/// Numbers that are worth waking another thread for, where little is done with each.
const PARALLEL_NUMBERS: usize = 1 << 15;

/// x · Wᵀ + b.
pub(super) struct Linear {
    pub(super) weight: PackedMatrix,
    pub(super) bias: Option<Vec<f32>>,
}

impl Linear {
    /// Of `[out, in]` numbers, row by row. With `eight_bits` they become blocks of 8 bits; rows that are not
    /// whole blocks of 32 stay floats.
    ///
    /// # Errors
    /// If there are not as many numbers as `shape` says.
    pub(super) fn new(
        numbers: Vec<f32>,
        shape: [usize; 2],
        bias: Option<Vec<f32>>,
        eight_bits: bool,
    ) -> Result<Linear, candle_core::Error> {
        let [rows, columns] = shape;
        let weight = if eight_bits && columns.is_multiple_of(GgmlDType::Q8_0.block_size()) {
            let dense = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?;
            let blocks = QTensor::quantize(&dense, GgmlDType::Q8_0)?;
            PackedMatrix::pack(GgmlDType::Q8_0, rows, columns, &blocks.data()?)
        } else {
            let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            PackedMatrix::pack(GgmlDType::F32, rows, columns, &bytes)
        };
        Ok(Linear { weight: weight.map_err(candle_core::Error::wrap)?, bias })
    }

    /// `[count, in]` to `[count, out]`.
    pub(super) fn forward(&self, x: &[f32], count: usize) -> Vec<f32> {
        let [out] = forward_all([self], x, count);
        out
    }

    /// Memory that the weights take.
    pub(super) fn bytes(&self) -> usize {
        self.weight.bytes()
    }

    fn add_bias(&self, out: &mut [f32]) {
        let Some(bias) = &self.bias else { return };
        for row in out.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(number, bias)| *number += bias);
        }
    }
}

/// The same `x` through several, which are equally wide: it is rounded once, and the threads meet once.
pub(super) fn forward_all<const N: usize>(linears: [&Linear; N], x: &[f32], count: usize) -> [Vec<f32>; N] {
    let first = &linears[0].weight;
    let acts = Activations::quantize(first.activation_kind(), x, count, first.cols());
    let mut outs = linears.map(|linear| vec![0.0; count * linear.weight.rows()]);
    let mut jobs: Vec<(&PackedMatrix, &mut [f32])> =
        linears.iter().zip(&mut outs).map(|(linear, out)| (&linear.weight, &mut out[..])).collect();
    multiply_all(&acts, &mut jobs);
    for (linear, out) in linears.iter().zip(&mut outs) {
        linear.add_bias(out);
    }
    outs
}

/// Layer normalisation.
pub(super) struct LayerNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl LayerNorm {
    /// Each row of `x` by itself.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let width = self.weight.len();
        let piece = rows_per_piece(x.len(), width) * width;
        let pieces = x.par_chunks(piece).zip(out.par_chunks_mut(piece));
        pieces.for_each(|(x, out)| packed::layer_norm(x, &self.weight, &self.bias, NORM_EPSILON, out));
        out
    }
}

/// Rows that one thread takes: all, if there are few numbers.
fn rows_per_piece(numbers: usize, width: usize) -> usize {
    let pieces = (numbers / PARALLEL_NUMBERS).clamp(1, rayon::current_num_threads());
    (numbers / width).div_ceil(pieces).max(1)
}

/// fc2(gelu(fc1(x))) between its norm and the residual.
pub(super) struct FeedForward {
    pub(super) norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl FeedForward {
    /// Adds to `x`.
    pub(super) fn forward(&self, x: &mut [f32], count: usize) {
        let mut inner = self.up.forward(&self.norm.forward(x), count);
        gelu(&mut inner);
        add(x, &self.down.forward(&inner, count));
    }

    /// Memory that the weights take.
    pub(super) fn bytes(&self) -> usize {
        self.up.bytes() + self.down.bytes()
    }
}

/// The exact GELU, shared among threads.
pub(super) fn gelu(values: &mut [f32]) {
    let piece = rows_per_piece(values.len(), 1);
    values.par_chunks_mut(piece.max(1)).for_each(packed::gelu);
}

/// x + y, in place.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
