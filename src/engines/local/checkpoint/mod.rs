//! Weights and settings of a model as files hold them: GGUF, and folders with safetensors.
//!
//! A [`Checkpoint`] answers four questions, whatever the format: what network is it
//! ([`DecoderConfig`]), what is in tensor so-and-so ([`RawTensor`]), which vocabulary is embedded
//! ([`EmbeddedVocabulary`]), and under which of the two families of names the tensors go
//! ([`Naming`]). Files are mapped, never read whole; every length and count in a file is checked
//! against the file's size before anything is allocated, so a damaged or hostile file costs an
//! error and nothing else.
//!
//! Deliberately absent: networks (`super::decoder`), tokenizers (`super::text`), fetching.

mod config;
mod error;
mod gguf;
mod mapping;
mod safetensors;
mod tensor;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use config::{Architecture, DecoderConfig, RopeScaling};
pub use error::CheckpointError;
pub use gguf::Gguf;
pub use safetensors::SafetensorsFolder;
pub use tensor::RawTensor;
pub(super) use tensor::{widen, with_aligned};
pub use vocabulary::EmbeddedVocabulary;

use std::path::Path;

use bytes::Bytes;

/// A model's files, opened and checked.
#[derive(Debug, Clone)]
pub enum Checkpoint {
    /// One `.gguf` file.
    Gguf(Gguf),
    /// A folder as Hugging Face's libraries write it.
    Folder(SafetensorsFolder),
}

/// How the tensors of a checkpoint are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `blk.0.attn_q.weight`
    Gguf,
    /// `model.layers.0.self_attn.q_proj.weight`
    HuggingFace,
}

impl Checkpoint {
    /// Opens a `.gguf` file, or a folder with `config.json` and `model.safetensors` (or its shards).
    pub fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
        if path.is_dir() {
            Ok(Checkpoint::Folder(SafetensorsFolder::open(path)?))
        } else {
            Ok(Checkpoint::Gguf(Gguf::open(path)?))
        }
    }

    /// A GGUF file that is already in memory; `name` stands for its path in errors.
    pub fn from_gguf_bytes(bytes: Bytes, name: &Path) -> Result<Checkpoint, CheckpointError> {
        Ok(Checkpoint::Gguf(Gguf::from_bytes(bytes, name)?))
    }

    /// Shape and settings of the network.
    pub fn decoder_config(&self) -> Result<DecoderConfig, CheckpointError> {
        match self {
            Checkpoint::Gguf(file) => config::from_gguf(file),
            Checkpoint::Folder(folder) => config::from_folder(folder),
        }
    }

    /// How the tensors are called.
    pub fn naming(&self) -> Naming {
        match self {
            Checkpoint::Gguf(_) => Naming::Gguf,
            Checkpoint::Folder(_) => Naming::HuggingFace,
        }
    }

    /// Whether a tensor of this name is there.
    pub fn has_tensor(&self, name: &str) -> bool {
        match self {
            Checkpoint::Gguf(file) => file.has_tensor(name),
            Checkpoint::Folder(folder) => folder.has_tensor(name),
        }
    }

    /// The tensor of this name, without a copy.
    pub fn tensor(&self, name: &str) -> Result<RawTensor, CheckpointError> {
        match self {
            Checkpoint::Gguf(file) => file.tensor(name),
            Checkpoint::Folder(folder) => folder.tensor(name),
        }
    }

    /// The vocabulary inside a GGUF file, if there is one; folders have `tokenizer.json` instead.
    pub fn vocabulary(&self) -> Result<Option<EmbeddedVocabulary>, CheckpointError> {
        match self {
            Checkpoint::Gguf(file) => EmbeddedVocabulary::read(file.metadata()),
            Checkpoint::Folder(_) => Ok(None),
        }
    }

    /// Where the checkpoint lies: the file, or the folder.
    pub fn path(&self) -> &Path {
        match self {
            Checkpoint::Gguf(file) => file.path(),
            Checkpoint::Folder(folder) => folder.path(),
        }
    }
}
