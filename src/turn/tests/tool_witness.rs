//! What the [`Witness`](super::witness::Witness) knows of tools: its own account of every run.

use std::collections::{BTreeMap, BTreeSet};

use crate::turn::io::{CallId, Commit, Event, Input, Outcome, Output, ReplyId, ToolResult, ToolUse, TurnId};

#[derive(Debug, Clone, Default)]
pub(super) struct ToolWitness {
    runs: BTreeMap<ReplyId, Run>,
    /// The reply of the last request, and whether the LLM still writes it.
    newest: ReplyId,
    max_rounds: u32,
    calls: BTreeSet<CallId>,
    /// A result that the machine was given, to be told to the client if it is wanted.
    given: Option<(ReplyId, CallId, ToolResult)>,
    told: Option<TurnId>,
    last_commit: Option<Commit>,
}

/// The requests of one reply.
#[derive(Debug, Clone, Default)]
struct Run {
    requests: u32,
    /// The last request has not ended.
    open: bool,
    /// It was the last one of the run.
    without_tools: bool,
    /// The client is to run one of its tools.
    for_client: bool,
    tools: Vec<(CallId, Option<ToolResult>)>,
}

impl ToolWitness {
    pub fn see_input(&mut self, input: &Input, max_rounds: u32) {
        (self.given, self.max_rounds) = (None, max_rounds);
        match input {
            Input::Generated { reply, .. } => {
                self.runs.entry(*reply).and_modify(|run| run.open = false);
            }
            Input::ToolDone { reply, call, result } => self.given = Some((*reply, *call, result.clone())),
            _ => {}
        }
    }

    pub fn see_output(&mut self, output: &Output, live: &BTreeSet<ReplyId>) {
        match output {
            Output::Generate { reply, so_far, without_tools, .. } => {
                let run = self.runs.entry(*reply).or_default();
                assert!(!run.open, "asked twice at a time");
                assert!(!run.without_tools, "asked again after the last request");
                assert!(!run.for_client, "asked again before the client has answered");
                assert_eq!(so_far.is_some(), run.requests > 0);
                let used = so_far.as_ref().map_or(&[][..], |so_far| &so_far.tools);
                check_uses(used, &run.tools);
                assert!(used.iter().all(|used| used.result.is_some()), "{used:?}: not all have answered");
                assert!(
                    so_far.is_none() || used.iter().any(|used| used.request == run.requests),
                    "asked again for nothing"
                );
                run.requests += 1;
                (run.open, run.without_tools) = (true, *without_tools);
                assert!(run.requests <= self.max_rounds, "asked more often than max_rounds");
                assert_eq!(*without_tools, run.requests == self.max_rounds);
                self.newest = *reply;
            }
            Output::RunTool { reply, call, .. } => {
                assert!(live.contains(reply), "a tool for {reply:?}, which is over");
                assert!(self.calls.insert(*call), "{call:?} was used before");
                assert!(self.told.take().is_some(), "the client is told of a call before it is run");
                let run = self.runs.entry(*reply).or_default();
                assert!(run.open && !run.without_tools, "no tool may be called now");
                run.tools.push((*call, None));
            }
            Output::Tell(Event::ToolCall { by_client: true, .. }) => {
                let run = self.runs.entry(self.newest).or_default();
                assert!(run.open && !run.without_tools, "no tool may be called now");
                run.for_client = true;
                // Nobody answers it here: any id will do.
                run.tools.push((CallId(u64::MAX - run.tools.len() as u64), None));
            }
            Output::Tell(Event::ToolCall { turn, .. }) => self.told = Some(*turn),
            Output::Tell(Event::ToolResult { summary, .. }) => self.see_result(summary, live),
            Output::Commit(commit) => self.see_commit(commit),
            Output::EndSession => {
                let commit = self.last_commit.take().expect("a session ends behind a turn");
                assert_eq!(commit.outcome, Outcome::Completed, "the goodbye was not heard");
                let asked = commit.tools.iter().any(|used| ends(used.result.as_ref()));
                assert!(asked, "nobody asked for the end: {commit:?}");
            }
            _ => {}
        }
    }

    fn see_result(&mut self, summary: &str, live: &BTreeSet<ReplyId>) {
        let (reply, call, result) = match self.given.take() {
            Some(given) => given,
            // The machine has given up on one.
            None => {
                let run = self.runs.get(&self.newest).expect("there is a run");
                let (call, _) = run.tools.iter().find(|(_, result)| result.is_none()).expect("one that runs");
                let content = r#"{"error": "the tool did not answer in time"}"#.to_owned();
                let summary = "error: no answer in time".to_owned();
                let late = ToolResult { content, summary, failed: true, ends_session: false };
                (self.newest, *call, late)
            }
        };
        assert!(live.contains(&reply), "a result for {reply:?}, which is over");
        assert_eq!(summary, result.summary);
        let run = self.runs.entry(reply).or_default();
        let known = run.tools.iter_mut().find(|(id, _)| *id == call).expect("a result of what was not run");
        assert_eq!(known.1.replace(result), None, "{call:?} has answered twice");
    }

    fn see_commit(&mut self, commit: &Commit) {
        if !commit.tools.is_empty() {
            check_uses(&commit.tools, &self.runs[&self.newest].tools);
            let chars = commit.whole_reply.as_ref().unwrap_or(&commit.assistant).chars().count();
            let places: Vec<usize> = commit.tools.iter().map(|used| used.after_chars).collect();
            assert!(places.is_sorted(), "{commit:?}");
            // A superseded reply's text is not kept.
            let superseded = commit.outcome == Outcome::Superseded;
            assert!(superseded || places.last().is_none_or(|last| *last <= chars), "{commit:?}");
        }
        self.last_commit = Some(commit.clone());
    }
}

/// The machine's account is the witness's.
fn check_uses(uses: &[ToolUse], seen: &[(CallId, Option<ToolResult>)]) {
    let results: Vec<_> = uses.iter().map(|used| &used.result).collect();
    assert_eq!(results, seen.iter().map(|(_, result)| result).collect::<Vec<_>>());
    let ids: BTreeSet<&str> = uses.iter().map(|used| used.call.id.as_str()).collect();
    assert_eq!(ids.len(), uses.len(), "ids are unique in a run: {uses:?}");
    assert!(!ids.contains(""), "{uses:?}");
}

fn ends(result: Option<&ToolResult>) -> bool {
    result.is_some_and(|result| result.ends_session)
}
