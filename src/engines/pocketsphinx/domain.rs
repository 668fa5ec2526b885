//! What one conversation is about → a language model's text, the words that are new to the dictionary,
//! and how the facts spell them.

use std::collections::{HashMap, HashSet};

use super::ngram::Counts;
use super::phrases::{self, Topics};
use super::pronounce::Pronunciations;
use super::spoken::{SpokenWord, words_of};
use super::nouns;
use crate::engines::SpeechContext;

/// Facts are read up to so many words, so that nobody's settings take seconds to learn.
const MAX_WORDS: usize = 4_000;

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

        let initials: HashSet<&str> = written().filter(|w| w.is_initials()).map(|w| w.word.as_str()).collect();
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
