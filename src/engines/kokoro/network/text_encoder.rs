//! Phonemes as the decoder wants them. Reference: `TextEncoder` of kokoro 0.9.4.

use candle_core::Tensor;

use super::layers::{Conv, LayerNorm, leaky_relu};
use super::lstm::BiLstm;
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::kokoro::settings::Settings;

/// The encoder.
pub struct TextEncoder {
    /// [ids, width]
    embedding: Tensor,
    convolutions: Vec<(Conv, LayerNorm)>,
    lstm: BiLstm,
}

impl TextEncoder {
    /// Of the part `text_encoder`.
    pub fn load(weights: &Weights<'_>, settings: &Settings) -> Result<TextEncoder, KokoroError> {
        let (width, kernel) = (settings.hidden_dim, settings.text_encoder_kernel_size);
        let mut convolutions = vec![];
        for layer in 0..settings.n_layer {
            let block = weights.pp(format!("cnn.{layer}"));
            convolutions.push((
                Conv::normed(&block.pp(0), width, width, kernel, 1)?,
                LayerNorm::load(&block.pp(1), ["gamma", "beta"], width, 1e-5)?,
            ));
        }
        Ok(TextEncoder {
            embedding: weights.pp("embedding").get("weight", &[settings.n_token, width])?,
            convolutions,
            lstm: BiLstm::load(&weights.pp("lstm"), width, width / 2)?,
        })
    }

    /// ids `[n]` → `[n, width]`
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor, KokoroError> {
        let mut x = self.embedding.index_select(ids, 0)?;
        for (convolution, norm) in &self.convolutions {
            let y = convolution.forward(&x.t()?.unsqueeze(0)?.contiguous()?)?;
            let y = norm.forward(&y.squeeze(0)?.t()?.contiguous()?)?;
            x = leaky_relu(&y, 0.2)?;
        }
        self.lstm.forward(&x)
    }
}
