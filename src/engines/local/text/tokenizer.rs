//! Text → tokens, and tokens → bytes.
//!
//! The `tokenizers` crate normalises, cuts and merges; this adds what a server needs around it: added
//! tokens are recognised only where the caller says so ([`ParseSpecial`]), the bytes of every token
//! are at hand for streaming, the tokens that end a reply are known, and files are read with limits
//! and errors that say what to do.
//!
//! Deliberately absent: WordPiece, Unigram and word-level models (no supported network has one), and
//! beginning-of-text tokens added behind the caller's back (templates write them; see
//! [`Tokenizer::bos`] for text without a template).

mod added;
mod bytes;
mod embedded;
mod folder;

pub use added::{AddedToken, AddedTokens};

use bytes::{Spelling, TokenBytes};
use tokenizers::normalizer::Range;
use tokenizers::{Model, Normalizer, PreTokenizedString, PreTokenizer, Token};

use super::TextError;
use super::border::{Bordered, Piece};

/// Ids of a vocabulary, at most: four times as many as the largest known one has.
const MAX_TOKENS: usize = 1 << 20;

/// Tokens that end a reply wherever a vocabulary has them as control tokens, beside those that the
/// model's files name: chat models end their turn with one and their text with another.
const END_TOKENS: &[&str] = &[
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
    "<eos>",
];

/// Whether added tokens are recognised in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseSpecial {
    /// `<|im_end|>` is a token. For text of our own only.
    Yes,
    /// `<|im_end|>` is what it looks like: a few ordinary characters.
    No,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Text,
    /// Stands outside of BPE but says something (`<tool_call>`).
    Added,
    /// Steers the model (`<|im_end|>`), or stands for nothing.
    Control,
}

/// The names of special tokens, as chat templates want them (`{{ bos_token }}`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialNames {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends a text or a turn.
    pub eos: Option<String>,
    /// Stands for what has no token.
    pub unknown: Option<String>,
    /// Fills batches.
    pub pad: Option<String>,
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct Tokenizer {
    /// Normaliser, pre-tokenizer and BPE. Its own added tokens are not used.
    pipeline: tokenizers::Tokenizer,
    added: AddedTokens,
    bytes: TokenBytes,
    kinds: Vec<TokenKind>,
    spelling: Spelling,
    names: SpecialNames,
    bos: Option<u32>,
    /// What SentencePiece makes of a character that it has no token for.
    unknown: Option<u32>,
    /// Every prompt begins with `bos` though no template writes it.
    adds_bos: bool,
    ends: Vec<u32>,
}

/// What the parts of [`Tokenizer`] are made of.
struct Parts {
    pipeline: tokenizers::Tokenizer,
    spelling: Spelling,
    added: Vec<AddedToken>,
    /// Ids without a meaning, beside control tokens.
    meaningless: Vec<u32>,
    names: SpecialNames,
    adds_bos: bool,
    /// Ids that end a reply.
    ends: Vec<u32>,
    /// The number of ids, if the files say it; more than have a token.
    min_len: usize,
}

impl Parts {
    /// Byte-level BPE without anything around it.
    fn of(pipeline: tokenizers::Tokenizer) -> Parts {
        Parts {
            pipeline,
            spelling: Spelling::ByteLevel,
            added: vec![],
            meaningless: vec![],
            names: SpecialNames::default(),
            adds_bos: false,
            ends: vec![],
            min_len: 0,
        }
    }
}

impl Tokenizer {
    fn new(parts: Parts) -> Result<Tokenizer, String> {
        let vocabulary = parts.pipeline.get_vocab(false);
        let ids = vocabulary.values().copied().chain(parts.added.iter().map(|token| token.id));
        let len = ids.max().map_or(0, |id| id as usize + 1).max(parts.min_len);
        if len == 0 {
            return Err("it has no tokens".to_owned());
        }
        if len > MAX_TOKENS {
            return Err(format!("it has {len} token ids; {MAX_TOKENS} is the most that is read"));
        }
        let mut kinds = vec![TokenKind::Control; len];
        let mut bytes = vec![vec![]; len];
        for (token, &id) in &vocabulary {
            bytes[id as usize] = parts.spelling.bytes(token);
            kinds[id as usize] = TokenKind::Text;
        }
        for token in &parts.added {
            bytes[token.id as usize] = token.text.clone().into_bytes();
            kinds[token.id as usize] = if token.control { TokenKind::Control } else { TokenKind::Added };
        }
        for id in parts.meaningless {
            if let Some(kind) = kinds.get_mut(id as usize) {
                *kind = TokenKind::Control;
            }
        }
        let mut ends = parts.ends;
        ends.extend(
            parts
                .added
                .iter()
                .filter(|token| token.control && END_TOKENS.contains(&token.text.as_str()))
                .map(|token| token.id),
        );
        ends.retain(|&id| (id as usize) < len);
        ends.sort_unstable();
        ends.dedup();
        let added = AddedTokens::new(parts.added);
        let id_of = |name: &String| added.id_of(name).or_else(|| vocabulary.get(name).copied());
        Ok(Tokenizer {
            bos: parts.names.bos.as_ref().and_then(id_of),
            unknown: parts.names.unknown.as_ref().and_then(id_of),
            pipeline: parts.pipeline,
            added,
            bytes: TokenBytes::new(bytes),
            kinds,
            spelling: parts.spelling,
            names: parts.names,
            adds_bos: parts.adds_bos,
            ends,
        })
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, special: ParseSpecial) -> Result<Vec<u32>, TextError> {
        let whole = Piece { range: 0..text.len(), has_tokens: special == ParseSpecial::Yes };
        self.encode_pieces(text, &[whole])
    }

    /// The tokens of a rendered template: added tokens are recognised in what the template says and
    /// not in what people say.
    pub fn encode_bordered(&self, rendered: &Bordered) -> Result<Vec<u32>, TextError> {
        self.encode_pieces(&rendered.text, &rendered.pieces)
    }

    fn encode_pieces(&self, text: &str, pieces: &[Piece]) -> Result<Vec<u32>, TextError> {
        let mut spans = vec![];
        for piece in pieces {
            let part = &text[piece.range.clone()];
            let mut from = piece.range.start;
            let found = if piece.has_tokens { self.added.find(part) } else { vec![] };
            for token in found {
                let (start, end) =
                    (piece.range.start + token.range.start, piece.range.start + token.range.end);
                spans.push((from..start, None));
                spans.push((start..end, Some(token.id)));
                from = end;
            }
            spans.push((from..piece.range.end, None));
        }
        let ids = self.run_pipeline(text, &spans).map_err(|error| TextError::Encode(error.to_string()))?;
        // A SentencePiece vocabulary can merge its way to a control token from ordinary characters.
        // Character by character nothing is merged.
        let parsed = spans.iter().filter(|(_, id)| id.is_some()).count();
        if ids.iter().filter(|&&id| self.stands_outside(id)).count() <= parsed {
            return Ok(ids);
        }
        let by_character = spans.into_iter().flat_map(|(range, id)| match id {
            Some(_) => vec![(range, id)],
            None => text[range.clone()]
                .char_indices()
                .map(|(at, character)| {
                    let start = range.start + at;
                    (start..start + character.len_utf8(), None)
                })
                .collect(),
        });
        let spans: Vec<_> = by_character.collect();
        self.run_pipeline(text, &spans).map_err(|error| TextError::Encode(error.to_string()))
    }

    /// Whether ordinary text never becomes this token.
    fn stands_outside(&self, id: u32) -> bool {
        self.kind(id) != TokenKind::Text && Some(id) != self.unknown && self.added.contains(id)
    }

    /// Normalises, cuts and merges every span that is not a token already. The crate's own `encode`
    /// does these steps, with its own search for added tokens in front.
    fn run_pipeline(
        &self,
        text: &str,
        spans: &[(std::ops::Range<usize>, Option<u32>)],
    ) -> tokenizers::Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, whole| {
            let cut = |(range, id): &(std::ops::Range<usize>, Option<u32>)| {
                let piece = whole.slice(Range::Original(range.clone()))?;
                Some((piece, id.map(|id| vec![Token::new(id, String::new(), (0, range.len()))])))
            };
            Ok(spans.iter().filter(|(range, _)| !range.is_empty()).filter_map(cut).collect::<Vec<_>>())
        })?;
        if let Some(normalizer) = self.pipeline.get_normalizer() {
            pieces.normalize(|piece| normalizer.normalize(piece))?;
        }
        if let Some(pre_tokenizer) = self.pipeline.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        let model = self.pipeline.get_model();
        pieces.tokenize(|piece| model.tokenize(piece.get()))?;
        Ok(pieces.into_encoding(None, 0, tokenizers::OffsetType::None)?.get_ids().to_vec())
    }

    /// The bytes that a token stands for: maybe half a character, an added token's name, nothing for
    /// an id without a token.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id)
    }

    /// The text of tokens, added tokens included. Bytes that are no characters become `U+FFFD`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What a token is for; [`TokenKind::Control`] for an id that does not exist.
    pub fn kind(&self, id: u32) -> TokenKind {
        self.kinds.get(id as usize).copied().unwrap_or(TokenKind::Control)
    }

    /// Number of ids. A network may have more rows than that (padding); they mean nothing and must
    /// not be sampled.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// The id of an added token.
    pub fn id_of(&self, special: &str) -> Option<u32> {
        self.added.id_of(special)
    }

    /// The added tokens.
    pub fn added(&self) -> &AddedTokens {
        &self.added
    }

    /// Tokens that end a reply, in ascending order.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The token that begins a text, for text without a chat template.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The names that chat templates print.
    pub fn names(&self) -> &SpecialNames {
        &self.names
    }

    /// Whether every prompt begins with [`Tokenizer::bos`], also if the template does not write it.
    pub(super) fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Whether a text in the middle of another has the same tokens as alone. Not so where the first
    /// word gets a space in front of it.
    pub(super) fn is_byte_level(&self) -> bool {
        self.spelling == Spelling::ByteLevel
    }
}

#[cfg(test)]
mod tests;
