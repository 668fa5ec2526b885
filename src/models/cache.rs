//! The cache folder: where pulled models lie, and who may change one at a time.
//!
//! ```text
//! {cache}/models.lock.yml            what was pulled: commits, lengths, sha256 (see `pins`)
//! {cache}/{name}/{path}              a file, under its path in the repository
//! {cache}/{name}/{path}.part         what has come of it so far
//! {cache}/{name}/{path}.part.yml     what that is a part of
//! ```

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::ModelError;
use crate::config::Config;

/// Beside the pins and in each model's folder: whoever changes something holds a lock on it.
pub(super) const GUARD: &str = ".lock";

/// A folder with pulled models. Need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `models.cache`; where that is empty, `vivavoce/models` in the user's cache folder
    /// (`XDG_CACHE_HOME`, else `~/.cache`); for a user without one, `pulled` in `models.dir`.
    pub fn of(config: &Config) -> Cache {
        Cache { folder: folder(config, |variable| env::var_os(variable)) }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of one model.
    pub fn model(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of a model, by its path in the repository.
    pub fn file(&self, name: &str, path: &str) -> PathBuf {
        // The manifest lets no path out of the folder.
        self.model(name).join(path)
    }

    /// What has come of a file so far.
    pub(super) fn part(&self, name: &str, path: &str) -> PathBuf {
        with_suffix(&self.file(name, path), ".part")
    }

    /// What the part is a part of.
    pub(super) fn part_note(&self, name: &str, path: &str) -> PathBuf {
        with_suffix(&self.file(name, path), ".part.yml")
    }

    /// Makes the model's folder, and keeps other processes out of it for as long as the result lives.
    ///
    /// # Errors
    /// [`ModelError::Busy`] at once if somebody else is in it.
    pub(super) fn enter(&self, name: &str) -> Result<Guard, ModelError> {
        let folder = self.model(name);
        fs::create_dir_all(&folder).map_err(ModelError::io("make the folder", &folder))?;
        let guard = open_guard(&folder)?;
        match guard.try_lock() {
            Err(TryLockError::WouldBlock) => Err(ModelError::Busy { name: name.to_owned() }),
            // A file system without locks: then nobody is kept out.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Guard { _file: guard }),
        }
    }

    /// Waits until nobody else changes what is common to all models. Held for a moment only.
    pub(super) fn enter_common(&self) -> Result<Guard, ModelError> {
        fs::create_dir_all(&self.folder).map_err(ModelError::io("make the folder", &self.folder))?;
        let guard = open_guard(&self.folder)?;
        // An error says that the file system has no locks.
        let _ = guard.lock();
        Ok(Guard { _file: guard })
    }
}

/// Given back when dropped, by a crash too.
pub(super) struct Guard {
    _file: File,
}

fn open_guard(folder: &Path) -> Result<File, ModelError> {
    let path = folder.join(GUARD);
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ModelError::io("write to", &path))
}

fn folder(config: &Config, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if !config.models.cache.as_os_str().is_empty() {
        return config.models.cache.clone();
    }
    // The XDG base directory specification: relative paths are to be ignored.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    match user {
        Some(user) => user.join("vivavoce").join("models"),
        None => config.models.dir.join("pulled"),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_is_the_key_else_the_users_else_beside_the_models() {
        let check = |cache: &str, xdg: Option<&str>, home: Option<&str>, expected: &str| {
            let mut config = Config::default();
            config.models.cache = cache.into();
            let found = folder(&config, |variable| match variable {
                "XDG_CACHE_HOME" => xdg.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            });
            assert_eq!(found, Path::new(expected));
        };
        check("weights", Some("/x"), Some("/h"), "weights");
        check("", Some("/x"), Some("/h"), "/x/vivavoce/models");
        check("", Some("relative"), Some("/h"), "/h/.cache/vivavoce/models");
        check("", None, Some("/h"), "/h/.cache/vivavoce/models");
        check("", None, None, "models/pulled");
    }

    #[test]
    fn a_model_is_changed_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder: folder.path().join("not made yet") };
        let first = cache.enter("a").unwrap();
        let refused = cache.enter("a").err().unwrap().to_string();
        assert!(refused.starts_with("a is being pulled or removed"), "{refused}");
        assert!(cache.enter("b").is_ok(), "another model is not touched by that");
        drop(first);
        assert!(cache.enter("a").is_ok());
    }
}
