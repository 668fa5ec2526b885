//! A file that has not come whole: its bytes so far (`.part`) and what they are the beginning of
//! (`.part.yml`). Both survive a kill at any moment; what does not fit together is started over.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ModelError;
use super::cache::Cache;
use super::digest::Digest;
use super::hub::{Answer, Beginning};
use super::pins;

/// Where a file's beginning lies, or would.
pub(super) struct Part {
    bytes: PathBuf,
    note: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    identity: Option<String>,
    validator: Option<String>,
    total: Option<u64>,
}

impl Part {
    pub fn of(cache: &Cache, name: &str, path: &str) -> Part {
        Part { bytes: cache.part(name, path), note: cache.part_note(name, path) }
    }

    /// What is here, if it can be continued or is whole already.
    pub fn beginning(&self) -> Option<(Beginning, Option<u64>)> {
        let bytes = self.bytes.metadata().ok()?.len();
        let note: Note = serde_yaml::from_str(&fs::read_to_string(&self.note).ok()?).ok()?;
        let beginning = Beginning { bytes, identity: note.identity, validator: note.validator };
        beginning.can_be_continued().then_some((beginning, note.total))
    }

    /// Opens the part for what `answer` brings: emptied, or with the digest of what is there.
    /// `read` hears how far reading that has come.
    pub fn open(&self, answer: &Answer, read: impl FnMut(u64)) -> Result<(File, Digest), ModelError> {
        let write = |path| ModelError::io("write to", path);
        if let Some(folder) = self.bytes.parent() {
            fs::create_dir_all(folder).map_err(ModelError::io("make the folder", folder))?;
        }
        if answer.from > 0 {
            let digest = Digest::of_file(&self.bytes, read).map_err(ModelError::io("read", &self.bytes))?;
            let mut file = File::options().write(true).open(&self.bytes).map_err(write(&self.bytes))?;
            file.seek(SeekFrom::Start(digest.bytes())).map_err(write(&self.bytes))?;
            return Ok((file, digest));
        }
        // The old bytes go before the new note comes: a kill in between leaves nothing that lies.
        let file = File::create(&self.bytes).map_err(write(&self.bytes))?;
        let note = Note {
            identity: answer.identity.clone(),
            validator: answer.validator.clone(),
            total: answer.total,
        };
        let yaml = serde_yaml::to_string(&note).unwrap_or_default();
        pins::replace(&self.note, yaml.as_bytes()).map_err(write(&self.note))?;
        Ok((file, Digest::default()))
    }

    pub fn append(&self, file: &mut File, piece: &[u8]) -> Result<(), ModelError> {
        file.write_all(piece).map_err(ModelError::io("write to", &self.bytes))
    }

    /// After this the bytes survive a power cut.
    pub fn flush(&self, file: &File) -> Result<(), ModelError> {
        file.sync_all().map_err(ModelError::io("write to", &self.bytes))
    }

    /// Of all that is here.
    pub fn digest(&self, read: impl FnMut(u64)) -> Result<Digest, ModelError> {
        Digest::of_file(&self.bytes, read).map_err(ModelError::io("read", &self.bytes))
    }

    /// Makes it the file that it was a part of.
    pub fn publish(&self, as_file: &std::path::Path) -> Result<(), ModelError> {
        fs::rename(&self.bytes, as_file).map_err(ModelError::io("write to", as_file))?;
        gone(fs::remove_file(&self.note)).map_err(ModelError::io("remove", &self.note))
    }

    /// Takes away what is here, if anything is.
    pub fn discard(&self) -> Result<(), ModelError> {
        gone(fs::remove_file(&self.bytes)).map_err(ModelError::io("remove", &self.bytes))?;
        gone(fs::remove_file(&self.note)).map_err(ModelError::io("remove", &self.note))
    }
}

/// What is not there need not be removed.
pub(super) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
