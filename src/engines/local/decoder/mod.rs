//! The network: a decoder-only transformer of the Qwen3 and Llama families.
//!
//! Reference: transformers 5.23, `modeling_qwen3.py` and `modeling_llama.py`; goldens in
//! `tests/golden/decoder`, made by `models/parity/decoder`. The two differ by Qwen3's norms over each
//! head's queries and keys, nothing else.
//!
//! ```text
//! tokens → embedding → layers × ( norm → q k v → [norm] → rotate → attention → output → +
//!                                 norm → gate, up → silu(gate)·up → down → + ) → norm → LM head
//! ```
//!
//! A step takes rows of several sequences at once: what is a product with weights runs over all rows
//! together, attention over each sequence's own cache. Rows are 32-bit floats throughout; weights
//! are what the file has. Rows can come in place of tokens, for models that see or hear.
//!
//! On a CPU the arithmetic is that of our own kernels ([`super::packed`]): a sequence then gets the same
//! bits alone, in a batch and in chunks. On a GPU it is candle's, and equal to rounding.
//!
//! Deliberately absent: tokens' meaning (`super::text`), sampling, who is served when.

mod arithmetic;
mod attention;
mod embedding;
mod error;
mod kv_cache;
mod linear;
mod load;
mod rope;
mod rows;

#[cfg(test)]
mod tests;

pub use error::DecoderError;
pub use kv_cache::KvCache;

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::checkpoint::{Checkpoint, DecoderConfig};
use arithmetic::Arithmetic;
use attention::{CausalMask, attend};
use embedding::Embedding;
use kv_cache::KvKind;
use linear::Linear;
use rope::{Rope, Rotations};
use rows::RmsNorm;

/// How a checkpoint is brought into memory.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Type of the weights in memory.
    pub weights: WeightType,
    /// Type of keys and values in caches. `None`: 32 bits for 32-bit checkpoints on the CPU, else 16.
    pub kv_type: Option<KvType>,
    /// A shorter context than the model's.
    pub max_position: Option<usize>,
}

/// Type of the weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightType {
    /// What the file has.
    #[default]
    AsStored,
    /// 32-bit floats: exactly what the file says, at four to eight times the memory of blocks.
    F32,
    /// Dense weights become blocks of 8 bits, for a half to a quarter of the memory and of the time of a
    /// token; blocks stay.
    Q8_0,
}

/// Type of keys and values in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
}

impl KvType {
    fn dtype(self) -> DType {
        match self {
            KvType::F32 => DType::F32,
            KvType::F16 => DType::F16,
        }
    }
}

/// Weights of a model, ready to run. Holds no state of any sequence; share it in an `Arc`.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    device: Device,
    arithmetic: Arithmetic,
    kv_kind: KvKind,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    lm_head: Linear,
    rope: Rope,
}

/// New tokens of one sequence.
#[derive(Debug)]
pub struct Sequence<'a> {
    /// At least one, to follow those in the cache.
    pub tokens: &'a [u32],
    /// What the sequence has read; longer by `tokens` after a step that succeeded.
    pub cache: &'a mut KvCache,
    /// Whether the logits of the last token are wanted. Prefill in chunks wants only the last's.
    pub wants_logits: bool,
}

/// New rows of one sequence, where something else than an embedding of tokens made them.
#[derive(Debug)]
pub struct RowSequence<'a> {
    /// `[n, hidden_size]`, 32-bit floats on the decoder's device.
    pub rows: Tensor,
    /// As in [`Sequence`].
    pub cache: &'a mut KvCache,
    /// Of so many of the last rows the logits are wanted.
    pub logits: usize,
}

impl Decoder {
    /// Loads a `.gguf` file, or a folder with `config.json` and safetensors.
    pub fn load(path: &Path, device: &Device, options: &LoadOptions) -> Result<Decoder, DecoderError> {
        Decoder::from_checkpoint(&Checkpoint::open(path)?, device, options)
    }

    /// Loads an open checkpoint. The embedding table stays in the mapped file.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        device: &Device,
        options: &LoadOptions,
    ) -> Result<Decoder, DecoderError> {
        load::load(checkpoint, device, options, Arithmetic::of(device))
    }

    /// Shape and settings; `max_position` as cut by the options.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A cache for a new sequence. It takes no memory before the first step.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(&self.kv_kind)
    }

    /// Memory that a cache takes for a token.
    pub fn cache_bytes_per_token(&self) -> u64 {
        let DecoderConfig { layers, kv_heads, head_dim, .. } = self.config;
        (layers * 2 * kv_heads * head_dim * self.kv_kind.dtype.size_in_bytes()) as u64
    }

    /// Memory that the weights take, without the embedding table in the mapped file.
    pub fn weight_bytes(&self) -> u64 {
        self.layers.iter().map(Layer::bytes).sum::<u64>() + self.lm_head.bytes()
    }

    /// Rows of tokens, `[n, hidden_size]`: what [`Decoder::forward`] begins with.
    pub fn embed(&self, tokens: &[u32]) -> Result<Tensor, DecoderError> {
        self.embedding.rows(tokens, &self.device)
    }

    /// One step over several sequences at once. Gives, in their order, the logits
    /// `[vocab_size]` of each one's last token if they are wanted. If it fails, no cache has
    /// changed its length.
    pub fn forward(&self, batch: &mut [Sequence<'_>]) -> Result<Vec<Option<Vec<f32>>>, DecoderError> {
        let tokens: Vec<u32> = batch.iter().flat_map(|sequence| sequence.tokens.iter().copied()).collect();
        let mut spans: Vec<Span<'_>> = batch
            .iter_mut()
            .map(|sequence| Span {
                rows: sequence.tokens.len(),
                cache: &mut *sequence.cache,
                logits: usize::from(sequence.wants_logits),
                mask: CausalMask::none(),
            })
            .collect();
        self.check(&spans)?;
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.embed(&tokens)?;
        Ok(self.step(rows, &mut spans)?.into_iter().map(|mut logits| logits.pop()).collect())
    }

    /// [`Decoder::forward`] with rows in place of tokens. Gives, in the sequences' order, the logits of each
    /// one's last rows, as many as are wanted.
    pub fn forward_rows(&self, batch: &mut [RowSequence<'_>]) -> Result<Vec<Vec<Vec<f32>>>, DecoderError> {
        let mut rows = Vec::with_capacity(batch.len());
        let mut spans = Vec::with_capacity(batch.len());
        for (index, sequence) in batch.iter_mut().enumerate() {
            let n = match sequence.rows.dims() {
                [n, width] if *width == self.config.hidden_size && sequence.rows.dtype() == DType::F32 => *n,
                _ => return Err(DecoderError::Foreign { what: "rows", index }),
            };
            rows.push(sequence.rows.contiguous()?);
            let cache = &mut *sequence.cache;
            let logits = sequence.logits.min(n);
            spans.push(Span { rows: n, cache, logits, mask: CausalMask::none() });
        }
        self.check(&spans)?;
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        self.step(joined(rows)?, &mut spans)
    }

    fn check(&self, spans: &[Span<'_>]) -> Result<(), DecoderError> {
        for (index, span) in spans.iter().enumerate() {
            if span.rows == 0 {
                return Err(DecoderError::EmptySequence { index });
            }
            if !span.cache.is_of(&self.kv_kind) {
                return Err(DecoderError::Foreign { what: "the cache", index });
            }
            let (len, max_position) = (span.cache.len(), self.config.max_position);
            if len + span.rows > max_position {
                return Err(DecoderError::ContextFull { len, more: span.rows, max_position });
            }
        }
        Ok(())
    }

    /// `x` [n, hidden]: the rows of all sequences below each other.
    fn step(&self, mut x: Tensor, spans: &mut [Span<'_>]) -> Result<Vec<Vec<Vec<f32>>>, DecoderError> {
        for span in &mut *spans {
            span.cache.reserve(span.rows)?;
            if self.arithmetic == Arithmetic::Candle {
                span.mask = CausalMask::new(span.rows, span.cache.len() + span.rows, &self.device)?;
            }
        }
        let positions = spans.iter().flat_map(|span| span.cache.len()..span.cache.len() + span.rows);
        let rotations = self.rope.at(positions, &self.device)?;

        // After the last attention only the rows go on whose logits are wanted.
        let wanted = wanted_rows(spans);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut attended = layer.attend(index, &x, &rotations, spans, self.arithmetic)?;
            if index + 1 == self.layers.len() && wanted.len() < x.dim(0)? {
                if wanted.is_empty() {
                    break;
                }
                (x, attended) = (picked(&x, &wanted)?, picked(&attended, &wanted)?);
            }
            x = layer.finish(&x, &attended, self.arithmetic)?;
        }
        let mut logits = if wanted.is_empty() {
            Vec::new()
        } else {
            self.lm_head.forward_one(&self.norm.forward(&x, self.arithmetic)?)?.to_vec2::<f32>()?
        }
        .into_iter();
        Ok(spans
            .iter_mut()
            .map(|span| {
                span.cache.advance(span.rows);
                logits.by_ref().take(span.logits).collect()
            })
            .collect())
    }
}

/// The rows of one sequence within a step.
struct Span<'a> {
    rows: usize,
    cache: &'a mut KvCache,
    /// Of so many of the last rows the logits are wanted.
    logits: usize,
    mask: CausalMask,
}

/// Rows of a step whose logits are wanted: the last ones of each sequence.
fn wanted_rows(spans: &[Span<'_>]) -> Vec<usize> {
    let mut end = 0;
    let mut wanted = Vec::new();
    for span in spans {
        end += span.rows;
        wanted.extend(end - span.logits..end);
    }
    wanted
}

/// Some rows of `x`, in order.
fn picked(x: &Tensor, rows: &[usize]) -> candle_core::Result<Tensor> {
    joined(rows.iter().map(|row| x.narrow(0, *row, 1)).collect::<candle_core::Result<_>>()?)
}

/// Rows below each other; of a single tensor the tensor itself.
fn joined(mut rows: Vec<Tensor>) -> candle_core::Result<Tensor> {
    match rows.len() {
        1 => Ok(rows.remove(0)),
        _ => Tensor::cat(&rows, 0),
    }
}

/// One layer. In the comments: names in safetensors, names in GGUF.
#[derive(Debug)]
struct Layer {
    heads: usize,
    kv_heads: usize,
    /// `input_layernorm`, `attn_norm`
    attention_norm: RmsNorm,
    /// `self_attn.{q,k,v}_proj`, `attn_{q,k,v}`
    qkv: Linear,
    /// `self_attn.q_norm`, `attn_q_norm`; Qwen3 only
    query_norm: Option<RmsNorm>,
    /// `self_attn.k_norm`, `attn_k_norm`; Qwen3 only
    key_norm: Option<RmsNorm>,
    /// `self_attn.o_proj`, `attn_output`
    output: Linear,
    /// `post_attention_layernorm`, `ffn_norm`
    mlp_norm: RmsNorm,
    /// `mlp.{gate,up}_proj`, `ffn_{gate,up}`
    gate_up: Linear,
    /// `mlp.down_proj`, `ffn_down`
    down: Linear,
}

impl Layer {
    /// `x` [n, hidden] → what attention gives for it, [n, heads · head_dim]. Keys and values of the
    /// rows are written behind those in the caches.
    fn attend(
        &self,
        index: usize,
        x: &Tensor,
        rotations: &Rotations,
        spans: &mut [Span<'_>],
        arithmetic: Arithmetic,
    ) -> candle_core::Result<Tensor> {
        let normed = self.attention_norm.forward(x, arithmetic)?;
        let [queries, keys, values] = self.qkv.forward(&normed)?;
        let (heads, kv_heads) = (self.heads, self.kv_heads);
        let (query_norm, key_norm) = (self.query_norm.as_ref(), self.key_norm.as_ref());
        let queries = rows::rotated_heads(&queries, heads, query_norm, rotations, arithmetic)?;
        let keys = rows::rotated_heads(&keys, kv_heads, key_norm, rotations, arithmetic)?;
        let values = values.reshape(keys.shape())?;
        attend(index, &queries, &keys, &values, spans)
    }

    /// `x` [n, hidden] and what attention gave for it → the layer's output, [n, hidden].
    fn finish(&self, x: &Tensor, attended: &Tensor, arithmetic: Arithmetic) -> candle_core::Result<Tensor> {
        let x = (x + self.output.forward_one(attended)?)?;
        let [gate, up] = self.gate_up.forward(&self.mlp_norm.forward(&x, arithmetic)?)?;
        &x + self.down.forward_one(&rows::swiglu(&gate, &up, arithmetic)?)?
    }

    fn bytes(&self) -> u64 {
        self.qkv.bytes() + self.output.bytes() + self.gate_up.bytes() + self.down.bytes()
    }
}
