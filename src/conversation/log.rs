//! What the rest of the house uses: the log as a whole, and one session's pen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::backlog::{Backlog, Timed};
use super::chain::{Damage, StoredEvent};
use super::compaction::Successor;
use super::error::StoreError;
use super::events::{Event, MemoryPointer, Origin, SessionEnd, SessionStart, TurnOutcome, Usage};
use super::history::{self, HistoryMessage};
use super::ids::{Hash, Head, SessionId};
use super::postgres::{PostgresStore, is_postgres_url};
use super::projections::{ConversationRow, Ended, Whose};
use super::sqlite::{Access, SqliteOptions, SqliteStore, sqlite_path};
use super::store::{MAX_COMPACTIONS, NewEvent, OnDurable, Place, SharedHead, Store, now_unix_us};
use super::tasks::TaskStore;
use super::tokens::{new_resume_token, token_hash, token_matches};
use super::upkeep::AuditPen;

/// Forks of forks of forks … that are followed back for a history.
const MAX_ANCESTORS: usize = 64;

/// The event log of the server.
#[derive(Debug)]
pub struct ConversationLog {
    pub(super) store: Arc<dyn Store>,
    pub(super) audits: AuditPen,
}

impl ConversationLog {
    /// Opens the store that `store.url` names, and makes it where it is missing. Blocking.
    ///
    /// # Errors
    /// Where it cannot be used at all. Sessions found damaged are logged and left alone.
    pub fn open(url: &str) -> Result<Arc<ConversationLog>, StoreError> {
        ConversationLog::open_as(url, Access::Create)
    }

    /// Opens the store that `store.url` names, as `access` says. Blocking.
    ///
    /// # Errors
    /// As [`ConversationLog::open`].
    pub fn open_as(url: &str, access: Access) -> Result<Arc<ConversationLog>, StoreError> {
        let store: Arc<dyn Store> = if is_postgres_url(url) {
            Arc::new(PostgresStore::open(url, access)?)
        } else {
            let options = SqliteOptions { access, ..SqliteOptions::default() };
            Arc::new(SqliteStore::open(&sqlite_path(url)?, options)?)
        };
        for cut in store.cut_on_open() {
            tracing::error!("event log: {cut}");
        }
        for problem in store.damaged_on_open() {
            tracing::warn!("event log: {problem}; nothing is appended to it (see `vivavoce db check`)");
        }
        Ok(ConversationLog::with_store(store))
    }

    /// Over a store that is already open.
    pub fn with_store(store: Arc<dyn Store>) -> Arc<ConversationLog> {
        Arc::new(ConversationLog { store, audits: AuditPen::default() })
    }

    /// The store that is under it.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Starts a session. Never blocks; `on_durable` hears how it went. What is appended in the
    /// meantime is queued behind it.
    pub fn start_session(&self, new: NewSession, on_durable: OnDurable) -> StartedSession {
        self.start_with(new, &[], vec![], on_durable)
    }

    /// Starts a session that goes on from the middle of another one (`new.forked_from`), or from nothing, with
    /// `events` behind that: all of them with its start, or none. Blocking, to read what it inherits.
    ///
    /// # Errors
    /// The other session is not there, or is damaged, or what the store says.
    pub fn fork_session(
        &self,
        new: NewSession,
        events: &[Event],
        on_durable: OnDurable,
    ) -> Result<StartedSession, StoreError> {
        let inherited = match new.forked_from {
            Some(origin) => self.lineage(origin.session, Some(origin.hash))?,
            None => vec![],
        };
        Ok(self.start_with(new, &inherited, events.to_vec(), on_durable))
    }

    /// As [`ConversationLog::start_session`], with more events in the same transaction.
    pub(super) fn start_session_with(
        &self,
        new: NewSession,
        events: Vec<Event>,
        on_durable: OnDurable,
    ) -> StartedSession {
        self.start_with(new, &[], events, on_durable)
    }

    fn start_with(
        &self,
        new: NewSession,
        inherited: &[StoredEvent],
        mut events: Vec<Event>,
        on_durable: OnDurable,
    ) -> StartedSession {
        let resume_token = new_resume_token();
        let start = SessionStart {
            agent: new.agent,
            frontend: new.frontend,
            engines: new.engines,
            forked_from: new.forked_from,
            compacted_from: new.compacted_from,
            resume_token_hash: token_hash(&resume_token),
            owner: new.owner,
        };
        let place = Place { session: SessionId::random(), head: Head::EMPTY };
        let mut writer = SessionWriter::new(Arc::clone(&self.store), place, Some(start.clone()));
        for stored in inherited {
            if let Some(event) = stored.event() {
                writer.remember(&event, stored.at_unix_us);
            }
        }
        events.insert(0, Event::SessionStart(start));
        writer.append_turn(&events, on_durable);
        StartedSession { writer, resume_token }
    }

    /// A pen for a session that is in the log, with its history. Two pens of one session are two
    /// writers: the second to write forks. Blocking.
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`], [`StoreError::Damaged`], or what the store says.
    pub fn continue_session(&self, session: SessionId) -> Result<SessionWriter, StoreError> {
        let lineage = self.lineage(session, None)?;
        let head = lineage.last().map_or(Head::EMPTY, StoredEvent::head);
        let place = Place { session, head };
        let mut writer = SessionWriter::new(Arc::clone(&self.store), place, None);
        for stored in &lineage {
            match stored.event() {
                Some(Event::SessionStart(start)) => writer.start = Some(start),
                Some(event) => writer.remember(&event, stored.at_unix_us),
                None => {}
            }
        }
        Ok(writer)
    }

    /// A session as readers see it; `None` if there is none. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn read_session(&self, session: SessionId) -> Result<Option<StoredSession>, StoreError> {
        match self.lineage(session, None) {
            Ok(lineage) => Ok(StoredSession::of(session, &lineage)),
            Err(StoreError::UnknownSession { session: unknown }) if unknown == session => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The highest turn number of a session up to one of its events. Blocking.
    ///
    /// # Errors
    /// As [`ConversationLog::continue_session`].
    pub fn last_turn_until(&self, origin: Origin) -> Result<u64, StoreError> {
        let lineage = self.lineage(origin.session, Some(origin.hash))?;
        Ok(lineage
            .iter()
            .filter_map(StoredEvent::event)
            .filter_map(|event| turn_of(&event))
            .max()
            .unwrap_or(0))
    }

    /// The agent of a session; `None` if there is no such session. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn agent_of(&self, session: SessionId) -> Result<Option<String>, StoreError> {
        Ok(self.store.session_start(session)?.map(|start| start.agent))
    }

    /// Whether `token` is the one that `session` was given; `false` if there is no such session.
    /// Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn check_resume_token(&self, session: SessionId, token: &str) -> Result<bool, StoreError> {
        let start = self.store.session_start(session)?;
        Ok(start.is_some_and(|start| token_matches(token, &start.resume_token_hash)))
    }

    /// See [`Store::conversations`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn conversations(&self, whose: Whose, limit: usize) -> Result<Vec<ConversationRow>, StoreError> {
        self.store.conversations(whose, limit)
    }

    /// Whether the access token with the hash `owner` made `session`. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn is_owned_by(&self, session: SessionId, owner: Option<Hash>) -> Result<bool, StoreError> {
        let start = self.store.session_start(session)?;
        Ok(owner.is_some() && start.is_some_and(|start| start.owner == owner))
    }

    /// See [`Store::successor`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn successor(&self, session: SessionId) -> Result<Option<SessionId>, StoreError> {
        self.store.successor(session)
    }

    /// A session with those that it was compacted from, and those into which it was, the oldest first.
    /// Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or what the store says.
    pub fn compactions_of(&self, session: SessionId) -> Result<Vec<SessionId>, StoreError> {
        let mut chain = vec![self.store.successor(session)?.unwrap_or(session)];
        while chain.len() <= MAX_COMPACTIONS
            && let Some(newest) = chain.last()
            && let Some(start) = self.store.session_start(*newest)?
            && let Some(origin) = start.compacted_from
        {
            chain.push(origin.session);
        }
        chain.reverse();
        Ok(chain)
    }

    /// The events of a session (up to one of them), after those of the sessions that it was forked from.
    pub(super) fn lineage(
        &self,
        session: SessionId,
        until: Option<Hash>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut newest_first = vec![self.store.load(session, until)?];
        while let Some(origin) = newest_first.last().and_then(|events| forked_from(events)) {
            if newest_first.len() > MAX_ANCESTORS {
                let what = format!("it is a fork of more than {MAX_ANCESTORS} sessions");
                return Err(StoreError::Damaged { session, damage: Damage { seq: None, what } });
            }
            match self.store.load(origin.session, Some(origin.hash)) {
                Ok(events) => newest_first.push(events),
                // An ancestor that was deleted leaves the fork with its own words.
                Err(StoreError::UnknownSession { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(newest_first.into_iter().rev().flatten().collect())
    }
}

fn forked_from(events: &[StoredEvent]) -> Option<Origin> {
    match events.first()?.event()? {
        Event::SessionStart(start) => start.forked_from,
        _ => None,
    }
}

/// What is known of a session before it starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSession {
    /// See [`SessionStart::agent`].
    pub agent: String,
    /// See [`SessionStart::frontend`].
    pub frontend: String,
    /// See [`SessionStart::engines`].
    pub engines: BTreeMap<String, String>,
    /// See [`SessionStart::forked_from`]; only [`ConversationLog::fork_session`] reads what is there.
    pub forked_from: Option<Origin>,
    /// See [`SessionStart::compacted_from`].
    pub compacted_from: Option<Origin>,
    /// See [`SessionStart::owner`].
    pub owner: Option<Hash>,
}

/// A session that was just started.
#[derive(Debug)]
pub struct StartedSession {
    /// Its pen.
    pub writer: SessionWriter,
    /// For the client; it is nowhere else.
    pub resume_token: String,
}

/// One session's pen, owned by its actor, with the session's history.
#[derive(Debug)]
pub struct SessionWriter {
    store: Arc<dyn Store>,
    head: SharedHead,
    /// How the session began; `None` if that cannot be read any more.
    start: Option<SessionStart>,
    history: Vec<HistoryMessage>,
    turns: u64,
    usage: Vec<Usage>,
    tasks: TaskStore,
    pointer: MemoryPointer,
    /// Appends so far.
    appends: u64,
    /// What could not be stored yet.
    backlog: Backlog,
}

impl SessionWriter {
    fn new(store: Arc<dyn Store>, place: Place, start: Option<SessionStart>) -> SessionWriter {
        SessionWriter {
            store,
            head: SharedHead::new(place),
            start,
            history: vec![],
            turns: 0,
            usage: vec![],
            tasks: TaskStore::default(),
            pointer: MemoryPointer { turn: 0, input_tokens: 0 },
            appends: 0,
            backlog: Backlog::default(),
        }
    }

    /// To whom the session belongs; `None` in open mode.
    pub fn owner(&self) -> Option<Hash> {
        self.start.as_ref().and_then(|start| start.owner)
    }

    /// What requests of the session so far have counted.
    pub fn usage(&self) -> &[Usage] {
        &self.usage
    }

    /// The session's tasks.
    pub fn tasks(&self) -> &TaskStore {
        &self.tasks
    }

    /// How far the conversation has been looked through for memories.
    pub fn memory_pointer(&self) -> &MemoryPointer {
        &self.pointer
    }

    /// How often something was appended: what is known of the head is out of date when this has changed.
    pub fn appends(&self) -> u64 {
        self.appends
    }

    /// Tells where the session stands when all that was appended so far is durable.
    pub fn settle(&mut self, on_durable: OnDurable) {
        self.append_turn(&[], on_durable);
    }

    /// Starts the session that takes this one's place: it begins with `successor`, and was compacted from
    /// this one as it is at `hash`. The same token resumes it. Turns are numbered on. `None` if how this
    /// session began cannot be read any more.
    pub fn compact(&self, hash: Hash, successor: &Successor, on_durable: OnDurable) -> Option<SessionWriter> {
        let compacted_from = Some(Origin { session: self.session_id(), hash });
        let start = SessionStart { forked_from: None, compacted_from, ..self.start.clone()? };
        let place = Place { session: SessionId::random(), head: Head::EMPTY };
        let mut writer = SessionWriter::new(Arc::clone(&self.store), place, Some(start.clone()));
        writer.turns = self.turns;
        let events: Vec<Event> =
            std::iter::once(Event::SessionStart(start)).chain(successor.events()).collect();
        writer.append_turn(&events, on_durable);
        Some(writer)
    }

    /// The session that is written. After a fork ([`super::Appended::forked`]) it is another one.
    pub fn session_id(&self) -> SessionId {
        self.head.place().session
    }

    /// What was said and heard, those appends included that are still on their way to the disk.
    pub fn history(&self) -> &[HistoryMessage] {
        &self.history
    }

    /// The highest turn number so far; 0 if there was none. The next turn's is higher.
    pub fn last_turn(&self) -> u64 {
        self.turns
    }

    /// Writes `events` (a turn: its messages and its end) all together or not at all. Never blocks;
    /// `on_durable` hears how it went. Appends are written in the order of the calls, without waiting for
    /// each other.
    ///
    /// What could not be stored for a reason that may pass (a full disk, a database that is away) is
    /// written together with the next append, in front of it; [`SessionWriter::retract_turn`] takes it
    /// back instead.
    pub fn append_turn(&mut self, events: &[Event], on_durable: OnDurable) {
        let at_unix_us = now_unix_us();
        self.appends += 1;
        events.iter().for_each(|event| self.remember(event, at_unix_us));
        let mut all: Timed = self.backlog.take();
        all.extend(events.iter().map(|event| (event.clone(), at_unix_us)));
        let new = all.iter().map(|(event, at_unix_us)| NewEvent::new(event, *at_unix_us)).collect();
        let backlog = self.backlog.clone();
        let keep_or_tell: OnDurable = Box::new(move |result| {
            if let Err(error) = &result {
                backlog.keep(all, error);
            }
            on_durable(result);
        });
        self.store.append(self.head.clone(), new, keep_or_tell);
    }

    /// Writes that the session is over.
    pub fn end(&mut self, reason: &str, on_durable: OnDurable) {
        self.append_turn(&[Event::SessionEnd(SessionEnd { reason: reason.into() })], on_durable);
    }

    /// Takes a turn that could not be stored out of the history; it is not stored later either.
    pub fn retract_turn(&mut self, turn: u64) {
        self.history.retain(|message| message.turn != turn);
        self.backlog.retain(|event| turn_of(event) != Some(turn));
    }

    /// A pen for the session's background jobs. It shares the head, so that neither forks from the
    /// other; it has no history.
    pub fn background(&self) -> BackgroundWriter {
        BackgroundWriter { store: Arc::clone(&self.store), head: self.head.clone() }
    }

    fn remember(&mut self, event: &Event, at_unix_us: i64) {
        history::apply(&mut self.history, event, at_unix_us);
        match event {
            Event::Usage(usage) => self.usage.push(usage.clone()),
            Event::Task(task) => self.tasks.set(task.clone()),
            // A client may write what it likes; these are ours.
            Event::SystemMessage(message) if message.turn == 0 => {
                self.tasks.restore(&message.text);
            }
            Event::MemoryPointer(pointer) => self.pointer = pointer.clone(),
            _ => {}
        }
        self.turns = self.turns.max(turn_of(event).unwrap_or(0));
    }
}

/// The turn that an event belongs to, where events of that kind begin or end turns.
fn turn_of(event: &Event) -> Option<u64> {
    match event {
        Event::UserMessage(super::events::UserMessage { turn, .. })
        | Event::AssistantMessage(super::events::AssistantMessage { turn, .. })
        | Event::SystemMessage(super::events::SystemMessage { turn, .. })
        | Event::ToolCall(super::events::ToolCall { turn, .. })
        | Event::TurnEnd(super::events::TurnEnd { turn, .. }) => Some(*turn),
        _ => None,
    }
}

/// See [`SessionWriter::background`].
#[derive(Debug, Clone)]
pub struct BackgroundWriter {
    store: Arc<dyn Store>,
    head: SharedHead,
}

impl BackgroundWriter {
    /// The session that is written.
    pub fn session_id(&self) -> SessionId {
        self.head.place().session
    }

    /// As [`SessionWriter::append_turn`].
    pub fn append(&self, events: &[Event], on_durable: OnDurable) {
        let at_unix_us = now_unix_us();
        let events = events.iter().map(|event| NewEvent::new(event, at_unix_us)).collect();
        self.store.append(self.head.clone(), events, on_durable);
    }
}

/// A session as readers see it. Its JSON has no secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredSession {
    /// Its name.
    pub session_id: SessionId,
    /// See [`SessionStart::agent`].
    pub agent: String,
    /// See [`SessionStart::frontend`].
    pub frontend: String,
    /// See [`SessionStart::engines`].
    pub engines: BTreeMap<String, String>,
    /// See [`SessionStart::forked_from`].
    pub forked_from: Option<Origin>,
    /// See [`SessionStart::compacted_from`].
    pub compacted_from: Option<Origin>,
    /// To whom it belongs; `None` in open mode.
    #[serde(skip)]
    pub owner: Option<Hash>,
    /// µs since 1970 UTC.
    pub started_at_unix_us: i64,
    /// What was said and heard, what was inherited from before a fork included.
    pub messages: Vec<HistoryMessage>,
    /// All turns that ended, likewise.
    pub turns: Vec<StoredTurn>,
    /// When and why it ended, if it did.
    pub ended: Option<Ended>,
}

/// A turn as readers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredTurn {
    /// Turn of the session, from 1.
    pub turn: u64,
    /// How it ended.
    pub outcome: TurnOutcome,
    /// See [`super::events::TurnEnd::metrics`].
    pub metrics: BTreeMap<String, Option<f64>>,
    /// µs since 1970 UTC.
    pub at_unix_us: i64,
}

impl StoredSession {
    /// Of a session's events and those of its ancestors; `None` if its start has been deleted.
    fn of(session: SessionId, lineage: &[StoredEvent]) -> Option<StoredSession> {
        let own = |stored: &&StoredEvent| stored.session == session;
        let first = lineage.iter().find(own)?;
        let Event::SessionStart(start) = first.event()? else { return None };
        let mut stored_session = StoredSession {
            session_id: session,
            agent: start.agent,
            frontend: start.frontend,
            engines: start.engines,
            forked_from: start.forked_from,
            compacted_from: start.compacted_from,
            owner: start.owner,
            started_at_unix_us: first.at_unix_us,
            messages: vec![],
            turns: vec![],
            ended: None,
        };
        for stored in lineage {
            let StoredEvent { at_unix_us, .. } = *stored;
            let Some(event) = stored.event() else { continue };
            history::apply(&mut stored_session.messages, &event, at_unix_us);
            match event {
                Event::TurnEnd(end) => stored_session.turns.push(StoredTurn {
                    turn: end.turn,
                    outcome: end.outcome,
                    metrics: end.metrics,
                    at_unix_us,
                }),
                Event::SessionEnd(end) if own(&stored) => {
                    stored_session.ended = Some(Ended { at_unix_us, reason: end.reason });
                }
                _ => {}
            }
        }
        Some(stored_session)
    }
}
