//! Removing a pulled model: its files, whole and in parts. Its pins stay, so that what is pulled next
//! under the same name is the same again.

use std::fs;
use std::path::Path;

use super::ModelError;
use super::cache::{Cache, GUARD};
use super::manifest::{Entry, HubParts, Parts};
use super::part::{Part, gone};

/// The files of a model that may be removed.
///
/// # Errors
/// Says why what did not come by `pull` is not removed here.
pub fn removable(entry: &Entry) -> Result<&HubParts, ModelError> {
    let reason = match &entry.parts {
        Parts::Hub(hub) => return Ok(hub),
        Parts::BuiltIn(_) => "it is a part of Vivavoce".to_owned(),
        Parts::System { .. } => {
            format!("it belongs to the system ({}); use its package manager", entry.source)
        }
        Parts::Files(_) => format!("{} brought it, and the server does not work without it", entry.setup),
    };
    Err(ModelError::NotFromHub { name: entry.name.clone(), what: "removed", reason })
}

/// Bytes that [`remove`] would free.
pub fn taken_bytes(entry: &Entry, cache: &Cache) -> Result<u64, ModelError> {
    let hub = removable(entry)?;
    let taken = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let of_file =
        |path: &String| taken(&cache.file(&entry.name, path)) + taken(&cache.part(&entry.name, path));
    Ok(hub.files.iter().map(|file| of_file(&file.path)).sum())
}

/// Removes a model's files and the folders that are empty then; files of others in them stay. Returns
/// the bytes freed; 0 if nothing of it was there.
pub fn remove(entry: &Entry, cache: &Cache) -> Result<u64, ModelError> {
    let hub = removable(entry)?;
    let folder = cache.model(&entry.name);
    if !folder.exists() {
        return Ok(0);
    }
    let _guard = cache.enter(&entry.name)?;
    let freed = taken_bytes(entry, cache)?;
    for file in &hub.files {
        let at = cache.file(&entry.name, &file.path);
        gone(fs::remove_file(&at)).map_err(ModelError::io("remove", &at))?;
        Part::of(cache, &entry.name, &file.path).discard()?;
        // Folders inside the repository, the innermost first. One that is not empty stays.
        for inner in at.ancestors().skip(1).take_while(|inner| *inner != folder) {
            let _ = fs::remove_dir(inner);
        }
    }
    let guard = folder.join(GUARD);
    gone(fs::remove_file(&guard)).map_err(ModelError::io("remove", &guard))?;
    let _ = fs::remove_dir(&folder);
    Ok(freed)
}
