//! Which model `llm.local.model` means, and where its files are.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::NAME;
use super::checkpoint::Checkpoint;
use super::text::ChatText;
use crate::config::Config;
use crate::engines::EngineError;
use crate::models;

/// The name of the model that is compiled in.
pub const BUILT_IN: &str = "concierge";

static BUILT_IN_FILE: &[u8] = include_bytes!("../../../models/concierge/concierge-q8_0.gguf");

/// A model that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The one that is compiled in.
    BuiltIn,
    /// Files that were pulled, or the operator's own.
    Files {
        /// For people: the name in the manifest, or the path.
        name: String,
        /// A GGUF file, or a folder with safetensors.
        path: PathBuf,
    },
}

impl Source {
    /// What `llm.local.model` names. `auto` is the best that was pulled, else the built-in model.
    pub fn of(config: &Config) -> Result<Source, EngineError> {
        match config.llm.local.model.as_str() {
            "auto" => Ok(Source::pulled(config)?.unwrap_or(Source::BuiltIn)),
            BUILT_IN => Ok(Source::BuiltIn),
            name => {
                let path = models::find(config, name);
                let path = path.map_err(|error| load_error(format_args!("llm.local.model: {error}")))?;
                Ok(Source::Files { name: name.to_owned(), path })
            }
        }
    }

    /// The best language model that was pulled, if any was.
    pub fn pulled(config: &Config) -> Result<Option<Source>, EngineError> {
        let found = models::pulled(config, models::Engine::Llm).map_err(load_error)?;
        Ok(found.into_iter().next().map(|model| Source::Files { name: model.name, path: model.path }))
    }

    /// For people: the name in `config.yml` or the path.
    pub fn name(&self) -> &str {
        match self {
            Source::BuiltIn => BUILT_IN,
            Source::Files { name, .. } => name,
        }
    }

    /// Opens the files; nothing is read yet but their heads.
    pub fn open(&self) -> Result<(Checkpoint, ChatText), EngineError> {
        let checkpoint = match self {
            Source::BuiltIn => Checkpoint::from_gguf_bytes(
                Bytes::from_static(BUILT_IN_FILE),
                Path::new("concierge (built in)"),
            ),
            Source::Files { path, .. } => Checkpoint::open(path),
        };
        let checkpoint = checkpoint.map_err(load_error)?;
        let text = match checkpoint.vocabulary().map_err(load_error)? {
            Some(vocabulary) => ChatText::from_embedded(&vocabulary, self.name()),
            None => ChatText::from_folder(&folder_of(checkpoint.path())),
        };
        Ok((checkpoint, text.map_err(load_error)?))
    }
}

/// A GGUF file without a vocabulary may have one beside it.
fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new(".")).to_owned() }
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load { engine: NAME, message: error.to_string() }
}
