//! `config.json` and `generation_config.json` of a Whisper model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engines::local::checkpoint::{CheckpointError, SafetensorsFolder};

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";

/// Shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhisperConfig {
    /// Tokens.
    pub vocab_size: usize,
    /// Values of a mel frame: 80, or 128 since large-v3.
    pub num_mel_bins: usize,
    /// Width of the rows between layers.
    pub d_model: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Its heads.
    pub encoder_attention_heads: usize,
    /// Width inside its feed-forward parts.
    pub encoder_ffn_dim: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Its heads.
    pub decoder_attention_heads: usize,
    /// Width inside its feed-forward parts.
    pub decoder_ffn_dim: usize,
    /// Positions of encoded audio: 1500, of 20 ms each.
    #[serde(default = "default_source_positions")]
    pub max_source_positions: usize,
    /// Positions of tokens.
    #[serde(default = "default_target_positions")]
    pub max_target_positions: usize,
    /// The way from the decoder to tokens is the embeddings.
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    #[serde(default = "default_activation")]
    pub(super) activation_function: String,
}

/// How the model wants to be asked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Whether it knows languages and tasks; `None`: the vocabulary's size tells.
    pub is_multilingual: Option<bool>,
    /// Never written.
    pub suppress_tokens: Option<Vec<i64>>,
    /// Not written first.
    pub begin_suppress_tokens: Option<Vec<i64>>,
    /// The first time stamp is at most this one.
    pub max_initial_timestamp_index: Option<usize>,
}

fn default_source_positions() -> usize {
    1500
}

fn default_target_positions() -> usize {
    448
}

fn default_activation() -> String {
    "gelu".to_owned()
}

fn yes() -> bool {
    true
}

impl WhisperConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// If it is missing, is that of another kind of model, or contradicts itself.
    pub fn read(folder: &SafetensorsFolder) -> Result<WhisperConfig, CheckpointError> {
        let json = folder.json(CONFIG)?.ok_or_else(|| CheckpointError::Unreadable {
            path: folder.path().join(CONFIG),
            source: std::io::ErrorKind::NotFound.into(),
            remedy: "fetch the model again",
        })?;
        let kind = json.get("model_type").and_then(Value::as_str).unwrap_or_default();
        if kind != "whisper" {
            let message = format!("is {kind:?}; this engine runs \"whisper\"");
            return Err(unsupported(folder, CONFIG, "model_type", message));
        }
        let config: WhisperConfig = serde_json::from_value(json)
            .map_err(|error| unsupported(folder, CONFIG, "keys of the network", error.to_string()))?;
        config.validate().map_err(|(key, message)| unsupported(folder, CONFIG, key, message))?;
        Ok(config)
    }

    /// Mel frames that the encoder takes at most: 3000, 30 s.
    pub fn max_frames(&self) -> usize {
        2 * self.max_source_positions
    }

    /// Sizes beyond any Whisper model are mistakes; below them no product overflows.
    fn validate(&self) -> Result<(), (&'static str, String)> {
        const MOST: usize = 1 << 20;
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("num_mel_bins", self.num_mel_bins),
            ("d_model", self.d_model),
            ("encoder_layers", self.encoder_layers),
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("decoder_layers", self.decoder_layers),
            ("decoder_attention_heads", self.decoder_attention_heads),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
            ("max_source_positions", self.max_source_positions),
            ("max_target_positions", self.max_target_positions),
        ] {
            if value == 0 || value > MOST {
                return Err((key, format!("is {value}; 1 to {MOST} can be")));
            }
        }
        // A prompt and an answer.
        if self.max_target_positions < 32 {
            return Err((
                "max_target_positions",
                format!("is {}; 32 is the least", self.max_target_positions),
            ));
        }
        for (key, heads) in [
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("decoder_attention_heads", self.decoder_attention_heads),
        ] {
            if !self.d_model.is_multiple_of(heads) {
                return Err((key, format!("is {heads}, which d_model ({}) is no multiple of", self.d_model)));
            }
        }
        if self.activation_function != "gelu" {
            return Err((
                "activation_function",
                format!("is {:?}; \"gelu\" can be", self.activation_function),
            ));
        }
        Ok(())
    }
}

impl GenerationConfig {
    /// Reads `generation_config.json`; what it leaves out may stand in `config.json`, as it did before
    /// there was that file.
    pub fn read(folder: &SafetensorsFolder) -> Result<GenerationConfig, CheckpointError> {
        let read = |name: &'static str| -> Result<GenerationConfig, CheckpointError> {
            let Some(json) = folder.json(name)? else { return Ok(GenerationConfig::default()) };
            serde_json::from_value(json)
                .map_err(|error| unsupported(folder, name, "keys of generation", error.to_string()))
        };
        let (own, older) = (read(GENERATION)?, read(CONFIG)?);
        Ok(GenerationConfig {
            is_multilingual: own.is_multilingual.or(older.is_multilingual),
            suppress_tokens: own.suppress_tokens.or(older.suppress_tokens),
            begin_suppress_tokens: own.begin_suppress_tokens.or(older.begin_suppress_tokens),
            max_initial_timestamp_index: own
                .max_initial_timestamp_index
                .or(older.max_initial_timestamp_index),
        })
    }
}

fn unsupported(folder: &SafetensorsFolder, file: &str, key: &str, message: String) -> CheckpointError {
    CheckpointError::Unsupported { path: folder.path().join(file), place: key.to_owned(), message }
}
