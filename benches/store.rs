//! The event log: how fast it takes events, how fast it opens, and how fast it answers.
//!
//! `cargo bench --bench store`, or `cargo bench --bench store -- load` for those whose name holds that.
//! The disk decides over the appends: each waits for at least one `fsync`; `fsync_4k` shows what one
//! costs here, for comparison.
#![allow(missing_docs, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::{bounded, unbounded};
use vivavoce::conversation::events::{
    AssistantMessage, Memory, SessionStart, TurnEnd, TurnOutcome, UserMessage,
};
use vivavoce::conversation::store::{NewEvent, Place, SharedHead};
use vivavoce::conversation::{
    ConversationLog, Event, Hash, Head, NewSession, OnDurable, SessionId, SessionWriter, Whose,
};

const SESSIONS: usize = 64;
/// How long the 64 writers write.
const LOAD: Duration = Duration::from_secs(10);

fn turn(turn: u64) -> [Event; 3] {
    let metrics = ["endpoint", "asr", "llm_first_token", "tts_first_audio", "first_audio", "total"];
    let metrics: BTreeMap<_, _> = metrics.iter().map(|stage| (stage.to_string(), Some(123.456))).collect();
    [
        Event::UserMessage(UserMessage { turn, text: "what time is it in Reykjavik".into(), typed: false }),
        Event::AssistantMessage(AssistantMessage {
            turn,
            text: "It is a quarter past nine in Reykjavik, and still light outside. ".repeat(3),
            whole_reply: None,
            estimated: false,
            outcome: TurnOutcome::Completed,
        }),
        Event::TurnEnd(TurnEnd { turn, outcome: TurnOutcome::Completed, metrics }),
    ]
}

fn log_in(folder: &tempfile::TempDir) -> Arc<ConversationLog> {
    ConversationLog::open(&format!("sqlite://{}/log.sqlite", folder.path().display())).expect("a log")
}

fn append(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = log_in(&folder);
    let (tell, told) = bounded(SESSIONS);
    let on_durable = || -> OnDurable {
        let tell = tell.clone();
        Box::new(move |result| tell.send(result.is_ok()).expect("somebody waits"))
    };
    let wait = |appends: usize| assert!((0..appends).all(|_| told.recv() == Ok(true)));
    let mut writers: Vec<SessionWriter> =
        (0..SESSIONS).map(|_| log.start_session(NewSession::default(), on_durable()).writer).collect();
    wait(SESSIONS);
    let turn = turn(1);

    let mut group = c.benchmark_group("event_append");
    let mut raw = std::fs::File::create(folder.path().join("raw")).expect("a file");
    group.bench_function("fsync_4k", |b| {
        b.iter(|| raw.write_all(&[7; 4096]).and_then(|()| raw.sync_data()).expect("the disk writes"));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("turn_of_1_session", |b| {
        b.iter(|| {
            writers[0].append_turn(&turn, on_durable());
            wait(1);
        });
    });
    group.throughput(Throughput::Elements(SESSIONS as u64));
    group.bench_function("turns_of_64_sessions", |b| {
        b.iter(|| {
            writers.iter_mut().for_each(|writer| writer.append_turn(&turn, on_durable()));
            wait(SESSIONS);
        });
    });
    group.throughput(Throughput::Elements(1));
    // What the session itself spends; the disk is waited for outside of the measured time.
    group.bench_function("hand_over", |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let begin = Instant::now();
                writers[1].append_turn(&turn, on_durable());
                spent += begin.elapsed();
                wait(1);
            }
            spent
        });
    });
    group.finish();
}

/// 64 writers, each of which writes its next turn when its last one is durable.
fn load_of_64_writers(_: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = log_in(&folder);
    let (tell, told) = unbounded();
    let mut writers: Vec<SessionWriter> =
        (0..SESSIONS).map(|_| log.start_session(NewSession::default(), Box::new(|_| ())).writer).collect();
    let mut write = |n: usize, number: u64| {
        let (tell, begin) = (tell.clone(), Instant::now());
        let on_durable = move |result: Result<_, _>| {
            assert!(result.is_ok(), "the disk writes");
            tell.send((n, begin.elapsed())).expect("somebody waits");
        };
        writers[n].append_turn(&turn(number), Box::new(on_durable));
    };
    let begin = Instant::now();
    (0..SESSIONS).for_each(|n| write(n, 1));
    let mut latencies = vec![];
    let mut waiting = SESSIONS;
    while waiting > 0 {
        let (n, latency) = told.recv().expect("writers");
        latencies.push(latency);
        if begin.elapsed() < LOAD {
            write(n, latencies.len() as u64);
        } else {
            waiting -= 1;
        }
    }
    let per_second = (3 * latencies.len()) as f64 / begin.elapsed().as_secs_f64();
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "load_of_64_writers: {per_second:.0} events/s; a turn is durable after p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn open(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = log_in(&folder);
    let (tell, told) = unbounded();
    for _ in 0..10_000 / 500 {
        for _ in 0..500 {
            let mut writer = log.start_session(NewSession::default(), Box::new(|_| ())).writer;
            let tell = tell.clone();
            writer.append_turn(
                &turn(1),
                Box::new(move |result| {
                    let _ = tell.send(result.is_ok());
                }),
            );
        }
        assert!((0..500).all(|_| told.recv() == Ok(true)));
    }
    drop(log);
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    group.bench_function("10000_sessions", |b| b.iter(|| log_in(&folder)));
    group.finish();
}

fn load(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = log_in(&folder);
    let mut writer = log.start_session(NewSession::default(), Box::new(|_| ())).writer;
    let (tell, told) = bounded(1);
    for n in 1..=1_000 {
        let tell = tell.clone();
        let on_durable: OnDurable = match n {
            1_000 => Box::new(move |result| {
                let _ = tell.send(result.is_ok());
            }),
            _ => Box::new(|_| ()),
        };
        writer.append_turn(&turn(n), on_durable);
        if n % 500 == 0 && n < 1_000 {
            let (tell, told) = bounded(1);
            writer.append_turn(
                &[],
                Box::new(move |_| {
                    let _ = tell.send(());
                }),
            );
            told.recv().expect("it is written");
        }
    }
    assert_eq!(told.recv(), Ok(true));
    let id = writer.session_id();
    c.bench_function("load_1000_turns", |b| {
        b.iter(|| log.read_session(id).expect("it is sound").expect("it is there").messages.len());
    });
}

fn retrieve(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = log_in(&folder);
    let subjects = ["Anna", "Her brother", "The neighbour", "Ben", "The office"];
    let verbs = ["likes", "planned", "asked about", "decided on", "tried", "cancelled"];
    let objects = ["tea", "the wedding in Lisbon", "a new bicycle", "piano lessons", "the garden", "a dog"];
    let memory = |n: usize| {
        let (subject, verb) = (subjects[n % 5], verbs[n / 5 % 6]);
        let text = format!(
            "{subject} {verb} {}; it was number {n} in the year {}.",
            objects[n / 30 % 6],
            1990 + n % 35
        );
        let id = SessionId::random();
        let (person, said_at_unix_us) = ("user".into(), n as i64);
        Event::Memory(Memory { id, person, text, said_at_unix_us, from: vec![], replaces: vec![] })
    };
    let start = Event::SessionStart(SessionStart {
        agent: String::new(),
        frontend: "voice".into(),
        engines: BTreeMap::new(),
        forked_from: None,
        compacted_from: None,
        resume_token_hash: Hash::ZERO,
        owner: None,
    });
    let events: Vec<_> =
        [start].into_iter().chain((0..10_000).map(memory)).map(|event| NewEvent::new(&event, 1)).collect();
    let head = SharedHead::new(Place { session: SessionId::random(), head: Head::EMPTY });
    let (tell, told) = bounded(1);
    log.store().append(
        head,
        events,
        Box::new(move |result| {
            let _ = tell.send(result.is_ok());
        }),
    );
    assert_eq!(told.recv(), Ok(true));
    let mut group = c.benchmark_group("retrieve_of_10000");
    for (name, query) in [
        ("rare_words", "what was number 4711"),
        ("usual_words", "did Anna cancel the wedding in Lisbon or the piano lessons"),
        (
            "long",
            "I was thinking about the garden and the bicycle, and what the neighbour asked about the dog, \
                  and that the office planned something in the year 2001 when Ben tried the tea",
        ),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| log.search_memories(Whose::Of(None), None, query, 20).expect("an answer").len());
        });
    }
    group.finish();
}

criterion_group!(benches, append, load_of_64_writers, open, load, retrieve);
criterion_main!(benches);
