//! Which tensors a Whisper checkpoint has, as Hugging Face's libraries write it: the one list that loading
//! checks, and that random checkpoints are made from.

use super::config::WhisperConfig;
use crate::engines::local::checkpoint::{CheckpointError, SafetensorsFolder};

/// What stands before the names: of `WhisperForConditionalGeneration`, and of the bare `WhisperModel`.
const PREFIXES: [&str; 2] = ["model.", ""];
/// The way from the decoder to tokens; left out where it is the token embeddings.
const HEAD: &str = "proj_out.weight";

/// The tensors of a model: names without their prefix, and shapes, in no particular order.
pub fn tensors(config: &WhisperConfig) -> Vec<(String, Vec<usize>)> {
    let width = config.d_model;
    let mut tensors = Tensors(Vec::new());
    tensors.add("encoder.conv1.weight", &[width, config.num_mel_bins, 3]);
    tensors.add("encoder.conv1.bias", &[width]);
    tensors.add("encoder.conv2.weight", &[width, width, 3]);
    tensors.add("encoder.conv2.bias", &[width]);
    tensors.add("encoder.embed_positions.weight", &[config.max_source_positions, width]);
    tensors.add("decoder.embed_tokens.weight", &[config.vocab_size, width]);
    tensors.add("decoder.embed_positions.weight", &[config.max_target_positions, width]);
    for index in 0..config.encoder_layers {
        let layer = format!("encoder.layers.{index}");
        tensors.attention(&format!("{layer}.self_attn"), width);
        tensors.feed_forward(&layer, width, config.encoder_ffn_dim);
    }
    for index in 0..config.decoder_layers {
        let layer = format!("decoder.layers.{index}");
        tensors.attention(&format!("{layer}.self_attn"), width);
        tensors.attention(&format!("{layer}.encoder_attn"), width);
        tensors.feed_forward(&layer, width, config.decoder_ffn_dim);
    }
    tensors.norm("encoder.layer_norm", width);
    tensors.norm("decoder.layer_norm", width);
    tensors.0
}

/// What stands before the names in a folder.
pub fn prefix(folder: &SafetensorsFolder) -> &'static str {
    let is_it = |prefix: &&str| folder.has_tensor(&format!("{prefix}decoder.embed_tokens.weight"));
    PREFIXES.into_iter().find(is_it).unwrap_or(PREFIXES[0])
}

/// The name of a head of its own, if the model has one and does not say that it is the embeddings.
pub fn untied_head(folder: &SafetensorsFolder, config: &WhisperConfig) -> Option<&'static str> {
    (!config.tie_word_embeddings && folder.has_tensor(HEAD)).then_some(HEAD)
}

/// Whether everything is there in its shape; reads nothing but the files' heads.
///
/// # Errors
/// The first tensor that is missing or has another shape or a type that is not supported.
pub fn check(folder: &SafetensorsFolder, config: &WhisperConfig) -> Result<(), CheckpointError> {
    let prefix = prefix(folder);
    let expected = tensors(config).into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape));
    let head = untied_head(folder, config);
    let head = head.map(|name| (name.to_owned(), vec![config.vocab_size, config.d_model]));
    for (name, shape) in expected.chain(head) {
        let found = folder.tensor(&name)?.shape;
        if found != shape {
            return Err(CheckpointError::Damaged {
                path: folder.path().to_owned(),
                place: format!("tensor {name}"),
                message: format!("has the shape {found:?}, config.json says {shape:?}"),
            });
        }
    }
    Ok(())
}

struct Tensors(Vec<(String, Vec<usize>)>);

impl Tensors {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.push((name.to_owned(), shape.to_vec()));
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
        self.add(&format!("{name}.bias"), &[width]);
    }

    /// With the norm before it. Keys have no bias.
    fn attention(&mut self, name: &str, width: usize) {
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            self.add(&format!("{name}.{part}.weight"), &[width, width]);
            if part != "k_proj" {
                self.add(&format!("{name}.{part}.bias"), &[width]);
            }
        }
        self.norm(&format!("{name}_layer_norm"), width);
    }

    fn feed_forward(&mut self, layer: &str, width: usize, inner: usize) {
        self.add(&format!("{layer}.fc1.weight"), &[inner, width]);
        self.add(&format!("{layer}.fc1.bias"), &[inner]);
        self.add(&format!("{layer}.fc2.weight"), &[width, inner]);
        self.add(&format!("{layer}.fc2.bias"), &[width]);
        self.norm(&format!("{layer}.final_layer_norm"), width);
    }
}
