//! Which files `tts.kokoro` means: the network, its folder with the voices, and the lexicons.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::KokoroError;
use super::g2p::lexicon::{Dialect, Lexicon};
use crate::config::Config;
use crate::engines::EngineError;
use crate::models::{self, Engine, Found};

/// Beside a checkpoint.
pub const CONFIG: &str = "config.json";
/// Where `scripts/setup-models.sh` puts the lexicons, below `models.dir`.
const LEXICONS: &str = "vendor/misaki";
/// Names of entries of the manifest that are Kokoro's begin with this.
const ENTRY: &str = "kokoro";

/// The published alphabet, for exports that come without one.
const VOCAB: &str = include_str!("vocab.json");

/// A model's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// An ONNX export, or the published `.pth`.
    pub network: PathBuf,
    /// Where its voices and settings are.
    pub folder: PathBuf,
    /// Folder of misaki's lexicons.
    pub lexicons: PathBuf,
}

/// The best Kokoro that was pulled, if any was, and its lexicon is there: for `tts.engine: auto`.
pub fn find(config: &Config) -> Result<Option<Found>, EngineError> {
    let pulled = models::pulled(config, Engine::Tts)
        .map_err(|error| KokoroError::Voice(error.to_string()).at_load())?;
    let lexicons = lexicons(config);
    let spoken =
        Lexicon::present(&lexicons, Dialect::American) || Lexicon::present(&lexicons, Dialect::British);
    Ok(pulled.into_iter().find(|found| found.name.starts_with(ENTRY) && spoken))
}

fn lexicons(config: &Config) -> PathBuf {
    let configured = &config.tts.kokoro.lexicons;
    if configured.as_os_str().is_empty() { config.models.dir.join(LEXICONS) } else { configured.clone() }
}

impl Files {
    /// What `tts.kokoro.model` names: `auto`, an entry of the manifest, or a file or folder.
    pub fn of(config: &Config) -> Result<Files, KokoroError> {
        let told = |error: models::ModelError| KokoroError::Voice(format!("tts.kokoro.model: {error}"));
        let path = match config.tts.kokoro.model.as_str() {
            "auto" => {
                let pulled = models::pulled(config, Engine::Tts).map_err(told)?;
                let found = pulled.into_iter().find(|found| found.name.starts_with(ENTRY));
                found.map(|found| found.path).ok_or_else(|| {
                    KokoroError::Voice("no Kokoro was pulled; run `vivavoce models pull kokoro`".to_owned())
                })?
            }
            name => models::find(config, name).map_err(told)?,
        };
        Files::at(&path, lexicons(config))
    }

    /// The network in `path`, or `path` itself.
    fn at(path: &Path, lexicons: PathBuf) -> Result<Files, KokoroError> {
        if path.is_file() {
            let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
            // In the hub's layout the export lies one folder deeper than the voices.
            let above = folder.parent().filter(|above| above.join("voices").is_dir());
            let folder = if folder.join("voices").is_dir() {
                folder.clone()
            } else {
                above.map_or(folder.clone(), Path::to_owned)
            };
            return Ok(Files { network: path.to_owned(), folder, lexicons });
        }
        let mut networks = vec![];
        for folder in [path.join("onnx"), path.to_owned()] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let file = entry.map_err(|error| KokoroError::unreadable(&folder, error))?.path();
                let kind = file.extension().and_then(|kind| kind.to_str());
                if matches!(kind, Some("onnx" | "pth")) {
                    networks.push(file);
                }
            }
        }
        // The shortest name is the plainest: model.onnx before model_quantized.onnx.
        networks
            .sort_by_key(|file| (file.extension().is_some_and(|kind| kind == "pth"), file.as_os_str().len()));
        match networks.into_iter().next() {
            Some(network) => Ok(Files { network, folder: path.to_owned(), lexicons }),
            None => Err(KokoroError::damaged(path, "folder", "there is no .onnx and no .pth file in it")),
        }
    }

    /// The published `.pth`, not an export.
    pub fn is_checkpoint(&self) -> bool {
        self.network.extension().is_some_and(|kind| kind == "pth")
    }

    /// The ids of an export's phonemes: beside it in `config.json` or `tokenizer.json`, else the published
    /// ones.
    pub fn vocab(&self) -> Result<HashMap<char, u32>, KokoroError> {
        #[derive(Deserialize)]
        struct Inner {
            vocab: Option<HashMap<char, u32>>,
        }
        #[derive(Deserialize)]
        struct Outer {
            vocab: Option<HashMap<char, u32>>,
            model: Option<Inner>,
        }
        for name in [CONFIG, "tokenizer.json"] {
            let path = self.folder.join(name);
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            // A file of another kind may have these names.
            let Ok(outer) = serde_json::from_str::<Outer>(&text) else { continue };
            if let Some(vocab) = outer.vocab.or(outer.model.and_then(|model| model.vocab)) {
                return Ok(vocab);
            }
        }
        serde_json::from_str(VOCAB).map_err(|error| KokoroError::Network(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> (tempfile::TempDir, Result<Files, KokoroError>) {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder is made");
            std::fs::write(path, "{}").expect("file is written");
        }
        let files = Files::at(folder.path(), PathBuf::new());
        (folder, files)
    }

    #[test]
    fn the_network_is_found_in_all_layouts() {
        for (names, network) in [
            (&["config.json", "kokoro-v1_0.pth", "voices/af_heart.pt"][..], "kokoro-v1_0.pth"),
            (&["onnx/model.onnx", "onnx/model_quantized.onnx", "tokenizer.json"], "onnx/model.onnx"),
            (&["kokoro-v1.0.onnx", "voices-v1.0.bin"], "kokoro-v1.0.onnx"),
        ] {
            let (folder, files) = files(names);
            let files = files.expect("a network");
            assert_eq!(
                (files.network, files.folder),
                (folder.path().join(network), folder.path().to_owned())
            );
            let file = Files::at(&folder.path().join(network), PathBuf::new()).expect("a network");
            assert_eq!(file.is_checkpoint(), network.ends_with(".pth"));
        }
        let error = files(&["README.md"]).1.expect_err("there is none").to_string();
        assert!(error.contains("no .onnx and no .pth") && error.contains("vivavoce models pull"), "{error}");
    }

    #[test]
    fn an_exports_alphabet_is_beside_it_or_the_published_one() {
        let (folder, found) = files(&["model.onnx", "config.json"]);
        let found = found.expect("a network");
        assert_eq!(found.vocab().expect("the published one")[&'ˈ'], 156);
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("is written");
        write("tokenizer.json", r#"{"model": {"vocab": {"$": 0, "a": 7}}}"#);
        assert_eq!(found.vocab().expect("its own")[&'a'], 7);
        write("config.json", r#"{"vocab": {"a": 8}}"#);
        assert_eq!(found.vocab().expect("its own")[&'a'], 8);
    }
}
