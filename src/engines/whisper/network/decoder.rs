//! Tokens and encoded audio to logits.

use super::encoder::scale;
use super::layers::{FeedForward, LayerNorm, Linear, add, forward_all};
use crate::engines::local::packed::{KvBlocks, attend, attend_all};

/// The decoder.
pub(super) struct Decoder {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    /// Whether keys and values of the audio are kept in 16 bits.
    pub(super) half_precision: bool,
    /// `[max_target_positions, d_model]`
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) norm: LayerNorm,
    /// `[vocab_size, d_model]`: the token embeddings, and the way back from them to tokens.
    pub(super) embedding: Linear,
    /// The way back where it is another matrix.
    pub(super) untied_head: Option<Linear>,
}

pub(super) struct DecoderLayer {
    pub(super) own_norm: LayerNorm,
    pub(super) own_query: Linear,
    pub(super) own_key: Linear,
    pub(super) own_value: Linear,
    pub(super) own_output: Linear,
    pub(super) audio_norm: LayerNorm,
    pub(super) audio_query: Linear,
    pub(super) audio_key: Linear,
    pub(super) audio_value: Linear,
    pub(super) audio_output: Linear,
    pub(super) feed_forward: FeedForward,
}

/// Keys and values of encoded audio, for each layer. Any number of decodings may share it.
pub struct Heard(Vec<KvBlocks>);

/// Keys and values of the tokens so far, for each layer.
pub struct Past(Vec<KvBlocks>);

impl Past {
    /// Tokens that are in it.
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, KvBlocks::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the tokens from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.0.iter_mut().for_each(|layer| layer.truncate(len));
    }
}

impl Decoder {
    pub(super) fn past(&self) -> Past {
        Past(self.layers.iter().map(|_| KvBlocks::new(self.heads, self.head_dim, false)).collect())
    }

    pub(super) fn hear(&self, encoded: &[f32]) -> Heard {
        let count = encoded.len() / self.width();
        let of_layer = |layer: &DecoderLayer| {
            let [keys, values] = forward_all([&layer.audio_key, &layer.audio_value], encoded, count);
            let mut heard = KvBlocks::new(self.heads, self.head_dim, self.half_precision);
            heard.append(&keys, &values);
            heard
        };
        Heard(self.layers.iter().map(of_layer).collect())
    }

    /// `[wanted, vocab_size]`
    pub(super) fn forward(&self, tokens: &[u32], past: &mut Past, heard: &Heard, wanted: usize) -> Vec<f32> {
        let (count, first, width) = (tokens.len(), past.len(), self.width());
        assert!(count > 0 && wanted <= count, "{wanted} logits of {count} tokens");
        assert!(
            (first + count) * width <= self.positions.len(),
            "more tokens than the decoder has positions for"
        );
        let mut x = vec![0.0; count * width];
        for (token, row) in tokens.iter().zip(x.chunks_exact_mut(width)) {
            self.embedding.weight.row(*token as usize, row);
        }
        add(&mut x, &self.positions[first * width..]);
        for ((layer, past), heard) in self.layers.iter().zip(&mut past.0).zip(&heard.0) {
            layer.forward(&mut x, count, past, heard, self.heads, scale(self.head_dim));
        }
        let normed = self.norm.forward(&x[(count - wanted) * width..]);
        self.untied_head.as_ref().unwrap_or(&self.embedding).forward(&normed, wanted)
    }

    /// Memory that the weights take.
    pub(super) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(DecoderLayer::bytes).sum();
        self.embedding.bytes() + self.untied_head.as_ref().map_or(0, Linear::bytes) + layers
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }
}

impl DecoderLayer {
    fn forward(
        &self,
        x: &mut [f32],
        count: usize,
        past: &mut KvBlocks,
        heard: &KvBlocks,
        heads: usize,
        scale: f32,
    ) {
        let own = [&self.own_query, &self.own_key, &self.own_value];
        let [queries, keys, values] = forward_all(own, &self.own_norm.forward(x), count);
        past.append(&keys, &values);
        let mut attended = vec![0.0; queries.len()];
        attend(&queries, heads, past, scale, &mut attended);
        add(x, &self.own_output.forward(&attended, count));

        let queries = self.audio_query.forward(&self.audio_norm.forward(x), count);
        attend_all(&queries, heads, heard, scale, &mut attended);
        add(x, &self.audio_output.forward(&attended, count));

        self.feed_forward.forward(x, count);
    }

    fn bytes(&self) -> usize {
        let attention = [
            &self.own_query,
            &self.own_key,
            &self.own_value,
            &self.own_output,
            &self.audio_query,
            &self.audio_key,
            &self.audio_value,
            &self.audio_output,
        ];
        attention.into_iter().map(Linear::bytes).sum::<usize>() + self.feed_forward.bytes()
    }
}
