//! `config.json` of a Qwen3-ASR model, in both layouts: nested under `thinker_config`, as it was published
//! first, and that of transformers 5 (repositories whose names end in `-hf`).
//!
//! Deliberately absent: the text model's settings; [`Checkpoint::decoder_config`] reads those.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engines::local::checkpoint::{Checkpoint, CheckpointError, DecoderConfig, SafetensorsFolder};

const FILE: &str = "config.json";
const MODEL_TYPE: &str = "qwen3_asr";
/// Sizes beyond any such model are mistakes; below them no product overflows.
const MOST: usize = 1 << 20;

/// Shape of the audio tower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TowerConfig {
    /// Values of a mel frame.
    pub num_mel_bins: usize,
    /// Width of the rows between layers.
    pub d_model: usize,
    /// Transformer layers.
    pub encoder_layers: usize,
    /// Their heads.
    pub encoder_attention_heads: usize,
    /// Width inside their feed-forward parts.
    pub encoder_ffn_dim: usize,
    /// Channels of the convolutions.
    pub downsample_hidden_size: usize,
    /// Width of the rows of the text model.
    pub output_dim: usize,
    /// Half of the mel frames that are convolved together.
    #[serde(default = "default_n_window")]
    pub n_window: usize,
    /// Mel frames of an attention window.
    #[serde(default = "default_n_window_infer")]
    pub n_window_infer: usize,
    #[serde(default)]
    pub(super) scale_embedding: bool,
    #[serde(default = "default_activation")]
    pub(super) activation_function: String,
}

/// Shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Qwen3AsrConfig {
    /// The audio tower with its projector.
    pub tower: TowerConfig,
    /// The text model.
    pub text: DecoderConfig,
    /// The token that stands for a row of audio in a prompt.
    pub audio_token: u32,
}

fn default_n_window() -> usize {
    50
}

fn default_n_window_infer() -> usize {
    800
}

fn default_activation() -> String {
    "gelu".to_owned()
}

impl Qwen3AsrConfig {
    /// Reads `config.json` and `generation_config.json`.
    ///
    /// # Errors
    /// If a file is missing, is that of another kind of model, or contradicts itself.
    pub fn read(folder: &SafetensorsFolder) -> Result<Qwen3AsrConfig, CheckpointError> {
        let json = folder.json(FILE)?.ok_or_else(|| CheckpointError::Unreadable {
            path: folder.path().join(FILE),
            source: std::io::ErrorKind::NotFound.into(),
            remedy: "fetch the model again",
        })?;
        let wrong = |place: &str, message: String| CheckpointError::Unsupported {
            path: folder.path().join(FILE),
            place: place.to_owned(),
            message,
        };
        let kind = json.get("model_type").and_then(Value::as_str).unwrap_or_default();
        if kind != MODEL_TYPE {
            return Err(wrong("model_type", format!("is {kind:?}; this engine runs {MODEL_TYPE:?}")));
        }
        let (model, prefix) = match json.get("thinker_config") {
            Some(thinker) => (thinker, "thinker_config."),
            None => (&json, ""),
        };
        let key = format!("{prefix}audio_config");
        let Some(audio) = model.get("audio_config") else { return Err(wrong(&key, "is not there".into())) };
        let tower = TowerConfig::deserialize(audio).map_err(|error| wrong(&key, error.to_string()))?;
        tower.validate().map_err(|(name, message)| wrong(&format!("{key}.{name}"), message))?;
        let audio_token = model.get("audio_token_id").and_then(Value::as_u64);
        let audio_token = audio_token.and_then(|id| u32::try_from(id).ok());
        let Some(audio_token) = audio_token else {
            return Err(wrong(&format!("{prefix}audio_token_id"), "is not the id of a token".into()));
        };
        let text = Checkpoint::Folder(folder.clone()).decoder_config()?;
        if tower.output_dim != text.hidden_size {
            let (audio, text) = (tower.output_dim, text.hidden_size);
            let message = format!("is {audio}, where the text model's rows are {text} wide");
            return Err(wrong(&format!("{key}.output_dim"), message));
        }
        Ok(Qwen3AsrConfig { tower, text, audio_token })
    }

    /// Whether a folder holds a model of this kind.
    pub fn is_in(folder: &SafetensorsFolder) -> bool {
        Qwen3AsrConfig::read(folder).is_ok()
    }
}

impl TowerConfig {
    /// Mel frames that are convolved together: 100, a second.
    pub fn chunk_frames(&self) -> usize {
        2 * self.n_window
    }

    /// Rows of audio that so many mel frames of one chunk become: 13 of a whole one.
    pub fn chunk_rows(&self, frames: usize) -> usize {
        halved(halved(halved(frames)))
    }

    /// Rows of audio that so many mel frames become.
    pub fn rows(&self, frames: usize) -> usize {
        let chunk = self.chunk_frames();
        frames / chunk * self.chunk_rows(chunk) + self.chunk_rows(frames % chunk)
    }

    /// Rows of audio that see each other: 104, of 8 s.
    pub fn window_rows(&self) -> usize {
        (self.n_window_infer / self.chunk_frames()).max(1) * self.chunk_rows(self.chunk_frames())
    }

    /// Values of a row of what the convolutions make: channels at an eighth of the mel bins.
    pub fn convolved(&self) -> usize {
        self.downsample_hidden_size * self.chunk_rows(self.num_mel_bins)
    }

    fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [
            ("num_mel_bins", self.num_mel_bins),
            ("d_model", self.d_model),
            ("encoder_layers", self.encoder_layers),
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("downsample_hidden_size", self.downsample_hidden_size),
            ("output_dim", self.output_dim),
            ("n_window", self.n_window),
            ("n_window_infer", self.n_window_infer),
        ] {
            if value == 0 || value > MOST {
                return Err((key, format!("is {value}; 1 to {MOST} can be")));
            }
        }
        let (width, heads) = (self.d_model, self.encoder_attention_heads);
        if !width.is_multiple_of(heads) {
            return Err((
                "encoder_attention_heads",
                format!("is {heads}, which d_model ({width}) is no multiple of"),
            ));
        }
        // Sines and cosines, two frequencies at least.
        if width < 4 || !width.is_multiple_of(2) {
            return Err(("d_model", format!("is {width}; an even number of at least 4 can be")));
        }
        if !self.n_window_infer.is_multiple_of(self.chunk_frames()) {
            let (window, chunk) = (self.n_window_infer, self.chunk_frames());
            return Err(("n_window_infer", format!("is {window}, no multiple of {chunk} frames")));
        }
        if self.activation_function != "gelu" {
            return Err((
                "activation_function",
                format!("is {:?}; \"gelu\" can be", self.activation_function),
            ));
        }
        if self.scale_embedding {
            return Err(("scale_embedding", "is true; no published model asks for that".to_owned()));
        }
        Ok(())
    }
}

/// What a convolution with a stride of two leaves of so many.
fn halved(count: usize) -> usize {
    count.div_ceil(2)
}
