//! The decoder's settings in a GGUF file's metadata (`qwen3.*`, `llama.*`).
//!
//! Some of what Hugging Face's config says stands nowhere here and is read off the tensors: the
//! size of the vocabulary, whether there are biases, whether the embeddings are tied.

use super::super::gguf::Gguf;
use super::{Architecture, CheckpointError, DecoderConfig, RopeScaling};

/// Reads the settings.
pub fn read(file: &Gguf) -> Result<DecoderConfig, CheckpointError> {
    let metadata = file.metadata();
    let path = file.path();
    let (architecture, prefix) = match metadata.text("general.architecture")? {
        Some(name @ "qwen3") => (Architecture::Qwen3, name),
        Some(name @ "llama") => (Architecture::Llama, name),
        Some(other) => {
            return Err(CheckpointError::unsupported(
                path,
                "general.architecture",
                format!("is {other}; supported are qwen3 (dense) and llama"),
            ));
        }
        None => return Err(CheckpointError::damaged(path, "general.architecture", "is not there")),
    };
    let key = |name: &str| format!("{prefix}.{name}");
    let optional = |name: &str| -> Result<Option<usize>, CheckpointError> {
        let count = metadata.count(&key(name))?;
        count
            .map(|count| {
                usize::try_from(count)
                    .map_err(|_| CheckpointError::damaged(path, key(name), format!("is {count}")))
            })
            .transpose()
    };
    let required = |name: &str| -> Result<usize, CheckpointError> {
        optional(name)?.ok_or_else(|| CheckpointError::damaged(path, key(name), "is not there"))
    };
    let unsupported = |name: &str, message: String| {
        Err::<DecoderConfig, _>(CheckpointError::unsupported(path, key(name), message))
    };

    if let Some(experts) = optional("expert_count")?.filter(|experts| *experts > 0) {
        return unsupported("expert_count", format!("is {experts}: mixtures of experts are not supported"));
    }
    if let Some(window) = optional("attention.sliding_window")?.filter(|window| *window > 0) {
        return unsupported(
            "attention.sliding_window",
            format!("is {window}: attention within a window is not supported"),
        );
    }
    let hidden_size = required("embedding_length")?;
    let heads = required("attention.head_count")?;
    if heads == 0 {
        return Err(CheckpointError::damaged(path, key("attention.head_count"), "is 0"));
    }
    let head_dim = optional("attention.key_length")?.unwrap_or(hidden_size / heads);
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = optional(name)?.filter(|other| *other != head_dim) {
            return unsupported(
                name,
                format!("is {other} where keys are {head_dim} wide; both must be equal"),
            );
        }
    }
    let embedding = file.tensor("token_embd.weight")?;
    let eps = key("attention.layer_norm_rms_epsilon");
    let rms_norm_eps =
        metadata.number(&eps)?.ok_or_else(|| CheckpointError::damaged(path, eps, "is not there"))?;

    DecoderConfig {
        architecture,
        vocab_size: embedding.rows(),
        hidden_size,
        intermediate_size: required("feed_forward_length")?,
        layers: required("block_count")?,
        heads,
        kv_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        max_position: required("context_length")?,
        rms_norm_eps: rms_norm_eps as f32,
        rope_theta: metadata.number(&key("rope.freq_base"))?.unwrap_or(10_000.0) as f32,
        rope_scaling: rope_scaling(file, prefix)?,
        tied_embeddings: !file.has_tensor("output.weight"),
        qkv_bias: file.has_tensor("blk.0.attn_q.bias"),
        output_bias: file.has_tensor("blk.0.attn_output.bias"),
        mlp_bias: file.has_tensor("blk.0.ffn_gate.bias"),
        eos: end_tokens(file)?,
        bos: token(file, "tokenizer.ggml.bos_token_id")?,
    }
    .checked(path)
}

fn rope_scaling(file: &Gguf, prefix: &str) -> Result<RopeScaling, CheckpointError> {
    let metadata = file.metadata();
    let kind = format!("{prefix}.rope.scaling.type");
    // The two keys that files had before `rope.scaling.type`.
    let factor = match metadata.number(&format!("{prefix}.rope.scaling.factor"))? {
        Some(factor) => Some(factor),
        None => metadata.number(&format!("{prefix}.rope.scale_linear"))?,
    };
    match (metadata.text(&kind)?, factor) {
        (Some("linear"), Some(factor)) => return Ok(RopeScaling::Linear { factor: factor as f32 }),
        (Some("none") | None, None) => {}
        (None, Some(factor)) if factor == 1.0 || factor == 0.0 => {}
        (None, Some(factor)) => return Ok(RopeScaling::Linear { factor: factor as f32 }),
        (Some("none"), Some(_)) => {}
        (Some(other), _) => {
            return Err(CheckpointError::unsupported(
                file.path(),
                kind,
                format!("is {other}; supported are none, linear, and factors in rope_freqs.weight"),
            ));
        }
    }
    if !file.has_tensor("rope_freqs.weight") {
        return Ok(RopeScaling::None);
    }
    let factors = file.tensor("rope_freqs.weight")?;
    let numbers = factors.to_f32().map_err(|error| {
        CheckpointError::damaged(file.path(), "tensor rope_freqs.weight", error.to_string())
    })?;
    Ok(RopeScaling::Factors(numbers))
}

/// `eos` ends a text, `eot` a turn and `eom` a message; a reply ends with any of them.
fn end_tokens(file: &Gguf) -> Result<Vec<u32>, CheckpointError> {
    let mut ids = Vec::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        ids.extend(token(file, key)?.filter(|id| !ids.contains(id)));
    }
    Ok(ids)
}

fn token(file: &Gguf, key: &str) -> Result<Option<u32>, CheckpointError> {
    match file.metadata().count(key)? {
        None => Ok(None),
        Some(id) => match u32::try_from(id) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(CheckpointError::damaged(file.path(), key, format!("is {id}"))),
        },
    }
}
