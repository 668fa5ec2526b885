//! Mel frames to encoded audio: two convolutions, position embeddings, transformer layers, a norm.

use super::layers::{FeedForward, LayerNorm, Linear, add, forward_all, gelu};
use crate::engines::local::packed::{KvBlocks, attend_all};
use crate::engines::{CancelToken, EngineError};

/// Frames that a convolution looks at.
pub(super) const KERNEL: usize = 3;

/// The encoder.
pub(super) struct Encoder {
    pub(super) heads: usize,
    /// Stride 1.
    pub(super) first: Convolution,
    /// Stride 2.
    pub(super) second: Convolution,
    /// `[max_source_positions, d_model]`
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<EncoderLayer>,
    pub(super) norm: LayerNorm,
}

/// A convolution over three neighbouring frames, as a product with frames side by side.
pub(super) struct Convolution {
    /// `[out, 3 · in]`: the weights of the earliest frame first.
    pub(super) linear: Linear,
    pub(super) inputs: usize,
    pub(super) stride: usize,
}

pub(super) struct EncoderLayer {
    pub(super) norm: LayerNorm,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) feed_forward: FeedForward,
}

impl Encoder {
    /// `[frames, bins]` to `[frames / 2, d_model]`.
    pub(super) fn forward(
        &self,
        mel: &[f32],
        frames: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        let mut x = self.second.forward(&self.first.forward(mel, frames), frames);
        add(&mut x, &self.positions[..]);
        let count = frames / 2;
        for layer in &self.layers {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            layer.forward(&mut x, count, self.heads);
        }
        Ok(self.norm.forward(&x))
    }

    /// Memory that the weights take.
    pub(super) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(EncoderLayer::bytes).sum();
        self.first.linear.bytes() + self.second.linear.bytes() + layers
    }
}

impl Convolution {
    /// `[frames, in]` to `[frames / stride, out]`, through GELU. Outside of the frames are zeros.
    fn forward(&self, x: &[f32], frames: usize) -> Vec<f32> {
        let outputs = frames / self.stride;
        let mut windows = vec![0.0; outputs * KERNEL * self.inputs];
        for (at, window) in windows.chunks_exact_mut(KERNEL * self.inputs).enumerate() {
            // The window's middle is frame `at * stride`.
            let (begin, end) = (at * self.stride, at * self.stride + KERNEL - 1);
            let from = begin.saturating_sub(1);
            let to = end.min(frames);
            let skipped = usize::from(begin == 0) * self.inputs;
            let seen = &x[from * self.inputs..to * self.inputs];
            window[skipped..skipped + seen.len()].copy_from_slice(seen);
        }
        let mut out = self.linear.forward(&windows, outputs);
        gelu(&mut out);
        out
    }
}

impl EncoderLayer {
    fn forward(&self, x: &mut [f32], count: usize, heads: usize) {
        let normed = self.norm.forward(x);
        let [queries, keys, values] = forward_all([&self.query, &self.key, &self.value], &normed, count);
        let head_dim = queries.len() / count / heads;
        let mut all = KvBlocks::new(heads, head_dim, false);
        all.append(&keys, &values);
        let mut attended = vec![0.0; queries.len()];
        attend_all(&queries, heads, &all, scale(head_dim), &mut attended);
        add(x, &self.output.forward(&attended, count));
        self.feed_forward.forward(x, count);
    }

    fn bytes(&self) -> usize {
        let attention = [&self.query, &self.key, &self.value, &self.output];
        attention.into_iter().map(Linear::bytes).sum::<usize>() + self.feed_forward.bytes()
    }
}

/// What attention's scores are multiplied with.
pub(super) fn scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}
