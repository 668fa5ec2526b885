//! How long an event takes to be on the disk: one session alone, and 64 at the same time.
//!
//! `cargo bench --bench store`. The disk decides: each iteration waits for at least one `fsync`; the
//! bench `fsync` shows what one costs here, for comparison.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use vivavoce::conversation::events::{AssistantMessage, TurnEnd, TurnOutcome, UserMessage};
use vivavoce::conversation::{ConversationLog, Event, NewSession, OnDurable, SessionWriter};

const SESSIONS: usize = 64;

fn turn() -> [Event; 3] {
    let metrics = ["endpoint", "asr", "llm_first_token", "tts_first_audio", "first_audio", "total"];
    let metrics: BTreeMap<_, _> = metrics.iter().map(|stage| (stage.to_string(), Some(123.456))).collect();
    [
        Event::UserMessage(UserMessage {
            turn: 1,
            text: "what time is it in Reykjavik".into(),
            typed: false,
        }),
        Event::AssistantMessage(AssistantMessage {
            turn: 1,
            text: "It is a quarter past nine in Reykjavik, and still light outside. ".repeat(3),
            whole_reply: None,
            estimated: false,
            outcome: TurnOutcome::Completed,
        }),
        Event::TurnEnd(TurnEnd { turn: 1, outcome: TurnOutcome::Completed, metrics }),
    ]
}

fn append(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log =
        ConversationLog::open(&format!("sqlite://{}/log.sqlite", folder.path().display())).expect("a log");
    let (tell, told) = bounded(SESSIONS);
    let on_durable = || -> OnDurable {
        let tell = tell.clone();
        Box::new(move |result| tell.send(result.is_ok()).expect("somebody waits"))
    };
    let wait = |appends: usize| assert!((0..appends).all(|_| told.recv() == Ok(true)));
    let mut writers: Vec<SessionWriter> =
        (0..SESSIONS).map(|_| log.start_session(NewSession::default(), on_durable()).writer).collect();
    wait(SESSIONS);
    let turn = turn();

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

criterion_group!(benches, append);
criterion_main!(benches);
