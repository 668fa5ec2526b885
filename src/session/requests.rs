//! What the language model is asked for a reply, and what has to be done before it can be asked.
//!
//! ```text
//! Output::Generate ─▶ memories that fit? ─▶ room in the prompt? ─▶ the model
//!                       (upkeep::recall)      └─ no: compaction, then on (upkeep::compacting)
//! ```
//! While a request waits here the turn machine knows that it does (`Input::Delayed`), and bridges silence.

use super::upkeep::Delay;
use super::{Session, prompt, work};
use crate::conversation::compaction::Verdict;
use crate::conversation::events;
use crate::conversation::pruning::{Pruning, pruned};
use crate::engines::{Calls, ChatMessage, LlmRequest, ReplyForm, ToolSpec, Usage};
use crate::turn::io::{CallId, Event, Fault, Input, ReplyId, SoFar, ToolResult, TurnId};

/// A request for a reply, as the turn machine wants it.
#[derive(Debug, Clone)]
pub struct Request {
    pub reply: ReplyId,
    pub user_text: String,
    pub so_far: Option<SoFar>,
    pub without_tools: bool,
}

impl Request {
    /// Which request of the run it is, from 1.
    fn number(&self) -> u32 {
        let last = self.so_far.as_ref().and_then(|so_far| so_far.tools.last());
        last.map_or(1, |used| used.request + 1)
    }
}

impl Session {
    /// The turn machine wants the model to be asked.
    pub(super) fn request(&mut self, request: Request) {
        self.last_was_read = self.is_read(request.reply);
        if request.so_far.is_none() && self.recall(&request) {
            self.delay(request, Delay::Recall);
        } else {
            self.ask_with_room(request);
        }
    }

    /// The request waits for something.
    fn delay(&mut self, request: Request, delay: Delay) {
        let reply = request.reply;
        self.upkeep.waiting = Some((request, delay));
        if self.upkeep.delayed.replace(reply) != Some(reply) {
            self.refused.push_back(Input::Delayed { reply });
        }
    }

    /// Asks the model, after a compaction if the prompt has grown too long.
    pub(super) fn ask_with_room(&mut self, request: Request) {
        if let Some(waits) = self.compaction_before(&request) {
            if waits {
                self.delay(request, Delay::Compaction);
            } else {
                self.ask(request);
            }
            return;
        }
        let (messages, tools) = self.prompt_of(&request);
        let tokens = self.upkeep.estimate(&messages, &tools);
        match self.upkeep.judge_request(&self.config.compaction, tokens, self.is_read(request.reply)) {
            Verdict::No => self.ask(request),
            Verdict::Compact if self.begin_compaction(Some(&request)) => {
                self.delay(request, Delay::Compaction);
            }
            Verdict::Compact => self.ask_if_it_fits(request),
            Verdict::Thrash => {
                self.tell_thrash();
                self.ask_if_it_fits(request);
            }
        }
    }

    /// A compaction could not be had: the model is asked all the same, if it can take the prompt in.
    pub(super) fn ask_if_it_fits(&mut self, request: Request) {
        let (messages, tools) = self.prompt_of(&request);
        let (tokens, reply) = (self.upkeep.estimate(&messages, &tools), request.reply);
        match self.context_tokens() {
            Some(context) if tokens > context => {
                let message = format!(
                    "the conversation takes about {tokens} of {context} tokens and could not be compacted; start a \
                     new one, or raise compaction.context_tokens if the model can take in more"
                );
                let fault = Fault { code: "context_full".to_owned(), message };
                self.go_on(reply);
                self.refused.push_back(Input::Generated { reply, result: Err(fault) });
            }
            _ => self.ask(request),
        }
    }

    /// Tokens that the model can take in, as far as that is known.
    fn context_tokens(&self) -> Option<u64> {
        let local = self.work.engines().names.llm == crate::engines::local::NAME;
        let own = local.then_some(self.config.llm.local.context_tokens as u64);
        self.config.compaction.context_tokens.or(own)
    }

    /// A request that waited does so no longer.
    pub(super) fn go_on(&mut self, reply: ReplyId) {
        if self.upkeep.delayed.take_if(|delayed| *delayed == reply).is_some() {
            self.refused.push_back(Input::Asked { reply });
        }
    }

    /// Asks the model.
    pub(super) fn ask(&mut self, request: Request) {
        let (messages, tools) = self.prompt_of(&request);
        if request.so_far.is_none() && self.prompt.as_ref().is_none_or(|(id, _)| *id != request.reply) {
            self.prompt = Some((request.reply, messages.clone()));
        }
        let wish = self.by_client.wish(request.reply);
        let max_new_tokens = self.max_new_tokens(wish);
        let calls = wish.and_then(|wish| wish.calls.as_ref()).unwrap_or(&self.settings.calls);
        // What must be called has been, where the reply goes on behind a call.
        let form = if request.so_far.is_none() { calls.form(&tools) } else { ReplyForm::Free };
        self.upkeep.note_request(request.reply, request.number(), &messages, &tools);
        let asked = LlmRequest { messages, tools, max_new_tokens, form, ..LlmRequest::default() };
        self.go_on(request.reply);
        if let Err(error) = self.work.generate(request.reply, asked, self.shows_thoughts) {
            let result = Err(work::saturated(error));
            self.refused.push_back(Input::Generated { reply: request.reply, result });
        }
    }

    /// The whole prompt, and the tools that the model may call.
    fn prompt_of(&mut self, request: &Request) -> (Vec<ChatMessage>, Vec<ToolSpec>) {
        let wish = self.by_client.wish(request.reply);
        let calls = wish.and_then(|wish| wish.calls.as_ref()).unwrap_or(&self.settings.calls);
        let none = request.without_tools || *calls == Calls::Never;
        let tools = if none { Vec::new() } else { self.tools_for(wish) };
        let mut messages = match &self.prompt {
            Some((id, prompt)) if *id == request.reply => prompt.clone(),
            _ => {
                let wished = wish.and_then(|wish| wish.instructions.clone());
                let instructions = wished.unwrap_or_else(|| self.instructions());
                self.begin_prompt(&instructions, request)
            }
        };
        if let Some(so_far) = &request.so_far {
            prompt::go_on(&mut messages, so_far);
        }
        (messages, tools)
    }

    fn begin_prompt(&mut self, instructions: &str, request: &Request) -> Vec<ChatMessage> {
        let config = &self.config.compaction;
        let compacts = config.is_on() && !self.upkeep.is_off();
        let most = if compacts { usize::MAX } else { self.config.llm.history_messages };
        let limits = Pruning {
            min_savings: config.prune_min_savings,
            protected_tokens: config.prune_protected_tokens,
        };
        let running = self.running_turn(request.reply);
        // What a run wrote into the log when it was compacted comes with the request itself.
        let history: Vec<_> = match self.journal.yielded() {
            Some(turn) if running == Some(turn) => {
                self.journal.history().iter().filter(|message| message.turn != turn.0).cloned().collect()
            }
            _ => self.journal.history().to_vec(),
        };
        let upkeep = &mut self.upkeep;
        let pruned =
            (limits.min_savings > 0).then(|| pruned(&history, limits, &mut |text| upkeep.tokens(text)));
        let history = pruned.flatten().unwrap_or(history);
        prompt::of_turn(instructions, &history, most, request.user_text.clone())
    }

    /// The persona, and what is known of earlier conversations.
    pub(super) fn instructions(&self) -> String {
        let recalled = self.upkeep.recalled();
        if recalled.is_empty() {
            return self.settings.persona.prompt();
        }
        let mut persona = self.settings.persona.clone();
        persona.facts.extend_from_slice(recalled);
        persona.prompt()
    }

    /// The model has ended a request.
    pub(super) fn on_usage(&mut self, reply: ReplyId, usage: Usage) {
        let turn = self.running_turn(reply).map_or(0, |TurnId(turn)| turn);
        let messages = self.journal.history().iter().filter(|message| message.turn != turn).count() as u64;
        let counted = |(request, estimated)| {
            let usage = events::Usage {
                turn,
                request,
                input_tokens: usage.input_tokens.into(),
                output_tokens: usage.output_tokens.into(),
                messages,
            };
            (usage, estimated)
        };
        if let Some((usage, estimated)) = self.upkeep.take_request(reply).map(counted) {
            self.journal.count(usage.clone());
            self.upkeep.usage.measured(usage, estimated);
        }
    }

    /// The turn of a reply that is under way.
    pub(super) fn running_turn(&self, reply: ReplyId) -> Option<TurnId> {
        self.running.filter(|(running, _)| *running == reply).map(|(_, turn)| turn)
    }

    /// The reply is to be read, not heard.
    fn is_read(&self, reply: ReplyId) -> bool {
        self.by_client.wish(reply).map_or(self.settings.turn.text_only, |wish| wish.text_only)
    }

    /// A tool of this conversation's own.
    pub(super) fn run_own_tool(&mut self, reply: ReplyId, call: CallId, name: &str, arguments: &str) {
        let answer = match self.journal.tasks().run(name, arguments) {
            Ok((content, changed)) => {
                let summary = content.clone();
                changed.into_iter().for_each(|task| self.journal.set_task(task));
                crate::tools::Answer::new(content, &summary)
            }
            Err(wrong) => crate::tools::Answer::error(&wrong),
        };
        let crate::tools::Answer { content, summary, failed, ends_session } = answer;
        let result = ToolResult { content, summary, failed, ends_session };
        self.refused.push_back(Input::ToolDone { reply, call, result });
    }

    pub(super) fn tell_thrash(&mut self) {
        let message = "the conversation is over the threshold again straight after a compaction; it is not compacted \
                       any more (compaction.retained_tokens or the summary's limits are too high for the threshold)";
        let fault = Fault { code: "compact_thrash".to_owned(), message: message.to_owned() };
        self.tell(Event::Error { turn: None, fault });
    }
}
