//! What a built-in tool tells the model: JSON with a blank behind each comma and colon, as Python writes it
//! and therefore as models have read it in training. Small ones notice the difference.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// As `json.dumps` of Python writes `value`. Empty if it cannot be JSON.
pub fn json(value: &impl Serialize) -> String {
    let mut written = vec![];
    let mut serializer = serde_json::Serializer::with_formatter(&mut written, Spaced);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(written).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Number words one by one, as they are said: "forty two".
pub fn spoken(words: &str) -> String {
    words.replace('-', " ")
}

struct Spaced;

impl Spaced {
    fn comma<W: io::Write + ?Sized>(writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        Self::comma(writer, first)
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        Self::comma(writer, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_stands_behind_commas_and_colons_outside_texts() {
        let value = serde_json::json!({ "a": [1, "b,c:d", null], "e": {}, "f": { "g": true } });
        assert_eq!(json(&value), r#"{"a": [1, "b,c:d", null], "e": {}, "f": {"g": true}}"#);
    }
}
