//! One word → its phonemes: words whose sound depends on their neighbours, the lexicon, its words with
//! endings (-s, -ed, -ing), and what is spelt out letter by letter.
//!
//! Reference: `Lexicon.get_word` of misaki 0.9.4.

use super::lexicon::{Dialect, Lexicon};
use super::stress::{self, PRIMARY, SECONDARY, Stress};
use super::tagger::Tag;

/// Sounds behind which an American t is tapped before an ending: waiting, rated.
const TAPPING: &str = "AIOWYiuæɑəɛɪɹʊʌ";

/// What comes behind a word.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ahead {
    /// Whether it begins with a vowel; `None`: a pause, or nothing.
    pub vowel: Option<bool>,
    /// It is the word "to".
    pub to: bool,
}

/// The lexicon with the rules of its dialect.
#[derive(Clone, Copy)]
pub struct Pronouncer<'l> {
    /// The words.
    pub lexicon: &'l Lexicon,
    /// Whose endings.
    pub dialect: Dialect,
}

impl Pronouncer<'_> {
    /// The phonemes of a word of ASCII letters and apostrophes (or a sign that has a name), or `None`.
    /// Capitals are stressed.
    pub fn word(&self, word: &str, tag: Tag, ahead: Ahead) -> Option<String> {
        let stress = capitals_stress(word);
        self.special(word, tag, stress, ahead).or_else(|| self.regular(word, tag, stress, ahead))
    }

    /// A word of the lexicon, or an acronym spelt out.
    pub fn look_up(
        &self,
        word: &str,
        tag: Option<Tag>,
        stress: Option<Stress>,
        ahead: Ahead,
    ) -> Option<String> {
        let is_upper = word == word.to_uppercase() && !self.lexicon.has_gold(word);
        let is_name = is_upper && tag == Some(Tag::ProperNoun);
        let lower = if is_upper { word.to_lowercase() } else { word.to_owned() };
        // Only running text has something ahead: the words of a number have no tag.
        let before_pause = tag.is_some() && ahead.vowel.is_none();
        let gold = self.lexicon.gold(&lower, tag, before_pause);
        let found = gold.or_else(|| (!is_name).then(|| self.lexicon.silver(&lower)).flatten());
        let spell = match found {
            None => true,
            Some(phonemes) => is_name && !phonemes.contains(PRIMARY),
        };
        if spell && let Some(spelt) = self.spelt(&lower) {
            return Some(spelt);
        }
        found.map(|phonemes| changed(phonemes, stress))
    }

    /// Letter by letter, the last one stressed.
    pub fn spelt(&self, word: &str) -> Option<String> {
        let mut phonemes = String::new();
        for letter in word.chars().filter(|c| c.is_alphabetic()) {
            phonemes.push_str(self.lexicon.gold(&letter.to_uppercase().to_string(), None, false)?);
        }
        let phonemes = stress::apply(&phonemes, Stress::Secondary);
        Some(match phonemes.rsplit_once(SECONDARY) {
            Some((before, last)) => format!("{before}{PRIMARY}{last}"),
            None => phonemes,
        })
    }

    fn special(&self, word: &str, tag: Tag, stress: Option<Stress>, ahead: Ahead) -> Option<String> {
        let gold = |word: &str| self.lexicon.gold(word, None, false).map(str::to_owned);
        if let Some(name) = name_of_sign(word) {
            return self.look_up(name, None, None, ahead);
        }
        if is_dotted(word) {
            return self.spelt(word);
        }
        let is_title = |lower: &str| word == lower || is_capitalised(word, lower);
        match word.to_ascii_lowercase().as_str() {
            "a" => Some(if tag == Tag::Determiner { "ɐ" } else { "ˈA" }.to_owned()),
            "am" if tag.is_noun() => self.spelt(word),
            "am" if ahead.vowel.is_none() || word != "am" || stress.is_some() => gold("am"),
            "am" => Some("ɐm".to_owned()),
            "an" if word == "AN" && tag.is_noun() => self.spelt(word),
            "an" => Some("ɐn".to_owned()),
            "i" if word == "I" && tag == Tag::Pronoun => Some(format!("{SECONDARY}I")),
            "by" if tag == Tag::Adverb => Some("bˈI".to_owned()),
            "to" if is_title("to") || matches!(tag, Tag::To | Tag::Preposition) => match ahead.vowel {
                None => gold("to"),
                Some(false) => Some("tə".to_owned()),
                Some(true) => Some("tʊ".to_owned()),
            },
            "in" if is_title("in") || tag != Tag::ProperNoun => {
                let stressed = ahead.vowel.is_none() || tag != Tag::Preposition;
                Some(if stressed { "ˈɪn" } else { "ɪn" }.to_owned())
            }
            "the" if is_title("the") || tag == Tag::Determiner => {
                Some(if ahead.vowel == Some(true) { "ði" } else { "ðə" }.to_owned())
            }
            "vs" | "vs." if tag == Tag::Preposition => self.look_up("versus", None, None, ahead),
            "used" => {
                let habit = matches!(tag, Tag::Past | Tag::Adjective) && ahead.to;
                let tag = if habit { Some(Tag::Past) } else { None };
                self.lexicon.gold("used", tag, false).map(str::to_owned)
            }
            _ => None,
        }
    }

    fn regular(&self, word: &str, tag: Tag, stress: Option<Stress>, ahead: Ahead) -> Option<String> {
        let lower = word.to_lowercase();
        let word = if self.is_only_capitalised(word, &lower, tag) { lower.as_str() } else { word };
        if self.is_known(word) {
            return self.look_up(word, Some(tag), stress, ahead);
        }
        if let Some(stem) = word.strip_suffix("s'")
            && self.is_known(&format!("{stem}'s"))
        {
            return self.look_up(&format!("{stem}'s"), Some(tag), stress, ahead);
        }
        if let Some(stem) = word.strip_suffix('\'')
            && self.is_known(stem)
        {
            return self.look_up(stem, Some(tag), stress, ahead);
        }
        self.with_ending(word, tag, stress, ahead)
    }

    fn with_ending(&self, word: &str, tag: Tag, stress: Option<Stress>, ahead: Ahead) -> Option<String> {
        let stem = |stem: String, stress| self.look_up(&stem, Some(tag), stress, ahead);
        if let Some(of) = self.stem_of_s(word) {
            return stem(of, stress).map(|stem| self.add_s(&stem));
        }
        if let Some(of) = self.stem_of_ed(word) {
            return stem(of, stress).map(|stem| self.add_ed(&stem));
        }
        let of = self.stem_of_ing(word)?;
        stem(of, stress.or(Some(Stress::Some))).and_then(|stem| self.add_ing(&stem))
    }

    /// A word of the lexicon whose capitals mean nothing (or loudness).
    fn is_only_capitalised(&self, word: &str, lower: &str, tag: Tag) -> bool {
        let plain = word.len() > 1 && word != lower && word.chars().all(|c| c.is_alphabetic() || c == '\'');
        let one_case = word == word.to_uppercase() || word.chars().skip(1).eq(lower.chars().skip(1));
        plain
            && one_case
            && (tag != Tag::ProperNoun || word.len() > 7)
            && !self.lexicon.has(word)
            && (self.lexicon.has(lower)
                || self.stem_of_s(lower).is_some()
                || self.stem_of_ed(lower).is_some()
                || self.stem_of_ing(lower).is_some())
    }

    fn is_known(&self, word: &str) -> bool {
        if self.lexicon.has(word) || name_of_sign(word).is_some() {
            return true;
        }
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
            return false;
        }
        let upper = |text: &str| text == text.to_uppercase();
        word.len() == 1 || (upper(word) && self.lexicon.has_gold(&word.to_lowercase())) || upper(&word[1..])
    }

    fn stem_of_s(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix('s').filter(|stem| stem.len() >= 2)?;
        if !stem.ends_with('s') && self.is_known(stem) {
            return Some(stem.to_owned());
        }
        let long = word.len() > 4;
        if let Some(stem) =
            stem.strip_suffix('\'').or(stem.strip_suffix('e').filter(|s| long && !s.ends_with('i')))
            && self.is_known(stem)
        {
            return Some(stem.to_owned());
        }
        let stem = format!("{}y", stem.strip_suffix("ie").filter(|_| long)?);
        self.is_known(&stem).then_some(stem)
    }

    fn stem_of_ed(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix('d').filter(|stem| stem.len() >= 3)?;
        if !stem.ends_with('d') && self.is_known(stem) {
            return Some(stem.to_owned());
        }
        let stem = stem.strip_suffix('e').filter(|stem| word.len() > 4 && !stem.ends_with('e'))?;
        self.is_known(stem).then(|| stem.to_owned())
    }

    fn stem_of_ing(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix("ing").filter(|stem| stem.len() >= 2)?;
        let long = word.len() > 5;
        if long && self.is_known(stem) {
            return Some(stem.to_owned());
        }
        let with_e = format!("{stem}e");
        if self.is_known(&with_e) {
            return Some(with_e);
        }
        let mut last = stem.chars().rev();
        let doubled = match (last.next(), last.next()) {
            (Some('k'), Some('c')) => true,
            (Some(a), Some(b)) => a == b && "bcdgklmnprstvxz".contains(a),
            _ => false,
        };
        let stem = &stem[..stem.len() - 1];
        (long && doubled && self.is_known(stem)).then(|| stem.to_owned())
    }

    /// dogs, cats, horses.
    pub fn add_s(&self, stem: &str) -> String {
        let ending = match stem.chars().next_back() {
            None => "",
            Some(last) if "ptkfθ".contains(last) => "s",
            Some(last) if "szʃʒʧʤ".contains(last) => match self.dialect {
                Dialect::American => "ᵻz",
                Dialect::British => "ɪz",
            },
            Some(_) => "z",
        };
        format!("{stem}{ending}")
    }

    /// walked, played, waited.
    pub fn add_ed(&self, stem: &str) -> String {
        let mut reversed = stem.chars().rev();
        let (last, before) = (reversed.next(), reversed.next());
        let british = self.dialect == Dialect::British;
        let ending = match last {
            None => "",
            Some(last) if "pkfθʃsʧ".contains(last) => "t",
            Some('d') => {
                if british {
                    "ɪd"
                } else {
                    "ᵻd"
                }
            }
            Some('t') if british || before.is_none() => "ɪd",
            Some('t') if before.is_some_and(|before| TAPPING.contains(before)) => {
                return format!("{}ɾᵻd", &stem[..stem.len() - 1]);
            }
            Some('t') => "ᵻd",
            Some(_) => "d",
        };
        format!("{stem}{ending}")
    }

    /// going, waiting. `None` where a British r would come back.
    pub fn add_ing(&self, stem: &str) -> Option<String> {
        let mut reversed = stem.chars().rev();
        let (last, before) = (reversed.next()?, reversed.next());
        match self.dialect {
            Dialect::British if matches!(last, 'ə' | 'ː') => None,
            Dialect::American if last == 't' && before.is_some_and(|before| TAPPING.contains(before)) => {
                Some(format!("{}ɾɪŋ", &stem[..stem.len() - 1]))
            }
            _ => Some(format!("{stem}ɪŋ")),
        }
    }
}

/// The stress of a word by its capitals.
fn capitals_stress(word: &str) -> Option<Stress> {
    if word == word.to_lowercase() {
        None
    } else if word == word.to_uppercase() {
        Some(Stress::Primary)
    } else {
        Some(Stress::Some)
    }
}

fn changed(phonemes: &str, stress: Option<Stress>) -> String {
    stress.map_or_else(|| phonemes.to_owned(), |stress| stress::apply(phonemes, stress))
}

/// Signs that are spoken.
fn name_of_sign(sign: &str) -> Option<&'static str> {
    match sign {
        "%" => Some("percent"),
        "&" => Some("and"),
        "+" => Some("plus"),
        "@" => Some("at"),
        _ => None,
    }
}

/// `U.S.`, `e.g.`: letters between points.
fn is_dotted(word: &str) -> bool {
    word.trim_matches('.').contains('.')
        && word.chars().all(|c| c == '.' || c.is_alphabetic())
        && word.split('.').all(|part| part.chars().count() < 3)
}

fn is_capitalised(word: &str, lower: &str) -> bool {
    word.len() == lower.len() && word.starts_with(|c: char| c.is_ascii_uppercase()) && word[1..] == lower[1..]
}
