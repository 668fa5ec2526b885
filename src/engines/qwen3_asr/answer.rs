//! What the model's answer says: `language English<asr_text>Good morning.`, or `language None<asr_text>`
//! where nobody speaks.
//!
//! Reference: `parse_asr_output` and `detect_and_fix_repetitions` of qwen-asr 0.0.6. Deliberately different:
//! words behind `language None` are not believed.

use super::languages::Language;

/// What stands between the language and the words.
pub const ASR_TEXT: &str = "<asr_text>";

/// So often in a row is no speech any more: the model has lost its way.
const MAX_REPEATS: usize = 20;
/// Characters of what is repeated, at most.
const MAX_PERIOD: usize = 20;

/// An answer, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The words; empty if there were none.
    pub text: String,
    /// The language, if the model named one that it knows.
    pub language: Option<Language>,
}

impl Answer {
    /// Of an answer to a prompt that leaves the language to the model.
    pub fn parse(raw: &str) -> Answer {
        let raw = without_repetitions(raw.trim());
        let Some((head, text)) = raw.split_once(ASR_TEXT) else {
            return Answer { text: raw.trim().to_owned(), language: None };
        };
        let line = head.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let name =
            line.get("language ".len()..).filter(|_| line.to_ascii_lowercase().starts_with("language "));
        let name = name.unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("none") {
            return Answer::default();
        }
        Answer { text: text.trim().to_owned(), language: Language::of(name) }
    }

    /// Of an answer to a prompt that names the language: nothing but words.
    pub fn of_words(raw: &str, language: Language) -> Answer {
        Answer { text: without_repetitions(raw.trim()).trim().to_owned(), language: Some(language) }
    }
}

/// Whether tokens end in so many repeats of a few that they are taken out of the text anyway:
/// what follows would be more of it.
pub fn is_looping(tokens: &[u32]) -> bool {
    (1..=MAX_PERIOD).any(|period| {
        let Some(begin) = tokens.len().checked_sub(period * (MAX_REPEATS + 1)) else { return false };
        let tail = &tokens[begin..];
        tail[period..] == tail[..tail.len() - period]
    })
}

/// The text without runs of one character, and of a few, that are longer than speech has: one of each is
/// left.
fn without_repetitions(text: &str) -> String {
    let mut single: Vec<char> = vec![];
    for run in text.chars().collect::<Vec<_>>().chunk_by(|left, right| left == right) {
        single.extend(if run.len() > MAX_REPEATS { &run[..1] } else { run });
    }
    let mut out = String::new();
    let mut rest = &single[..];
    while let Some(first) = rest.first() {
        match repeated(rest) {
            Some((period, end)) => {
                out.extend(&rest[..period]);
                rest = &rest[end..];
            }
            None => {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }
    out
}

/// The period that the text begins to repeat itself with, and where it stops to. The reference looks for none
/// in the last 39 characters, where only one character could be repeated so often.
fn repeated(text: &[char]) -> Option<(usize, usize)> {
    if text.len() < 2 * MAX_REPEATS {
        return None;
    }
    let ends = |period: usize| {
        let repeats = text.chunks_exact(period).take_while(|chunk| *chunk == &text[..period]).count();
        (repeats >= MAX_REPEATS).then_some((period, repeats * period))
    };
    (1..=MAX_PERIOD).take_while(|period| period * MAX_REPEATS <= text.len()).find_map(ends)
}
