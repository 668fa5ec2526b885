//! `config.json` of the published model: sizes, and which id a phoneme has.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::error::KokoroError;

/// The published configuration, of which the parts that matter here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Settings {
    /// The vocoder.
    pub istftnet: IstftNet,
    /// Channels of text encoder and predictor.
    pub hidden_dim: usize,
    /// A phoneme takes so many frames at most.
    pub max_dur: usize,
    /// Layers of text encoder and duration encoder.
    pub n_layer: usize,
    /// Number of ids.
    pub n_token: usize,
    /// Half of a voice's vector: one for the sound, one for the prosody.
    pub style_dim: usize,
    /// Of the text encoder's convolutions.
    pub text_encoder_kernel_size: usize,
    /// The language model of phonemes.
    pub plbert: PlBert,
    /// Ids of phonemes and marks.
    pub vocab: HashMap<char, u32>,
}

/// `istftnet.*`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs)]
pub struct IstftNet {
    pub upsample_kernel_sizes: Vec<usize>,
    pub upsample_rates: Vec<usize>,
    pub gen_istft_hop_size: usize,
    pub gen_istft_n_fft: usize,
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
    pub resblock_kernel_sizes: Vec<usize>,
    pub upsample_initial_channel: usize,
}

/// `plbert.*`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs)]
pub struct PlBert {
    pub hidden_size: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    pub num_hidden_layers: usize,
    #[serde(default = "albert_embedding")]
    pub embedding_size: usize,
}

/// ALBERT's own default, which the published file relies on.
fn albert_embedding() -> usize {
    128
}

impl Settings {
    /// Reads `config.json`.
    pub fn read(path: &Path) -> Result<Settings, KokoroError> {
        let text = std::fs::read_to_string(path).map_err(|error| KokoroError::unreadable(path, error))?;
        let settings: Settings = serde_json::from_str(&text)
            .map_err(|error| KokoroError::damaged(path, "JSON", error.to_string()))?;
        match settings.problem() {
            Some((place, message)) => Err(KokoroError::damaged(path, place, message)),
            None => Ok(settings),
        }
    }

    /// Samples of a frame of the predictor: what a duration counts.
    pub fn samples_per_frame(&self) -> usize {
        // The decoder doubles the frames.
        2 * self.istftnet.upsample_rates.iter().product::<usize>() * self.istftnet.gen_istft_hop_size
    }

    /// Phonemes of one call, at most: a start and an end stand around them.
    pub fn max_phonemes(&self) -> usize {
        self.plbert.max_position_embeddings.saturating_sub(2)
    }

    /// What would break the arithmetic, or ask for unreasonable memory.
    fn problem(&self) -> Option<(&'static str, String)> {
        let istft = &self.istftnet;
        let sane = |size: usize| (1..=1 << 16).contains(&size);
        let sizes = [
            ("hidden_dim", self.hidden_dim),
            ("max_dur", self.max_dur),
            ("n_layer", self.n_layer),
            ("n_token", self.n_token),
            ("style_dim", self.style_dim),
            ("text_encoder_kernel_size", self.text_encoder_kernel_size),
            ("plbert.hidden_size", self.plbert.hidden_size),
            ("plbert.num_attention_heads", self.plbert.num_attention_heads),
            ("plbert.num_hidden_layers", self.plbert.num_hidden_layers),
            ("plbert.max_position_embeddings", self.plbert.max_position_embeddings),
            ("istftnet.gen_istft_hop_size", istft.gen_istft_hop_size),
            ("istftnet.gen_istft_n_fft", istft.gen_istft_n_fft),
            ("istftnet.upsample_initial_channel", istft.upsample_initial_channel),
        ];
        if let Some((place, size)) = sizes.iter().find(|(_, size)| !sane(*size)) {
            return Some((place, format!("{size} is out of range")));
        }
        if !self.plbert.hidden_size.is_multiple_of(self.plbert.num_attention_heads) {
            return Some(("plbert", "hidden_size is no multiple of num_attention_heads".to_owned()));
        }
        let (rates, kernels) = (&istft.upsample_rates, &istft.upsample_kernel_sizes);
        let fits = |(rate, kernel): (&usize, &usize)| {
            *rate > 0 && kernel >= rate && (kernel - rate).is_multiple_of(2)
        };
        if rates.is_empty() || rates.len() != kernels.len() || !rates.iter().zip(kernels).all(fits) {
            return Some(("istftnet.upsample_rates", "do not fit upsample_kernel_sizes".to_owned()));
        }
        let shape = (&istft.resblock_kernel_sizes, &istft.resblock_dilation_sizes);
        if shape.0.is_empty()
            || shape.0.len() != shape.1.len()
            || shape.0.iter().any(|kernel| kernel % 2 == 0)
        {
            return Some(("istftnet.resblock_kernel_sizes", "do not fit resblock_dilation_sizes".to_owned()));
        }
        if istft.gen_istft_n_fft % 2 == 1 || istft.gen_istft_hop_size > istft.gen_istft_n_fft / 2 {
            return Some(("istftnet.gen_istft_hop_size", "does not fit gen_istft_n_fft".to_owned()));
        }
        if self.vocab.values().any(|id| *id as usize >= self.n_token) {
            return Some(("vocab", format!("an id is not below n_token ({})", self.n_token)));
        }
        None
    }
}
