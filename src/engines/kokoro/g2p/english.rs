//! English text → phonemes: tokens with their parts of speech, then from the last to the first, because
//! some words depend on what comes behind them.
//!
//! Reference: `G2P` of misaki 0.9.4, which tokenises and tags by spaCy; here [`tokens`](super::tokens) and
//! [`tagger`](super::tagger) stand in for that.

use std::sync::Arc;

use super::espeak::{self, Espeak};
use super::lexicon::{Dialect, Lexicon};
use super::pronounce::{Ahead, Pronouncer};
use super::spoken::Chunk;
use super::stress::{self, PRIMARY, Stress};
use super::tokens::{Token, Word, is_junk, merged, words_of};
use super::{letters, number};

/// English of one dialect.
pub struct English {
    lexicon: Arc<Lexicon>,
    dialect: Dialect,
    /// For words that the lexicon lacks; letter-to-sound rules where there is none.
    espeak: Option<Espeak>,
}

impl English {
    /// With or without espeak-ng.
    pub fn new(lexicon: Arc<Lexicon>, dialect: Dialect, espeak: Option<Espeak>) -> English {
        English { lexicon, dialect, espeak }
    }

    /// The phonemes of each chunk, punctuation with them, and whether a space follows.
    pub fn phonemes(&mut self, chunks: &[Chunk]) -> Vec<String> {
        let mut words = words_of(chunks, |word| self.lexicon.is_homograph(word));
        let mut ahead = Ahead::default();
        for word in words.iter_mut().rev() {
            ahead = self.pronounce(word, ahead);
        }
        let mut result = vec![String::new(); chunks.len()];
        for word in &words {
            let phonemes = word.phonemes();
            if let Some(chunk) = result.get_mut(word.chunk) {
                chunk.push_str(&phonemes);
                if word.space_after && !phonemes.is_empty() {
                    chunk.push(' ');
                }
            }
        }
        // The model knows a tapped t as `T`, and no glottal stop.
        result.iter().map(|chunk| chunk.trim_end().replace('ɾ', "T").replace('ʔ', "t")).collect()
    }

    fn pronouncer(&self) -> Pronouncer<'_> {
        Pronouncer { lexicon: &self.lexicon, dialect: self.dialect }
    }

    /// Fills in the phonemes of a word; what the word in front of it has ahead.
    fn pronounce(&mut self, word: &mut Word, ahead: Ahead) -> Ahead {
        if let [token] = word.tokens.as_mut_slice() {
            if token.phonemes.is_none() {
                let found = self.token(token, ahead);
                token.phonemes = Some(found.unwrap_or_else(|| self.unknown(&token.text)));
            }
            return ahead_of(token.phonemes.as_deref().unwrap_or_default(), token, ahead);
        }
        self.pronounce_parts(word, ahead)
    }

    /// The longest runs of parts that are known together, from the end to the beginning.
    fn pronounce_parts(&mut self, word: &mut Word, mut ahead: Ahead) -> Ahead {
        let (mut left, mut right) = (0, word.tokens.len());
        while left < right {
            let parts = &word.tokens[left..right];
            let token = merged(parts).filter(|_| parts.iter().all(|part| part.phonemes.is_none()));
            let found = token.as_ref().and_then(|token| self.token(token, ahead));
            if let (Some(token), Some(phonemes)) = (token, found) {
                ahead = ahead_of(&phonemes, &token, ahead);
                for part in &mut word.tokens[left..right] {
                    part.phonemes = Some(String::new());
                }
                word.tokens[left].phonemes = Some(phonemes);
                right = left;
                left = 0;
            } else if left + 1 < right {
                left += 1;
            } else {
                right -= 1;
                left = 0;
                let part = &mut word.tokens[right];
                if part.phonemes.is_some() {
                    continue;
                }
                if !is_junk(&part.text) {
                    self.pronounce_as_unknown(word);
                    let phonemes = word.phonemes();
                    return Ahead { vowel: stress::begins_with_vowel(&phonemes, ahead.vowel), to: false };
                }
                part.phonemes = Some(String::new());
            }
        }
        settle(&mut word.tokens);
        ahead
    }

    /// One part of it is not known: all of it is said as one unknown word.
    fn pronounce_as_unknown(&mut self, word: &mut Word) {
        let text: String = word.tokens.iter().map(|token| token.text.as_str()).collect();
        for token in &mut word.tokens {
            token.phonemes = Some(String::new());
        }
        let phonemes = self.unknown(&text);
        if let Some(first) = word.tokens.first_mut() {
            first.phonemes = Some(phonemes);
        }
    }

    fn token(&self, token: &Token, ahead: Ahead) -> Option<String> {
        let text: String = token.text.replace(['‘', '’'], "'");
        let pronouncer = self.pronouncer();
        if let Some(phonemes) = pronouncer.word(&text, token.tag, ahead) {
            let currency = token.currency.and_then(|sign| number::plural(&pronouncer, sign));
            return Some(currency.map_or(phonemes.clone(), |currency| format!("{phonemes} {currency}")));
        }
        number::is_number(&text, token.is_head)
            .then(|| number::say(&pronouncer, &text, token.currency, token.is_head))
            .flatten()
    }

    /// A word that is in no lexicon.
    fn unknown(&mut self, text: &str) -> String {
        if !text.chars().any(char::is_alphanumeric) {
            return String::new();
        }
        if let Some(process) = &mut self.espeak {
            match process.ipa(text) {
                Ok(ipa) => return espeak::english(&ipa, self.dialect),
                Err(error) => tracing::warn!("kokoro: {error}; a word is said by its letters"),
            }
        }
        letters::say(text)
    }
}

fn ahead_of(phonemes: &str, token: &Token, ahead: Ahead) -> Ahead {
    Ahead { vowel: stress::begins_with_vowel(phonemes, ahead.vowel), to: token.is_to() }
}

/// Spaces and stresses between the parts of a word.
fn settle(tokens: &mut [Token]) {
    let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
    let kinds = text.chars().filter(|c| !is_junk(c.encode_utf8(&mut [0; 4]))).map(|c| match c {
        c if c.is_alphabetic() => 0,
        c if c.is_ascii_digit() => 1,
        _ => 2,
    });
    let mut seen = [false; 3];
    kinds.for_each(|kind| seen[kind] = true);
    let mixed = seen.iter().filter(|seen| **seen).count() > 1;
    let spaced = text.contains('/') || mixed;
    for token in tokens.iter_mut().skip(1) {
        token.space_before = spaced;
    }
    if spaced {
        return;
    }
    let mut said: Vec<(bool, usize, usize)> = tokens
        .iter()
        .enumerate()
        .filter_map(|(at, token)| {
            let phonemes = token.phonemes.as_deref().filter(|phonemes| !phonemes.is_empty())?;
            Some((phonemes.contains(PRIMARY), stress::weight(phonemes), at))
        })
        .collect();
    let lower = |token: &mut Token| {
        token.phonemes = token.phonemes.as_deref().map(|phonemes| stress::apply(phonemes, Stress::Lower));
    };
    if let [first, second] = said[..]
        && tokens[first.2].text.chars().count() == 1
    {
        lower(&mut tokens[second.2]);
        return;
    }
    let primaries = said.iter().filter(|(primary, _, _)| *primary).count();
    if said.len() < 2 || primaries <= said.len().div_ceil(2) {
        return;
    }
    said.sort_unstable();
    for (_, _, at) in &said[..said.len() / 2] {
        lower(&mut tokens[*at]);
    }
}
