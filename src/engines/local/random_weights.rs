//! Models of true shape and random weights, to measure speed and memory where no trained ones are at hand.
//!
//! The file is a GGUF that this engine and llama.cpp load. It has no vocabulary: feed it token numbers.
//! What it answers is noise, but its activations are of ordinary size, so nothing overflows or vanishes.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result};
use half::f16;

/// The shape of a model of the Qwen3 family. Its embeddings are its LM head, too.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Layers.
    pub layers: usize,
    /// Width of the rows between layers.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// Positions.
    pub context: usize,
}

impl Shape {
    /// Qwen3-0.6B.
    pub const QWEN3_0_6B: Self = Self {
        layers: 28,
        hidden: 1024,
        feed_forward: 3072,
        heads: 16,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 151_936,
        context: 40_960,
    };

    /// Qwen3-1.7B.
    pub const QWEN3_1_7B: Self = Self { hidden: 2048, feed_forward: 6144, ..Self::QWEN3_0_6B };
}

/// Writes such a model with weights of `dtype` (Q8_0, Q4_0, Q4_K or Q6_K). The same `seed` gives the same
/// file.
///
/// # Errors
/// If the file cannot be written, the type is another, or a width is not a multiple of the type's block.
pub fn write_gguf(path: &Path, shape: Shape, dtype: GgmlDType, seed: u64) -> Result<()> {
    let Shape { hidden, feed_forward, heads, kv_heads, head_dim, .. } = shape;
    let mut random = Random(seed);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), random.matrix(dtype, shape.vocabulary, hidden)?),
        ("output_norm.weight".to_owned(), ones(hidden)?),
    ];
    for layer in 0..shape.layers {
        for (name, rows, cols) in [
            ("attn_q", heads * head_dim, hidden),
            ("attn_k", kv_heads * head_dim, hidden),
            ("attn_v", kv_heads * head_dim, hidden),
            ("attn_output", hidden, heads * head_dim),
            ("ffn_gate", feed_forward, hidden),
            ("ffn_up", feed_forward, hidden),
            ("ffn_down", hidden, feed_forward),
        ] {
            tensors.push((format!("blk.{layer}.{name}.weight"), random.matrix(dtype, rows, cols)?));
        }
        for (name, width) in [
            ("attn_norm", hidden),
            ("ffn_norm", hidden),
            ("attn_q_norm", head_dim),
            ("attn_k_norm", head_dim),
        ] {
            tensors.push((format!("blk.{layer}.{name}.weight"), ones(width)?));
        }
    }
    let count = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
    let metadata = [
        ("general.architecture", Value::String("qwen3".to_owned())),
        ("general.name", Value::String("random weights".to_owned())),
        ("qwen3.block_count", count(shape.layers)),
        ("qwen3.context_length", count(shape.context)),
        ("qwen3.embedding_length", count(hidden)),
        ("qwen3.feed_forward_length", count(feed_forward)),
        ("qwen3.attention.head_count", count(heads)),
        ("qwen3.attention.head_count_kv", count(kv_heads)),
        ("qwen3.attention.key_length", count(head_dim)),
        ("qwen3.attention.value_length", count(head_dim)),
        ("qwen3.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("qwen3.rope.freq_base", Value::F32(1e6)),
        ("qwen3.vocab_size", count(shape.vocabulary)),
        ("tokenizer.ggml.model", Value::String("no_vocab".to_owned())),
    ];
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut BufWriter::new(File::create(path)?), &metadata, &tensors)
}

fn ones(width: usize) -> Result<QTensor> {
    let bytes = 1.0_f32.to_le_bytes().repeat(width);
    QTensor::new(QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, GgmlDType::F32)?, width)
}

/// A 64-bit linear congruential generator (Knuth's MMIX), of which the high bits are used.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    /// Random quants (and scales of runs); the blocks' scales are such that a product of ordinary
    /// activations is ordinary: weights of mean about 0 and deviation about 1 / √cols.
    fn matrix(&mut self, dtype: GgmlDType, rows: usize, cols: usize) -> Result<QTensor> {
        if !cols.is_multiple_of(dtype.block_size()) {
            candle_core::bail!("{cols} columns are not whole blocks of {dtype:?}");
        }
        let scale = 1.0 / (cols as f32).sqrt();
        // Deviation of a weight in units of the block's scale; mean quant of what has minimums.
        let scales: &[(usize, f32)] = match dtype {
            GgmlDType::Q8_0 => &[(0, 1.0 / 74.0)],
            GgmlDType::Q4_0 => &[(0, 1.0 / 4.6)],
            GgmlDType::Q4K => &[(0, 1.0 / 240.0), (2, 7.5 / 240.0)],
            GgmlDType::Q6K => &[(208, 1.0 / 1360.0)],
            _ => candle_core::bail!("no random weights of type {dtype:?}; take Q8_0, Q4_0, Q4_K or Q6_K"),
        };
        let mut blocks = vec![0; rows * cols / dtype.block_size() * dtype.type_size()];
        blocks.fill_with(|| self.byte());
        for block in blocks.chunks_exact_mut(dtype.type_size()) {
            for (at, factor) in scales {
                block[*at..*at + 2].copy_from_slice(&f16::from_f32(scale * factor).to_le_bytes());
            }
        }
        QTensor::new(QStorage::from_data(Cow::Owned(blocks), &Device::Cpu, dtype)?, (rows, cols))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::local::checkpoint::Checkpoint;

    const SMALL: Shape = Shape {
        layers: 2,
        hidden: 256,
        feed_forward: 512,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocabulary: 300,
        context: 512,
    };

    #[test]
    fn random_models_load_and_their_weights_are_of_ordinary_size() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in [GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q6K] {
            let path = folder.path().join("random.gguf");
            write_gguf(&path, SMALL, dtype, 7).unwrap();
            let checkpoint = Checkpoint::open(&path).unwrap();
            let config = checkpoint.decoder_config().unwrap();
            assert_eq!((config.layers, config.vocab_size, config.head_dim), (2, 300, 64));
            let down = checkpoint.tensor("blk.1.ffn_down.weight").unwrap().to_f32().unwrap();
            assert_eq!(down.len(), 256 * 512);
            let mean = down.iter().sum::<f32>() / down.len() as f32;
            let deviation =
                (down.iter().map(|weight| weight * weight).sum::<f32>() / down.len() as f32).sqrt();
            let unit = 1.0 / 512_f32.sqrt();
            assert!(mean.abs() < 0.2 * unit, "{dtype:?}: mean {mean}");
            assert!((0.8..1.25).contains(&(deviation / unit)), "{dtype:?}: deviation {deviation} for {unit}");
        }
        assert!(write_gguf(&folder.path().join("x"), SMALL, GgmlDType::Q2K, 7).is_err());
        let odd = Shape { hidden: 100, ..SMALL };
        assert!(write_gguf(&folder.path().join("x"), odd, GgmlDType::Q4K, 7).is_err());
    }

    #[test]
    fn a_seed_makes_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = |seed| {
            let path = folder.path().join(format!("{seed}.gguf"));
            write_gguf(&path, SMALL, GgmlDType::Q4K, seed).unwrap();
            std::fs::read(path).unwrap()
        };
        assert!(made(1) == made(1));
        assert!(made(1) != made(2));
    }
}
