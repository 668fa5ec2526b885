//! `models/manifest.yml`: what weights and libraries exist, and where each comes from.
//!
//! The manifest is compiled in, so the binary knows what it needs wherever it runs. An entry is one
//! of four kinds, told apart by the key that lists its parts:
//!
//! | key | comes from | lies | known by |
//! |---|---|---|---|
//! | `files` | a set-up script | below `models.dir` | sha256 |
//! | `system` | a package of the system | where the package puts it | presence |
//! | `built_in` | this project's own training | below `models.dir` | sha256, where given |
//! | `hub` | a model hub, by `vivavoce models pull` | in the cache folder | sha256 of the first pull |
//!
//! Deliberately absent: whether anything of it is here ([`presence`](super::presence)).

use std::collections::HashSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::is_sha256;
use super::error::ModelError;

/// Where it stands in the repository; error messages name it.
pub(super) const FILE: &str = "models/manifest.yml";

const BUILTIN: &str = include_str!("../../models/manifest.yml");

/// Why a manifest is none: not YAML, a key unknown or missing, or an entry that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("models/manifest.yml: {0}")]
pub struct ManifestError(String);

/// Everything that can be set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// In the order of the file, which is the order of preference among the models of an engine.
    pub entries: Vec<Entry>,
}

/// One network, library or package.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawEntry")]
pub struct Entry {
    /// For people, the command line and the configuration; also the name of its cache folder.
    pub name: String,
    /// What it is, in one line.
    pub what: String,
    /// Which engine loads it.
    pub engine: Engine,
    /// The key of `config.yml` that makes the engine load it when it is set to this entry's name.
    pub selected_by: Option<String>,
    /// Where it comes from, with its version.
    pub source: String,
    /// SPDX expression, or the nearest to one.
    pub licence: String,
    /// The command that sets it up.
    pub setup: String,
    /// What it consists of.
    pub parts: Parts,
}

/// What loads an entry: a stage of the conversation, or several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Engine {
    Vad,
    /// End-of-turn detection.
    Turn,
    Asr,
    Llm,
    Tts,
    /// Talking-head clips.
    Clip,
    /// A library that other entries run on.
    Runtime,
}

impl Engine {
    /// As in `manifest.yml`.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Vad => "vad",
            Engine::Turn => "turn",
            Engine::Asr => "asr",
            Engine::Llm => "llm",
            Engine::Tts => "tts",
            Engine::Clip => "clip",
            Engine::Runtime => "runtime",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an entry consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Files below `models.dir` that a script brings.
    Files(Vec<File>),
    /// Paths that belong to a package of the system: absolute, or below the folder of a config
    /// key. `{arch}` stands for the architecture.
    System {
        /// Each must exist.
        paths: Vec<String>,
        /// What relative paths are relative to.
        below: Option<ConfigKey>,
    },
    /// Files below `models.dir` that come with the program.
    BuiltIn(Vec<NamedFile>),
    /// Files of a repository on a model hub.
    Hub(HubParts),
}

/// A file as it must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Below `models.dir`.
    pub path: PathBuf,
    /// `any`, or an architecture as `uname -m` and [`std::env::consts::ARCH`] name it.
    pub platform: String,
    /// Length.
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// A file, with what is known of it beforehand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// Below `models.dir`, or in the hub's repository. Parts are divided by `/`.
    pub path: String,
    /// Roughly its length, in units of 10⁶ bytes; to tell people, never to compare.
    pub about_mb: Option<u64>,
    /// Length.
    pub bytes: Option<u64>,
    /// In lower-case hexadecimal.
    pub sha256: Option<String>,
}

impl NamedFile {
    /// Its length as far as it is known beforehand.
    pub fn about_bytes(&self) -> u64 {
        self.bytes.or(self.about_mb.map(|mb| mb.saturating_mul(1_000_000))).unwrap_or(0)
    }
}

/// Files on a model hub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubParts {
    /// `owner/name`.
    pub repository: String,
    /// Branch, tag or commit that the first pull asks for.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// All of them are needed.
    pub files: Vec<NamedFile>,
}

fn main_branch() -> String {
    "main".to_owned()
}

/// A key of `config.yml` that names a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ConfigKey {
    /// `asr.pocketsphinx_model_dir`
    #[serde(rename = "asr.pocketsphinx_model_dir")]
    PocketsphinxModelDir,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    what: String,
    engine: Engine,
    selected_by: Option<String>,
    source: Option<String>,
    licence: String,
    setup: Option<String>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    system: Vec<String>,
    config_key: Option<ConfigKey>,
    #[serde(default)]
    built_in: Vec<NamedFile>,
    hub: Option<HubParts>,
}

impl TryFrom<RawEntry> for Entry {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<Entry, String> {
        let name = raw.name;
        let wrong = |problem: String| format!("{name}: {problem}");
        if !is_name(&name) {
            return Err(wrong("a name has lower-case letters, digits, `.`, `-` and `_` only".into()));
        }
        let kinds =
            [!raw.files.is_empty(), !raw.system.is_empty(), !raw.built_in.is_empty(), raw.hub.is_some()];
        let parts = match (kinds, raw.hub) {
            ([true, false, false, false], _) => Parts::Files(raw.files),
            ([false, true, false, false], _) => Parts::System { paths: raw.system, below: raw.config_key },
            ([false, false, true, false], _) => Parts::BuiltIn(raw.built_in),
            ([false, false, false, true], Some(hub)) => Parts::Hub(hub),
            _ => return Err(wrong("needs one of `files`, `system`, `built_in` and `hub`".into())),
        };
        check(&parts).map_err(wrong)?;
        // Of a hub's entry its repository says both.
        let (hub_source, hub_setup) = match &parts {
            Parts::Hub(hub) => {
                let source = format!("{} on Hugging Face", hub.repository);
                (Some(source), Some(format!("vivavoce models pull {name}")))
            }
            _ => (None, None),
        };
        let source = raw.source.or(hub_source).ok_or_else(|| wrong("needs `source`".into()))?;
        let setup = raw.setup.or(hub_setup).ok_or_else(|| wrong("needs `setup`".into()))?;
        let RawEntry { what, engine, selected_by, licence, .. } = raw;
        Ok(Entry { name, what, engine, selected_by, source, licence, setup, parts })
    }
}

/// Whether the parts make sense. The error says which does not.
fn check(parts: &Parts) -> Result<(), String> {
    match parts {
        Parts::System { .. } => Ok(()),
        Parts::Files(files) => files.iter().try_for_each(|file| {
            let path = file.path.to_string_lossy();
            check_sha256(&path, Some(&file.sha256))?;
            is_inside(&file.path).then_some(()).ok_or(format!("{path} is not below models.dir"))
        }),
        Parts::BuiltIn(files) => check_files(files, "models.dir"),
        Parts::Hub(hub) => {
            let mut words = hub.repository.split('/');
            let is_word = |word: Option<&str>| {
                word.is_some_and(|word| {
                    !word.is_empty()
                        && !word.starts_with('.')
                        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
                })
            };
            if !(is_word(words.next()) && is_word(words.next()) && words.next().is_none()) {
                return Err(format!("{:?} is no repository; write owner/name", hub.repository));
            }
            if hub.revision.is_empty() {
                return Err("an empty revision; leave it out for `main`".to_owned());
            }
            if hub.files.is_empty() {
                return Err("`hub` has no files".to_owned());
            }
            check_files(&hub.files, "the cache folder")
        }
    }
}

fn check_files(files: &[NamedFile], folder: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for file in files {
        let path = &file.path;
        check_sha256(path, file.sha256.as_deref())?;
        if !is_inside(Path::new(path)) || path.contains('\\') || path.starts_with('.') {
            return Err(format!("{path:?} is not below {folder}"));
        }
        if path.ends_with(".part") || path.ends_with(".part.yml") {
            return Err(format!("{path}: names like that are for what has not come whole"));
        }
        if !seen.insert(path) {
            return Err(format!("{path} stands there twice"));
        }
    }
    Ok(())
}

fn check_sha256(path: &str, sha256: Option<&str>) -> Result<(), String> {
    match sha256 {
        Some(sha256) if !is_sha256(sha256) => {
            Err(format!("sha256 of {path} is not 64 lower-case hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// Whether a relative path stays below the folder that it is relative to.
fn is_inside(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// A name is a folder's, and is typed in shells and URLs.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && name.chars().all(plain)
}

impl Entry {
    /// The entry's files on a hub, if they come from one.
    pub fn hub(&self) -> Option<&HubParts> {
        match &self.parts {
            Parts::Hub(hub) => Some(hub),
            _ => None,
        }
    }

    /// What it takes on the disk, in bytes, as far as it is known beforehand; `None` for what the
    /// system's packages bring.
    pub fn about_bytes(&self) -> Option<u64> {
        match &self.parts {
            Parts::System { .. } => None,
            Parts::Files(files) => Some(files.iter().filter(|file| file.fits()).map(|file| file.bytes).sum()),
            Parts::BuiltIn(files) => Some(files.iter().map(NamedFile::about_bytes).sum()),
            Parts::Hub(hub) => Some(hub.files.iter().map(NamedFile::about_bytes).sum()),
        }
    }
}

impl File {
    /// Whether it is for this machine's architecture.
    pub fn fits(&self) -> bool {
        self.platform == "any" || self.platform == std::env::consts::ARCH
    }
}

impl Manifest {
    /// The manifest of this build.
    pub fn builtin() -> Result<Manifest, ManifestError> {
        Manifest::parse(BUILTIN)
    }

    /// Parses `manifest.yml`.
    pub fn parse(yaml: &str) -> Result<Manifest, ManifestError> {
        let entries: Vec<Entry> =
            serde_yaml::from_str(yaml).map_err(|error| ManifestError(error.to_string()))?;
        let mut names = HashSet::new();
        match entries.iter().find(|entry| !names.insert(&entry.name)) {
            Some(twice) => Err(ManifestError(format!("{}: there are two of that name", twice.name))),
            None => Ok(Manifest { entries }),
        }
    }

    /// The entry of that name.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], with the nearest name.
    pub fn entry(&self, name: &str) -> Result<&Entry, ModelError> {
        /// How alike two names must be for one to be taken for the other, 0…1.
        const ALIKE: f64 = 0.7;
        if let Some(entry) = self.entries.iter().find(|entry| entry.name == name) {
            return Ok(entry);
        }
        let typed = name.to_lowercase();
        let likeness = |entry: &Entry| strsim::jaro_winkler(&typed, &entry.name);
        let alike = self.entries.iter().map(|entry| (likeness(entry), entry));
        let nearest = alike.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
        let nearest = nearest.map(|(_, entry)| entry.name.clone());
        Err(ModelError::Unknown { name: name.to_owned(), nearest })
    }
}

#[cfg(test)]
mod tests;
