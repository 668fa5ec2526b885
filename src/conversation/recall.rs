//! Which memories a prompt gets: the relevant ones, the newer the better, within a budget.

use std::collections::HashSet;

/// Half of a memory's weight is gone after so long.
const HALF_LIFE_DAYS: f64 = 30.0;
/// An old memory keeps so much of its relevance, however old.
const OLD_WEIGHT: f64 = 0.5;
const DAY_US: f64 = 86_400e6;

/// A memory that may be recalled.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// In words.
    pub text: String,
    /// How well it fits what was asked: larger is better, in no particular unit.
    pub relevance: f64,
    /// When it was last said, µs since 1970 UTC.
    pub said_at_unix_us: i64,
}

/// The texts of the best candidates, the best first, that together have at most `max_tokens`. What is in
/// the prompt already (`known`) is left out.
pub fn recall(
    mut candidates: Vec<Candidate>,
    known: &HashSet<String>,
    now_unix_us: i64,
    max_tokens: u64,
    tokens: &mut dyn FnMut(&str) -> u64,
) -> Vec<String> {
    let most = candidates.iter().map(|candidate| candidate.relevance).fold(f64::MIN_POSITIVE, f64::max);
    let score = |candidate: &Candidate| {
        let age_days = (now_unix_us - candidate.said_at_unix_us).max(0) as f64 / DAY_US;
        let recency = OLD_WEIGHT + (1.0 - OLD_WEIGHT) * 0.5f64.powf(age_days / HALF_LIFE_DAYS);
        candidate.relevance / most * recency
    };
    candidates.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let mut room = max_tokens;
    let mut recalled: Vec<String> = vec![];
    for Candidate { text, .. } in candidates {
        let costs = tokens(&text);
        if costs <= room && !known.contains(&text) && !recalled.contains(&text) {
            room -= costs;
            recalled.push(text);
        }
    }
    recalled
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn candidate(text: &str, relevance: f64, days_ago: f64) -> Candidate {
        let said_at_unix_us = NOW - (days_ago * DAY_US) as i64;
        Candidate { text: text.to_owned(), relevance, said_at_unix_us }
    }

    fn words(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    #[test]
    fn the_relevant_come_first_and_of_equals_the_newer() {
        let candidates = vec![
            candidate("old but fitting", 10.0, 400.0),
            candidate("new and fitting", 10.0, 1.0),
            candidate("new and hardly fitting", 1.0, 0.0),
        ];
        let all = recall(candidates.clone(), &HashSet::new(), NOW, 100, &mut words);
        assert_eq!(all, ["new and fitting", "old but fitting", "new and hardly fitting"]);
        assert_eq!(recall(candidates.clone(), &HashSet::new(), NOW, 6, &mut words), all[..2]);
        let known = HashSet::from(["new and fitting".to_owned()]);
        assert_eq!(
            recall(candidates, &known, NOW, 6, &mut words),
            all[1..2],
            "four words do not fit into three"
        );
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(recall(vec![], &HashSet::new(), NOW, 100, &mut words).is_empty());
        assert!(recall(vec![candidate("a", 0.0, 0.0)], &HashSet::new(), NOW, 0, &mut words).is_empty());
    }
}
