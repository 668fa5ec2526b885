//! Phonemes, pitch and energy of each frame → what the generator makes sound of.
//!
//! Reference: `Decoder` of kokoro 0.9.4, whose widths (1024 and 64) are read from the weights.

use candle_core::Tensor;

use super::generator::{Check, Generator};
use super::layers::{Conv, StyledBlock};
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::kokoro::settings::Settings;

type Result<T> = std::result::Result<T, KokoroError>;

/// Blocks of the decoder; the last one doubles the frames.
const BLOCKS: usize = 4;

/// The decoder with its generator.
pub struct Decoder {
    encode: StyledBlock,
    decode: Vec<StyledBlock>,
    pitch: Conv,
    energy: Conv,
    residual: Conv,
    /// The vocoder behind it.
    pub generator: Generator,
}

impl Decoder {
    /// Of the part `decoder`.
    pub fn load(weights: &Weights<'_>, settings: &Settings) -> Result<Decoder> {
        let (width, style) = (settings.hidden_dim, settings.style_dim);
        let outputs =
            |name: &str| weights.pp(name).shape("weight_v").and_then(|shape| shape.first().copied());
        let inner = outputs("encode.conv1").unwrap_or(1024);
        let residual = outputs("asr_res.0").unwrap_or(64);
        let mut decode = vec![];
        for at in 0..BLOCKS {
            let last = at + 1 == BLOCKS;
            let outputs = if last { settings.istftnet.upsample_initial_channel } else { inner };
            let block = weights.pp(format!("decode.{at}"));
            decode.push(StyledBlock::load(&block, inner + 2 + residual, outputs, style, last)?);
        }
        let asr = weights.pp("asr_res.0");
        Ok(Decoder {
            encode: StyledBlock::load(&weights.pp("encode"), width + 2, inner, style, false)?,
            decode,
            pitch: Conv::halving(&weights.pp("F0_conv"))?,
            energy: Conv::halving(&weights.pp("N_conv"))?,
            residual: Conv::normed(&asr, width, residual, 1, 1)?,
            generator: Generator::load(&weights.pp("generator"), settings)?,
        })
    }

    /// text [1, width, frames], curves [2 · frames] → [1, channels, 2 · frames]
    pub fn forward(
        &self,
        text: &Tensor,
        pitch: &Tensor,
        energy: &Tensor,
        style: &Tensor,
        check: Check<'_>,
    ) -> Result<Tensor> {
        let curve = |conv: &Conv, curve: &Tensor| conv.forward(&curve.reshape((1, 1, ()))?);
        let (pitch, energy) = (curve(&self.pitch, pitch)?, curve(&self.energy, energy)?);
        let mut x = self.encode.forward(&Tensor::cat(&[text, &pitch, &energy], 1)?, style)?;
        let residual = self.residual.forward(text)?;
        for block in &self.decode {
            check()?;
            x = block.forward(&Tensor::cat(&[&x, &residual, &pitch, &energy], 1)?, style)?;
        }
        Ok(x)
    }
}
