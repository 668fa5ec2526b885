//! From a checkpoint to the network: names, shapes, order of rows, types.

use bytes::Bytes;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};

use super::arithmetic::Arithmetic;
use super::embedding::Embedding;
use super::kv_cache::KvKind;
use super::linear::{Linear, Part};
use super::rope::Rope;
use super::rows::RmsNorm;
use super::{Decoder, DecoderError, Layer, LoadOptions, WeightType};
use crate::engines::local::checkpoint::{
    Architecture, Checkpoint, CheckpointError, DecoderConfig, Naming, RawTensor,
};

/// What may stand before `layers.0.…` in a folder: alone, as a causal language model, and as the
/// text part of models that see or hear.
const PREFIXES: [&str; 5] =
    ["model.", "", "model.language_model.", "language_model.model.", "thinker.model."];
/// Where the LM head of an untied model is then.
const HEADS: [&str; 3] = ["lm_head.weight", "language_model.lm_head.weight", "thinker.lm_head.weight"];

/// Builds the network. The config's context is cut to `options.max_position`.
pub fn load(
    checkpoint: &Checkpoint,
    device: &Device,
    options: &LoadOptions,
    arithmetic: Arithmetic,
) -> Result<Decoder, DecoderError> {
    let mut config = checkpoint.decoder_config()?;
    if let Some(most) = options.max_position {
        config.max_position = config.max_position.min(most.max(1));
    }
    let tensors = Tensors::new(checkpoint, &config, device, options.weights, arithmetic);
    let embedding = Embedding::new(tensors.embedding()?);
    let layers: Vec<Layer> =
        (0..config.layers).map(|index| tensors.layer(index)).collect::<Result<_, DecoderError>>()?;
    let norm = tensors.norm(tensors.outer("norm.weight", "output_norm.weight"), config.hidden_size)?;
    let head = match tensors.untied_head()? {
        Some(head) => head,
        None => embedding.table().clone(),
    };
    let lm_head = tensors.linear(vec![Part { weight: head, bias: None }])?;
    let kv_dtype = match options.kv_type {
        Some(kv_type) => kv_type.dtype(),
        None if device.is_cpu() && embedding.table().dtype == GgmlDType::F32 => DType::F32,
        None => DType::F16,
    };
    let rope = Rope::new(&config);
    let kv_kind = KvKind::new(&config, kv_dtype, device, arithmetic);
    let device = device.clone();
    Ok(Decoder { config, device, arithmetic, kv_kind, embedding, layers, norm, lm_head, rope })
}

/// A checkpoint's tensors under the names of both families, in the order of rows of ours.
struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a DecoderConfig,
    device: &'a Device,
    weights: WeightType,
    arithmetic: Arithmetic,
    /// Of a folder: what stands before the names.
    prefix: &'static str,
}

impl<'a> Tensors<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        config: &'a DecoderConfig,
        device: &'a Device,
        weights: WeightType,
        arithmetic: Arithmetic,
    ) -> Tensors<'a> {
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| checkpoint.has_tensor(&format!("{prefix}embed_tokens.weight")))
            .unwrap_or(PREFIXES[0]);
        Tensors { checkpoint, config, device, weights, arithmetic, prefix }
    }

    /// Name of a tensor that is in no layer.
    fn outer(&self, hugging_face: &str, gguf: &str) -> String {
        match self.checkpoint.naming() {
            Naming::HuggingFace => format!("{}{hugging_face}", self.prefix),
            Naming::Gguf => gguf.to_owned(),
        }
    }

    /// Name of a layer's tensor, without `.weight` or `.bias`.
    fn inner(&self, layer: usize, hugging_face: &str, gguf: &str) -> String {
        match self.checkpoint.naming() {
            Naming::HuggingFace => format!("{}layers.{layer}.{hugging_face}", self.prefix),
            Naming::Gguf => format!("blk.{layer}.{gguf}"),
        }
    }

    fn embedding(&self) -> Result<RawTensor, CheckpointError> {
        let name = self.outer("embed_tokens.weight", "token_embd.weight");
        self.matrix(&name, self.config.vocab_size, self.config.hidden_size)
    }

    /// The LM head, unless it is the embedding table.
    fn untied_head(&self) -> Result<Option<RawTensor>, CheckpointError> {
        if self.config.tied_embeddings {
            return Ok(None);
        }
        let name = match self.checkpoint.naming() {
            Naming::HuggingFace => {
                HEADS.into_iter().find(|name| self.checkpoint.has_tensor(name)).unwrap_or(HEADS[0])
            }
            Naming::Gguf => "output.weight",
        };
        self.matrix(name, self.config.vocab_size, self.config.hidden_size).map(Some)
    }

    /// One layer. Shapes as in the checkpoint, `[out, in]`.
    fn layer(&self, index: usize) -> Result<Layer, DecoderError> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let name = |hugging_face: &str, gguf: &str| self.inner(index, hugging_face, gguf);
        let norm = |hugging_face: &str, gguf: &str, width: usize| {
            self.norm(format!("{}.weight", name(hugging_face, gguf)), width)
        };
        let head_norm = |hugging_face: &str, gguf: &str| match config.architecture {
            Architecture::Qwen3 => norm(hugging_face, gguf, head_dim).map(Some),
            Architecture::Llama => Ok(None),
        };
        let rotated = |name: String, heads: usize| -> Result<Part, CheckpointError> {
            let part = self.part(&name, [heads * head_dim, hidden], config.qkv_bias)?;
            Ok(if self.has_interleaved_pairs() { in_our_order(part, heads) } else { part })
        };
        Ok(Layer {
            heads,
            kv_heads,
            attention_norm: norm("input_layernorm", "attn_norm", hidden)?,
            qkv: self.linear(vec![
                rotated(name("self_attn.q_proj", "attn_q"), heads)?,
                rotated(name("self_attn.k_proj", "attn_k"), kv_heads)?,
                self.part(
                    &name("self_attn.v_proj", "attn_v"),
                    [kv_heads * head_dim, hidden],
                    config.qkv_bias,
                )?,
            ])?,
            query_norm: head_norm("self_attn.q_norm", "attn_q_norm")?,
            key_norm: head_norm("self_attn.k_norm", "attn_k_norm")?,
            output: self.linear(vec![self.part(
                &name("self_attn.o_proj", "attn_output"),
                [hidden, heads * head_dim],
                config.output_bias,
            )?])?,
            mlp_norm: norm("post_attention_layernorm", "ffn_norm", hidden)?,
            gate_up: self.linear(vec![
                self.part(&name("mlp.gate_proj", "ffn_gate"), [inner, hidden], config.mlp_bias)?,
                self.part(&name("mlp.up_proj", "ffn_up"), [inner, hidden], config.mlp_bias)?,
            ])?,
            down: self.linear(vec![self.part(
                &name("mlp.down_proj", "ffn_down"),
                [hidden, inner],
                config.mlp_bias,
            )?])?,
        })
    }

    /// Whether the file rotates the pairs `(2i, 2i+1)` of a head: GGUF files of Llama do (their
    /// converter permutes the rows of queries and keys), all others `(i, i + head_dim/2)`.
    fn has_interleaved_pairs(&self) -> bool {
        self.checkpoint.naming() == Naming::Gguf && self.config.architecture == Architecture::Llama
    }

    fn linear(&self, parts: Vec<Part>) -> Result<Linear, DecoderError> {
        Ok(Linear::new(parts, self.weights, self.device, self.arithmetic)?)
    }

    fn part(&self, name: &str, [rows, columns]: [usize; 2], bias: bool) -> Result<Part, CheckpointError> {
        let weight = self.matrix(&format!("{name}.weight"), rows, columns)?;
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), rows)?) } else { None };
        Ok(Part { weight, bias })
    }

    fn norm(&self, name: String, width: usize) -> Result<RmsNorm, DecoderError> {
        Ok(RmsNorm::new(self.vector(&name, width)?, self.config.rms_norm_eps, self.device)?)
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<RawTensor, CheckpointError> {
        self.shaped(name, &[rows, columns])
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, CheckpointError> {
        let raw = self.shaped(name, &[length])?;
        raw.to_f32().map_err(|error| self.wrong(name, error.to_string()))
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<RawTensor, CheckpointError> {
        let raw = self.checkpoint.tensor(name)?;
        if raw.shape != shape {
            return Err(self.wrong(name, format!("has the shape {:?}, the config says {shape:?}", raw.shape)));
        }
        Ok(raw)
    }

    fn wrong(&self, name: &str, message: String) -> CheckpointError {
        CheckpointError::damaged(self.checkpoint.path(), format!("tensor {name}"), message)
    }
}

/// Brings the rows of interleaved pairs, `[head][pair][2]`, into our order, `[head][2][pair]`. Whole
/// rows move, so this works on blocks of any type.
fn in_our_order(part: Part, heads: usize) -> Part {
    let row_bytes = part.weight.row_bytes();
    let order = our_order(part.weight.rows(), heads);
    let mut data = Vec::with_capacity(part.weight.data.len());
    for &row in &order {
        data.extend_from_slice(&part.weight.data[row * row_bytes..][..row_bytes]);
    }
    let bias = part.bias.map(|bias| order.iter().map(|&row| bias[row]).collect());
    Part { weight: RawTensor { data: Bytes::from(data), ..part.weight }, bias }
}

/// For each row of ours, the row in the file.
fn our_order(rows: usize, heads: usize) -> Vec<usize> {
    let head_dim = rows / heads;
    let pairs = head_dim / 2;
    (0..rows)
        .map(|row| {
            let (head, half, pair) = (row / head_dim, row % head_dim / pairs, row % pairs);
            head * head_dim + pair * 2 + half
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::our_order;

    #[test]
    fn interleaved_pairs_come_into_the_order_of_halves() {
        // Two heads of six columns, so three pairs each.
        assert_eq!(our_order(12, 2), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
