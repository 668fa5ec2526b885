//! Turns → events of the conversation log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::conversation::compaction::Successor;
use crate::conversation::events::{
    Amend, AssistantMessage, Event, Placed, Spot, Task, ToolCall, ToolResult, TurnEnd, TurnOutcome, Usage,
    UserMessage,
};
use crate::conversation::history::{HistoryMessage, Role};
use crate::conversation::ids::{Hash, SessionId};
use crate::conversation::log::SessionWriter;
use crate::conversation::store::OnDurable;
use crate::conversation::tasks::TaskStore;
use crate::turn::io::{Commit, Fault, Metrics, Outcome, SoFar, ToolUse, TurnId};

/// One conversation's place in the log.
pub struct Journal {
    writer: SessionWriter,
    /// Messages that were withdrawn before they were there.
    unwanted: Vec<Spot>,
    /// What the model counted, to be written with the turn.
    counted: Vec<Usage>,
    /// The turn of which a part was written before it ended.
    yielded: Option<Yielded>,
    /// The session before a compaction, until the one after it is durable.
    before: Option<Before>,
    /// The client has been told that the conversation is not being stored.
    told_unstored: Arc<AtomicBool>,
}

/// See [`Journal::yield_turn`].
#[derive(Debug, Clone, Copy)]
struct Yielded {
    turn: TurnId,
    /// Its words are in the log.
    said: bool,
    /// So many of its tools are.
    tools: usize,
    /// What was written of the reply is.
    replied: bool,
}

struct Before {
    writer: SessionWriter,
    /// What was appended to the new session since.
    since: Vec<Vec<Event>>,
}

impl Journal {
    /// Writes with this pen.
    pub fn new(writer: SessionWriter) -> Journal {
        Journal {
            writer,
            unwanted: Vec::new(),
            counted: Vec::new(),
            yielded: None,
            before: None,
            told_unstored: Arc::default(),
        }
    }

    /// The session that is written.
    pub fn session_id(&self) -> SessionId {
        self.writer.session_id()
    }

    /// The session's tasks.
    pub fn tasks(&self) -> &TaskStore {
        self.writer.tasks()
    }

    /// Writes how a task is from now on.
    pub fn set_task(&mut self, task: Task) {
        self.append(&[Event::Task(task)]);
    }

    /// The model has counted a request; it is written with its turn.
    pub fn count(&mut self, usage: Usage) {
        self.counted.push(usage);
    }

    /// The session's pen.
    pub fn writer(&self) -> &SessionWriter {
        &self.writer
    }

    /// The turn of which a part is in the log before it has ended.
    pub fn yielded(&self) -> Option<TurnId> {
        self.yielded.map(|yielded| yielded.turn)
    }

    /// Writes what a turn that has not ended has brought so far: its run goes on in another session.
    pub fn yield_turn(&mut self, turn: TurnId, said: Option<String>, typed: bool, so_far: Option<&SoFar>) {
        let before = self.yielded.filter(|yielded| yielded.turn == turn);
        let TurnId(number) = turn;
        let mut events = Vec::new();
        let spoke = said.is_some() || before.is_some_and(|before| before.said);
        if let Some(text) = said.filter(|_| before.is_none_or(|before| !before.said)) {
            events.push(Event::UserMessage(UserMessage { turn: number, text, typed }));
        }
        let tools = so_far.map(|so_far| so_far.tools.as_slice()).unwrap_or_default();
        let known = before.map_or(0, |before| before.tools);
        events.extend(tool_events(number, tools[known.min(tools.len())..].to_vec()));
        let text = so_far.map(|so_far| so_far.text.clone()).unwrap_or_default();
        let replied = !text.is_empty();
        if before.is_some_and(|before| before.replied) {
            events.push(Event::Withdrawn(reply_of(number)));
        }
        if replied {
            events.push(Event::AssistantMessage(AssistantMessage {
                turn: number,
                // What was heard of it is known at its end.
                text: String::new(),
                whole_reply: Some(text),
                estimated: true,
                outcome: TurnOutcome::Yielded,
            }));
        }
        self.yielded = Some(Yielded { turn, said: spoke, tools: tools.len(), replied });
        if !events.is_empty() {
            self.append(&events);
        }
    }

    /// How often something was appended.
    pub fn appends(&self) -> u64 {
        self.writer.appends()
    }

    /// See [`SessionWriter::settle`].
    pub fn settle(&mut self, on_durable: OnDurable) {
        self.writer.settle(on_durable);
    }

    /// Goes on in a new session that begins with `successor`, compacted from this one as it is at `hash`.
    /// [`Journal::keep_successor`] or [`Journal::revert`] follows. `false`: that cannot be.
    pub fn begin_successor(&mut self, hash: Hash, successor: &Successor, on_durable: OnDurable) -> bool {
        let Some(writer) = self.writer.compact(hash, successor, on_durable) else { return false };
        let writer = std::mem::replace(&mut self.writer, writer);
        self.before = Some(Before { writer, since: Vec::new() });
        true
    }

    /// The new session is durable.
    pub fn keep_successor(&mut self) {
        self.before = None;
        if let Some(yielded) = &mut self.yielded {
            // Of the running reply only its words and tools went along.
            yielded.replied = false;
        }
    }

    /// The new session could not be stored: what was said since then belongs to the old one.
    pub fn revert(&mut self) {
        let Some(Before { writer, since }) = self.before.take() else { return };
        self.writer = writer;
        since.iter().for_each(|events| self.append(events));
    }

    /// The last turn of the history.
    pub fn last_turn(&self) -> TurnId {
        TurnId(self.writer.last_turn())
    }

    /// Writes a turn: its messages and its end, all together or not at all. `done` is called on the
    /// log's thread when they are durable, or cannot be made so; the history has them at once, since
    /// the conversation goes on either way. Of several turns in a row that cannot be stored, the first
    /// says so: `done` hears nothing bad of the others.
    pub fn commit(&mut self, commit: Commit, done: impl FnOnce(Result<(), Fault>) + Send + 'static) {
        let events = self.events_of(commit);
        let told = Arc::clone(&self.told_unstored);
        let on_durable = move |result: Result<_, crate::conversation::error::StoreError>| {
            done(match result {
                Ok(_) => {
                    if told.swap(false, Ordering::Relaxed) {
                        tracing::info!(
                            "the conversation is stored again, with what could not be stored before"
                        );
                    }
                    Ok(())
                }
                Err(error) => {
                    tracing::error!("a turn is not in the log: {error}");
                    let message = format!("this conversation is not being stored for now: {error}");
                    match told.swap(true, Ordering::Relaxed) {
                        false => Err(Fault { code: error.code().to_owned(), message }),
                        true => Ok(()),
                    }
                }
            });
        };
        self.write(&events, Box::new(on_durable));
        for spot in std::mem::take(&mut self.unwanted) {
            self.withdraw(spot);
        }
    }

    /// Writes what a client put into the conversation.
    pub fn insert(&mut self, event: Event, placed: Option<Placed>) {
        let events: Vec<Event> = [event].into_iter().chain(placed.map(Event::Placed)).collect();
        self.append(&events);
    }

    /// Writes that the user heard this of a reply.
    pub fn amend(&mut self, TurnId(turn): TurnId, heard_text: String, estimated: bool) {
        self.append(&[Event::Amend(Amend { turn, heard_text, estimated })]);
    }

    /// Writes that a message no longer belongs to the conversation: now, or as soon as it is there.
    pub fn withdraw(&mut self, spot: Spot) {
        if self.history().iter().any(|message| message.is_at(&spot)) {
            self.append(&[Event::Withdrawn(spot)]);
        } else {
            self.unwanted.push(spot);
        }
    }

    fn append(&mut self, events: &[Event]) {
        let on_durable = |result: Result<_, crate::conversation::error::StoreError>| {
            if let Err(error) = result {
                tracing::error!("what a client changed in the conversation is not in the log: {error}");
            }
        };
        self.write(events, Box::new(on_durable));
    }

    fn write(&mut self, events: &[Event], on_durable: OnDurable) {
        if let Some(before) = &mut self.before {
            before.since.push(events.to_vec());
        }
        self.writer.append_turn(events, on_durable);
    }

    /// A turn's events, without those that were written when its run yielded.
    fn events_of(&mut self, mut commit: Commit) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        if let Some(yielded) = self.yielded.take_if(|yielded| yielded.turn == commit.turn) {
            commit.user.take_if(|_| yielded.said);
            commit.tools.drain(..yielded.tools.min(commit.tools.len()));
            let reply = reply_of(commit.turn.0);
            events.extend(yielded.replied.then_some(Event::Withdrawn(reply)));
        }
        events.extend(events_of(commit));
        // Behind the messages, before the end.
        let end = events.len().saturating_sub(1);
        events.splice(end..end, self.counted.drain(..).map(Event::Usage));
        events
    }

    /// Writes that the session is over. Done when that is durable, so that whoever goes on with it
    /// finds the log complete.
    pub async fn end(&mut self, reason: &str) {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.writer.end(reason, Box::new(|result| drop(tell.send(result))));
        if let Ok(Err(error)) = told.await {
            tracing::warn!("the end of the session is not in the log: {error}");
        }
    }

    /// What was said and heard so far.
    pub fn history(&self) -> &[HistoryMessage] {
        self.writer.history()
    }
}

/// Where a turn's reply is.
fn reply_of(turn: u64) -> Spot {
    Spot { turn, role: Role::Assistant, call_id: None }
}

fn events_of(commit: Commit) -> Vec<Event> {
    let Commit {
        turn: TurnId(turn),
        user,
        typed,
        spoken: _,
        tools,
        assistant,
        whole_reply,
        estimated,
        heard_samples: _,
        outcome,
        metrics,
    } = commit;
    let outcome = match outcome {
        Outcome::Completed => TurnOutcome::Completed,
        Outcome::Interrupted => TurnOutcome::Interrupted,
        Outcome::Empty => TurnOutcome::Empty,
        Outcome::Superseded => TurnOutcome::Superseded,
        Outcome::Failed => TurnOutcome::Failed,
    };
    let asked = user.map(|text| Event::UserMessage(UserMessage { turn, text, typed }));
    let something = !assistant.is_empty() || whole_reply.is_some();
    let answered = something.then_some(Event::AssistantMessage(AssistantMessage {
        turn,
        text: assistant,
        whole_reply,
        estimated,
        outcome,
    }));
    let end = Event::TurnEnd(TurnEnd { turn, outcome, metrics: by_stage(&metrics) });
    asked.into_iter().chain(tool_events(turn, tools)).chain(answered).chain([end]).collect()
}

/// The calls of each request, then their results.
fn tool_events(turn: u64, tools: Vec<ToolUse>) -> Vec<Event> {
    let mut events = Vec::new();
    for of_request in tools.chunk_by(|one, other| one.request == other.request) {
        events.extend(of_request.iter().map(|used| {
            let call = used.call.clone();
            Event::ToolCall(ToolCall {
                turn,
                request: used.request,
                id: call.id,
                name: call.name,
                arguments: call.arguments,
                after_chars: used.after_chars as u64,
            })
        }));
        events.extend(of_request.iter().filter_map(|used| {
            let result = used.result.clone()?;
            Some(Event::ToolResult(ToolResult {
                turn,
                id: used.call.id.clone(),
                name: used.call.name.clone(),
                content: result.content,
                summary: result.summary,
                failed: result.failed,
            }))
        }));
    }
    events
}

fn by_stage(metrics: &Metrics) -> BTreeMap<String, Option<f64>> {
    let Metrics { endpoint, asr, llm_first_token, tts_first_audio, first_audio, total } = *metrics;
    let stages = [
        ("endpoint", endpoint),
        ("asr", asr),
        ("llm_first_token", llm_first_token),
        ("tts_first_audio", tts_first_audio),
        ("first_audio", first_audio),
        ("total", total),
    ];
    stages.into_iter().map(|(stage, ms)| (stage.to_owned(), ms)).collect()
}
