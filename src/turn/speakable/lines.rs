//! Where lines start and end: headings, lists, quotes, rules, tables, fenced code blocks.

use std::ops::Range;

use super::{CODE_BLOCK_NOTE, Fence, Glyph, Scan, Speakable, Step, lookahead};

impl Scan<'_> {
    /// Goes on within a fenced code block.
    pub(super) fn fenced(&mut self) -> Step {
        let rest = self.rest();
        let Some(fence) = &mut self.state.fence else { return Ok(()) };
        if !fence.mid_line {
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '>']).len();
            let Some(len) = lookahead::run(&rest[blank..], fence.mark, self.finished).known()? else {
                return Ok(());
            };
            if len >= fence.len
                && let Some(tail) =
                    lookahead::blank_to_line_end(&rest[blank + len..], self.finished).known()?
            {
                let (start, line) = (fence.start, blank + len + tail);
                self.state.fence = None;
                self.state.position += line + usize::from(rest[line..].starts_with('\n'));
                self.note_code_block(start, self.state.position);
                return Ok(());
            }
            fence.mid_line = true;
        }
        match rest.find('\n') {
            Some(at) => {
                fence.mid_line = false;
                self.skip(at + 1)
            }
            None => self.skip(rest.len()),
        }
    }

    /// The words of the note stand for nothing, but its last one for the whole block.
    pub(super) fn note_code_block(&mut self, start: usize, end: usize) {
        self.end_line(start..start);
        for c in CODE_BLOCK_NOTE.chars() {
            self.out.push(Glyph { ch: c, source: start..start, verbatim: false });
        }
        if let Some(last) = self.out.last_mut() {
            last.source.end = end;
        }
        self.state.last = '.';
        self.end_line(end..end);
    }

    /// Leaves out what marks the line as a heading, an item, a quote, a rule…
    pub(super) fn line_start(&mut self) -> Step {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(()) };
        if c == ' ' || c == '\t' {
            return self.skip(1);
        }
        let finished = self.finished;
        if matches!(c, '`' | '~')
            && let Some(len) = lookahead::fence(rest, c, finished).known()?
        {
            self.state.fence = Some(Fence { mark: c, len, start: self.state.position, mid_line: true });
            return Ok(());
        }
        if matches!(c, '-' | '*' | '_' | '=' | '|' | ':')
            && let Some(len) = lookahead::drawn_line(rest, finished).known()?
        {
            self.state.at_line_start = false;
            return self.skip(len);
        }
        match c {
            '>' => return self.skip(1),
            '•' | '‣' | '◦' | '▪' => {
                self.state.behind_bullet = true;
                return self.skip(c.len_utf8());
            }
            '-' | '*' | '+' | '–' if matches!(self.peek(c.len_utf8())?, Some(' ' | '\t')) => {
                self.state.behind_bullet = true;
                return self.skip(c.len_utf8());
            }
            '#' => {
                let hashes = lookahead::run(rest, '#', finished).known()?.unwrap_or(0);
                if hashes <= 6 && self.peek(hashes)?.is_none_or(char::is_whitespace) {
                    self.state.in_heading = true;
                    self.state.at_line_start = false;
                    return self.skip(hashes);
                }
            }
            '|' => {
                self.state.in_table_row = true;
                self.state.at_line_start = false;
                return self.skip(1);
            }
            '[' if self.state.behind_bullet => {
                if let Some(len) = lookahead::checkbox(rest, finished).known()? {
                    return self.skip(len);
                }
            }
            '0'..='9' => {
                if let Some(digits) = lookahead::list_number(rest, finished).known()? {
                    for digit in rest[..digits].chars() {
                        self.say(digit, 1, false);
                    }
                    self.say('.', 1, false);
                }
            }
            _ => {}
        }
        self.state.at_line_start = false;
        Ok(())
    }

    /// What is open within a line ends with it; emphasis, with the paragraph.
    pub(super) fn end_line(&mut self, source: Range<usize>) {
        let state = &mut *self.state;
        if state.last == '\n' {
            state.stars_open = 0;
        } else {
            self.out.push(Glyph { ch: '\n', source, verbatim: false });
        }
        *state = Speakable {
            position: state.position,
            stars_open: state.stars_open,
            fence: state.fence.take(),
            ..Speakable::default()
        };
    }
}
