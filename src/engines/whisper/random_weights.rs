//! Models of the published shapes with random weights, to measure speed and memory where no trained ones are
//! at hand.
//!
//! The folder is what Hugging Face's libraries load, too. It has no tokenizer: feed it token numbers. What it
//! answers is noise, but its activations are of ordinary size, so nothing overflows or vanishes.

use std::fs;
use std::io;
use std::path::Path;

use half::f16;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::config::WhisperConfig;
use super::layout;
use crate::engines::local::text::SplitMix64;

/// The published models by their names in the manifest.
pub const SIZES: &[(&str, Shape)] = &[
    ("whisper-tiny", Shape::even(384, 4, 6)),
    ("whisper-base", Shape::even(512, 6, 8)),
    ("whisper-small", Shape::even(768, 12, 12)),
    ("whisper-medium", Shape::even(1024, 24, 16)),
    ("whisper-large-v3", LARGE_V3),
    ("whisper-large-v3-turbo", Shape { decoder_layers: 4, ..LARGE_V3 }),
    ("distil-whisper-large-v3", Shape { decoder_layers: 2, ..LARGE_V3 }),
    ("whisper-tiny.en", Shape { vocabulary: ENGLISH_ONLY, ..Shape::even(384, 4, 6) }),
    ("whisper-base.en", Shape { vocabulary: ENGLISH_ONLY, ..Shape::even(512, 6, 8) }),
    ("whisper-small.en", Shape { vocabulary: ENGLISH_ONLY, ..Shape::even(768, 12, 12) }),
    (
        "distil-whisper-small.en",
        Shape { vocabulary: ENGLISH_ONLY, decoder_layers: 4, ..Shape::even(768, 12, 12) },
    ),
];

const MULTILINGUAL: usize = 51_865;
const ENGLISH_ONLY: usize = 51_864;
/// 128 bins and a hundredth language.
const LARGE_V3: Shape = Shape { bins: 128, vocabulary: 51_866, ..Shape::even(1280, 32, 20) };

/// What differs between the published models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Width of the rows between layers; inside the feed-forward parts it is four times that.
    pub width: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Heads of 64.
    pub heads: usize,
    /// Values of a mel frame.
    pub bins: usize,
    /// Tokens.
    pub vocabulary: usize,
}

impl Shape {
    const fn even(width: usize, layers: usize, heads: usize) -> Shape {
        Shape {
            width,
            encoder_layers: layers,
            decoder_layers: layers,
            heads,
            bins: 80,
            vocabulary: MULTILINGUAL,
        }
    }

    /// The shape of a published model.
    pub fn of(name: &str) -> Option<Shape> {
        SIZES.iter().find(|(size, _)| *size == name).map(|(_, shape)| *shape)
    }

    /// As `config.json` has it.
    pub fn config(self) -> WhisperConfig {
        WhisperConfig {
            vocab_size: self.vocabulary,
            num_mel_bins: self.bins,
            d_model: self.width,
            encoder_layers: self.encoder_layers,
            encoder_attention_heads: self.heads,
            encoder_ffn_dim: 4 * self.width,
            decoder_layers: self.decoder_layers,
            decoder_attention_heads: self.heads,
            decoder_ffn_dim: 4 * self.width,
            max_source_positions: 1500,
            max_target_positions: 448,
            tie_word_embeddings: true,
            activation_function: "gelu".to_owned(),
        }
    }
}

/// Writes `config.json` and `model.safetensors` (16 bits) into a folder that is there. The same `seed` gives
/// the same files.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, config: &WhisperConfig, seed: u64) -> io::Result<()> {
    let mut json = serde_json::to_value(config)?;
    json["model_type"] = "whisper".into();
    fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&json)?)?;
    let mut random = SplitMix64::new(seed);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layout::tensors(config)
        .into_iter()
        .map(|(name, shape)| {
            let numbers = numbers(&name, &shape, &mut random);
            (format!("model.{name}"), shape, numbers)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F16, shape.clone(), bytes).map(|view| (name.clone(), view))
    });
    let views: Vec<(String, TensorView)> = views.collect::<Result<_, _>>().map_err(io::Error::other)?;
    serialize_to_file(views, None, &folder.join("model.safetensors")).map_err(io::Error::other)
}

/// Gains are one, biases small, and all else such that ordinary rows give ordinary products.
fn numbers(name: &str, shape: &[usize], random: &mut SplitMix64) -> Vec<u8> {
    let is_gain = name.ends_with("layer_norm.weight");
    let inputs: usize = shape[1..].iter().product();
    // An even distribution from −√3 to √3 has a deviation of 1.
    let reach = match shape.len() {
        1 => 0.02,
        _ => 3.0_f64.sqrt() / (inputs as f64).sqrt(),
    };
    let count: usize = shape.iter().product();
    let number = |_| {
        let number = if is_gain { 1.0 } else { (2.0 * random.next_unit() - 1.0) * reach };
        f16::from_f64(number).to_le_bytes()
    };
    (0..count).flat_map(number).collect()
}
