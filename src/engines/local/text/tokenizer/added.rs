//! Tokens that stand outside of BPE: `<|im_end|>`, `<tool_call>`, … Where they are in a text.
//!
//! The `tokenizers` crate finds them too, but always in the whole text. Here it must be possible to
//! say that a part of the text has none, because a person said it ([`super::super::border`]).
//! Matching is the crate's: the leftmost, the longest of those; on the text before normalisation
//! (a look-alike that only normalisation turns into a token is none).

use std::collections::HashMap;
use std::ops::Range;

/// A token that is found before BPE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// How it is written.
    pub text: String,
    /// It steers the model (`<|im_end|>`); it is never part of what a reply says.
    pub control: bool,
    /// It takes the white space in front of it.
    pub takes_space_before: bool,
    /// It takes the white space behind it.
    pub takes_space_behind: bool,
    /// It is a token only where no letter or digit touches it.
    pub whole_word: bool,
}

/// The added tokens of a vocabulary.
#[derive(Debug, Clone, Default)]
pub struct AddedTokens {
    tokens: Vec<AddedToken>,
    /// Tokens by their first byte, the longest first.
    by_first_byte: HashMap<u8, Vec<usize>>,
}

/// An added token in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// The token.
    pub id: u32,
}

impl AddedTokens {
    /// Tokens without text are left out.
    pub fn new(tokens: impl IntoIterator<Item = AddedToken>) -> AddedTokens {
        let mut tokens: Vec<AddedToken> = tokens.into_iter().filter(|token| !token.text.is_empty()).collect();
        tokens.sort_by_key(|token| token.id);
        let mut by_first_byte: HashMap<u8, Vec<usize>> = HashMap::new();
        for (at, token) in tokens.iter().enumerate() {
            by_first_byte.entry(token.text.as_bytes()[0]).or_default().push(at);
        }
        for candidates in by_first_byte.values_mut() {
            candidates.sort_by_key(|&at| std::cmp::Reverse(tokens[at].text.len()));
        }
        AddedTokens { tokens, by_first_byte }
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &AddedToken> {
        self.tokens.iter()
    }

    /// Whether an id is one of them.
    pub fn contains(&self, id: u32) -> bool {
        self.tokens.binary_search_by_key(&id, |token| token.id).is_ok()
    }

    /// The token that is written so.
    pub fn id_of(&self, text: &str) -> Option<u32> {
        self.tokens.iter().find(|token| token.text == text).map(|token| token.id)
    }

    /// Bytes of everything in `text` that is written like an added token, in order. Tokens of white
    /// space (some vocabularies add runs of blanks) steer nothing and are not meant.
    pub fn look_alikes(&self, text: &str) -> Vec<Range<usize>> {
        let found = self.spelled_out(text).into_iter();
        found.filter(|(_, token)| !token.text.trim().is_empty()).map(|(range, _)| range).collect()
    }

    /// The added tokens in `text`, in order.
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found: Vec<Found> = vec![];
        let mut free_from = 0;
        for (range, token) in self.spelled_out(text) {
            let (before, behind) = (&text[..range.start], &text[range.end..]);
            if range.start < free_from || (token.whole_word && touches_word(before, behind)) {
                continue;
            }
            let start =
                if token.takes_space_before { before.trim_end().len().max(free_from) } else { range.start };
            let end =
                if token.takes_space_behind { text.len() - behind.trim_start().len() } else { range.end };
            found.push(Found { range: start..end, id: token.id });
            free_from = end;
        }
        found
    }

    /// Where tokens are written: the leftmost, the longest of those, none inside another.
    fn spelled_out(&self, text: &str) -> Vec<(Range<usize>, &AddedToken)> {
        let mut found = vec![];
        let mut at = 0;
        while let Some(byte) = text.as_bytes().get(at) {
            let candidates = self.by_first_byte.get(byte).map(Vec::as_slice).unwrap_or_default();
            let token = candidates
                .iter()
                .map(|&candidate| &self.tokens[candidate])
                .find(|token| text.as_bytes()[at..].starts_with(token.text.as_bytes()));
            match token {
                Some(token) => {
                    found.push((at..at + token.text.len(), token));
                    at += token.text.len();
                }
                None => at += 1,
            }
        }
        found
    }
}

fn touches_word(before: &str, behind: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    before.chars().next_back().is_some_and(is_word) || behind.chars().next().is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, text: &str) -> AddedToken {
        AddedToken { id, text: text.to_owned(), ..AddedToken::default() }
    }

    #[track_caller]
    fn check(tokens: impl IntoIterator<Item = AddedToken>, text: &str, expected: &[(&str, u32)]) {
        let found = AddedTokens::new(tokens).find(text);
        let found: Vec<_> = found.iter().map(|found| (&text[found.range.clone()], found.id)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn the_leftmost_is_found_and_the_longest_of_those() {
        let tokens = || [token(1, "<a>"), token(2, "<a><b>"), token(3, "<b>"), token(4, "é")];
        check(tokens(), "x<a><b><b>é", &[("<a><b>", 2), ("<b>", 3), ("é", 4)]);
        check(tokens(), "<a", &[]);
        check(tokens(), "", &[]);
    }

    #[test]
    fn white_space_goes_with_tokens_that_take_it() {
        let both = AddedToken { takes_space_before: true, takes_space_behind: true, ..token(1, "<m>") };
        check([both], "a <m> \n<m> b", &[(" <m> \n", 1), ("<m> ", 1)]);
    }

    #[test]
    fn a_whole_word_token_touches_no_word() {
        let word = AddedToken { whole_word: true, ..token(1, "yes") };
        check([word], "yes yesno, oyes-yes _yes", &[("yes", 1), ("yes", 1)]);
    }

    #[test]
    fn tokens_without_text_are_none() {
        check([token(1, "")], "abc", &[]);
    }
}
