//! Cuts a word at capitals, digits and signs: `iPhone15` → i, Phone, 15.
//!
//! Reference: `SUBTOKEN_REGEX` of misaki 0.9.4, whose alternatives these are, in their order.

/// The pieces of a word without spaces. Signs that belong to none are left out.
pub fn split(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut pieces = vec![];
    let mut at = 0;
    while at < chars.len() {
        match piece_len(&chars, at) {
            0 => at += 1,
            len => {
                pieces.push(chars[at..at + len].iter().collect());
                at += len;
            }
        }
    }
    pieces
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '‘' | '’')
}

fn run(chars: &[char], accept: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|c| accept(**c)).count()
}

fn piece_len(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let second = rest.get(1).copied();
    let Some(&first) = rest.first() else { return 0 };
    let quotes = run(rest, is_quote);
    if quotes > 0 && (at == 0 || quotes > 1 || quotes == rest.len()) {
        return quotes;
    }
    if quotes > 0 {
        return 0;
    }
    let third = rest.get(2).copied();
    if first.is_uppercase() && second.is_some_and(char::is_uppercase) && third.is_some_and(char::is_lowercase)
    {
        return 1;
    }
    let sign = usize::from(at == 0 && first == '-');
    let digits = number_len(&rest[sign..]);
    if digits > 0 {
        return sign + digits;
    }
    let dashes = run(rest, |c| matches!(c, '-' | '_'));
    if dashes > 0 {
        return dashes;
    }
    if !first.is_alphabetic() {
        return 1;
    }
    hump_len(rest).unwrap_or_else(|| letters_len(rest))
}

/// Digits with single commas and points before digits.
fn number_len(chars: &[char]) -> usize {
    let digit = |at: usize| chars.get(at).is_some_and(|c| c.is_ascii_digit());
    let mut len = 0;
    loop {
        if digit(len) {
            len += 1;
        } else if matches!(chars.get(len), Some(',' | '.')) && digit(len + 1) {
            len += 2;
        } else {
            return len;
        }
    }
}

/// Letters, then single letters behind quotes: `rock'n`.
fn letters_len(chars: &[char]) -> usize {
    let mut len = run(chars, char::is_alphabetic);
    while chars.get(len).copied().is_some_and(is_quote)
        && chars.get(len + 1).is_some_and(|c| c.is_alphabetic())
    {
        len += 2;
    }
    len
}

/// Up to the first small letter before a capital.
fn hump_len(chars: &[char]) -> Option<usize> {
    let longest = letters_len(chars);
    let is_hump = |&at: &usize| {
        chars[at - 1].is_lowercase() && chars.get(at).is_some_and(|c| c.is_uppercase()) && at <= longest
    };
    (1..=longest).find(is_hump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_misaki_cuts_them() {
        for (word, pieces) in [
            ("hello", "hello"),
            ("don't", "don't"),
            ("iPhone15", "i Phone 15"),
            ("JSONFile", "JSONFile"),
            ("MacBook", "Mac Book"),
            ("B2B", "B 2 B"),
            ("1,234.50", "1,234.50"),
            ("-5", "-5"),
            ("10-20", "10 - 20"),
            ("COVID-19", "COVID - 19"),
            ("v2.5", "v 2.5"),
            ("snake_case", "snake _ case"),
            ("'tis", "' tis"),
            ("dogs'", "dogs '"),
            ("50%", "50 %"),
            (".5", ".5"),
        ] {
            assert_eq!(split(word).join(" "), pieces, "{word}");
        }
    }
}
