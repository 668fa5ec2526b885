//! Questions about text that has only partly arrived: links, tags, entities, URLs, rules.
//!
//! Every answer is final: with more text it would be the same. Where it cannot be given yet it is
//! [`Look::More`], and never so for more than a bounded stretch of text.

/// The answer to a question about streamed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look<T> {
    /// It is there.
    Yes(T),
    /// It is not, whatever follows.
    No,
    /// What follows decides.
    More,
}

/// Bytes that a link text, a tag or a comment may take before it is taken for ordinary text.
const MARK_BYTES: usize = 600;
/// Bytes of a URL; what follows is taken for ordinary text.
const URL_BYTES: usize = 2_048;

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "article",
    "audio",
    "b",
    "big",
    "blockquote",
    "body",
    "br",
    "button",
    "center",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figure",
    "font",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "li",
    "link",
    "main",
    "mark",
    "meta",
    "nav",
    "ol",
    "p",
    "picture",
    "pre",
    "q",
    "s",
    "samp",
    "script",
    "section",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
];
/// Tags at which a line ends.
const BLOCK_TAGS: &[&str] = &[
    "blockquote",
    "br",
    "dd",
    "details",
    "div",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
];

/// Something in angle brackets; lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// An HTML tag or comment. `breaks`: a line ends here.
    Html {
        /// With its brackets.
        len: usize,
        /// A line ends here.
        breaks: bool,
    },
    /// `<https://…>` or `<name@host>`.
    Autolink {
        /// With its brackets.
        len: usize,
    },
}

/// Nothing follows `rest`, or not yet.
fn ran_out<T>(finished: bool) -> Look<T> {
    if finished { Look::No } else { Look::More }
}

/// As much of `rest` as a mark may take, and whether that is cut off.
fn window(rest: &str) -> (&str, bool) {
    (&rest[..rest.floor_char_boundary(MARK_BYTES)], rest.len() > MARK_BYTES)
}

/// The length of the run of `mark` at the start of `rest`, once its end is known.
pub fn run(rest: &str, mark: char, finished: bool) -> Look<usize> {
    let len = rest.len() - rest.trim_start_matches(mark).len();
    if len == rest.len() && !finished { Look::More } else { Look::Yes(len) }
}

/// Whether nothing but blanks stands between here and the end of the line; its length in bytes.
pub fn blank_to_line_end(rest: &str, finished: bool) -> Look<usize> {
    let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    match rest[blank..].chars().next() {
        Some('\n') => Look::Yes(blank),
        Some(_) => Look::No,
        None if finished => Look::Yes(blank),
        None => Look::More,
    }
}

/// A line that only draws: a horizontal rule, a heading's underline, the second row of a table.
/// Its length in bytes, without the line's end.
pub fn drawn_line(rest: &str, finished: bool) -> Look<usize> {
    let Some(mark) = rest.chars().next() else { return ran_out(finished) };
    let table = matches!(mark, '|' | '-' | ':');
    let drawn =
        |c: char| c == mark || matches!(c, ' ' | '\t' | '\r') || (table && matches!(c, '|' | '-' | ':'));
    let len = rest.find(|c| !drawn(c)).unwrap_or(rest.len());
    match rest[len..].chars().next() {
        Some('\n') => {}
        Some(_) => return Look::No,
        None if finished => {}
        None => return Look::More,
    }
    let count = |c| rest[..len].matches(c).count();
    let enough =
        if table { count('-') >= 3 || (count('-') >= 1 && count('|') >= 1) } else { count(mark) >= 3 };
    if enough { Look::Yes(len) } else { Look::No }
}

/// A fence that opens a code block: the length of its marker. A backtick later in the line makes it
/// inline code.
pub fn fence(rest: &str, mark: char, finished: bool) -> Look<usize> {
    let len = match run(rest, mark, finished) {
        Look::Yes(len) if len >= 3 => len,
        Look::Yes(_) | Look::No => return Look::No,
        Look::More => return Look::More,
    };
    let (info, cut_off) = window(&rest[len..]);
    match info.find(|c| c == '\n' || (mark == '`' && c == '`')) {
        Some(at) if info[at..].starts_with('\n') => Look::Yes(len),
        Some(_) => Look::No,
        None if finished || cut_off => Look::Yes(len),
        None => Look::More,
    }
}

/// The number of a list item, `3.` or `12)`, with a blank behind it: the count of its digits.
pub fn list_number(rest: &str, finished: bool) -> Look<usize> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 3 {
        return Look::No;
    }
    let mut behind = rest[digits..].chars();
    match (behind.next(), behind.next()) {
        (None, _) => ran_out(finished),
        (Some('.' | ')'), Some(' ' | '\t')) => Look::Yes(digits),
        (Some('.' | ')'), None) => ran_out(finished),
        _ => Look::No,
    }
}

/// A task list's `[ ] ` or `[x] `: its length in bytes.
pub fn checkbox(rest: &str, finished: bool) -> Look<usize> {
    for open in ["[ ] ", "[x] ", "[X] "] {
        if rest.starts_with(open) {
            return Look::Yes(open.len());
        }
        if open.starts_with(rest) {
            return ran_out(finished);
        }
    }
    Look::No
}

/// `rest` starts with `[`: where its `]` is, in bytes, if a link's destination follows it.
pub fn link_text(rest: &str, finished: bool) -> Look<usize> {
    let mut depth = 0usize;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if c == '\n' || at > MARK_BYTES {
            return Look::No;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return match rest[at + 1..].chars().next() {
                Some('(') => Look::Yes(at),
                Some(_) => Look::No,
                None => ran_out(finished),
            };
        }
    }
    ran_out(finished)
}

/// A footnote's mark, `[^1]`: its length in bytes.
pub fn footnote(rest: &str, finished: bool) -> Look<usize> {
    match rest.chars().nth(1) {
        None => return ran_out(finished),
        Some('^') => {}
        Some(_) => return Look::No,
    }
    let (rest, cut_off) = window(rest);
    match rest.find([']', '\n', ' ']) {
        Some(at) if rest[at..].starts_with(']') => Look::Yes(at + 1),
        None if !cut_off => ran_out(finished),
        _ => Look::No,
    }
}

/// `rest` starts with `<`.
pub fn tag(rest: &str, finished: bool) -> Look<Tag> {
    let (inner, cut_off) = window(&rest[1..]);
    match inner.chars().next() {
        None => return ran_out(finished),
        Some('!') => return comment(rest, finished),
        Some(c) if c.is_ascii_alphanumeric() || c == '/' => {}
        Some(_) => return Look::No,
    }
    let closing = inner.starts_with('/');
    let name_at = usize::from(closing);
    let name_len = inner[name_at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    if let Some(name_len) = name_len {
        let name = inner[name_at..name_at + name_len].to_ascii_lowercase();
        let behind = inner[name_at + name_len..].chars().next();
        let html = TAGS.contains(&name.as_str()) || name.contains('-') || closing;
        if html && matches!(behind, Some('>' | '/' | ' ' | '\t')) {
            return match inner.find(['>', '\n', '<']) {
                Some(at) if inner[at..].starts_with('>') => {
                    Look::Yes(Tag::Html { len: at + 2, breaks: BLOCK_TAGS.contains(&name.as_str()) })
                }
                None if !cut_off => ran_out(finished),
                _ => Look::No,
            };
        }
    }
    match inner.find(|c: char| c == '>' || c == '<' || c.is_whitespace()) {
        Some(at)
            if inner[at..].starts_with('>') && (inner[..at].contains("://") || inner[..at].contains('@')) =>
        {
            Look::Yes(Tag::Autolink { len: at + 2 })
        }
        None if !cut_off => ran_out(finished),
        _ => Look::No,
    }
}

fn comment(rest: &str, finished: bool) -> Look<Tag> {
    const OPEN: &str = "<!--";
    if !rest.starts_with(OPEN) {
        return if OPEN.starts_with(rest) { ran_out(finished) } else { Look::No };
    }
    let (rest, cut_off) = window(rest);
    match rest.find("-->") {
        Some(at) => Look::Yes(Tag::Html { len: at + 3, breaks: false }),
        None if !cut_off => ran_out(finished),
        None => Look::No,
    }
}

/// `rest` starts with `&`: the character that an HTML entity stands for, and its length in bytes.
pub fn entity(rest: &str, finished: bool) -> Look<(char, usize)> {
    const LONGEST: usize = 8;
    let name = &rest[1..];
    let len = match name.find(|c: char| !c.is_ascii_alphanumeric() && c != '#') {
        Some(at) if name[at..].starts_with(';') && at <= LONGEST => at,
        None if name.len() <= LONGEST => return ran_out(finished),
        _ => return Look::No,
    };
    let c = match &name[..len] {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "ndash" => Some('–'),
        "mdash" => Some('—'),
        "hellip" => Some('…'),
        "lsquo" => Some('‘'),
        "rsquo" => Some('’'),
        "ldquo" => Some('“'),
        "rdquo" => Some('”'),
        "laquo" => Some('«'),
        "raquo" => Some('»'),
        "bull" | "middot" => Some('·'),
        "times" => Some('×'),
        "deg" => Some('°'),
        "euro" => Some('€'),
        "pound" => Some('£'),
        "copy" => Some('©'),
        "reg" => Some('®'),
        "trade" => Some('™'),
        number => match number.strip_prefix('#').map(|n| (n.strip_prefix(['x', 'X']), n)) {
            Some((Some(hex), _)) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
            Some((None, decimal)) => decimal.parse().ok().and_then(char::from_u32),
            None => None,
        },
    };
    match c {
        Some(c) => Look::Yes((c, len + 2)),
        None => Look::No,
    }
}

/// A URL at the start of `rest` (`http://`, `https://` or `www.`): its length in bytes, without the
/// punctuation of the sentence around it.
pub fn url(rest: &str, finished: bool) -> Look<usize> {
    let mut starts = None;
    for scheme in ["http://", "https://", "www."] {
        let head = &rest.as_bytes()[..rest.len().min(scheme.len())];
        if head.eq_ignore_ascii_case(&scheme.as_bytes()[..head.len()]) {
            if head.len() < scheme.len() {
                if !finished {
                    return Look::More;
                }
            } else {
                starts = Some(scheme.len());
            }
        }
    }
    let Some(scheme_len) = starts else { return Look::No };
    match rest[scheme_len..].chars().next() {
        None => return ran_out(finished),
        Some(c) if c.is_alphanumeric() || c == '[' => {}
        Some(_) => return Look::No,
    }
    let (mut round, mut square) = (0i32, 0i32);
    let mut end = None;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => round += 1,
            ')' => round -= 1,
            '[' => square += 1,
            ']' => square -= 1,
            _ => {}
        }
        let stops = c.is_whitespace() || c.is_control() || "<>\"`|\\^{}".contains(c);
        let foreign = !c.is_ascii() && !c.is_alphanumeric();
        if stops || foreign || round < 0 || square < 0 || at >= URL_BYTES {
            end = Some(at);
            break;
        }
    }
    match end {
        None if !finished => Look::More,
        end => Look::Yes(
            rest[..end.unwrap_or(rest.len())]
                .trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', '~'])
                .len(),
        ),
    }
}

/// What of a URL is said: host and path, as a byte range of it.
pub fn spoken_part(url: &str) -> std::ops::Range<usize> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let host = &url[start..start + url[start..].find(['/', '?', '#']).unwrap_or(url.len() - start)];
    let prefixed = host.to_ascii_lowercase().starts_with("www.") && host.matches('.').count() > 1;
    let start = if prefixed { start + "www.".len() } else { start };
    let end = url[start..].find(['?', '#']).map_or(url.len(), |at| start + at);
    start..start + url[start..end].trim_end_matches('/').len()
}
