//! misaki's dictionaries: how written words are spoken, some by their part of speech.
//!
//! `us_gold.json` and `gb_gold.json` were checked by people, the `silver` ones were not. A value is the
//! phonemes, or a map from a part of speech (`NOUN`, `VERB`, `VBD`, …; `None`: before a pause) with a
//! `DEFAULT`. They are read once per process and shared by all workers.
//!
//! Reference: `Lexicon` of misaki 0.9.4.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tagger::Tag;

/// American or British.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Of the voices whose names begin with `a`.
    American,
    /// Of the voices whose names begin with `b`.
    British,
}

impl Dialect {
    fn prefix(self) -> &'static str {
        match self {
            Dialect::American => "us",
            Dialect::British => "gb",
        }
    }
}

/// Why there is no lexicon.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is no lexicon.
    #[error("{}: {message}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Entry {
    Always(Box<str>),
    ByTag(HashMap<Box<str>, Option<Box<str>>>),
}

/// The words of one dialect.
#[derive(Debug, Default)]
pub struct Lexicon {
    gold: HashMap<Box<str>, Entry>,
    silver: HashMap<Box<str>, Box<str>>,
}

impl Lexicon {
    /// Reads `<dialect>_gold.json` and, if it is there, `<dialect>_silver.json` from `folder`.
    pub fn read(folder: &Path, dialect: Dialect) -> Result<Lexicon, LexiconError> {
        let gold_path = folder.join(format!("{}_gold.json", dialect.prefix()));
        let gold: HashMap<Box<str>, Entry> = parse(&gold_path, &text(&gold_path)?)?;
        let lacks_default = |entry: &Entry| match entry {
            Entry::Always(_) => false,
            Entry::ByTag(by_tag) => !matches!(by_tag.get("DEFAULT"), Some(Some(_))),
        };
        if let Some((word, _)) = gold.iter().find(|(_, entry)| lacks_default(entry)) {
            let message = format!("the word {word:?} has no DEFAULT");
            return Err(LexiconError::Damaged { path: gold_path, message });
        }
        let silver_path = folder.join(format!("{}_silver.json", dialect.prefix()));
        let silver = match text(&silver_path) {
            Ok(text) => parse(&silver_path, &text)?,
            Err(LexiconError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                HashMap::new()
            }
            Err(error) => return Err(error),
        };
        Ok(Lexicon { gold, silver })
    }

    /// The dialects that `folder` has a lexicon of.
    pub fn present(folder: &Path, dialect: Dialect) -> bool {
        folder.join(format!("{}_gold.json", dialect.prefix())).is_file()
    }

    /// Whether people checked how this word is spoken.
    pub fn has_gold(&self, word: &str) -> bool {
        find(&self.gold, word).is_some()
    }

    /// Whether the word is known at all.
    pub fn has(&self, word: &str) -> bool {
        self.has_gold(word) || find(&self.silver, word).is_some()
    }

    /// How a checked word is spoken as this part of speech; before a pause some differ (`before_pause`).
    pub fn gold(&self, word: &str, tag: Option<Tag>, before_pause: bool) -> Option<&str> {
        match find(&self.gold, word)? {
            Entry::Always(phonemes) => Some(phonemes),
            Entry::ByTag(by_tag) => {
                let named = |name: &str| by_tag.get(name);
                let entry = named("None")
                    .filter(|_| before_pause)
                    .or_else(|| tag.and_then(|tag| named(tag.penn()).or_else(|| named(tag.class()))))
                    .or_else(|| named("DEFAULT"))?;
                entry.as_deref()
            }
        }
    }

    /// How a word that nobody checked is spoken.
    pub fn silver(&self, word: &str) -> Option<&str> {
        find(&self.silver, word).map(|phonemes| &**phonemes)
    }

    /// Whether the word's part of speech matters.
    pub fn is_homograph(&self, word: &str) -> bool {
        match find(&self.gold, word) {
            Some(Entry::ByTag(by_tag)) => by_tag.keys().any(|name| !matches!(&**name, "DEFAULT" | "None")),
            _ => false,
        }
    }
}

/// A word at the beginning of a sentence stands there in small letters, and a name in small letters with
/// a capital one.
fn find<'l, T>(words: &'l HashMap<Box<str>, T>, word: &str) -> Option<&'l T> {
    words.get(word).or_else(|| {
        let mut chars = word.chars();
        let (first, rest) = (chars.next()?, chars.as_str());
        if rest.is_empty() || rest.chars().any(char::is_uppercase) {
            return None;
        }
        let other: String = if first.is_uppercase() {
            first.to_lowercase().chain(rest.chars()).collect()
        } else {
            first.to_uppercase().chain(rest.chars()).collect()
        };
        words.get(other.as_str())
    })
}

fn text(path: &Path) -> Result<String, LexiconError> {
    std::fs::read_to_string(path).map_err(|source| LexiconError::Unreadable { path: path.to_owned(), source })
}

fn parse<T: for<'d> Deserialize<'d>>(path: &Path, text: &str) -> Result<T, LexiconError> {
    serde_json::from_str(text)
        .map_err(|error| LexiconError::Damaged { path: path.to_owned(), message: error.to_string() })
}
