//! The network: mel frames to encoded audio, encoded audio and tokens to logits.
//!
//! Reference: `modeling_whisper.py` of transformers 5.23 (`WhisperForConditionalGeneration`), which is the
//! network of OpenAI's Whisper under other names; golden tests by stage in `tests.rs`. Weights are multiplied
//! by the kernels of [`packed`](crate::engines::local::packed), so an output has the same bits whatever is
//! computed with it: tokens read together and one by one, alone and with a kept past, give the same logits.
//!
//! The encoder takes any even number of mel frames up to its 3000 (30 s), not only all of them; its position
//! embeddings are cut. A decoder's keys and values are kept: those of its own tokens in a [`Past`], those of
//! the encoded audio, made once, in [`Heard`].
//!
//! Deliberately absent: GPUs, batches of utterances, and word times from cross-attention.

mod decoder;
mod encoder;
mod load;

pub use decoder::{Heard, Past};

use super::config::WhisperConfig;
use crate::config::WhisperWeights;
use crate::engines::layers;
use crate::engines::local::checkpoint::{CheckpointError, SafetensorsFolder};
use crate::engines::{CancelToken, EngineError};
use decoder::Decoder;
use encoder::Encoder;

/// A Whisper network.
pub struct Network {
    config: WhisperConfig,
    encoder: Encoder,
    decoder: Decoder,
}

impl Network {
    /// Reads the weights of a folder. All names and shapes are checked before any is read.
    pub fn load(
        folder: &SafetensorsFolder,
        config: WhisperConfig,
        weights: WhisperWeights,
    ) -> Result<Network, CheckpointError> {
        let (encoder, decoder) = load::load(folder, &config, weights)?;
        Ok(Network { config, encoder, decoder })
    }

    /// Its shape.
    pub fn config(&self) -> &WhisperConfig {
        &self.config
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> usize {
        self.encoder.bytes() + self.decoder.bytes()
    }

    /// Encodes mel frames, `[frames, num_mel_bins]`: a position of `d_model` numbers for each two.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`]; the token is looked at between layers.
    ///
    /// # Panics
    /// If there are no frames, an odd number, or more than [`WhisperConfig::max_frames`].
    pub fn encode(&self, mel: &[f32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let frames = mel.len() / self.config.num_mel_bins;
        assert_eq!(mel.len(), frames * self.config.num_mel_bins, "whole frames");
        assert!(frames > 0 && frames.is_multiple_of(2), "an even number of frames, not {frames}");
        assert!(
            frames <= self.config.max_frames(),
            "{frames} frames are more than the encoder has positions for"
        );
        self.encoder.forward(mel, frames, cancel)
    }

    /// Prepares encoded audio for the decoder: keys and values of its cross-attention.
    pub fn hear(&self, encoded: &[f32]) -> Heard {
        self.decoder.hear(encoded)
    }

    /// An empty past.
    pub fn past(&self) -> Past {
        self.decoder.past()
    }

    /// Reads `tokens` behind `past` and gives the logits behind the last `wanted` of them,
    /// `[wanted, vocab_size]`.
    ///
    /// # Panics
    /// If a token is not in the vocabulary, if there are none, if fewer than `wanted`, or if they and the past
    /// are more than `max_target_positions`.
    pub fn decode(&self, tokens: &[u32], past: &mut Past, heard: &Heard, wanted: usize) -> Vec<f32> {
        self.decoder.forward(tokens, past, heard, wanted)
    }
}
