//! The vocabulary that a GGUF file carries, as plain data.
//!
//! Deliberately absent: making tokens of text with it, which is `super::super::text`'s.

use super::CheckpointError;
use super::gguf::Metadata;

/// What `tokenizer.ggml.*` and `tokenizer.chat_template` say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbeddedVocabulary {
    /// `gpt2` (byte-level BPE with merges) or `llama` (SentencePiece with scores).
    pub model: String,
    /// Which expression cuts text into words before BPE (`qwen2`, `llama-bpe`, …).
    pub pre: Option<String>,
    /// The token of each id, in the model's own alphabet.
    pub tokens: Vec<String>,
    /// SentencePiece's score of each token; empty, or as long as `tokens`.
    pub scores: Vec<f32>,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; empty, or as long as `tokens`.
    pub token_types: Vec<i32>,
    /// BPE merges, the first first: two tokens with a space between.
    pub merges: Vec<String>,
    /// Begin of a text.
    pub bos: Option<u32>,
    /// End of a text.
    pub eos: Option<u32>,
    /// Stands for what has no token.
    pub unknown: Option<u32>,
    /// Whether a text begins with `bos`. Where the file does not say: yes for `llama`, no for `gpt2`.
    pub add_bos: bool,
    /// Whether a space is put in front of a text; SentencePiece only.
    pub add_space_prefix: Option<bool>,
    /// Jinja source.
    pub chat_template: Option<String>,
}

impl EmbeddedVocabulary {
    /// Reads the vocabulary; `None` if the file has none.
    pub(super) fn read(metadata: &Metadata) -> Result<Option<EmbeddedVocabulary>, CheckpointError> {
        let Some(tokens) = metadata.texts("tokenizer.ggml.tokens")? else { return Ok(None) };
        let of_tokens = |key: &str, length: usize| match length {
            0 => Ok(()),
            length if length == tokens.len() => Ok(()),
            length => Err(CheckpointError::damaged(
                metadata.path(),
                key,
                format!("has {length} elements for {} tokens", tokens.len()),
            )),
        };
        let scores = metadata.floats("tokenizer.ggml.scores")?.unwrap_or_default();
        of_tokens("tokenizer.ggml.scores", scores.len())?;
        let token_types = metadata.integers("tokenizer.ggml.token_type")?.unwrap_or_default();
        of_tokens("tokenizer.ggml.token_type", token_types.len())?;
        let id = |key: &str| match metadata.count(key)? {
            None => Ok(None),
            Some(id) => match u32::try_from(id).ok().filter(|id| (*id as usize) < tokens.len()) {
                Some(id) => Ok(Some(id)),
                None => Err(CheckpointError::damaged(
                    metadata.path(),
                    key,
                    format!("is {id}, the vocabulary has {} tokens", tokens.len()),
                )),
            },
        };
        let model = metadata.text("tokenizer.ggml.model")?.unwrap_or("gpt2").to_owned();
        Ok(Some(EmbeddedVocabulary {
            pre: metadata.text("tokenizer.ggml.pre")?.map(str::to_owned),
            merges: metadata.texts("tokenizer.ggml.merges")?.unwrap_or_default(),
            bos: id("tokenizer.ggml.bos_token_id")?,
            eos: id("tokenizer.ggml.eos_token_id")?,
            unknown: id("tokenizer.ggml.unknown_token_id")?,
            add_bos: metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(model == "llama"),
            add_space_prefix: metadata.flag("tokenizer.ggml.add_space_prefix")?,
            chat_template: metadata.text("tokenizer.chat_template")?.map(str::to_owned),
            model,
            scores,
            token_types,
            tokens,
        }))
    }
}
