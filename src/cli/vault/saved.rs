//! Which saved files are to be answered, and when. Reads files, and no clock.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::name_in;
use crate::frontends::markdown::document::Document;

/// See the module.
pub struct Saved {
    root: PathBuf,
    /// The folder, below `root`, of what the server logs.
    logged: PathBuf,
    wait: Duration,
    /// Files that were changed, and when they are looked at.
    due: HashMap<PathBuf, Instant>,
    /// Files that are being answered.
    busy: HashSet<PathBuf>,
    /// What files held when they had been answered, well or not: that is no reason to ask again.
    left: HashMap<PathBuf, [u8; 32]>,
}

impl Saved {
    /// Files below `root`, but not in its folder `logged`, when they have been left alone for `wait`.
    pub fn new(root: PathBuf, logged: PathBuf, wait: Duration) -> Saved {
        Saved { root, logged, wait, due: HashMap::new(), busy: HashSet::new(), left: HashMap::new() }
    }

    /// A file was changed; or a folder came, in which files may have been before anybody watched it.
    pub fn changed(&mut self, path: &Path, now: Instant) {
        if path.is_dir() && !path.is_symlink() {
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                self.changed(&entry.path(), now);
            }
        } else if name_in(&self.root, &self.logged, path).is_some() {
            self.due.insert(path.to_owned(), now + self.wait);
        }
    }

    /// When a file is to be looked at.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.iter().filter(|(path, _)| !self.busy.contains(*path)).map(|(_, due)| *due).min()
    }

    /// The files that are to be answered now, with their names in the vault.
    pub fn take_due(&mut self, now: Instant) -> Vec<(PathBuf, String)> {
        let is_due = |(path, due): &(&PathBuf, &Instant)| **due <= now && !self.busy.contains(*path);
        let due: Vec<PathBuf> = self.due.iter().filter(is_due).map(|(path, _)| path.clone()).collect();
        let mut wanted = vec![];
        for path in due {
            self.due.remove(&path);
            let Some(name) = name_in(&self.root, &self.logged, &path) else { continue };
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if self.left.get(&path) == Some(&hash(&text)) || !waits_for_a_reply(&text) {
                continue;
            }
            self.busy.insert(path.clone());
            wanted.push((path, name));
        }
        wanted
    }

    /// A file has been answered, or could not be: as it is now, it is left alone.
    pub fn answered(&mut self, path: &Path) {
        self.busy.remove(path);
        if let Ok(text) = std::fs::read_to_string(path) {
            self.left.insert(path.to_owned(), hash(&text));
        }
    }
}

fn waits_for_a_reply(text: &str) -> bool {
    let document = Document::parse(text);
    !document.is_answered() && !document.turns().is_empty()
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_answered_once_when_it_has_been_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("_logs")).unwrap();
        let wait = Duration::from_millis(500);
        let mut saved = Saved::new(folder.path().to_owned(), "_logs".into(), wait);
        let began = Instant::now();
        let ms = |ms| began + Duration::from_millis(ms);
        for name in ["a.md", "_logs/a.md", ".a.md", "a.txt", "b.md"] {
            let answered = if name == "b.md" { "### Assistant:\nYes?\n" } else { "" };
            std::fs::write(at(name), format!("### User:\nHi\n{answered}")).unwrap();
            saved.changed(&at(name), ms(0));
        }
        saved.changed(&at("a.md"), ms(300));
        assert_eq!(saved.next_due(), Some(ms(500)));
        assert_eq!(saved.take_due(ms(799)), []);
        assert_eq!(saved.take_due(ms(800)), [(at("a.md"), "a.md".to_owned())]);

        // While it is being answered, nobody asks again; what the answer wrote is no reason to.
        saved.changed(&at("a.md"), ms(900));
        assert_eq!((saved.next_due(), saved.take_due(ms(9_000))), (None, vec![]));
        std::fs::write(at("a.md"), "### User:\nHi\n### Assistant:\n> [!error]- no\n").unwrap();
        saved.answered(&at("a.md"));
        assert_eq!(saved.take_due(ms(9_000)), []);
        std::fs::write(at("a.md"), "### User:\nHi again\n").unwrap();
        saved.changed(&at("a.md"), ms(10_000));
        assert_eq!(saved.take_due(ms(10_500)).len(), 1);
    }
}
