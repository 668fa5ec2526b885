//! Files as memory.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use super::CheckpointError;

/// Maps a file for reading. The bytes stay valid, and the file open, as long as any part of the
/// result lives; pages that nobody reads cost no memory.
pub fn map(path: &Path, remedy: &'static str) -> Result<Bytes, CheckpointError> {
    let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source, remedy };
    let file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(CheckpointError::damaged(path, "file", "is not a regular file"));
    }
    // SAFETY: the map is read-only and private to this process. What Rust cannot promise is that
    // no other process shortens or rewrites the file meanwhile; model files are replaced by
    // renaming a complete new file over the old name, which leaves this map as it was.
    let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
    Ok(Bytes::from_owner(map))
}
