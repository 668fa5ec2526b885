//! A reply as the model writes it → the characters that a voice should say, while it streams.
//!
//! One forward scan over the reply. Each character to be said keeps the place in the reply that it
//! stands for, so markers that open in one segment and close in another need no care later. What a
//! mark means is decided as soon as the text decides it, never by how much happens to have arrived:
//! a longer text changes nothing that was already given out.
//!
//! Deliberately absent: a CommonMark parser. A voice must know what to leave out, not how things
//! nest, and must not wait for the end of a paragraph to find out.

mod lines;
mod lookahead;

use std::ops::Range;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};

use lookahead::{Look, Tag};

/// Said in place of a fenced code block.
pub const CODE_BLOCK_NOTE: &str = "Code block omitted.";

/// One character to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glyph {
    /// `'\n'` ends a line, `' '` separates words (never two in a row, none beside a line's end).
    pub ch: char,
    /// The bytes of the reply that it stands for, markers that close right behind it included.
    pub source: Range<usize>,
    /// From code or a URL: punctuation in it ends no sentence.
    pub verbatim: bool,
}

/// The scan's position and what is open there.
#[derive(Debug, Clone)]
pub struct Speakable {
    /// Bytes of the reply that are done with.
    position: usize,
    at_line_start: bool,
    /// Behind a list item's marker, still at the line's start.
    behind_bullet: bool,
    in_heading: bool,
    in_table_row: bool,
    in_math: bool,
    /// Length of the run of backticks that opened inline code; 0: not in code.
    code_ticks: usize,
    /// Bit 0: `*` is open, bit 1: `**` is.
    stars_open: u8,
    /// Where the `]` of the open link texts are, the innermost last.
    link_ends: Vec<usize>,
    /// Open parentheses of a link's destination, which is not said.
    destination_depth: usize,
    fence: Option<Fence>,
    /// Blank seen since the last glyph.
    space: Option<Range<usize>>,
    /// A pictograph was dropped since the last glyph.
    dropped: bool,
    /// Last glyph; `'\n'` at the start.
    last: char,
}

#[derive(Debug, Clone)]
struct Fence {
    mark: char,
    len: usize,
    start: usize,
    /// Within a line that is known not to close it.
    mid_line: bool,
}

impl Default for Speakable {
    fn default() -> Self {
        Speakable {
            position: 0,
            at_line_start: true,
            behind_bullet: false,
            in_heading: false,
            in_table_row: false,
            in_math: false,
            code_ticks: 0,
            stars_open: 0,
            link_ends: vec![],
            destination_depth: 0,
            fence: None,
            space: None,
            dropped: false,
            last: '\n',
        }
    }
}

/// The step waits for more text, and has changed nothing.
struct NeedMore;

type Step = Result<(), NeedMore>;

impl<T> Look<T> {
    /// `None`: it is not there.
    fn known(self) -> Result<Option<T>, NeedMore> {
        match self {
            Look::Yes(found) => Ok(Some(found)),
            Look::No => Ok(None),
            Look::More => Err(NeedMore),
        }
    }
}

impl Speakable {
    /// Goes on through `text`, the whole reply so far, and appends to `out` what is decided.
    pub fn scan(&mut self, text: &str, out: &mut Vec<Glyph>) {
        Scan { state: self, text, finished: false, out }.run();
    }

    /// The reply ends here: everything is decided. A later [`scan`](Self::scan) starts on a new line.
    pub fn finish(&mut self, text: &str, out: &mut Vec<Glyph>) {
        let mut scan = Scan { state: self, text, finished: true, out };
        scan.run();
        if let Some(fence) = scan.state.fence.take() {
            scan.note_code_block(fence.start, text.len());
        }
        *self = Speakable { position: text.len(), ..Speakable::default() };
    }
}

/// One call's view of the reply.
struct Scan<'a> {
    state: &'a mut Speakable,
    text: &'a str,
    finished: bool,
    out: &'a mut Vec<Glyph>,
}

impl<'a> Scan<'a> {
    fn run(&mut self) {
        while self.state.position < self.text.len() {
            let step = if self.state.fence.is_some() {
                self.fenced()
            } else if self.state.at_line_start {
                self.line_start()
            } else {
                self.inline()
            };
            if step.is_err() {
                break;
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.state.position..]
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.state.position += bytes;
        Ok(())
    }

    /// The character behind the next `bytes`; `None` at the end of the reply.
    fn peek(&self, bytes: usize) -> Result<Option<char>, NeedMore> {
        match self.rest()[bytes..].chars().next() {
            None if !self.finished => Err(NeedMore),
            next => Ok(next),
        }
    }

    fn previous(&self) -> Option<char> {
        self.text[..self.state.position].chars().next_back()
    }

    // --- within a line; its start and end are in `lines` ---

    fn inline(&mut self) -> Step {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(()) };
        let len = c.len_utf8();
        if matches!(c, '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            let at = self.state.position;
            self.state.position += len;
            self.end_line(at..at + len);
            return Ok(());
        }
        if self.state.destination_depth > 0 {
            return self.destination(c);
        }
        if c.is_whitespace() {
            let at = self.state.position;
            self.state.space.get_or_insert(at..at + len);
            return self.skip(len);
        }
        if c == '`' {
            return self.backticks();
        }
        if matches!(c, 'h' | 'H' | 'w' | 'W')
            && !self.previous().is_some_and(char::is_alphanumeric)
            && let Some(len) = lookahead::url(rest, self.finished).known()?
        {
            return self.url(len, 0);
        }
        if self.state.link_ends.last() == Some(&self.state.position) {
            self.state.link_ends.pop();
            self.state.destination_depth = 1;
            self.skip("](".len())?;
            self.absorb();
            return Ok(());
        }
        if self.state.code_ticks > 0 {
            self.say(c, len, true);
            return Ok(());
        }
        match c {
            '\\' => self.backslash(),
            '*' => self.stars(),
            '_' => self.underscores(),
            '~' => match lookahead::run(rest, '~', self.finished).known()? {
                Some(2) => self.mark(2),
                _ => self.literal(c),
            },
            '$' => self.dollar(),
            '!' if self.peek(1)? == Some('[')
                && lookahead::link_text(&rest[1..], self.finished).known()?.is_some() =>
            {
                self.skip(1)
            }
            '[' => self.bracket(),
            '<' => self.angle(),
            '&' => match lookahead::entity(rest, self.finished).known()? {
                Some((c, len)) if c.is_whitespace() => {
                    let at = self.state.position;
                    self.state.space.get_or_insert(at..at + len);
                    self.skip(len)
                }
                Some((c, len)) => {
                    self.say(c, len, false);
                    Ok(())
                }
                None => self.literal(c),
            },
            '|' => self.pipe(),
            '#' if self.state.in_heading => {
                let hashes = lookahead::run(rest, '#', self.finished).known()?.unwrap_or(1);
                match lookahead::blank_to_line_end(&rest[hashes..], self.finished).known()? {
                    Some(_) => self.skip(hashes),
                    None => self.literal(c),
                }
            }
            '{' | '}' if self.state.in_math => {
                let at = self.state.position;
                self.state.space.get_or_insert(at..at + 1);
                self.skip(1)
            }
            _ => self.literal(c),
        }
    }

    fn literal(&mut self, c: char) -> Step {
        self.say(c, c.len_utf8(), false);
        Ok(())
    }

    /// A marker of `len` bytes that is not said.
    fn mark(&mut self, len: usize) -> Step {
        let opens = self.previous().is_none_or(char::is_whitespace)
            || self.peek(len)?.is_some_and(char::is_alphanumeric);
        self.skip(len)?;
        if !opens {
            self.absorb();
        }
        Ok(())
    }

    fn backticks(&mut self) -> Step {
        let Some(ticks) = lookahead::run(self.rest(), '`', self.finished).known()? else { return Ok(()) };
        if self.state.code_ticks == ticks {
            self.state.code_ticks = 0;
            self.skip(ticks)?;
            self.absorb();
            return Ok(());
        }
        if self.state.code_ticks == 0 && !self.peek(ticks)?.is_none_or(char::is_whitespace) {
            self.state.code_ticks = ticks;
        }
        self.skip(ticks)
    }

    /// `2 * 3`, `2*3` and `x**2` are arithmetic; every other star marks something.
    fn stars(&mut self) -> Step {
        let run = lookahead::run(self.rest(), '*', self.finished).known()?.unwrap_or(1);
        let (before, behind) = (self.previous(), self.peek(run)?);
        let bits = if run < 3 { run as u8 } else { 3 };
        let open = self.state.stars_open & bits != 0;
        let blank_before = before.is_none_or(char::is_whitespace);
        let blank_behind = behind.is_none_or(char::is_whitespace);
        let operand_before = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == ')');
        let operand_behind = behind.is_some_and(|c| c.is_ascii_alphanumeric() || c == '(');
        let arithmetic = !open && operand_before && operand_behind;
        match run {
            1 if arithmetic || (blank_before && blank_behind && behind.is_some()) => {
                return self.literal('*');
            }
            2 if arithmetic && behind.is_some_and(|c| c.is_ascii_digit()) => {
                self.literal('*')?;
                return self.literal('*');
            }
            _ => {}
        }
        if open && !blank_before {
            self.state.stars_open &= !bits;
            self.skip(run)?;
            self.absorb();
            return Ok(());
        }
        self.mark(run)?;
        if !blank_behind {
            self.state.stars_open |= bits;
        }
        Ok(())
    }

    /// Within a word they belong to it.
    fn underscores(&mut self) -> Step {
        let run = lookahead::run(self.rest(), '_', self.finished).known()?.unwrap_or(1);
        let behind = self.peek(run)?;
        if self.previous().is_some_and(char::is_alphanumeric) && behind.is_some_and(char::is_alphanumeric) {
            for _ in 0..run {
                self.say('_', 1, false);
            }
            return Ok(());
        }
        self.mark(run)
    }

    fn backslash(&mut self) -> Step {
        match self.peek(1)? {
            Some(c @ ('(' | ')' | '[' | ']')) => {
                self.mark(2)?;
                self.state.in_math = matches!(c, '(' | '[');
                Ok(())
            }
            Some('\n') => self.skip(1),
            Some(c) if c.is_ascii_punctuation() => {
                self.say(c, 2, false);
                Ok(())
            }
            _ if self.state.in_math => {
                let at = self.state.position;
                self.state.space.get_or_insert(at..at + 1);
                self.skip(1)
            }
            _ => self.literal('\\'),
        }
    }

    /// `$5` is money, `$x$` and `$$x$$` are formulas.
    fn dollar(&mut self) -> Step {
        let blank_before = self.previous().is_none_or(char::is_whitespace);
        match self.peek(1)? {
            Some('$') => {
                self.mark(2)?;
                self.state.in_math = !self.state.in_math;
                Ok(())
            }
            _ if self.state.in_math && !blank_before => {
                self.mark(1)?;
                self.state.in_math = false;
                Ok(())
            }
            Some(c) if !c.is_ascii_digit() && !c.is_whitespace() && blank_before => {
                self.state.in_math = true;
                self.skip(1)
            }
            _ => self.literal('$'),
        }
    }

    fn bracket(&mut self) -> Step {
        let rest = self.rest();
        if let Some(at) = lookahead::link_text(rest, self.finished).known()? {
            self.state.link_ends.push(self.state.position + at);
            return self.skip(1);
        }
        match lookahead::footnote(rest, self.finished).known()? {
            Some(len) => self.mark(len),
            None => self.literal('['),
        }
    }

    fn destination(&mut self, c: char) -> Step {
        match c {
            '(' => self.state.destination_depth += 1,
            ')' => self.state.destination_depth -= 1,
            _ => {}
        }
        self.skip(c.len_utf8())?;
        self.absorb();
        Ok(())
    }

    fn angle(&mut self) -> Step {
        let at = self.state.position;
        match lookahead::tag(self.rest(), self.finished).known()? {
            Some(Tag::Html { len, breaks: true }) => {
                self.skip(len)?;
                self.end_line(at..at + len);
                Ok(())
            }
            Some(Tag::Html { len, breaks: false }) => self.mark(len),
            Some(Tag::Autolink { len }) => {
                self.skip(1)?;
                self.url(len - 2, 1)
            }
            None => self.literal('<'),
        }
    }

    /// Between the cells of a table: a comma.
    fn pipe(&mut self) -> Step {
        let at = self.state.position;
        let behind = self.peek(1)?;
        if self.state.in_table_row {
            if lookahead::blank_to_line_end(&self.rest()[1..], self.finished).known()?.is_some() {
                return self.skip(1);
            }
        } else if !(self.state.space.is_some() && behind.is_some_and(char::is_whitespace)) {
            return self.literal('|');
        }
        self.state.space = None;
        if self.state.last.is_alphanumeric() || ")]}\"'%".contains(self.state.last) {
            self.say(',', 1, false);
        } else {
            self.skip(1)?;
        }
        self.state.space = Some(at + 1..at + 1);
        Ok(())
    }

    /// Says a URL of `len` bytes; `closing` more bytes belong to it.
    fn url(&mut self, len: usize, closing: usize) -> Step {
        let start = self.state.position;
        let url = &self.text[start..start + len];
        let spoken = lookahead::spoken_part(url);
        self.state.position += spoken.start;
        for c in url[spoken].chars() {
            self.say(c, c.len_utf8(), true);
        }
        self.state.position = start + len + closing;
        self.absorb();
        Ok(())
    }

    // --- output ---

    /// Says `c`, which stands for the next `len` bytes, unless it is nothing that can be said.
    fn say(&mut self, c: char, len: usize, verbatim: bool) {
        let at = self.state.position;
        let state = &mut *self.state;
        state.position += len;
        let behind = if state.dropped { '\n' } else { state.last };
        if !is_sayable(c, behind) {
            state.dropped = true;
            return;
        }
        let source = at..state.position;
        let separates = state.dropped && state.last.is_alphanumeric() && c.is_alphanumeric();
        let hugs = state.dropped && ".,;:!?)".contains(c);
        let space = match state.space.take() {
            Some(space) if !hugs => Some(space),
            None if separates => Some(at..at),
            _ => None,
        };
        if let Some(source) = space
            && state.last != '\n'
        {
            self.out.push(Glyph { ch: ' ', source, verbatim: false });
        }
        state.dropped = false;
        state.last = c;
        self.out.push(Glyph { ch: c, source, verbatim });
    }

    /// What was just passed closes something: it belongs to the last glyph.
    fn absorb(&mut self) {
        if self.state.space.is_none()
            && let Some(glyph) = self.out.last_mut()
            && glyph.ch != '\n'
        {
            glyph.source.end = self.state.position;
        }
    }
}

/// Not a control character, a backtick, an emoji or another pictograph. Digits, `#` and `*` have the Emoji
/// property and are ordinary characters all the same. `last`: the character said before it.
fn is_sayable(c: char, last: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control() && c != '`';
    }
    match c {
        '©' | '®' | '™' | '℗' | '‼' | '⁉' => return true,
        // Joiners shape Persian and Indic words; elsewhere they glue emoji.
        '\u{200c}' | '\u{200d}' => {
            let group = last.general_category_group();
            return !last.is_ascii()
                && matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark);
        }
        '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{2500}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => {
            return false;
        }
        _ => {}
    }
    let unsayable = matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    );
    !unsayable && !c.is_emoji_char()
}
