//! Stress marks in phonemes, and the classes of phonemes that rules ask for.
//!
//! The alphabet is misaki's: IPA with one sign for each diphthong (`A` as in day, `I` my, `O` go, `W` now,
//! `Y` boy, `Q` British go) and affricate. A stress mark stands directly before its vowel.

/// The stressed syllable of a word.
pub const PRIMARY: char = 'ˈ';
/// A syllable with a weaker stress.
pub const SECONDARY: char = 'ˌ';

const VOWELS: &str = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";
const CONSONANTS: &str = "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ";
const LONG: &str = "AIOQWYʤʧ";
/// Punctuation that is spoken as a pause.
pub const PAUSES: &str = ";:,.!?—…";

/// What is done with the stress of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stress {
    /// None at all.
    None,
    /// The primary stress becomes a secondary one.
    Lower,
    /// Like [`Stress::Lower`]; a word without any gets a secondary one.
    Secondary,
    /// A word without any gets a secondary one; others stay.
    Some,
    /// A word without a primary stress gets one.
    Primary,
}

/// `phonemes` with their stress changed.
pub fn apply(phonemes: &str, stress: Stress) -> String {
    let has_primary = phonemes.contains(PRIMARY);
    let has_any = has_primary || phonemes.contains(SECONDARY);
    match stress {
        Stress::None => phonemes.replace([PRIMARY, SECONDARY], ""),
        Stress::Lower | Stress::Secondary if has_primary => {
            phonemes.replace(SECONDARY, "").replace(PRIMARY, &SECONDARY.to_string())
        }
        Stress::Secondary | Stress::Some if !has_any => before_first_vowel(phonemes, SECONDARY),
        Stress::Primary if !has_any => before_first_vowel(phonemes, PRIMARY),
        Stress::Primary if !has_primary => phonemes.replace(SECONDARY, &PRIMARY.to_string()),
        _ => phonemes.to_owned(),
    }
}

fn before_first_vowel(phonemes: &str, mark: char) -> String {
    match phonemes.find(is_vowel) {
        Some(at) => format!("{}{mark}{}", &phonemes[..at], &phonemes[at..]),
        None => phonemes.to_owned(),
    }
}

/// How much there is of a word: diphthongs and affricates count double.
pub fn weight(phonemes: &str) -> usize {
    phonemes.chars().map(|c| if LONG.contains(c) { 2 } else { 1 }).sum()
}

/// A vowel or diphthong.
pub fn is_vowel(c: char) -> bool {
    VOWELS.contains(c)
}

/// What the word in front hears of these phonemes: `Some(true)` where they begin with a vowel, `None`
/// where a pause comes first; `otherwise` if there is no sound in them.
pub fn begins_with_vowel(phonemes: &str, otherwise: Option<bool>) -> Option<bool> {
    let first = phonemes.chars().find(|&c| is_vowel(c) || CONSONANTS.contains(c) || PAUSES.contains(c));
    match first {
        Some(c) if PAUSES.contains(c) => None,
        Some(c) => Some(is_vowel(c)),
        None => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stress_is_changed_as_asked() {
        for (phonemes, stress, expected) in [
            ("hˌɛlˈO", Stress::None, "hɛlO"),
            ("hˌɛlˈO", Stress::Lower, "hɛlˌO"),
            ("hɛlO", Stress::Lower, "hɛlO"),
            ("ænd", Stress::Secondary, "ˌænd"),
            ("ænd", Stress::Some, "ˌænd"),
            ("kˈæt", Stress::Some, "kˈæt"),
            ("kˌæt", Stress::Primary, "kˈæt"),
            ("bi", Stress::Primary, "bˈi"),
            ("z", Stress::Primary, "z"),
        ] {
            assert_eq!(apply(phonemes, stress), expected, "{phonemes} {stress:?}");
        }
    }

    #[test]
    fn a_pause_hides_what_comes_behind_it() {
        assert_eq!(begins_with_vowel("ˈæpᵊl", None), Some(true));
        assert_eq!(begins_with_vowel("kˈæt", Some(true)), Some(false));
        assert_eq!(begins_with_vowel(",", Some(true)), None);
        assert_eq!(begins_with_vowel("“", Some(true)), Some(true));
    }
}
