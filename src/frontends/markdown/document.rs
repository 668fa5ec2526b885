//! A Markdown file as a conversation, and back: frontmatter, then turns under `### User:` and
//! `### Assistant:`. Pure.
//!
//! A document keeps every byte of its file, in pieces; [`Document::render`] puts them together again. What
//! is written into it (a reply, an identity) is added between, and nothing else changes.

use super::fork::Turn;
use super::frontmatter::Frontmatter;
use super::lines::{Callout, Fence, Speaker, heading, unescaped};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    has_byte_order_mark: bool,
    frontmatter: Option<Frontmatter>,
    /// What stands before the first turn.
    preamble: String,
    sections: Vec<Section>,
}

/// A heading with what stands below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    speaker: Speaker,
    /// The line of the heading, with its end.
    heading: String,
    /// Up to the next heading.
    body: String,
}

impl Document {
    /// Reads a file. Every text is a document.
    pub fn parse(text: &str) -> Document {
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        let (has_byte_order_mark, text) = (unmarked.is_some(), unmarked.unwrap_or(text));
        let (frontmatter, body) = match Frontmatter::split(text) {
            Some((frontmatter, rest)) => (Some(frontmatter), rest),
            None => (None, text),
        };
        let (mut preamble, mut sections) = (String::new(), Vec::<Section>::new());
        let mut fence = Fence::default();
        for line in body.split_inclusive('\n') {
            let in_words = fence.read(line);
            match (heading(line).filter(|_| in_words), sections.last_mut()) {
                (Some(speaker), _) => {
                    sections.push(Section { speaker, heading: line.to_owned(), body: String::new() });
                }
                (None, Some(section)) => section.body.push_str(line),
                (None, None) => preamble.push_str(line),
            }
        }
        Document { has_byte_order_mark, frontmatter, preamble, sections }
    }

    /// The file.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if self.has_byte_order_mark {
            text.push(BYTE_ORDER_MARK);
        }
        if let Some(frontmatter) = &self.frontmatter {
            frontmatter.write(&mut text);
        }
        text.push_str(&self.preamble);
        for section in &self.sections {
            text.push_str(&section.heading);
            text.push_str(&section.body);
        }
        text
    }

    /// What was said. A section without words is no turn.
    pub fn turns(&self) -> Vec<Turn> {
        let turns =
            self.sections.iter().map(|section| Turn { speaker: section.speaker, text: section.words() });
        turns.filter(|turn| !turn.text.is_empty()).collect()
    }

    /// The last thing that is there is ours. Not so if that is only an error, or nothing.
    pub fn is_answered(&self) -> bool {
        let last = self.sections.iter().rev().find(|section| !section.is_open_place());
        last.is_some_and(|section| section.speaker == Speaker::Assistant)
    }

    /// The text of a top-level key of the frontmatter.
    pub fn get(&self, key: &str) -> Option<String> {
        self.frontmatter.as_ref()?.get(key)
    }

    /// Sets a top-level key of the frontmatter, which is made if there is none.
    pub fn set(&mut self, key: &str, value: &str) {
        let line_end = self.line_end();
        let frontmatter = self.frontmatter.get_or_insert_with(|| Frontmatter::new(line_end));
        frontmatter.set(key, value, line_end);
    }

    /// The same with one more turn of ours, its Markdown `body`, behind the last of the user's: in the place
    /// of an empty one, and of errors. `goes_on`: with an empty turn of the user's behind it.
    pub fn with_reply(&self, body: &str, goes_on: bool) -> Document {
        let mut document = self.clone();
        while document.sections.pop_if(|section| section.is_open_place()).is_some() {}
        document.add(Speaker::Assistant, body);
        if goes_on {
            document.add(Speaker::User, "");
        }
        document
    }

    /// Adds a turn behind all that is there, but in the place of empty ones.
    pub fn add(&mut self, speaker: Speaker, body: &str) {
        if !body.is_empty() {
            while self.sections.pop_if(|section| section.body.trim().is_empty()).is_some() {}
        }
        let line_end = self.line_end();
        self.end_paragraph(line_end);
        let body = match body.trim_matches('\n') {
            "" => line_end.to_owned(),
            body => format!("{line_end}{}{line_end}", body.replace('\n', line_end)),
        };
        let heading = format!("{}{line_end}", speaker.heading());
        self.sections.push(Section { speaker, heading, body });
    }

    /// Ends the last block of code, line and paragraph, so that a heading can follow.
    fn end_paragraph(&mut self, line_end: &str) {
        if let (Some(frontmatter), true, true) =
            (&mut self.frontmatter, self.preamble.is_empty(), self.sections.is_empty())
        {
            frontmatter.end_line(line_end);
            return;
        }
        let mut fence = Fence::default();
        let all = [&self.preamble].into_iter().chain(self.sections.iter().map(|section| &section.body));
        all.flat_map(|text| text.split_inclusive('\n')).for_each(|line| {
            fence.read(line);
        });
        let last = match self.sections.last_mut() {
            // The line of a heading may be the last of a file, without an end.
            Some(section) if section.body.is_empty() && !section.heading.ends_with('\n') => {
                &mut section.heading
            }
            Some(section) => &mut section.body,
            None => &mut self.preamble,
        };
        let end_line = |text: &mut String| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push_str(line_end);
            }
        };
        end_line(last);
        if let Some(closing) = fence.closing() {
            last.push_str(&closing);
            last.push_str(line_end);
        }
        let paragraph_ended = last.trim_end_matches(['\r', '\n', ' ', '\t']);
        let ends = last[paragraph_ended.len()..].matches('\n').count();
        let needed = if paragraph_ended.is_empty() { 1 } else { 2 };
        if !(last.is_empty() && self.sections.is_empty()) {
            let last = match self.sections.last_mut() {
                Some(section) => &mut section.body,
                None => &mut self.preamble,
            };
            (ends..needed).for_each(|_| last.push_str(line_end));
        }
    }

    /// As the file has them.
    fn line_end(&self) -> &'static str {
        let mut text = String::new();
        if let Some(frontmatter) = &self.frontmatter {
            frontmatter.write(&mut text);
        }
        let sections = self.sections.iter().flat_map(|section| [&section.heading, &section.body]);
        let all = [&text, &self.preamble].into_iter().chain(sections);
        let first = all.flat_map(|text| text.split_inclusive('\n')).next();
        if first.is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
    }
}

/// What is said in a turn with this Markdown.
pub fn words_of(speaker: Speaker, body: &str) -> String {
    Section { speaker, heading: String::new(), body: body.to_owned() }.words()
}

impl Section {
    /// Something may still be said here: it is empty, or says that there is no reply.
    fn is_open_place(&self) -> bool {
        let has_other_callouts = || {
            let callouts = self.body.lines().filter_map(Callout::of);
            callouts.into_iter().any(|callout| callout != Callout::Error)
        };
        match self.speaker {
            Speaker::User => self.body.trim().is_empty(),
            Speaker::Assistant => self.words().is_empty() && !has_other_callouts(),
        }
    }

    /// What is said: without callouts of ours, with line ends of one kind.
    fn words(&self) -> String {
        let mut words = String::new();
        let mut fence = Fence::default();
        let mut in_callout = false;
        for line in self.body.lines() {
            in_callout = match self.speaker {
                Speaker::Assistant if fence.closing().is_none() => {
                    Callout::of(line).is_some() || (in_callout && line.starts_with('>'))
                }
                _ => false,
            };
            if in_callout {
                continue;
            }
            let line = if fence.read(line) { unescaped(line) } else { line };
            words.push_str(line);
            words.push('\n');
        }
        words.trim().to_owned()
    }
}
