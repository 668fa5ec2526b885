//! Turns → events of the conversation log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::conversation::events::{
    Amend, AssistantMessage, Event, Placed, Spot, ToolCall, ToolResult, TurnEnd, TurnOutcome, UserMessage,
};
use crate::conversation::history::HistoryMessage;
use crate::conversation::log::SessionWriter;
use crate::turn::io::{Commit, Fault, Metrics, Outcome, ToolUse, TurnId};

/// One conversation's place in the log.
pub struct Journal {
    writer: SessionWriter,
    /// Messages that were withdrawn before they were there.
    unwanted: Vec<Spot>,
    /// The client has been told that the conversation is not being stored.
    told_unstored: Arc<AtomicBool>,
}

impl Journal {
    /// Writes with this pen.
    pub fn new(writer: SessionWriter) -> Journal {
        Journal { writer, unwanted: Vec::new(), told_unstored: Arc::default() }
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
        let events = events_of(commit);
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
        self.writer.append_turn(&events, Box::new(on_durable));
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
        self.writer.append_turn(events, Box::new(on_durable));
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

fn events_of(commit: Commit) -> Vec<Event> {
    let Commit {
        turn: TurnId(turn),
        user,
        typed,
        tools,
        assistant,
        whole_reply,
        estimated,
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
