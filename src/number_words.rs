//! Numbers as people say them in English, and the words as numbers: the one table of them for what
//! tools say, what recognisers expect to hear and what synthesisers pronounce.
//!
//! British with its "and" as running text ([`cardinal`], [`ordinal`]), American without it as single
//! words ([`cardinal_words`], [`ordinal_words`], [`year_words`]).
//!
//! Deliberately absent: what a token such as `9:30` or `$4.50` means. Each user of these words reads
//! tokens in its own way.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// Names of the powers of a thousand that are spoken here, with their values, the largest first.
const SCALES: [(&str, u64); 4] = [
    ("trillion", 1_000_000_000_000),
    ("billion", 1_000_000_000),
    ("million", 1_000_000),
    ("thousand", 1_000),
];

/// Numbers below this can be said.
pub const SAYABLE: u64 = 1_000_000_000_000_000;

/// `42` → "forty-two", `1205` → "one thousand two hundred and five". At [`SAYABLE`] or above: digits.
pub fn cardinal(number: u64) -> String {
    if number >= SAYABLE {
        return number.to_string();
    }
    let mut words = Vec::new();
    let mut rest = number;
    for (name, value) in SCALES {
        if rest >= value {
            words.push(format!("{} {name}", below_thousand(rest / value)));
            rest %= value;
        }
    }
    if rest > 0 || words.is_empty() {
        let joint = if !words.is_empty() && rest < 100 { "and " } else { "" };
        words.push(format!("{joint}{}", below_thousand(rest)));
    }
    words.join(" ")
}

fn below_thousand(number: u64) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    match (hundreds, rest) {
        (0, rest) => below_hundred(rest),
        (hundreds, 0) => format!("{} hundred", below_hundred(hundreds)),
        (hundreds, rest) => format!("{} hundred and {}", below_hundred(hundreds), below_hundred(rest)),
    }
}

fn below_hundred(number: u64) -> String {
    match (number as usize / 10, number as usize % 10) {
        (0 | 1, _) => SMALL[number as usize % SMALL.len()].to_owned(),
        (tens, 0) => TENS[tens % TENS.len()].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens % TENS.len()], SMALL[ones]),
    }
}

/// `20` → "twentieth". For days of a month and the like.
pub fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let at = words.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (before, last) = words.split_at(at);
    format!("{before}{}", ordinal_word(last))
}

/// `1205` → one, thousand, two, hundred, five. At [`SAYABLE`] or above: digit by digit.
pub fn cardinal_words(number: u64) -> Vec<&'static str> {
    if number >= SAYABLE {
        return number.to_string().chars().filter_map(digit_word).collect();
    }
    let mut words = Vec::new();
    let mut rest = number;
    for (name, value) in SCALES {
        if rest >= value {
            push_below_thousand(rest / value, &mut words);
            words.push(name);
            rest %= value;
        }
    }
    push_below_thousand(rest, &mut words);
    if words.is_empty() { vec![SMALL[0]] } else { words }
}

/// Nothing for zero.
fn push_below_thousand(number: u64, words: &mut Vec<&'static str>) {
    let (hundreds, rest) = (number as usize / 100 % 10, number as usize % 100);
    if hundreds > 0 {
        words.extend([SMALL[hundreds], "hundred"]);
    }
    match rest {
        0 => {}
        1..20 => words.push(SMALL[rest]),
        _ => {
            words.push(TENS[rest / 10]);
            words.extend((rest % 10 > 0).then(|| SMALL[rest % 10]));
        }
    }
}

/// `31` → thirty, first.
pub fn ordinal_words(number: u64) -> Vec<String> {
    let words = cardinal_words(number);
    let Some((last, before)) = words.split_last() else { return vec![] };
    before.iter().map(|word| (*word).to_owned()).chain([ordinal_word(last)]).collect()
}

/// `1987` → nineteen, eighty, seven; `1905` → nineteen, oh, five; `2005` → two, thousand, five.
pub fn year_words(year: u64) -> Vec<&'static str> {
    let (century, rest) = (year / 100, year % 100);
    if century == 0 || century >= 100 || (century.is_multiple_of(10) && rest < 10) {
        return cardinal_words(year);
    }
    let mut words = cardinal_words(century);
    match rest {
        0 => words.push("hundred"),
        1..10 => words.extend(["oh", SMALL[rest as usize]]),
        _ => words.extend(cardinal_words(rest)),
    }
    words
}

/// `7` → "seven"; `None` for what is no digit.
pub fn digit_word(digit: char) -> Option<&'static str> {
    digit.to_digit(10).and_then(|digit| SMALL.get(digit as usize).copied())
}

/// "three" → "third".
fn ordinal_word(cardinal: &str) -> String {
    match cardinal {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        other => match other.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{other}th"),
        },
    }
}

/// What a word is in a spoken number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberWord {
    /// zero … nine.
    Digit(u64),
    /// ten … nineteen.
    Teen(u64),
    /// twenty … ninety.
    Tens(u64),
    /// hundred.
    Hundred,
    /// thousand, million …
    Scale(u64),
}

/// What `word` (in small letters) is, if it belongs into a number.
pub fn number_word(word: &str) -> Option<NumberWord> {
    if word == "oh" {
        return Some(NumberWord::Digit(0));
    }
    if let Some(number) = SMALL.iter().position(|small| *small == word) {
        let number = number as u64;
        return Some(if number < 10 { NumberWord::Digit(number) } else { NumberWord::Teen(number) });
    }
    if let Some(tens) = TENS.iter().position(|tens| *tens == word && !tens.is_empty()) {
        return Some(NumberWord::Tens(tens as u64 * 10));
    }
    match word {
        "hundred" => Some(NumberWord::Hundred),
        _ => SCALES.iter().find(|(name, _)| *name == word).map(|(_, value)| NumberWord::Scale(*value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        for (number, words) in [
            (0, "zero"),
            (7, "seven"),
            (13, "thirteen"),
            (20, "twenty"),
            (42, "forty-two"),
            (100, "one hundred"),
            (101, "one hundred and one"),
            (999, "nine hundred and ninety-nine"),
            (1_000, "one thousand"),
            (1_005, "one thousand and five"),
            (1_205, "one thousand two hundred and five"),
            (20_000_001, "twenty million and one"),
            (2_000_300_000, "two billion three hundred thousand"),
            (SAYABLE, "1000000000000000"),
        ] {
            assert_eq!(cardinal(number), words);
        }
    }

    #[test]
    fn single_words_have_no_and() {
        for (number, words) in [
            (0, "zero"),
            (14, "fourteen"),
            (45, "forty five"),
            (250, "two hundred fifty"),
            (1_205, "one thousand two hundred five"),
            (12_000_030, "twelve million thirty"),
            (SAYABLE, "one zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero"),
        ] {
            assert_eq!(cardinal_words(number).join(" "), words);
        }
        assert_eq!(ordinal_words(31).join(" "), "thirty first");
        assert_eq!(ordinal_words(100).join(" "), "one hundredth");
    }

    #[test]
    fn years_are_said_in_two_halves() {
        for (year, words) in [
            (1987, "nineteen eighty seven"),
            (1905, "nineteen oh five"),
            (1800, "eighteen hundred"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2024, "twenty twenty four"),
            (850, "eight fifty"),
            (64, "sixty four"),
        ] {
            assert_eq!(year_words(year).join(" "), words);
        }
    }

    #[test]
    fn days_of_a_month_are_said_as_people_say_them() {
        let days = [1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 19, 20, 21, 22, 23, 30, 31].map(ordinal);
        let expected = [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "eighth",
            "ninth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "nineteenth",
            "twentieth",
            "twenty-first",
            "twenty-second",
            "twenty-third",
            "thirtieth",
            "thirty-first",
        ];
        assert_eq!(days, expected);
    }
}
