//! What visitors say → counts for a language model: usual questions (`models/concierge/phrases.txt`)
//! with the facts' things and names in their gaps, and the facts' own sentences.
//!
//! A gap is not filled phrase by phrase, which would take thousands of phrases times hundreds of nouns:
//! since a trigram sees two words back, it is enough to know which words stand around a kind of gap,
//! and how often ([`Gap`]). That is found out once per process; a set of facts then costs one pass
//! over its nouns.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::ngram::{Counts, END, START, Word};
use super::nouns::Noun;
use super::numbers;

/// One phrase per line, as the recogniser spells words; a likelier one stands there more often. `{…}`
/// is a gap: see [`Kind::of`].
const PHRASES: &str = include_str!("../../../models/concierge/phrases.txt");
/// Each fact counts like so many phrases: visitors say parts of them back.
const FACT_WEIGHT: f64 = 3.0;

/// Stands in a gap that nothing is known for. It is in no dictionary.
const ANYTHING: &str = "<anything>";

/// What is said in a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Thing,
    Name,
    /// A name with `'s`.
    Possessive,
    Day,
    Number,
}

impl Kind {
    /// The kind of `{slot}`. One that is not known here is a thing.
    fn of(slot: &str) -> Kind {
        match slot {
            "name" => Kind::Name,
            "day" => Kind::Day,
            "number" => Kind::Number,
            _ => Kind::Thing,
        }
    }
}

/// The surroundings of all gaps of a kind, with the number of phrases that have them.
#[derive(Debug, Clone, Default)]
struct Gap {
    total: f64,
    /// Up to two words before it (fewer where there is another gap).
    before: BTreeMap<Vec<Word>, f64>,
    /// The word behind it.
    after: BTreeMap<Word, f64>,
    /// The word before it and the word behind it.
    around: BTreeMap<(Word, Word), f64>,
}

/// The phrases without what stands in their gaps.
#[derive(Debug, Clone, Default)]
struct Phrases {
    counts: Counts,
    gaps: BTreeMap<Kind, Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Word(Word),
    Gap(Kind),
}

impl Phrases {
    fn parse(text: &str) -> Phrases {
        let mut phrases = Phrases::default();
        for line in text.lines() {
            let mut items: Vec<Item> = vec![Item::Word(START)];
            for token in line.split_whitespace() {
                let slot = token.strip_prefix('{').and_then(|t| t.split_once('}'));
                match (slot, items.last_mut()) {
                    (Some((slot, rest)), _) => {
                        items.push(Item::Gap(Kind::of(slot)));
                        if let ("'s", Some(last)) = (rest, items.last_mut()) {
                            make_possessive(last);
                        }
                    }
                    // Written apart, but said as one.
                    (None, Some(gap @ Item::Gap(_))) if token == "'s" => make_possessive(gap),
                    (None, _) => items.push(Item::Word(phrases.counts.number(token))),
                }
            }
            items.push(Item::Word(END));
            phrases.count(&items);
        }
        phrases
    }

    fn count(&mut self, items: &[Item]) {
        for (at, item) in items.iter().enumerate().skip(1) {
            // The words right before this place, up to a gap.
            let known = items[..at].iter().rev().take(2).map_while(|item| match item {
                Item::Word(word) => Some(*word),
                Item::Gap(_) => None,
            });
            let mut history: Vec<Word> = known.collect();
            history.reverse();
            match (item, items[at - 1]) {
                (Item::Word(word), Item::Gap(kind)) => {
                    let gap = self.gaps.entry(kind).or_default();
                    *gap.after.entry(*word).or_default() += 1.0;
                    if let Some(Item::Word(before)) = at.checked_sub(2).map(|at| items[at]) {
                        *gap.around.entry((before, *word)).or_default() += 1.0;
                    }
                }
                (Item::Word(word), Item::Word(_)) => self.counts.see(&history, *word, 1.0),
                (Item::Gap(kind), _) => {
                    let gap = self.gaps.entry(*kind).or_default();
                    gap.total += 1.0;
                    *gap.before.entry(history).or_default() += 1.0;
                }
            }
        }
    }
}

fn make_possessive(item: &mut Item) {
    if *item == Item::Gap(Kind::Name) {
        *item = Item::Gap(Kind::Possessive);
    }
}

/// What the gaps are filled with, and what else is said.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    /// Things with their articles.
    pub nouns: Vec<Noun>,
    /// Names of people, places and of the assistant.
    pub names: Vec<Vec<String>>,
    /// Whole sentences.
    pub sentences: Vec<Vec<String>>,
}

static USUAL: LazyLock<Phrases> = LazyLock::new(|| Phrases::parse(PHRASES));

/// The words of usual phrases.
pub fn vocabulary() -> impl Iterator<Item = &'static str> {
    USUAL.counts.words()
}

/// The counts of what is said to somebody who knows about `topics`.
pub fn counts(topics: &Topics) -> Counts {
    fill(&USUAL, topics)
}

fn fill(phrases: &Phrases, topics: &Topics) -> Counts {
    let mut counts = phrases.counts.clone();
    for (kind, gap) in &phrases.gaps {
        let mut fillers = fillers(*kind, topics);
        if fillers.is_empty() {
            // Something is said there, only not a word that is known: the rest does not get likelier.
            fillers.insert(ANYTHING.into(), 1.0);
        }
        let total: f64 = fillers.values().sum();
        for (filler, weight) in &fillers {
            let words: Vec<Word> = filler.split(' ').map(|word| counts.number(word)).collect();
            count_filler(&mut counts, gap, &words, weight / total);
        }
    }
    for sentence in &topics.sentences {
        let words: Vec<Word> = sentence.iter().map(|word| counts.number(word)).collect();
        counts.see_sentence(&words, FACT_WEIGHT);
    }
    counts
}

/// `words` stand in the part `share` of the gaps.
fn count_filler(counts: &mut Counts, gap: &Gap, words: &[Word], share: f64) {
    let (Some(&first), Some(&last)) = (words.first(), words.last()) else { return };
    let mut before_first: BTreeMap<Option<Word>, f64> = BTreeMap::new();
    for (history, times) in &gap.before {
        counts.see(history, first, times * share);
        *before_first.entry(history.last().copied()).or_default() += times;
    }
    if let Some(&second) = words.get(1) {
        for (before, times) in &before_first {
            let history: Vec<Word> = before.iter().copied().chain([first]).collect();
            counts.see(&history, second, times * share);
        }
    }
    for three in words.windows(3) {
        counts.see(&three[..2], three[2], gap.total * share);
    }
    match words {
        [_] => {
            let mut seen: HashMap<Word, f64> = HashMap::new();
            for (&(before, after), times) in &gap.around {
                counts.see(&[before, last], after, times * share);
                *seen.entry(after).or_default() += times;
            }
            for (after, times) in &gap.after {
                let rest = times - seen.get(after).copied().unwrap_or_default();
                if rest > 0.0 {
                    counts.see(&[last], *after, rest * share);
                }
            }
        }
        _ => {
            let history = &words[words.len() - 2..];
            gap.after.iter().for_each(|(after, times)| counts.see(history, *after, times * share));
        }
    }
}

/// What can stand in a gap, with weights.
fn fillers(kind: Kind, topics: &Topics) -> BTreeMap<String, f64> {
    let mut fillers: BTreeMap<String, f64> = BTreeMap::new();
    let mut add = |words: String, weight: f64| *fillers.entry(words).or_default() += weight;
    match kind {
        Kind::Thing => {
            for noun in &topics.nouns {
                let words = noun.words.join(" ");
                let weight = if noun.is_subject { 2.0 } else { 1.0 };
                let (the, a, bare) = if noun.has_article { (3.0, 1.0, 0.5) } else { (1.0, 0.25, 3.0) };
                let vowel = words.starts_with(['a', 'e', 'i', 'o', 'u']);
                add(format!("the {words}"), weight * the);
                add(format!("{} {words}", if vowel { "an" } else { "a" }), weight * a);
                add(words, weight * bare);
            }
        }
        Kind::Name => topics.names.iter().for_each(|name| add(name.join(" "), 1.0)),
        Kind::Possessive => topics.names.iter().for_each(|name| add(format!("{}'s", name.join(" ")), 1.0)),
        Kind::Day => DAYS.iter().for_each(|day| add((*day).into(), 1.0)),
        Kind::Number => {
            (0..100).chain([100, 200, 500, 1_000]).for_each(|n| add(numbers::cardinal(n).join(" "), 1.0));
        }
    }
    fillers
}

const DAYS: [&str; 16] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "mondays",
    "tuesdays",
    "wednesdays",
    "thursdays",
    "fridays",
    "saturdays",
    "sundays",
    "weekends",
    "holidays",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let noun = |text: &str, has_article, is_subject| Noun { words: words(text), has_article, is_subject };
        Topics {
            nouns: vec![
                noun("tea room", true, true),
                noun("dogs", false, true),
                noun("old stone hall", true, false),
            ],
            names: vec![words("mila quill"), words("quill")],
            sentences: vec![],
        }
    }

    /// Every phrase with every filling, written out.
    fn written_out(text: &str, topics: &Topics) -> Counts {
        let mut counts = Counts::default();
        for line in text.lines() {
            let mut sentences: Vec<(String, f64)> = vec![(String::new(), 1.0)];
            for token in line.split(' ') {
                let options: Vec<(String, f64)> =
                    match token.strip_prefix('{').and_then(|t| t.split_once('}')) {
                        Some((slot, rest)) => {
                            let kind = if rest == "'s" { Kind::Possessive } else { Kind::of(slot) };
                            let fillers = fillers(kind, topics);
                            let total: f64 = fillers.values().sum();
                            fillers.into_iter().map(|(words, weight)| (words, weight / total)).collect()
                        }
                        None => vec![(token.to_owned(), 1.0)],
                    };
                sentences = sentences
                    .iter()
                    .flat_map(|(text, weight)| {
                        options.iter().map(move |(o, w)| (format!("{text} {o}"), weight * w))
                    })
                    .collect();
            }
            for (sentence, weight) in sentences {
                let words: Vec<Word> = sentence.split_whitespace().map(|word| counts.number(word)).collect();
                counts.see_sentence(&words, weight);
            }
        }
        counts
    }

    #[test]
    fn gaps_are_filled_as_if_every_phrase_were_written_out() {
        let text = "where is {thing} please\nwhere is {thing}\n{thing}\nhello\nis {name} in {place} today\nand \
                    {thing} then\ni know {name}'s brother\nwhat is {name} 's room\n";
        let (filled, written) =
            (fill(&Phrases::parse(text), &topics()), written_out(&text.replace(" 's", "'s"), &topics()));
        let marks = ["<s>", "</s>"];
        let words: Vec<&str> = written.words().chain(marks).collect();
        for before in &words {
            for word in &words {
                let (got, want) = (filled.bigram(before, word), written.bigram(before, word));
                assert!((got - want).abs() < 1e-9, "{before} {word}: {got}, not {want}");
            }
        }
        assert!(words.contains(&"quill's"));
        assert_eq!(filled.words().count(), written.words().count());
    }

    #[test]
    fn a_gap_that_nothing_is_known_for_keeps_its_place() {
        let counts = fill(&Phrases::parse("my name is {name} my friend\n"), &Topics::default());
        assert_eq!(counts.bigram("name", "is"), 1.0);
        assert_eq!(counts.bigram("is", ANYTHING), 1.0);
        assert_eq!(counts.bigram(ANYTHING, "my"), 1.0);
        assert!(counts.words().all(|word| word != ANYTHING), "it is no word to be said");
    }

    #[test]
    fn the_usual_phrases_have_only_words_and_known_gaps() {
        assert!(PHRASES.lines().count() > 200);
        for token in PHRASES.split_whitespace() {
            let word = token.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'');
            let gap = ["{thing}", "{name}", "{day}", "{number}"].iter().any(|gap| token.starts_with(gap));
            assert!(word || gap, "{token}");
        }
        assert!(vocabulary().any(|word| word == "password"));
    }
}
