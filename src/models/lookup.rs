//! From the name of a model to the files that an engine loads.

use std::path::{Path, PathBuf};

use super::ModelError;
use super::cache::Cache;
use super::error::size;
use super::manifest::{Engine, Entry, Manifest};
use super::presence::{Look, Looker, Report, State};
use crate::config::Config;

/// A model that is ready to be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In the manifest.
    pub name: String,
    /// Its `.gguf` file if it is one, else its folder.
    pub path: PathBuf,
    /// What its files take.
    pub bytes: u64,
}

/// The files of a model: its `.gguf` file if it is one, else its folder.
///
/// `name_or_path` is an entry of the manifest that was pulled or is built in, else the path of a file
/// or folder of the user's own, which is returned as it is. (A path that looks like an entry's name is
/// written `./name`.)
///
/// # Errors
/// Says what to run if the entry is not here, and what was nearly meant if there is none.
pub fn find(config: &Config, name_or_path: &str) -> Result<PathBuf, ModelError> {
    let manifest = Manifest::builtin()?;
    match manifest.entry(name_or_path) {
        Ok(entry) => files_of(config, entry),
        Err(unknown) => match Path::new(name_or_path) {
            path if !name_or_path.is_empty() && path.exists() => Ok(path.to_owned()),
            _ => Err(unknown),
        },
    }
}

/// The models of an engine that were pulled and are all here, best first (the manifest's order).
/// What is damaged at a glance is left out.
pub fn pulled(config: &Config, engine: Engine) -> Result<Vec<Found>, ModelError> {
    let manifest = Manifest::builtin()?;
    let looker = Looker::new(config)?;
    let entries = manifest.entries.iter().filter(|entry| entry.engine == engine && entry.hub().is_some());
    let found = |entry: &Entry| {
        let report = looker.look(entry, Look::Glance);
        report.is_present().then(|| Found {
            name: entry.name.clone(),
            path: to_load(config, &report),
            bytes: report.bytes.unwrap_or(0),
        })
    };
    Ok(entries.filter_map(found).collect())
}

fn files_of(config: &Config, entry: &Entry) -> Result<PathBuf, ModelError> {
    let report = Looker::new(config)?.look(entry, Look::Glance);
    if report.is_present() {
        return Ok(to_load(config, &report));
    }
    let name = entry.name.clone();
    if entry.hub().is_some() {
        return Err(ModelError::NotPulled { name, state: described(&report) });
    }
    let lacking = report.parts.into_iter().find(|(_, condition)| !condition.is_present());
    let path = lacking.map(|(path, _)| path).unwrap_or_default();
    Err(ModelError::Absent { name, path, remedy: entry.setup.clone() })
}

/// What is here of a model that is not usable.
fn described(report: &Report) -> String {
    match report.state {
        State::Partial { percent } => format!("{percent} % has come"),
        State::Damaged | State::Unreadable => "its files are damaged".to_owned(),
        _ => format!("{} to fetch", size(report.bytes.unwrap_or(0))),
    }
}

/// A `.gguf` file if there is one and no other, else the folder.
fn to_load(config: &Config, report: &Report) -> PathBuf {
    let mut ggufs = report.parts.iter().filter(|(path, _)| path.extension().is_some_and(|is| is == "gguf"));
    if let (Some((gguf, _)), None) = (ggufs.next(), ggufs.next()) {
        return gguf.clone();
    }
    if report.entry.hub().is_some() {
        return Cache::of(config).model(&report.entry.name);
    }
    let first = report.parts.first().and_then(|(path, _)| path.parent());
    first.map(Path::to_owned).unwrap_or_default()
}
