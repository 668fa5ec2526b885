//! Which entries of the manifest are here, and whether they are intact.
//!
//! At a glance (`list`) a file is judged by its presence and length, thoroughly (`verify`) by its
//! sha256. What is expected of a pulled file stands in the manifest, else among the pins.
//!
//! Deliberately absent: mending anything.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::digest::Digest;
use super::manifest::{ConfigKey, Entry, File, HubParts, Manifest, NamedFile, Parts};
use super::pins::{self, PinnedModel, Pins};
use super::{ModelError, manifest};
use crate::config::Config;

/// How a part was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There, and as it must be as far as was looked.
    Present,
    /// There, but nobody knows yet what it must be: it was not brought by `pull`.
    Unpinned,
    /// Not there.
    Missing,
    /// Only its beginning is there.
    Partial,
    /// There, but not what it must be.
    Damaged {
        /// A sha256 or a length.
        expected: String,
        /// A sha256 or a length.
        found: String,
    },
    /// There, but it cannot be read.
    Unreadable(String),
    /// There is none for this architecture.
    Unavailable,
}

impl Condition {
    /// Whether it can be used.
    pub fn is_present(&self) -> bool {
        matches!(self, Condition::Present | Condition::Unpinned)
    }
}

/// How an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It comes with the program, and is there.
    BuiltIn,
    /// All of it is there.
    Present,
    /// Nothing of it is there, or (of what is not pulled) not all of it.
    Missing,
    /// Pulling it was begun and not ended; so much has come.
    Partial {
        /// 0…99, of the length as far as that is known.
        percent: u8,
    },
    /// A part is not what it must be.
    Damaged,
    /// A part cannot be read.
    Unreadable,
    /// There is none for this architecture.
    Unavailable,
}

/// What was found of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was looked for.
    pub entry: Entry,
    /// Its parts: where, and how.
    pub parts: Vec<(PathBuf, Condition)>,
    /// In one word.
    pub state: State,
    /// Its length in bytes: what it is where that is known, else what the manifest says. `None` where
    /// nobody says it (the system's packages, a built-in model that is missing).
    pub bytes: Option<u64>,
}

impl Report {
    /// Whether it can be used.
    pub fn is_present(&self) -> bool {
        matches!(self.state, State::Present | State::BuiltIn)
    }

    /// Whether it is as one may expect: there, or one of the models that nobody need pull.
    pub fn is_well(&self) -> bool {
        let can_be_pulled = matches!(self.state, State::Missing | State::Partial { .. });
        self.is_present() || (self.entry.hub().is_some() && can_be_pulled)
    }
}

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Presence and length.
    Glance,
    /// sha256: reads every file.
    Thorough,
}

/// Looks for entries in the folders of one configuration.
pub struct Looker<'c> {
    config: &'c Config,
    cache: Cache,
    pins: Pins,
}

impl<'c> Looker<'c> {
    /// Reads the pins.
    pub fn new(config: &'c Config) -> Result<Looker<'c>, ModelError> {
        let cache = Cache::of(config);
        let pins = Pins::load(&cache)?;
        Ok(Looker { config, cache, pins })
    }

    /// All entries, in the manifest's order.
    pub fn look_at_all(&self, manifest: &Manifest, look: Look) -> Vec<Report> {
        manifest.entries.iter().map(|entry| self.look(entry, look)).collect()
    }

    /// One entry.
    pub fn look(&self, entry: &Entry, look: Look) -> Report {
        let about_bytes = entry.about_bytes();
        let (parts, state, bytes) = match &entry.parts {
            Parts::Files(files) => {
                let parts = self.look_at_files(files, look);
                let state = state(&parts, State::Present);
                (parts, state, about_bytes)
            }
            Parts::System { paths, below } => {
                let parts = paths.iter().map(|path| self.look_at_system(path, *below)).collect::<Vec<_>>();
                let state = state(&parts, State::Present);
                (parts, state, None)
            }
            Parts::BuiltIn(files) => {
                let there = |file: &NamedFile| {
                    let at = self.config.models.dir.join(&file.path);
                    let condition = match condition(&at, file.bytes, file.sha256.as_deref(), look) {
                        // It came with the program, and so did the program.
                        Condition::Unpinned => Condition::Present,
                        other => other,
                    };
                    (at, condition)
                };
                let parts = files.iter().map(there).collect::<Vec<_>>();
                let bytes: Option<u64> = parts.iter().map(|(at, _)| length(at)).sum();
                let state = state(&parts, State::BuiltIn);
                (parts, state, bytes)
            }
            Parts::Hub(hub) => {
                let found = self.look_at_hub(entry, hub, look);
                (found.parts, found.state, Some(found.bytes))
            }
        };
        Report { entry: entry.clone(), parts, state, bytes }
    }

    /// Each path once: the file of this architecture, if there is one.
    fn look_at_files(&self, files: &[File], look: Look) -> Vec<(PathBuf, Condition)> {
        let mut paths: Vec<&Path> = vec![];
        for file in files {
            if !paths.contains(&&*file.path) {
                paths.push(&file.path);
            }
        }
        let look_at = |path: &Path| {
            let at = self.config.models.dir.join(path);
            let file = files.iter().filter(|file| file.path == path).find(|file| file.fits());
            let condition = file.map_or(Condition::Unavailable, |file| {
                condition(&at, Some(file.bytes), Some(&file.sha256), look)
            });
            (at, condition)
        };
        paths.into_iter().map(look_at).collect()
    }

    fn look_at_system(&self, path: &str, below: Option<ConfigKey>) -> (PathBuf, Condition) {
        let path = path.replace("{arch}", std::env::consts::ARCH);
        let path = match below {
            Some(ConfigKey::PocketsphinxModelDir) => self.config.asr.pocketsphinx_model_dir.join(path),
            None => path.into(),
        };
        let condition = if path.exists() { Condition::Present } else { Condition::Missing };
        (path, condition)
    }

    fn look_at_hub(&self, entry: &Entry, hub: &HubParts, look: Look) -> Pulled {
        let pinned = self.pins.of(&entry.name, hub);
        let mut pulled = Pulled { parts: vec![], state: State::Missing, bytes: 0 };
        let mut here_bytes = 0;
        for file in &hub.files {
            let at = self.cache.file(&entry.name, &file.path);
            let expected = Expected::of(file, pinned, &self.cache);
            let mut found = condition(&at, expected.bytes, expected.sha256, look);
            let mut here = length(&at).unwrap_or(0);
            if found == Condition::Missing {
                here = length(&self.cache.part(&entry.name, &file.path)).unwrap_or(0);
                if here > 0 {
                    found = Condition::Partial;
                }
            }
            here_bytes += here;
            // What is known for sure, else what is there if it is all there, else what was estimated.
            let estimated = if found.is_present() { here } else { file.about_bytes().max(here) };
            pulled.bytes += expected.bytes.unwrap_or(estimated);
            pulled.parts.push((at, found));
        }
        pulled.state = match state(&pulled.parts, State::Present) {
            State::Missing if here_bytes > 0 => {
                let percent = u128::from(here_bytes) * 100 / u128::from(pulled.bytes.max(1));
                // Something is missing, so it is never all of it.
                State::Partial { percent: percent.min(99) as u8 }
            }
            other => other,
        };
        pulled
    }
}

struct Pulled {
    parts: Vec<(PathBuf, Condition)>,
    state: State,
    bytes: u64,
}

/// What a pulled file must be, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected<'e> {
    pub bytes: Option<u64>,
    pub sha256: Option<&'e str>,
    pub pinned_in: String,
}

impl<'e> Expected<'e> {
    /// The manifest's word is final; what it leaves open, the first pull has pinned.
    pub fn of(file: &'e NamedFile, pinned: Option<&'e PinnedModel>, cache: &Cache) -> Expected<'e> {
        if file.sha256.is_some() {
            let pinned_in = manifest::FILE.to_owned();
            return Expected { bytes: file.bytes, sha256: file.sha256.as_deref(), pinned_in };
        }
        match pinned.and_then(|pinned| pinned.files.get(&file.path)) {
            Some(pin) => Expected {
                bytes: Some(file.bytes.unwrap_or(pin.bytes)),
                sha256: Some(&pin.sha256),
                pinned_in: pins::path(cache).display().to_string(),
            },
            None => Expected { bytes: file.bytes, sha256: None, pinned_in: manifest::FILE.to_owned() },
        }
    }
}

/// The first thing that is wrong, worst first; `well` if nothing is.
fn state(parts: &[(PathBuf, Condition)], well: State) -> State {
    let any = |wanted: fn(&Condition) -> bool| parts.iter().any(|(_, condition)| wanted(condition));
    if any(|condition| matches!(condition, Condition::Damaged { .. })) {
        State::Damaged
    } else if any(|condition| matches!(condition, Condition::Unreadable(_))) {
        State::Unreadable
    } else if any(|condition| matches!(condition, Condition::Unavailable)) {
        State::Unavailable
    } else if any(|condition| !condition.is_present()) {
        State::Missing
    } else {
        well
    }
}

fn condition(path: &Path, bytes: Option<u64>, sha256: Option<&str>, look: Look) -> Condition {
    let found = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Condition::Unreadable("it is no file".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Condition::Missing,
        Err(error) => return Condition::Unreadable(error.to_string()),
    };
    match bytes {
        Some(bytes) if bytes != found && (look == Look::Glance || sha256.is_none()) => {
            return Condition::Damaged {
                expected: format!("{bytes} bytes"),
                found: format!("{found} bytes"),
            };
        }
        None if sha256.is_none() => return Condition::Unpinned,
        _ => {}
    }
    let Some(expected) = sha256.filter(|_| look == Look::Thorough) else { return Condition::Present };
    match Digest::of_file(path, |_| {}) {
        Ok(digest) if digest.sha256() == expected => Condition::Present,
        Ok(digest) => Condition::Damaged {
            expected: format!("sha256 {expected}"),
            found: format!("sha256 {}", digest.sha256()),
        },
        Err(error) => Condition::Unreadable(error.to_string()),
    }
}

fn length(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
}
