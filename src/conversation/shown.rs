//! A conversation as a person sees it: everything that was said, through forks and compactions.
//!
//! The model of a compacted session is given a summary and the last words; the person who talks with it
//! still has all of them. So what is shown follows `compacted_from` back, and leaves out what only the
//! compaction wrote: system messages, and the copies of the last words that it retained. And where a person
//! changes something that was said long ago, the conversation goes on from there in the session that holds
//! it: [`Shown::fork_behind`].

use super::chain::StoredEvent;
use super::error::StoreError;
use super::events::{Event, Origin, SessionStart, Spot};
use super::history::{self, HistoryMessage, Role, ToolNote};
use super::ids::SessionId;
use super::log::ConversationLog;
use super::store::MAX_COMPACTIONS;

/// See the module.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The newest session of the conversation: the one that goes on.
    pub session: SessionId,
    /// How that one began.
    pub start: SessionStart,
    /// When the conversation began, µs since 1970 UTC.
    pub began_at_unix_us: i64,
    /// Oldest first; each but the first is the compaction of the one before.
    segments: Vec<Segment>,
}

/// What one session, with those that it was forked from, adds to a conversation.
#[derive(Debug, Clone)]
struct Segment {
    lineage: Vec<StoredEvent>,
    /// What is to be seen of it, in order, with the tools that were used.
    messages: Vec<HistoryMessage>,
}

/// Where a conversation goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkPoint {
    /// The place; `None`: there is none, and nothing is inherited.
    pub origin: Option<Origin>,
    /// So many of the shown messages are inherited.
    pub inherited: usize,
}

/// Whether a message is one that people see: words of the user or of ours.
pub fn is_shown(message: &HistoryMessage) -> bool {
    matches!(message.role, Role::User | Role::Assistant) && !message.text.trim().is_empty()
}

impl Segment {
    fn of(lineage: Vec<StoredEvent>) -> Segment {
        let mut messages = messages_of(&lineage);
        messages.retain(|message| message.role != Role::System);
        Segment { lineage, messages }
    }

    /// Leaves what a compaction took along to the session behind it: the words that it retained, and the
    /// reply of which a part was written before it. Turns are numbered on, so that both have one place.
    fn leave(&mut self, taken: &[HistoryMessage]) {
        self.messages.retain(|message| {
            let place = place_of(message);
            !taken.iter().any(|again| again.is_at(&place))
        });
    }

    /// How many people see.
    fn len(&self) -> usize {
        self.messages.iter().filter(|message| is_shown(message)).count()
    }
}

fn messages_of(events: &[StoredEvent]) -> Vec<HistoryMessage> {
    let mut messages = vec![];
    for stored in events {
        if let Some(event) = stored.event() {
            history::apply(&mut messages, &event, stored.at_unix_us);
        }
    }
    messages
}

fn place_of(message: &HistoryMessage) -> Spot {
    let call_id = message.tool.as_ref().map(|(ToolNote::Call { id, .. } | ToolNote::Result { id, .. })| id);
    Spot { turn: message.turn, role: message.role, call_id: call_id.cloned() }
}

impl Shown {
    /// Everything that was said, oldest first, with the tools that were used between.
    pub fn messages(&self) -> impl Iterator<Item = &HistoryMessage> {
        self.segments.iter().flat_map(|segment| &segment.messages)
    }

    /// How many of [`Shown::messages`] people see.
    pub fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Nothing has been said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every session of it, the newest first: itself, what it was compacted from, and all their ancestors.
    pub fn sessions(&self) -> Vec<SessionId> {
        let mut sessions: Vec<SessionId> = vec![self.session];
        for stored in self.segments.iter().rev().flat_map(|segment| segment.lineage.iter().rev()) {
            if !sessions.contains(&stored.session) {
                sessions.push(stored.session);
            }
        }
        sessions
    }

    /// Where to fork so that the first `kept` of the shown messages are inherited, or as many as there is a
    /// place behind (an amendment that came later than the next turn takes away the place before it).
    pub fn fork_behind(&self, kept: usize) -> ForkPoint {
        let mut before = 0;
        let mut segments = self.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            let len = segment.len();
            if kept < before + len || segments.peek().is_none() {
                let Some((origin, there)) = place_behind(segment, kept.saturating_sub(before)) else { break };
                return ForkPoint { origin: Some(origin), inherited: before + there };
            }
            before += len;
        }
        ForkPoint { origin: None, inherited: 0 }
    }
}

/// The last event of a segment behind which its first `kept` shown messages, or as many of them as can be,
/// are all that is shown; and how many those are.
fn place_behind(segment: &Segment, kept: usize) -> Option<(Origin, usize)> {
    let seen = segment.messages.iter().filter(|message| is_shown(message));
    let wanted: Vec<(Role, &str)> = seen.take(kept).map(|m| (m.role, m.text.as_str())).collect();
    let mut found = None;
    let mut history: Vec<HistoryMessage> = vec![];
    for stored in &segment.lineage {
        let Some(event) = stored.event() else { continue };
        history::apply(&mut history, &event, stored.at_unix_us);
        // A call without its turn's words behind it belongs to what comes next.
        if matches!(event, Event::ToolCall(_) | Event::ToolResult(_)) {
            continue;
        }
        let shown: Vec<(Role, &str)> =
            history.iter().filter(|m| is_shown(m)).map(|m| (m.role, m.text.as_str())).collect();
        let fits = shown.len() <= wanted.len() && shown[..] == wanted[..shown.len()];
        if fits && found.is_none_or(|(_, there)| shown.len() >= there) {
            found = Some((Origin { session: stored.session, hash: stored.hash }, shown.len()));
        }
        if shown.len() > wanted.len() + MAX_AMENDED {
            break;
        }
    }
    found
}

/// Messages behind a place that can still change what is before it, at most.
const MAX_AMENDED: usize = 64;

impl ConversationLog {
    /// The conversation that `session` belongs to, from its beginning to its newest session; `None` if there
    /// is no such session. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn shown(&self, session: SessionId) -> Result<Option<Shown>, StoreError> {
        let session = self.newest(session)?;
        let mut newest_first: Vec<Segment> = vec![];
        let mut next = Some((session, None));
        // What the compaction behind a segment took along, though a fork may have left it out again.
        let mut taken: Vec<HistoryMessage> = vec![];
        while let Some((session, until)) = next.take() {
            let lineage = match self.lineage(session, until) {
                Ok(lineage) => lineage,
                Err(StoreError::UnknownSession { .. }) => break, // deleted, or never there
                Err(error) => return Err(error),
            };
            let root = lineage.first().map(|first| (first.session, first.event()));
            let mut segment = Segment::of(lineage);
            segment.leave(&taken);
            newest_first.push(segment);
            if let Some((root, Some(Event::SessionStart(SessionStart { compacted_from: Some(origin), .. })))) =
                root
                && newest_first.len() < MAX_COMPACTIONS
            {
                taken = messages_of(&self.store.load(root, None)?);
                next = Some((origin.session, Some(origin.hash)));
            }
        }
        let segments: Vec<Segment> = newest_first.into_iter().rev().collect();
        let began_at_unix_us =
            segments.first().and_then(|segment| segment.lineage.first()).map_or(0, |first| first.at_unix_us);
        let own =
            segments.iter().flat_map(|segment| &segment.lineage).find(|stored| stored.session == session);
        let Some(Event::SessionStart(start)) = own.and_then(StoredEvent::event) else { return Ok(None) };
        Ok(Some(Shown { session, start, began_at_unix_us, segments }))
    }

    /// The session that goes on with `session`, through its compactions. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn newest(&self, session: SessionId) -> Result<SessionId, StoreError> {
        Ok(self.successor(session)?.unwrap_or(session))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::conversation::events::{
        AssistantMessage, SystemMessage, ToolCall, TurnEnd, TurnOutcome, UserMessage,
    };
    use crate::conversation::log::{NewSession, SessionWriter};

    struct Fixture {
        _folder: tempfile::TempDir,
        log: Arc<ConversationLog>,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let log = ConversationLog::open(&format!("sqlite://{}/log.sqlite", folder.path().display())).unwrap();
        Fixture { _folder: folder, log }
    }

    fn turn(turn: u64, said: &str) -> Vec<Event> {
        let heard = format!("{said}!");
        let outcome = TurnOutcome::Completed;
        let call = ToolCall {
            turn,
            request: 1,
            id: "a".into(),
            name: "now".into(),
            arguments: "{}".into(),
            after_chars: 0,
        };
        vec![
            Event::UserMessage(UserMessage { turn, text: said.into(), typed: true }),
            Event::ToolCall(call),
            Event::AssistantMessage(AssistantMessage {
                turn,
                text: heard,
                whole_reply: None,
                estimated: false,
                outcome,
            }),
            Event::TurnEnd(TurnEnd { turn, outcome, metrics: BTreeMap::new() }),
        ]
    }

    impl Fixture {
        /// A session of its own, with these events.
        fn start(&self, new: NewSession, events: &[Event]) -> SessionWriter {
            let (tell, told) = bounded(1);
            let done = Box::new(move |result: Result<_, StoreError>| tell.send(result.is_ok()).unwrap());
            let started = self.log.fork_session(new, events, done).unwrap();
            assert!(told.recv().unwrap());
            started.writer
        }

        fn end_of(&self, session: SessionId) -> Origin {
            let hash = self.log.lineage(session, None).unwrap().last().unwrap().hash;
            Origin { session, hash }
        }

        fn shown(&self, session: SessionId) -> Shown {
            self.log.shown(session).unwrap().unwrap()
        }
    }

    fn texts(shown: &Shown) -> Vec<&str> {
        shown.messages().filter(|message| is_shown(message)).map(|message| message.text.as_str()).collect()
    }

    /// A conversation of two turns, compacted with the second retained, then a third.
    fn compacted(log: &Fixture) -> (SessionId, SessionId) {
        let old = log.start(NewSession::default(), &[turn(1, "a"), turn(2, "b")].concat()).session_id();
        let summary =
            Event::SystemMessage(SystemMessage { turn: 0, text: "[Compacted context summary] a".into() });
        let compacted_from = Some(log.end_of(old));
        let new = NewSession { compacted_from, ..NewSession::default() };
        let events = [vec![summary], turn(2, "b"), turn(3, "c")].concat();
        (old, log.start(new, &events).session_id())
    }

    #[test]
    fn a_compaction_takes_nothing_from_what_is_shown() {
        let log = fixture();
        let (old, new) = compacted(&log);
        for asked in [old, new] {
            let shown = log.shown(asked);
            assert_eq!((shown.session, texts(&shown)), (new, vec!["a", "a!", "b", "b!", "c", "c!"]));
            assert_eq!((shown.len(), shown.sessions()), (6, vec![new, old]));
            let calls = shown.messages().filter(|message| message.role == Role::ToolCall).count();
            assert_eq!(calls, 3, "each once");
        }
        assert!(log.log.shown(SessionId::random()).unwrap().is_none());
    }

    #[test]
    fn a_fork_goes_on_from_the_session_that_holds_the_place() {
        let log = fixture();
        let (old, new) = compacted(&log);
        let shown = log.shown(new);
        let all = texts(&shown).into_iter().map(str::to_owned).collect::<Vec<_>>();
        for kept in 0..=all.len() {
            let ForkPoint { origin, inherited } = shown.fork_behind(kept);
            assert_eq!(inherited, kept);
            // What the compaction retained is in the new session, what it summarised in the old one alone.
            assert_eq!(origin.unwrap().session, if kept < 2 { old } else { new }, "{kept}");
            let forked = NewSession { forked_from: origin, ..NewSession::default() };
            let forked = log.start(forked, &turn(9, "other")).session_id();
            let expected: Vec<&str> =
                all[..kept].iter().map(String::as_str).chain(["other", "other!"]).collect();
            assert_eq!(texts(&log.shown(forked)), expected, "{kept}");
        }
    }
}
