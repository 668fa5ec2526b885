//! Where spoken text may be divided: what kind of joint lies before a character.

use crate::turn::speakable::Glyph;

/// How well the text may be divided before a character; a greater one is a better place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Joint {
    /// Not at all: within a word.
    Within,
    /// Between words that belong together: `No. 5`, `Dr. Smith`, `J. R. R.`.
    Bound,
    /// Between words.
    Words,
    /// Between clauses.
    Clauses,
    /// Between sentences.
    Sentences,
}

/// Never the end of a sentence.
const ABBREVIATIONS: &[&str] = &[
    "Dr", "Mr", "Mrs", "Ms", "Mx", "Prof", "Sr", "Jr", "St", "Mt", "Ft", "Gen", "Col", "Maj", "Sgt", "Capt",
    "Cmdr", "Lt", "Rev", "Hon", "Gov", "Sen", "Rep", "Pres", "Messrs", "Mme", "Mlle", "Inc", "Ltd", "Co",
    "Corp", "Bros", "Ave", "Blvd", "Rd", "vs", "Vs", "cf", "viz", "al", "approx", "incl", "excl", "resp",
    "dept", "Dept", "est", "Ph.D", "M.Sc", "B.Sc", "Hr", "Fr", "bzw", "evtl", "ggf", "inkl", "Sra", "Dra",
    "Ud", "Uds",
];
/// Not the end of a sentence before a number.
const BEFORE_NUMBERS: &[&str] = &[
    "no", "nos", "nr", "fig", "figs", "eq", "sec", "ch", "vol", "art", "abs", "pp", "ca", "ext", "jan",
    "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu",
    "fri", "sat", "sun",
];
/// Not the end of a sentence before a small letter.
const BEFORE_SMALL: &[&str] = &["etc", "usw", "min", "max", "sec", "hr", "hrs", "ft", "lb", "lbs", "oz"];

fn is_closer(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '”' | '’' | '»' | '›' | ')' | ']' | '}' | '」' | '』' | '】' | '）' | '》' | '〉'
    )
}

/// Ends a sentence where blanks separate words.
fn is_stop(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '‼' | '⁉' | '‽')
}

/// Ends a sentence with or without a blank behind it.
fn is_wide_stop(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡' | '।' | '॥' | '؟' | '۔' | '։' | '።' | '။' | '។')
}

fn is_clause_stop(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '—' | '–' | '،' | '؛')
}

fn is_wide_clause_stop(c: char) -> bool {
    matches!(c, '，' | '、' | '；' | '：')
}

/// Two columns wide and written without blanks between words.
pub fn is_wide(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// The joint before `glyphs[at]`, which is no blank; `glyphs` begins where the segment does.
pub fn joint(glyphs: &[Glyph], at: usize) -> Joint {
    let Some(before) = at.checked_sub(1).map(|i| &glyphs[i]) else { return Joint::Within };
    let next = glyphs[at].ch;
    let spaced = before.ch == ' ';
    let plain = if spaced { Joint::Words } else { Joint::Within };

    // The last character before the blank, quotes and parentheses that close there left aside.
    let end = if spaced { at - 1 } else { at };
    let Some(stop_at) = glyphs[..end].iter().rposition(|g| !is_closer(g.ch) || g.verbatim) else {
        return plain;
    };
    let stop = &glyphs[stop_at];
    if stop.verbatim {
        return plain;
    }
    // A mark that stands alone (`Bonjour !`) goes with what is before it.
    let trails = is_stop(next)
        || is_wide_stop(next)
        || matches!(next, ',' | ';' | ':' | ')' | ']' | '»' | '”' | '」' | '』');
    if trails || is_wide_clause_stop(next) {
        return plain.min(Joint::Bound);
    }
    if is_wide_stop(stop.ch) {
        return if is_closer(next) && !spaced { Joint::Within } else { Joint::Sentences };
    }
    if is_wide_clause_stop(stop.ch) {
        return Joint::Clauses;
    }
    let digit_before =
        || glyphs[..stop_at].iter().rfind(|g| g.ch != ' ').is_some_and(|g| g.ch.is_ascii_digit());
    let between_digits = next.is_ascii_digit() && digit_before();
    if !spaced {
        let dash = stop.ch == '—' && stop_at + 1 == at && next.is_alphabetic();
        return if dash { Joint::Clauses } else { Joint::Within };
    }
    if is_clause_stop(stop.ch) {
        return if between_digits { Joint::Bound } else { Joint::Clauses };
    }
    if is_stop(stop.ch) {
        return after_stop(&glyphs[..stop_at], stop.ch, next);
    }
    // `10 000`, `555 0199`: one number.
    if stop.ch.is_ascii_digit() && next.is_ascii_digit() {
        return Joint::Bound;
    }
    Joint::Words
}

/// The joint between `stop`, with a blank behind it, and `next`.
fn after_stop(before: &[Glyph], stop: char, next: char) -> Joint {
    let sentence = if next.is_lowercase() { Joint::Clauses } else { Joint::Sentences };
    if stop != '.' || before.last().is_none_or(|g| g.ch == '.' || g.ch == ' ') {
        return sentence;
    }
    let word_at = before.iter().rposition(|g| g.ch == ' ').map_or(0, |i| i + 1);
    let word: String = before[word_at..].iter().map(|g| g.ch).collect();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let is_initials = word.split('.').all(|part| {
        let mut letters = part.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
    });
    // Of `and/or.` or `Rolls-Royce.` the last part decides.
    let last_part = word.rsplit(['/', '-', '(', '"', '“', '‘', '—']).next().unwrap_or(word);
    let small = last_part.to_lowercase();
    let bound = is_initials
        || ABBREVIATIONS.contains(&last_part)
        || (next.is_ascii_digit() && BEFORE_NUMBERS.contains(&small.as_str()))
        || (next.is_lowercase() && BEFORE_SMALL.contains(&small.as_str()));
    if bound { Joint::Bound } else { sentence }
}
