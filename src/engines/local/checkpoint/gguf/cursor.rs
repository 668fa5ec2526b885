//! Reading forward through bytes that may end, or lie, anywhere.

use std::path::Path;

use super::CheckpointError;

/// A position in a file's bytes. Nothing is read past the end, and nothing is allocated for a
/// length that the rest of the file cannot hold.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    path: &'a Path,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], path: &'a Path) -> Self {
        Cursor { bytes, position: 0, path }
    }

    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes before the next.
    pub fn position(&self) -> u64 {
        self.position as u64
    }

    /// The next `count` bytes; `what` says what they would be.
    pub fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], CheckpointError> {
        let rest = &self.bytes[self.position..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count)).ok_or_else(|| {
            CheckpointError::damaged(
                self.path,
                format!("byte {}, {what}", self.position),
                format!("{count} bytes should follow, but only {} do", rest.len()),
            )
        })?;
        self.position += taken.len();
        Ok(taken)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A string with its length in front.
    pub fn text(&mut self, what: &str) -> Result<&'a str, CheckpointError> {
        let length = self.u64(what)?;
        let start = self.position;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|error| {
            CheckpointError::damaged(
                self.path,
                format!("byte {}, {what}", start + error.valid_up_to()),
                "is not UTF-8",
            )
        })
    }

    /// An error unless the rest of the file could hold `count` things of at least `least_bytes`.
    pub fn check_count(&self, count: u64, least_bytes: u64, what: &str) -> Result<(), CheckpointError> {
        let rest = self.len() - self.position();
        if count.checked_mul(least_bytes).is_none_or(|bytes| bytes > rest) {
            return Err(CheckpointError::damaged(
                self.path,
                format!("byte {}, {what}", self.position),
                format!("is {count}, for which {rest} remaining bytes are too few"),
            ));
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }
}
