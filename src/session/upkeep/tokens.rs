//! Counts the tokens of prompts, each text once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::engines::{ChatMessage, TokenCounter, ToolSpec};

/// What a chat template puts around a message, about.
const AROUND_MESSAGE: u64 = 4;
/// Texts whose count is remembered, at most.
const MOST_KNOWN: usize = 4_096;

/// A tokenizer with a memory: a prompt is the one before and a little more.
pub struct Counter {
    count: TokenCounter,
    known: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Counter {
    pub fn new(count: TokenCounter) -> Counter {
        Counter { count, known: HashMap::new(), hasher: RandomState::new() }
    }

    /// Tokens of a text.
    pub fn of(&mut self, text: &str) -> u64 {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let count = &self.count;
        *self.known.entry(self.hasher.hash_one(text)).or_insert_with(|| count(text))
    }

    /// Tokens of a prompt with these tools, about.
    pub fn of_prompt(&mut self, messages: &[ChatMessage], tools: &[ToolSpec]) -> u64 {
        let mut tokens = 0;
        for message in messages {
            tokens += AROUND_MESSAGE + self.of(&message.content);
            for call in &message.tool_calls {
                tokens += self.of(&call.name) + self.of(&call.arguments);
            }
        }
        for tool in tools {
            tokens +=
                self.of(&tool.name) + self.of(&tool.description) + self.of(&tool.parameters.to_string());
        }
        tokens
    }
}
