//! Several writers of one session: they fork or agree, and nothing is lost or there twice.

use std::collections::BTreeSet;
use std::sync::Barrier;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vivavoce::conversation::chain::StoredEvent;
use vivavoce::conversation::events::{Event, UserMessage};
use vivavoce::conversation::store::{NewEvent, SharedHead};
use vivavoce::conversation::{SessionId, Store};

use super::backends::{Backend, Sqlite};
use super::{append, code, new_head, said, start, write};

super::backends::suite! {
    what_cannot_be_started_cannot_go_on,
    two_servers_that_append_to_one_session_fork,
    appends_of_one_head_never_fork,
    tokens_are_shared,
}

/// What was said in a session, what it was forked from included.
fn said_in(store: &dyn Store, session: SessionId) -> Vec<String> {
    let events: Vec<StoredEvent> = store.load(session, None).unwrap();
    let mut before = match events[0].event() {
        Some(Event::SessionStart(start)) => start.forked_from.map_or(vec![], |origin| {
            let upto = store.load(origin.session, Some(origin.hash)).unwrap();
            let all = said_in(store, origin.session);
            let own = upto.iter().filter(|event| event.kind == "user_message").count();
            let inherited = all.len() - store.messages(origin.session).unwrap().len();
            all[..inherited + own].to_vec()
        }),
        other => panic!("{other:?}"),
    };
    before.extend(store.messages(session).unwrap().into_iter().map(|row| row.message.text));
    before
}

fn words(turn: u64, text: String) -> NewEvent {
    NewEvent::new(&Event::UserMessage(UserMessage { turn, text, typed: true }), 5)
}

fn what_cannot_be_started_cannot_go_on(backend: &dyn Backend) {
    let store = &*backend.open();
    assert_eq!(code(&append(store, &new_head(), vec![said("hello?")])), "session_not_started");
    assert_eq!(code(&append(store, &new_head(), vec![])), "session_not_started");
    let head = new_head();
    let mut place = write(store, &head, vec![start(), said("one")]).place;
    place.session = SessionId::random();
    assert_eq!(code(&append(store, &SharedHead::new(place), vec![said("hello?")])), "session_unknown");
    assert_eq!(store.check().unwrap().events, 2);
}

fn two_servers_that_append_to_one_session_fork(backend: &dyn Backend) {
    let stores = [backend.open(), backend.open()];
    let head = new_head();
    write(&*stores[0], &head, vec![start(), said("common")]);
    let origin = head.place();
    let barrier = Barrier::new(2);
    let results = std::thread::scope(|scope| {
        let threads = ["left", "right"].into_iter().zip(&stores).map(|(name, store)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let head = SharedHead::new(origin);
                barrier.wait();
                let acks: Vec<_> =
                    (0..40).map(|n| append(&**store, &head, vec![words(n, format!("{name} {n}"))])).collect();
                let forks = acks.iter().filter(|ack| ack.recv().unwrap().unwrap().forked).count();
                (name, forks, head.place().session)
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(results.iter().map(|(_, forks, _)| forks).sum::<usize>(), 1, "one of them, once: {results:?}");
    for (name, forks, session) in &results {
        assert_eq!(*forks, usize::from(*session != origin.session));
        let mut expected = vec!["common".to_owned()];
        expected.extend((0..40).map(|n| format!("{name} {n}")));
        // Each reads what the other wrote.
        for store in &stores {
            assert_eq!(said_in(&**store, *session), expected, "{name}");
        }
    }
    let check = stores[0].check().unwrap();
    assert_eq!((check.sessions, check.events, check.problems), (2, 2 + 40 + 1 + 40, vec![]));
}

fn appends_of_one_head_never_fork(backend: &dyn Backend) {
    let store = &*backend.open();
    let head = new_head();
    write(store, &head, vec![start()]);
    std::thread::scope(|scope| {
        for name in ["turn", "job", "other job"] {
            let head = head.clone();
            scope.spawn(move || {
                let acks: Vec<_> =
                    (0..50).map(|n| append(store, &head, vec![words(n, format!("{name} {n}"))])).collect();
                assert!(acks.iter().all(|ack| !ack.recv().unwrap().unwrap().forked));
            });
        }
    });
    let said = said_in(store, head.place().session);
    assert_eq!(said.len(), 150);
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), 150);
    for name in ["turn", "job", "other job"] {
        let own: Vec<_> = said.iter().filter(|text| text.starts_with(&format!("{name} "))).collect();
        assert_eq!(
            own,
            (0..50).map(|n| format!("{name} {n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

fn tokens_are_shared(backend: &dyn Backend) {
    use vivavoce::conversation::{NewToken, Scope, TokenStore};
    let stores = [(); 2].map(|()| TokenStore::open(&backend.url()).unwrap());
    assert!(!stores[0].has_any().unwrap());
    let scopes = &[Scope::Admin, Scope::Voice];
    let token = stores[0].create(&NewToken { name: "both", scopes, expires_at_unix_us: Some(7) }).unwrap();
    assert!(stores[1].has_any().unwrap());
    let found = stores[1].find(&token).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.expires_at_unix_us), ("both", Some(7)));
    assert_eq!(found.scopes, [Scope::Voice, Scope::Admin]);
    assert_eq!(stores[0].list().unwrap(), std::slice::from_ref(&found));
    assert_eq!(stores[1].find(&token[1..]).unwrap(), None);
    assert!(stores[1].revoke(&found.hash).unwrap());
    assert!(!stores[0].revoke(&found.hash).unwrap());
    assert_eq!(stores[0].find(&token).unwrap(), None);
}

/// Two servers that stand at the same place, each with a row of appends of so many events, of which some
/// are not waited for.
fn race() -> impl Strategy<Value = [Vec<(usize, bool)>; 2]> {
    let appends = || prop::collection::vec((0..3_usize, any::<bool>()), 0..8);
    [appends(), appends()]
}

/// So many random races: every event that was acknowledged is there, once, in its order.
pub fn two_writers_fork_or_agree_and_lose_nothing<B: Backend>(cases: u32, new: impl Fn() -> B) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let run = |race: [Vec<(usize, bool)>; 2]| {
        let backend = new();
        let stores = [backend.open(), backend.open()];
        let head = new_head();
        write(&*stores[0], &head, vec![start()]);
        let origin = head.place();
        let barrier = Barrier::new(2);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|side| {
                    let (store, appends, barrier) = (&stores[side], &race[side], &barrier);
                    scope.spawn(move || {
                        let head = SharedHead::new(origin);
                        let (mut expected, mut acks) = (vec![], vec![]);
                        barrier.wait();
                        // Each has a last word, so that it knows in the end where it stands.
                        let last = [(1, true)];
                        for (n, (events, wait)) in appends.iter().chain(&last).enumerate() {
                            let texts: Vec<_> = (0..*events).map(|m| format!("{side} {n} {m}")).collect();
                            let events = texts.iter().map(|text| words(n as u64, text.clone())).collect();
                            let ack = append(&**store, &head, events);
                            if *wait {
                                ack.recv().unwrap().unwrap();
                            } else {
                                acks.push(ack);
                            }
                            expected.extend(texts);
                        }
                        assert!(acks.iter().all(|ack| ack.recv().unwrap().is_ok()));
                        (head.place().session, expected)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (side, (session, expected)) in results.iter().enumerate() {
            prop_assert_eq!(&said_in(&*stores[1 - side], *session), expected);
        }
        let check = stores[0].check().unwrap();
        let all = results.iter().map(|(_, expected)| expected.len() as u64).sum::<u64>();
        prop_assert_eq!(check.events, all + check.sessions, "a start each, and every event once");
        prop_assert_eq!(check.problems, vec![]);
        Ok(())
    };
    TestRunner::new(config).run(&race(), run).unwrap();
}

#[test]
fn two_writers_fork_or_agree_and_lose_nothing_on_sqlite() {
    two_writers_fork_or_agree_and_lose_nothing(32, Sqlite::new);
}
