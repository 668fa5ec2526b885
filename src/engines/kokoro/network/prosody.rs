//! How long each phoneme takes, and pitch and energy of each frame.
//!
//! Reference: `ProsodyPredictor` and `DurationEncoder` of kokoro 0.9.4.

use candle_core::{D, Tensor};

use super::layers::{Conv, Linear, StyledBlock, standardised};
use super::lstm::BiLstm;
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::kokoro::settings::Settings;

type Result<T> = std::result::Result<T, KokoroError>;

/// The predictor.
pub struct Prosody {
    encoder: Vec<(BiLstm, Linear)>,
    durations_lstm: BiLstm,
    durations: Linear,
    shared: BiLstm,
    pitch: Curve,
    energy: Curve,
}

/// Blocks that make one value per half frame.
struct Curve {
    blocks: [StyledBlock; 3],
    projection: Conv,
}

impl Curve {
    fn load(weights: &Weights<'_>, name: &str, width: usize, style: usize) -> Result<Curve> {
        let block = |at: usize, inputs, outputs| {
            StyledBlock::load(&weights.pp(format!("{name}.{at}")), inputs, outputs, style, at == 1)
        };
        Ok(Curve {
            blocks: [block(0, width, width)?, block(1, width, width / 2)?, block(2, width / 2, width / 2)?],
            projection: Conv::plain(&weights.pp(format!("{name}_proj")), [1, width / 2, 1], 1, 0)?,
        })
    }

    /// [1, width, frames] → [2 · frames]
    fn forward(&self, x: &Tensor, style: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.forward(&x, style)?;
        }
        Ok(self.projection.forward(&x)?.flatten_all()?)
    }
}

impl Prosody {
    /// Of the part `predictor`.
    pub fn load(weights: &Weights<'_>, settings: &Settings) -> Result<Prosody> {
        let (width, style) = (settings.hidden_dim, settings.style_dim);
        let lstm = |name: &str| BiLstm::load(&weights.pp(name), width + style, width / 2);
        let mut encoder = vec![];
        for layer in 0..settings.n_layer {
            let norm = weights.pp(format!("text_encoder.lstms.{}.fc", 2 * layer + 1));
            encoder.push((
                lstm(&format!("text_encoder.lstms.{}", 2 * layer))?,
                Linear::load(&norm, style, 2 * width)?,
            ));
        }
        Ok(Prosody {
            encoder,
            durations_lstm: lstm("lstm")?,
            durations: Linear::load(&weights.pp("duration_proj.linear_layer"), width, settings.max_dur)?,
            shared: lstm("shared")?,
            pitch: Curve::load(weights, "F0", width, style)?,
            energy: Curve::load(weights, "N", width, style)?,
        })
    }

    /// What is known of each phoneme: [n, width] and style [1, style] → [n, width + style].
    pub fn encode(&self, text: &Tensor, style: &Tensor) -> Result<Tensor> {
        let count = text.dim(0)?;
        let styles = style.broadcast_as((count, style.dim(1)?))?;
        let mut x = Tensor::cat(&[text, &styles.contiguous()?], 1)?;
        for (lstm, norm) in &self.encoder {
            let y = lstm.forward(&x)?;
            let width = y.dim(1)?;
            let changes = norm.forward(style)?;
            let gain = (changes.narrow(1, 0, width)? + 1.0)?;
            let y = standardised(&y, 1e-5)?
                .broadcast_mul(&gain)?
                .broadcast_add(&changes.narrow(1, width, width)?)?;
            x = Tensor::cat(&[&y, &styles.contiguous()?], 1)?;
        }
        Ok(x)
    }

    /// Logits of the durations: [n, width + style] → [n, max_dur].
    pub fn duration_logits(&self, encoded: &Tensor) -> Result<Tensor> {
        self.durations.forward(&self.durations_lstm.forward(encoded)?)
    }

    /// Frames of each phoneme: at least one, rounded half to even.
    pub fn durations(&self, encoded: &Tensor, speed: f32) -> Result<Vec<u32>> {
        let logits = self.duration_logits(encoded)?;
        let sums: Vec<f32> = candle_nn::ops::sigmoid(&logits)?.sum(D::Minus1)?.to_vec1()?;
        Ok(sums.iter().map(|frames| (frames / speed).round_ties_even().max(1.0) as u32).collect())
    }

    /// Pitch in Hz and energy of each half frame, [2 · frames] each, of the encoded phonemes of each frame
    /// [frames, width + style].
    pub fn curves(&self, frames: &Tensor, style: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = self.shared.forward(frames)?.t()?.unsqueeze(0)?.contiguous()?;
        Ok((self.pitch.forward(&x, style)?, self.energy.forward(&x, style)?))
    }
}
