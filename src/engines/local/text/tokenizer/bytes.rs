//! The bytes that each token stands for.
//!
//! A token is a piece of a byte string, not of a text: an emoji may be cut in the middle. Replies
//! are therefore put together from bytes, and become text in [`super::super::stream`].

use std::collections::HashMap;
use std::sync::LazyLock;

/// How a vocabulary writes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Every byte is a printable character (GPT-2, Llama 3, Qwen): a space is `Ġ`.
    ByteLevel,
    /// Text with `▁` for a space, and `<0xE2>` for bytes that no token has (SentencePiece).
    SentencePiece,
}

/// The printable character of each byte, backwards. GPT-2's `bytes_to_unicode`: printable bytes of
/// Latin-1 stand for themselves, the others are counted up from U+0100.
static BYTE_OF_CHARACTER: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let mut unprintable = '\u{100}'..;
    (0..=u8::MAX)
        .filter_map(|byte| {
            let itself = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let character = if itself { Some(char::from(byte)) } else { unprintable.next() };
            character.map(|character| (character, byte))
        })
        .collect()
});

impl Spelling {
    /// The bytes of a token that is written so. One that is not is taken as plain text.
    pub fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Spelling::ByteLevel => token
                .chars()
                .map(|character| BYTE_OF_CHARACTER.get(&character).copied())
                .collect::<Option<Vec<u8>>>()
                .unwrap_or_else(|| token.as_bytes().to_vec()),
            Spelling::SentencePiece => match byte_token(token) {
                Some(byte) => vec![byte],
                None => token.replace('▁', " ").into_bytes(),
            },
        }
    }
}

/// The byte of a token such as `<0x0A>`.
fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    // from_str_radix alone would take a sign.
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hexadecimal { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The bytes of all tokens of a vocabulary, one behind the other.
#[derive(Debug, Clone, Default)]
pub struct TokenBytes {
    bytes: Vec<u8>,
    /// Where the bytes of each id end; they begin where those of the id before end.
    ends: Vec<usize>,
}

impl TokenBytes {
    /// Takes the bytes of id 0, 1, …
    pub fn new(tokens: impl IntoIterator<Item = Vec<u8>>) -> TokenBytes {
        let mut all = TokenBytes::default();
        for token in tokens {
            all.bytes.extend_from_slice(&token);
            all.ends.push(all.bytes.len());
        }
        all
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a token; empty for an id that does not exist.
    pub fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = id.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_level_tokens_stand_for_bytes() {
        let spell = |token| Spelling::ByteLevel.bytes(token);
        assert_eq!(spell("Ġthe"), b" the");
        assert_eq!(spell("Ċ"), b"\n");
        assert_eq!(spell("Ã©"), "é".as_bytes());
        assert_eq!(spell("âĢ"), [0xE2, 0x80], "half of a character");
        assert_eq!(BYTE_OF_CHARACTER.len(), 256, "every byte has a character");
        assert_eq!(spell("日本"), "日本".as_bytes(), "an added token in plain text");
    }

    #[test]
    fn sentence_pieces_stand_for_text_or_a_byte() {
        let spell = |token| Spelling::SentencePiece.bytes(token);
        assert_eq!(spell("▁the"), b" the");
        assert_eq!(spell("<0xE2>"), [0xE2]);
        assert_eq!(spell("<0x0A>"), b"\n");
        assert_eq!(spell("<0xAAA>"), b"<0xAAA>");
        assert_eq!(spell("<0x+A>"), b"<0x+A>".to_vec(), "a sign is no digit");
    }

    #[test]
    fn an_id_that_does_not_exist_has_no_bytes() {
        let tokens = TokenBytes::new([b"a".to_vec(), vec![], b"bc".to_vec()]);
        assert_eq!([0, 1, 2, 3].map(|id| tokens.get(id)), [&b"a"[..], b"", b"bc", b""]);
        assert_eq!(tokens.get(u32::MAX), b"");
    }
}
