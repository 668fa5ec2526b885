//! What can be wrong with Kokoro's files or with a request.

use std::path::{Path, PathBuf};

use super::ENGINE;
use super::g2p::espeak::EspeakError;
use super::g2p::lexicon::LexiconError;
use crate::engines::EngineError;

/// Why Kokoro cannot be loaded, or cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum KokoroError {
    /// A file is not there or cannot be opened.
    #[error("cannot read {}: {source}; run `vivavoce models pull kokoro`, or see tts.kokoro in config.yml", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {place}: {message}; run `vivavoce models pull kokoro` to mend it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Key or tensor.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// There is no such voice, or its language cannot be pronounced.
    #[error("{0}")]
    Voice(String),
    /// The pronunciation dictionaries.
    #[error("{0}; run scripts/setup-models.sh, or set tts.kokoro.lexicons in config.yml")]
    Lexicon(#[from] LexiconError),
    /// espeak-ng, where it is needed.
    #[error(transparent)]
    Espeak(#[from] EspeakError),
    /// The network could not be run.
    #[error("the network failed: {0}")]
    Network(String),
    /// The cancel token was set.
    #[error("cancelled")]
    Cancelled,
}

impl KokoroError {
    pub(super) fn damaged(path: &Path, place: impl Into<String>, message: impl Into<String>) -> KokoroError {
        KokoroError::Damaged { path: path.to_owned(), place: place.into(), message: message.into() }
    }

    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> KokoroError {
        KokoroError::Unreadable { path: path.to_owned(), source }
    }

    /// While it is loaded.
    pub(super) fn at_load(self) -> EngineError {
        EngineError::Load { engine: ENGINE, message: self.to_string() }
    }

    /// While it speaks.
    pub(super) fn at_work(self) -> EngineError {
        let code = match self {
            KokoroError::Cancelled => return EngineError::Cancelled,
            KokoroError::Voice(_) => "unknown_voice",
            _ => "tts_failed",
        };
        EngineError::Failed { engine: ENGINE, code, message: self.to_string() }
    }
}

impl From<candle_core::Error> for KokoroError {
    fn from(error: candle_core::Error) -> KokoroError {
        KokoroError::Network(error.to_string())
    }
}
