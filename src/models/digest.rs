//! sha256 of what comes in pieces, and of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Digest {
    hash: Sha256,
    bytes: u64,
}

impl Digest {
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of a whole file; `read` hears of each length reached.
    pub fn of_file(path: &Path, mut read: impl FnMut(u64)) -> io::Result<Digest> {
        let mut file = File::open(path)?;
        let mut digest = Digest::default();
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(digest),
                length => digest.update(block.get(..length).unwrap_or_default()),
            }
            read(digest.bytes);
        }
    }
}

/// Whether `text` is a sha256 as this project writes it.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "abc" of FIPS 180-2.
    #[test]
    fn a_file_and_its_pieces_have_the_same_sum() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let mut heard = vec![];
        let whole = Digest::of_file(file.path(), |bytes| heard.push(bytes)).unwrap();
        assert_eq!((whole.sha256().as_str(), whole.bytes(), heard), (abc, 3, vec![3]));

        let mut pieces = Digest::default();
        pieces.update(b"a");
        assert_ne!(pieces.sha256(), abc);
        pieces.update(b"bc");
        assert_eq!(pieces.sha256(), abc);
        assert!(is_sha256(abc) && !is_sha256(&abc.to_uppercase()) && !is_sha256("ba78"));
    }
}
