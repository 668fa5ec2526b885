//! A vocabulary as GGUF files carry it (`tokenizer.ggml.*`, `tokenizer.chat_template`), as plain data.
//!
//! Filled from the file's metadata here; turned into a tokenizer by
//! [`crate::engines::local::text::Tokenizer::from_embedded`].

/// What the metadata of a GGUF file says about its tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbeddedVocabulary {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE by scores).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is cut before BPE (`qwen2`, `llama-bpe`, …).
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the token of each id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`: one per token, or empty.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte;
    /// one per token, or empty.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`: `left right`, the most important first; empty for `llama`.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unknown: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`: every prompt begins with `bos`.
    pub add_bos: bool,
    /// `tokenizer.ggml.add_space_prefix`; true where the file does not say.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`: Jinja.
    pub chat_template: Option<String>,
}
