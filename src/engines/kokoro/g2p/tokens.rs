//! Chunks of text → words with their punctuation beside them.
//!
//! A chunk is a run of non-spaces; its quotes, brackets and marks become words of their own that are said
//! as pauses, and what is left is cut at capitals, digits and signs. Parts without punctuation between
//! them stay together in one [`Word`], because they may be known together.
//!
//! Reference: `G2P.retokenize` of misaki 0.9.4, behind spaCy's English tokeniser.

use super::number::is_currency;
use super::spoken::Chunk;
use super::subtokens;
use super::tagger::{self, Tag};

/// A part of a word.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// As it is written.
    pub text: String,
    /// Of the word that it belongs to.
    pub tag: Tag,
    /// What it is said as; punctuation has it from the beginning.
    pub phonemes: Option<String>,
    /// The currency of an amount, which is said behind it.
    pub currency: Option<char>,
    /// Nothing of the same word is in front.
    pub is_head: bool,
    /// It is said apart from the part in front.
    pub space_before: bool,
}

impl Token {
    /// The word "to", which makes a habit of "used".
    pub fn is_to(&self) -> bool {
        self.text == "to" || self.text == "To" || (self.text == "TO" && self.tag == Tag::To)
    }
}

/// Parts that are said together.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// Never empty.
    pub tokens: Vec<Token>,
    /// Index of the chunk that it is part of.
    pub chunk: usize,
    /// A space follows.
    pub space_after: bool,
}

impl Word {
    /// What is said, as far as it is known.
    pub fn phonemes(&self) -> String {
        let mut phonemes = String::new();
        for token in &self.tokens {
            let said = token.phonemes.as_deref().unwrap_or_default();
            if token.space_before && !phonemes.is_empty() && !phonemes.ends_with(' ') && !said.is_empty() {
                phonemes.push(' ');
            }
            phonemes.push_str(said);
        }
        phonemes
    }
}

/// Characters that are silent between the parts of a word.
pub fn is_junk(text: &str) -> bool {
    text.chars().all(|c| "',-._‘’/".contains(c))
}

/// The parts as one token.
pub fn merged(tokens: &[Token]) -> Option<Token> {
    let weight = |token: &Token| -> usize {
        token.text.chars().map(|c| if c.to_lowercase().eq([c]) { 1 } else { 2 }).sum()
    };
    let mut heaviest = tokens.first()?;
    for token in tokens {
        if weight(token) > weight(heaviest) {
            heaviest = token;
        }
    }
    Some(Token {
        text: tokens.iter().map(|token| token.text.as_str()).collect(),
        tag: heaviest.tag,
        phonemes: None,
        currency: tokens.iter().filter_map(|token| token.currency).max(),
        is_head: tokens[0].is_head,
        space_before: tokens[0].space_before,
    })
}

/// A piece of a chunk: a mark with what it is said as, or a core.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Mark(String),
    Currency(char),
    Core(String),
}

/// All words of the chunks, tagged.
pub fn words_of(chunks: &[Chunk], is_homograph: impl Fn(&str) -> bool) -> Vec<Word> {
    // (piece, chunk, whether a space follows)
    let mut pieces: Vec<(Piece, usize, bool)> = vec![];
    for (index, chunk) in chunks.iter().enumerate() {
        for run in chunk.words.split(' ').filter(|run| !run.is_empty()) {
            let cut = cut(run);
            let last = cut.len().saturating_sub(1);
            pieces.extend(cut.into_iter().enumerate().map(|(at, piece)| (piece, index, at == last)));
        }
    }
    let texts: Vec<&str> = pieces
        .iter()
        .map(|(piece, _, _)| match piece {
            Piece::Core(core) => core.as_str(),
            Piece::Mark(_) => ",",
            Piece::Currency(_) => "$",
        })
        .collect();
    let tags = tagger::tag(&texts, is_homograph);
    let mut words: Vec<Word> = vec![];
    let mut currency = None;
    for (at, (piece, chunk, space_after)) in pieces.iter().enumerate() {
        let (chunk, space_after) = (*chunk, *space_after);
        match piece {
            Piece::Mark(said) => {
                let token = token(said, Tag::Sign, Some(said.clone()));
                words.push(Word { tokens: vec![token], chunk, space_after });
            }
            Piece::Currency(sign) => {
                currency = Some(*sign);
                let token = token(&sign.to_string(), Tag::Sign, Some(String::new()));
                words.push(Word { tokens: vec![token], chunk, space_after: false });
            }
            Piece::Core(core) => {
                if tags[at] != Tag::Number {
                    currency = None;
                }
                let amount_ends = pieces.get(at + 1).is_none_or(|(next, _, _)| {
                    !matches!(next, Piece::Core(_)) || tags[at + 1] != Tag::Number
                });
                let mut tokens = parts(core, tags[at]);
                if let Some(last) = tokens.last_mut().filter(|_| amount_ends) {
                    last.currency = currency;
                }
                if !tokens.is_empty() {
                    words.push(Word { tokens, chunk, space_after });
                }
            }
        }
    }
    words
}

fn token(text: &str, tag: Tag, phonemes: Option<String>) -> Token {
    Token { text: text.to_owned(), tag, phonemes, currency: None, is_head: true, space_before: false }
}

/// A core at its capitals, digits and signs; contractions at their apostrophe.
fn parts(core: &str, tag: Tag) -> Vec<Token> {
    let lower = core.to_lowercase().replace('’', "'");
    let contraction = ["n't", "'ll", "'re", "'ve", "'s", "'d", "'m"]
        .iter()
        .find(|ending| lower.ends_with(**ending) && lower.len() > ending.len() && lower.len() == core.len())
        .map_or(core.len(), |ending| core.len() - ending.len());
    let mut tokens: Vec<Token> = vec![];
    for run in [core.get(..contraction), core.get(contraction..)].into_iter().flatten() {
        tokens.extend(subtokens::split(run).iter().map(|text| token(text, tag, None)));
    }
    let count = tokens.len();
    for (at, part) in tokens.iter_mut().enumerate() {
        part.is_head = at == 0;
        // B2B: B to B.
        if at > 0 && at + 1 < count && part.text == "2" && core.chars().all(char::is_alphanumeric) {
            part.phonemes = None;
            part.text = "to".to_owned();
            part.is_head = false;
        }
    }
    tokens
}

fn opening(c: char) -> Option<&'static str> {
    match c {
        '(' | '[' | '{' => Some("("),
        '"' | '“' | '‘' | '\'' | '«' => Some("“"),
        '…' => Some("…"),
        '—' | '–' => Some("—"),
        '*' | '_' | '~' | '#' | '`' => Some(""),
        ',' => Some(","),
        '.' => Some("."),
        '¿' | '¡' => Some(""),
        _ => None,
    }
}

fn closing(c: char) -> Option<&'static str> {
    match c {
        ',' => Some(","),
        ';' => Some(";"),
        ':' => Some(":"),
        '!' => Some("!"),
        '?' => Some("?"),
        '.' => Some("."),
        '…' => Some("…"),
        ')' | ']' | '}' => Some(")"),
        '"' | '”' | '’' | '\'' | '»' => Some("”"),
        '—' | '–' => Some("—"),
        '*' | '_' | '~' | '`' => Some(""),
        _ => None,
    }
}

/// Words whose apostrophe in front belongs to them.
const ELIDED: [&str; 14] = [
    "'cause", "'em", "'til", "'tis", "'twas", "'n'", "'bout", "'cept", "'round", "'neath", "'gainst", "'til",
    "'s", "'d",
];
/// Words whose point belongs to them.
const POINTED: [&str; 9] = ["mr.", "mrs.", "ms.", "dr.", "esq.", "etc.", "no.", "vs.", "a.k.a."];

/// A run of non-spaces: marks in front, cores with marks between, marks behind.
fn cut(run: &str) -> Vec<Piece> {
    if run.chars().all(|c| matches!(c, '-' | '–' | '—')) && !run.is_empty() {
        return vec![Piece::Mark("—".to_owned())];
    }
    let mut front = vec![];
    let mut core = run;
    while let Some(c) = core.chars().next() {
        let elided = ELIDED
            .contains(&core.trim_end_matches([',', '.', '!', '?']).to_lowercase().replace('’', "'").as_str());
        if is_currency(c) && core[c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit()) {
            front.push(Piece::Currency(c));
        } else if let Some(said) = opening(c).filter(|_| !elided)
            && !(c == '.' && core[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            front.push(Piece::Mark(said.to_owned()));
        } else {
            break;
        }
        core = &core[c.len_utf8()..];
    }
    let mut back = vec![];
    while let Some(c) = core.chars().next_back() {
        let Some(said) = closing(c).filter(|_| !keeps_end(core, c)) else { break };
        back.push(Piece::Mark(said.to_owned()));
        core = &core[..core.len() - c.len_utf8()];
    }
    back.reverse();
    front.extend(inner(core));
    front.extend(back);
    joined_dots(front)
}

/// Whether the sign at the end of a core belongs to it.
fn keeps_end(core: &str, sign: char) -> bool {
    let lower = core.to_lowercase();
    match sign {
        '.' => {
            let dotted = lower.trim_end_matches('.').contains('.')
                && lower.chars().all(|c| c == '.' || c.is_alphabetic())
                && lower.split('.').all(|part| part.chars().count() < 3);
            let initial = core.chars().count() == 2 && core.starts_with(char::is_uppercase) && core != "I.";
            POINTED.contains(&lower.as_str()) || (dotted && !core.ends_with("..")) || initial
        }
        // The dogs' house; a closing quote would have an opening one.
        '\'' | '’' => {
            lower.len() > 2 && (lower.ends_with("s'") || lower.ends_with("s’") || lower.ends_with("in'"))
        }
        _ => false,
    }
}

/// A core at the marks between its words: `yes/no` and `well-known` stay, `wait…what` does not.
fn inner(core: &str) -> Vec<Piece> {
    let mut pieces = vec![];
    let mut start = 0;
    let chars: Vec<(usize, char)> = core.char_indices().collect();
    let mut i = 0;
    while i < chars.len() {
        let (at, c) = chars[i];
        let before = i.checked_sub(1).map(|i| chars[i].1);
        let next = chars.get(i + 1).map(|(_, c)| *c);
        let letters = before.is_some_and(char::is_alphabetic) && next.is_some_and(char::is_alphabetic);
        let mut len = 1;
        let said = match c {
            '…' => Some("…"),
            '—' | '–' => Some("—"),
            '-' if next == Some('-') => {
                len = chars[i..].iter().take_while(|(_, c)| *c == '-').count();
                Some("—")
            }
            '(' | '[' => Some("("),
            ')' | ']' => Some(")"),
            '"' | '“' => Some("“"),
            '”' => Some("”"),
            ',' | ';' | '!' | '?' if letters => closing(c),
            ':' if letters => Some(":"),
            '*' | '~' | '`' => Some(""),
            _ => None,
        };
        if let Some(said) = said {
            if start < at {
                pieces.push(Piece::Core(core[start..at].to_owned()));
            }
            pieces.push(Piece::Mark(said.to_owned()));
            start = chars.get(i + len).map_or(core.len(), |(at, _)| *at);
        }
        i += len;
    }
    if start < core.len() {
        pieces.push(Piece::Core(core[start..].to_owned()));
    }
    pieces
}

/// Three points are one mark, as are the same marks in a row.
fn joined_dots(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = vec![];
    for piece in pieces {
        if let (Some(Piece::Mark(last)), Piece::Mark(mark)) = (joined.last_mut(), &piece)
            && !last.is_empty()
            && last.chars().all(|c| ".!?…".contains(c))
            && ".!?…".contains(mark.as_str())
        {
            last.push_str(mark);
            continue;
        }
        joined.push(piece);
    }
    joined
}
