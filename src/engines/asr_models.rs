//! What recognisers whose model runs in this process have in common: how the model is found, the threads
//! that compute, and what warms them up.

use std::path::{Path, PathBuf};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::INPUT_RATE_HZ;
use crate::config::Config;
use crate::models;

/// A model that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For people: its name in the manifest, or its path.
    pub name: String,
    /// A folder with safetensors.
    pub path: PathBuf,
}

/// The model that the key `key` of `config` means with its value `wanted`: of `auto`, the best that was
/// pulled and `fits`, if any did.
///
/// # Errors
/// For people: another model than `auto` is named and not there, or the models' folder cannot be read.
pub fn find(
    config: &Config,
    key: &str,
    wanted: &str,
    fits: impl Fn(&Path) -> bool,
) -> Result<Option<Source>, String> {
    if wanted == "auto" {
        let pulled = models::pulled(config, models::Engine::Asr).map_err(|error| error.to_string())?;
        let model = pulled.into_iter().find(|model| fits(&model.path));
        return Ok(model.map(|model| Source { name: model.name, path: model.path }));
    }
    let path = models::find(config, wanted).map_err(|error| format!("{key}: {error}"))?;
    Ok(Some(Source { name: wanted.to_owned(), path }))
}

/// Threads that compute for all workers of one model: so many, or with 0 as many as there are cores, but at
/// most `useful`. Recognition is what everybody waits for.
pub fn threads(configured: usize, useful: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ThreadPoolBuilder::new()
        .num_threads(if configured > 0 { configured } else { cores.min(useful) })
        .thread_name(|index| format!("asr-cpu-{index}"))
        .build()
}

/// A second of faint noise, for the first recognition of all.
pub fn warm_up_noise() -> Vec<i16> {
    (0..INPUT_RATE_HZ as i16).map(|at| at.wrapping_mul(7_919) / 64).collect()
}
