//! What is particular to a file: its one writer, and what can happen to it.

use std::collections::BTreeMap;
use std::path::Path;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::*;
use crate::conversation::events::UserMessage;
use crate::conversation::store::{Appended, Place};

type Acks = Receiver<Result<Appended, StoreError>>;

fn start() -> NewEvent {
    let start = SessionStart {
        agent: "default".into(),
        frontend: "voice".into(),
        engines: BTreeMap::new(),
        forked_from: None,
        compacted_from: None,
        resume_token_hash: Hash::ZERO,
        owner: Some(Hash([3; 32])),
    };
    NewEvent::new(&Event::SessionStart(start), 1)
}

fn said(text: &str) -> NewEvent {
    NewEvent::new(&Event::UserMessage(UserMessage { turn: 1, text: text.into(), typed: false }), 2)
}

fn new_head() -> SharedHead {
    SharedHead::new(Place { session: SessionId::random(), head: Head::EMPTY })
}

/// Appends without waiting.
fn append(store: &SqliteStore, head: &SharedHead, events: Vec<NewEvent>) -> Acks {
    let (tell, told) = bounded(1);
    store.append(head.clone(), events, Box::new(move |result| tell.send(result).unwrap()));
    told
}

fn code(acks: &Acks) -> &'static str {
    acks.recv().unwrap().expect_err("it must be refused").code()
}

/// Keeps the writer thread in a callback until the returned sender is dropped.
fn hold_writer(store: &SqliteStore) -> Sender<()> {
    let (release, released) = bounded::<()>(0);
    let (tell, told) = bounded(1);
    let hold = move |result: Result<Appended, StoreError>| {
        tell.send(result.is_ok()).unwrap();
        let _ = released.recv();
    };
    store.append(new_head(), vec![start()], Box::new(hold));
    assert!(told.recv().unwrap());
    release
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

fn sql(path: &Path, statements: &str) {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

// ---- the writer ----

#[test]
fn what_waits_is_written_in_one_transaction_and_answered_in_order() {
    let (_folder, path) = file();
    let store = open(&path);
    let release = hold_writer(&store);
    let (tell, told) = unbounded();
    let heads: Vec<_> = (0..64).map(|_| new_head()).collect();
    for (n, head) in heads.iter().enumerate() {
        let (tell, path) = (tell.clone(), path.clone());
        let on_durable = move |result: Result<Appended, StoreError>| {
            let seen = Connection::open(path).unwrap();
            let seen: i64 = seen.query_row("SELECT count(*) FROM heads", [], |row| row.get(0)).unwrap();
            tell.send((n, result.unwrap().place.head.seq, seen)).unwrap();
        };
        store.append(head.clone(), vec![start(), said("hello")], Box::new(on_durable));
    }
    assert!(told.is_empty());
    drop(release);
    drop(tell);
    let expected: Vec<_> = (0..64).map(|n| (n, SeqNo(2), 65)).collect();
    assert_eq!(told.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (_folder, path) = file();
    let store = SqliteStore::open(&path, SqliteOptions { queue_len: 2, ..Default::default() }).unwrap();
    let release = hold_writer(&store);
    let head = new_head();
    let waiting = [append(&store, &head, vec![start()]), append(&store, &head, vec![said("waits")])];
    let refused = append(&store, &head, vec![said("refused")]);
    assert_eq!(refused.try_recv().expect("answered already").unwrap_err().code(), "store_overloaded");
    assert!(waiting.iter().all(Receiver::is_empty));
    drop(release);
    let written: Vec<_> = waiting.iter().map(|acks| acks.recv().unwrap().unwrap().place.head.seq).collect();
    assert_eq!(written, [SeqNo(1), SeqNo(2)]);
    assert_eq!(store.load(head.place().session, None).unwrap().len(), 2);
}

#[test]
fn a_callback_that_panics_stops_nobody_else() {
    let (_folder, path) = file();
    let store = open(&path);
    let head = new_head();
    store.append(head.clone(), vec![start()], Box::new(|_| panic!("on purpose, by a test")));
    assert_eq!(
        append(&store, &head, vec![said("after it")]).recv().unwrap().unwrap().place.head.seq,
        SeqNo(2)
    );
}

#[test]
fn dropping_the_store_writes_what_is_queued() {
    let (_folder, path) = file();
    let store = open(&path);
    let release = hold_writer(&store);
    let head = new_head();
    let acks = [append(&store, &head, vec![start()]), append(&store, &head, vec![said("last words")])];
    drop(release);
    drop(store);
    assert!(acks.iter().all(|ack| ack.try_recv().is_ok_and(|result| result.is_ok())));
    assert_eq!(open(&path).load(head.place().session, None).unwrap().len(), 2);
}

#[test]
fn a_reader_does_not_block_the_writer() {
    let (_folder, path) = file();
    let store = open(&path);
    let head = new_head();
    append(&store, &head, vec![start()]).recv().unwrap().unwrap();
    let reader = Connection::open(&path).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    let count = || snapshot.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 1);
    append(&store, &head, vec![said("while somebody reads")]).recv().unwrap().unwrap();
    assert_eq!(count(), 1);
    assert_eq!(store.load(head.place().session, None).unwrap().len(), 2);
}

#[test]
fn what_cannot_be_started_cannot_go_on() {
    let (_folder, path) = file();
    let store = open(&path);
    assert_eq!(code(&append(&store, &new_head(), vec![said("hello?")])), "session_not_started");
    assert_eq!(code(&append(&store, &new_head(), vec![])), "session_not_started");
    let place = Place { session: SessionId::random(), head: Head { seq: SeqNo(3), hash: Hash([1; 32]) } };
    assert_eq!(code(&append(&store, &SharedHead::new(place), vec![said("hello?")])), "session_unknown");
    assert_eq!(store.check().unwrap(), CheckReport::default());
}

#[test]
fn a_full_disk_fails_what_does_not_fit_and_nothing_else() {
    let (_folder, path) = file();
    let max_pages = Some(64);
    let store = SqliteStore::open(&path, SqliteOptions { max_pages, ..Default::default() }).unwrap();
    let (small, big) = (new_head(), new_head());
    append(&store, &small, vec![start()]).recv().unwrap().unwrap();
    append(&store, &big, vec![start()]).recv().unwrap().unwrap();
    // One group: the one that does not fit stands between two that do.
    let release = hold_writer(&store);
    let acks = [
        append(&store, &small, vec![said("fits")]),
        append(&store, &big, vec![said("half of a turn"), said(&"x".repeat(500_000))]),
        append(&store, &small, vec![said("fits too")]),
    ];
    drop(release);
    assert_eq!(acks[0].recv().unwrap().unwrap().place.head.seq, SeqNo(2));
    let error = acks[1].recv().unwrap().unwrap_err();
    assert_eq!(error.code(), "store_disk_full");
    assert!(error.to_string().contains("log.sqlite"), "{error}");
    assert_eq!(acks[2].recv().unwrap().unwrap().place.head.seq, SeqNo(3));
    drop(store);

    let store = open(&path);
    assert_eq!(store.load(big.place().session, None).unwrap().len(), 1, "no half turn");
    append(&store, &big, vec![said("there is space again")]).recv().unwrap().unwrap();
    assert_eq!(store.check().unwrap().problems, vec![]);
}

#[test]
fn a_read_only_file_is_read_and_not_written() {
    let (_folder, path) = file();
    let store = open(&path);
    let head = new_head();
    append(&store, &head, vec![start()]).recv().unwrap().unwrap();
    drop(store);
    let store = SqliteStore::open(&path, SqliteOptions { access: Access::ReadOnly, ..Default::default() });
    let store = store.unwrap();
    let error = append(&store, &head, vec![said("no")]).recv().unwrap().unwrap_err();
    assert_eq!(error.code(), "store_read_only");
    assert!(error.to_string().contains("log.sqlite"), "{error}");
    assert_eq!(store.load(head.place().session, None).unwrap().len(), 1);
    assert_eq!(store.rebuild().unwrap_err().code(), "store_read_only");
}

// ---- damage ----

/// A session of four events, changed by `statements` (`?` is its name), opened again.
fn damaged(statements: &str, access: Access) -> (tempfile::TempDir, SqliteStore, SharedHead) {
    let (folder, path) = file();
    let store = open(&path);
    let (head, other) = (new_head(), new_head());
    append(&store, &other, vec![start(), said("well")]).recv().unwrap().unwrap();
    append(&store, &head, vec![start(), said("one"), said("two"), said("three")]).recv().unwrap().unwrap();
    drop(store);
    sql(&path, &statements.replace('?', &format!("'{}'", head.place().session)));
    let store = SqliteStore::open(&path, SqliteOptions { access, ..Default::default() }).unwrap();
    (folder, store, head)
}

#[test]
fn check_and_load_name_the_session_and_the_event() {
    let flip = "UPDATE events SET payload = replace(payload, 'two', 'tvo') WHERE session_id = ?";
    let cases = [
        (flip, Some(3)),
        ("UPDATE events SET at_unix_us = 7 WHERE session_id = ? AND seq = 2", Some(2)),
        ("UPDATE events SET salt = NULL WHERE session_id = ? AND seq = 2", Some(2)),
        ("UPDATE events SET hash = x'00' WHERE session_id = ? AND seq = 2", Some(2)),
        ("UPDATE events SET kind = CAST(x'ff' AS TEXT) WHERE session_id = ? AND seq = 2", Some(2)),
        ("DELETE FROM events WHERE session_id = ? AND seq = 2", Some(2)),
        ("DELETE FROM events WHERE session_id = ? AND seq = 4", Some(4)),
        ("DELETE FROM events WHERE session_id = ?", Some(4)),
        ("DELETE FROM heads WHERE session_id = ?", None),
        ("UPDATE heads SET hash = x'00' WHERE session_id = ?", None),
    ];
    for (statements, seq) in cases {
        let (_folder, store, head) = damaged(statements, Access::ReadOnly);
        let session = head.place().session;
        let Err(StoreError::Damaged { session: named, damage }) = store.load(session, None) else {
            panic!("{statements}: loaded");
        };
        assert_eq!((named, damage.seq), (session, seq.map(SeqNo)), "{statements}: {}", damage.what);
        let report = store.check().unwrap();
        let problem = Problem { session: Some(session.to_string()), damage };
        assert_eq!(report.problems, vec![problem], "{statements}");
        assert_eq!(report.sessions, 2, "{statements}");
    }
}

#[test]
fn a_damaged_end_is_cut_off_and_kept_and_the_session_goes_on() {
    let two = "UPDATE events SET payload = replace(payload, 't', 'd') WHERE session_id = ? AND seq > 2";
    let cases = [
        ("UPDATE events SET payload = replace(payload, 'three', 'tree') WHERE session_id = ?", 3, 1),
        (two, 2, 2),
        ("UPDATE events SET hash = x'00' WHERE session_id = ? AND seq = 4", 3, 1),
        ("UPDATE events SET kind = CAST(x'ff' AS TEXT) WHERE session_id = ? AND seq = 4", 3, 1),
        ("DELETE FROM events WHERE session_id = ? AND seq = 4", 3, 0),
        ("UPDATE heads SET seq = 3 WHERE session_id = ?", 4, 0),
        ("UPDATE heads SET hash = x'00' WHERE session_id = ?", 4, 0),
    ];
    for (statements, kept, cut) in cases {
        let (folder, store, head) = damaged(statements, Access::Existing);
        let session = head.place().session;
        let cuts = store.cut_on_open();
        let shown: Vec<_> = cuts.iter().map(|cut| (cut.session, cut.kept.0, cut.events)).collect();
        assert_eq!(shown, [(session, kept, cut)], "{statements}");
        assert!(cuts[0].to_string().contains("cut_events"), "{}", cuts[0]);
        assert_eq!(store.damaged_on_open(), [], "{statements}");
        assert_eq!(store.check().unwrap().problems, [], "{statements}");
        let path = folder.path().join("log.sqlite");
        let lies = Connection::open(path)
            .unwrap()
            .query_row("SELECT count(*) FROM cut_events WHERE payload IS NOT NULL", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap();
        assert_eq!(lies.cast_unsigned(), cut, "{statements}: nothing is thrown away");
        // The tables know no more than the log.
        assert_eq!(store.messages(session).unwrap().len() as u64, kept - 1, "{statements}");
        let events = store.load(session, None).unwrap();
        assert_eq!(events.len() as u64, kept, "{statements}");
        let here = SharedHead::new(Place { session, head: events.last().unwrap().head() });
        assert!(!append(&store, &here, vec![said("more")]).recv().unwrap().unwrap().forked, "{statements}");
    }
}

#[test]
fn damage_that_is_not_just_the_end_is_left_alone_and_named() {
    for (statements, seq) in [
        // Its head is wrong as well, and so it is found at once.
        ("UPDATE events SET at_unix_us = 7 WHERE session_id = ?1 AND seq IN (2, 4)", Some(4)),
        ("DELETE FROM events WHERE session_id = ?1", Some(4)),
        ("UPDATE events SET at_unix_us = 7 WHERE session_id = ?1", Some(4)),
    ] {
        let (_folder, store, head) = damaged(&statements.replace("?1", "?"), Access::Existing);
        assert_eq!(store.cut_on_open(), [], "{statements}");
        let found = store.damaged_on_open();
        assert_eq!(found.len(), 1, "{statements}");
        assert_eq!(found[0].session, Some(head.place().session.to_string()), "{statements}");
        assert_eq!(found[0].damage.seq, seq.map(SeqNo), "{statements}");
        assert_eq!(code(&append(&store, &head, vec![said("more")])), "session_damaged", "{statements}");
    }
}

#[test]
fn a_chain_without_a_payload_still_verifies() {
    let deletion = "UPDATE events SET payload = NULL, salt = NULL WHERE session_id = ? AND seq = 3";
    let (_folder, store, head) = damaged(deletion, Access::Existing);
    let events = store.load(head.place().session, None).unwrap();
    let deleted: Vec<_> = events.iter().map(|stored| stored.event().is_none()).collect();
    assert_eq!(deleted, vec![false, false, true, false]);
    assert_eq!(store.check().unwrap().problems, vec![]);
    append(&store, &head, vec![said("more")]).recv().unwrap().unwrap();
}

#[test]
fn a_broken_file_is_no_panic() {
    let (_folder, path) = file();
    let store = open(&path);
    let head = new_head();
    append(&store, &head, vec![start(), said(&"long ".repeat(20_000))]).recv().unwrap().unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4096..half].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = SqliteStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "store_damaged", "{error}");
}
