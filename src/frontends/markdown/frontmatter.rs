//! The YAML between the two lines `---` at the top of a file. Kept byte for byte: reading looks at single
//! keys, and setting one touches its own lines and no others.
//!
//! Deliberately absent: an understanding of YAML as a whole. What stands there may be anybody's, and may be
//! broken; only top-level keys with plain values are read.

use serde_yaml::Value;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontmatter {
    /// The first line, with its end.
    open: String,
    /// The lines between, with their ends.
    lines: Vec<String>,
    /// The last line, with its end, if it has one.
    close: String,
}

impl Frontmatter {
    /// An empty one, and an empty line behind it.
    pub fn new(line_end: &str) -> Frontmatter {
        Frontmatter {
            open: format!("---{line_end}"),
            lines: vec![],
            close: format!("---{line_end}{line_end}"),
        }
    }

    /// That at the beginning of `text`, and the rest of it; `None` if it has none.
    pub fn split(text: &str) -> Option<(Frontmatter, &str)> {
        let mut lines = text.split_inclusive('\n');
        let open = lines.next().filter(|line| line.trim_end() == "---" && line.ends_with('\n'))?;
        let mut length = open.len();
        let mut found = vec![];
        for line in lines {
            length += line.len();
            if matches!(line.trim_end(), "---" | "...") {
                let frontmatter = Frontmatter { open: open.to_owned(), lines: found, close: line.to_owned() };
                return Some((frontmatter, &text[length..]));
            }
            found.push(line.to_owned());
        }
        None
    }

    /// The text of a top-level key; `None` if it is not there, empty, or no text or number.
    pub fn get(&self, key: &str) -> Option<String> {
        let line = self.lines.iter().find(|line| is_key(line, key))?;
        let value = line.split_once(':').map(|(_, value)| value.trim())?;
        match serde_yaml::from_str(value).ok()? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Sets a top-level key: in its place, or behind all others.
    pub fn set(&mut self, key: &str, value: &str, line_end: &str) {
        if self.get(key).as_deref() == Some(value) {
            return;
        }
        let line = format!("{key}: {}{line_end}", plain_or_quoted(value));
        let Some(at) = self.lines.iter().position(|line| is_key(line, key)) else {
            self.lines.push(line);
            return;
        };
        // A value of several lines goes as a whole.
        let more = self.lines[at + 1..].iter().take_while(|line| line.starts_with([' ', '\t', '-'])).count();
        self.lines.splice(at..=at + more, [line]);
    }

    /// All of it.
    pub fn write(&self, out: &mut String) {
        out.push_str(&self.open);
        self.lines.iter().for_each(|line| out.push_str(line));
        out.push_str(&self.close);
    }

    /// Sees to it that what follows begins on a line of its own.
    pub fn end_line(&mut self, line_end: &str) {
        if !self.close.ends_with('\n') {
            self.close.push_str(line_end);
        }
    }
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with(':'))
}

/// `value` as YAML reads it back as the same text.
fn plain_or_quoted(value: &str) -> String {
    let plain = serde_yaml::from_str::<Value>(value).is_ok_and(|read| read.as_str() == Some(value));
    let simple = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    // JSON's quotes are YAML's.
    if plain && simple {
        value.to_owned()
    } else {
        Value::from(value).as_str().map(quoted).unwrap_or_default()
    }
}

fn quoted(value: &str) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_set_changes_its_own_lines_and_no_others() {
        let text = "--- \r\ntitle:   'My  notes'\r\nagent: old # mine\r\ntags:\r\n  - a\r\n: broken [\r\n---\r\nbody";
        let (mut frontmatter, rest) = Frontmatter::split(text).unwrap();
        assert_eq!(rest, "body");
        assert_eq!(frontmatter.get("title").as_deref(), Some("My  notes"));
        assert_eq!(frontmatter.get("agent").as_deref(), Some("old"));
        assert_eq!(frontmatter.get("tags"), None);
        let mut same = String::new();
        frontmatter.set("agent", "old", "\r\n");
        frontmatter.write(&mut same);
        assert_eq!(same + rest, text);
        frontmatter.set("agent", "new", "\r\n");
        frontmatter.set("tags", "12", "\r\n");
        frontmatter.set("conversation_id", "-_v7", "\r\n");
        let mut changed = String::new();
        frontmatter.write(&mut changed);
        expect![[r#"
            --- 
            title:   'My  notes'
            agent: new
            tags: "12"
            : broken [
            conversation_id: -_v7
            ---
        "#]]
        .assert_eq(&changed.replace("\r\n", "\n"));
        for (key, value) in [("agent", "new"), ("tags", "12"), ("conversation_id", "-_v7")] {
            assert_eq!(frontmatter.get(key).as_deref(), Some(value));
        }
    }

    #[test]
    fn what_is_no_frontmatter_is_body() {
        for text in ["", "---", "---\nagent: a\n", "\n---\n---\n", "----\n----\n", "--- x\n---\n"] {
            assert_eq!(Frontmatter::split(text), None, "{text:?}");
        }
    }
}
