//! Files are written whole or not at all: whoever reads one, or pulls the plug, finds the old text or the
//! new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::vault::{TEMPORARY_PREFIX, TEMPORARY_SUFFIX};
use crate::conversation::ids::random_bytes;

/// What a process that was killed has left may go after this time: by then nobody is writing it.
const ABANDONED: Duration = Duration::from_secs(600);

/// Removed when it is dropped, unless it has its final name.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes `text` to `path`, in the place of what is there, with its permissions. Folders are made. When this
/// returns, the text is on the disk. Blocking.
///
/// # Errors
/// What the system says; the file is then as it was.
pub fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let digits: String = random_bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = folder.join(format!("{TEMPORARY_PREFIX}{digits}{TEMPORARY_SUFFIX}"));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let mut guard = Temporary(Some(temporary.clone()));
    file.write_all(text.as_bytes())?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    guard.0 = None;
    // The new name is on the disk when its folder is.
    File::open(folder)?.sync_all()
}

/// Removes what a process that was killed has left in `folder`. Blocking.
pub fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX));
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        if ours && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
