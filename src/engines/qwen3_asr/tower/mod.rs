//! The audio tower: mel frames to rows that the text model reads among those of its tokens.
//!
//! Reference: `modeling_qwen3_asr.py` of transformers 5.23 (`Qwen3ASREncoder`,
//! `Qwen3ASRMultiModalProjector`); golden tests by stage in `../tests.rs`.
//!
//! ```text
//! mel → chunks of 100 frames → three convolutions, each halving time and frequency → product → + sinusoids
//!     → layers ( norm → attention within windows of 104 rows → + ; norm → gelu → + ) → norm → projector
//! ```
//!
//! Chunks are convolved each by itself, and the sinusoids begin anew in each; rows of different chunks meet
//! in the attention, within windows of 8 s. (The original package attends over everything unless it runs with
//! flash attention; the model was trained with windows.) All products are those of
//! [`packed`](crate::engines::local::packed) weights, so rows have the same bits however many there are.
//!
//! Deliberately absent: GPUs, batches of utterances.

mod convolution;
mod load;

use super::config::TowerConfig;
use crate::engines::layers::{FeedForward, LayerNorm, Linear, add, forward_all, gelu};
use crate::engines::local::checkpoint::{CheckpointError, SafetensorsFolder};
use crate::engines::local::packed::{KvBlocks, attend_all};
use crate::engines::mel::Mel;
use crate::engines::{CancelToken, EngineError};
use convolution::Convolution;

/// An audio tower with its projector.
pub struct Tower {
    config: TowerConfig,
    convolutions: [Convolution; 3],
    /// `conv_out`: what the convolutions leave of a moment, to a row.
    to_row: Linear,
    /// `[rows of a chunk, d_model]`
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    projector: [Linear; 2],
}

struct Layer {
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward: FeedForward,
}

impl Tower {
    /// Reads the weights of a folder; with `eight_bits`, products are those of blocks of 8 bits. All names
    /// and shapes are checked before any is read.
    pub fn load(
        folder: &SafetensorsFolder,
        config: TowerConfig,
        eight_bits: bool,
    ) -> Result<Tower, CheckpointError> {
        load::load(folder, config, eight_bits)
    }

    /// Its shape.
    pub fn config(&self) -> &TowerConfig {
        &self.config
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> usize {
        let convolutions: usize =
            self.convolutions.iter().map(|convolution| convolution.linear.bytes()).sum();
        let layers: usize = self.layers.iter().map(Layer::bytes).sum();
        let projector: usize = self.projector.iter().map(Linear::bytes).sum();
        convolutions + self.to_row.bytes() + layers + projector
    }

    /// Rows for the text model, `[rows, output_dim]`; how many, [`TowerConfig::rows`] says.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`]; the token is looked at between chunks and between layers.
    ///
    /// # Panics
    /// If the spectrogram has another number of bins than the tower.
    pub fn forward(&self, mel: &Mel, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        Ok(self.project(&self.encode(mel, cancel)?))
    }

    /// What goes into the projector, `[rows, d_model]`.
    pub(super) fn encode(&self, mel: &Mel, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        assert_eq!(mel.bins(), self.config.num_mel_bins, "bins of the spectrogram");
        let mut x = Vec::with_capacity(self.config.rows(mel.frames()) * self.config.d_model);
        for chunk in mel.by_frame().chunks(self.config.chunk_frames() * mel.bins()) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            x.extend(self.convolve(chunk));
        }
        for layer in &self.layers {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            layer.forward(
                &mut x,
                self.config.d_model,
                self.config.encoder_attention_heads,
                self.config.window_rows(),
            );
        }
        Ok(self.norm.forward(&x))
    }

    pub(super) fn project(&self, encoded: &[f32]) -> Vec<f32> {
        let [first, second] = &self.projector;
        let count = encoded.len() / self.config.d_model;
        let mut inner = first.forward(encoded, count);
        gelu(&mut inner);
        second.forward(&inner, count)
    }

    /// A chunk of at most 100 mel frames, `[frames, bins]`, to `[rows, d_model]` with their positions.
    fn convolve(&self, chunk: &[f32]) -> Vec<f32> {
        let bins = self.config.num_mel_bins;
        let rows = self.config.chunk_rows(chunk.len() / bins);
        // The reference fills a chunk up with zeros, which its convolutions see and make numbers of. Of
        // those, rows that are kept depend on no more than eight frames each.
        let frames = (8 * rows).min(self.config.chunk_frames());
        let mut x = chunk.to_vec();
        x.resize(frames * bins, 0.0);
        let mut size = [frames, bins];
        for convolution in &self.convolutions {
            (x, size) = convolution.forward(&x, size);
        }
        let mut x = self.to_row.forward(&x, rows);
        add(&mut x, &self.positions);
        x
    }
}

impl Layer {
    /// `x` [rows, width], in place.
    fn forward(&self, x: &mut [f32], width: usize, heads: usize, window_rows: usize) {
        let count = x.len() / width;
        let normed = self.norm.forward(x);
        let [queries, keys, values] = forward_all([&self.query, &self.key, &self.value], &normed, count);
        let mut attended = vec![0.0; queries.len()];
        let window = window_rows * width;
        let windows = queries.chunks(window).zip(keys.chunks(window)).zip(values.chunks(window));
        for (((queries, keys), values), attended) in windows.zip(attended.chunks_mut(window)) {
            let head_dim = width / heads;
            let mut all = KvBlocks::new(heads, head_dim, false);
            all.append(keys, values);
            attend_all(queries, heads, &all, 1.0 / (head_dim as f32).sqrt(), attended);
        }
        add(x, &self.output.forward(&attended, count));
        self.feed_forward.forward(x, count);
    }

    fn bytes(&self) -> usize {
        let attention = [&self.query, &self.key, &self.value, &self.output];
        attention.into_iter().map(Linear::bytes).sum::<usize>() + self.feed_forward.bytes()
    }
}
