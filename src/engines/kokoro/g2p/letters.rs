//! Letter-to-sound rules for English words that no lexicon has, where there is no espeak-ng.
//!
//! Left to right, the first rule that fits at a place is taken; then one syllable is stressed. That is
//! right for regular words and understandable for names, no more. The rules are this project's own.

use super::stress::{PRIMARY, is_vowel};

/// What must stand beside the letters of a rule.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Any,
    /// The word's beginning or end.
    Edge,
    /// A vowel letter.
    Vowel,
    /// A consonant letter.
    Consonant,
    /// e, i or y.
    Front,
    /// A consonant and a silent e that ends the word (or has an s behind it).
    MagicE,
}
use Side::{Any, Consonant, Edge, Front, MagicE, Vowel};

/// In front, letters, behind, phonemes.
type Rule = (Side, &'static str, Side, &'static str);

/// Longer and narrower ones first.
const RULES: &[Rule] = &[
    (Any, "tion", Any, "ʃən"),
    (Any, "sion", Any, "ʒən"),
    (Any, "cian", Any, "ʃən"),
    (Any, "ture", Edge, "ʧəɹ"),
    (Any, "ough", Any, "O"),
    (Any, "augh", Any, "ɔ"),
    (Any, "eigh", Any, "A"),
    (Any, "tial", Any, "ʃᵊl"),
    (Any, "cial", Any, "ʃᵊl"),
    (Any, "cious", Any, "ʃəs"),
    (Any, "tious", Any, "ʃəs"),
    (Any, "ous", Edge, "əs"),
    (Any, "igh", Any, "I"),
    (Any, "tch", Any, "ʧ"),
    (Any, "dge", Any, "ʤ"),
    (Any, "sch", Any, "sk"),
    (Edge, "kn", Any, "n"),
    (Edge, "gn", Any, "n"),
    (Edge, "wr", Any, "ɹ"),
    (Edge, "ps", Any, "s"),
    (Edge, "x", Any, "z"),
    (Any, "age", Edge, "ɪʤ"),
    (Any, "able", Edge, "əbᵊl"),
    (Consonant, "le", Edge, "ᵊl"),
    (Any, "air", Any, "ɛɹ"),
    (Any, "ear", Any, "ɪɹ"),
    (Any, "eer", Any, "ɪɹ"),
    (Any, "oar", Any, "ɔɹ"),
    (Any, "oor", Any, "ɔɹ"),
    (Any, "our", Any, "ɔɹ"),
    (Any, "are", Edge, "ɛɹ"),
    (Any, "ire", Edge, "Iəɹ"),
    (Any, "ore", Edge, "ɔɹ"),
    (Any, "ure", Edge, "jʊɹ"),
    (Any, "er", Edge, "əɹ"),
    (Any, "or", Edge, "əɹ"),
    (Any, "ar", Any, "ɑɹ"),
    (Any, "er", Consonant, "ɜɹ"),
    (Any, "ir", Consonant, "ɜɹ"),
    (Any, "ur", Consonant, "ɜɹ"),
    (Any, "ir", Edge, "ɜɹ"),
    (Any, "ur", Edge, "ɜɹ"),
    (Any, "or", Any, "ɔɹ"),
    (Any, "ph", Any, "f"),
    (Any, "ch", Any, "ʧ"),
    (Any, "sh", Any, "ʃ"),
    (Any, "th", Any, "θ"),
    (Any, "wh", Any, "w"),
    (Any, "ck", Any, "k"),
    (Any, "ng", Edge, "ŋ"),
    (Any, "ng", Consonant, "ŋ"),
    (Any, "ng", Any, "ŋɡ"),
    (Any, "nk", Any, "ŋk"),
    (Any, "qu", Any, "kw"),
    (Any, "gh", Any, "ɡ"),
    (Any, "mb", Edge, "m"),
    (Any, "sc", Front, "s"),
    (Any, "ss", Any, "s"),
    (Any, "zz", Any, "z"),
    (Any, "cc", Front, "ks"),
    (Any, "cc", Any, "k"),
    (Any, "ai", Any, "A"),
    (Any, "ay", Any, "A"),
    (Any, "ei", Any, "A"),
    (Any, "ey", Edge, "i"),
    (Any, "ey", Any, "A"),
    (Any, "au", Any, "ɔ"),
    (Any, "aw", Any, "ɔ"),
    (Any, "ee", Any, "i"),
    (Any, "ea", Any, "i"),
    (Any, "ie", Edge, "i"),
    (Any, "ie", Any, "i"),
    (Any, "eu", Any, "ju"),
    (Any, "ew", Any, "ju"),
    (Any, "oa", Any, "O"),
    (Any, "oe", Edge, "O"),
    (Any, "oi", Any, "Y"),
    (Any, "oy", Any, "Y"),
    (Any, "oo", Any, "u"),
    (Any, "ou", Any, "W"),
    (Any, "ow", Edge, "O"),
    (Any, "ow", Any, "W"),
    (Any, "ue", Edge, "u"),
    (Any, "ui", Any, "u"),
    (Any, "a", MagicE, "A"),
    (Any, "e", MagicE, "i"),
    (Any, "i", MagicE, "I"),
    (Any, "o", MagicE, "O"),
    (Any, "u", MagicE, "u"),
    (Any, "y", MagicE, "I"),
    (Consonant, "es", Edge, "z"),
    (Consonant, "ed", Edge, "d"),
    (Consonant, "e", Edge, ""),
    (Vowel, "e", Edge, ""),
    (Any, "a", Edge, "ə"),
    (Any, "i", Edge, "i"),
    (Any, "o", Edge, "O"),
    (Any, "o", Vowel, "iO"),
    (Any, "i", Vowel, "i"),
    (Edge, "y", Any, "j"),
    (Any, "y", Edge, "i"),
    (Any, "y", Vowel, "j"),
    (Any, "c", Front, "s"),
    (Any, "g", Front, "ʤ"),
    (Vowel, "s", Vowel, "z"),
    (Any, "a", Any, "æ"),
    (Any, "e", Any, "ɛ"),
    (Any, "i", Any, "ɪ"),
    (Any, "o", Any, "ɑ"),
    (Any, "u", Any, "ʌ"),
    (Any, "y", Any, "ɪ"),
    (Any, "b", Any, "b"),
    (Any, "c", Any, "k"),
    (Any, "d", Any, "d"),
    (Any, "f", Any, "f"),
    (Any, "g", Any, "ɡ"),
    (Any, "h", Any, "h"),
    (Any, "j", Any, "ʤ"),
    (Any, "k", Any, "k"),
    (Any, "l", Any, "l"),
    (Any, "m", Any, "m"),
    (Any, "n", Any, "n"),
    (Any, "p", Any, "p"),
    (Any, "q", Any, "k"),
    (Any, "r", Any, "ɹ"),
    (Any, "s", Any, "s"),
    (Any, "t", Any, "t"),
    (Any, "v", Any, "v"),
    (Any, "w", Any, "w"),
    (Any, "x", Any, "ks"),
    (Any, "z", Any, "z"),
];

/// Endings before which the syllable directly in front is stressed.
const STRESS_BEFORE: [&str; 7] = ["tion", "sion", "cian", "ic", "ical", "ity", "ial"];
/// Beginnings that are not stressed where another syllable can be.
const UNSTRESSED: [&str; 9] = ["be", "de", "re", "con", "com", "ex", "un", "in", "en"];

/// The phonemes of a word; signs and letters without accents are understood, others left out.
pub fn say(word: &str) -> String {
    let letters: Vec<char> = word.chars().filter_map(plain_letter).collect();
    let mut phonemes = String::new();
    let mut at = 0;
    while at < letters.len() {
        // A doubled consonant is heard once.
        if at > 0 && letters[at] == letters[at - 1] && !is_vowel_letter(letters[at]) && letters[at] != 'c' {
            at += 1;
            continue;
        }
        match RULES.iter().find(|rule| fits(rule, &letters, at)) {
            Some((_, spelling, _, sound)) => {
                phonemes.push_str(sound);
                at += spelling.len();
            }
            None => at += 1,
        }
    }
    stressed(&phonemes, &letters.iter().collect::<String>())
}

fn fits(&(before, spelling, behind, _): &Rule, letters: &[char], at: usize) -> bool {
    let rest = &letters[at..];
    let matches = spelling.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    let before_it = at.checked_sub(1).map(|at| letters[at]);
    matches
        && side(before, before_it, &[])
        && side(behind, rest.get(spelling.len()).copied(), &rest[spelling.len().min(rest.len())..])
}

fn side(wanted: Side, next: Option<char>, behind: &[char]) -> bool {
    match wanted {
        Any => true,
        Edge => next.is_none(),
        Vowel => next.is_some_and(is_vowel_letter),
        Consonant => next.is_some_and(|c| !is_vowel_letter(c)),
        Front => next.is_some_and(|c| "eiy".contains(c)),
        MagicE => match behind {
            [consonant, 'e'] | [consonant, 'e', 's'] => !is_vowel_letter(*consonant) && *consonant != 'x',
            _ => false,
        },
    }
}

fn is_vowel_letter(c: char) -> bool {
    "aeiouy".contains(c)
}

/// `É` → e; `None` for what is no Latin letter.
fn plain_letter(c: char) -> Option<char> {
    let c = c.to_lowercase().next()?;
    Some(match c {
        'a'..='z' => c,
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'æ' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'œ' => 'o',
        'ù'..='ü' | 'ū' | 'ů' => 'u',
        'ý' | 'ÿ' => 'y',
        'ł' => 'l',
        'ř' => 'r',
        'ś' | 'š' | 'ß' => 's',
        'ź' | 'ż' | 'ž' => 'z',
        _ => return None,
    })
}

fn stressed(phonemes: &str, word: &str) -> String {
    let vowels: Vec<usize> =
        phonemes.char_indices().filter(|(_, c)| is_vowel(*c)).map(|(at, _)| at).collect();
    let prefix = UNSTRESSED.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len() + 2);
    let syllable = match vowels.len() {
        0 => return phonemes.to_owned(),
        1 => 0,
        count if STRESS_BEFORE.iter().any(|ending| word.ends_with(ending)) => {
            let ending = if word.ends_with("ity") || word.ends_with("ical") { 3 } else { 2 };
            count.saturating_sub(ending)
        }
        2 => usize::from(prefix),
        3 => usize::from(prefix),
        count => count - 3,
    };
    let at = vowels[syllable.min(vowels.len() - 1)];
    format!("{}{PRIMARY}{}", &phonemes[..at], &phonemes[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_words_come_out_right() {
        for (word, phonemes) in [
            ("cat", "kˈæt"),
            ("make", "mˈAk"),
            ("shines", "ʃˈInz"),
            ("phone", "fˈOn"),
            ("knight", "nˈIt"),
            ("queen", "kwˈin"),
            ("station", "stˈæʃən"),
            ("rabbit", "ɹˈæbɪt"),
            ("ankle", "ˈæŋkᵊl"),
            ("Zoë", "zˈO"),
            ("frobnicate", "fɹˈɑbnɪkAt"),
            ("vlorptastic", "vlɔɹptˈæstɪk"),
        ] {
            assert_eq!(say(word), phonemes, "{word}");
        }
    }

    #[test]
    fn anything_is_said_somehow() {
        for word in ["", "日本", "pst", "x", "eee", "Łódź", "a-b"] {
            let said = say(word);
            assert!(said.chars().all(|c| !c.is_whitespace()), "{word}: {said}");
        }
    }
}
