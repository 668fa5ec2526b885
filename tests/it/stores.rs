//! What every store has to do, each test over each of them.

mod backends;
mod memories;
mod postgres;
pub mod postgres_server;
mod random_logs;
mod writers;

use std::collections::BTreeMap;

use crossbeam_channel::{Receiver, bounded};
use vivavoce::conversation::events::{SessionStart, UserMessage};
use vivavoce::conversation::store::{NewEvent, Place, SharedHead};
use vivavoce::conversation::{Appended, Event, Hash, Head, SessionId, Store, StoreError};

/// As in `store.url`.
#[allow(dead_code)]
pub fn url_of(backend: &impl backends::Backend) -> String {
    backend.url()
}

type Acks = Receiver<Result<Appended, StoreError>>;

fn session_start(owner: Option<Hash>) -> SessionStart {
    SessionStart {
        agent: "default".into(),
        frontend: "voice".into(),
        engines: BTreeMap::new(),
        forked_from: None,
        compacted_from: None,
        resume_token_hash: Hash::ZERO,
        owner,
    }
}

fn start() -> NewEvent {
    NewEvent::new(&Event::SessionStart(session_start(Some(Hash([3; 32])))), 1)
}

fn said(text: &str) -> NewEvent {
    NewEvent::new(&Event::UserMessage(UserMessage { turn: 1, text: text.into(), typed: false }), 2)
}

fn new_head() -> SharedHead {
    SharedHead::new(Place { session: SessionId::random(), head: Head::EMPTY })
}

/// Appends without waiting.
fn append(store: &dyn Store, head: &SharedHead, events: Vec<NewEvent>) -> Acks {
    let (tell, told) = bounded(1);
    store.append(head.clone(), events, Box::new(move |result| tell.send(result).unwrap()));
    told
}

/// Appends and waits.
fn write(store: &dyn Store, head: &SharedHead, events: Vec<NewEvent>) -> Appended {
    append(store, head, events).recv().unwrap().unwrap()
}

fn code(acks: &Acks) -> &'static str {
    acks.recv().unwrap().expect_err("it must be refused").code()
}
