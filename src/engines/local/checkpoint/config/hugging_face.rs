//! The decoder's settings in a `config.json`: the old style (`rope_theta` and `rope_scaling` at the
//! top) and that of transformers 5 (`rope_parameters`), also nested under `text_config`, and that under
//! `thinker_config`, as models have it that hear.
//!
//! Defaults are those of transformers 5.23 (`Qwen3Config`, `LlamaConfig`, `MistralConfig`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::safetensors::SafetensorsFolder;
use super::{Architecture, CheckpointError, DecoderConfig, RopeScaling};

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";

/// Reads the settings.
pub fn read(folder: &SafetensorsFolder) -> Result<DecoderConfig, CheckpointError> {
    let path = folder.path().join(CONFIG);
    let config = folder.json(CONFIG)?.ok_or_else(|| CheckpointError::Unreadable {
        path: path.clone(),
        source: std::io::ErrorKind::NotFound.into(),
        remedy: "fetch the model's config.json too",
    })?;
    parse(&path, &config, folder.json(GENERATION_CONFIG)?.as_ref())
}

/// Reads the settings from what is in `config.json`, and in `generation_config.json` if there is one.
pub fn parse(
    path: &Path,
    config: &Value,
    generation: Option<&Value>,
) -> Result<DecoderConfig, CheckpointError> {
    let path = path.to_owned();
    let mut keys = Keys { path, prefix: String::new(), object: config };
    let mut tied_embeddings = keys.flag("tie_word_embeddings")?;
    for part in ["thinker_config", "text_config"] {
        if let Some(object) = keys.get(part).filter(|part| part.is_object()) {
            keys = Keys { path: keys.path, prefix: format!("{}{part}.", keys.prefix), object };
            tied_embeddings = keys.flag("tie_word_embeddings")?.or(tied_embeddings);
        }
    }
    let architecture = architecture(&keys, config)?;
    refuse_unsupported(&keys)?;

    let hidden_size = keys.required("hidden_size")?;
    let heads = keys.required("num_attention_heads")?;
    if heads == 0 {
        return Err(keys.damaged("num_attention_heads", "is 0"));
    }
    let default_head_dim = match architecture {
        Architecture::Qwen3 => 128,
        Architecture::Llama => hidden_size / heads,
    };
    let attention_bias = keys.flag("attention_bias")?.unwrap_or(false);
    let (rope_theta, rope_scaling) = rope(&keys)?;
    let mut eos = Vec::new();
    if let Some(generation) = generation {
        let path = keys.path.with_file_name(GENERATION_CONFIG);
        Keys { path, prefix: String::new(), object: generation }.tokens("eos_token_id", &mut eos)?;
    }
    keys.tokens("eos_token_id", &mut eos)?;
    let mut bos = Vec::new();
    keys.tokens("bos_token_id", &mut bos)?;

    DecoderConfig {
        architecture,
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.required("intermediate_size")?,
        layers: keys.required("num_hidden_layers")?,
        heads,
        kv_heads: keys.count("num_key_value_heads")?.unwrap_or(heads),
        head_dim: keys.count("head_dim")?.unwrap_or(default_head_dim),
        max_position: keys.required("max_position_embeddings")?,
        rms_norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope_theta,
        rope_scaling,
        // Speech models of transformers are tied unless they say otherwise.
        tied_embeddings: tied_embeddings.unwrap_or(is_asr(config)),
        qkv_bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: keys.flag("mlp_bias")?.unwrap_or(false),
        eos,
        bos: bos.first().copied(),
    }
    .checked(&keys.path)
}

fn is_asr(config: &Value) -> bool {
    config.get("model_type").and_then(Value::as_str) == Some("qwen3_asr")
}

fn architecture(keys: &Keys<'_>, whole: &Value) -> Result<Architecture, CheckpointError> {
    // The class says most exactly what the model is; a nested config has only a type.
    let class = whole.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str);
    match class {
        Some("Qwen3ForCausalLM") => return Ok(Architecture::Qwen3),
        Some("LlamaForCausalLM" | "MistralForCausalLM") => return Ok(Architecture::Llama),
        Some(other) if keys.prefix.is_empty() => {
            return Err(CheckpointError::unsupported(
                &keys.path,
                "architectures",
                format!(
                    "is {other}; supported are Qwen3ForCausalLM, LlamaForCausalLM and MistralForCausalLM"
                ),
            ));
        }
        _ => {}
    }
    match keys.get("model_type").and_then(Value::as_str) {
        Some("qwen3" | "qwen3_text" | "qwen3_asr_text") => Ok(Architecture::Qwen3),
        Some("llama" | "mistral") => Ok(Architecture::Llama),
        other => Err(keys.unsupported(
            "model_type",
            format!("is {}; supported are qwen3, llama and mistral", other.unwrap_or("not there")),
        )),
    }
}

/// Errors for settings that change the network in ways that ours does not follow.
fn refuse_unsupported(keys: &Keys<'_>) -> Result<(), CheckpointError> {
    for key in ["num_experts", "num_local_experts", "n_routed_experts"] {
        if let Some(experts) = keys.count(key)?.filter(|experts| *experts > 0) {
            return Err(keys.unsupported(key, format!("is {experts}: mixtures of experts are not supported")));
        }
    }
    // Qwen3 names a window and then does not use it; Mistral has no such switch.
    let window = keys.count("sliding_window")?;
    let used = keys.flag("use_sliding_window")?.unwrap_or(window.is_some());
    if let Some(window) = window.filter(|_| used) {
        return Err(keys.unsupported(
            "sliding_window",
            format!("is {window}: attention within a window is not supported"),
        ));
    }
    if let Some(types) = keys.get("layer_types").and_then(Value::as_array)
        && let Some(other) = types.iter().find(|kind| kind.as_str() != Some("full_attention"))
    {
        return Err(keys.unsupported("layer_types", format!("has {other}; supported is full_attention")));
    }
    if let Some(activation) = keys.get("hidden_act").and_then(Value::as_str).filter(|name| *name != "silu") {
        return Err(keys.unsupported("hidden_act", format!("is {activation}; supported is silu")));
    }
    if keys.get("quantization_config").is_some_and(|config| !config.is_null()) {
        return Err(keys.unsupported(
            "quantization_config",
            "is set: quantised safetensors are not supported; use the BF16 model, or a GGUF file",
        ));
    }
    Ok(())
}

/// Base and stretching of the rotation.
fn rope(keys: &Keys<'_>) -> Result<(f32, RopeScaling), CheckpointError> {
    let section = |name: &str| {
        keys.get(name).filter(|value| value.is_object()).map(|object| Keys {
            path: keys.path.clone(),
            prefix: format!("{}{name}.", keys.prefix),
            object,
        })
    };
    let parameters = section("rope_parameters");
    let theta = match &parameters {
        Some(parameters) => parameters.number("rope_theta")?,
        None => None,
    };
    let theta = match theta {
        Some(theta) => theta,
        None => keys.number("rope_theta")?.unwrap_or(10_000.0),
    } as f32;
    let (scaling, default_kind) = match (parameters, section("rope_scaling")) {
        (Some(parameters), _) => (parameters, Some("default")),
        (None, Some(scaling)) => (scaling, None),
        (None, None) => return Ok((theta, RopeScaling::None)),
    };
    if let Some(share) = scaling.number("partial_rotary_factor")?.filter(|share| *share != 1.0) {
        return Err(scaling
            .unsupported("partial_rotary_factor", format!("is {share}: only whole heads can be rotated")));
    }
    let kind_key = if scaling.get("rope_type").is_some() { "rope_type" } else { "type" };
    let required = |key: &str| -> Result<f32, CheckpointError> {
        let number = scaling.number(key)?.ok_or_else(|| scaling.damaged(key, "is not there"))?;
        Ok(number as f32)
    };
    let stretching = match scaling.get(kind_key).and_then(Value::as_str).or(default_kind) {
        None => return Err(scaling.damaged("rope_type", "is not there")),
        Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: required("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: required("factor")?,
            low_freq_factor: required("low_freq_factor")?,
            high_freq_factor: required("high_freq_factor")?,
            original_max_position: required("original_max_position_embeddings")?,
        },
        Some(other) => {
            return Err(scaling
                .unsupported(kind_key, format!("is {other}; supported are default, linear and llama3")));
        }
    };
    Ok((theta, stretching))
}

/// An object in a JSON file, whose getters name file and key in their errors. What is null is as
/// good as not there.
struct Keys<'a> {
    path: PathBuf,
    /// Keys of the objects around, each with a dot behind.
    prefix: String,
    object: &'a Value,
}

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &str) -> Result<usize, CheckpointError> {
        self.count(key)?.ok_or_else(|| self.damaged(key, "is not there"))
    }

    fn count(&self, key: &str) -> Result<Option<usize>, CheckpointError> {
        self.read(key, "a whole number of at least 0", |value| {
            value.as_u64().and_then(|count| usize::try_from(count).ok())
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.read(key, "a number", Value::as_f64)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// Adds the ids of one token or several that are not in `ids` yet.
    fn tokens(&self, key: &str, ids: &mut Vec<u32>) -> Result<(), CheckpointError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let read = self.read(key, "a token id or a list of them", |value| match value.as_array() {
            Some(list) => list.iter().map(id).collect(),
            None => id(value).map(|id| vec![id]),
        })?;
        for id in read.unwrap_or_default() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.damaged(key, format!("is {}, not {wanted}", shortened(value)))),
        }
    }

    fn damaged(&self, key: &str, message: impl Into<String>) -> CheckpointError {
        CheckpointError::damaged(&self.path, format!("{}{key}", self.prefix), message)
    }

    fn unsupported(&self, key: &str, message: impl Into<String>) -> CheckpointError {
        CheckpointError::unsupported(&self.path, format!("{}{key}", self.prefix), message)
    }
}

/// A value as JSON, cut to a length that fits into a message.
fn shortened(value: &Value) -> String {
    const MOST_CHARACTERS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
