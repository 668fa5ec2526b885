//! Pronounced words → the pieces that the network speaks in one call, with their ids.
//!
//! The first piece is short, for early audio, if a clause ends early; others end where sentences do and
//! are as long as is still quick. No piece is longer than the network takes: a run of phonemes without
//! end is cut between words, in the worst case inside one.

use std::collections::HashMap;
use std::ops::Range;

use super::g2p::Spoken;

/// A text with no more phonemes is one piece.
const WHOLE: usize = 70;
/// The first piece ends at a clause's end after so many.
const FIRST: usize = 20;
/// Pieces end at a sentence's end after so many.
const USUAL: usize = 180;

/// What is spoken in one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phrase {
    /// Ids of phonemes and marks, without the start and the end around them.
    pub ids: Vec<u32>,
    /// The words: bytes of the text, and their ids.
    pub words: Vec<(Range<usize>, Range<usize>)>,
    /// As they were pronounced.
    pub phonemes: String,
    /// A sentence ends here; else the voice only pauses.
    pub ends_sentence: bool,
}

/// Cuts a text. `longest`: ids of one call.
pub fn phrases(spoken: &[Spoken], vocab: &HashMap<char, u32>, longest: usize) -> Vec<Phrase> {
    let total: usize = spoken.iter().map(|word| word.phonemes.chars().count() + 1).sum();
    let mut phrases = vec![];
    let mut phrase = Phrase::default();
    for word in spoken {
        let ids: Vec<u32> = word.phonemes.chars().filter_map(|c| vocab.get(&c).copied()).collect();
        let room = longest.saturating_sub(phrase.ids.len() + 1);
        if ids.len() > room && !phrase.ids.is_empty() {
            phrases.push(std::mem::take(&mut phrase));
        }
        if ids.is_empty() {
            // A sign that is not spoken: it has been "heard" with the word before.
            phrase.words.push((word.source.clone(), phrase.ids.len()..phrase.ids.len()));
        }
        let mut pieces = ids.chunks(longest.max(1));
        if let Some(first) = pieces.next() {
            phrase.push(word, first, vocab);
        }
        for piece in pieces {
            phrases.push(std::mem::take(&mut phrase));
            phrase.push(word, piece, vocab);
        }
        let ends = |marks: &str| word.phonemes.trim_end_matches([')', '”']).ends_with(|c| marks.contains(c));
        phrase.ends_sentence = ends(".!?…");
        let early = phrases.is_empty() && total > WHOLE && phrase.ids.len() >= FIRST && ends(".!?…,;:—");
        if early || (phrase.ends_sentence && phrase.ids.len() >= USUAL) {
            phrases.push(std::mem::take(&mut phrase));
        }
    }
    phrases.push(phrase);
    phrases.retain(|phrase| !phrase.ids.is_empty());
    if let Some(last) = phrases.last_mut() {
        last.ends_sentence = true;
    }
    phrases
}

impl Phrase {
    fn push(&mut self, word: &Spoken, ids: &[u32], vocab: &HashMap<char, u32>) {
        if !self.ids.is_empty() {
            self.ids.extend(vocab.get(&' '));
            self.phonemes.push(' ');
        }
        let start = self.ids.len();
        self.ids.extend(ids);
        self.phonemes.push_str(&word.phonemes);
        self.words.push((word.source.clone(), start..self.ids.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(text: &str) -> Vec<Spoken> {
        let mut at = 0;
        let words = text.split(' ').map(|word| {
            let source = at..at + word.len();
            at = source.end + 1;
            Spoken { source, phonemes: word.to_owned() }
        });
        words.collect()
    }

    fn cut(text: &str, longest: usize) -> Vec<String> {
        let vocab: HashMap<char, u32> = text.chars().map(|c| (c, c as u32)).collect();
        let phrases = phrases(&spoken(text), &vocab, longest);
        for phrase in &phrases {
            assert!(phrase.ids.len() <= longest, "{phrase:?}");
            assert!(phrase.words.iter().all(|(_, ids)| ids.end <= phrase.ids.len()), "{phrase:?}");
        }
        let letters = |ids: &[u32]| ids.iter().filter_map(|id| char::from_u32(*id)).collect();
        phrases.iter().map(|phrase| letters(&phrase.ids)).collect()
    }

    #[test]
    fn a_short_text_is_one_piece() {
        assert_eq!(cut("one, two, three. four?", 510), ["one, two, three. four?"]);
    }

    #[test]
    fn the_first_piece_of_a_long_text_is_short() {
        let long = "a clause of some length, and then a second one that is much longer than it. ".repeat(8);
        let cut = cut(long.trim(), 510);
        assert_eq!(cut[0], "a clause of some length,");
        assert!(cut[1].len() >= USUAL && cut[1].ends_with('.'));
        assert_eq!(cut.join(" "), long.trim());
    }

    #[test]
    fn nothing_is_longer_than_the_network_takes() {
        assert_eq!(cut("aaaa bbbb cccc", 9), ["aaaa bbbb", "cccc"]);
        assert_eq!(cut("aaaabbbbcc", 4), ["aaaa", "bbbb", "cc"]);
        assert_eq!(cut("", 4), Vec::<String>::new());
    }

    #[test]
    fn unknown_phonemes_are_left_out() {
        let vocab = HashMap::from([('a', 1)]);
        let phrases = phrases(&spoken("xay y"), &vocab, 10);
        assert_eq!(phrases[0].ids, [1]);
        assert_eq!(phrases[0].words, [(0..3, 0..1), (4..5, 1..1)]);
    }
}
