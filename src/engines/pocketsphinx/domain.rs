//! What one conversation is about → a language model's text, the words that are new to the dictionary,
//! and how the facts spell them.

use std::collections::{HashMap, HashSet};

use super::ngram::Counts;
use super::nouns;
use super::phrases::{self, Topics};
use super::pronounce::Pronunciations;
use super::spoken::{SpokenWord, words_of};
use crate::engines::SpeechContext;

/// Facts are read up to so many words, so that nobody's settings take seconds to learn.
const MAX_WORDS: usize = 2_000;

/// A conversation's words.
#[derive(Debug)]
pub struct Domain {
    /// What is said, and how often.
    pub counts: Counts,
    /// Words that the recogniser did not have, each with the ways to say it.
    pub new_words: Vec<(String, Vec<String>)>,
    /// Words that no dictionary has → as the facts spell them.
    pub spellings: HashMap<String, String>,
}

impl Domain {
    /// Reads what is known of the conversation. `dictionary`: the text of the full dictionary.
    /// `has_word`: whether the recogniser has a word already.
    pub fn of(context: &SpeechContext, dictionary: &str, has_word: &dyn Fn(&str) -> bool) -> Domain {
        let mut left = MAX_WORDS;
        let mut read = |text: &str| {
            let mut words = words_of(text);
            words.truncate(left);
            left -= words.len();
            words
        };
        let facts: Vec<Vec<SpokenWord>> = context.facts.iter().map(|fact| read(fact)).collect();
        let name = read(&context.name);
        let prompt = read(&context.system_prompt);
        let written = || facts.iter().flatten().chain(&name).chain(&prompt);

        let mut wanted: HashSet<String> = written().map(|word| word.word.clone()).collect();
        wanted.extend(phrases::vocabulary().filter(|word| !has_word(word)).map(str::to_owned));
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let pronunciations = Pronunciations::read(dictionary, &wanted);
        let is_common = |word: &str| pronunciations.has(word);

        let mut topics = Topics::default();
        for fact in &facts {
            topics.nouns.extend(nouns::nouns(fact));
            topics.names.extend(nouns::names(fact, &is_common));
            topics.sentences.push(fact.iter().map(|word| word.word.clone()).collect());
        }
        for sentence in prompt.split_inclusive(|word| word.ends_phrase) {
            topics.names.extend(nouns::names(sentence, &is_common));
        }
        if !name.is_empty() {
            topics.names.push(name.iter().map(|word| word.word.clone()).collect());
        }
        topics.sentences.retain(|sentence| !sentence.is_empty());

        let initials: HashSet<&str> =
            written().filter(|w| w.is_initials()).map(|w| w.word.as_str()).collect();
        let counts = phrases::counts(&topics);
        let new_words = counts
            .words()
            .filter(|word| !has_word(word))
            .map(|word| (word.to_owned(), pronunciations.of(word, initials.contains(word))))
            .filter(|(_, ways)| !ways.is_empty())
            .collect();
        Domain { counts, new_words, spellings: spellings(written(), &is_common) }
    }
}

fn spellings<'a>(
    written: impl Iterator<Item = &'a SpokenWord>,
    is_common: &dyn Fn(&str) -> bool,
) -> HashMap<String, String> {
    let mut spellings = HashMap::new();
    for SpokenWord { word, spelling, .. } in written {
        if let (Some(spelling), false) = (spelling, is_common(word) || word.ends_with("'s")) {
            spellings.entry(format!("{word}'s")).or_insert(format!("{spelling}'s"));
            spellings.entry(word.clone()).or_insert(spelling.clone());
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DICTIONARY: &str =
        "anna AE N AH\nhall HH AO L\nquill K W IH L\nfeather F EH DH ER\nthe DH AH\nwifi W AY F AY\n";

    fn domain(context: &SpeechContext) -> Domain {
        let has_word = |word: &str| word == "the";
        Domain::of(context, DICTIONARY, &has_word)
    }

    #[test]
    fn only_words_of_no_dictionary_get_their_own_spelling() {
        let domain = domain(&SpeechContext {
            name: "Zibba".into(),
            system_prompt: "You work for Zorbane Hotels. Be kind.".into(),
            facts: vec![
                "Anna Quillfeather sits in the Hall.".into(),
                "O'Zab's café".into(),
                "Wi-Fi is free".into(),
            ],
        });
        let mut spellings: Vec<&str> = domain.spellings.values().map(String::as_str).collect();
        spellings.sort_unstable();
        for spelling in ["Quillfeather", "Quillfeather's", "Zibba", "Zorbane", "café"] {
            assert!(spellings.contains(&spelling), "{spelling} is not in {spellings:?}");
        }
        for common in ["Anna", "Hall", "Wi-Fi", "the"] {
            assert!(!spellings.contains(&common), "{common}");
        }
        let ways = |word: &str| {
            domain.new_words.iter().find(|(new, _)| new == word).map(|(_, ways)| ways.as_slice())
        };
        assert_eq!(ways("quillfeather").and_then(<[_]>::last).unwrap(), "K W IH L F EH DH ER");
        assert_eq!(ways("wifi").unwrap(), ["W AY F AY"]);
        assert_eq!(ways("the"), None);
        // What can be said to it by name and about people.
        assert!(domain.counts.bigram("is", "zibba") > 0.0);
        assert!(domain.counts.bigram("anna", "quillfeather") > 0.0);
        assert!(domain.counts.bigram("is", "zorbane") > 0.0);
    }

    #[test]
    fn endless_facts_are_read_up_to_a_limit() {
        let fact =
            |n: usize| (0..100).map(|m| format!("zab{} ", "a".repeat(n % 7) + &"b".repeat(m))).collect();
        let facts: Vec<String> = (0..200).map(fact).collect();
        let domain = domain(&SpeechContext { facts, ..SpeechContext::default() });
        let usual = phrases::vocabulary().count();
        assert!(domain.new_words.len() <= usual + 2 * MAX_WORDS, "{}", domain.new_words.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_the_facts_are_words_have_the_recognisers_form(
            facts in prop::collection::vec("\\PC{0,40}|[A-Za-z0-9 .,:'$(){}<>-]{0,60}", 0..4),
        ) {
            let domain = domain(&SpeechContext { facts, ..SpeechContext::default() });
            for word in domain.counts.words() {
                let plain = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'' || b == b'.');
                prop_assert!(plain && !word.is_empty(), "{word:?}");
            }
            for (word, ways) in &domain.new_words {
                prop_assert!(!ways.is_empty(), "{word:?} has no way to be said");
                prop_assert!(ways.iter().flat_map(|w| w.split(' ')).all(|phone| !phone.is_empty()), "{ways:?}");
            }
        }
    }
}
