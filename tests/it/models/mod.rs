//! Pulling, verifying and removing models, against a model hub on a real socket.

mod command;
mod https;
mod pulling;
mod refusals;
mod resuming;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use vivavoce::config::Config;
use vivavoce::models::cache::Cache;
use vivavoce::models::hub::HubSettings;
use vivavoce::models::presence::{Look, Looker, Report};
use vivavoce::models::pull::{Doing, Progress, PullOptions, Pulled, free_bytes, pull};
use vivavoce::models::{Manifest, ModelError};

use crate::stub_hub::StubHub;

const YAML: &str = "
- name: mind
  what: a language model
  engine: llm
  licence: MIT
  hub:
    repository: O/Mind
    files:
      - {path: mind.gguf}
- name: folder
  what: a model of several files
  engine: llm
  licence: MIT
  hub:
    repository: O/Folder
    files:
      - {path: config.json}
      - {path: sub/model.safetensors, about_mb: 1}
";

/// Larger than what one read of a socket brings.
fn weights(seed: u8) -> Vec<u8> {
    (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

/// A cache folder of its own, and the settings of one user.
struct Place {
    folder: TempDir,
    config: Config,
    manifest: Manifest,
    hub: HubSettings,
    update: bool,
    free_bytes: fn(&Path) -> std::io::Result<u64>,
}

impl Place {
    fn new(hub: &StubHub) -> Place {
        Place::at(&hub.url)
    }

    fn at(url: &str) -> Place {
        let folder = TempDir::new().unwrap();
        let mut config = Config::default();
        config.models.cache = folder.path().join("cache");
        config.models.dir = folder.path().join("models");
        let endpoint = url.parse().unwrap();
        let hub =
            HubSettings { endpoint, token: None, offline: None, retries: 2, retry_pause: Duration::ZERO };
        let manifest = Manifest::parse(YAML).unwrap();
        Place { folder, config, manifest, hub, update: false, free_bytes }
    }

    /// With the manifest changed.
    fn manifest(mut self, from: &str, to: &str) -> Place {
        assert!(YAML.contains(from));
        self.manifest = Manifest::parse(&YAML.replace(from, to)).unwrap();
        self
    }

    fn pull(&self, name: &str) -> Result<Pulled, ModelError> {
        self.pull_telling(name).0
    }

    fn pull_telling(&self, name: &str) -> (Result<Pulled, ModelError>, Told) {
        let options = PullOptions { hub: &self.hub, update: self.update, free_bytes: self.free_bytes };
        let (entry, cache) = (self.manifest.entry(name).unwrap(), Cache::of(&self.config));
        let mut told = Told::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pulled = runtime.block_on(pull(entry, &cache, &options, &mut told));
        (pulled, told)
    }

    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("cache").join(path)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.file(path)).ok()
    }

    fn write(&self, path: &str, content: &[u8]) {
        fs::create_dir_all(self.file(path).parent().unwrap()).unwrap();
        fs::write(self.file(path), content).unwrap();
    }

    fn look(&self, name: &str, look: Look) -> Report {
        Looker::new(&self.config).unwrap().look(self.manifest.entry(name).unwrap(), look)
    }

    /// The message of a pull that failed, with the folder's and the hub's addresses replaced.
    #[track_caller]
    fn refused(&self, name: &str) -> String {
        let error = self.pull(name).expect_err("the pull should have failed").to_string();
        let error = error.replace(&self.folder.path().display().to_string(), "DIR");
        error.replace(self.hub.endpoint.as_str().trim_end_matches('/'), "HUB")
    }
}

/// What a pull tells of its progress.
#[derive(Default)]
struct Told {
    /// `fetching PATH from N of TOTAL`
    begun: Vec<String>,
    notes: Vec<String>,
    /// The last length of the last file.
    done: u64,
}

impl Progress for Told {
    fn begin(&mut self, doing: Doing, path: &str, done: u64, total: Option<u64>) {
        let total = total.map_or("?".to_owned(), |total| total.to_string());
        self.begun.push(format!("{doing:?} {path} from {done} of {total}"));
    }
    fn advance(&mut self, done: u64) {
        self.done = done;
    }
    fn end(&mut self) {}
    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }
}
