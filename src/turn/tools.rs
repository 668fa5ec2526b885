//! Tools that the LLM calls: a run is one or more of its requests.
//!
//! A call is run as soon as it is known. When the LLM has ended a request and all tools that it called
//! have answered, it is asked again, with what they gave; what it wrote before and writes then is one
//! reply. While a tool (or a compaction) keeps the user waiting in silence, something is said to bridge that: the filler.
//! It is heard and belongs to no text, so the ledger counts it and the history does not hold it.
//!
//! Deliberately absent: what tools there are and what they want (the session asks its registry; to call
//! a tool that is not there gives an error like any other).

use super::Turn;
use super::config::TurnConfig;
use super::delivery::Delivery;
use super::io::{
    CallId, Event, Output, ReplyId, SegmentId, SoFar, State, Time, ToolCall, ToolResult, ToolUse,
};
use super::replying::{ENGINE_GRACE_MS, Reply, Writing};

/// Calls of one request, at most. A model that calls more is out of its mind: those are left out.
const MAX_CALLS_PER_REQUEST: usize = 16;

/// The tools of one reply.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// Requests to the LLM so far; 0 for a reply whose text is fixed.
    requests: u32,
    /// The running request may call some.
    allowed: bool,
    calls: Vec<Call>,
    /// The next token goes on behind a tool.
    goes_on: bool,
    /// The segment that was put in to bridge a wait, and its text.
    filler: Option<(SegmentId, String)>,
}

#[derive(Debug, Clone)]
struct Call {
    id: CallId,
    since: Time,
    used: ToolUse,
    /// Its result comes, if ever, behind the reply.
    by_client: bool,
}

impl Call {
    fn is_running(&self) -> bool {
        self.used.result.is_none() && !self.by_client
    }
}

impl Tools {
    /// The last request called some.
    pub fn has_calls(&self) -> bool {
        self.newest().next().is_some()
    }

    /// Calls of the last request.
    fn newest(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.used.request == self.requests)
    }

    fn running(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is_running())
    }

    /// Whether the token that comes now is the first one behind a tool.
    pub fn take_goes_on(&mut self) -> bool {
        std::mem::take(&mut self.goes_on)
    }

    /// `wanted`, or something like it: some engines number the calls of each request anew, and some
    /// not at all.
    fn unique_id(&self, wanted: String, own: CallId) -> String {
        let taken = |id: &str| id.is_empty() || self.calls.iter().any(|call| call.used.call.id == id);
        if !taken(&wanted) {
            return wanted;
        }
        let name = if wanted.is_empty() { "call" } else { &wanted };
        let others = (own.0..).map(|number| format!("{name}_{number}"));
        others.into_iter().find(|id| !taken(id)).unwrap_or(wanted)
    }

    /// The text of `segment`, if that is the filler.
    pub fn filler_in(&self, segment: SegmentId) -> Option<&str> {
        self.filler.as_ref().filter(|(id, _)| *id == segment).map(|(_, text)| text.as_str())
    }

    /// One of them wants the conversation to end.
    pub fn end_session(&self) -> bool {
        self.calls.iter().any(|call| call.used.result.as_ref().is_some_and(|result| result.ends_session))
    }

    /// The client is to run one of them: the reply ends with this request.
    pub fn for_client(&self) -> bool {
        self.calls.iter().any(|call| call.by_client)
    }

    /// All that were used.
    pub fn uses(&self) -> Vec<ToolUse> {
        self.calls.iter().map(|call| call.used.clone()).collect()
    }

    /// When a tool is late.
    pub fn deadline(&self, config: &TurnConfig) -> Option<Time> {
        let limit = u64::from(config.tool_timeout_ms) + ENGINE_GRACE_MS;
        self.running().map(|call| call.since.plus_ms(limit)).min()
    }
}

impl Reply {
    /// When the user will have waited in silence for too long: for a tool, or for a shorter history.
    pub(super) fn filler_at(&self, config: &TurnConfig) -> Option<Time> {
        let Delivery::Voice(voice) = &self.delivery else { return None };
        let since = match self.writing {
            Writing::Tools => self.tools.running().map(|call| call.since).min()?,
            Writing::Delayed(since) => since,
            Writing::Asked(_) | Writing::Since(_) | Writing::Done => return None,
        };
        // A segment with nothing to say makes no sound.
        let silent = self.waiting.iter().all(|segment| segment.spoken.is_empty())
            && self.synthesis.is_none()
            && voice.playout.sent() == self.ledger.samples();
        if config.filler.is_empty() || self.tools.filler.is_some() || !silent {
            return None;
        }
        Some(since.max(voice.playout.ends_at()?).plus_ms(config.filler_after_ms.into()))
    }

    fn trimmed_chars(&self) -> usize {
        self.segmenter.text().trim().chars().count()
    }
}

impl Turn {
    /// Asks the LLM for the reply's text, or for more of it.
    pub(super) fn ask_llm(&mut self) {
        let (now, max_rounds) = (self.now, self.config.max_rounds);
        let Some(reply) = &mut self.reply else { return };
        let user_text = reply.user.as_ref().map(|user| user.text()).unwrap_or_default();
        reply.writing = Writing::Asked(now);
        let tools = &mut reply.tools;
        tools.requests += 1;
        tools.allowed = tools.requests < max_rounds;
        tools.goes_on = tools.requests > 1;
        let so_far = (tools.requests > 1).then(|| SoFar {
            text: reply.segmenter.text().trim().to_owned(),
            tools: tools.calls.iter().map(|call| call.used.clone()).collect(),
        });
        let (request, without_tools) = (reply.request, !tools.allowed);
        let reply = reply.id;
        self.outputs.push_back(Output::Generate { reply, user_text, request, so_far, without_tools });
    }

    pub(super) fn on_tool_call(&mut self, id: ReplyId, mut call: ToolCall, by_client: bool) {
        let now = self.now;
        let own = CallId(self.last_call.0 + 1);
        let Some(reply) = self.live(id) else { return };
        let tools = &reply.tools;
        let wanted = tools.allowed && tools.newest().count() < MAX_CALLS_PER_REQUEST;
        if !reply.is_writing() || !wanted {
            return;
        }
        reply.note_token(now);
        let (turn, wanted) = (reply.turn, std::mem::take(&mut call.id));
        // The client answers when the reply has ended: its calls need names of their own in all the session.
        let wanted = if by_client { format!("call_{}_{}", turn.0, own.0) } else { wanted };
        call.id = reply.tools.unique_id(wanted, own);
        let ToolCall { id: call_id, name, arguments } = call.clone();
        let (request, after_chars) = (reply.tools.requests, reply.trimmed_chars());
        let used = ToolUse { request, call, after_chars, result: None };
        reply.tools.calls.push(Call { id: own, since: now, used, by_client });
        self.last_call = own;
        let (told_name, told_arguments) = (name.clone(), arguments.clone());
        self.tell(Event::ToolCall {
            turn,
            id: call_id,
            name: told_name,
            arguments: told_arguments,
            by_client,
            behind_words: after_chars > 0,
        });
        if by_client {
            return;
        }
        self.outputs.push_back(Output::RunTool { reply: id, call: own, name, arguments });
    }

    /// The LLM has ended a request in which it called tools: what it wrote is said meanwhile.
    pub(super) fn await_tools(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        reply.writing = Writing::Tools;
        reply.segmenter.finish();
        reply.collect_segments();
        let (written, request) = (reply.trimmed_chars(), reply.tools.requests);
        for call in reply.tools.calls.iter_mut().filter(|call| call.used.request == request) {
            call.used.after_chars = written;
        }
        self.go_on_after_tools();
    }

    pub(super) fn on_tool_done(&mut self, id: ReplyId, call: CallId, result: ToolResult) {
        let Some(reply) = self.live(id) else { return };
        let turn = reply.turn;
        let running = |known: &&mut Call| known.id == call && known.is_running();
        let Some(known) = reply.tools.calls.iter_mut().find(running) else { return };
        let (name, summary) = (known.used.call.name.clone(), result.summary.clone());
        known.used.result = Some(result);
        self.tell(Event::ToolResult { turn, name, summary });
        self.go_on_after_tools();
    }

    fn go_on_after_tools(&mut self) {
        let now = self.now;
        let Some(reply) = &mut self.reply else { return };
        if reply.writing != Writing::Tools || reply.tools.running().next().is_some() {
            return;
        }
        if reply.tools.for_client() {
            reply.finish_text();
            return;
        }
        let ends = |call: &Call| call.used.result.as_ref().is_some_and(|result| result.ends_session);
        if reply.tools.newest().all(ends) && !reply.segmenter.text().trim().is_empty() {
            // It has said goodbye already.
            reply.finish_text();
            return;
        }
        let (turn, quiet) = (reply.turn, reply.is_quiet(now));
        self.ask_llm();
        if quiet {
            self.set_state(State::Thinking, Some(turn));
        }
    }

    /// Tools that are late have failed: the LLM is told so, and finds words for it.
    pub(super) fn check_tool_timeouts(&mut self) {
        let (now, config) = (self.now, &self.config);
        let Some(reply) = self.reply.as_ref() else { return };
        if reply.tools.deadline(config).is_none_or(|at| at > now) {
            return;
        }
        let limit_ms = u64::from(config.tool_timeout_ms) + ENGINE_GRACE_MS;
        let late = |call: &&Call| call.since.plus_ms(limit_ms) <= now;
        let late: Vec<CallId> = reply.tools.running().filter(late).map(|call| call.id).collect();
        let id = reply.id;
        for call in late {
            let result = ToolResult {
                content: r#"{"error": "the tool did not answer in time"}"#.to_owned(),
                summary: "error: no answer in time".to_owned(),
                failed: true,
                ends_session: false,
            };
            self.on_tool_done(id, call, result);
        }
    }

    /// Bridges the wait.
    pub(super) fn say_filler(&mut self) {
        let (now, config) = (self.now, &self.config);
        let Some(reply) = &mut self.reply else { return };
        if reply.filler_at(config).is_none_or(|at| at > now) {
            return;
        }
        // Another one than last time, and the same one in a replay.
        let Some(text) = config.filler.get(reply.id.0 as usize % config.filler.len()) else { return };
        let segment = reply.segmenter.aside(text);
        reply.tools.filler = Some((segment.id, text.clone()));
        reply.waiting.push_back(segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_run_have_ids_of_their_own_whatever_an_engine_calls_them() {
        let mut tools = Tools::default();
        for (number, wanted) in ["call_4", "", "call_2", "call_2", "", "call_4"].into_iter().enumerate() {
            let own = CallId(number as u64 + 1);
            let id = tools.unique_id(wanted.to_owned(), own);
            let call = ToolCall { id, name: "look".to_owned(), arguments: "{}".to_owned() };
            let used = ToolUse { request: 1, call, after_chars: 0, result: None };
            tools.calls.push(Call { id: own, since: Time(0), used, by_client: false });
        }
        let ids: Vec<_> = tools.calls.iter().map(|call| call.used.call.id.as_str()).collect();
        assert_eq!(ids, ["call_4", "call_2", "call_2_3", "call_2_4", "call_5", "call_4_6"]);
    }
}
