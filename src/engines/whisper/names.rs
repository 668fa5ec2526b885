//! Names that a conversation is about, for the prompt: Whisper spells what it has just read.
//!
//! Taken for a name is a run of capitalised words inside a sentence, or of two and more at its beginning. In
//! languages that capitalise all nouns these are then nouns too, which does no harm.

use crate::engines::SpeechContext;

/// Names in a prompt, at most: what is long ago in a prompt has little weight, and all of it takes time.
const MAX_NAMES: usize = 24;

/// Words before a name at the beginning of a sentence.
const ARTICLES: [&str; 6] = ["A", "An", "Our", "The", "This", "Your"];

/// Names, each once, as a list that ends like a sentence; empty if there are none.
pub fn list(context: &SpeechContext) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !name.is_empty() && !names.contains(&name) && names.len() < MAX_NAMES {
            names.push(name);
        }
    };
    add(context.name.trim().to_owned());
    for fact in &context.facts {
        for sentence in fact.split_inclusive(['.', '!', '?', ':', ';']) {
            names_of(sentence).into_iter().for_each(&mut add);
        }
    }
    if names.is_empty() { String::new() } else { format!("{}.", names.join(", ")) }
}

fn names_of(sentence: &str) -> Vec<String> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let mut names = vec![];
    let mut at = 0;
    while at < words.len() {
        // Commas and brackets part names.
        let mut end = at;
        while end < words.len() && is_capitalised(words[end]) {
            end += 1;
            let is_parted = words[end - 1].ends_with(is_mark)
                || words.get(end).is_some_and(|next| next.starts_with(is_mark));
            if is_parted {
                break;
            }
        }
        // The first word of a sentence is capitalised whatever it is.
        let is_beginning = at == 0;
        let from = at + usize::from(is_beginning && end > 0 && ARTICLES.contains(&words[0]));
        let least = if is_beginning && from == 0 { 2 } else { 1 };
        if end >= from + least {
            let bare: Vec<&str> = words[from..end].iter().map(|word| word.trim_matches(is_mark)).collect();
            names.push(bare.join(" "));
        }
        at = end.max(at + 1);
    }
    names
}

fn is_mark(character: char) -> bool {
    !character.is_alphanumeric()
}

/// A capital and something behind it ("I" and "A" are no names).
fn is_capitalised(word: &str) -> bool {
    let mut letters = word.chars().skip_while(|character| is_mark(*character));
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(name: &str, facts: &[&str]) -> String {
        let facts = facts.iter().map(|fact| (*fact).to_owned()).collect();
        list(&SpeechContext { name: name.to_owned(), facts, ..SpeechContext::default() })
    }

    #[test]
    fn names_are_capitalised_words_that_begin_no_sentence() {
        let facts = [
            "The Grand Hotel belongs to Marta Kowalska. She lives in Ulm, Germany, and I like it.",
            "Marta Kowalska speaks Polish: ask her.",
            "Breakfast is at seven. Karl-Heinz (Service) brings it.",
            "",
        ];
        assert_eq!(
            list_of("Vera", &facts),
            "Vera, Grand Hotel, Marta Kowalska, Ulm, Germany, Polish, Service."
        );
    }

    #[test]
    fn without_names_there_is_no_prompt() {
        assert_eq!(list_of(" ", &["Everything is free."]), "");
        let many: Vec<String> = (0..100).map(|number| format!("we know Name{number}x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(list_of("", &many).split(", ").count(), MAX_NAMES);
    }
}
