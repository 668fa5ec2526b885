//! PL-BERT: an ALBERT over phonemes, one layer applied again and again.
//!
//! Reference: `AlbertModel` of transformers 4.57 with `gelu_new` (the tanh form), without pooler; the token
//! types are all 0 and nothing is masked, since there is one text at a time.

use candle_core::{D, Tensor};

use super::layers::{LayerNorm, Linear};
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::kokoro::settings::PlBert;

const EPSILON: f64 = 1e-12;
const NORM: [&str; 2] = ["weight", "bias"];

/// The network.
pub struct Albert {
    /// [ids, embedding]
    words: Tensor,
    /// [positions, embedding], the type's vector added.
    positions: Tensor,
    norm: LayerNorm,
    mapping: Linear,
    query: Linear,
    key: Linear,
    value: Linear,
    dense: Linear,
    attention_norm: LayerNorm,
    ffn: Linear,
    ffn_output: Linear,
    output_norm: LayerNorm,
    layers: usize,
    heads: usize,
}

impl Albert {
    /// Of the part `bert`.
    pub fn load(weights: &Weights<'_>, settings: &PlBert, ids: usize) -> Result<Albert, KokoroError> {
        let (embedding, hidden) = (settings.embedding_size, settings.hidden_size);
        let embeddings = weights.pp("embeddings");
        let positions = settings.max_position_embeddings;
        let types = embeddings.pp("token_type_embeddings").get("weight", &[2, embedding])?;
        let positions = embeddings.pp("position_embeddings").get("weight", &[positions, embedding])?;
        let layer = weights.pp("encoder.albert_layer_groups.0.albert_layers.0");
        let attention = layer.pp("attention");
        let square = |name| Linear::load(&attention.pp(name), hidden, hidden);
        Ok(Albert {
            words: embeddings.pp("word_embeddings").get("weight", &[ids, embedding])?,
            positions: positions.broadcast_add(&types.narrow(0, 0, 1)?)?,
            norm: LayerNorm::load(&embeddings.pp("LayerNorm"), NORM, embedding, EPSILON)?,
            mapping: Linear::load(&weights.pp("encoder.embedding_hidden_mapping_in"), embedding, hidden)?,
            query: square("query")?,
            key: square("key")?,
            value: square("value")?,
            dense: square("dense")?,
            attention_norm: LayerNorm::load(&attention.pp("LayerNorm"), NORM, hidden, EPSILON)?,
            ffn: Linear::load(&layer.pp("ffn"), hidden, settings.intermediate_size)?,
            ffn_output: Linear::load(&layer.pp("ffn_output"), settings.intermediate_size, hidden)?,
            output_norm: LayerNorm::load(&layer.pp("full_layer_layer_norm"), NORM, hidden, EPSILON)?,
            layers: settings.num_hidden_layers,
            heads: settings.num_attention_heads,
        })
    }

    /// ids `[n]` → `[n, hidden]`
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor, KokoroError> {
        let count = ids.dim(0)?;
        let embedded = (self.words.index_select(ids, 0)? + self.positions.narrow(0, 0, count)?)?;
        let mut x = self.mapping.forward(&self.norm.forward(&embedded)?)?;
        for _ in 0..self.layers {
            let attended = self.attention_norm.forward(&(&x + self.attend(&x)?)?)?;
            // `gelu` of candle is the tanh form.
            let widened = self.ffn.forward(&attended)?.gelu()?;
            x = self.output_norm.forward(&(self.ffn_output.forward(&widened)? + attended)?)?;
        }
        Ok(x)
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor, KokoroError> {
        let (count, hidden) = x.dims2()?;
        let width = hidden / self.heads;
        // [heads, n, width]
        let split = |x: Tensor| x.reshape((count, self.heads, width))?.transpose(0, 1)?.contiguous();
        let (query, key, value) =
            (split(self.query.forward(x)?)?, split(self.key.forward(x)?)?, split(self.value.forward(x)?)?);
        let scores = (query.matmul(&key.transpose(1, 2)?.contiguous()?)? / (width as f64).sqrt())?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let mixed = weights.matmul(&value)?.transpose(0, 1)?.reshape((count, hidden))?;
        self.dense.forward(&mixed)
    }
}
