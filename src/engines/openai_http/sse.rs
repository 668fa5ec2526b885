//! Bytes of a `text/event-stream` → the data of its events, however the bytes are cut.
//!
//! After the WHATWG HTML standard, section 9.2.6: lines end with LF, CR LF or CR; an event is what
//! stands before an empty line; its `data` lines are joined by LF; comments are dropped. One thing is
//! kinder than the standard: an event cut short by the end of the stream counts, because some
//! servers forget the last empty line. Deliberately absent: event names, ids and reconnection, which
//! chat completions do not use.

use std::collections::VecDeque;

/// Bytes of one event, at most. A reply's token is a few hundred.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// An event longer than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLong;

/// One stream being read.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The data lines of the event that is not complete yet, each with its LF.
    data: String,
    /// Bytes of the event so far, fields and comments included.
    event_bytes: usize,
    /// The last byte was a CR: a LF right behind it belongs to the same line end.
    after_cr: bool,
    /// The first line, which may begin with a byte order mark, is behind us.
    begun: bool,
    events: VecDeque<String>,
}

impl SseParser {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), EventTooLong> {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.count(bytes.len())?;
                self.line.extend_from_slice(bytes);
                break;
            };
            self.count(end)?;
            self.line.extend_from_slice(&bytes[..end]);
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.end_line();
        }
        Ok(())
    }

    /// The stream has ended: what was begun is complete.
    pub fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event();
    }

    /// The data of the next complete event.
    pub fn next_event(&mut self) -> Option<String> {
        self.events.pop_front()
    }

    fn count(&mut self, bytes: usize) -> Result<(), EventTooLong> {
        self.event_bytes += bytes;
        if self.event_bytes > MAX_EVENT_BYTES { Err(EventTooLong) } else { Ok(()) }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let mut text = &line[..];
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        }
        if text.is_empty() {
            self.end_event();
        } else if let Some(value) = data_value(text) {
            self.data.push_str(&String::from_utf8_lossy(value));
            self.data.push('\n');
        }
        // The next line reuses the allocation.
        line.clear();
        self.line = line;
    }

    fn end_event(&mut self) {
        self.event_bytes = 0;
        if self.data.pop().is_some() {
            self.events.push_back(std::mem::take(&mut self.data));
        }
    }
}

/// The value of a `data` line; `None` for comments and other fields.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events of `pieces`, read one after the other.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut parser = SseParser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        parser.finish();
        std::iter::from_fn(|| parser.next_event()).collect()
    }

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        assert_eq!(events([stream.as_bytes()]), expected, "in one piece: {stream:?}");
        assert_eq!(events(stream.as_bytes().chunks(1)), expected, "byte by byte: {stream:?}");
    }

    #[test]
    fn an_event_ends_with_an_empty_line() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
        check("data: a\r\n\ndata: b\n\r\n", &["a", "b"]);
        check("\n\n\ndata: a\n\n\n\n", &["a"]);
    }

    #[test]
    fn data_lines_are_joined_and_lose_one_space() {
        check("data: a\ndata: b\ndata:c\ndata\n\n", &["a\nb\nc\n"]);
        check("data: a\r\ndata: b\r\n\r\n", &["a\nb"]);
        check("data:  two spaces\n\n", &[" two spaces"]);
        check("data:\n\n", &[""]);
    }

    #[test]
    fn comments_and_other_fields_are_dropped() {
        check(": alive\n\nevent: x\nid: 7\ndata: a\nretry: 3\ndatum: b\n\n", &["a"]);
        check(": alive\n\n: alive\n\n", &[]);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_event() {
        check("data: a", &["a"]);
        check("data: a\n", &["a"]);
        check("data: a\n\ndata: b\r", &["a", "b"]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_only() {
        check("\u{feff}data: a\n\ndata: \u{feff}b\n\n", &["a", "\u{feff}b"]);
        check("data: a\n\n\u{feff}data: b\n\n", &["a"]);
    }

    #[test]
    fn an_event_may_have_so_many_bytes_and_no_more() {
        let longest = [b"data:".as_slice(), &vec![b'x'; MAX_EVENT_BYTES - 5], b"\n\n"].concat();
        let mut parser = SseParser::default();
        assert_eq!(parser.push(&longest), Ok(()));
        assert_eq!(parser.push(&longest), Ok(()), "the count starts anew with each event");
        assert_eq!(parser.push(b"data:"), Ok(()));
        assert_eq!(parser.push(&vec![b'x'; MAX_EVENT_BYTES]), Err(EventTooLong));

        let mut parser = SseParser::default();
        let comments = (0..=MAX_EVENT_BYTES / 8).try_for_each(|_| parser.push(b":1234567\n"));
        assert_eq!(comments, Err(EventTooLong), "many lines without an empty one");
    }

    #[derive(Debug, Clone)]
    enum Line {
        Data(String),
        Ignored(&'static str),
        Empty,
    }

    fn any_line() -> impl Strategy<Value = Line> {
        prop_oneof![
            6 => "[a-zé語😀{}\": ]{0,12}".prop_map(Line::Data),
            1 => Just(Line::Ignored(": comment")),
            1 => Just(Line::Ignored("event: x")),
            4 => Just(Line::Empty),
        ]
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            lines in proptest::collection::vec(any_line(), 0..30),
            line_end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let mut stream = vec![];
            for line in &lines {
                stream.extend(match line {
                    Line::Data(text) => format!("data: {text}{line_end}").into_bytes(),
                    Line::Ignored(text) => format!("{text}{line_end}").into_bytes(),
                    Line::Empty => line_end.into(),
                });
            }
            let expected: Vec<String> = lines
                .split(|line| matches!(line, Line::Empty))
                .map(|event| event.iter().filter_map(|line| match line {
                    Line::Data(text) => Some(text.as_str()),
                    _ => None,
                }).collect::<Vec<_>>())
                .filter(|data| !data.is_empty())
                .map(|data| data.join("\n"))
                .collect();

            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = vec![];
            let mut start = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.push(&stream[start..cut]);
                start = cut;
            }
            prop_assert_eq!(events(pieces), expected);
        }
    }
}
