//! Names and shapes of a model's tensors, in both layouts that are published.

use super::config::{Qwen3AsrConfig, TowerConfig};
use crate::engines::local::checkpoint::{CheckpointError, DecoderConfig, SafetensorsFolder};

/// How tensors are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `thinker.audio_tower.…`: Qwen's own repositories.
    Original,
    /// `model.audio_tower.…`: transformers 5, repositories whose names end in `-hf`.
    HuggingFace,
}

impl Layout {
    /// That of a folder.
    pub fn of(folder: &SafetensorsFolder) -> Layout {
        let is_other = folder.has_tensor(&format!("{}conv2d1.weight", Layout::HuggingFace.tower()));
        if is_other { Layout::HuggingFace } else { Layout::Original }
    }

    /// What stands before the tower's names.
    pub fn tower(self) -> &'static str {
        match self {
            Layout::Original => "thinker.audio_tower.",
            Layout::HuggingFace => "model.audio_tower.",
        }
    }

    /// Names of the projector's two products.
    pub fn projector(self) -> [&'static str; 2] {
        match self {
            Layout::Original => ["thinker.audio_tower.proj1", "thinker.audio_tower.proj2"],
            Layout::HuggingFace => {
                ["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"]
            }
        }
    }

    /// What stands before the text model's names.
    pub fn text(self) -> &'static str {
        match self {
            Layout::Original => "thinker.model.",
            Layout::HuggingFace => "model.language_model.",
        }
    }

    /// All tensors of a model, each with its shape. The LM head is the embedding table.
    pub fn tensors(self, config: &Qwen3AsrConfig) -> Vec<(String, Vec<usize>)> {
        let mut tensors = self.tower_tensors(&config.tower);
        tensors.extend(self.text_tensors(&config.text));
        tensors
    }

    /// Those of tower and projector.
    pub fn tower_tensors(self, config: &TowerConfig) -> Vec<(String, Vec<usize>)> {
        let (width, inner, channels) =
            (config.d_model, config.encoder_ffn_dim, config.downsample_hidden_size);
        let mut tensors = Tensors { prefix: self.tower(), all: vec![] };
        for (name, inputs) in [("conv2d1", 1), ("conv2d2", channels), ("conv2d3", channels)] {
            tensors.add(&format!("{name}.weight"), &[channels, inputs, 3, 3]);
            tensors.add(&format!("{name}.bias"), &[channels]);
        }
        tensors.add("conv_out.weight", &[width, config.convolved()]);
        for layer in 0..config.encoder_layers {
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                tensors.linear(&format!("layers.{layer}.self_attn.{part}"), [width, width]);
            }
            tensors.norm(&format!("layers.{layer}.self_attn_layer_norm"), width);
            tensors.linear(&format!("layers.{layer}.fc1"), [inner, width]);
            tensors.linear(&format!("layers.{layer}.fc2"), [width, inner]);
            tensors.norm(&format!("layers.{layer}.final_layer_norm"), width);
        }
        tensors.norm("ln_post", width);
        tensors.prefix = "";
        let [first, second] = self.projector();
        tensors.linear(first, [width, width]);
        tensors.linear(second, [config.output_dim, width]);
        tensors.all
    }

    fn text_tensors(self, config: &DecoderConfig) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner, head_dim) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (queries, keys) = (config.heads * head_dim, config.kv_heads * head_dim);
        let mut tensors = Tensors { prefix: self.text(), all: vec![] };
        tensors.add("embed_tokens.weight", &[config.vocab_size, hidden]);
        for layer in 0..config.layers {
            for (name, shape) in [
                ("self_attn.q_proj", vec![queries, hidden]),
                ("self_attn.k_proj", vec![keys, hidden]),
                ("self_attn.v_proj", vec![keys, hidden]),
                ("self_attn.o_proj", vec![hidden, queries]),
                ("self_attn.q_norm", vec![head_dim]),
                ("self_attn.k_norm", vec![head_dim]),
                ("mlp.gate_proj", vec![inner, hidden]),
                ("mlp.up_proj", vec![inner, hidden]),
                ("mlp.down_proj", vec![hidden, inner]),
                ("input_layernorm", vec![hidden]),
                ("post_attention_layernorm", vec![hidden]),
            ] {
                tensors.add(&format!("layers.{layer}.{name}.weight"), &shape);
            }
        }
        tensors.add("norm.weight", &[hidden]);
        tensors.all
    }

    /// Whether tower and projector are there in their shapes; reads nothing but the files' heads. (The text
    /// model is checked as it is loaded.)
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape or a type that is not supported.
    pub fn check(self, folder: &SafetensorsFolder, config: &TowerConfig) -> Result<(), CheckpointError> {
        for (name, shape) in self.tower_tensors(config) {
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
}

struct Tensors {
    prefix: &'static str,
    all: Vec<(String, Vec<usize>)>,
}

impl Tensors {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.all.push((format!("{}{name}", self.prefix), shape.to_vec()));
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) {
        self.add(&format!("{name}.weight"), &shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
        self.add(&format!("{name}.bias"), &[width]);
    }
}
