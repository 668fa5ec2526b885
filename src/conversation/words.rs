//! The words of a question, for stores that look for them. Pure.

use std::collections::HashSet;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// More words of one question are not looked for: each costs time.
const MAX_WORDS: usize = 16;

/// The different words of `query`, of many the [`MAX_WORDS`] longest, which say most: letters, digits and
/// the marks on them, nothing that means anything to a database.
pub(super) fn of_query(query: &str) -> Vec<String> {
    let of_word = |c: char| c.is_alphanumeric() || c.general_category_group() == GeneralCategoryGroup::Mark;
    let mut seen = HashSet::new();
    let words = query.split(|c| !of_word(c)).filter(|word| word.contains(char::is_alphanumeric));
    let mut words: Vec<String> =
        words.map(str::to_lowercase).filter(|word| seen.insert(word.clone())).collect();
    if words.len() > MAX_WORDS {
        words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
        words.truncate(MAX_WORDS);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_words_comes_out() {
        let words = of_query("Tea\" OR *tea* NEAR(x, 2) -- caf\u{e9} cafe\u{301}\0!? \u{301}");
        assert_eq!(words, ["tea", "or", "near", "x", "2", "caf\u{e9}", "cafe\u{301}"]);
        assert_eq!(of_query(" \t\"*"), [""; 0]);
        let many: String = (0..105).map(|n| format!("{n} ")).collect();
        let longest = of_query(&many);
        assert_eq!(longest.len(), MAX_WORDS);
        assert_eq!(longest[..6], ["100", "101", "102", "103", "104", "10"]);
    }
}
