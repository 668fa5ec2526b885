//! All replies that are being written, and the next step for them together.
//!
//! A step computes one token of each reply that is past its prompt, and a piece of one prompt; the
//! network sees all these rows at once, since reading its weights costs more than computing with
//! them. Prompts take turns, a piece each, so that neither a long prompt nor a cancel waits for more
//! than one step. This is plain synchronous code without a clock or a thread: tests drive it step by
//! step; [`super::scheduler`] runs it.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::cache_pool::{CachePool, Held, SlotId, Taken};
use super::decoder::{Decoder, Sequence};
use super::writer::Writer;
use crate::engines::{CancelToken, EngineError, LlmEvent};

/// Tokens that a reply may be ahead of its reader. A slow session stops its own reply, nobody else's.
pub const TOKENS_AHEAD: usize = 32;

/// A reply to write.
pub struct Job {
    /// At least one token.
    pub prompt: Vec<u32>,
    /// Where the session's cache lives.
    pub slot: SlotId,
    /// Chooses and reads each token.
    pub writer: Writer,
    /// At least one.
    pub max_new_tokens: usize,
    /// Stops it at the next step.
    pub cancel: CancelToken,
    /// Made by [`channel`]. Dropped at the other side: stops it at the next step.
    pub written: Sender<Written>,
}

/// What becomes of a job.
#[derive(Debug)]
pub enum Written {
    /// What one more token made certain.
    Events(Vec<LlmEvent>),
    /// That was all, well or not. Always the last message.
    End(Result<Tokens, EngineError>),
}

/// What a reply took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, those that had to be read.
    pub read: usize,
    /// Of the prompt, those that the cache already had.
    pub remembered: usize,
    /// Of the reply.
    pub written: usize,
}

/// The way from a job to its reader: one message per token at most, what was held back, and the end.
pub fn channel() -> (Sender<Written>, Receiver<Written>) {
    bounded(TOKENS_AHEAD + 2)
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The network computed.
    Worked {
        /// Tokens of a prompt.
        read: usize,
        /// Replies that got a token's worth of work.
        decoded: usize,
    },
    /// All replies wait for their readers.
    Blocked,
    /// There is nothing to do.
    Idle,
}

/// All replies at work.
pub struct Batch {
    decoder: Arc<Decoder>,
    caches: Arc<CachePool>,
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    steps: u64,
}

struct Running {
    job: Job,
    held: Held,
    remembered: usize,
    /// The last token written, which the network has not seen yet.
    unread: Option<u32>,
    written: usize,
    /// The step that last read a piece of its prompt.
    served: u64,
    /// Why it ends, once it does.
    end: Option<Result<(), EngineError>>,
}

impl Running {
    fn prompt_left(&self) -> usize {
        self.job.prompt.len().saturating_sub(self.held.tokens.len())
    }

    /// Whether its prompt is read, and its reader not behind.
    fn is_to_decode(&self) -> bool {
        self.prompt_left() == 0 && self.job.written.len() < TOKENS_AHEAD
    }

    /// What the network is to read next for it, at most so many tokens of its prompt.
    fn next_rows(&self, most: usize) -> &[u32] {
        let read = self.held.tokens.len();
        match &self.unread {
            Some(token) => std::slice::from_ref(token),
            None => &self.job.prompt[read..self.job.prompt.len().min(read + most)],
        }
    }

    /// The network has read `rows`, and gave these logits if that was all there is so far.
    fn advance(&mut self, rows: &[u32], logits: Option<Vec<f32>>) {
        self.held.tokens.extend_from_slice(rows);
        self.unread = None;
        let Some(mut logits) = logits else { return };
        let next = match self.job.writer.next(&mut logits, &self.held.tokens) {
            Ok(next) => next,
            Err(error) => {
                self.end = Some(Err(error));
                return;
            }
        };
        self.written += 1;
        let ended = next.ended || self.written >= self.job.max_new_tokens;
        let mut events = next.events;
        if ended {
            events.extend(self.job.writer.finish());
        }
        // There is room: a reply whose reader is behind takes no part in a step.
        let gone = !events.is_empty() && self.job.written.try_send(Written::Events(events)).is_err();
        if gone {
            self.end = Some(Err(EngineError::Cancelled));
        } else if ended {
            self.end = Some(Ok(()));
        } else {
            self.unread = Some(next.token);
        }
    }
}

impl Batch {
    /// Nothing to do yet.
    pub fn new(decoder: Arc<Decoder>, caches: Arc<CachePool>) -> Batch {
        Batch { decoder, caches, waiting: VecDeque::new(), running: Vec::new(), steps: 0 }
    }

    /// Takes a job in.
    pub fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Does the next step; reads at most `most` tokens of a prompt in it.
    pub fn step(&mut self, most: usize) -> Progress {
        self.steps += 1;
        self.end_unwanted();
        self.admit();
        let reading = self.whose_turn_to_read();
        let read = reading.map_or(0, |at| {
            self.running[at].served = self.steps;
            self.running[at].next_rows(most).len()
        });
        let in_step =
            self.running.iter_mut().enumerate().filter_map(|(at, running)| {
                (Some(at) == reading || running.is_to_decode()).then_some(running)
            });
        let mut in_step: Vec<&mut Running> = in_step.collect();
        if in_step.is_empty() {
            return if self.running.is_empty() { Progress::Idle } else { Progress::Blocked };
        }
        let decoded = in_step.len() - usize::from(reading.is_some());
        compute(&self.decoder, &mut in_step, most);
        self.sweep();
        Progress::Worked { read, decoded }
    }

    /// Everything at work ends with this error, and what it had read is forgotten: its state is not
    /// to be trusted any more.
    pub fn fail_all(&mut self, error: &EngineError) {
        for running in self.running.drain(..) {
            self.caches.give_back(running.job.slot, None);
            let _ = running.job.written.try_send(Written::End(Err(error.clone())));
        }
    }

    /// The one that has waited longest for a piece of its prompt to be read.
    fn whose_turn_to_read(&self) -> Option<usize> {
        let reading = self.running.iter().enumerate().filter(|(_, running)| running.prompt_left() > 0);
        reading.min_by_key(|(_, running)| running.served).map(|(at, _)| at)
    }

    fn end_unwanted(&mut self) {
        for running in &mut self.running {
            if running.job.cancel.is_cancelled() {
                running.end = Some(Err(EngineError::Cancelled));
            }
        }
        self.sweep();
        self.waiting.retain(|job| {
            let wanted = !job.cancel.is_cancelled();
            if !wanted {
                let _ = job.written.try_send(Written::End(Err(EngineError::Cancelled)));
            }
            wanted
        });
    }

    /// Begins what waits and has room, first come first served: behind one that waits for memory nobody
    /// takes any. One whose session is still busy holds up nobody.
    fn admit(&mut self) {
        let mut still_waiting = VecDeque::new();
        while let Some(job) = self.waiting.pop_front() {
            let tokens = job.prompt.len() + job.max_new_tokens;
            match self.caches.take(job.slot, &job.prompt, tokens) {
                Taken::SessionBusy => still_waiting.push_back(job),
                Taken::NoRoom => {
                    still_waiting.push_back(job);
                    break;
                }
                Taken::Cache(held) => {
                    let empty = || Held { tokens: Vec::new(), cache: self.decoder.new_cache() };
                    let held = held.unwrap_or_else(empty);
                    let remembered = held.tokens.len();
                    let state =
                        Running { job, held, remembered, unread: None, written: 0, served: 0, end: None };
                    self.running.push(state);
                }
            }
        }
        still_waiting.append(&mut self.waiting);
        self.waiting = still_waiting;
    }

    /// Takes out what has ended.
    fn sweep(&mut self) {
        for running in self.running.extract_if(.., |running| running.end.is_some()) {
            let Running { job, held, remembered, written, end, .. } = running;
            let tokens =
                Tokens { read: held.tokens.len().min(job.prompt.len()) - remembered, remembered, written };
            crate::metrics::llm_reply(tokens.read, remembered, written);
            self.caches.give_back(job.slot, Some(held));
            let _ = job.written.try_send(Written::End(end.unwrap_or(Ok(())).map(|()| tokens)));
        }
    }
}

/// One pass of the network over the next rows of all of these.
fn compute(decoder: &Decoder, in_step: &mut [&mut Running], most: usize) {
    let rows: Vec<Vec<u32>> = in_step.iter().map(|running| running.next_rows(most).to_vec()).collect();
    let mut sequences = Vec::with_capacity(rows.len());
    for (running, rows) in in_step.iter_mut().zip(&rows) {
        let wants_logits = running.held.tokens.len() + rows.len() >= running.job.prompt.len();
        sequences.push(Sequence { tokens: rows, cache: &mut running.held.cache, wants_logits });
    }
    match decoder.forward(&mut sequences) {
        Ok(logits) => {
            for ((running, rows), logits) in in_step.iter_mut().zip(&rows).zip(logits) {
                running.advance(rows, logits);
            }
        }
        Err(error) => {
            let error = EngineError::from(error);
            in_step.iter_mut().for_each(|running| running.end = Some(Err(error.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
