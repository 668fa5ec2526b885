//! What transformers says about words and tokens: `tests/golden/text`, made by
//! `models/parity/text/generate.py`.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::template::ChatTemplate;
use super::tokenizer::Tokenizer;
use crate::engines::local::checkpoint::EmbeddedVocabulary;

/// A file of the goldens.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/text")).join(name)
}

/// A JSON file of the goldens.
pub fn read(name: &str) -> Value {
    let path = file(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files that are not part of the project; tests that need them pass without them.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    let reason = format!("skipped: {} is not there\n", path.display());
    std::io::Write::write_all(&mut std::io::stderr(), reason.as_bytes()).unwrap();
    None
}

/// The texts that tokenizers are compared on.
pub fn texts() -> Vec<String> {
    let text = |entry: &Value| match entry {
        Value::String(text) => text.clone(),
        long => {
            let times = usize::try_from(long["times"].as_u64().unwrap()).unwrap();
            long["repeat"].as_str().unwrap().repeat(times)
        }
    };
    read("strings.json").as_array().unwrap().iter().map(text).collect()
}

/// Ids as the goldens write them: as they are, or their number and hash.
pub fn brief(ids: &[u32]) -> Value {
    if ids.len() <= 32 {
        return Value::from(ids);
    }
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    Value::from(format!("{}:{}", ids.len(), hash(&list.join(","))))
}

/// The first 16 hex digits of a text's SHA-256.
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The byte-level tokenizer of the goldens: 600 tokens, cut and normalised like Qwen3's.
pub fn byte_level() -> Tokenizer {
    Tokenizer::from_folder(&file("bytes")).unwrap()
}

/// The byte-level golden as a GGUF file would carry it.
pub fn embedded_bytes(pre: &str) -> EmbeddedVocabulary {
    let vocabulary: std::collections::HashMap<String, u32> =
        serde_json::from_value(read("bytes/vocab.json")).unwrap();
    let config = read("bytes/tokenizer_config.json");
    let mut tokens: Vec<(u32, String, i32)> =
        vocabulary.into_iter().map(|(token, id)| (id, token, 1)).collect();
    for (id, entry) in config["added_tokens_decoder"].as_object().unwrap() {
        let kind = if entry["special"] == Value::Bool(true) { 3 } else { 4 };
        tokens.push((id.parse().unwrap(), entry["content"].as_str().unwrap().to_owned(), kind));
    }
    tokens.sort();
    let merges = std::fs::read_to_string(file("bytes/merges.txt")).unwrap();
    EmbeddedVocabulary {
        model: "gpt2".to_owned(),
        pre: Some(pre.to_owned()),
        token_types: tokens.iter().map(|token| token.2).collect(),
        tokens: tokens.into_iter().map(|token| token.1).collect(),
        merges: merges.lines().skip(1).map(str::to_owned).collect(),
        ..EmbeddedVocabulary::default()
    }
}

/// Qwen3's chat template.
pub fn qwen3_template() -> ChatTemplate {
    template("qwen3")
}

/// One of the templates of the goldens.
pub fn template(name: &str) -> ChatTemplate {
    let source = std::fs::read_to_string(file(&format!("templates/{name}.jinja"))).unwrap();
    ChatTemplate::new(&source, name).unwrap()
}
