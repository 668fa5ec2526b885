//! MODELS AS FILES: which weights exist, which are here and intact, how they are fetched, and where an
//! engine finds them.
//!
//! [`manifest`] says what there is; [`presence`] looks for it; [`hub`] is a model hub over HTTP;
//! [`pull`] brings a model from there into the [`cache`] folder, whole or not at all, and pins its
//! sha256; [`remove`] takes it away; [`find`] and [`pulled`] give engines their paths.
//!
//! Deliberately absent: what is in the files (engines know that), set-up scripts' work
//! (`scripts/setup-models.sh`), and anything that pulls without having been told to: a server never
//! downloads by itself.

pub mod cache;
mod digest;
mod error;
pub mod hub;
mod lookup;
pub mod manifest;
mod part;
pub mod pins;
pub mod presence;
pub mod pull;
pub mod remove;

pub use error::{ModelError, size};
pub use lookup::{Found, find, pulled};
pub use manifest::{Engine, Entry, Manifest, ManifestError};
