//! Random logs: the tables that a store keeps up are those of the model, and those of a rebuild.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vivavoce::conversation::chain::StoredEvent;
use vivavoce::conversation::events::{
    Amend, AssistantMessage, Audit, Event, Memory, MemoryCorrected, MemoryDeleted, MemoryItem, MemoryKind,
    MemoryPointer, Placed, SessionDeleted, SessionEnd, Spot, SystemMessage, Task, TaskStatus, ToolCall,
    ToolResult, TurnEnd, TurnOutcome, UnknownEvent, Usage, UserMessage,
};
use vivavoce::conversation::store::{NewEvent, SharedHead};
use vivavoce::conversation::tables::Tables;
use vivavoce::conversation::{Role, SessionId, Store, Whose};

use super::backends::{Backend, Sqlite};
use super::{append, new_head, said, start, write};

/// Writers of a log, each with a session.
const WRITERS: usize = 3;

fn spot() -> impl Strategy<Value = Spot> {
    let role = prop_oneof![
        Just(Role::System),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::ToolCall),
        Just(Role::ToolResult)
    ];
    (1..4_u64, role, prop::option::weighted(0.3, "[a-c]{0,1}")).prop_map(|(turn, role, call_id)| Spot {
        turn,
        role,
        call_id,
    })
}

/// Few names, so that events are about each other.
fn id() -> impl Strategy<Value = SessionId> {
    (1..6_u8).prop_map(|n| SessionId::from_bytes([n; 16]))
}

fn turn() -> impl Strategy<Value = u64> {
    prop_oneof![1..4_u64, Just(u64::MAX)]
}

fn text() -> &'static str {
    "[a-c é\u{0}\"'\\\\]{0,6}"
}

fn message() -> impl Strategy<Value = Event> {
    let outcome = || prop_oneof![Just(TurnOutcome::Completed), Just(TurnOutcome::Interrupted)];
    let metrics = prop::collection::btree_map("[a-z]{1,3}", prop::option::of(-1e9..1e9), 0..3);
    prop_oneof![
        (turn(), text(), any::<bool>()).prop_map(|(turn, text, typed)| Event::UserMessage(UserMessage {
            turn,
            text,
            typed
        })),
        (turn(), text(), prop::option::of(text()), any::<bool>(), outcome()).prop_map(
            |(turn, text, whole_reply, estimated, outcome)| {
                Event::AssistantMessage(AssistantMessage { turn, text, whole_reply, estimated, outcome })
            }
        ),
        (turn(), 0..4_u32, text(), text(), text(), any::<u64>()).prop_map(
            |(turn, request, id, name, arguments, after_chars)| {
                Event::ToolCall(ToolCall { turn, request, id, name, arguments, after_chars })
            }
        ),
        (turn(), text(), text(), text(), text(), any::<bool>()).prop_map(
            |(turn, id, name, content, summary, failed)| {
                Event::ToolResult(ToolResult { turn, id, name, content, summary, failed })
            }
        ),
        (turn(), outcome(), metrics).prop_map(|(turn, outcome, metrics)| Event::TurnEnd(TurnEnd {
            turn,
            outcome,
            metrics
        })),
        (turn(), text(), any::<bool>()).prop_map(|(turn, heard_text, estimated)| Event::Amend(Amend {
            turn,
            heard_text,
            estimated
        })),
        (turn(), text()).prop_map(|(turn, text)| Event::SystemMessage(SystemMessage { turn, text })),
        spot().prop_map(Event::Withdrawn),
        (turn(), prop::option::of(spot())).prop_map(|(turn, after)| Event::Placed(Placed { turn, after })),
        text().prop_map(|reason| Event::SessionEnd(SessionEnd { reason })),
        ("[a-z_]{1,12}", text()).prop_map(|(kind, payload)| Event::Unknown(UnknownEvent { kind, payload })),
    ]
}

fn remembered() -> impl Strategy<Value = Event> {
    let ids = || prop::collection::vec(id(), 0..3);
    let kind = prop_oneof![
        Just(MemoryKind::Decision),
        Just(MemoryKind::Discussion),
        Just(MemoryKind::Attempt),
        Just(MemoryKind::Request)
    ];
    let counts = (any::<u64>(), any::<u64>(), any::<u64>());
    prop_oneof![
        (id(), turn(), kind, text(), text()).prop_map(|(id, turn, kind, person, text)| {
            Event::MemoryItem(MemoryItem { id, turn, kind, person, text })
        }),
        (id(), text(), text(), any::<i64>(), ids(), ids()).prop_map(
            |(id, person, text, said_at_unix_us, from, replaces)| {
                Event::Memory(Memory { id, person, text, said_at_unix_us, from, replaces })
            }
        ),
        (id(), text()).prop_map(|(id, text)| Event::MemoryCorrected(MemoryCorrected { id, text })),
        id().prop_map(|id| Event::MemoryDeleted(MemoryDeleted { id })),
        turn().prop_map(|turn| Event::MemoryPointer(MemoryPointer { turn, input_tokens: turn })),
        (any::<u64>(), text()).prop_map(|(id, title)| Event::Task(Task {
            id,
            title,
            status: TaskStatus::Pending
        })),
        (turn(), counts).prop_map(|(turn, (input_tokens, output_tokens, messages))| {
            Event::Usage(Usage { turn, request: 1, input_tokens, output_tokens, messages })
        }),
        (text(), text(), text(), text(), any::<u64>()).prop_map(
            |(actor, kind, agent, filename, messages)| {
                Event::Audit(Audit { actor, kind, agent, filename, messages })
            }
        ),
    ]
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A writer appends, at this time.
    Append(usize, Vec<Event>, i64),
    /// A writer's process has been away, and another has gone on.
    Stale(usize),
    /// A writer's session is deleted, and it starts another.
    Delete(usize),
    /// What was deleted is erased.
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = prop::collection::vec(prop_oneof![message(), remembered()], 0..4);
    let step = prop_oneof![
        20 => (0..WRITERS, events, 0..100_i64).prop_map(|(writer, events, at)| Step::Append(writer, events, at)),
        2 => (0..WRITERS).prop_map(Step::Stale),
        2 => (0..WRITERS).prop_map(Step::Delete),
        1 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 0..25)
}

/// The tables as the store shows them: items that wait no longer are not shown.
fn tables(store: &dyn Store, sessions: &[SessionId]) -> Tables {
    let mut tables = Tables::default();
    for session in sessions {
        for message in store.messages(*session).unwrap() {
            tables.messages.insert((message.session, message.seq), message);
        }
        if store.session_start(*session).unwrap().is_none() {
            tables.deleted_sessions.insert(*session);
        }
    }
    for row in store.conversations(Whose::All, usize::MAX).unwrap() {
        tables.conversations.insert(row.session, row);
    }
    for row in store.memory_items(Whose::All, usize::MAX).unwrap() {
        tables.memory_items.insert(row.id, row);
    }
    for row in store.memories(Whose::All, usize::MAX).unwrap() {
        assert_eq!(store.memory(row.id).unwrap().as_ref(), Some(&row));
        tables.memories.insert(row.id, row);
    }
    for row in store.audits(usize::MAX).unwrap() {
        tables.audits.insert((row.session, row.seq), row);
    }
    tables
}

/// The log of a model: all events in the order in which they were written.
#[derive(Default)]
struct Model {
    log: Vec<StoredEvent>,
    sessions: Vec<SessionId>,
}

impl Model {
    fn tables(&self) -> Tables {
        let mut tables = Tables::default();
        self.log.iter().for_each(|stored| tables.apply(stored));
        tables.memory_items.retain(|_, item| !item.consolidated);
        tables
    }

    /// A writer of its own for each session, so that what it wrote is known to the byte.
    fn write(&mut self, store: &dyn Store, head: &SharedHead, events: Vec<NewEvent>) {
        let before = head.place();
        let forked = write(store, head, events).forked;
        let after = head.place();
        if !self.sessions.contains(&after.session) {
            self.sessions.push(after.session);
        }
        let known = if forked { 0 } else { before.head.seq.0 as usize };
        self.log.extend(store.load(after.session, None).unwrap().into_iter().skip(known));
    }
}

/// Runs the steps; then the tables kept up, those of the model and rebuilt ones are the same.
fn run(backend: &dyn Backend, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store: Arc<dyn Store> = backend.open();
    let store = &*store;
    let mut model = Model::default();
    let mut heads: Vec<SharedHead> = (0..WRITERS).map(|_| new_head()).collect();
    for head in &heads {
        model.write(store, head, vec![start()]);
    }
    let upkeep = new_head();
    model.write(store, &upkeep, vec![start()]);
    let mut compacted = false;
    for step in steps {
        match step {
            Step::Append(writer, events, at) => {
                let events: Vec<_> = events.iter().map(|event| NewEvent::new(event, at)).collect();
                model.write(store, &heads[writer], events);
            }
            Step::Stale(writer) => {
                let elsewhere = SharedHead::new(heads[writer].place());
                model.write(store, &elsewhere, vec![said("elsewhere")]);
                let before = heads[writer].place();
                model.write(store, &heads[writer], vec![]);
                prop_assert!(heads[writer].place().session != before.session, "it must fork");
            }
            Step::Delete(writer) => {
                let session = heads[writer].place().session;
                let deletion = Event::SessionDeleted(SessionDeleted { session });
                model.write(store, &upkeep, vec![NewEvent::new(&deletion, 50)]);
                for refused in [vec![said("more")], vec![]] {
                    prop_assert_eq!(super::code(&append(store, &heads[writer], refused)), "session_unknown");
                }
                prop_assert_eq!(store.load(session, None).unwrap_err().code(), "session_unknown");
                heads[writer] = new_head();
                model.write(store, &heads[writer], vec![start()]);
            }
            Step::Compact => {
                if !compacted {
                    prop_assert_eq!(tables(store, &model.sessions), model.tables());
                }
                store.compact().unwrap();
                compacted = true;
            }
        }
    }
    let kept_up = tables(store, &model.sessions);
    if !compacted {
        prop_assert_eq!(&kept_up, &model.tables());
    }
    backend.sql(
        "DELETE FROM messages; UPDATE conversations SET agent = 'wrong', turns = 99; DELETE FROM memories;",
    );
    let report = store.rebuild().unwrap();
    prop_assert_eq!(&tables(store, &model.sessions), &kept_up);
    prop_assert_eq!(report.events, model.log.len() as u64);
    prop_assert_eq!(report.conversations, kept_up.conversations.len() as u64);
    prop_assert_eq!(report.messages, kept_up.messages.len() as u64);
    let check = store.check().unwrap();
    prop_assert_eq!((check.events, check.problems), (model.log.len() as u64, vec![]));
    Ok(())
}

/// So many random logs, each in a new place.
pub fn tables_kept_up_rebuilt_and_modelled_are_the_same<B: Backend>(cases: u32, new: impl Fn() -> B) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&steps(), |steps| run(&new(), steps)).unwrap();
}

#[test]
fn tables_kept_up_rebuilt_and_modelled_are_the_same_on_sqlite() {
    tables_kept_up_rebuilt_and_modelled_are_the_same(48, Sqlite::new);
}
