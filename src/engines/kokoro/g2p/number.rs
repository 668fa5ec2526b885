//! A word of digits → its phonemes: cardinals, ordinals, years, decimals, money, and numbers with endings
//! (`1990s`).
//!
//! Reference: `Lexicon.get_number` of misaki 0.9.4, with the number words of `crate::number_words`.
//! One difference: `$4.5` is four dollars and fifty cents, not five.

use super::pronounce::{Ahead, Pronouncer};
use super::stress::Stress;
use crate::number_words::{cardinal_words, ordinal_words, year_words};

/// A currency and its hundredth, each in the singular.
const CURRENCIES: [(char, &str, &str); 3] =
    [('$', "dollar", "cent"), ('£', "pound", "pence"), ('€', "euro", "cent")];

/// Whether a sign is that of a currency that has words here.
pub fn is_currency(sign: char) -> bool {
    units(sign).is_some()
}

fn units(sign: char) -> Option<(&'static str, &'static str)> {
    CURRENCIES.iter().find(|(known, _, _)| *known == sign).map(|(_, unit, part)| (*unit, *part))
}

/// `dollars` for `$`.
pub fn plural(pronouncer: &Pronouncer<'_>, sign: char) -> Option<String> {
    let (unit, _) = units(sign)?;
    pronouncer.look_up(unit, None, None, Ahead::default()).map(|unit| pronouncer.add_s(&unit))
}

const ENDINGS: [&str; 9] = ["ing", "'d", "ed", "'s", "st", "nd", "rd", "th", "s"];

/// Whether a word is digits with separators and at most an ending; a minus only at a head.
pub fn is_number(word: &str, is_head: bool) -> bool {
    let word = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending)).unwrap_or(word);
    let word = word.strip_prefix('-').filter(|_| is_head).unwrap_or(word);
    word.contains(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || ",.".contains(c))
}

/// The phonemes of a number for which [`is_number`] holds.
///
/// `is_head`: it does not continue a word (as in `B2B` or `10-20`), where digits are read otherwise.
pub fn say(pronouncer: &Pronouncer<'_>, word: &str, currency: Option<char>, is_head: bool) -> Option<String> {
    let digits_end = word.trim_end_matches(|c: char| c.is_ascii_lowercase() || c == '\'').len();
    let (number, ending) = word.split_at(digits_end);
    let (minus, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let mut said = Said { pronouncer, phonemes: vec![] };
    if minus {
        said.word("minus")?;
    }
    let is_ordinal = matches!(ending, "st" | "nd" | "rd" | "th");
    let plain = number.bytes().all(|b| b.is_ascii_digit());
    let units = currency.and_then(units);
    if is_ordinal && !number.contains('.') {
        for word in ordinal_words(integer(number)?) {
            said.word(&word)?;
        }
    } else if plain && number.len() == 4 && units.is_none() && !minus {
        said.words(&year_words(integer(number)?))?;
    } else if !is_head && !number.contains('.') {
        said.inside_a_word(&number.replace(',', ""))?;
    } else if number.matches('.').count() > 1 || !is_head {
        said.parts(&number.replace(',', ""))?;
    } else if let Some(units) = units
        && number.split_once('.').is_none_or(|(_, part)| part.len() < 3 || part.bytes().all(|b| b == b'0'))
    {
        said.money(&number.replace(',', ""), units)?;
    } else {
        said.decimal(&number.replace(',', ""))?;
    }
    let phonemes = said.phonemes.join(" ");
    match ending {
        "s" | "'s" => Some(pronouncer.add_s(&phonemes)),
        "ed" | "'d" => Some(pronouncer.add_ed(&phonemes)),
        "ing" => pronouncer.add_ing(&phonemes),
        _ => Some(phonemes),
    }
}

/// Digits with commas. Numbers that are too long for words keep their last digits; nobody says them.
fn integer(digits: &str) -> Option<u64> {
    digits.replace(',', "").parse().ok()
}

struct Said<'p, 'l> {
    pronouncer: &'p Pronouncer<'l>,
    phonemes: Vec<String>,
}

impl Said<'_, '_> {
    fn word(&mut self, word: &str) -> Option<()> {
        let stress = (word == "point").then_some(Stress::None);
        self.phonemes.push(self.pronouncer.look_up(word, None, stress, Ahead::default())?);
        Some(())
    }

    fn words(&mut self, words: &[&str]) -> Option<()> {
        words.iter().try_for_each(|word| self.word(word))
    }

    fn cardinal(&mut self, digits: &str) -> Option<()> {
        match digits.parse() {
            Ok(number) => self.words(&cardinal_words(number)),
            Err(_) => self.one_by_one(digits),
        }
    }

    fn one_by_one(&mut self, digits: &str) -> Option<()> {
        digits.chars().filter_map(crate::number_words::digit_word).try_for_each(|word| self.word(word))
    }

    /// `B2B`, `COVID-19`, `555-0199`, `A320`.
    fn inside_a_word(&mut self, digits: &str) -> Option<()> {
        if digits.starts_with('0') || digits.len() > 3 {
            return self.one_by_one(digits);
        }
        if digits.len() < 3 || digits.ends_with("00") {
            return self.cardinal(digits);
        }
        let (hundreds, rest) = digits.split_at(1);
        self.cardinal(hundreds)?;
        match rest.strip_prefix('0') {
            Some(last) => {
                let oh = self.pronouncer.look_up("O", None, Some(Stress::None), Ahead::default())?;
                self.phonemes.push(oh);
                self.cardinal(last)
            }
            None => self.cardinal(rest),
        }
    }

    /// `192.168.0.1`, `v2.5`: what stands between points, without them.
    fn parts(&mut self, number: &str) -> Option<()> {
        for part in number.split('.').filter(|part| !part.is_empty()) {
            let single = part.starts_with('0') || (part.len() != 2 && part[1..].bytes().any(|b| b != b'0'));
            if single { self.one_by_one(part) } else { self.cardinal(part) }?;
        }
        Some(())
    }

    fn money(&mut self, number: &str, (unit, part): (&str, &str)) -> Option<()> {
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        let whole = if whole.is_empty() { "0" } else { whole };
        // Of `4.5` the five are fifty.
        let rest: u64 = match rest.len() {
            1 => rest.parse::<u64>().ok()? * 10,
            _ => rest.parse().unwrap_or(0),
        };
        let is_zero = whole.bytes().all(|b| b == b'0');
        if rest == 0 || !is_zero {
            self.amount(whole, unit)?;
        }
        if rest > 0 && !is_zero {
            self.word("and")?;
        }
        if rest > 0 { self.amount(&rest.to_string(), part) } else { Some(()) }
    }

    fn amount(&mut self, digits: &str, unit: &str) -> Option<()> {
        self.cardinal(digits)?;
        let said = self.pronouncer.look_up(unit, None, None, Ahead::default())?;
        let one = digits.trim_start_matches('0') == "1";
        self.phonemes.push(if one || unit == "pence" { said } else { self.pronouncer.add_s(&said) });
        Some(())
    }

    fn decimal(&mut self, number: &str) -> Option<()> {
        let Some((whole, rest)) = number.split_once('.') else { return self.cardinal(number) };
        if whole.is_empty() {
            self.word("point")?;
            return self.one_by_one(rest);
        }
        self.cardinal(whole)?;
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() {
            return Some(());
        }
        self.word("point")?;
        self.one_by_one(rest)
    }
}
