//! A file's conversation in the log: where it goes on, and what of it is new.

use std::sync::Arc;

use super::document::words_of;
use super::fork::{Merged, Turn, diff_and_fork};
use super::lines::Speaker;
use super::reply::{self, Reply};
use crate::conversation::error::StoreError;
use crate::conversation::events::{AssistantMessage, Event, TurnEnd, TurnOutcome, UserMessage};
use crate::conversation::history::{HistoryMessage, Role};
use crate::conversation::ids::{Hash, SessionId};
use crate::conversation::log::{ConversationLog, NewSession, SessionWriter};
use crate::conversation::shown::{Shown, is_shown};

/// What a stored conversation looks like in a file: each turn with its Markdown.
pub fn written(shown: &Shown) -> Vec<(Speaker, String)> {
    let mut turns = vec![];
    let mut of_reply: Vec<&HistoryMessage> = vec![];
    for message in shown.messages() {
        match message.role {
            Role::User if is_shown(message) => {
                // Tools whose reply was never heard stand for themselves.
                turns.extend(reply_of(&mut of_reply));
                turns.push((Speaker::User, reply::written(&message.text)));
            }
            Role::Assistant if is_shown(message) => {
                of_reply.push(message);
                turns.extend(reply_of(&mut of_reply));
            }
            Role::ToolCall | Role::ToolResult => of_reply.push(message),
            _ => {}
        }
    }
    turns.extend(reply_of(&mut of_reply));
    turns
}

fn reply_of(messages: &mut Vec<&HistoryMessage>) -> Option<(Speaker, String)> {
    let reply: Reply = reply::of_history(messages.drain(..));
    (!reply.is_empty()).then(|| (Speaker::Assistant, reply.markdown()))
}

/// The turns of a stored conversation, as they would be read from its file. As many as
/// [`Shown::len`].
pub fn turns(shown: &Shown) -> Vec<Turn> {
    let mut turns: Vec<Turn> = vec![];
    let mut tools: Vec<&HistoryMessage> = vec![];
    for message in shown.messages() {
        match message.role {
            Role::ToolCall | Role::ToolResult => tools.push(message),
            Role::User | Role::Assistant if is_shown(message) => {
                let (speaker, body) = if message.role == Role::User {
                    (Speaker::User, reply::written(&message.text))
                } else {
                    tools.push(message);
                    (Speaker::Assistant, reply::of_history(tools.iter().copied()).markdown())
                };
                tools.clear();
                turns.push(Turn { speaker, text: words_of(speaker, &body) });
            }
            _ => {}
        }
    }
    turns
}

/// How a conversation goes on.
pub struct Continued {
    /// Its pen.
    pub writer: SessionWriter,
    /// What the user says now; `None`: what is to be answered is in the log already.
    pub words: Option<String>,
    /// It is another session than the file's.
    pub is_new: bool,
}

/// Who asks for a conversation to go on, and with whom.
pub struct Wanted<'a> {
    /// Named by the file; not everybody's.
    pub session: Option<SessionId>,
    /// Whose the conversation is, or is to be.
    pub owner: Hash,
    /// What the log is to keep, should a session begin.
    pub new: NewSession,
    /// The file's turns; the last is the user's.
    pub turns: &'a [Turn],
}

/// Finds where the conversation of a file goes on, and writes what the file says and the log does not, up to
/// the last words of the user. Blocking.
///
/// # Errors
/// The log cannot be read.
pub fn go_on(log: &Arc<ConversationLog>, wanted: Wanted<'_>) -> Result<Continued, StoreError> {
    let shown = wanted.session.map(|session| log.shown(session)).transpose()?.flatten();
    // A conversation of somebody else is none.
    let shown = shown.filter(|shown| shown.start.owner.is_none_or(|owner| owner == wanted.owner));
    let Wanted { turns: incoming, mut new, .. } = wanted;
    let stored = shown.as_ref().map(turns).unwrap_or_default();
    let Merged { mut kept, mut fresh } = diff_and_fork(&stored, incoming);
    let edited = kept < stored.len();
    let same_agent = shown.as_ref().is_none_or(|shown| shown.start.agent == new.agent);
    if fresh.is_empty() && (edited || !same_agent) {
        // The answer was taken out: the last words are said once more.
        kept = kept.saturating_sub(1);
        fresh = incoming[kept..].to_vec();
    }
    let words = fresh.pop().map(|turn| turn.text);
    let Some(shown) = shown else { return begin(log, new, &fresh, words) };
    if !edited && same_agent {
        let mut writer = log.continue_session(shown.session)?;
        if !fresh.is_empty() {
            let events = events_of(&fresh, writer.last_turn());
            writer.append_turn(&events, Box::new(logged));
        }
        return Ok(Continued { writer, words, is_new: false });
    }
    let point = shown.fork_behind(kept);
    new.forked_from = point.origin;
    let again = incoming[point.inherited.min(kept)..kept].iter().cloned();
    let fresh: Vec<Turn> = again.chain(fresh).collect();
    begin(log, new, &fresh, words)
}

fn begin(
    log: &Arc<ConversationLog>,
    new: NewSession,
    before: &[Turn],
    words: Option<String>,
) -> Result<Continued, StoreError> {
    // Turns of an ancestor go on counting.
    let inherited = match new.forked_from {
        Some(origin) => log.last_turn_until(origin)?,
        None => 0,
    };
    let started = log.fork_session(new, &events_of(before, inherited), Box::new(logged))?;
    Ok(Continued { writer: started.writer, words, is_new: true })
}

fn logged(result: Result<crate::conversation::store::Appended, StoreError>) {
    if let Err(error) = result {
        tracing::error!("what a Markdown file says is not in the log: {error}");
    }
}

/// What was said in a file, behind turn `last`.
fn events_of(turns: &[Turn], last: u64) -> Vec<Event> {
    let mut events = vec![];
    let mut turn = last;
    let mut answered = true;
    for Turn { speaker, text } in turns {
        let text = text.clone();
        // A reply belongs to the turn of the words before it.
        if *speaker == Speaker::User || answered {
            if turn > last {
                events.push(end_of(turn));
            }
            turn += 1;
        }
        answered = *speaker == Speaker::Assistant;
        let outcome = TurnOutcome::Completed;
        events.push(match speaker {
            Speaker::User => Event::UserMessage(UserMessage { turn, text, typed: true }),
            Speaker::Assistant => Event::AssistantMessage(AssistantMessage {
                turn,
                text,
                whole_reply: None,
                estimated: false,
                outcome,
            }),
        });
    }
    if turn > last {
        events.push(end_of(turn));
    }
    events
}

fn end_of(turn: u64) -> Event {
    Event::TurnEnd(TurnEnd { turn, outcome: TurnOutcome::Completed, metrics: Default::default() })
}
