//! From the network's logits to the next token and what it says: one reply's constraint, sampler and
//! reader.

use super::text::{Constraint, ReplyReader, Sampler};
use crate::engines::{EngineError, LlmEvent};

/// Chooses and reads the tokens of one reply.
pub struct Writer {
    /// What the vocabulary holds; logits beyond are padding.
    vocab_size: usize,
    sampler: Sampler,
    constraint: Option<Constraint>,
    reader: ReplyReader,
}

/// One more token of a reply.
pub struct Next {
    /// The token.
    pub token: u32,
    /// What it makes certain.
    pub events: Vec<LlmEvent>,
    /// Nothing that follows can matter.
    pub ended: bool,
}

impl Writer {
    /// Begins a reply.
    pub fn new(
        vocab_size: usize,
        sampler: Sampler,
        constraint: Option<Constraint>,
        reader: ReplyReader,
    ) -> Writer {
        Writer { vocab_size, sampler, constraint, reader }
    }

    /// Chooses the next token. `logits`: one per row of the LM head; `before`: all tokens so far.
    pub fn next(&mut self, logits: &mut [f32], before: &[u32]) -> Result<Next, EngineError> {
        let vocab_size = self.vocab_size.min(logits.len());
        let logits = &mut logits[..vocab_size];
        if let Some(constraint) = &mut self.constraint {
            constraint.mask(logits).map_err(failed)?;
        }
        let token = self.sampler.choose(logits, before).map_err(failed)?;
        let events = self.reader.push(token);
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(token, &self.reader).map_err(failed)?;
        }
        Ok(Next { token, events, ended: self.reader.has_ended() })
    }

    /// The reply ends here, for whatever reason; returns what was held back.
    pub fn finish(&mut self) -> Vec<LlmEvent> {
        self.reader.finish()
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: super::NAME, code: "llm_failed", message: error.to_string() }
}
