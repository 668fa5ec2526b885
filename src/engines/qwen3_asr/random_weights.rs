//! Models of the published shapes with random weights, to measure speed and memory where no trained ones are
//! at hand.
//!
//! The folder is laid out as Qwen publishes it. It has no tokenizer: feed it token numbers. What it answers
//! is noise, but its activations are of ordinary size, so nothing overflows or vanishes.

use std::path::Path;
use std::{fs, io};

use half::bf16;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

use super::config::{Qwen3AsrConfig, TowerConfig};
use super::layout::Layout;
use crate::engines::local::checkpoint::{Architecture, DecoderConfig, RopeScaling};
use crate::engines::local::text::SplitMix64;

/// The published models by the ends of their names in the manifest.
pub const SIZES: [&str; 2] = ["0.6b", "1.7b"];

/// The shape of a published model.
pub fn published(size: &str) -> Option<Qwen3AsrConfig> {
    let (width, layers, heads, inner, hidden, text_inner) = match size {
        "0.6b" => (896, 18, 14, 3584, 1024, 3072),
        "1.7b" => (1024, 24, 16, 4096, 2048, 6144),
        _ => return None,
    };
    let tower = TowerConfig {
        num_mel_bins: 128,
        d_model: width,
        encoder_layers: layers,
        encoder_attention_heads: heads,
        encoder_ffn_dim: inner,
        downsample_hidden_size: 480,
        output_dim: hidden,
        n_window: 50,
        n_window_infer: 800,
        scale_embedding: false,
        activation_function: "gelu".to_owned(),
    };
    let text = DecoderConfig {
        architecture: Architecture::Qwen3,
        vocab_size: 151_936,
        hidden_size: hidden,
        intermediate_size: text_inner,
        layers: 28,
        heads: 16,
        kv_heads: 8,
        head_dim: 128,
        max_position: 65_536,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: RopeScaling::None,
        tied_embeddings: true,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        eos: vec![151_643, 151_645],
        bos: None,
    };
    Some(Qwen3AsrConfig { tower, text, audio_token: 151_676 })
}

/// Writes `config.json` and `model.safetensors` (16 bits) into a folder that is there. The same `seed` gives
/// the same files. All weights are in memory at the same time: twice the parameters' number, in bytes.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, config: &Qwen3AsrConfig, seed: u64) -> io::Result<()> {
    fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&json_of(config)?)?)?;
    let mut random = SplitMix64::new(seed);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Layout::Original
        .tensors(config)
        .into_iter()
        .map(|(name, shape)| {
            let numbers = numbers(&name, &shape, &mut random);
            (name, shape, numbers)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::BF16, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_, _>>().map_err(io::Error::other)?;
    serialize_to_file(views, None, &folder.join("model.safetensors")).map_err(io::Error::other)
}

fn json_of(config: &Qwen3AsrConfig) -> serde_json::Result<Value> {
    let text = &config.text;
    Ok(json!({
        "architectures": ["Qwen3ASRForConditionalGeneration"],
        "model_type": "qwen3_asr",
        "thinker_config": {
            "audio_token_id": config.audio_token,
            "audio_config": serde_json::to_value(&config.tower)?,
            "text_config": {
                "model_type": "qwen3_asr_text",
                "vocab_size": text.vocab_size,
                "hidden_size": text.hidden_size,
                "intermediate_size": text.intermediate_size,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "head_dim": text.head_dim,
                "max_position_embeddings": text.max_position,
                "rms_norm_eps": text.rms_norm_eps,
                "rope_theta": text.rope_theta,
                "tie_word_embeddings": true,
                "eos_token_id": text.eos,
            },
        },
    }))
}

/// Gains are one, biases small, and all else such that ordinary rows give ordinary products.
fn numbers(name: &str, shape: &[usize], random: &mut SplitMix64) -> Vec<u8> {
    let is_gain = shape.len() == 1 && name.ends_with(".weight");
    let inputs: usize = shape[1..].iter().product();
    // An even distribution from −√3 to √3 has a deviation of 1.
    let reach = if shape.len() == 1 { 0.02 } else { 3.0_f64.sqrt() / (inputs as f64).sqrt() };
    let count: usize = shape.iter().product();
    let number = |_| {
        let number = if is_gain { 1.0 } else { (2.0 * random.next_unit() - 1.0) * reach };
        bf16::from_f64(number).to_le_bytes()
    };
    (0..count).flat_map(number).collect()
}
