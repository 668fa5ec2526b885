//! A tokenizer from the vocabulary that a GGUF file carries.
//!
//! `gpt2`: byte-level BPE with the file's merges; how text is cut before BPE is only named (`pre`),
//! and the patterns are those of the models' own `tokenizer.json`. `llama`: SentencePiece BPE, which
//! has scores instead of merges; the merges are derived as transformers derives them
//! (`generate_merges`): every way to cut a token into two tokens, the best score first.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Merges};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use super::{AddedToken, MAX_TOKENS, Parts, SpecialNames, Spelling, Tokenizer};
use crate::engines::local::checkpoint::EmbeddedVocabulary;
use crate::engines::local::text::TextError;

const REMEDY: &str =
    "convert the model to GGUF again with a current llama.cpp, or use its folder with tokenizer.json";

const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// `tokenizer.ggml.token_type`.
mod token_type {
    pub const UNKNOWN: i32 = 2;
    pub const CONTROL: i32 = 3;
    pub const USER_DEFINED: i32 = 4;
    pub const UNUSED: i32 = 5;
}

/// How text is cut before byte-level BPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Qwen2, Qwen2.5, Qwen3: digits one by one, NFC.
    Qwen2,
    /// Llama 3: up to three digits; a word that is a token is not merged.
    Llama3,
    /// GPT-2.
    Gpt2,
    /// SmolLM: GPT-2 with digits one by one.
    SmolLm,
}

impl Cut {
    /// The cut that a GGUF file names.
    fn named(pre: Option<&str>) -> Option<Cut> {
        match pre.unwrap_or("default") {
            "qwen2" | "deepseek-r1-qwen" => Some(Cut::Qwen2),
            "llama-bpe" | "llama3" | "llama-v3" => Some(Cut::Llama3),
            "gpt-2" | "gpt2" | "default" => Some(Cut::Gpt2),
            "smollm" => Some(Cut::SmolLm),
            _ => None,
        }
    }

    /// Byte-level BPE behind this cut.
    pub(super) fn pipeline(
        self,
        vocabulary: impl Iterator<Item = (String, u32)>,
        merges: Merges,
        prefix_space: bool,
    ) -> tokenizers::Result<tokenizers::Tokenizer> {
        let vocabulary: HashMap<String, u32, _> = vocabulary.collect();
        let bpe =
            BPE::builder().vocab_and_merges(vocabulary, merges).ignore_merges(self == Cut::Llama3).build()?;
        let mut pipeline = tokenizers::Tokenizer::new(bpe);
        if self == Cut::Qwen2 {
            pipeline.with_normalizer(Some(NFC))?;
        }
        let bytes = ByteLevel::new(prefix_space, true, matches!(self, Cut::Gpt2 | Cut::SmolLm));
        let before = match self {
            Cut::Qwen2 => Some(split(QWEN2_PATTERN)?),
            Cut::Llama3 => Some(split(LLAMA3_PATTERN)?),
            Cut::Gpt2 => None,
            Cut::SmolLm => Some(PreTokenizerWrapper::Digits(Digits::new(true))),
        };
        let steps = before.into_iter().chain([PreTokenizerWrapper::ByteLevel(bytes)]).collect();
        pipeline.with_pre_tokenizer(Some(Sequence::new(steps)));
        Ok(pipeline)
    }
}

fn split(pattern: &str) -> tokenizers::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    Ok(PreTokenizerWrapper::Split(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?))
}

impl Tokenizer {
    /// Reads the vocabulary of a GGUF file; `place` names the file in errors.
    pub fn from_embedded(vocabulary: &EmbeddedVocabulary, place: &str) -> Result<Tokenizer, TextError> {
        read(vocabulary).map_err(|problem| TextError::Load {
            place: place.to_owned(),
            problem: format!("its vocabulary cannot be used: {problem}"),
            remedy: REMEDY,
        })
    }
}

fn read(vocabulary: &EmbeddedVocabulary) -> Result<Tokenizer, String> {
    let len = vocabulary.tokens.len();
    if len > MAX_TOKENS {
        return Err(format!("it has {len} tokens; {MAX_TOKENS} is the most that is read"));
    }
    if !vocabulary.token_types.is_empty() && vocabulary.token_types.len() != len {
        return Err(format!("it has {len} tokens and {} token types", vocabulary.token_types.len()));
    }
    if !vocabulary.scores.is_empty() && vocabulary.scores.len() != len {
        return Err(format!("it has {len} tokens and {} scores", vocabulary.scores.len()));
    }
    let types = |id: usize| token_type_of(vocabulary, id);
    let outside = |id: usize| !matches!(types(id), 1 | 6);
    // Tokens outside of BPE stay out of its vocabulary: no merge of ordinary text may end in one.
    let inside = || {
        let tokens = vocabulary.tokens.iter().enumerate();
        let inside = tokens.filter(|&(id, _)| !outside(id) || Some(id as u32) == vocabulary.unknown);
        inside.map(|(id, token)| (token.clone(), id as u32))
    };
    let name_of = |id: Option<u32>| id.and_then(|id| vocabulary.tokens.get(id as usize)).cloned();
    let (pipeline, spelling) = match vocabulary.model.as_str() {
        "gpt2" => {
            let cut = Cut::named(vocabulary.pre.as_deref()).ok_or_else(|| {
                format!(
                    "tokenizer.ggml.pre is '{}', which is not known (known: qwen2, llama-bpe, gpt-2, smollm)",
                    vocabulary.pre.as_deref().unwrap_or_default()
                )
            })?;
            let merges = parse_merges(vocabulary.merges.iter().map(String::as_str))?;
            let pipeline = cut.pipeline(inside(), merges, vocabulary.add_space_prefix.unwrap_or(false));
            (pipeline.map_err(|error| error.to_string())?, Spelling::ByteLevel)
        }
        "llama" => {
            (sentence_piece(vocabulary, inside(), name_of(vocabulary.unknown))?, Spelling::SentencePiece)
        }
        model => {
            return Err(format!(
                "tokenizer.ggml.model is '{model}', which is not known (known: gpt2, llama)"
            ));
        }
    };
    let added = (0..len).filter(|&id| outside(id) && types(id) != token_type::UNUSED);
    let added = added.map(|id| AddedToken {
        id: id as u32,
        text: vocabulary.tokens[id].clone(),
        control: types(id) != token_type::USER_DEFINED,
        ..AddedToken::default()
    });
    let names = SpecialNames {
        bos: name_of(vocabulary.bos),
        eos: name_of(vocabulary.eos),
        unknown: name_of(vocabulary.unknown),
        pad: None,
    };
    Tokenizer::new(Parts {
        pipeline,
        spelling,
        added: added.collect(),
        meaningless: vocabulary.unknown.into_iter().collect(),
        names,
        adds_bos: vocabulary.add_bos,
        ends: vocabulary.eos.into_iter().collect(),
        min_len: len,
    })
}

/// The type of a token; without types, the tokens that the file names are control tokens.
fn token_type_of(vocabulary: &EmbeddedVocabulary, id: usize) -> i32 {
    if let Some(&given) = vocabulary.token_types.get(id) {
        return given;
    }
    let is = |named: Option<u32>| named == Some(id as u32);
    match () {
        () if is(vocabulary.unknown) => token_type::UNKNOWN,
        () if is(vocabulary.bos) || is(vocabulary.eos) => token_type::CONTROL,
        () => 1,
    }
}

/// `left right` pairs, as in merges.txt.
pub(super) fn parse_merges<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Merges, String> {
    lines
        .enumerate()
        .map(|(number, line)| match line.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                Ok((left.to_owned(), right.to_owned()))
            }
            _ => Err(format!("merge {} is no pair of tokens: {line:?}", number + 1)),
        })
        .collect()
}

/// SentencePiece BPE: spaces become `▁`, the first word gets one, nothing else is cut.
fn sentence_piece(
    vocabulary: &EmbeddedVocabulary,
    inside: impl Iterator<Item = (String, u32)>,
    unknown: Option<String>,
) -> Result<tokenizers::Tokenizer, String> {
    let ids: HashMap<String, u32> = inside.collect();
    let merges = derive_merges(&ids, &vocabulary.scores);
    let all: HashMap<String, u32, _> = ids.into_iter().collect();
    let mut bpe = BPE::builder().vocab_and_merges(all, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        bpe = bpe.unk_token(unknown);
    }
    let mut pipeline = tokenizers::Tokenizer::new(bpe.build().map_err(|error| error.to_string())?);
    let prepend = match vocabulary.add_space_prefix {
        Some(false) => PrependScheme::Never,
        None | Some(true) => PrependScheme::First,
    };
    pipeline.with_pre_tokenizer(Some(Metaspace::new('▁', prepend, false)));
    Ok(pipeline)
}

/// Every way to cut a token into two tokens: the best score first (the smallest id first where there
/// are no scores), then the longest parts.
fn derive_merges(ids: &HashMap<String, u32>, scores: &[f32]) -> Merges {
    struct Candidate<'a> {
        left: (&'a str, u32),
        right: (&'a str, u32),
        whole: u32,
        lengths: (usize, usize),
    }
    let mut candidates = vec![];
    for (whole, &whole_id) in ids {
        for (at, _) in whole.char_indices().skip(1) {
            let (left, right) = whole.split_at(at);
            if let (Some(&left_id), Some(&right_id)) = (ids.get(left), ids.get(right)) {
                candidates.push(Candidate {
                    left: (left, left_id),
                    right: (right, right_id),
                    whole: whole_id,
                    lengths: (left.chars().count(), right.chars().count()),
                });
            }
        }
    }
    // transformers sorts stably from the order of ids, once ascending and with scores descending.
    candidates.sort_unstable_by_key(|merge| (merge.whole, merge.left.1, merge.right.1));
    if scores.is_empty() {
        candidates.sort_by_key(|merge| (merge.whole, merge.lengths));
    } else {
        let score = |merge: &Candidate| scores.get(merge.whole as usize).copied().unwrap_or(f32::MIN);
        candidates.sort_by(|a, b| score(b).total_cmp(&score(a)).then(b.lengths.cmp(&a.lengths)));
    }
    candidates.into_iter().map(|merge| (merge.left.0.to_owned(), merge.right.0.to_owned())).collect()
}
