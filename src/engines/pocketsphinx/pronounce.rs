//! How words are pronounced that the recogniser's dictionary lacks: in the phones of that dictionary.
//!
//! By, in this order: the words of the full dictionary; initials and abbreviations letter by letter;
//! a possessive from the word without `'s`; the letter-to-sound rules of flite and, beside them, two
//! words of the dictionary written as one (`quill` + `feather`). Names are said in more ways than this
//! knows: other languages' rules are absent.

use std::collections::{HashMap, HashSet};

use crate::engines::flite::ffi::phones_of;

/// Parts of a compound are at least so long.
const MIN_PART_LETTERS: usize = 3;

/// Pronunciations of words: phones with spaces between them, as the recogniser's dictionary has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pronunciations(HashMap<String, Vec<String>>);

impl Pronunciations {
    /// Reads from the text of a dictionary what is needed to pronounce `words`.
    pub fn read(dictionary: &str, words: &[&str]) -> Pronunciations {
        let wanted: HashSet<String> = words.iter().flat_map(|word| parts_of(word)).collect();
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for (word, phones) in entries(dictionary) {
            if wanted.contains(word) {
                found.entry(word.to_owned()).or_default().push(phones.to_owned());
            }
        }
        Pronunciations(found)
    }

    /// Whether the dictionary itself has the word.
    pub fn has(&self, word: &str) -> bool {
        self.0.contains_key(word)
    }

    /// The ways to say `word`, the likeliest first; none if it has no letters. `initials`: it is written
    /// in capitals, and not a word of the dictionary.
    pub fn of(&self, word: &str, initials: bool) -> Vec<String> {
        if let Some(phones) = self.0.get(word) {
            return phones.clone();
        }
        if let Some(stem) = word.strip_suffix("'s") {
            let possessive = |phones: String| {
                let ending = possessive_of(phones.rsplit(' ').next().unwrap_or_default());
                format!("{phones} {ending}")
            };
            return self.of(stem, initials).into_iter().map(possessive).collect();
        }
        let letters: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        if letters.is_empty() {
            return vec![];
        }
        if word.contains('.') || initials || !letters.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            return vec![letters.chars().map(letter_name).collect::<Vec<_>>().join(" ")];
        }
        let mut ways: Vec<String> = by_rules(&letters).into_iter().collect();
        if let Some(way) = self.compound(&letters).filter(|way| !ways.contains(way)) {
            ways.push(way);
        }
        ways
    }

    /// Two words of the dictionary, of which the shorter is as long as can be.
    fn compound(&self, letters: &str) -> Option<String> {
        let way = |at: &usize| {
            let (first, second) = letters.split_at(*at);
            Some(format!("{} {}", self.0.get(first)?.first()?, self.0.get(second)?.first()?))
        };
        splits(letters)
            .filter(|at| way(at).is_some())
            .max_by_key(|at| (*at).min(letters.len() - at))
            .and_then(|at| way(&at))
    }
}

/// The words and phones of a dictionary's text, second pronunciations (`word(2)`) under the word itself.
pub fn entries(dictionary: &str) -> impl Iterator<Item = (&str, &str)> {
    dictionary.lines().filter_map(|line| {
        let (word, phones) = line.split_once(' ')?;
        Some((base_of(word), phones.trim()))
    })
}

/// `word(2)` → `word`.
pub fn base_of(word: &str) -> &str {
    word.split_once('(').map_or(word, |(word, _)| word)
}

/// The word, and the words it may be made of.
fn parts_of(word: &str) -> Vec<String> {
    let stem = word.strip_suffix("'s").unwrap_or(word);
    let mut parts = vec![word.to_owned(), stem.to_owned()];
    if stem.bytes().all(|b| b.is_ascii_lowercase()) {
        for at in splits(stem) {
            parts.extend([stem[..at].to_owned(), stem[at..].to_owned()]);
        }
    }
    parts
}

fn splits(letters: &str) -> impl Iterator<Item = usize> + use<> {
    MIN_PART_LETTERS..(letters.len() + 1).saturating_sub(MIN_PART_LETTERS)
}

/// What `'s` adds behind a phone.
fn possessive_of(last: &str) -> &'static str {
    match last {
        "S" | "Z" | "SH" | "ZH" | "CH" | "JH" => "IH Z",
        "F" | "K" | "P" | "T" | "TH" => "S",
        _ => "Z",
    }
}

/// By flite's lexicon and rules, whose phones are the dictionary's but for the schwa and the stress.
fn by_rules(letters: &str) -> Option<String> {
    let phones: Vec<String> = phones_of(letters)
        .into_iter()
        .map(|phone| match phone.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "ax" => "AH".to_owned(),
            phone => phone.to_ascii_uppercase(),
        })
        .collect();
    let known = phones.iter().all(|phone| PHONES.contains(&phone.as_str()));
    (known && !phones.is_empty()).then(|| phones.join(" "))
}

const PHONES: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY",
    "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y",
    "Z", "ZH",
];

fn letter_name(letter: char) -> &'static str {
    match letter.to_ascii_lowercase() {
        'a' => "EY",
        'b' => "B IY",
        'c' => "S IY",
        'd' => "D IY",
        'e' => "IY",
        'f' => "EH F",
        'g' => "JH IY",
        'h' => "EY CH",
        'i' => "AY",
        'j' => "JH EY",
        'k' => "K EY",
        'l' => "EH L",
        'm' => "EH M",
        'n' => "EH N",
        'o' => "OW",
        'p' => "P IY",
        'q' => "K Y UW",
        'r' => "AA R",
        's' => "EH S",
        't' => "T IY",
        'u' => "Y UW",
        'v' => "V IY",
        'w' => "D AH B AH L Y UW",
        'x' => "EH K S",
        'y' => "W AY",
        _ => "Z IY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DICTIONARY: &str =
        "quill K W IH L\nfeather F EH DH ER\nthe DH AH\nthe(2) DH IY\nfeat F IY T\nher HH ER\n";

    fn ways(word: &str, initials: bool) -> Vec<String> {
        Pronunciations::read(DICTIONARY, &[word]).of(word, initials)
    }

    #[test]
    fn the_dictionary_comes_first_with_all_its_ways() {
        assert_eq!(ways("the", false), ["DH AH", "DH IY"]);
        assert_eq!(ways("the", true), ["DH AH", "DH IY"]);
        assert_eq!(ways("feather's", false), ["F EH DH ER Z"]);
    }

    #[test]
    fn unknown_words_follow_the_rules_and_may_be_compounds() {
        let quillfeather = ways("quillfeather", false);
        assert_eq!(quillfeather.last().unwrap(), "K W IH L F EH DH ER");
        assert_eq!(ways("zorbane", false), ["Z AO R B EY N"]);
        assert_eq!(ways("zorbane's", false), ["Z AO R B EY N Z"]);
        // Every phone is one of the dictionary's, whatever the letters.
        for word in ["xylqua", "aaaa", "psst", "schtroumpf", "o'zzy", "b", "yyy"] {
            for way in ways(word, false) {
                assert!(way.split(' ').all(|phone| PHONES.contains(&phone)), "{word}: {way}");
            }
            assert!(!ways(word, false).is_empty(), "{word}");
        }
        assert_eq!(ways("'", false), [""; 0]);
    }

    #[test]
    fn initials_are_spelled_out() {
        assert_eq!(ways("bdw", false), ["B IY D IY D AH B AH L Y UW"]);
        assert_eq!(ways("osa", true), ["OW EH S EY"]);
        assert_eq!(ways("q.a.", false), ["K Y UW EY"]);
    }

    #[test]
    fn a_possessive_sounds_like_the_end_of_its_word() {
        for (last, ending) in [("S", "IH Z"), ("T", "S"), ("N", "Z"), ("IY", "Z")] {
            assert_eq!(possessive_of(last), ending);
        }
    }
}
