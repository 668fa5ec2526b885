//! From a folder to the network: names, shapes, types.

use super::decoder::{Decoder, DecoderLayer};
use super::encoder::{Convolution, Encoder, EncoderLayer, KERNEL};
use super::layers::{FeedForward, LayerNorm, Linear};
use crate::config::WhisperWeights;
use crate::engines::local::checkpoint::{CheckpointError, RawTensor, SafetensorsFolder};
use crate::engines::whisper::config::WhisperConfig;
use crate::engines::whisper::layout;

pub(super) fn load(
    folder: &SafetensorsFolder,
    config: &WhisperConfig,
    precision: WhisperWeights,
) -> Result<(Encoder, Decoder), CheckpointError> {
    layout::check(folder, config)?;
    let tensors = Tensors { folder, prefix: layout::prefix(folder), precision };
    Ok((tensors.encoder(config)?, tensors.decoder(config)?))
}

/// A folder whose names and shapes have been checked.
struct Tensors<'a> {
    folder: &'a SafetensorsFolder,
    prefix: &'static str,
    precision: WhisperWeights,
}

impl Tensors<'_> {
    fn encoder(&self, config: &WhisperConfig) -> Result<Encoder, CheckpointError> {
        Ok(Encoder {
            heads: config.encoder_attention_heads,
            first: self.convolution("encoder.conv1", 1)?,
            second: self.convolution("encoder.conv2", 2)?,
            positions: self.numbers("encoder.embed_positions.weight")?,
            layers: (0..config.encoder_layers)
                .map(|index| self.encoder_layer(&format!("encoder.layers.{index}")))
                .collect::<Result<_, _>>()?,
            norm: self.norm("encoder.layer_norm")?,
        })
    }

    fn encoder_layer(&self, name: &str) -> Result<EncoderLayer, CheckpointError> {
        Ok(EncoderLayer {
            norm: self.norm(&format!("{name}.self_attn_layer_norm"))?,
            query: self.linear(&format!("{name}.self_attn.q_proj"))?,
            key: self.linear_without_bias(&format!("{name}.self_attn.k_proj"))?,
            value: self.linear(&format!("{name}.self_attn.v_proj"))?,
            output: self.linear(&format!("{name}.self_attn.out_proj"))?,
            feed_forward: self.feed_forward(name)?,
        })
    }

    fn decoder(&self, config: &WhisperConfig) -> Result<Decoder, CheckpointError> {
        let head = layout::untied_head(self.folder, config);
        Ok(Decoder {
            heads: config.decoder_attention_heads,
            head_dim: config.d_model / config.decoder_attention_heads,
            half_precision: self.precision == WhisperWeights::Int8,
            positions: self.numbers("decoder.embed_positions.weight")?,
            layers: (0..config.decoder_layers)
                .map(|index| self.decoder_layer(&format!("decoder.layers.{index}")))
                .collect::<Result<_, _>>()?,
            norm: self.norm("decoder.layer_norm")?,
            embedding: self.linear_without_bias("decoder.embed_tokens")?,
            untied_head: head.map(|name| self.packed(&self.folder.tensor(name)?, None)).transpose()?,
        })
    }

    fn decoder_layer(&self, name: &str) -> Result<DecoderLayer, CheckpointError> {
        Ok(DecoderLayer {
            own_norm: self.norm(&format!("{name}.self_attn_layer_norm"))?,
            own_query: self.linear(&format!("{name}.self_attn.q_proj"))?,
            own_key: self.linear_without_bias(&format!("{name}.self_attn.k_proj"))?,
            own_value: self.linear(&format!("{name}.self_attn.v_proj"))?,
            own_output: self.linear(&format!("{name}.self_attn.out_proj"))?,
            audio_norm: self.norm(&format!("{name}.encoder_attn_layer_norm"))?,
            audio_query: self.linear(&format!("{name}.encoder_attn.q_proj"))?,
            audio_key: self.linear_without_bias(&format!("{name}.encoder_attn.k_proj"))?,
            audio_value: self.linear(&format!("{name}.encoder_attn.v_proj"))?,
            audio_output: self.linear(&format!("{name}.encoder_attn.out_proj"))?,
            feed_forward: self.feed_forward(name)?,
        })
    }

    fn feed_forward(&self, name: &str) -> Result<FeedForward, CheckpointError> {
        Ok(FeedForward {
            norm: self.norm(&format!("{name}.final_layer_norm"))?,
            up: self.linear(&format!("{name}.fc1"))?,
            down: self.linear(&format!("{name}.fc2"))?,
        })
    }

    fn norm(&self, name: &str) -> Result<LayerNorm, CheckpointError> {
        let part = |part: &str| self.numbers(&format!("{name}.{part}"));
        Ok(LayerNorm { weight: part("weight")?, bias: part("bias")? })
    }

    fn linear(&self, name: &str) -> Result<Linear, CheckpointError> {
        let bias = self.numbers(&format!("{name}.bias"))?;
        self.packed(&self.tensor(&format!("{name}.weight"))?, Some(bias))
    }

    fn linear_without_bias(&self, name: &str) -> Result<Linear, CheckpointError> {
        self.packed(&self.tensor(&format!("{name}.weight"))?, None)
    }

    /// `[out, in, 3]` to `[out, 3, in]`. The first one, whose input has a wide range and few columns, stays
    /// exact: it takes no time.
    fn convolution(&self, name: &str, stride: usize) -> Result<Convolution, CheckpointError> {
        let raw = self.tensor(&format!("{name}.weight"))?;
        let (outputs, inputs) = (raw.shape[0], raw.shape[1]);
        let weights = self.widened(&raw)?;
        let mut turned = Vec::with_capacity(weights.len());
        for output in weights.chunks_exact(inputs * KERNEL) {
            for at in 0..KERNEL {
                turned.extend(output.chunks_exact(KERNEL).map(|taps| taps[at]));
            }
        }
        let eight_bits = stride != 1 && self.precision == WhisperWeights::Int8;
        let bias = Some(self.numbers(&format!("{name}.bias"))?);
        let linear = Linear::new(turned, [outputs, inputs * KERNEL], bias, eight_bits)
            .map_err(|error| self.wrong(&raw.name, error.to_string()))?;
        Ok(Convolution { linear, inputs, stride })
    }

    fn packed(&self, raw: &RawTensor, bias: Option<Vec<f32>>) -> Result<Linear, CheckpointError> {
        let eight_bits = self.precision == WhisperWeights::Int8;
        Linear::new(self.widened(raw)?, [raw.rows(), raw.columns()], bias, eight_bits)
            .map_err(|error| self.wrong(&raw.name, error.to_string()))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        self.widened(&self.tensor(name)?)
    }

    fn tensor(&self, name: &str) -> Result<RawTensor, CheckpointError> {
        self.folder.tensor(&format!("{}{name}", self.prefix))
    }

    fn widened(&self, raw: &RawTensor) -> Result<Vec<f32>, CheckpointError> {
        raw.to_f32().map_err(|error| self.wrong(&raw.name, error.to_string()))
    }

    fn wrong(&self, name: &str, message: String) -> CheckpointError {
        let place = format!("tensor {name}");
        CheckpointError::Damaged { path: self.folder.path().to_owned(), place, message }
    }
}
