//! What can go wrong with models as files: every message names the model or the file, and the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model cannot be listed, found, pulled, verified or removed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The manifest of this build is broken.
    #[error(transparent)]
    Manifest(#[from] super::ManifestError),
    /// No such entry, and (where a path would do) no such path.
    #[error("there is no model {name:?}{}; `vivavoce models list` names them all", suggestion(.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// An entry's name that is nearly the same.
        nearest: Option<String>,
    },
    /// It can be pulled, but was not, or not to the end.
    #[error("{name} is not here ({state}); run `vivavoce models pull {name}`")]
    NotPulled {
        /// The entry.
        name: String,
        /// How much of it is here, or how large it is.
        state: String,
    },
    /// Something that belongs to an entry but is not fetched from a hub is not there.
    #[error("{name}: {} is missing; {remedy}", path.display())]
    Absent {
        /// The entry.
        name: String,
        /// What is missing.
        path: PathBuf,
        /// How it gets there.
        remedy: String,
    },
    /// It does not come from a hub, so it can be neither pulled nor removed here.
    #[error("{name} cannot be {what}: {reason}")]
    NotFromHub {
        /// The entry.
        name: String,
        /// `pulled` or `removed`.
        what: &'static str,
        /// Where it comes from, and what to do instead.
        reason: String,
    },
    /// A file or folder of the cache cannot be used.
    #[error("cannot {doing} {}: {source}{}", path.display(), remedy(.source))]
    Io {
        /// `read`, `write to`, …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock file is no lock file.
    #[error("{}: {reason}; mend it, or delete it to pin anew what is pulled next", path.display())]
    Pins {
        /// The lock file.
        path: PathBuf,
        /// The parser's words.
        reason: String,
    },
    /// Another process pulls or removes the same model.
    #[error("{name} is being pulled or removed by another process; wait for it")]
    Busy {
        /// The entry.
        name: String,
    },
    /// An environment variable or key does not hold what it must.
    #[error("{key}: {problem}")]
    Setting {
        /// Its name.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Files are wanted, but the hub must not be asked.
    #[error("offline ({why}): {name} is not pulled; copy {}", copies(.missing))]
    Offline {
        /// The setting that says so.
        why: &'static str,
        /// The entry.
        name: String,
        /// What to copy from where (URL) to where. Never empty.
        missing: Vec<(String, PathBuf)>,
    },
    /// Nobody answers there, or what answers breaks off again and again.
    #[error(
        "cannot get {url} ({cause}); check the network, set HF_ENDPOINT to a mirror of the hub, or copy that \
         file to {} by hand", path.display()
    )]
    Unreachable {
        /// The file on the hub, without what redirects added.
        url: String,
        /// The innermost reason.
        cause: String,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// The hub says no.
    #[error("{url}: the hub answers {status}{words}; {remedy}")]
    Refused {
        /// The file on the hub.
        url: String,
        /// HTTP status with its name.
        status: String,
        /// The hub's own words, with `: ` before them, or nothing.
        words: String,
        /// What to do.
        remedy: String,
    },
    /// A redirect that must not or cannot be followed.
    #[error("{url}: {problem}; if HF_ENDPOINT is set, check the mirror there")]
    Redirect {
        /// The file on the hub.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not those that were pinned. What was there before is kept.
    #[error(
        "{name}: {file} is not what {pinned_in} pins: {difference}; {}",
        pin_remedy(.name, .pinned_in)
    )]
    PinMismatch {
        /// The entry.
        name: String,
        /// Path inside the repository.
        file: String,
        /// `models/manifest.yml` or the path of the lock file.
        pinned_in: String,
        /// What is expected, and what was found where.
        difference: String,
    },
    /// What came is not what the hub said it would send.
    #[error(
        "{name}: {file} came damaged: the hub announced {expected}, received {found}; it was thrown away, \
         pull again"
    )]
    Damaged {
        /// The entry.
        name: String,
        /// Path inside the repository.
        file: String,
        /// A sha256 or a length.
        expected: String,
        /// A sha256 or a length.
        found: String,
    },
    /// The disk is too small for it.
    #[error(
        "{name} needs {} more, {} has {} free; free some space, or set models.cache to a folder on a larger disk",
        size(*.needed_bytes), folder.display(), size(*.free_bytes)
    )]
    NoSpace {
        /// The entry.
        name: String,
        /// What is still to come.
        needed_bytes: u64,
        /// The cache folder.
        folder: PathBuf,
        /// What there is.
        free_bytes: u64,
    },
}

impl ModelError {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ModelError {
        let path = path.to_owned();
        move |source| ModelError::Io { doing, path, source }
    }
}

/// A length in the unit that suits it: `812 B`, `1.3 MB`, `5.0 GB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and pull again (what has come is kept), or set models.cache to a larger disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; set models.cache to a folder that can be written"
        }
        _ => "",
    }
}

fn copies(missing: &[(String, PathBuf)]) -> String {
    let copies: Vec<String> =
        missing.iter().map(|(url, path)| format!("{url} to {}", path.display())).collect();
    copies.join(", ")
}

fn pin_remedy(name: &str, pinned_in: &str) -> String {
    if pinned_in == super::manifest::FILE {
        return "use another mirror (HF_ENDPOINT), or a version of Vivavoce that knows the new file"
            .to_owned();
    }
    format!("if the change is meant, accept it with `vivavoce models pull --update {name}`")
}
