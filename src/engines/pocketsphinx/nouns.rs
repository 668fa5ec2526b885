//! Which words of the facts are things and names that a visitor may ask about.
//!
//! No grammar: a run of words between function words and the verbs of usual facts ("opens", "costs")
//! is taken for a noun phrase. Too many are found rather than too few; one that nobody says does
//! little harm.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::spoken::SpokenWord;

/// The longest noun phrase.
const MAX_WORDS: usize = 6;

/// Words that end a noun phrase.
static BETWEEN: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a about above across after again all allowed also always am an and any are around as ask asked \
     at available be because been before begin begins behind below beside between both bring built \
     but buy by call called calls can cannot charge charged close closed closes come comes contact \
     cost costs daily dates designed do does down during each ends enter every find for forbidden \
     found founded free from gets give given gives go goes has have he held help helps her here his \
     holds how i if in included inside into is it its just kept lasts leave leaves led left located \
     made manages may me must my near next no not of off offered offers on only onto open opened \
     opens opposite or our ours out outside over owns pay per permitted please right run runs seats \
     see sell sells serve served serves she shut shuts sits since so some speak speaks start starts \
     stop stops take takes than that the their them then there these they this those through till to \
     today tomorrow under until up us use used was we welcome were what when where which while who \
     why will with within without works you your"
        .split(' ')
        .collect()
});
const DEFINITE: &[&str] = &["the", "our", "your", "a", "an", "this"];
const TITLES: &[&str] =
    &["mr", "mrs", "ms", "mister", "doctor", "dr", "professor", "madame", "captain", "sir"];

/// A thing that can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noun {
    /// Without an article.
    pub words: Vec<String>,
    /// An article stood before it.
    pub has_article: bool,
    /// It was the first of its sentence: what the sentence is about.
    pub is_subject: bool,
}

/// The noun phrases of a fact, and those joined by "of" as one too.
pub fn nouns(fact: &[SpokenWord]) -> Vec<Noun> {
    let runs = runs(fact);
    let mut nouns: Vec<Noun> = vec![];
    for (n, run) in runs.iter().enumerate() {
        let words: Vec<String> = fact[run.clone()].iter().map(|w| w.word.clone()).collect();
        let before = |back: usize| run.start.checked_sub(back).map(|at| fact[at].word.as_str());
        let has_article = before(1).is_some_and(|word| DEFINITE.contains(&word));
        let is_subject = n == 0;
        // "the head of the museum": the last run and this one.
        let of = if has_article { before(2) } else { before(1) };
        if let (Some("of"), Some(head)) = (of, n.checked_sub(1).map(|n| runs[n].clone()))
            && run.end - head.start <= MAX_WORDS
        {
            let words = fact[head.start..run.end].iter().map(|w| w.word.clone()).collect();
            let has_article =
                head.start.checked_sub(1).is_some_and(|at| DEFINITE.contains(&fact[at].word.as_str()));
            nouns.push(Noun { words, has_article, is_subject: n == 1 });
        }
        if words.len() > 2 {
            // "the old stone lion" is also asked for as "the stone lion".
            nouns.push(Noun { words: words[words.len() - 2..].to_vec(), has_article, is_subject });
        }
        nouns.push(Noun { words, has_article, is_subject });
    }
    nouns
}

/// The names in a fact: whole, and their words one by one. `is_common`: whether a word is in the
/// dictionary in small letters too, so that a capital at the start of a sentence says nothing.
pub fn names(fact: &[SpokenWord], is_common: &dyn Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut names = vec![];
    for run in runs(fact) {
        let mut start = run.start;
        while start < run.end {
            if !fact[start].is_capital() {
                start += 1;
                continue;
            }
            let len = fact[start..run.end].iter().take_while(|w| w.is_capital()).count();
            let words: Vec<String> = fact[start..start + len].iter().map(|w| w.word.clone()).collect();
            let only_first_word = start == 0 && len == 1;
            if !(only_first_word && is_common(&words[0])) {
                if len > 1 {
                    names.extend(
                        words.iter().filter(|w| !TITLES.contains(&w.as_str())).map(|w| vec![w.clone()]),
                    );
                }
                names.push(words);
            }
            start += len;
        }
    }
    names
}

fn runs(fact: &[SpokenWord]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = vec![];
    let mut start = 0;
    for (at, word) in fact.iter().enumerate() {
        let between = BETWEEN.contains(word.word.as_str());
        let end = if between { at } else { at + 1 };
        if between || word.ends_phrase || end - start == MAX_WORDS || at + 1 == fact.len() {
            if start < end {
                runs.push(start..end);
            }
            start = at + 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::pocketsphinx::spoken::words_of;

    fn found(fact: &str) -> Vec<String> {
        let show = |n: Noun| {
            let article = if n.has_article { "the " } else { "" };
            let subject = if n.is_subject { "*" } else { "" };
            format!("{article}{}{subject}", n.words.join(" "))
        };
        nouns(&words_of(fact)).into_iter().map(show).collect()
    }

    #[test]
    fn noun_phrases_stand_between_function_words() {
        assert_eq!(found("The tea room opens at nine thirty."), ["the tea room*", "nine thirty"]);
        assert_eq!(
            found("Dogs are not allowed in the old stone hall"),
            ["dogs*", "the stone hall", "the old stone hall"]
        );
        assert_eq!(
            found("The head of the museum is Mila Quillfeather."),
            ["the head*", "the head of the museum*", "the museum", "mila quillfeather"]
        );
        assert_eq!(found("It is."), [""; 0]);
        assert_eq!(found(""), [""; 0]);
        assert_eq!(found("one two three four five six seven").len(), 3);
    }

    #[test]
    fn names_have_capitals() {
        let names = |fact: &str| -> Vec<String> {
            let is_common = |word: &str| word == "dogs";
            names(&words_of(fact), &is_common).into_iter().map(|n| n.join(" ")).collect()
        };
        assert_eq!(names("Dogs are welcome."), [""; 0]);
        assert_eq!(names("Brindle is the dog of Mila Quill."), ["brindle", "mila", "quill", "mila quill"]);
        assert_eq!(
            names("Ask Doctor Thorn in the Blue Hall."),
            ["thorn", "doctor thorn", "blue", "hall", "blue hall"]
        );
    }
}
