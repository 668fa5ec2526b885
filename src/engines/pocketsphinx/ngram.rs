//! A back-off trigram model from weighted counts, as ARPA text.
//!
//! Smoothing is interpolated Witten–Bell (Chen and Goodman, "An Empirical Study of Smoothing
//! Techniques", 1998, section 2.4):
//!
//! p(w | h) = (c(h w) + t(h) · p(w | h')) ÷ (c(h) + t(h))
//!
//! with c the counts, t(h) the number of different words seen behind h, and h' the history h without
//! its first word; below the single words stand all words alike. It adds up to 1 for any positive
//! counts, so they may be weights. Not here: pruning, orders other than three, reading a model.

use std::collections::HashMap;
use std::fmt::Write;

/// A word's number in its [`Counts`].
pub type Word = u32;

/// Stands before a sentence.
pub const START: Word = 0;
/// Is said at the end of a sentence.
pub const END: Word = 1;
const UNKNOWN: &str = "<UNK>";
/// The logarithm of nothing, as ARPA files write it.
const NEVER: f64 = -99.0;

/// How often words were seen behind others.
#[derive(Debug, Clone)]
pub struct Counts {
    words: Vec<String>,
    numbers: HashMap<String, Word>,
    unigrams: HashMap<Word, f64>,
    bigrams: HashMap<[Word; 2], f64>,
    trigrams: HashMap<[Word; 3], f64>,
}

impl Default for Counts {
    fn default() -> Self {
        let mut counts = Counts {
            words: vec![],
            numbers: HashMap::new(),
            unigrams: HashMap::new(),
            bigrams: HashMap::new(),
            trigrams: HashMap::new(),
        };
        counts.number("<s>");
        counts.number("</s>");
        counts
    }
}

impl Counts {
    /// The number of `word`, a new one if it is new. It must be one word, of a dictionary's form.
    pub fn number(&mut self, word: &str) -> Word {
        debug_assert!(!word.is_empty() && !word.contains(char::is_whitespace), "{word:?} is no word");
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        let number = self.words.len() as Word;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    /// All words that can be said: not those in angle brackets, such as the marks of start and end.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str).filter(|word| !word.starts_with('<'))
    }

    /// `word` was seen `weight` times behind `history`, of which the last two words count.
    pub fn see(&mut self, history: &[Word], word: Word, weight: f64) {
        *self.unigrams.entry(word).or_default() += weight;
        if let [.., before] = *history {
            *self.bigrams.entry([before, word]).or_default() += weight;
        }
        if let [.., second, first] = *history {
            *self.trigrams.entry([second, first, word]).or_default() += weight;
        }
    }

    /// How often `word` was seen behind `before`.
    #[cfg(test)]
    pub fn bigram(&self, before: &str, word: &str) -> f64 {
        let number = |word: &str| self.numbers.get(word).copied();
        let bigram = number(before).zip(number(word));
        bigram.and_then(|(before, word)| self.bigrams.get(&[before, word]).copied()).unwrap_or_default()
    }

    /// A whole sentence was seen.
    pub fn see_sentence(&mut self, words: &[Word], weight: f64) {
        let mut history = vec![START];
        for &word in words.iter().chain([&END]) {
            self.see(&history, word, weight);
            history.push(word);
        }
    }

    /// The model in ARPA form, with probabilities to six digits, unknown words having none. Counts must
    /// hold at least one trigram, since the recogniser's library wants a model of its order.
    pub fn arpa(&self) -> String {
        let model = Model::of(self);
        let mut text = String::with_capacity(64 * (self.words.len() + self.trigrams.len()));
        let mut line = |args: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(args); // cannot fail on a String
            text.push('\n');
        };
        line(format_args!("\\data\\\nngram 1={}", self.words.len() + 1));
        line(format_args!("ngram 2={}\nngram 3={}\n", model.bigrams.len(), model.trigrams.len()));
        line(format_args!("\\1-grams:\n{NEVER} {UNKNOWN} 0"));
        for (number, word) in self.words.iter().enumerate() {
            let number = number as Word;
            let probability = if number == START { NEVER } else { model.unigram(number).log10() };
            line(format_args!("{probability:.6} {word} {:.6}", Behind::back_off(model.after1.get(&number))));
        }
        let name = |number: Word| self.words[number as usize].as_str();
        line(format_args!("\n\\2-grams:"));
        for (&[first, word], probability) in &model.bigrams {
            let back_off = Behind::back_off(model.after2.get(&[first, word]));
            line(format_args!("{:.6} {} {} {back_off:.6}", probability.log10(), name(first), name(word)));
        }
        line(format_args!("\n\\3-grams:"));
        for (&[first, second, word], probability) in &model.trigrams {
            line(format_args!("{:.6} {} {} {}", probability.log10(), name(first), name(second), name(word)));
        }
        line(format_args!("\n\\end\\"));
        text
    }
}

/// What was seen behind one history.
#[derive(Debug, Clone, Copy, Default)]
struct Behind {
    count: f64,
    types: f64,
}

impl Behind {
    fn of<'a>(counts: impl IntoIterator<Item = &'a f64>) -> Behind {
        let mut behind = Behind::default();
        counts.into_iter().for_each(|count| behind.add(*count));
        behind
    }

    fn add(&mut self, count: f64) {
        self.count += count;
        self.types += 1.0;
    }

    /// p(w | h), from c(h w) and p(w | h').
    fn smooth(self, count: f64, lower: f64) -> f64 {
        (count + self.types * lower) / (self.count + self.types)
    }

    /// The logarithm of the part of a history's probability that is shared out like a shorter one's.
    fn back_off(behind: Option<&Behind>) -> f64 {
        behind.map_or(0.0, |b| (b.types / (b.count + b.types)).log10())
    }
}

struct Model {
    words: f64,
    single: Behind,
    unigrams: HashMap<Word, f64>,
    after1: HashMap<Word, Behind>,
    after2: HashMap<[Word; 2], Behind>,
    bigrams: HashMap<[Word; 2], f64>,
    trigrams: HashMap<[Word; 3], f64>,
}

impl Model {
    fn of(counts: &Counts) -> Model {
        let mut after1: HashMap<Word, Behind> = HashMap::new();
        let mut after2: HashMap<[Word; 2], Behind> = HashMap::new();
        for (&[first, _], &count) in &counts.bigrams {
            after1.entry(first).or_default().add(count);
        }
        for (&[first, second, _], &count) in &counts.trigrams {
            after2.entry([first, second]).or_default().add(count);
        }
        let mut model = Model {
            // Of which the start is never said.
            words: (counts.words.len() - 1) as f64,
            single: Behind::of(counts.unigrams.values()),
            unigrams: counts.unigrams.clone(),
            after1,
            after2,
            bigrams: HashMap::new(),
            trigrams: HashMap::new(),
        };
        for (&bigram, &count) in &counts.bigrams {
            model.bigrams.insert(bigram, model.bigram(bigram, count));
        }
        // A history that was never seen as a bigram itself needs a line to carry its back-off weight.
        for &history in model.after2.keys() {
            if !model.bigrams.contains_key(&history) {
                let probability = model.bigram(history, 0.0);
                model.bigrams.insert(history, probability);
            }
        }
        for (&[first, second, word], &count) in &counts.trigrams {
            let lower = model.bigrams.get(&[second, word]).copied().unwrap_or_default();
            let behind = model.after2.get(&[first, second]).copied().unwrap_or_default();
            model.trigrams.insert([first, second, word], behind.smooth(count, lower));
        }
        model
    }

    fn unigram(&self, word: Word) -> f64 {
        let count = self.unigrams.get(&word).copied().unwrap_or_default();
        self.single.smooth(count, 1.0 / self.words)
    }

    /// p(word | first) where it was seen `count` times.
    fn bigram(&self, [first, word]: [Word; 2], count: f64) -> f64 {
        match self.after1.get(&first) {
            Some(behind) => behind.smooth(count, self.unigram(word)),
            None => self.unigram(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A model as any reader of ARPA files understands it: log10 probability and back-off weight.
    #[derive(Debug, Default)]
    struct Arpa(BTreeMap<Vec<String>, (f64, f64)>);

    impl Arpa {
        fn parse(text: &str) -> Arpa {
            let mut arpa = Arpa::default();
            let (mut order, mut counted, mut promised) = (0, [0; 4], [0; 4]);
            for line in text.lines().filter(|line| !line.is_empty()) {
                if let Some(count) = line.strip_prefix("ngram ") {
                    let (n, count) = count.split_once('=').unwrap();
                    promised[n.parse::<usize>().unwrap()] = count.parse().unwrap();
                } else if let Some(section) = line.strip_suffix("-grams:") {
                    order = section[1..].parse().unwrap();
                } else if !line.starts_with('\\') {
                    let parts: Vec<&str> = line.split(' ').collect();
                    let words = parts[1..=order].iter().map(|w| (*w).to_owned()).collect();
                    let back_off = parts.get(order + 1).map_or(0.0, |b| b.parse().unwrap());
                    let old = arpa.0.insert(words, (parts[0].parse().unwrap(), back_off));
                    assert!(old.is_none(), "twice: {line}");
                    counted[order] += 1;
                }
            }
            assert_eq!(counted, promised);
            assert!(text.ends_with("\\end\\\n"));
            arpa
        }

        /// p(word | history), backing off.
        fn probability(&self, history: &[&str], word: &str) -> f64 {
            let key: Vec<String> = history.iter().chain([&word]).map(|w| (*w).to_owned()).collect();
            if let Some((log, _)) = self.0.get(&key) {
                return 10f64.powf(*log);
            }
            10f64.powf(self.back_off(history)) * self.probability(&history[1..], word)
        }

        fn back_off(&self, history: &[&str]) -> f64 {
            let key: Vec<String> = history.iter().map(|w| (*w).to_owned()).collect();
            self.0.get(&key).map_or(0.0, |(_, back_off)| *back_off)
        }

        fn words(&self) -> Vec<&str> {
            self.0.keys().filter(|key| key.len() == 1).map(|key| key[0].as_str()).collect()
        }
    }

    fn counts(sentences: &[(Vec<&str>, f64)]) -> Counts {
        let mut counts = Counts::default();
        for (sentence, weight) in sentences {
            let words: Vec<Word> = sentence.iter().map(|word| counts.number(word)).collect();
            counts.see_sentence(&words, *weight);
        }
        counts
    }

    #[test]
    fn probabilities_are_those_of_the_formula() {
        let arpa = Arpa::parse(&counts(&[(vec!["a", "b"], 1.0), (vec!["a", "a"], 2.0)]).arpa());
        // Words that can be said: a, b and the end; a is seen 5 times, b once, the end 3 times.
        let a = (5.0 + 3.0 / 3.0) / (9.0 + 3.0);
        let b = (1.0 + 3.0 / 3.0) / (9.0 + 3.0);
        // Behind a: b once, a twice, the end twice; behind the start and a: b once, a twice.
        let b_after_a = (1.0 + 3.0 * b) / (5.0 + 3.0);
        let b_after_start_a = (1.0 + 2.0 * b_after_a) / (3.0 + 2.0);
        for (history, word, want) in [
            (vec![], "a", a),
            (vec![], "b", b),
            (vec!["a"], "b", b_after_a),
            (vec!["<s>", "a"], "b", b_after_start_a),
            // Never seen: the part that is left, shared out like the shorter history's.
            (vec!["b", "a"], "b", b_after_a),
            (vec!["b"], "a", 1.0 / 2.0 * a),
        ] {
            let got = arpa.probability(&history, word);
            assert!((got - want).abs() < 1e-5, "p({word} | {history:?}) is {got}, not {want}");
        }
        assert_eq!(arpa.0[&vec![UNKNOWN.to_owned()]].0, NEVER);
    }

    proptest! {
        #[test]
        fn probabilities_of_every_history_add_up_to_one(
            sentences in prop::collection::vec(
                (prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "e"]), 1..6), 0.01f64..50.0),
                1..12,
            ),
            // Single sightings, also of trigrams whose first two words were never seen together.
            more in prop::collection::vec((prop::collection::vec(2u32..7, 0..3), 2u32..7, 0.01f64..5.0), 0..8),
        ) {
            let mut counts = counts(&sentences);
            for word in ["a", "b", "c", "d", "e"] {
                counts.number(word);
            }
            for (history, word, weight) in more {
                counts.see(&history, word, weight);
            }
            let arpa = Arpa::parse(&counts.arpa());
            let words = arpa.words();
            let mut histories: Vec<Vec<&str>> = vec![vec![]];
            histories.extend(words.iter().map(|w| vec![*w]));
            histories.extend(words.iter().flat_map(|v| words.iter().map(|w| vec![*v, *w])));
            for history in histories {
                let sum: f64 = words.iter().map(|word| arpa.probability(&history, word)).sum();
                prop_assert!((sum - 1.0).abs() < 1e-4, "{sum} behind {history:?}");
            }
        }
    }
}
