//! Bytes of tokens → text, piece by piece: whole characters only, and nothing of a stop string.

/// Puts characters together from bytes that come in arbitrary pieces.
#[derive(Debug, Default)]
pub struct Utf8Pieces {
    /// The beginning of a character, up to three bytes.
    held: Vec<u8>,
}

impl Utf8Pieces {
    /// Takes the next bytes; returns the characters that are complete. What can become no character
    /// is `U+FFFD`, as if the whole had been decoded at once.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = &self.held[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    rest = behind;
                    if let Some(invalid) = error.error_len() {
                        text.push(char::REPLACEMENT_CHARACTER);
                        rest = &behind[invalid..];
                        continue;
                    }
                }
            }
            break;
        }
        self.held = rest.to_vec();
        text
    }

    /// There are no more bytes; a character that has only begun is `U+FFFD`.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { String::new() } else { char::REPLACEMENT_CHARACTER.to_string() }
    }
}

/// Ends a text in front of the first stop string, wherever the stream is cut.
#[derive(Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// End of the text so far that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Empty stop strings are left out.
    pub fn new(stops: &[String]) -> StopStrings {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        StopStrings { stops, ..StopStrings::default() }
    }

    /// Takes the next piece of text; returns what is certainly in front of every stop string.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        let mut text = std::mem::take(&mut self.held) + piece;
        // A stop string that began earlier wins, even if another one is complete already: which one
        // it is must not depend on how the text is cut.
        let begun = self.beginning(&text);
        let complete = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
        match complete {
            Some(start) if begun.is_none_or(|begun| start <= begun) => {
                self.stopped = true;
                text.truncate(start);
            }
            _ => {
                if let Some(begun) = begun {
                    self.held = text.split_off(begun);
                }
            }
        }
        text
    }

    /// The text has ended or something else follows; returns what was held back and turned out to be
    /// no stop string.
    pub fn flush(&mut self) -> String {
        if let Some(start) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            self.held.truncate(start);
        }
        std::mem::take(&mut self.held)
    }

    /// Whether a stop string has been met.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Where the longest end of `text` starts that only begins a stop string.
    fn beginning(&self, text: &str) -> Option<usize> {
        let longest = self.stops.iter().map(String::len).max()?.saturating_sub(1);
        let from = text.len().saturating_sub(longest);
        let mut starts = text.char_indices().map(|(at, _)| at).skip_while(|&at| at < from);
        starts.find(|&at| {
            self.stops.iter().any(|stop| stop.len() > text.len() - at && stop.starts_with(&text[at..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stop(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut reader = StopStrings::new(&stops);
        let mut text: String = pieces.iter().map(|piece| reader.push(piece)).collect();
        text += &reader.flush();
        (text, reader.is_stopped())
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let mut pieces = Utf8Pieces::default();
        let emoji = "é🙂".as_bytes();
        let given: Vec<String> = emoji.iter().map(|&byte| pieces.push(&[byte])).collect();
        assert_eq!(given, ["", "é", "", "", "", "🙂"]);
        assert_eq!(pieces.finish(), "");
    }

    #[test]
    fn bytes_that_are_no_character_are_replaced() {
        let mut pieces = Utf8Pieces::default();
        assert_eq!(pieces.push(b"a\xF0\x9F"), "a");
        assert_eq!(pieces.push(b"b\xFF"), "\u{FFFD}b\u{FFFD}");
        assert_eq!(pieces.push(b"\xC3"), "");
        assert_eq!(pieces.finish(), "\u{FFFD}");
        assert_eq!(pieces.finish(), "");
    }

    #[test]
    fn nothing_of_a_stop_string_is_given_out() {
        assert_eq!(stop(&["###"], &["one #", "# two ##", "# three"]), ("one ## two ".to_owned(), true));
        assert_eq!(stop(&["###"], &["one ##"]), ("one ##".to_owned(), false), "it was none");
        assert_eq!(stop(&["b", "abc"], &["xa", "b", "d"]), ("xa".to_owned(), true));
        assert_eq!(stop(&["b", "abc"], &["xa", "b", "c"]), ("x".to_owned(), true), "the earlier one wins");
        assert_eq!(stop(&[""], &["text"]), ("text".to_owned(), false));
        assert_eq!(stop(&["é"], &["caf", "é!"]), ("caf".to_owned(), true));
    }

    #[test]
    fn text_is_held_back_no_longer_than_it_must() {
        let mut reader = StopStrings::new(&["END".to_owned()]);
        assert_eq!(reader.push("the E"), "the ");
        assert_eq!(reader.push("N"), "");
        assert_eq!(reader.push("T"), "ENT");
    }

    proptest! {
        #[test]
        fn characters_are_those_of_the_whole(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'a'), Just(0xC3), Just(0xA9), Just(0xF0), Just(0x9F), Just(0x99), any::<u8>()],
                0..24,
            ),
            size in 1usize..5,
        ) {
            let mut pieces = Utf8Pieces::default();
            let mut text: String = bytes.chunks(size).map(|chunk| pieces.push(chunk)).collect();
            text += &pieces.finish();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_cut_stops_at_the_first_stop_string(
            text in "[abé]{0,16}", stops in proptest::collection::vec("[abé]{1,4}", 0..4), size in 1usize..4,
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let characters: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let first = stops.iter().filter_map(|stop| text.find(stop)).min();
            let expected = (text[..first.unwrap_or(text.len())].to_owned(), first.is_some());
            prop_assert_eq!(stop(&stops, &pieces), expected);
        }
    }
}
