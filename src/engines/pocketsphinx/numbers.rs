//! Numbers as they are said in English: `9:30` → nine thirty, `4.50` → four fifty, `2nd` → second.
//!
//! One reading each, the one that a visitor is likeliest to use at a desk. Not here: currencies (a word
//! of their own before or behind the number), Roman numerals, fractions.

use crate::number_words::{cardinal_words, digit_word, ordinal_words};

/// The words of a token that begins with a digit, such as `12`, `9:30`, `4.50`, `1,000`, `2nd` or `12b`;
/// letters that do not belong to a number come one by one. `None` if there is another sign in it.
pub fn say(token: &str) -> Option<Vec<String>> {
    let digits_len = token.find(|c: char| !(c.is_ascii_digit() || ",.:-".contains(c))).unwrap_or(token.len());
    let (digits, letters) = token.split_at(digits_len);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !letters.bytes().all(|b| b.is_ascii_alphabetic())
    {
        return None;
    }
    let letters = letters.to_ascii_lowercase();
    if let Some(number) = integer(digits) {
        return Some(match letters.as_str() {
            "st" | "nd" | "rd" | "th" => ordinal_words(u64::from(number)),
            _ => cardinal(number).into_iter().chain(one_by_one(&letters)).collect(),
        });
    }
    let mut words = vec![];
    for part in digits.split('-').filter(|part| !part.is_empty()) {
        words.extend(compound(part));
    }
    words.extend(one_by_one(&letters));
    Some(words)
}

/// The words of a whole number.
pub fn cardinal(number: u32) -> Vec<String> {
    cardinal_words(u64::from(number)).into_iter().map(str::to_owned).collect()
}

/// A plain whole number: of digits alone, or with commas between thousands.
fn integer(digits: &str) -> Option<u32> {
    let groups: Vec<&str> = digits.split(',').collect();
    let is_group = |group: &&str| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit());
    if groups.len() > 1 && !groups[1..].iter().all(is_group) {
        return None;
    }
    let joined = groups.concat();
    // Longer ones, and those with a zero in front, are read digit by digit.
    let plain = joined.len() <= 4 || (groups.len() > 1 && joined.len() <= 9);
    if !plain || (joined.len() > 1 && joined.starts_with('0')) {
        return None;
    }
    // Years are said in two halves.
    joined.parse().ok().filter(|&n| groups.len() > 1 || !(1_100..2_000).contains(&n) || n % 1_000 == 0)
}

/// Something made of two numbers (a time, a price, a year), else digit by digit.
fn compound(part: &str) -> Vec<String> {
    let two = |text: &str| -> Option<u32> { text.parse().ok().filter(|_| text.len() <= 2) };
    if let Some((whole, rest)) = part.split_once([':', '.']) {
        if let (Ok(whole), Some(rest), 2) = (whole.parse::<u32>(), two(rest), rest.len()) {
            let mut words = cardinal(whole);
            match (rest, part.contains(':')) {
                (0, _) => {}
                (1..10, true) => {
                    words.push("oh".into());
                    words.extend(cardinal(rest));
                }
                _ => words.extend(cardinal(rest)),
            }
            return words;
        }
        let mut words = one_by_one_or_number(whole);
        words.push("point".into());
        words.extend(one_by_one(rest));
        return words;
    }
    if part.len() == 4
        && !part.starts_with('0')
        && let (Some(century), Some(year)) = (two(&part[..2]), two(&part[2..]))
    {
        let mut words = cardinal(century);
        match year {
            0 => words.push("hundred".into()),
            1..10 => {
                words.push("oh".into());
                words.extend(cardinal(year));
            }
            _ => words.extend(cardinal(year)),
        }
        return words;
    }
    one_by_one_or_number(part)
}

fn one_by_one_or_number(digits: &str) -> Vec<String> {
    match digits.parse::<u32>() {
        Ok(number) if digits.len() <= 3 && !(digits.len() > 1 && digits.starts_with('0')) => cardinal(number),
        _ => one_by_one(digits),
    }
}

/// Digits and letters, one word each.
fn one_by_one(text: &str) -> Vec<String> {
    let word = |c: char| digit_word(c).map_or(c.to_string(), str::to_owned);
    text.chars().filter(char::is_ascii_alphanumeric).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_at_a_desk() {
        for (token, words) in [
            ("0", "zero"),
            ("12", "twelve"),
            ("45", "forty five"),
            ("300", "three hundred"),
            ("250", "two hundred fifty"),
            ("1,000", "one thousand"),
            ("12,500", "twelve thousand five hundred"),
            ("2000", "two thousand"),
            ("2024", "two thousand twenty four"),
            ("1987", "nineteen eighty seven"),
            ("1905", "nineteen oh five"),
            ("1800", "eighteen hundred"),
            ("9:30", "nine thirty"),
            ("9:05", "nine oh five"),
            ("10:00", "ten"),
            ("9.30", "nine thirty"),
            ("4.50", "four fifty"),
            ("3.5", "three point five"),
            ("0.75", "zero seventy five"),
            ("9-17", "nine seventeen"),
            ("9:00-17:30", "nine seventeen thirty"),
            ("555-0199", "five hundred fifty five zero one nine nine"),
            ("0441234", "zero four four one two three four"),
            ("1st", "first"),
            ("2nd", "second"),
            ("20th", "twentieth"),
            ("31st", "thirty first"),
            ("12b", "twelve b"),
            ("9am", "nine a m"),
        ] {
            assert_eq!(say(token).map(|w| w.join(" ")).as_deref(), Some(words), "{token}");
        }
        for token in ["", "b12", "a", "12%", "9:30é"] {
            assert_eq!(say(token), None, "{token}");
        }
    }

    #[test]
    fn any_run_of_digits_and_signs_is_said_in_words() {
        for token in
            ["9:", "1,", "1,2,3", "99999999999999999999", "4294967296", "1::2", "1.2.3.4", "5--", "00"]
        {
            let words = say(token).unwrap_or_default();
            assert!(!words.is_empty(), "{token}");
            assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase())), "{token}: {words:?}");
        }
    }
}
