//! Memories, deletions and what is left of them.

use vivavoce::conversation::events::{
    Audit, Event, Memory, MemoryCorrected, MemoryDeleted, MemoryItem, MemoryKind, Origin, SessionDeleted,
    SessionStart,
};
use vivavoce::conversation::store::{NewEvent, SharedHead};
use vivavoce::conversation::{Hash, NewSession, SessionId, Store, StoreError, Whose};

use super::backends::{Backend, Sqlite, suite};
use super::{new_head, said, session_start, start, write};

suite! {
    items_wait_until_they_are_memories_and_each_owner_has_their_own,
    memories_are_replaced_corrected_and_deleted_everywhere,
    a_search_finds_forms_of_any_word_best_first_and_takes_no_commands,
    a_deleted_session_is_unknown_and_its_memories_stay,
    the_end_of_a_chain_of_compactions_is_found,
    audits_are_one_session_and_no_conversation,
    conversations_are_listed_by_owner,
}

const ANNA: Option<Hash> = Some(Hash([1; 32]));
const BEN: Option<Hash> = Some(Hash([2; 32]));

fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn item(n: u8, text: &str) -> Event {
    let (kind, person) = (MemoryKind::Request, "user".into());
    Event::MemoryItem(MemoryItem { id: id(n), turn: 1, kind, person, text: text.into() })
}

fn memory(n: u8, person: &str, text: &str, from: &[u8], replaces: &[u8]) -> Event {
    let ids = |of: &[u8]| of.iter().map(|n| id(*n)).collect();
    Event::Memory(Memory {
        id: id(n),
        person: person.into(),
        text: text.into(),
        said_at_unix_us: 1,
        from: ids(from),
        replaces: ids(replaces),
    })
}

/// Events one after the other, at 100, 101, … µs.
fn all(events: &[Event]) -> Vec<NewEvent> {
    (100..).zip(events).map(|(at, event)| NewEvent::new(event, at)).collect()
}

/// A session of `owner` with these events.
fn session(store: &dyn Store, owner: Option<Hash>, events: &[Event]) -> SharedHead {
    let head = new_head();
    let start = NewEvent::new(&Event::SessionStart(session_start(owner)), 1);
    write(store, &head, [vec![start], all(events)].concat());
    head
}

fn found(store: &dyn Store, whose: Whose, person: Option<&str>, query: &str) -> Vec<String> {
    let found = store.search_memories(whose, person, query, 10).unwrap();
    assert!(found.iter().all(|(_, score)| *score > 0.0), "{found:?}");
    assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{found:?}");
    found.into_iter().map(|(row, _)| row.text).collect()
}

fn items_wait_until_they_are_memories_and_each_owner_has_their_own(backend: &dyn Backend) {
    let store = &*backend.open();
    session(store, ANNA, &[item(1, "wants tea"), item(2, "wants milk")]);
    session(store, BEN, &[item(3, "wants coffee")]);
    session(store, None, &[item(4, "wants nothing")]);
    let waiting = |whose, limit| {
        let items = store.memory_items(whose, limit).unwrap();
        items.into_iter().map(|item| item.text).collect::<Vec<_>>()
    };
    assert_eq!(waiting(Whose::Of(ANNA), 10), ["wants tea", "wants milk"]);
    assert_eq!(waiting(Whose::Of(None), 10), ["wants nothing"]);
    assert_eq!(waiting(Whose::All, 10).len(), 4);
    assert_eq!(waiting(Whose::Of(ANNA), 1), ["wants tea"]);

    session(store, ANNA, &[memory(5, "user", "Anna likes tea with milk.", &[1, 2], &[])]);
    assert_eq!(waiting(Whose::Of(ANNA), 10), [""; 0]);
    assert_eq!(waiting(Whose::All, 10).len(), 2);
    let row = store.memory(id(5)).unwrap().unwrap();
    assert_eq!((row.owner, row.updated_at_unix_us, row.said_at_unix_us), (ANNA, 100, 1));
    assert_eq!(store.memories(Whose::Of(ANNA), 10).unwrap(), [row]);
    assert_eq!(store.memories(Whose::Of(BEN), 10).unwrap(), []);
    assert_eq!(store.memory(id(1)).unwrap(), None);
}

fn memories_are_replaced_corrected_and_deleted_everywhere(backend: &dyn Backend) {
    let log = backend.log();
    let store = &*log.store();
    session(
        store,
        ANNA,
        &[memory(1, "user", "Likes tea.", &[], &[]), memory(2, "user", "Has a dog.", &[], &[])],
    );
    session(store, ANNA, &[memory(3, "user", "Likes green tea.", &[], &[1])]);
    assert_eq!(found(store, Whose::All, None, "tea"), ["Likes green tea."]);

    log.record(Event::MemoryCorrected(MemoryCorrected { id: id(3), text: "Likes coffee.".into() })).unwrap();
    assert_eq!(found(store, Whose::All, None, "tea"), [""; 0]);
    assert_eq!(found(store, Whose::All, None, "COFFEE"), ["Likes coffee."]);
    let newest: Vec<_> = log.memories(Whose::All, 1).unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(newest, ["Likes coffee."], "a correction is an update");

    log.record(Event::MemoryDeleted(MemoryDeleted { id: id(3) })).unwrap();
    assert_eq!(found(store, Whose::All, None, "coffee"), [""; 0]);
    assert_eq!(log.memory(id(3)).unwrap(), None);
    assert_eq!(log.memories(Whose::All, 10).unwrap().len(), 1);
    // What is not there can be corrected and deleted, and nothing happens.
    log.record(Event::MemoryCorrected(MemoryCorrected { id: id(3), text: "Back?".into() })).unwrap();
    log.record(Event::MemoryDeleted(MemoryDeleted { id: id(9) })).unwrap();
    assert_eq!(log.memories(Whose::All, 10).unwrap().len(), 1);
}

fn a_search_finds_forms_of_any_word_best_first_and_takes_no_commands(backend: &dyn Backend) {
    let store = &*backend.open();
    session(
        store,
        ANNA,
        &[
            memory(1, "user", "Anna is planning a wedding in Lisbon.", &[], &[]),
            memory(2, "user", "Anna's brother lives in Lisbon and plans weddings for a living.", &[], &[]),
            memory(3, "user", "Anna drinks tea.", &[], &[]),
            memory(4, "Mia", "Mia planned the party.", &[], &[]),
        ],
    );
    session(store, BEN, &[memory(5, "user", "Ben flew to Lisbon.", &[], &[])]);
    let anna = |query: &str| found(store, Whose::Of(ANNA), None, query);
    assert_eq!(anna("tea?"), ["Anna drinks tea."]);
    assert_eq!(anna("who plans parties, and drank TEA").len(), 4, "other forms, any of the words");
    assert_eq!(found(store, Whose::All, None, "Lisbon").len(), 3);
    assert_eq!(found(store, Whose::Of(ANNA), Some("Mia"), "plan"), ["Mia planned the party."]);
    assert_eq!(anna("planning weddings in Lisbon")[0], "Anna is planning a wedding in Lisbon.");
    for nothing in ["", "   ", "\"", "*", "()", "unheard", "'", "&|!", "\0"] {
        assert_eq!(anna(nothing), [""; 0], "{nothing:?}");
    }
    for query in [
        "text:tea",
        "tea NOT anna",
        "\"tea",
        "tea*",
        "NEAR(tea)",
        "{tea}:",
        "tea'--",
        "te\\a tea",
        ":* tea",
        "tea <-> !",
    ] {
        assert!(anna(query).contains(&"Anna drinks tea.".to_owned()), "{query:?}");
    }
    assert_eq!(store.search_memories(Whose::All, None, "Lisbon", 2).unwrap().len(), 2);
}

fn a_deleted_session_is_unknown_and_its_memories_stay(backend: &dyn Backend) {
    let log = backend.log();
    let store = &*log.store();
    let head = session(store, ANNA, &[item(1, "wants tea"), memory(2, "user", "Likes tea.", &[1], &[])]);
    write(store, &head, vec![said("forget this")]);
    let deleted = head.place().session;
    log.record(Event::SessionDeleted(SessionDeleted { session: deleted })).unwrap();

    assert_eq!(log.read_session(deleted).unwrap(), None);
    assert_eq!(log.continue_session(deleted).unwrap_err().code(), "session_unknown");
    assert!(store.session_start(deleted).unwrap().is_none());
    assert!(store.messages(deleted).unwrap().is_empty());
    assert_eq!(log.conversations(Whose::All, 10).unwrap(), [], "what is written about it is no conversation");
    let refused = super::append(store, &head, vec![said("more")]);
    assert!(
        matches!(refused.recv().unwrap(), Err(StoreError::UnknownSession { session }) if session == deleted)
    );
    assert_eq!(store.memory(id(2)).unwrap().unwrap().owner, ANNA);
    for _ in 0..2 {
        store.compact().unwrap();
        store.rebuild().unwrap();
        assert_eq!(store.memory(id(2)).unwrap().unwrap().owner, ANNA);
        assert_eq!(log.read_session(deleted).unwrap(), None);
    }
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn compacting_leaves_nothing_of_deleted_words_and_everything_else() {
    // Each secret is a word that occurs nowhere else.
    const SECRETS: [&str; 6] = ["zanzibar", "quixotic", "marzipan", "obsidian", "periwinkle", "wolverine"];
    let [said_once, in_item, in_memory, in_older, in_correction, in_waiting] = SECRETS;
    let backend = Sqlite::new();
    let log = backend.log();
    let store = &*log.store();
    let doomed = session(store, ANNA, &[]);
    write(store, &doomed, vec![said(said_once)]);
    let kept = session(
        store,
        ANNA,
        &[
            item(1, in_item),
            memory(2, "user", in_older, &[1], &[]),
            memory(3, "user", in_memory, &[], &[2]),
            item(4, in_waiting),
            item(5, "wants cake"),
            memory(6, "user", "Likes cake.", &[5], &[]),
        ],
    );
    write(store, &kept, vec![said("hello there")]);
    log.record(Event::MemoryCorrected(MemoryCorrected { id: id(3), text: in_correction.into() })).unwrap();
    let holds = |word: &str| {
        let files = std::fs::read_dir(backend.0.path())
            .unwrap()
            .map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    };
    assert!(SECRETS.iter().all(|secret| holds(secret)));
    for event in [
        Event::SessionDeleted(SessionDeleted { session: doomed.place().session }),
        Event::MemoryDeleted(MemoryDeleted { id: id(3) }),
        Event::MemoryDeleted(MemoryDeleted { id: id(4) }),
    ] {
        log.record(event).unwrap();
    }
    // Beside a running server: another process has the file open.
    let report = backend.log().compact().unwrap();
    assert_eq!(report.erased_events, 2 + 5, "{report:?}");
    for secret in SECRETS {
        assert!(!holds(secret), "{secret} is still there");
    }
    assert!(holds("wants cake") && holds("hello there"));
    let check = store.check().unwrap();
    assert_eq!(check.problems, []);
    assert_eq!(found(store, Whose::All, None, "cake"), ["Likes cake."]);
    assert_eq!(log.memories(Whose::All, 10).unwrap().len(), 1);
    // Both go on writing.
    assert!(!write(store, &kept, vec![said("and on")]).forked);
    assert_eq!(log.compact().unwrap().erased_events, 0);
}

fn the_end_of_a_chain_of_compactions_is_found(backend: &dyn Backend) {
    let log = backend.log();
    let store = &*log.store();
    let from = |head: &SharedHead, at: i64| {
        let place = head.place();
        let origin = Origin { session: place.session, hash: place.head.hash };
        let start = SessionStart { compacted_from: Some(origin), ..session_start(ANNA) };
        let head = new_head();
        write(store, &head, vec![NewEvent::new(&Event::SessionStart(start), at)]);
        head
    };
    let first = session(store, ANNA, &[]);
    let lost = from(&first, 10);
    let second = from(&first, 20);
    let third = from(&second, 15);
    let after = |head: &SharedHead| log.successor(head.place().session).unwrap();
    assert_eq!(after(&first), Some(third.place().session));
    assert_eq!(after(&second), Some(third.place().session));
    assert_eq!((after(&third), after(&lost)), (None, None));
    assert_eq!(log.successor(SessionId::random()).unwrap(), None);
}

fn audits_are_one_session_and_no_conversation(backend: &dyn Backend) {
    let log = backend.log();
    let store = &*log.store();
    let audit = |n: u64| Audit {
        actor: "token:anna".into(),
        kind: "markdown_chat".into(),
        agent: "default".into(),
        filename: format!("notes/{n}.md"),
        messages: n,
    };
    (0..3).for_each(|n| log.audit(audit(n)));
    // A session that starts afterwards is durable afterwards.
    write(store, &new_head(), vec![start()]);
    let rows = log.audits(10).unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row.filename.as_str(), row.messages, row.seq.0)).collect();
    assert_eq!(shown, [("notes/2.md", 2, 4), ("notes/1.md", 1, 3), ("notes/0.md", 0, 2)]);
    assert!(rows.iter().all(|row| row.session == rows[0].session && row.actor == "token:anna"));
    assert_eq!(log.audits(1).unwrap().len(), 1);
    assert_eq!(log.conversations(Whose::All, 10).unwrap().len(), 1);

    // If its session goes, there is another.
    log.record(Event::SessionDeleted(SessionDeleted { session: rows[0].session })).unwrap();
    log.audit(audit(8));
    write(store, &new_head(), vec![start()]);
    log.audit(audit(9));
    write(store, &new_head(), vec![start()]);
    assert_eq!(log.audits(1).unwrap()[0].messages, 9);
}

fn conversations_are_listed_by_owner(backend: &dyn Backend) {
    let log = backend.log();
    let of_anna = session(&*log.store(), ANNA, &[]).place().session;
    let open = log.start_session(NewSession::default(), Box::new(|result| assert!(result.is_ok())));
    session(&*log.store(), BEN, &[]);
    let listed = |whose, limit| {
        let rows = log.conversations(whose, limit).unwrap();
        rows.into_iter().map(|row| row.session).collect::<Vec<_>>()
    };
    assert_eq!(listed(Whose::Of(ANNA), 10), [of_anna]);
    assert_eq!(listed(Whose::Of(None), 10), [open.writer.session_id()]);
    assert_eq!(listed(Whose::All, 10).len(), 3);
    assert_eq!(listed(Whose::All, 10)[0], open.writer.session_id(), "the last updated first");
    assert_eq!(listed(Whose::All, 2).len(), 2);
}
