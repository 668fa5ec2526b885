//! Numbers as people say them in English: cardinals and ordinals, as words.

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
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        last => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    format!("{before}{last}")
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
