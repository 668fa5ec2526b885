//! What keeps a long conversation going: it is compacted, and what is worth keeping is remembered.
//!
//! - `compacting`: the steps of one compaction, beside the conversation or in front of a request.
//! - `summary`: who writes the summary; `asking`: a conversation of our own with the model.
//! - [`memories`]: looking for memories in the background, and recalling them.
//! - `tokens`: how long prompts are.
//!
//! What there is to decide is decided in [`crate::conversation::compaction`] and its neighbours.

mod asking;
mod compacting;
pub mod memories;
mod summary;
mod tokens;

use std::collections::HashSet;

use crate::config::Compaction;
use crate::conversation::compaction::{Breaker, Occasion, Verdict};
use crate::conversation::events::MemoryPointer;
use crate::conversation::log::SessionWriter;
use crate::conversation::usage::UsageHistory;
use crate::engines::{ChatMessage, Engines, TokenCounter, ToolSpec};
use crate::session::requests::Request;
use crate::turn::io::ReplyId;

use compacting::Job;
pub use compacting::Step;
use tokens::Counter;

/// The upkeep of one conversation.
pub struct Upkeep {
    counter: Counter,
    /// Tokens that the model counted.
    pub usage: UsageHistory,
    breaker: Breaker,
    /// The compaction that is under way.
    job: Option<Job>,
    /// Compactions so far.
    jobs: u64,
    /// A request to the model that waits, and for what.
    pub waiting: Option<(Request, Delay)>,
    /// The request that the model is at: which of the run, and its prompt's estimate.
    asked: Option<(ReplyId, u32, u64)>,
    /// The reply of which the turn machine knows that it is delayed.
    pub delayed: Option<ReplyId>,
    /// A search for memories is under way.
    remembering: bool,
    /// How far the conversation was looked through.
    pointer: MemoryPointer,
    /// Memories that are in the prompt, in the order in which they came.
    recalled: Vec<String>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// Memories that fit.
    Recall,
    /// A shorter history.
    Compaction,
}

impl Upkeep {
    /// Of a conversation that begins or goes on.
    pub fn new(count: TokenCounter, writer: &SessionWriter) -> Upkeep {
        let mut history = UsageHistory::default();
        writer.usage().iter().for_each(|usage| history.remembered(usage.clone()));
        Upkeep {
            counter: Counter::new(count),
            usage: history,
            breaker: Breaker::default(),
            job: None,
            jobs: 0,
            waiting: None,
            asked: None,
            delayed: None,
            remembering: false,
            pointer: writer.memory_pointer().clone(),
            recalled: Vec::new(),
        }
    }

    /// Tokens of a text, as the model would count them.
    pub fn tokens(&mut self, text: &str) -> u64 {
        self.usage.scaled(self.counter.of(text))
    }

    /// Tokens of a prompt, as the model would count them.
    pub fn estimate(&mut self, messages: &[ChatMessage], tools: &[ToolSpec]) -> u64 {
        self.usage.of_prompt(self.counter.of_prompt(messages, tools))
    }

    /// The model is asked.
    pub fn note_request(
        &mut self,
        reply: ReplyId,
        number: u32,
        messages: &[ChatMessage],
        tools: &[ToolSpec],
    ) {
        self.asked = Some((reply, number, self.counter.of_prompt(messages, tools)));
    }

    /// The model has ended: which request that was, and its prompt's estimate.
    pub fn take_request(&mut self, reply: ReplyId) -> Option<(u32, u64)> {
        self.asked.take_if(|(asked, ..)| *asked == reply).map(|(_, number, estimated)| (number, estimated))
    }

    /// Whether a prompt of so many tokens may be sent. What is to be read can wait for a compaction that
    /// something to be heard would have had in a pause.
    pub fn judge_request(&mut self, config: &Compaction, tokens: u64, is_read: bool) -> Verdict {
        let set = |threshold: Option<u64>| threshold.filter(|threshold| *threshold > 0);
        let proactive = set(config.threshold).filter(|_| is_read);
        let threshold = proactive.into_iter().chain(set(config.request_threshold)).min();
        self.breaker.judge(Occasion::Request, tokens, threshold)
    }

    /// Whether the pause is to be used for a compaction.
    fn judge_pause(&mut self, config: &Compaction) -> Verdict {
        self.breaker.judge(Occasion::Pause, self.usage.last_input_tokens(), config.threshold)
    }

    /// There is no compaction in this conversation any more.
    pub fn is_off(&self) -> bool {
        self.breaker.is_off()
    }

    /// Memories that are in the prompt.
    pub fn recalled(&self) -> &[String] {
        &self.recalled
    }

    fn known(&self) -> HashSet<String> {
        self.recalled.iter().cloned().collect()
    }
}

/// Whether nobody is asked, but rules decide: for models that are too small to be of help.
fn by_rule(method: &str, engines: &Engines) -> bool {
    let names = &engines.names;
    let small = names.llm == crate::engines::echo::NAME
        || (names.llm == crate::engines::local::NAME
            && names.llm_model.as_deref() == Some(crate::engines::local::source::BUILT_IN));
    method == "extract" || (method == "auto" && small)
}
