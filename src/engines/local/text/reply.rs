//! The tokens of one reply → what the model says and calls.
//!
//! ```text
//! token ─▶ bytes ─▶ characters (stream) ─▶ thoughts and calls taken out (markup) ─▶ stop strings (stream) ─▶ LlmEvent
//! ```
//!
//! Stop strings count in what is spoken only: not in thoughts, not in the arguments of a tool.

use std::sync::Arc;

use super::markup::{Markup, Part};
use super::stream::{StopStrings, Utf8Pieces};
use super::tokenizer::{TokenKind, Tokenizer};
use super::tool_calls::{CallFormat, CallIds};
use crate::engines::LlmEvent;

/// Control tokens that are part of the text: they mark thoughts and calls.
const MARKS: &[&str] = &["<think>", "</think>", "</tool_call>"];

/// How a reply is read.
#[derive(Debug, Clone, Default)]
pub struct ReplySettings {
    /// The reply ends in front of the first of these.
    pub stop: Vec<String>,
    /// How tools are called; none if the request has no tools.
    pub calls: Option<CallFormat>,
    /// The prompt ended in `<think>`.
    pub begins_in_thought: bool,
    /// Where the ids of tool calls come from; another one for every reply of a conversation.
    pub call_id_seed: u64,
}

/// One reply being read.
#[derive(Debug)]
pub struct ReplyReader {
    tokenizer: Arc<Tokenizer>,
    calls: Option<CallFormat>,
    characters: Utf8Pieces,
    markup: Markup,
    stop: StopStrings,
    ended: bool,
}

impl ReplyReader {
    /// Begins a reply.
    pub fn new(tokenizer: Arc<Tokenizer>, settings: &ReplySettings) -> ReplyReader {
        let ids = CallIds::new(settings.call_id_seed);
        ReplyReader {
            tokenizer,
            calls: settings.calls,
            characters: Utf8Pieces::default(),
            markup: Markup::new(settings.calls, ids, settings.begins_in_thought),
            stop: StopStrings::new(&settings.stop),
            ended: false,
        }
    }

    /// Takes the next token; returns what it makes certain (often nothing).
    pub fn push(&mut self, token: u32) -> Vec<LlmEvent> {
        if self.has_ended() {
            return vec![];
        }
        if self.tokenizer.ends().binary_search(&token).is_ok() {
            self.ended = true;
            return vec![];
        }
        let bytes = self.tokenizer.token_bytes(token);
        if self.tokenizer.kind(token) == TokenKind::Control && !self.is_mark(bytes) {
            return vec![];
        }
        let text = self.characters.push(bytes);
        let parts = self.markup.push(&text);
        self.events(parts)
    }

    /// The reply has ended, by a token, a stop string, a limit or from outside; returns what was held
    /// back.
    pub fn finish(&mut self) -> Vec<LlmEvent> {
        self.ended = true;
        let text = self.characters.finish();
        let mut parts = self.markup.push(&text);
        parts.extend(self.markup.finish());
        let mut events = self.events(parts);
        push_text(self.stop.flush(), &mut events);
        events
    }

    /// Whether nothing that follows can matter: a token or a stop string has ended the reply.
    pub fn has_ended(&self) -> bool {
        self.ended || self.stop.is_stopped()
    }

    /// Whether the model is thinking or writing a call: it takes time in which nothing is said.
    pub fn is_silent(&self) -> bool {
        self.call_so_far().is_some() || self.markup.is_in_thought()
    }

    /// What is written of the tool call in which the reply so far ends, behind its opening mark.
    pub fn call_so_far(&self) -> Option<&str> {
        self.markup.call_so_far()
    }

    fn is_mark(&self, bytes: &[u8]) -> bool {
        let is = |mark: &str| mark.as_bytes() == bytes;
        MARKS.iter().any(|mark| is(mark)) || self.calls.is_some_and(|format| is(format.open()))
    }

    fn events(&mut self, parts: Vec<Part>) -> Vec<LlmEvent> {
        let thought = Some(self.markup.take_thought()).filter(|thought| !thought.is_empty());
        let mut events: Vec<LlmEvent> = thought.map(LlmEvent::Thought).into_iter().collect();
        for part in parts {
            if self.stop.is_stopped() {
                break;
            }
            match part {
                Part::Text(text) => push_text(self.stop.push(&text), &mut events),
                Part::Call(call) => {
                    push_text(self.stop.flush(), &mut events);
                    if !self.stop.is_stopped() {
                        events.push(LlmEvent::ToolCall(call));
                    }
                }
            }
        }
        events
    }
}

fn push_text(text: String, events: &mut Vec<LlmEvent>) {
    match events.last_mut() {
        _ if text.is_empty() => {}
        Some(LlmEvent::Text(before)) => before.push_str(&text),
        _ => events.push(LlmEvent::Text(text)),
    }
}

#[cfg(test)]
mod tests;
