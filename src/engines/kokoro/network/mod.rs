//! The network in candle, from the published checkpoint.
//!
//! ```text
//! ids ─▶ albert ─▶ bert_encoder ─▶ prosody: durations ──┬─▶ curves: pitch, energy ─┐
//!  └──▶ text_encoder ──────────────── by durations ────┴──────────────────────────┴▶ decoder ─▶ generator ─▶ samples
//! ```
//!
//! Reference: `KModel` of the package kokoro 0.9.4, stage by stage (`models/parity/kokoro/model.py`).

pub mod albert;
pub mod convolution;
pub mod decoder;
pub mod generator;
pub mod layers;
pub mod lstm;
mod on_cpu;
pub mod prosody;
pub mod snake;
pub mod source;
#[cfg(test)]
mod tests;
pub mod text_encoder;
pub mod weights;

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};

use self::albert::Albert;
use self::decoder::Decoder;
use self::generator::Check;
use self::layers::Linear;
use self::prosody::Prosody;
use self::text_encoder::TextEncoder;
use self::weights::Checkpoint;
use super::error::KokoroError;
use super::settings::Settings;
use super::speech::Speech;

/// Frames of one call, at most: what the longest text with the longest phonemes takes would be minutes.
const MAX_FRAMES: usize = 40 * 90;

/// A loaded network; read-only, so all workers share one.
pub struct Network {
    settings: Settings,
    device: Device,
    albert: Albert,
    bert_encoder: Linear,
    prosody: Prosody,
    text_encoder: TextEncoder,
    decoder: Decoder,
}

/// How a text will sound, before it does.
pub struct Plan {
    /// Frames of each id.
    pub durations: Vec<u32>,
    /// Frames of all of them.
    pub frames: usize,
    /// [1, width, frames]
    text: Tensor,
    /// [2 · frames], in Hz.
    pitch: Tensor,
    /// [2 · frames]
    energy: Tensor,
    /// Of the source.
    spectra: Tensor,
    /// [1, style_dim]
    sound: Tensor,
}

impl Network {
    /// Reads the published `.pth`.
    pub fn load(path: &Path, settings: &Settings, device: &Device) -> Result<Network, KokoroError> {
        let checkpoint = Checkpoint::open(path, device)?;
        let width = settings.hidden_dim;
        Ok(Network {
            albert: Albert::load(&checkpoint.part("bert"), &settings.plbert, settings.n_token)?,
            bert_encoder: Linear::load(&checkpoint.part("bert_encoder"), settings.plbert.hidden_size, width)?,
            prosody: Prosody::load(&checkpoint.part("predictor"), settings)?,
            text_encoder: TextEncoder::load(&checkpoint.part("text_encoder"), settings)?,
            decoder: Decoder::load(&checkpoint.part("decoder"), settings)?,
            settings: settings.clone(),
            device: device.clone(),
        })
    }

    /// ids (a start and an end around the phonemes), style [2 · style_dim] → samples and durations.
    pub fn speak(
        &self,
        ids: &[u32],
        style: &[f32],
        speed: f32,
        check: Check<'_>,
    ) -> Result<Speech, KokoroError> {
        let plan = self.plan(ids, style, speed, check)?;
        let samples = self.render(&plan, 0..plan.frames, check)?;
        Ok(Speech { samples, durations: Some(plan.durations) })
    }

    /// Everything but the sound.
    pub fn plan(
        &self,
        ids: &[u32],
        style: &[f32],
        speed: f32,
        check: Check<'_>,
    ) -> Result<Plan, KokoroError> {
        let half = self.settings.style_dim;
        if style.len() != 2 * half {
            let message = format!("a voice of {} values, expected {}", style.len(), 2 * half);
            return Err(KokoroError::Network(message));
        }
        let sound = Tensor::from_slice(&style[..half], (1, half), &self.device)?;
        let manner = Tensor::from_slice(&style[half..], (1, half), &self.device)?;
        let ids = Tensor::from_slice(ids, ids.len(), &self.device)?;
        let bert = self.albert.forward(&ids)?;
        check()?;
        let encoded = self.prosody.encode(&self.bert_encoder.forward(&bert)?, &manner)?;
        let durations = self.prosody.durations(&encoded, speed)?;
        check()?;
        let frames = self.frames(&durations)?;
        let (pitch, energy) = self.prosody.curves(&encoded.index_select(&frames, 0)?, &manner)?;
        let text = self.text_encoder.forward(&ids)?.index_select(&frames, 0)?;
        let text = text.t()?.unsqueeze(0)?.contiguous()?;
        check()?;
        let spectra = self.decoder.generator.spectra(&pitch.to_vec1::<f32>()?, true, &self.device)?;
        Ok(Plan { frames: frames.dim(0)?, durations, text, pitch, energy, spectra, sound })
    }

    /// The sound of some frames of a plan. Its norms are over these frames, so a part does not sound exactly as
    /// it does in the whole; the decoder was trained on such parts.
    pub fn render(
        &self,
        plan: &Plan,
        frames: Range<usize>,
        check: Check<'_>,
    ) -> Result<Vec<f32>, KokoroError> {
        let (start, count) = (frames.start, frames.len());
        // The curves have two values a frame, the spectra one more than fit between the frames' borders.
        let curve = |curve: &Tensor| curve.narrow(0, 2 * start, 2 * count);
        let each = (plan.spectra.dim(2)? - 1) / plan.frames.max(1);
        let spectra = plan.spectra.narrow(2, each * start, each * count + 1)?.contiguous()?;
        let text = plan.text.narrow(2, start, count)?.contiguous()?;
        let (pitch, energy) = (curve(&plan.pitch)?, curve(&plan.energy)?);
        let decoded = self.decoder.forward(&text, &pitch, &energy, &plan.sound, check)?;
        self.decoder.generator.forward(&decoded, &plan.sound, &spectra, check)
    }

    /// Which phoneme each frame belongs to.
    fn frames(&self, durations: &[u32]) -> Result<Tensor, KokoroError> {
        let total: usize = durations.iter().map(|frames| *frames as usize).sum();
        if total > MAX_FRAMES {
            return Err(KokoroError::Network(format!("{total} frames in one call, {MAX_FRAMES} at most")));
        }
        let of = |(phoneme, frames): (usize, &u32)| std::iter::repeat_n(phoneme as u32, *frames as usize);
        let indices: Vec<u32> = durations.iter().enumerate().flat_map(of).collect();
        Ok(Tensor::from_vec(indices, total, &self.device)?)
    }
}
