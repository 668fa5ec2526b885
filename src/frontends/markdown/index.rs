//! Which file holds which conversation: by the id in its frontmatter and by its fingerprint. Filled from
//! the files when the server starts, and kept with every file that is written.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::frontmatter::Frontmatter;
use super::vault::Vault;
use super::work::keys;
use super::write::remove_abandoned;
use crate::conversation::ids::SessionId;

/// A frontmatter is expected to be no longer.
const HEAD_BYTES: u64 = 64 << 10;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Index(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    of_session: HashMap<SessionId, PathBuf>,
    of_fingerprint: HashMap<String, PathBuf>,
    files: HashMap<PathBuf, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    session: Option<SessionId>,
    fingerprint: Option<String>,
}

impl Index {
    /// A file says this of itself now.
    pub fn note(&self, path: &Path, session: Option<SessionId>, fingerprint: Option<&str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.files.remove(path).unwrap_or_default();
        if let Some(session) = before.session {
            known.of_session.remove(&session);
        }
        if let Some(fingerprint) = before.fingerprint {
            known.of_fingerprint.remove(&fingerprint);
        }
        if let Some(session) = session {
            known.of_session.insert(session, path.to_owned());
        }
        if let Some(fingerprint) = fingerprint {
            known.of_fingerprint.insert(fingerprint.to_owned(), path.to_owned());
        }
        let fingerprint = fingerprint.map(str::to_owned);
        known.files.insert(path.to_owned(), Entry { session, fingerprint });
    }

    /// The file of one of these sessions, the first that has one.
    pub fn file_of(&self, sessions: &[SessionId]) -> Option<PathBuf> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().find_map(|session| known.of_session.get(session)).cloned()
    }

    /// The file that ends with one of these fingerprints, the last that there is; not one that says of
    /// itself that it is another conversation.
    pub fn file_that_ends(&self, fingerprints: &[String]) -> Option<PathBuf> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unnamed = |path: &&PathBuf| known.files.get(*path).is_some_and(|entry| entry.session.is_none());
        fingerprints.iter().rev().find_map(|print| known.of_fingerprint.get(print).filter(unnamed)).cloned()
    }

    /// Looks at all files of a vault. What a process that was killed has left goes on the way. Blocking.
    pub fn warm(&self, vault: &Vault) {
        let files = vault.files();
        let mut last_folder = None;
        for path in &files {
            let folder = path.parent();
            if folder != last_folder {
                folder.into_iter().for_each(remove_abandoned);
                last_folder = folder;
            }
            let Some(head) = head_of(path) else { continue };
            let Some((frontmatter, _)) = Frontmatter::split(&head) else { continue };
            let session = frontmatter.get(keys::CONVERSATION).and_then(|id| id.parse().ok());
            let fingerprint = frontmatter.get(keys::FINGERPRINT);
            if session.is_some() || fingerprint.is_some() {
                self.note(path, session, fingerprint.as_deref());
            }
        }
        tracing::info!(files = files.len(), vault = %vault.root().display(), "the vault has been looked through");
    }
}

fn head_of(path: &Path) -> Option<String> {
    let mut bytes = vec![];
    File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
