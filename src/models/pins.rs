//! `models.lock.yml` in the cache folder: what the first pull of each model brought, so that every
//! later pull brings the same bytes, and `verify` knows what to compare with.
//!
//! A pin outlives its model's files: `rm` leaves it. It is replaced only by `pull --update`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ModelError;
use super::cache::Cache;
use super::manifest::HubParts;

/// Name of the file.
pub(super) const FILE: &str = "models.lock.yml";

const HEAD: &str = "\
# Written by `vivavoce models pull`: what each model's first pull brought. Later pulls must bring the
# same, and `vivavoce models verify` compares with it. Accept other bytes: `models pull --update NAME`.
";

/// The contents of the lock file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<String, PinnedModel>);

/// One model as it was pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedModel {
    /// On the hub; a pin of another repository is none.
    pub repository: String,
    /// The repository's commit, where the hub named it. Later pulls ask for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// By path in the repository.
    pub files: BTreeMap<String, Pin>,
}

/// One file as it was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Length.
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

impl Pins {
    /// Reads the cache's lock file; without one there are no pins.
    pub fn load(cache: &Cache) -> Result<Pins, ModelError> {
        let path = path(cache);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pins::default()),
            Err(source) => return Err(ModelError::Io { doing: "read", path, source }),
        };
        // Nothing but comments is null.
        let pins: Option<Pins> = serde_yaml::from_str(&text)
            .map_err(|error| ModelError::Pins { path, reason: error.to_string() })?;
        Ok(pins.unwrap_or_default())
    }

    /// The model's pins, if they are of the same repository.
    pub fn of(&self, name: &str, hub: &HubParts) -> Option<&PinnedModel> {
        self.0.get(name).filter(|pinned| pinned.repository == hub.repository)
    }

    /// Writes one model's pins, beside those of others that other processes may be writing. After
    /// this returns they survive a power cut.
    pub(super) fn write(cache: &Cache, name: &str, model: PinnedModel) -> Result<(), ModelError> {
        let _guard = cache.enter_common()?;
        let mut pins = Pins::load(cache)?;
        if pins.0.get(name) == Some(&model) {
            return Ok(());
        }
        pins.0.insert(name.to_owned(), model);
        let path = path(cache);
        let yaml = serde_yaml::to_string(&pins)
            .map_err(|error| ModelError::Pins { path: path.clone(), reason: error.to_string() })?;
        replace(&path, format!("{HEAD}{yaml}").as_bytes()).map_err(ModelError::io("write to", &path))
    }
}

pub(super) fn path(cache: &Cache) -> PathBuf {
    cache.folder().join(FILE)
}

/// A small file is written whole or not at all.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
