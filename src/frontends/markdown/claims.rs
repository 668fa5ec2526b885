//! Which files are being answered: one request at a time each.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use unicode_normalization::UnicodeNormalization as _;

/// The files that are claimed.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Mutex<HashSet<PathBuf>>>);

/// A file is claimed for as long as this lives.
#[derive(Debug)]
pub struct Claim {
    claims: Claims,
    key: PathBuf,
}

impl Claims {
    /// Claims the file at `path` (without links), or `None` if somebody has. Names that differ in their
    /// Unicode normal form only are one file: where the file system thinks so, they are.
    pub fn claim(&self, path: &Path) -> Option<Claim> {
        let key = match path.to_str() {
            Some(text) => PathBuf::from(text.nfc().collect::<String>()),
            None => path.to_owned(),
        };
        let mut claimed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.insert(key.clone()).then(|| Claim { claims: self.clone(), key })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
