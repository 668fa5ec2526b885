//! Summaries and memories without a language model: the person's own sentences, chosen by rule.
//!
//! For models that are too small to be asked for a summary, as the one that is built in. Nothing is put in
//! other words, so nothing can be made up; what the assistant said is left out, since it can be asked again.

use super::events::MemoryKind;
use super::history::{HistoryMessage, Role};

/// Sentences with fewer words say nothing that is worth keeping.
const LEAST_WORDS: usize = 3;
/// Words with which people ask for something.
const WISHES: [&str; 14] = [
    "please",
    "remember",
    "always",
    "never",
    "don't",
    "do not",
    "call me",
    "i want",
    "i need",
    "i would like",
    "i'd like",
    "remind",
    "you must",
    "you should",
];
/// Words with which people settle something.
const DECISIONS: [&str; 8] =
    ["let's", "we'll", "i'll take", "i will take", "agreed", "we decided", "i decided", "it's settled"];
/// Words with which a question begins that has lost its mark, as recognised speech does.
const QUESTIONS: [&str; 19] = [
    "what", "when", "where", "who", "whose", "which", "why", "how", "is", "are", "do", "does", "did", "can",
    "could", "will", "would", "may", "was",
];

/// Statements of the person in these messages, the oldest first: what sort of thing, and the words.
pub fn statements(messages: &[HistoryMessage]) -> Vec<(MemoryKind, String)> {
    let said = messages.iter().filter(|message| message.role == Role::User);
    let mut found: Vec<(MemoryKind, String)> = vec![];
    for sentence in said.flat_map(|message| sentences(&message.text)) {
        if let Some(kind) = kind_of(sentence)
            && found.iter().all(|(_, known)| !known.eq_ignore_ascii_case(sentence))
        {
            found.push((kind, sentence.to_owned()));
        }
    }
    found
}

/// Whether a sentence is about who says it.
pub fn is_personal(sentence: &str) -> bool {
    let words = sentence.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.map(str::to_lowercase).any(|word| {
        let begin = word.split('\'').next().unwrap_or_default();
        ["i", "me", "my", "mine", "myself", "we", "us", "our", "ours"].contains(&begin)
    })
}

/// A summary of at most so many tokens: the person's wishes word for word, then what else was stated, the
/// newest of each, and the last question. `earlier`: the summary before.
pub fn summary(
    messages: &[HistoryMessage],
    earlier: Option<&str>,
    max_tokens: u64,
    tokens: &mut dyn FnMut(&str) -> u64,
) -> String {
    let mut known: Vec<(MemoryKind, String)> = earlier.map(read).unwrap_or_default();
    for (kind, sentence) in statements(messages) {
        known.retain(|(_, before)| !before.eq_ignore_ascii_case(&sentence));
        known.push((kind, sentence));
    }
    let last_question = messages.iter().rev().find(|m| m.role == Role::User && !m.text.trim().is_empty());
    let last = last_question.map(|message| format!("{JUST_NOW} {}", message.text.trim()));
    let mut room = max_tokens.saturating_sub(last.as_deref().map_or(0, &mut *tokens));
    let mut kept = vec![];
    // Wishes first: they are for ever. Of equals the newest.
    let is_wish = |kind: MemoryKind| kind == MemoryKind::Request;
    for wishes in [true, false] {
        for (at, (kind, sentence)) in
            known.iter().enumerate().rev().filter(|(_, (kind, _))| is_wish(*kind) == wishes)
        {
            let line = format!("{} {sentence}", head(*kind));
            let costs = tokens(&line);
            if costs <= room {
                room -= costs;
                kept.push((at, line));
            }
        }
    }
    kept.sort();
    kept.into_iter().map(|(_, line)| line).chain(last).collect::<Vec<_>>().join("\n")
}

const JUST_NOW: &str = "Just now the user said:";

fn head(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::Request => "The user asked:",
        MemoryKind::Decision => "It was settled:",
        MemoryKind::Discussion | MemoryKind::Attempt => "The user said:",
    }
}

/// The sentences of a summary that was made here.
fn read(summary: &str) -> Vec<(MemoryKind, String)> {
    let kinds = [MemoryKind::Request, MemoryKind::Decision, MemoryKind::Discussion];
    let sentence = |line: &str| {
        kinds.iter().find_map(|kind| Some((*kind, line.strip_prefix(head(*kind))?.trim().to_owned())))
    };
    summary.lines().filter_map(sentence).collect()
}

fn kind_of(sentence: &str) -> Option<MemoryKind> {
    let lower = sentence.to_lowercase();
    let words = lower.split_whitespace().count();
    let first = lower.split_whitespace().next().unwrap_or_default();
    let has = |cues: &[&str]| cues.iter().any(|cue| lower.contains(cue));
    if words < LEAST_WORDS || sentence.ends_with('?') || QUESTIONS.contains(&first) {
        return None;
    }
    Some(match () {
        () if has(&WISHES) => MemoryKind::Request,
        () if has(&DECISIONS) => MemoryKind::Decision,
        () => MemoryKind::Discussion,
    })
}

/// Cuts behind `.`, `!` and `?` in front of a blank.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = vec![];
    let mut from = 0;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if character.is_whitespace() && matches!(before, '.' | '!' | '?') {
            found.push(text[from..at].trim());
            from = at;
        }
        before = character;
    }
    found.push(text[from..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{Event, UserMessage};
    use crate::conversation::history::apply;

    fn said(texts: &[&str]) -> Vec<HistoryMessage> {
        let mut history = vec![];
        for (turn, text) in (1..).zip(texts) {
            let message = Event::UserMessage(UserMessage { turn, text: (*text).into(), typed: false });
            apply(&mut history, &message, 0);
        }
        history
    }

    fn words(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    #[test]
    fn statements_are_kept_and_questions_are_not() {
        let history = said(&[
            "My name is Anna. What time is it?",
            "what is seven plus four",
            "Yes.",
            "Please call me at nine.",
            "Let's meet on Monday.",
            "my name is anna.",
        ]);
        let expected = [
            (MemoryKind::Discussion, "My name is Anna."),
            (MemoryKind::Request, "Please call me at nine."),
            (MemoryKind::Decision, "Let's meet on Monday."),
        ];
        assert_eq!(statements(&history), expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn what_somebody_says_of_themselves_is_known() {
        assert!(is_personal("I'm from Vienna.") && is_personal("Please call me."));
        assert!(!is_personal("The pool opens at seven.") && !is_personal("Is it mined?"));
    }

    #[test]
    fn a_summary_has_the_wishes_the_newest_statements_and_the_last_words() {
        let history = said(&["Please speak slowly.", "The code is red.", "The code is blue.", "And now?"]);
        let whole = "The user asked: Please speak slowly.\nThe user said: The code is red.\n\
                     The user said: The code is blue.\nJust now the user said: And now?";
        assert_eq!(summary(&history, None, 100, &mut words), whole);
        let part = "The user asked: Please speak slowly.\nThe user said: The code is blue.\n\
                    Just now the user said: And now?";
        assert_eq!(summary(&history, None, 20, &mut words), part);
        // What an earlier one holds goes on.
        let later = summary(&said(&["I have a dog.", "Right?"]), Some(part), 100, &mut words);
        assert!(later.starts_with("The user asked: Please speak slowly.\nThe user said: The code is blue."));
        assert!(later.ends_with("I have a dog.\nJust now the user said: Right?"), "{later}");
    }
}
