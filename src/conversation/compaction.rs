//! Compaction: what of a long history goes on word for word, what becomes a summary, and when.
//!
//! A compaction makes a new session (`compacted_from`); the old one stays as it is. The new one's history
//! is the summary, the tasks, the client's own instructions, and the last turns as they were:
//!
//! ```text
//! old   u1 a1 u2 a2 u3 a3 … u9 a9 │ u10 a10 u11 a11        │: tail_start, about `retained_tokens` from the end
//! new   [summary of everything before] [tasks] │ u10 a10 u11 a11
//! ```
//!
//! Everything here is pure: who writes the summary, and when somebody has time for that, is the session's
//! matter. Deliberately absent: what it costs to be wrong about tokens; see [`super::usage`].

use super::events::{AssistantMessage, Event, SystemMessage, ToolCall, ToolResult, TurnOutcome, UserMessage};
use super::history::{HistoryMessage, Role, ToolNote};
use super::tasks::TaskStore;

/// The turn of system messages that a compaction made: no turn of a conversation has this number.
const OWN_TURN: u64 = 0;
/// What a summary begins with.
pub const SUMMARY_HEAD: &str = "[Compacted context summary]";
/// Failures in a row after which a session is not compacted any more.
const MOST_FAILURES: u32 = 3;

/// Whether a session should be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It need not, or cannot.
    No,
    /// It should.
    Compact,
    /// It was just compacted and is over the threshold again: doing so once more would not help.
    Thrash,
}

/// When the length of a conversation is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// In the pause after a reply.
    Pause,
    /// Before the model is asked.
    Request,
}

/// Knows when compaction has stopped being of use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breaker {
    failures: u32,
    off: bool,
    /// A compaction on such an occasion was the last thing that happened.
    fresh: Option<Occasion>,
}

impl Breaker {
    /// Whether a prompt of so many tokens is over the threshold (`None` or 0: there is none), and what to
    /// do about it.
    pub fn judge(&mut self, occasion: Occasion, tokens: u64, threshold: Option<u64>) -> Verdict {
        let over = threshold.is_some_and(|threshold| threshold > 0 && tokens > threshold);
        if self.off || !over {
            self.fresh.take_if(|fresh| *fresh == occasion);
            return Verdict::No;
        }
        if self.fresh == Some(occasion) {
            self.off = true;
            return Verdict::Thrash;
        }
        Verdict::Compact
    }

    /// A compaction has ended well.
    pub fn done(&mut self, occasion: Occasion) {
        *self = Breaker { failures: 0, off: self.off, fresh: Some(occasion) };
    }

    /// A compaction has failed; returns whether that was once too often.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        self.off |= self.failures >= MOST_FAILURES;
        self.off
    }

    /// There is no compaction in this session any more.
    pub fn is_off(&self) -> bool {
        self.off
    }
}

/// Where the part begins that goes on word for word: at the start of a turn, about `retained_tokens` from
/// the end; `running` (a turn that has not ended) always belongs to it. `None`: there is nothing before it
/// that a summary could stand for.
pub fn tail_start(
    history: &[HistoryMessage],
    retained_tokens: u64,
    running: Option<u64>,
    tokens: &mut dyn FnMut(&str) -> u64,
) -> Option<usize> {
    let mut start = history.len();
    let mut kept = 0;
    while start > 0 {
        let turn = history[start - 1].turn;
        let begin = history[..start].iter().rposition(|message| message.turn != turn).map_or(0, |at| at + 1);
        let of_turn: u64 = history[begin..start].iter().map(|message| tokens(&message.text)).sum();
        if running != Some(turn) && kept + of_turn > retained_tokens {
            break;
        }
        kept += of_turn;
        start = begin;
    }
    history[..start].iter().any(|message| message.role != Role::System).then_some(start)
}

/// The history's beginning in words, a line for each message, for who summarises it: at most so many
/// tokens. If it is more, an earlier summary stays, and the oldest lines behind it go.
pub fn overview(
    summarised: &[HistoryMessage],
    max_tokens: u64,
    tokens: &mut dyn FnMut(&str) -> u64,
) -> String {
    let earlier = summarised.iter().rev().find_map(summary_in);
    let lines: Vec<String> = summarised.iter().filter_map(line).collect();
    let mut room = max_tokens.saturating_sub(earlier.map_or(0, &mut *tokens));
    let mut from = lines.len();
    while from > 0 {
        let costs = tokens(&lines[from - 1]);
        if costs > room {
            break;
        }
        room -= costs;
        from -= 1;
    }
    let mut overview = String::new();
    if let Some(earlier) = earlier {
        overview.push_str("Summary of what was before:\n");
        overview.push_str(earlier);
        overview.push_str("\n\n");
    }
    if from > 0 {
        overview.push_str(&format!("({from} older messages are left out.)\n"));
    }
    overview.push_str(&lines[from..].join("\n"));
    overview
}

fn line(message: &HistoryMessage) -> Option<String> {
    let text = message.text.trim();
    match (message.role, &message.tool) {
        (Role::System, _) => None,
        (Role::User, _) => Some(format!("User: {text}")),
        (Role::Assistant, _) if text.is_empty() => None,
        (Role::Assistant, _) => Some(format!("Assistant: {text}")),
        (Role::ToolCall, Some(ToolNote::Call { name, .. })) => {
            Some(format!("Assistant calls {name}: {text}"))
        }
        (Role::ToolResult, Some(ToolNote::Result { name, summary, .. })) => {
            Some(format!("{name} gives: {}", if summary.is_empty() { text } else { summary }))
        }
        _ => None,
    }
}

/// The summary that a system message of an earlier compaction holds.
pub fn summary_in(message: &HistoryMessage) -> Option<&str> {
    let text = is_made(message).then_some(message.text.as_str())?;
    text.strip_prefix(SUMMARY_HEAD).map(str::trim)
}

/// Whether a message was made by a compaction, and is made anew by the next.
pub fn is_made(message: &HistoryMessage) -> bool {
    message.role == Role::System && message.turn == OWN_TURN
}

/// What a new session begins with, behind its `session_start`.
#[derive(Debug, Clone, PartialEq)]
pub struct Successor {
    /// The system messages that were made for it.
    pub made: Vec<SystemMessage>,
    /// Instructions of the client that stay, and the last turns.
    pub retained: Vec<Event>,
}

impl Successor {
    /// Of a history whose first `start` messages have become `summary`.
    pub fn new(history: &[HistoryMessage], start: usize, summary: &str, tasks: &TaskStore) -> Successor {
        let made = |text: String| SystemMessage { turn: OWN_TURN, text };
        let summary = format!("{SUMMARY_HEAD}\n{}", summary.trim());
        let (before, tail) = history.split_at(start);
        let instructions = before.iter().filter(|m| m.role == Role::System && !is_made(m));
        let tail = tail.iter().filter(|message| !is_made(message));
        Successor {
            made: std::iter::once(summary).chain(tasks.snapshot()).map(made).collect(),
            retained: instructions.chain(tail).map(event_of).collect(),
        }
    }

    /// All of it in order.
    pub fn events(&self) -> Vec<Event> {
        let made = self.made.iter().cloned().map(Event::SystemMessage);
        made.chain(self.retained.iter().cloned()).collect()
    }
}

/// The event that would make this message.
pub fn event_of(message: &HistoryMessage) -> Event {
    let (turn, text) = (message.turn, message.text.clone());
    match (message.role, &message.tool) {
        (Role::System, _) => Event::SystemMessage(SystemMessage { turn, text }),
        (_, Some(ToolNote::Call { id, name, request, after_chars })) => Event::ToolCall(ToolCall {
            turn,
            request: *request,
            id: id.clone(),
            name: name.clone(),
            arguments: text,
            after_chars: *after_chars,
        }),
        (_, Some(ToolNote::Result { id, name, summary, failed })) => Event::ToolResult(ToolResult {
            turn,
            id: id.clone(),
            name: name.clone(),
            content: text,
            summary: summary.clone(),
            failed: *failed,
        }),
        (Role::Assistant, None) => Event::AssistantMessage(AssistantMessage {
            turn,
            text,
            whole_reply: message.whole_reply.clone(),
            estimated: message.estimated,
            outcome: if message.interrupted { TurnOutcome::Interrupted } else { TurnOutcome::Completed },
        }),
        (Role::User | Role::ToolCall | Role::ToolResult, None) => {
            Event::UserMessage(UserMessage { turn, text, typed: message.typed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{Task, TaskStatus, Usage};
    use crate::conversation::history::apply;
    use crate::conversation::usage::UsageHistory;

    fn words(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    fn user(turn: u64, text: &str) -> Event {
        Event::UserMessage(UserMessage { turn, text: text.into(), typed: false })
    }

    fn reply(turn: u64, text: &str) -> Event {
        let (text, outcome) = (text.to_owned(), TurnOutcome::Completed);
        Event::AssistantMessage(AssistantMessage { turn, text, whole_reply: None, estimated: false, outcome })
    }

    fn history(events: &[Event]) -> Vec<HistoryMessage> {
        let mut history = vec![];
        events.iter().for_each(|event| apply(&mut history, event, 0));
        history
    }

    /// Five turns of two messages, three words each.
    fn five_turns() -> Vec<HistoryMessage> {
        let turns: Vec<Event> = (1..=5)
            .flat_map(|turn| [user(turn, &format!("question number {turn}")), reply(turn, "so it is")])
            .collect();
        history(&turns)
    }

    #[test]
    fn the_tail_is_as_many_whole_turns_as_fit() {
        let history = five_turns();
        let start = |retained, running| tail_start(&history, retained, running, &mut words);
        assert_eq!(start(0, None), Some(10));
        assert_eq!((start(5, None), start(6, None), start(11, None)), (Some(10), Some(8), Some(8)));
        assert_eq!((start(12, None), start(29, None)), (Some(6), Some(2)));
        assert_eq!(start(30, None), None, "all of it is the tail");
        assert_eq!(start(0, Some(5)), Some(8), "a turn that has not ended is never summarised");
        assert_eq!(tail_start(&[], 0, None, &mut words), None);
    }

    #[test]
    fn the_tail_is_as_long_as_the_model_counts() {
        let mut usage = UsageHistory::default();
        let start =
            |usage: &UsageHistory| tail_start(&five_turns(), 12, None, &mut |text| usage.scaled(words(text)));
        assert_eq!(start(&usage), Some(6), "two turns of six words");
        // The model counts twice as many tokens as there are words.
        let counted = Usage { turn: 1, request: 1, input_tokens: 60, output_tokens: 1, messages: 0 };
        usage.measured(counted, 30);
        assert_eq!(start(&usage), Some(8), "one turn of twelve tokens");
    }

    #[test]
    fn a_new_session_begins_with_the_summary_the_tasks_the_instructions_and_the_tail() {
        let mut tasks = TaskStore::default();
        tasks.set(Task { id: 1, title: "ring".into(), status: TaskStatus::Pending });
        let made = |text: &str| Event::SystemMessage(SystemMessage { turn: 0, text: text.into() });
        let mut events = vec![
            made("[Compacted context summary]\nThe first summary."),
            made("[Session TaskStore snapshot]\n{\"tasks\":[]}"),
            Event::SystemMessage(SystemMessage { turn: 1, text: "Speak slowly.".into() }),
        ];
        events.extend([user(2, "two"), reply(2, "zwei"), user(3, "three"), reply(3, "drei")]);
        let history = history(&events);
        let start = tail_start(&history, 2, None, &mut words).unwrap();
        let successor = Successor::new(&history, start, " All of it. ", &tasks);
        let texts: Vec<&str> = successor.made.iter().map(|made| made.text.as_str()).collect();
        assert_eq!(texts[0], "[Compacted context summary]\nAll of it.");
        assert!(texts[1].starts_with("[Session TaskStore snapshot]\n{\"tasks\":[{"), "{texts:?}");
        let instructions = Event::SystemMessage(SystemMessage { turn: 1, text: "Speak slowly.".into() });
        assert_eq!(successor.retained, [instructions, user(3, "three"), reply(3, "drei")]);
        assert_eq!(successor.events().len(), 5);
    }

    #[test]
    fn what_is_retained_is_what_it_was() {
        let events = [
            Event::UserMessage(UserMessage { turn: 1, text: "Look!".into(), typed: true }),
            Event::ToolCall(ToolCall {
                turn: 1,
                request: 2,
                id: "a".into(),
                name: "look".into(),
                arguments: "{}".into(),
                after_chars: 4,
            }),
            Event::ToolResult(ToolResult {
                turn: 1,
                id: "a".into(),
                name: "look".into(),
                content: "found".into(),
                summary: "f".into(),
                failed: true,
            }),
            Event::AssistantMessage(AssistantMessage {
                turn: 1,
                text: "I".into(),
                whole_reply: Some("I saw it.".into()),
                estimated: true,
                outcome: TurnOutcome::Interrupted,
            }),
        ];
        let made: Vec<Event> = history(&events).iter().map(event_of).collect();
        assert_eq!(made, events);
    }

    #[test]
    fn an_overview_keeps_the_earlier_summary_and_the_newest_lines() {
        let summary =
            Event::SystemMessage(SystemMessage { turn: 0, text: format!("{SUMMARY_HEAD}\nThey met.") });
        let events = [summary, user(1, "one"), reply(1, "two"), user(2, "three")];
        let history = history(&events);
        let whole = "Summary of what was before:\nThey met.\n\nUser: one\nAssistant: two\nUser: three";
        assert_eq!(overview(&history, 100, &mut words), whole);
        let part = "Summary of what was before:\nThey met.\n\n(2 older messages are left out.)\nUser: three";
        assert_eq!(overview(&history, 5, &mut words), part);
    }

    #[test]
    fn three_failures_in_a_row_switch_it_off() {
        let mut breaker = Breaker::default();
        assert!(!breaker.failed() && !breaker.failed());
        breaker.done(Occasion::Pause);
        assert_eq!(breaker.judge(Occasion::Pause, 1, Some(10)), Verdict::No);
        assert!(!breaker.failed() && !breaker.failed());
        assert_eq!(breaker.judge(Occasion::Pause, 11, Some(10)), Verdict::Compact);
        assert!(breaker.failed() && breaker.is_off());
        assert_eq!(breaker.judge(Occasion::Pause, 11, Some(10)), Verdict::No);
    }

    #[test]
    fn over_the_threshold_again_straight_after_is_thrash_and_once_only() {
        for (occasion, other) in [(Occasion::Pause, Occasion::Request), (Occasion::Request, Occasion::Pause)]
        {
            let mut breaker = Breaker::default();
            assert_eq!(breaker.judge(occasion, 11, Some(10)), Verdict::Compact);
            breaker.done(occasion);
            assert_eq!(breaker.judge(other, 9, Some(10)), Verdict::No, "another length at another time");
            assert_eq!(breaker.judge(occasion, 11, Some(10)), Verdict::Thrash);
            assert_eq!(breaker.judge(occasion, 11, Some(10)), Verdict::No);
            let mut breaker = Breaker::default();
            breaker.done(occasion);
            assert_eq!(breaker.judge(occasion, 9, Some(10)), Verdict::No);
            assert_eq!(breaker.judge(occasion, 11, Some(10)), Verdict::Compact, "it has grown since");
        }
    }

    #[test]
    fn without_a_threshold_nothing_is_ever_over_it() {
        for threshold in [None, Some(0)] {
            assert_eq!(Breaker::default().judge(Occasion::Pause, u64::MAX, threshold), Verdict::No);
        }
    }
}
