//! The tool `calculate`: small sums, in digits or in words, exactly.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = signed (("*" | "/") signed)*
//! signed  = ("-" | "+")* value
//! value   = number | "(" sum ")"
//! ```
//!
//! Numbers are fractions of 128-bit integers: nothing is rounded before the result is shown, and what
//! does not fit is an error. Deliberately absent: powers, roots, percentages, units and variables.

mod lexer;

use serde::Serialize;

use self::lexer::{Token, tokens};
use super::{Answer, told};
use crate::number_words::{SAYABLE, cardinal};

/// Longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 500;
/// Brackets and signs inside each other.
const MAX_DEPTH: u32 = 50;
/// Decimals of the result in digits, and of the spoken one: nobody follows more of them by ear.
const RESULT_DECIMALS: u32 = 6;
const SPOKEN_DECIMALS: u32 = 3;

/// What the model reads. The order of the keys is part of the format: small models learn it by heart.
#[derive(Debug, Serialize)]
struct Told {
    result: String,
    spoken: String,
}

/// Works out `expression`.
pub fn answer(expression: &str) -> Answer {
    match worked_out(expression) {
        Ok(told) => Answer::new(told::json(&told), &told.result),
        Err(complaint) => Answer::error(&complaint),
    }
}

fn worked_out(expression: &str) -> Result<Told, String> {
    if expression.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("the expression is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let mut parser = Parser { tokens: tokens(expression)?, at: 0, depth: 0 };
    let value = parser.sum()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Told { result: value.in_digits(RESULT_DECIMALS)?.text, spoken: value.spoken()? }),
        Some(token) => Err(format!("{token} is not expected there")),
    }
}

/// A fraction in lowest terms; the denominator is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    over: i128,
    under: i128,
}

/// A decimal number as text.
struct Digits {
    text: String,
    /// It is rounded.
    rounded: bool,
}

impl Fraction {
    fn new(over: i128, under: i128) -> Result<Fraction, String> {
        if under == 0 {
            return Err("division by zero".to_owned());
        }
        let (mut a, mut b) = (over.unsigned_abs(), under.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = i128::try_from(a).map_err(|_| too_large())?.max(1);
        let sign = under.signum();
        let over = (over / divisor).checked_mul(sign).ok_or_else(too_large)?;
        Ok(Fraction { over, under: (under / divisor).checked_mul(sign).ok_or_else(too_large)? })
    }

    fn plus(self, other: Fraction) -> Result<Fraction, String> {
        let left = self.over.checked_mul(other.under).ok_or_else(too_large)?;
        let right = other.over.checked_mul(self.under).ok_or_else(too_large)?;
        let under = self.under.checked_mul(other.under).ok_or_else(too_large)?;
        Fraction::new(left.checked_add(right).ok_or_else(too_large)?, under)
    }

    fn times(self, other: Fraction) -> Result<Fraction, String> {
        let over = self.over.checked_mul(other.over).ok_or_else(too_large)?;
        Fraction::new(over, self.under.checked_mul(other.under).ok_or_else(too_large)?)
    }

    fn negated(self) -> Result<Fraction, String> {
        Ok(Fraction { over: self.over.checked_neg().ok_or_else(too_large)?, ..self })
    }

    fn inverted(self) -> Result<Fraction, String> {
        Fraction::new(self.under, self.over)
    }

    /// Rounded half away from zero to so many decimals, without zeros at the end.
    fn in_digits(self, decimals: u32) -> Result<Digits, String> {
        let scale = 10_u128.pow(decimals);
        let (over, under) = (self.over.unsigned_abs(), self.under.unsigned_abs());
        let scaled = over.checked_mul(scale).ok_or_else(too_large)?;
        let rest = scaled % under;
        let number = scaled / under + u128::from(rest >= under - rest);
        let fraction = format!("{:0width$}", number % scale, width = decimals as usize);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.over < 0 && number > 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Ok(Digits { text: format!("{sign}{}{point}{fraction}", number / scale), rounded: rest != 0 })
    }

    fn spoken(self) -> Result<String, String> {
        let Digits { text, rounded } = self.in_digits(SPOKEN_DECIMALS)?;
        let about = if rounded { "about " } else { "" };
        let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |text| ("minus ", text));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let whole = whole.parse::<u64>().ok().filter(|whole| *whole < SAYABLE).ok_or_else(too_large)?;
        let mut spoken = format!("{about}{sign}{}", told::spoken(&cardinal(whole)));
        if !decimals.is_empty() {
            spoken.push_str(" point");
        }
        for digit in decimals.chars().filter_map(|digit| digit.to_digit(10)) {
            spoken.push(' ');
            spoken.push_str(&cardinal(digit.into()));
        }
        Ok(spoken)
    }
}

fn too_large() -> String {
    "the numbers are too large".to_owned()
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl Parser {
    /// Takes the next token if it is one of these.
    fn take(&mut self, wanted: &[Token]) -> Option<Token> {
        let token = self.tokens.get(self.at).filter(|token| wanted.contains(token))?.clone();
        self.at += 1;
        Some(token)
    }

    fn sum(&mut self) -> Result<Fraction, String> {
        let mut sum = self.product()?;
        while let Some(sign) = self.take(&[Token::Plus, Token::Minus]) {
            let next = self.product()?;
            sum = sum.plus(if sign == Token::Minus { next.negated()? } else { next })?;
        }
        Ok(sum)
    }

    fn product(&mut self) -> Result<Fraction, String> {
        let mut product = self.signed()?;
        while let Some(sign) = self.take(&[Token::Times, Token::Over]) {
            let next = self.signed()?;
            product = product.times(if sign == Token::Over { next.inverted()? } else { next })?;
        }
        Ok(product)
    }

    fn signed(&mut self) -> Result<Fraction, String> {
        let mut negative = false;
        while let Some(sign) = self.take(&[Token::Plus, Token::Minus]) {
            negative ^= sign == Token::Minus;
        }
        let value = self.value()?;
        if negative { value.negated() } else { Ok(value) }
    }

    fn value(&mut self) -> Result<Fraction, String> {
        if self.take(&[Token::Open]).is_some() {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err("too many brackets".to_owned());
            }
            let sum = self.sum()?;
            self.depth -= 1;
            self.take(&[Token::Close]).ok_or("a bracket is not closed")?;
            return Ok(sum);
        }
        match self.tokens.get(self.at) {
            Some(Token::Number { over, under }) => {
                self.at += 1;
                Fraction::new(*over, *under)
            }
            Some(token) => Err(format!("a number is expected before {token}")),
            None => Err("a number is missing at the end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(expression: &str, result: &str, spoken: &str) {
        let expected = format!(r#"{{"result": "{result}", "spoken": "{spoken}"}}"#);
        assert_eq!(answer(expression).content, expected, "{expression}");
    }

    #[test]
    fn sums_in_words_and_digits_are_worked_out() {
        check("seven plus four", "11", "eleven");
        check("What is seven plus four?", "11", "eleven");
        check("2 + 3 * 4", "14", "fourteen");
        check("(2 + 3) × 4", "20", "twenty");
        check("20 minus 35", "-15", "minus fifteen");
        check("minus three times minus four", "12", "twelve");
        check("twenty-one multiplied by two", "42", "forty two");
        check("one hundred and five divided by five", "21", "twenty one");
        check("a hundred over 8", "12.5", "twelve point five");
        check("two thousand three hundred and forty plus 1,660", "4000", "four thousand");
        check("three point one four times two", "6.28", "six point two eight");
        check(
            "one million minus one",
            "999999",
            "nine hundred and ninety nine thousand nine hundred and ninety nine",
        );
        check("10 ÷ 3", "3.333333", "about three point three three three");
        check("2 / 3", "0.666667", "about zero point six six seven");
        check("1/3 + 2/3", "1", "one");
        check("0.1 + 0.2", "0.3", "zero point three");
        check("0 - 0.0000001", "0", "about zero");
        check("8 / 2 / 2 =", "2", "two");
        check("7 x 6", "42", "forty two");
        check("- (3 - 5)", "2", "two");
    }

    #[test]
    fn what_cannot_be_worked_out_says_why() {
        for (expression, complaint) in [
            ("five divided by zero", "division by zero"),
            ("", "a number is missing at the end"),
            ("seven plus", "a number is missing at the end"),
            ("plus times two", "a number is expected before times"),
            ("two two", "a number is not expected there"),
            ("(1 + 2", "a bracket is not closed"),
            ("1 + 2)", "a closing bracket is not expected there"),
            (
                "the answer to everything",
                "\\\"answer\\\" is not understood; use numbers, plus, minus, times, divided by and brackets",
            ),
            ("1.2.3", "\\\"1.2.3\\\" is no number"),
            ("9999999999999999 * 1", "the numbers are too large"),
        ] {
            let found = answer(expression);
            assert_eq!(found.content, format!(r#"{{"error": "{complaint}"}}"#), "{expression}");
            assert!(found.failed);
        }
        assert!(answer(&"(".repeat(400)).content.contains("too many brackets"));
        assert!(answer(&"1+".repeat(400)).content.contains("longer than 500"));
        assert!(answer(&"99999999 * ".repeat(20)).failed);
    }

    proptest! {
        #[test]
        fn words_and_digits_mean_the_same(left in 0_u64..100_000, right in 0_u64..100_000, operation in 0_usize..4) {
            let (word, sign) = [("plus", "+"), ("minus", "-"), ("times", "*"), ("divided by", "/")][operation];
            let spoken = answer(&format!("{} {word} {}", cardinal(left), cardinal(right)));
            prop_assert_eq!(&spoken, &answer(&format!("{left}{sign}{right}")));
            let expected = match operation {
                0 => left as i64 + right as i64,
                1 => left as i64 - right as i64,
                2 => (left * right) as i64,
                _ => return Ok(()),
            };
            prop_assert_eq!(spoken.summary, expected.to_string());
        }

        #[test]
        fn a_result_said_is_a_result_understood(number in 0_u64..SAYABLE, decimals in 0_u32..1_000) {
            let told = worked_out(&format!("{number}.{decimals:03}")).unwrap();
            let again = worked_out(&told.spoken).unwrap();
            prop_assert_eq!(again.result, told.result);
        }

        #[test]
        fn nothing_makes_it_panic(expression in "[0-9a-z +*/().,×÷-]{0,60}|.{0,40}") {
            let _ = answer(&expression);
        }

        #[test]
        fn nor_do_operators_and_numbers_in_any_order(
            words in prop::collection::vec(
                prop_oneof![
                    Just("plus"), Just("minus"), Just("times"), Just("over"), Just("("), Just(")"), Just("-"),
                    Just("seven"), Just("hundred"), Just("billion"), Just("point"), Just("3.5"), Just("and"),
                    Just("99999999999999999999999999999999999999"), Just("0"),
                ],
                0..30,
            )
        ) {
            let _ = answer(&words.join(" "));
        }
    }
}
