//! Any text → the tokens that flite can speak, each with the bytes it came from.
//!
//! flite reads ASCII words between spaces. What it would stumble over is replaced (typographic
//! quotes, accented Latin letters, a few symbols that have a spoken word) or dropped (other scripts,
//! emoji, markdown). Punctuation is kept where it means a pause, one mark behind a word. Not here:
//! making numbers, dates and abbreviations speakable, which flite does itself.

use std::ops::Range;

/// Longest token in bytes. flite recurses once per character of a token that mixes letters and signs,
/// and has buffers of fixed size for the punctuation around one.
const MAX_TOKEN_BYTES: usize = 40;

/// One word for flite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// ASCII without spaces, with at least one letter or digit, and at most one mark behind it.
    pub ascii: String,
    /// Bytes of the given text that it stands for. Tokens do not overlap and are in order; together
    /// they cover every run of non-spaces that has something to say.
    pub source: Range<usize>,
}

impl Token {
    /// A full stop, a question mark or an exclamation mark stands behind it.
    pub fn ends_sentence(&self) -> bool {
        self.ascii.ends_with(['.', '?', '!'])
    }
}

/// The speakable tokens of `text`; none if there is nothing to say.
pub fn clean(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = vec![];
    let mut rest = 0;
    for run in text.split_whitespace() {
        // `split_whitespace` gives slices of `text` in order; find this one's position again.
        let start = rest + text[rest..].find(run).unwrap_or(0);
        rest = start + run.len();
        clean_run(run, start, &mut tokens);
    }
    tokens
}

/// What a character means to flite.
enum Piece {
    /// Part of a token.
    Part(char),
    /// Part of a token, as several letters.
    Parts(&'static str),
    /// A token of its own.
    Word(&'static str),
    /// The end of a token, with this mark behind it.
    Pause(char),
    /// The end of a token.
    Break,
    /// Nothing.
    Skip,
}

/// One run of non-spaces, at `start` of the text.
fn clean_run(run: &str, start: usize, tokens: &mut Vec<Token>) {
    let first = tokens.len();
    let mut open: Option<Token> = None;
    let chars: Vec<(usize, char)> = run.char_indices().map(|(at, c)| (start + at, plain(c))).collect();
    for (n, &(at, c)) in chars.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| chars[n].1);
        let after = chars.get(n + 1).map(|(_, c)| *c);
        let piece = piece(before, c, after);
        if matches!(piece, Piece::Pause(_) | Piece::Break | Piece::Word(_))
            || open.as_ref().is_some_and(|token| token.ascii.len() >= MAX_TOKEN_BYTES)
        {
            close(&mut open, tokens);
        }
        let token = || Token { ascii: String::new(), source: at..at };
        match piece {
            Piece::Part(c) => open.get_or_insert_with(token).ascii.push(c),
            Piece::Parts(letters) => open.get_or_insert_with(token).ascii.push_str(letters),
            Piece::Word(word) => tokens.push(Token { ascii: word.into(), ..token() }),
            Piece::Pause(mark) => add_mark(tokens, mark),
            Piece::Break | Piece::Skip => {}
        }
    }
    close(&mut open, tokens);
    // The tokens of a run share its bytes out among themselves, with all that is not spoken.
    let ends: Vec<usize> =
        tokens[first..].iter().skip(1).map(|t| t.source.start).chain([start + run.len()]).collect();
    for (token, end) in tokens[first..].iter_mut().zip(ends) {
        token.source.end = end;
    }
    if let Some(token) = tokens.get_mut(first) {
        token.source.start = start;
    }
}

/// Keeps an open token if it can be spoken.
fn close(open: &mut Option<Token>, tokens: &mut Vec<Token>) {
    let Some(mut token) = open.take() else { return };
    let core = token.ascii.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let core = core.trim_start_matches(['\'', '/']);
    if core.bytes().any(|b| b.is_ascii_alphanumeric()) {
        token.ascii = core.into();
        tokens.push(token);
    }
}

/// Puts a mark behind the last token; a mark that ends a sentence replaces one that does not.
fn add_mark(tokens: &mut [Token], mark: char) {
    let Some(last) = tokens.last_mut() else { return };
    if !last.ascii.ends_with([',', ':', ';', '.', '?', '!']) {
        last.ascii.push(mark);
    } else if !last.ends_sentence() && ['.', '?', '!'].contains(&mark) {
        last.ascii.pop();
        last.ascii.push(mark);
    }
}

/// The ASCII form of a character that only looks different, else the character.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '‘' | '’' | 'ʼ' | '′' | '`' | '´' => '\'',
        '‐' | '‑' | '−' => '-',
        _ => c,
    }
}

fn piece(before: Option<char>, c: char, after: Option<char>) -> Piece {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic() || without_accent(c).is_some());
    let word = |c: Option<char>| digit(c) || letter(c);
    match c {
        _ if c.is_ascii_alphanumeric() => Piece::Part(c),
        '\'' if word(before) && word(after) => Piece::Part(c),
        '.' if word(after) => Piece::Part(c),
        '-' if word(after) && (word(before) || digit(after)) => Piece::Part(c),
        '/' if word(before) && word(after) => Piece::Part(c),
        ',' | ':' if digit(before) && digit(after) => Piece::Part(c),
        '$' if digit(after) => Piece::Part(c),
        '–' if digit(before) && digit(after) => Piece::Part('-'),
        '.' | '?' | '!' | ',' | ':' | ';' => Piece::Pause(c),
        '…' => Piece::Pause('.'),
        '(' | ')' | '–' | '—' => Piece::Pause(','),
        '-' if before == Some('-') => Piece::Pause(','),
        '%' => Piece::Word("percent"),
        '&' => Piece::Word("and"),
        '+' => Piece::Word("plus"),
        '=' => Piece::Word("equals"),
        '@' => Piece::Word("at"),
        '#' if digit(after) => Piece::Word("number"),
        '€' => Piece::Word("euros"),
        '£' => Piece::Word("pounds"),
        '¥' => Piece::Word("yen"),
        '¢' => Piece::Word("cents"),
        '°' => Piece::Word("degrees"),
        '×' => Piece::Word("times"),
        '÷' => Piece::Word("over"),
        '½' => Piece::Word("1/2"),
        '¼' => Piece::Word("1/4"),
        '¾' => Piece::Word("3/4"),
        // Combining accents, joiners and other marks that belong to the letter before.
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{ad}' | '\u{feff}' => Piece::Skip,
        _ => without_accent(c).map_or(Piece::Break, Piece::Parts),
    }
}

/// An accented Latin letter (Latin-1, Latin Extended-A) as what is left without the accent.
fn without_accent(c: char) -> Option<&'static str> {
    Some(match c {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'Æ' => "AE",
        'æ' => "ae",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ð' | 'Ď' | 'Đ' => "D",
        'ð' | 'ď' | 'đ' => "d",
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĥ' | 'Ħ' => "H",
        'ĥ' | 'ħ' => "h",
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'Ĵ' => "J",
        'ĵ' => "j",
        'Ķ' => "K",
        'ķ' => "k",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' => "S",
        'ś' | 'ŝ' | 'ş' | 'š' => "s",
        'ß' => "ss",
        'Ţ' | 'Ť' | 'Ŧ' => "T",
        'ţ' | 'ť' | 'ŧ' => "t",
        'Þ' => "Th",
        'þ' => "th",
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'Ŵ' => "W",
        'ŵ' => "w",
        'Ý' | 'Ŷ' | 'Ÿ' => "Y",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    /// Each token as flite gets it, and in brackets what it stands for where that differs.
    fn check(text: &str, want: Expect) {
        let shown: Vec<String> = clean(text)
            .into_iter()
            .map(|t| match &text[t.source.clone()] {
                same if same == t.ascii => t.ascii,
                other => format!("{}[{other}]", t.ascii),
            })
            .collect();
        want.assert_eq(&shown.join(" "));
    }

    #[test]
    fn plain_english_stays_as_it_is() {
        check(
            "What's 3.5 plus 1,000? It's 10:30, well-known and/or $5.20!",
            expect!["What's 3.5 plus 1,000? It's 10:30, well-known and/or $5.20!"],
        );
        check("Dr. Smith, e.g. the U.S. one; no: -5", expect!["Dr. Smith, e.g. the U.S. one; no: -5"]);
    }

    #[test]
    fn typography_becomes_ascii() {
        check("“It’s ‘fine’,” she said…", expect!["It's[“It’s] fine,[‘fine’,”] she said.[said…]"]);
        check("yes—no – maybe -- so", expect!["yes,[yes—] no,[no] maybe,[maybe] so"]);
        check("1990–2000 −5 (why?) Ｈｉ", expect!["1990-2000[1990–2000] -5,[−5] why?[(why?)] Hi[Ｈｉ]"]);
        check("wait...! what?! ,ok", expect!["wait.[wait...!] what?[what?!] ok[,ok]"]);
    }

    #[test]
    fn accents_fall_off_and_other_scripts_out() {
        check(
            "Café Łódź naïve e\u{301}tude Straße",
            expect!["Cafe[Café] Lodz[Łódź] naive[naïve] etude[étude] Strasse[Straße]"],
        );
        check("Hello 世界 привет 😀 you👍", expect!["Hello you[you👍]"]);
        check(
            "5€ 20°C 3½ 50% AT&T C++ a@b.com #1",
            expect![
                "5 euros[€] 20 degrees[°] C 3 1/2[½] 50 percent[%] AT and[&] T C plus[+] plus[+] a at[@] b.com number[#] 1"
            ],
        );
    }

    #[test]
    fn markdown_is_not_spoken() {
        check(
            "**bold** _it_ `code_x` ~~no~~ # Title",
            expect!["bold[**bold**] it[_it_] code[`code_] x[x`] no[~~no~~] Title"],
        );
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        for text in
            ["", "  \n\t", "...", "?!", "— – -", "\"'`", "世界", "😀 😀", "* _ # $", "\u{200b}", "()", "'-/."]
        {
            assert_eq!(clean(text), [], "{text:?}");
        }
    }

    #[test]
    fn endless_words_are_cut() {
        let tokens = clean(&"a1.".repeat(1_000));
        assert!(tokens.iter().all(|t| t.ascii.len() <= MAX_TOKEN_BYTES + 1));
        assert_eq!(tokens.last().map(|t| t.source.end), Some(3_000));
    }

    proptest! {
        #[test]
        fn tokens_are_speakable_and_cover_the_text_in_order(text in "\\PC{0,60}|[a-z0-9 .,'()–—/:$%-]{0,60}|[ -~]{0,80}") {
            let tokens = clean(&text);
            let mut end = 0;
            for token in &tokens {
                prop_assert!(token.source.start >= end && token.source.end > token.source.start);
                end = token.source.end;
                prop_assert!(text.is_char_boundary(token.source.start) && text.is_char_boundary(end));
                prop_assert!(!text[token.source.clone()].contains(char::is_whitespace));
                prop_assert!(token.ascii.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert!(token.ascii.bytes().any(|b| b.is_ascii_alphanumeric()));
                // flite strips these from the front, all of them, and drops a token of nothing else.
                let stripped = ['"', '\'', '`', '(', '{', '['];
                prop_assert!(!token.ascii.starts_with(stripped));
                prop_assert!(token.ascii.len() <= MAX_TOKEN_BYTES + 3);
            }
            prop_assert!(end <= text.len());
            // Every ASCII letter and digit is spoken by some token.
            let letters = |s: &str| s.bytes().filter(u8::is_ascii_alphanumeric).count();
            let covered: usize = tokens.iter().map(|t| letters(&text[t.source.clone()])).sum();
            prop_assert_eq!(covered, letters(&text));
        }
    }
}
