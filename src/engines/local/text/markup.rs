//! What of a reply's text is spoken, and which parts of it call tools: `<think>…</think>` is taken
//! out, calls are cut out, wherever the text is cut into pieces.

use super::tool_calls::{CallFormat, CallIds, may_be_bare_call, read_bare_call, read_calls, unfinished};
use crate::engines::ToolCall;
use crate::engines::think::ThinkStripper;

/// Bytes of one call, at most; a reply with a longer one has run away.
const MAX_CALL_BYTES: usize = 1 << 20;

/// A part of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// To be spoken; never empty.
    Text(String),
    /// A tool is called.
    Call(ToolCall),
}

/// One reply being read.
#[derive(Debug)]
pub struct Markup {
    format: Option<CallFormat>,
    ids: CallIds,
    think: ThinkStripper,
    state: State,
    /// Text that is not spoken yet: the end that may begin a mark.
    held: String,
}

#[derive(Debug)]
enum State {
    /// At the very beginning, of a model that may write a call without a mark.
    Start,
    /// All of the reply so far may be a call without a mark.
    Bare(String),
    Text,
    /// In a call; the text behind its opening mark.
    Call(String),
    /// A call ran away; nothing more is read.
    Over,
}

impl Markup {
    /// Without a format nothing is a call.
    pub fn new(format: Option<CallFormat>, ids: CallIds, begins_in_thought: bool) -> Markup {
        let think =
            if begins_in_thought { ThinkStripper::inside_thought() } else { ThinkStripper::default() };
        let state = if format == Some(CallFormat::Llama3) { State::Start } else { State::Text };
        Markup { format, ids, think, state, held: String::new() }
    }

    /// Takes the next piece of the reply.
    pub fn push(&mut self, piece: &str) -> Vec<Part> {
        let mut parts = vec![];
        self.held.push_str(piece);
        while self.step(&mut parts) {}
        parts
    }

    /// The reply has ended; returns what was held back.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = vec![];
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start | State::Text => {
                let held = std::mem::take(&mut self.held);
                self.speak(&held, &mut parts);
            }
            State::Bare(reply) => match read_bare_call(&reply, &mut self.ids) {
                Some(call) => parts.push(Part::Call(call)),
                None => self.speak(&reply, &mut parts),
            },
            State::Call(written) => {
                let ended = self.format.is_some_and(|format| format.close().is_none());
                if ended {
                    parts.extend(read_calls(&written, &mut self.ids).into_iter().map(Part::Call));
                } else {
                    parts.push(Part::Call(unfinished(&written, &mut self.ids)));
                }
            }
            State::Over => {}
        }
        push_text(self.think.finish(), &mut parts);
        parts
    }

    /// The call in which the text so far ends: what is written of it behind its opening mark.
    pub fn call_so_far(&self) -> Option<&str> {
        match &self.state {
            State::Call(written) => Some(written),
            _ => None,
        }
    }

    /// What was thought since this was last called.
    pub fn take_thought(&mut self) -> String {
        self.think.take_thought()
    }

    /// Whether the text so far ends in a thought.
    pub fn is_in_thought(&self) -> bool {
        self.think.is_inside()
    }

    /// Reads on in `held`; false if it has to wait for more.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        match &mut self.state {
            State::Start => {
                if self.held.trim_start().is_empty() {
                    return false;
                }
                let bare = may_be_bare_call(&self.held) && !self.think.is_inside();
                self.state = if bare { State::Bare(String::new()) } else { State::Text };
                true
            }
            State::Bare(reply) => {
                reply.push_str(&std::mem::take(&mut self.held));
                if reply.len() > MAX_CALL_BYTES {
                    self.held = std::mem::take(reply);
                    self.state = State::Text;
                    return true;
                }
                false
            }
            State::Text => self.step_text(parts),
            State::Call(_) => self.step_call(parts),
            State::Over => {
                self.held.clear();
                false
            }
        }
    }

    fn step_text(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some(open) = self.format.map(CallFormat::open) else {
            let text = std::mem::take(&mut self.held);
            self.speak(&text, parts);
            return false;
        };
        let Some(at) = self.held.find(open) else {
            let begun = (1..open.len()).rev().find(|&bytes| self.held.ends_with(&open[..bytes]));
            let behind = self.held.split_off(self.held.len() - begun.unwrap_or(0));
            let text = std::mem::replace(&mut self.held, behind);
            self.speak(&text, parts);
            return false;
        };
        let behind = self.held.split_off(at + open.len());
        let mut text = std::mem::replace(&mut self.held, behind);
        text.truncate(at);
        self.speak(&text, parts);
        if self.think.is_inside() {
            self.speak(open, parts);
        } else {
            // A tag that had begun in front of the call was none.
            push_text(self.think.finish(), parts);
            self.think.skip_block();
            self.state = State::Call(String::new());
        }
        true
    }

    fn step_call(&mut self, parts: &mut Vec<Part>) -> bool {
        let State::Call(written) = &mut self.state else { return false };
        let already = written.len();
        written.push_str(&std::mem::take(&mut self.held));
        if let Some(close) = self.format.and_then(CallFormat::close) {
            let mut from = already.saturating_sub(close.len());
            while !written.is_char_boundary(from) {
                from -= 1;
            }
            while let Some(at) = written[from..].find(close).map(|at| from + at) {
                // Arguments may quote the mark.
                if !ends_in_string(&written[..at]) {
                    self.held = written.split_off(at + close.len());
                    written.truncate(at);
                    let calls = read_calls(written, &mut self.ids);
                    parts.extend(calls.into_iter().map(Part::Call));
                    self.state = State::Text;
                    return true;
                }
                from = at + close.len();
            }
        }
        if written.len() > MAX_CALL_BYTES {
            parts.push(Part::Call(unfinished(written, &mut self.ids)));
            self.state = State::Over;
        }
        false
    }

    fn speak(&mut self, text: &str, parts: &mut Vec<Part>) {
        push_text(self.think.push(text), parts);
    }
}

fn push_text(text: String, parts: &mut Vec<Part>) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(&text),
        _ => parts.push(Part::Text(text)),
    }
}

/// Whether a piece of JSON ends inside a string.
fn ends_in_string(json: &str) -> bool {
    let mut inside = false;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => {
                bytes.next();
            }
            _ => {}
        }
    }
    inside
}
