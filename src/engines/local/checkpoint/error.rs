//! What can be wrong with a checkpoint: file, place in it, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is not there or cannot be opened.
    #[error("cannot read {}: {source}; {remedy}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A file contradicts itself or its format.
    #[error(
        "{}: {place}: {message}; the file is damaged or was not copied whole: fetch it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Key, tensor or byte position.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// The file is sound, but asks for what this server does not do.
    #[error("{}: {place}: {message}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Key or tensor.
        place: String,
        /// What is asked for, and what would be taken instead.
        message: String,
    },
}

impl CheckpointError {
    pub(in crate::engines::local) fn damaged(
        path: &Path,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        CheckpointError::Damaged { path: path.to_owned(), place: place.into(), message: message.into() }
    }

    pub(in crate::engines::local) fn unsupported(
        path: &Path,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        CheckpointError::Unsupported { path: path.to_owned(), place: place.into(), message: message.into() }
    }
}
