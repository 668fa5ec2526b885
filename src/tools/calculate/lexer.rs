//! An expression as somebody wrote or said it → numbers and signs.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::too_large;
use crate::number_words::{NumberWord, number_word};

/// Words in front of and behind a sum that mean nothing.
const POLITE: [&str; 12] =
    ["what", "what's", "is", "whats", "calculate", "please", "equals", "equal", "how", "much", "the", "sum"];

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A fraction: `3.5` is 35 over 10.
    Number {
        over: i128,
        under: i128,
    },
    Plus,
    Minus,
    Times,
    Over,
    Open,
    Close,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Number { .. } => "a number",
            Token::Plus => "plus",
            Token::Minus => "minus",
            Token::Times => "times",
            Token::Over => "divided by",
            Token::Open => "an opening bracket",
            Token::Close => "a closing bracket",
        })
    }
}

/// The tokens of `expression`. The error is for the model.
pub fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut words = split(expression).into_iter().peekable();
    let mut tokens = Vec::new();
    while let Some(word) = words.peek() {
        let sign = match word.as_str() {
            "+" | "plus" => Some(Token::Plus),
            "-" | "minus" | "negative" => Some(Token::Minus),
            "*" | "x" | "times" => Some(Token::Times),
            "/" | "over" => Some(Token::Over),
            "(" => Some(Token::Open),
            ")" => Some(Token::Close),
            _ => None,
        };
        if let Some(sign) = sign {
            words.next();
            tokens.push(sign);
        } else if matches!(word.as_str(), "multiplied" | "divided") {
            let sign = if word == "divided" { Token::Over } else { Token::Times };
            words.next();
            words.next_if(|next| next == "by");
            tokens.push(sign);
        } else if POLITE.contains(&word.as_str()) {
            words.next();
        } else {
            tokens.push(number(&mut words)?);
        }
    }
    Ok(tokens)
}

/// Words, numbers in digits, and signs, in small letters. A hyphen inside a word joins a number
/// (twenty-one), elsewhere it is a minus.
fn split(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = String::new();
    let mut characters = expression.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let after_letter = open.chars().next_back().is_some_and(char::is_alphabetic);
        let after_digit = open.chars().next_back().is_some_and(|last| last.is_ascii_digit());
        match c {
            // `2x3`: a number ends where a word begins, and the other way round.
            _ if c.is_alphanumeric()
                && open
                    .chars()
                    .next_back()
                    .is_none_or(|last| last.is_ascii_digit() == c.is_ascii_digit() || last == '.') =>
            {
                open.extend(c.to_lowercase());
            }
            _ if c.is_alphanumeric() => {
                words.push(std::mem::replace(&mut open, c.to_lowercase().collect()));
            }
            '\'' | '’' if after_letter => open.push('\''),
            '.' if next.is_ascii_digit() => open.push('.'),
            ',' if after_digit && next.is_ascii_digit() => {}
            _ => {
                words.push(std::mem::take(&mut open));
                match c {
                    '-' | '–' | '−' if after_letter && next.is_alphabetic() => {}
                    '-' | '–' | '−' => words.push("-".to_owned()),
                    '×' | '·' => words.push("*".to_owned()),
                    '÷' | ':' => words.push("/".to_owned()),
                    '+' | '*' | '/' | '(' | ')' => words.push(c.to_string()),
                    ' ' | '.' | ',' | '?' | '!' | '=' => {}
                    _ if c.is_whitespace() => {}
                    other => words.push(other.to_string()),
                }
            }
        }
    }
    words.push(open);
    words.retain(|word| !word.is_empty());
    words
}

/// A number in digits or words, with what is behind its point.
fn number(words: &mut Peekable<IntoIter<String>>) -> Result<Token, String> {
    let in_digits = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
    let (mut over, mut under) = match in_digits {
        Some(digits) => decimal(&digits)?,
        None => (in_words(words)?, 1),
    };
    if words.next_if(|word| word == "point").is_some() {
        let mut any = false;
        loop {
            let digit = words.next_if(|word| {
                matches!(number_word(word), Some(NumberWord::Digit(_)))
                    || word.parse::<u8>().is_ok_and(|n| n < 10)
            });
            let Some(digit) = digit else { break };
            let value = match number_word(&digit) {
                Some(NumberWord::Digit(value)) => i128::from(value),
                _ => digit.parse().unwrap_or(0),
            };
            over = over.checked_mul(10).and_then(|over| over.checked_add(value)).ok_or_else(too_large)?;
            under = under.checked_mul(10).ok_or_else(too_large)?;
            any = true;
        }
        if !any {
            return Err("a digit is missing behind the point".to_owned());
        }
    }
    Ok(Token::Number { over, under })
}

/// `3.5` → 35 over 10.
fn decimal(digits: &str) -> Result<(i128, i128), String> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') {
        return Err(format!("{digits:?} is no number"));
    }
    let over = format!("{whole}{fraction}").parse().map_err(|_| too_large())?;
    let under = 10_i128.checked_pow(fraction.len() as u32).ok_or_else(too_large)?;
    Ok((over, under))
}

/// `two thousand three hundred and five`. Each group ends with its scale, each scale smaller than the
/// one before.
fn in_words(words: &mut Peekable<IntoIter<String>>) -> Result<i128, String> {
    let (mut total, mut group) = (0_i128, None::<u64>);
    let mut smallest_scale = u64::MAX;
    loop {
        let fits = |word: &String| match (number_word(word), group) {
            (Some(NumberWord::Digit(_)), None) => true,
            // Twenty one; a hundred and one.
            (Some(NumberWord::Digit(digit)), Some(group)) => {
                digit > 0 && group % 10 == 0 && group % 100 != 10 && group > 0
            }
            (Some(NumberWord::Teen(_) | NumberWord::Tens(_)), None) => true,
            (Some(NumberWord::Teen(_) | NumberWord::Tens(_)), Some(group)) => group % 100 == 0 && group > 0,
            (Some(NumberWord::Hundred), Some(group)) => (1..100).contains(&group),
            (Some(NumberWord::Scale(scale)), Some(group)) => group > 0 && scale < smallest_scale,
            (Some(NumberWord::Hundred | NumberWord::Scale(_)) | None, _) => false,
        };
        let Some(word) = words.next_if(fits) else {
            let begun = group.is_some() || total > 0;
            match words.peek().map(String::as_str) {
                Some("a") if !begun => {
                    words.next();
                    group = Some(1);
                    continue;
                }
                // "and" inside a number; anything else behind it is looked at in the next round.
                Some("and") if begun => {
                    words.next();
                    continue;
                }
                Some(word) if !begun => {
                    return Err(format!(
                        "{word:?} is not understood; use numbers, plus, minus, times, divided by and brackets"
                    ));
                }
                _ => return Ok(total + i128::from(group.unwrap_or(0))),
            }
        };
        match number_word(&word) {
            Some(NumberWord::Digit(value) | NumberWord::Teen(value) | NumberWord::Tens(value)) => {
                group = Some(group.unwrap_or(0) + value);
            }
            Some(NumberWord::Hundred) => group = group.map(|group| group * 100),
            Some(NumberWord::Scale(scale)) => {
                total += i128::from(group.take().unwrap_or(1)) * i128::from(scale);
                smallest_scale = scale;
            }
            None => {}
        }
    }
}
