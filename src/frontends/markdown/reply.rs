//! A reply as it grows, and as Markdown: words, and what was thought and what tools were used between them.

use super::lines::{Callout, Fence, escaped};
use crate::conversation::history::{HistoryMessage, Role, ToolNote};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    blocks: Vec<Block>,
    error: Option<String>,
    /// Blocks that have ended.
    ended: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Thought(String),
    Words(String),
    Tool { name: String, arguments: String, result: Option<String> },
}

impl Reply {
    /// One that is all words.
    pub fn of_words(text: &str) -> Reply {
        let mut reply = Reply::default();
        reply.write(text);
        reply
    }

    /// The next words.
    pub fn write(&mut self, text: &str) {
        match self.blocks.last_mut() {
            Some(Block::Words(words)) => words.push_str(text),
            last => {
                self.ended += usize::from(matches!(last, Some(Block::Thought(_))));
                self.blocks.push(Block::Words(text.to_owned()));
            }
        }
    }

    /// The next of what is only thought.
    pub fn think(&mut self, text: &str) {
        match self.blocks.last_mut() {
            Some(Block::Thought(thought)) => thought.push_str(text),
            _ => self.blocks.push(Block::Thought(text.to_owned())),
        }
    }

    /// A tool is called.
    pub fn call(&mut self, name: &str, arguments: &str) {
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        self.blocks.push(Block::Tool { name, arguments, result: None });
        self.end_block();
    }

    /// It has answered; in a few words.
    pub fn answered(&mut self, tool: &str, summary: &str) {
        let waiting = self.blocks.iter_mut().find_map(|block| match block {
            Block::Tool { name, result: result @ None, .. } if name == tool => Some(result),
            _ => None,
        });
        if let Some(result) = waiting {
            *result = Some(summary.to_owned());
            self.end_block();
        }
    }

    /// There is no more of it, and why.
    pub fn fail(&mut self, message: &str) {
        self.error = Some(message.to_owned());
        self.end_block();
    }

    /// The last block is complete.
    pub fn end_block(&mut self) {
        self.ended += 1;
    }

    /// Counts up with every block that ends.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Nothing is to be seen of it.
    pub fn is_empty(&self) -> bool {
        let silent = |block: &Block| match block {
            Block::Words(text) | Block::Thought(text) => text.trim().is_empty(),
            Block::Tool { .. } => false,
        };
        self.error.is_none() && self.blocks.iter().all(silent)
    }

    /// As it stands under its heading.
    pub fn markdown(&self) -> String {
        let blocks = self.blocks.iter().map(|block| match block {
            Block::Words(words) => written(words),
            Block::Thought(thought) if thought.trim().is_empty() => String::new(),
            Block::Thought(thought) => callout(Callout::Thinking, "Thought", thought.trim()),
            Block::Tool { name, arguments, result } => {
                let result = result.as_deref().map(|result| format!("\n→ {result}")).unwrap_or_default();
                callout(Callout::Tool, name, &format!("{arguments}{result}"))
            }
        });
        let error =
            self.error.iter().map(|error| callout(Callout::Error, "No reply, or not all of it", error));
        let all: Vec<String> = blocks.chain(error).filter(|block| !block.is_empty()).collect();
        all.join("\n\n")
    }
}

/// The messages of one turn of ours, as the log keeps them: calls and results, then what was heard.
pub fn of_history<'a>(messages: impl IntoIterator<Item = &'a HistoryMessage>) -> Reply {
    let mut reply = Reply::default();
    let (mut tools, mut words) = (vec![], "");
    for message in messages {
        match (&message.role, &message.tool) {
            (Role::ToolCall, Some(ToolNote::Call { name, after_chars, .. })) => {
                tools.push((*after_chars as usize, name.as_str(), message.text.as_str(), None));
            }
            (Role::ToolResult, Some(ToolNote::Result { name, summary, .. })) => {
                let waiting = tools.iter_mut().find(|(_, call, _, result)| call == name && result.is_none());
                if let Some((_, _, _, result)) = waiting {
                    *result = Some(summary.as_str());
                }
            }
            (Role::Assistant, _) => words = &message.text,
            _ => {}
        }
    }
    let mut written = 0;
    let mut rest = words;
    for (after_chars, name, arguments, result) in tools {
        let at =
            rest.char_indices().nth(after_chars.saturating_sub(written)).map_or(rest.len(), |(at, _)| at);
        let (before, behind) = rest.split_at(at);
        written += before.chars().count();
        if !before.trim().is_empty() {
            reply.write(before);
        }
        reply.call(name, arguments);
        if let Some(result) = result {
            reply.answered(name, result);
        }
        rest = behind;
    }
    if !rest.trim().is_empty() {
        reply.write(rest);
    }
    reply
}

/// Words as they stand in a file: nothing in them is taken for a turn or a callout, and a block of code
/// that is open at their end is closed.
pub fn written(words: &str) -> String {
    let mut fence = Fence::default();
    let mut lines: Vec<String> = vec![];
    for line in words.trim().lines() {
        lines.push(if fence.read(line) { escaped(line) } else { line.to_owned() });
    }
    lines.extend(fence.closing());
    lines.join("\n")
}

fn callout(callout: Callout, title: &str, body: &str) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let body: String =
        body.lines().flat_map(|line| ["\n>", if line.is_empty() { "" } else { " " }, line]).collect();
    format!("{} {title}{body}", callout.marker())
}
