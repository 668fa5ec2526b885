//! A tokenizer from a model's folder: `tokenizer.json`, or `vocab.json` and `merges.txt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::DecoderWrapper;

use super::embedded::{Cut, parse_merges};
use super::{AddedToken, Parts, SpecialNames, Spelling, Tokenizer};
use crate::engines::local::text::TextError;
use crate::engines::local::text::files::{read_json, read_json_if_there, read_text};

const REMEDY: &str = "fetch the model's tokenizer files again";

impl Tokenizer {
    /// Reads the tokenizer of a model's folder.
    pub fn from_folder(folder: &Path) -> Result<Tokenizer, TextError> {
        let config: Config = read_json_if_there(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let whole = folder.join("tokenizer.json");
        let (file, parts) = if whole.exists() {
            let parts = from_tokenizer_json(&whole);
            (whole, parts?)
        } else if folder.join("vocab.json").exists() {
            (folder.join("vocab.json"), from_vocab_and_merges(folder, &config)?)
        } else {
            return Err(TextError::Load {
                place: folder.display().to_string(),
                problem: "it has neither tokenizer.json nor vocab.json with merges.txt".to_owned(),
                remedy: REMEDY,
            });
        };
        let ends = end_ids(folder)?;
        let eos = config.eos_token.as_ref().map(|token| token.text().to_owned());
        let eos_id = parts.added.iter().find(|token| Some(&token.text) == eos.as_ref()).map(|token| token.id);
        let names = SpecialNames {
            bos: config.bos_token.map(Named::into_text),
            eos,
            unknown: config.unk_token.map(Named::into_text),
            pad: config.pad_token.map(Named::into_text),
        };
        let parts = Parts { names, ends: ends.into_iter().chain(eos_id).collect(), ..parts };
        Tokenizer::new(parts).map_err(|problem| bad(&file, problem))
    }
}

fn bad(file: &Path, problem: impl ToString) -> TextError {
    TextError::Load { place: file.display().to_string(), problem: problem.to_string(), remedy: REMEDY }
}

/// What is needed of `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    tokenizer_class: Option<String>,
    add_prefix_space: Option<bool>,
    added_tokens_decoder: BTreeMap<String, AddedEntry>,
    bos_token: Option<Named>,
    eos_token: Option<Named>,
    unk_token: Option<Named>,
    pad_token: Option<Named>,
}

/// The name of a special token, alone or as an object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Alone(String),
    Object { content: String },
}

impl Named {
    fn text(&self) -> &str {
        match self {
            Named::Alone(text) | Named::Object { content: text } => text,
        }
    }

    fn into_text(self) -> String {
        match self {
            Named::Alone(text) | Named::Object { content: text } => text,
        }
    }
}

/// An added token as transformers writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AddedEntry {
    id: Option<u32>,
    content: String,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
    special: bool,
}

impl AddedEntry {
    fn into_token(self, id: u32) -> AddedToken {
        AddedToken {
            id,
            text: self.content,
            control: self.special,
            takes_space_before: self.lstrip,
            takes_space_behind: self.rstrip,
            whole_word: self.single_word,
        }
    }
}

fn from_tokenizer_json(file: &Path) -> Result<Parts, TextError> {
    /// What the crate is not asked: its own search for added tokens is not used.
    #[derive(Deserialize)]
    struct Outline {
        #[serde(default)]
        added_tokens: Vec<AddedEntry>,
        model: ModelOutline,
    }
    #[derive(Deserialize)]
    struct ModelOutline {
        #[serde(rename = "type")]
        kind: Option<String>,
        continuing_subword_prefix: Option<String>,
        end_of_word_suffix: Option<String>,
    }
    let text = read_text(file)?;
    let outline: Outline = serde_json::from_str(&text).map_err(|error| bad(file, error))?;
    let model = outline.model;
    if model.kind.as_deref().is_some_and(|kind| kind != "BPE") {
        let kind = model.kind.unwrap_or_default();
        return Err(bad(file, format!("its model is of type {kind}; only BPE is supported")));
    }
    // The crate would panic on a merge that is shorter than the prefix; no language model has one.
    if [model.continuing_subword_prefix, model.end_of_word_suffix]
        .into_iter()
        .flatten()
        .any(|it| !it.is_empty())
    {
        return Err(bad(file, "subword prefixes and suffixes are not supported"));
    }
    let pipeline: tokenizers::Tokenizer = text.parse().map_err(|error| bad(file, error))?;
    let spelling = spelling_of(&pipeline).ok_or_else(|| {
        bad(file, "its decoder says neither ByteLevel nor ByteFallback nor Metaspace; other kinds are not supported")
    })?;
    let added = outline.added_tokens.into_iter().map(|entry| {
        let id =
            entry.id.ok_or_else(|| bad(file, format!("the added token {:?} has no id", entry.content)))?;
        Ok(entry.into_token(id))
    });
    Ok(Parts { spelling, added: added.collect::<Result<_, TextError>>()?, ..Parts::of(pipeline) })
}

/// How the vocabulary writes bytes, from what undoes it.
fn spelling_of(pipeline: &tokenizers::Tokenizer) -> Option<Spelling> {
    fn of(decoder: &DecoderWrapper) -> Option<Spelling> {
        match decoder {
            DecoderWrapper::ByteLevel(_) => Some(Spelling::ByteLevel),
            DecoderWrapper::ByteFallback(_) | DecoderWrapper::Metaspace(_) => Some(Spelling::SentencePiece),
            DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().find_map(of),
            _ => None,
        }
    }
    of(pipeline.get_decoder()?)
}

fn from_vocab_and_merges(folder: &Path, config: &Config) -> Result<Parts, TextError> {
    let cut = match config.tokenizer_class.as_deref().map(|class| class.trim_end_matches("Fast")) {
        Some("Qwen2Tokenizer") => Cut::Qwen2,
        Some("GPT2Tokenizer" | "WhisperTokenizer") => Cut::Gpt2,
        class => {
            return Err(TextError::Load {
                place: folder.join("tokenizer_config.json").display().to_string(),
                problem: format!(
                    "how the tokenizer class '{}' cuts text is not known (known: Qwen2Tokenizer, GPT2Tokenizer, WhisperTokenizer)",
                    class.unwrap_or_default()
                ),
                remedy: "put the model's tokenizer.json beside it",
            });
        }
    };
    let vocab_file = folder.join("vocab.json");
    let merges_file = folder.join("merges.txt");
    let vocabulary: BTreeMap<String, u32> = read_json(&vocab_file)?;
    let merges = read_text(&merges_file)?;
    let lines = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges = parse_merges(lines).map_err(|problem| bad(&merges_file, problem))?;
    let prefix_space = config.add_prefix_space.unwrap_or(false);
    let pipeline = cut
        .pipeline(vocabulary.into_iter(), merges, prefix_space)
        .map_err(|error| bad(&merges_file, format!("it does not fit to vocab.json: {error}")))?;
    let mut added = BTreeMap::new();
    let listed: Option<BTreeMap<String, u32>> = read_json_if_there(&folder.join("added_tokens.json"))?;
    for (content, id) in listed.unwrap_or_default() {
        // The file has no more than names; those of this shape are control tokens everywhere.
        let special = content.starts_with("<|") && content.ends_with("|>");
        added.insert(id, AddedEntry { content, special, ..AddedEntry::default() });
    }
    for (id, entry) in &config.added_tokens_decoder {
        let config_file = || folder.join("tokenizer_config.json");
        let id = id.parse().map_err(|_| {
            bad(&config_file(), format!("added_tokens_decoder has {id:?} where an id must be"))
        })?;
        added.insert(id, entry.clone());
    }
    let added = added.into_iter().map(|(id, entry)| entry.into_token(id)).collect();
    Ok(Parts { added, ..Parts::of(pipeline) })
}

/// The tokens that `generation_config.json` (else `config.json`) names as the end of a reply.
fn end_ids(folder: &Path) -> Result<Vec<u32>, TextError> {
    #[derive(Default, Deserialize)]
    struct Ends {
        #[serde(default)]
        eos_token_id: Value,
    }
    let files: [PathBuf; 2] = ["generation_config.json", "config.json"].map(|name| folder.join(name));
    for file in files {
        let ends: Ends = read_json_if_there(&file)?.unwrap_or_default();
        let ids: Vec<Value> = match ends.eos_token_id {
            Value::Null => continue,
            Value::Array(ids) => ids,
            id => vec![id],
        };
        return ids
            .iter()
            .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| bad(&file, "eos_token_id is neither an id nor a list of ids"));
    }
    Ok(vec![])
}
