//! Text as an operator writes it → the words that are said for it, as the recogniser spells words:
//! lower case, ASCII, numbers in words.

use super::numbers;
use crate::engines::flite::text;

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenWord {
    /// As the recogniser spells it: a-z, apostrophes, and full stops in `p.m.`
    pub word: String,
    /// As the text spells it; `None` for a word of a number.
    pub spelling: Option<String>,
    /// A comma, a full stop or the like stands behind it.
    pub ends_phrase: bool,
}

impl SpokenWord {
    /// Written with a capital.
    pub fn is_capital(&self) -> bool {
        self.spelling.as_deref().is_some_and(|spelling| spelling.starts_with(char::is_uppercase))
    }

    /// Written in capitals only, as what is spelled out often is.
    pub fn is_initials(&self) -> bool {
        let capitals = |s: &str| (2..=5).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_uppercase());
        self.spelling.as_deref().is_some_and(capitals)
    }
}

/// The words of `text`. What has no word (other scripts, emoji) is passed over.
pub fn words_of(text: &str) -> Vec<SpokenWord> {
    let mut words: Vec<SpokenWord> = vec![];
    // A currency sign stands before its number, and is said behind it.
    let mut currency: Option<&str> = None;
    for token in text::clean(text) {
        let ascii = token.ascii.trim_end_matches([',', ':', ';', '.', '?', '!']);
        // Of "5 p.m." the last stop belongs to the word.
        let ends_phrase = ascii.len() < token.ascii.len() && !is_abbreviation(ascii);
        let source = text[token.source].trim_matches(|c: char| !c.is_alphanumeric());
        if source.is_empty() && matches!(ascii, "euros" | "pounds" | "yen") {
            currency = Some(if ascii == "euros" {
                "euros"
            } else if ascii == "yen" {
                "yen"
            } else {
                "pounds"
            });
            continue;
        }
        let (ascii, mut unit) = match ascii.strip_prefix('$') {
            Some(amount) => (amount, Some("dollars")),
            None => (ascii, currency.take()),
        };
        let before = words.len();
        if let Some(number) = numbers::say(ascii) {
            words.extend(number.into_iter().map(of_number));
        } else if is_abbreviation(ascii) {
            words.push(written(&format!("{}.", ascii.to_ascii_lowercase()), source));
        } else {
            push_parts(ascii, source, &mut words);
        }
        words.extend(unit.take().map(|unit| of_number(unit.into())));
        if let (true, Some(last)) = (words.len() > before, words.last_mut()) {
            last.ends_phrase = ends_phrase;
        }
    }
    words
}

fn of_number(word: String) -> SpokenWord {
    SpokenWord { word, spelling: None, ends_phrase: false }
}

fn written(word: &str, spelling: &str) -> SpokenWord {
    SpokenWord { word: word.to_ascii_lowercase(), spelling: Some(spelling.into()), ends_phrase: false }
}

/// Single letters with full stops between them.
fn is_abbreviation(ascii: &str) -> bool {
    ascii.contains('.') && ascii.split('.').all(|p| p.len() == 1 && p.as_bytes()[0].is_ascii_alphabetic())
}

/// The words of a token such as `well-known`, `and/or`, `B12` or `Wi-Fi`.
fn push_parts(ascii: &str, source: &str, words: &mut Vec<SpokenWord>) {
    if ascii.eq_ignore_ascii_case("wi-fi") {
        words.push(written("wifi", source));
        return;
    }
    let parts: Vec<&str> = ascii
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '\'')
        .flat_map(runs_of_digits_and_others)
        .map(|part| part.trim_matches('\''))
        .filter(|part| !part.is_empty())
        .collect();
    for part in &parts {
        match numbers::say(part) {
            Some(number) => words.extend(number.into_iter().map(of_number)),
            None => words.push(written(part, if parts.len() == 1 { source } else { part })),
        }
    }
}

/// `B12` → `B`, `12`.
fn runs_of_digits_and_others(part: &str) -> impl Iterator<Item = &str> {
    part.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).scan(0, |start, run| {
        let from = *start;
        *start += run.len();
        part.get(from..*start)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, want: Expect) {
        let shown: Vec<String> = words_of(text)
            .into_iter()
            .map(|w| {
                let mark = if w.ends_phrase { "," } else { "" };
                match w.spelling {
                    Some(spelling) if spelling == w.word => format!("{}{mark}", w.word),
                    Some(spelling) => format!("{}[{spelling}]{mark}", w.word),
                    None => format!("{}#{mark}", w.word),
                }
            })
            .collect();
        want.assert_eq(&shown.join(" "));
    }

    #[test]
    fn facts_become_words() {
        check(
            "The Quillfeather Room opens at 9:30, every day.",
            expect!["the[The] quillfeather[Quillfeather] room[Room] opens at nine# thirty#, every day,"],
        );
        check(
            "Ms. O'Brien-Müller's café (1st floor) costs $4.50 or €3 — or 2 £.",
            expect![
                "ms[Ms], o'brien[O'Brien] muller's[Muller's] cafe[café], first# floor, costs four# fifty# dollars# or three# euros#, or two#"
            ],
        );
        check(
            "Wi-Fi code: B12, USB at 5 p.m. on floor 2.",
            expect!["wifi[Wi-Fi] code, b[B] twelve#, usb[USB] at five# p.m.[p.m] on floor two#,"],
        );
        check("世界 ... 😀 'tis", expect!["tis"]);
    }

    #[test]
    fn initials_are_in_capitals_only() {
        let words = words_of("the USB Usb usb A ABCDEF");
        let initials: Vec<bool> = words.iter().map(SpokenWord::is_initials).collect();
        assert_eq!(initials, [false, true, false, false, false, false]);
    }
}
