//! The folder of the files, and which file a name in a request means. Nothing outside of it is ever read or
//! written, whatever the name and whatever links there are.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization as _;

/// Names of files that we are writing begin and end so; they are nobody's notes.
pub const TEMPORARY_PREFIX: &str = ".vivavoce-";
/// See [`TEMPORARY_PREFIX`].
pub const TEMPORARY_SUFFIX: &str = ".tmp";
/// Folders in folders that are searched.
const MAX_DEPTH: usize = 32;
/// Links that one name may lead through.
const MAX_LINKS: usize = 16;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("markdown.vault_path: {} cannot be used ({source}); name a folder that this user may read and write", path.display())]
pub struct VaultError {
    path: PathBuf,
    source: io::Error,
}

/// A name that is none in this vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It leads outside.
    #[error("filename escapes vault")]
    Escapes,
    /// It names no file.
    #[error("filename names no file")]
    Empty,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Without links.
    root: PathBuf,
}

impl Vault {
    /// The vault in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// It cannot be made or entered.
    pub fn open(folder: &Path) -> Result<Vault, VaultError> {
        let failed = |source| VaultError { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        Ok(Vault { root: fs::canonicalize(folder).map_err(failed)? })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that `name` means, without links; it need not be there. Slashes in front are dropped, `.md` is
    /// added. Where there is no such file but one whose name is the same in another Unicode normal form, that
    /// one is meant. Blocking.
    ///
    /// # Errors
    /// It is outside, or no name.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, BadName> {
        let name = name.trim_start_matches('/');
        let ends =
            |name: &str| name.len() >= 3 && name.as_bytes()[name.len() - 3..].eq_ignore_ascii_case(b".md");
        if name.contains('\0') || name.ends_with('/') || name.is_empty() {
            return Err(BadName::Empty);
        }
        let name = if ends(name) { name.to_owned() } else { format!("{name}.md") };
        let path = self.walk(&self.root, Path::new(&name), MAX_LINKS)?;
        if path == self.root || path.is_dir() {
            return Err(BadName::Empty);
        }
        Ok(path)
    }

    /// `name` seen from `folder`, every link followed, never leaving the vault on the way.
    fn walk(&self, folder: &Path, name: &Path, links_left: usize) -> Result<PathBuf, BadName> {
        let mut at = folder.to_owned();
        for part in name.components() {
            match part {
                Component::CurDir => continue,
                Component::Normal(part) => at = existing(&at, part),
                Component::ParentDir => drop(at.pop()),
                Component::RootDir => at = PathBuf::from("/"),
                Component::Prefix(_) => return Err(BadName::Escapes),
            }
            if let Ok(target) = fs::read_link(&at) {
                let links_left = links_left.checked_sub(1).ok_or(BadName::Escapes)?;
                at.pop();
                // An absolute target may lead back into the vault: it is judged by where it ends.
                at = match fs::canonicalize(at.join(&target)) {
                    Ok(real) => real,
                    // Nothing is there yet, and nothing is made behind a link.
                    Err(_) if target.is_absolute() => return Err(BadName::Escapes),
                    Err(_) => self.walk(&at, &target, links_left)?,
                };
            }
            if !at.starts_with(&self.root) {
                return Err(BadName::Escapes);
            }
        }
        Ok(at)
    }

    /// The name of a file as requests say it.
    pub fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// All Markdown files, those in hidden folders not. Links to folders are not followed. Blocking.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        collect(&self.root, MAX_DEPTH, &mut found);
        found
    }
}

/// What is under `name` in `folder`, or under the same name in another Unicode normal form.
fn existing(folder: &Path, name: &OsStr) -> PathBuf {
    let path = folder.join(name);
    let Some(text) = name.to_str().filter(|text| !text.is_ascii()) else { return path };
    if path.symlink_metadata().is_ok() {
        return path;
    }
    let composed: String = text.nfc().collect();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    let same = names.find(|name| name.to_str().is_some_and(|name| name.nfc().eq(composed.chars())));
    same.map_or(path, |same| folder.join(same))
}

fn collect(folder: &Path, depth_left: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, hidden) = (entry.path(), entry.file_name().as_encoded_bytes().starts_with(b"."));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !hidden && depth_left > 0 => collect(&path, depth_left - 1, found),
            Ok(kind) if kind.is_file() && !hidden && is_markdown(&path) => found.push(path),
            _ => {}
        }
    }
}

/// Whether a path ends in `.md`.
pub fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}
