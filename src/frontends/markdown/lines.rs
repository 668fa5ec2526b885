//! What a line of a Markdown file is to us: a heading that begins a turn, a fence, a callout of ours. And
//! how words that look like one of these are written, so that they are not taken for it.

/// Who says a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// `### User:`
    User,
    /// `### Assistant:`
    Assistant,
}

impl Speaker {
    /// The heading of this speaker's turns.
    pub fn heading(self) -> &'static str {
        match self {
            Speaker::User => "### User:",
            Speaker::Assistant => "### Assistant:",
        }
    }
}

/// Callouts that are no words of the conversation: shown collapsed, and skipped by the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callout {
    /// What a model thought before it spoke.
    Thinking,
    /// What it asked a tool, and the answer.
    Tool,
    /// Why there is no reply, or no more of it.
    Error,
}

impl Callout {
    const ALL: [Callout; 3] = [Callout::Thinking, Callout::Tool, Callout::Error];

    /// How its first line begins.
    pub fn marker(self) -> &'static str {
        match self {
            Callout::Thinking => "> [!thinking]-",
            Callout::Tool => "> [!tool]-",
            Callout::Error => "> [!error]-",
        }
    }

    /// The one that `line` begins.
    pub fn of(line: &str) -> Option<Callout> {
        Callout::ALL.into_iter().find(|callout| line.starts_with(callout.marker()))
    }
}

/// Whose turn `line` begins, outside of a fence.
pub fn heading(line: &str) -> Option<Speaker> {
    let name = line.strip_prefix("###")?.trim_end();
    let name = name.strip_prefix([' ', '\t'])?.trim_start();
    if name.eq_ignore_ascii_case("user:") {
        Some(Speaker::User)
    } else if name.eq_ignore_ascii_case("assistant:") {
        Some(Speaker::Assistant)
    } else {
        None
    }
}

/// `line` as it is written in a turn: words that look like a heading or a callout of ours get a backslash,
/// which Markdown does not show.
pub fn escaped(line: &str) -> String {
    let bare = line.trim_start_matches('\\');
    if is_special(bare) { format!("\\{line}") } else { line.to_owned() }
}

/// The reverse of [`escaped`].
pub fn unescaped(line: &str) -> &str {
    match line.strip_prefix('\\') {
        Some(rest) if is_special(rest.trim_start_matches('\\')) => rest,
        _ => line,
    }
}

fn is_special(bare: &str) -> bool {
    heading(bare).is_some() || Callout::of(bare).is_some()
}

/// Whether the lines that follow stand in a code block: what looks like a heading there is none.
///
/// A little more generous than CommonMark, which has fences end with the list or quote that they stand in:
/// a fence behind the marker of a list counts, however far it is indented, and one in a quote does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fence {
    open: Option<(char, usize)>,
}

impl Fence {
    /// Goes on with the next line. Whether that line is words, and neither fence nor code.
    pub fn read(&mut self, line: &str) -> bool {
        let line = line.trim();
        match self.open {
            Some((mark, length)) => {
                let marks = line.chars().take_while(|c| *c == mark).count();
                if marks >= length && line.len() == marks {
                    self.open = None;
                }
                false
            }
            None => {
                self.open = opening(behind_list_markers(line));
                self.open.is_none()
            }
        }
    }

    /// The line that ends the block, if one is open.
    pub fn closing(&self) -> Option<String> {
        self.open.map(|(mark, length)| mark.to_string().repeat(length))
    }
}

fn opening(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    // Words in backticks are no fence.
    let words = mark == '`' && line[length..].contains('`');
    (length >= 3 && !words).then_some((mark, length))
}

fn behind_list_markers(line: &str) -> &str {
    let mut rest = line;
    loop {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let numbered = (digits.len() < rest.len()).then(|| digits.strip_prefix(['.', ')'])).flatten();
        let behind = rest.strip_prefix(['-', '*', '+']).or(numbered);
        match behind.and_then(|behind| behind.strip_prefix([' ', '\t'])) {
            Some(behind) => rest = behind.trim_start(),
            None => return rest,
        }
    }
}
