//! Shape and settings of a decoder, whatever file they come from.

mod gguf_keys;
mod hugging_face;

pub(super) use gguf_keys::read as from_gguf;
#[cfg(test)]
pub(super) use hugging_face::parse as from_json;
pub(super) use hugging_face::read as from_folder;

use std::path::Path;

use super::CheckpointError;

/// A family of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Dense Qwen3: RMS norms over each head's queries and keys.
    Qwen3,
    /// Llama and what has its shape (Mistral without a sliding window).
    Llama,
}

/// How the rotation frequencies are stretched for contexts longer than those of the training.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All divided by one factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Llama 3.1: slow frequencies divided by `factor`, fast ones kept, a slope between.
    Llama3 {
        /// For frequencies whose wavelength is above `original_max_position / low_freq_factor`.
        factor: f32,
        /// Where the slope begins.
        low_freq_factor: f32,
        /// Where the slope ends.
        high_freq_factor: f32,
        /// Positions of the training.
        original_max_position: f32,
    },
    /// Each divided by a factor of its own, `[head_dim / 2]`: `rope_freqs.weight` of a GGUF file.
    Factors(Vec<f32>),
}

/// Shape and settings of a decoder. Made only by reading a checkpoint, and then within limits.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Family of the network.
    pub architecture: Architecture,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of a row between the layers.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; a divisor of `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Positions that the model may be given.
    pub max_position: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f32,
    /// Base of the rotation frequencies.
    pub rope_theta: f32,
    /// Their stretching.
    pub rope_scaling: RopeScaling,
    /// Whether the LM head is the embedding table.
    pub tied_embeddings: bool,
    /// Whether the projections to queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the projection of the attention's output has one.
    pub output_bias: bool,
    /// Whether those of the feed-forward part have them.
    pub mlp_bias: bool,
    /// Tokens that end a reply; may be empty.
    pub eos: Vec<u32>,
    /// Token that begins a text.
    pub bos: Option<u32>,
}

/// The most of each that any model of these families has, with room above. What is larger is a
/// damaged file, and would cost a huge allocation.
mod limit {
    pub const VOCAB: usize = 1 << 22;
    pub const HIDDEN: usize = 1 << 16;
    pub const INTERMEDIATE: usize = 1 << 20;
    pub const LAYERS: usize = 1 << 10;
    pub const HEADS: usize = 1 << 10;
    pub const HEAD_DIM: usize = 1 << 10;
    pub const POSITIONS: usize = 1 << 24;
}

impl DecoderConfig {
    /// The config, if its numbers can be those of a network; else the number that cannot.
    fn checked(self, path: &Path) -> Result<DecoderConfig, CheckpointError> {
        let sizes = [
            ("vocabulary size", self.vocab_size, limit::VOCAB),
            ("hidden size", self.hidden_size, limit::HIDDEN),
            ("feed-forward size", self.intermediate_size, limit::INTERMEDIATE),
            ("number of layers", self.layers, limit::LAYERS),
            ("number of heads", self.heads, limit::HEADS),
            ("number of key-value heads", self.kv_heads, limit::HEADS),
            ("width of a head", self.head_dim, limit::HEAD_DIM),
            ("number of positions", self.max_position, limit::POSITIONS),
        ];
        let damaged = |place: &str, message: String| Err(CheckpointError::damaged(path, place, message));
        for (what, size, most) in sizes {
            if size == 0 || size > most {
                return damaged(what, format!("is {size}; 1 to {most} is possible"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            return damaged(
                "number of heads",
                format!("is {heads}, no multiple of {kv_heads} key-value heads"),
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return damaged("width of a head", format!("is {}, which is odd", self.head_dim));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return damaged("epsilon of the norms", format!("is {}", self.rms_norm_eps));
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return damaged("base of the rotation", format!("is {}", self.rope_theta));
        }
        let positive = |number: f32| number > 0.0 && number.is_finite();
        let sound = match &self.rope_scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => positive(*factor),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => {
                positive(*factor)
                    && positive(*low_freq_factor)
                    && positive(*high_freq_factor)
                    && positive(*original_max_position)
                    && high_freq_factor > low_freq_factor
            }
            RopeScaling::Factors(factors) => {
                factors.len() == self.head_dim / 2 && factors.iter().all(|factor| positive(*factor))
            }
        };
        if !sound {
            return damaged("stretching of the rotation", format!("is {:?}", self.rope_scaling));
        }
        if let Some(id) = self.eos.iter().chain(&self.bos).find(|id| **id as usize >= self.vocab_size) {
            return damaged("begin or end token", format!("is {id} of {} tokens", self.vocab_size));
        }
        Ok(self)
    }
}
