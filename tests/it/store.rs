//! The event log as a session uses it: two writers, a restart, `kill -9`, and the command line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clap::Parser as _;
use crossbeam_channel::{Receiver, bounded};
use vivavoce::cli::db::Db;
use vivavoce::config::Config;
use vivavoce::conversation::compaction::Successor;
use vivavoce::conversation::events::{
    Amend, AssistantMessage, Origin, SessionDeleted, TurnEnd, TurnOutcome, UserMessage,
};
use vivavoce::conversation::{
    Appended, ConversationLog, Event, NewSession, OnDurable, SeqNo, SessionId, SessionWriter, StoreError,
    Whose,
};

type Acks = Receiver<Result<Appended, StoreError>>;

fn url(folder: &Path) -> String {
    format!("sqlite://{}/log.sqlite", folder.display())
}

fn ack() -> (OnDurable, Acks) {
    let (tell, told) = bounded(1);
    (Box::new(move |result| tell.send(result).unwrap()), told)
}

fn turn(turn: u64, user: &str, heard: &str) -> [Event; 3] {
    let metrics = BTreeMap::from([("total".to_string(), Some(12.5)), ("asr".to_string(), None)]);
    [
        Event::UserMessage(UserMessage { turn, text: user.into(), typed: false }),
        Event::AssistantMessage(AssistantMessage {
            turn,
            text: heard.into(),
            whole_reply: None,
            estimated: false,
            outcome: TurnOutcome::Completed,
        }),
        Event::TurnEnd(TurnEnd { turn, outcome: TurnOutcome::Completed, metrics }),
    ]
}

fn append(writer: &mut SessionWriter, events: &[Event]) -> Acks {
    let (on_durable, acks) = ack();
    writer.append_turn(events, on_durable);
    acks
}

fn durable(acks: &Acks) -> Appended {
    acks.recv().unwrap().unwrap()
}

fn start(log: &ConversationLog) -> (SessionWriter, String) {
    let (on_durable, acks) = ack();
    let engines = BTreeMap::from([("asr".to_string(), "scripted".to_string())]);
    let new = NewSession { agent: "default".into(), frontend: "voice".into(), engines, ..Default::default() };
    let started = log.start_session(new, on_durable);
    durable(&acks);
    (started.writer, started.resume_token)
}

fn said_in(log: &ConversationLog, session: SessionId) -> Vec<String> {
    let session = log.read_session(session).unwrap().unwrap();
    session.messages.into_iter().map(|message| message.text).collect()
}

#[test]
fn a_session_survives_a_restart_as_readable_history() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, token) = start(&log);
    let id = writer.session_id();
    // Queued behind each other, none of them waits.
    let first = append(&mut writer, &turn(1, "What is two plus two?", "Four."));
    let second = append(&mut writer, &turn(2, "And three?", "Two plus three is five."));
    let amend = Amend { turn: 2, heard_text: "Two plus".into(), estimated: true };
    let third = append(&mut writer, &[Event::Amend(amend)]);
    let (on_durable, last) = ack();
    writer.end("client_left", on_durable);
    let ends: Vec<_> = [&first, &second, &third, &last].map(|acks| durable(acks).place.head.seq.0).into();
    assert_eq!(ends, [4, 7, 8, 9]);
    let history = writer.history().to_vec();
    drop((writer, log));

    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let session = log.read_session(id).unwrap().unwrap();
    assert_eq!(session.messages, history);
    let heard: Vec<_> = history.iter().map(|m| (m.turn, m.text.as_str(), m.whole_reply.as_deref())).collect();
    let expected = [
        (1, "What is two plus two?", None),
        (1, "Four.", None),
        (2, "And three?", None),
        (2, "Two plus", Some("Two plus three is five.")),
    ];
    assert_eq!(heard, expected);
    assert!(history[3].interrupted && history[3].estimated);
    let turns: Vec<_> = session.turns.iter().map(|turn| (turn.turn, turn.metrics["total"])).collect();
    assert_eq!(turns, [(1, Some(12.5)), (2, Some(12.5))]);
    assert_eq!(session.ended.as_ref().map(|ended| ended.reason.as_str()), Some("client_left"));
    let row = &log.conversations(Whose::All, 10).unwrap()[0];
    assert_eq!((row.session, row.turns, row.messages), (id, 2, 4));

    assert!(log.check_resume_token(id, &token).unwrap());
    assert!(!log.check_resume_token(id, &token[1..]).unwrap());
    assert!(!log.check_resume_token(SessionId::random(), &token).unwrap());
    let json = serde_json::to_string(&session).unwrap();
    assert!(json.contains(r#""asr":"scripted""#) && !json.contains("token"), "{json}");
    assert_eq!(log.read_session(SessionId::random()).unwrap(), None);

    let mut writer = log.continue_session(id).unwrap();
    assert_eq!((writer.history(), writer.last_turn()), (history.as_slice(), 2));
    assert!(!durable(&append(&mut writer, &turn(3, "Still there?", "Yes."))).forked);
    assert_eq!(said_in(&log, id).len(), 6);
}

#[test]
fn two_writers_of_one_session_fork_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Two servers: each has the file open for itself.
    let logs = [(); 2].map(|()| ConversationLog::open(&url(folder.path())).unwrap());
    let (mut writer, token) = start(&logs[0]);
    let origin = writer.session_id();
    let common = durable(&append(&mut writer, &turn(1, "common", "ground"))).place;
    drop(writer);

    let barrier = Arc::new(std::sync::Barrier::new(2));
    let threads = [("left", &logs[0]), ("right", &logs[1])].map(|(name, log)| {
        let (log, barrier) = (Arc::clone(log), Arc::clone(&barrier));
        std::thread::spawn(move || {
            let mut writer = log.continue_session(origin).unwrap();
            barrier.wait();
            let acks: Vec<_> =
                (2..22).map(|n| append(&mut writer, &turn(n, &format!("{name} {n}"), "heard"))).collect();
            let forks = acks.iter().filter(|acks| durable(acks).forked).count();
            (name, forks, writer)
        })
    });
    let results = threads.map(|thread| thread.join().unwrap());

    let sessions: BTreeSet<_> = results.iter().map(|(_, _, writer)| writer.session_id()).collect();
    assert_eq!(sessions.len(), 2, "each goes on in a session of its own");
    assert!(sessions.contains(&origin), "the first to write keeps the old one");
    for (name, forks, writer) in &results {
        let id = writer.session_id();
        assert_eq!(*forks, usize::from(id != origin), "{name} forks once or never");
        let session = logs[0].read_session(id).unwrap().unwrap();
        assert_eq!(session.messages, writer.history(), "{name}: the log and its writer agree");
        let mut expected = vec!["common".to_string(), "ground".into()];
        expected.extend((2..22).flat_map(|n| [format!("{name} {n}"), "heard".into()]));
        assert_eq!(said_in(&logs[1], id), expected);
        let from = (id != origin).then_some(Origin { session: origin, hash: common.head.hash });
        assert_eq!(session.forked_from, from);
        assert!(logs[0].check_resume_token(id, &token).unwrap(), "the client has no other token");
        assert_eq!(logs[1].continue_session(id).unwrap().history(), writer.history());
    }
    assert_eq!(logs[0].check().unwrap().problems, vec![]);
}

#[test]
fn background_jobs_share_the_head_and_do_not_fork() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, _) = start(&log);
    let id = writer.session_id();
    let background = writer.background();
    let job = std::thread::spawn(move || {
        let acks: Vec<_> = (0..50)
            .map(|n| {
                let (on_durable, acks) = ack();
                background.append(&turn(100 + n, "job", "done"), on_durable);
                acks
            })
            .collect();
        acks.iter().filter(|acks| durable(acks).forked).count()
    });
    let acks: Vec<_> = (1..51).map(|n| append(&mut writer, &turn(n, "turn", "reply"))).collect();
    let forks = acks.iter().filter(|acks| durable(acks).forked).count();
    assert_eq!((forks, job.join().unwrap(), writer.session_id()), (0, 0, id));
    assert_eq!(log.read_session(id).unwrap().unwrap().turns.len(), 100);
}

#[test]
fn a_turn_that_could_not_be_stored_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, _) = start(&log);
    durable(&append(&mut writer, &turn(1, "kept", "yes")));
    let id = writer.session_id();
    drop(log);
    // Somebody takes the tables away under it.
    let database = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    database.execute_batch("ALTER TABLE messages RENAME TO away").unwrap();
    let error = append(&mut writer, &turn(2, "lost", "yes")).recv().unwrap().unwrap_err();
    assert_eq!(error.code(), "store_failed", "{error}");
    database.execute_batch("ALTER TABLE away RENAME TO messages").unwrap();
    writer.retract_turn(2);
    durable(&append(&mut writer, &turn(3, "kept too", "yes")));

    let log = ConversationLog::open(&url(folder.path())).unwrap();
    assert_eq!(log.read_session(id).unwrap().unwrap().messages, writer.history());
    assert_eq!(said_in(&log, id), ["kept", "yes", "kept too", "yes"]);
}

#[test]
fn what_could_not_be_stored_is_stored_with_the_next_turn() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, _) = start(&log);
    durable(&append(&mut writer, &turn(1, "one", "yes")));
    let database = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'no space'); END",
        )
        .unwrap();
    for n in [2, 3] {
        let failed = append(&mut writer, &turn(n, "later", "yes")).recv().unwrap();
        assert_eq!(failed.unwrap_err().code(), "store_failed");
    }
    // A session whose start could not be stored either.
    let (on_durable, acks) = ack();
    let mut late = log.start_session(NewSession::default(), on_durable).writer;
    assert!(acks.recv().unwrap().is_err());
    assert!(append(&mut late, &turn(1, "late", "yes")).recv().unwrap().is_err());
    database.execute_batch("DROP TRIGGER full").unwrap();

    durable(&append(&mut writer, &turn(4, "four", "yes")));
    durable(&append(&mut late, &turn(2, "later", "yes")));
    for writer in [&writer, &late] {
        let stored = log.read_session(writer.session_id()).unwrap().unwrap();
        assert_eq!(stored.messages, writer.history(), "with the times at which it was said");
    }
    assert_eq!(said_in(&log, writer.session_id()).len(), 8);
    assert_eq!(log.check().unwrap().problems, vec![]);
}

#[test]
fn a_damaged_session_is_not_continued_and_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let [damaged, whole] = [(); 2].map(|()| {
        let (mut writer, _) = start(&log);
        durable(&append(&mut writer, &turn(1, "hello", "hi")));
        writer.session_id()
    });
    drop(log);
    let database = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    let flip = "UPDATE events SET payload = replace(payload, 'hello', 'hullo') WHERE session_id = ?1";
    assert_eq!(database.execute(flip, [damaged.to_string()]).unwrap(), 4);
    drop(database);

    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let error = log.continue_session(damaged).unwrap_err();
    let StoreError::Damaged { session, damage } = &error else { panic!("{error}") };
    assert_eq!((*session, damage.seq), (damaged, Some(SeqNo(2))));
    assert_eq!(log.read_session(damaged).unwrap_err().code(), "session_damaged");
    assert!(!durable(&append(&mut log.continue_session(whole).unwrap(), &turn(2, "more", "yes"))).forked);

    let (out, error) = db(folder.path(), "check");
    assert!(out.contains(&format!("session {damaged}, event 2: ")), "{out}");
    assert!(out.ends_with("2 sessions, 8 events verified\n"), "{out}");
    assert!(error.unwrap().starts_with("1 of the event log's parts"));
}

// ---- the command line ----

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    db: Db,
}

/// Output and error of `vivavoce db …`.
fn db(folder: &Path, command: &str) -> (String, Option<String>) {
    db_with(folder, &[command])
}

fn db_with(folder: &Path, arguments: &[&str]) -> (String, Option<String>) {
    let mut config = Config::default();
    config.store.url = url(folder);
    let mut out = vec![];
    let result = Cli::parse_from([&["db"], arguments].concat()).db.run(&config, &mut out);
    (String::from_utf8(out).unwrap(), result.err().map(|error| error.to_string()))
}

#[test]
fn db_checks_and_rebuilds_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["check", "rebuild"] {
        let (_, error) = db(folder.path(), command);
        assert!(error.is_some_and(|error| error.contains("log.sqlite")), "{command} makes no file");
        assert!(!folder.path().join("log.sqlite").exists());
    }
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, _) = start(&log);
    durable(&append(&mut writer, &turn(1, "hello", "hi")));
    assert_eq!(db(folder.path(), "check"), ("1 sessions, 4 events verified\n".into(), None));
    let database = rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap();
    database.execute_batch("DELETE FROM conversations").unwrap();
    assert!(log.conversations(Whose::All, 10).unwrap().is_empty());
    let rebuilt = "4 events read: 1 conversations, 2 messages\n";
    assert_eq!(db(folder.path(), "rebuild"), (rebuilt.into(), None));
    assert_eq!(log.conversations(Whose::All, 10).unwrap().len(), 1);
    durable(&append(&mut writer, &turn(2, "still there?", "yes")));
}

#[test]
fn db_backs_up_and_exports_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let log = ConversationLog::open(&url(folder.path())).unwrap();
    let (mut writer, _) = start(&log);
    durable(&append(&mut writer, &turn(1, "hello", "hi")));
    let id = writer.session_id().to_string();

    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let file = copy.join("log.sqlite");
    let to = file.to_str().unwrap();
    assert_eq!(db_with(folder.path(), &["backup", to]), (format!("copied to {to}\n"), None));
    let (out, error) = db_with(folder.path(), &["backup", to]);
    assert!(out.is_empty() && error.is_some_and(|error| error.contains("there is something already")));
    durable(&append(&mut writer, &turn(2, "not in the copy", "yes")));
    assert_eq!(db(&copy, "check"), ("1 sessions, 4 events verified\n".into(), None));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
    }
    // The copy is a store like any other.
    let copied = ConversationLog::open(&url(&copy)).unwrap();
    durable(&append(&mut copied.continue_session(writer.session_id()).unwrap(), &turn(2, "more", "yes")));

    let (out, error) = db_with(folder.path(), &["export", &id, "--format", "markdown"]);
    assert_eq!(error, None);
    let said = ["## User\n\nhello\n", "## Assistant\n\nhi\n", "## User\n\nnot in the copy\n"];
    assert!(out.starts_with(&format!("# {id} · ")) && said.iter().all(|text| out.contains(text)), "{out}");
    let (other, _) = start(&log);
    let (out, _) = db(folder.path(), "export");
    let exported: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = exported.iter().map(|session| session["session_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id.as_str(), &other.session_id().to_string()]);
    assert_eq!(exported[0]["messages"][0]["text"], "hello");
    let (_, error) = db_with(folder.path(), &["export", &SessionId::random().to_string()]);
    assert!(error.unwrap().contains("is not in the log"));

    let deleted = Event::SessionDeleted(SessionDeleted { session: writer.session_id() });
    log.record(deleted).unwrap();
    let (out, error) = db(folder.path(), "compact");
    assert!(out.starts_with("7 events erased; ") && error.is_none(), "{out} {error:?}");
    assert_eq!(db(folder.path(), "export").0.lines().count(), 1);
}

// ---- kill -9 ----

const CHILD_FOLDER: &str = "VIVAVOCE_TEST_KILL_CHILD";
const SESSIONS: usize = 3;
/// Turns of one session that are on their way to the disk at the same time.
const IN_FLIGHT: usize = 4;

/// Each session is compacted after so many turns: of its messages the last turn's stay, and a summary.
const TURNS_A_SESSION: u64 = 5;

/// Appends turns and compacts sessions until it is killed, and says of each when it was acknowledged.
fn write_until_killed(folder: &Path) -> ! {
    let log = ConversationLog::open(&url(folder)).unwrap();
    let mut sessions: Vec<_> = (0..SESSIONS).map(|_| (start(&log).0, bounded::<()>(IN_FLIGHT))).collect();
    for n in 1.. {
        for (writer, (tickets, done)) in &mut sessions {
            let acknowledge = || -> OnDurable {
                tickets.send(()).unwrap();
                let done = done.clone();
                Box::new(move |result| {
                    // A writer that cannot write ends, and the parent sees that it did.
                    let Ok(Appended { place, .. }) = result else { std::process::exit(1) };
                    // One write, so that a line is there whole or not at all.
                    let line = format!("\nack {} {}\n", place.session, place.head.seq);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    done.recv().unwrap();
                })
            };
            if n % TURNS_A_SESSION == 0 {
                let (on_durable, settled) = ack();
                writer.settle(on_durable);
                let hash = durable(&settled).place.head.hash;
                let tail = writer.history().len() - 2;
                let successor = Successor::new(writer.history(), tail, "what was before", writer.tasks());
                *writer = writer.compact(hash, &successor, acknowledge()).unwrap();
            }
            let events = turn(n, "what was said", &"what was heard ".repeat(20));
            writer.append_turn(&events, acknowledge());
        }
    }
    unreachable!("it is killed")
}

fn spawn_writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::kill_9_loses_nothing_acknowledged", "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        write_until_killed(Path::new(&folder));
    }
    let seed = getrandom::u64().unwrap();
    let mut random = seed;
    // A few kills each, so that the logs that are checked every time stay short.
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let mut acknowledged: HashMap<SessionId, SeqNo> = HashMap::new();
        for kill in 0..10 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = format!("seed {seed}, round {round}, kill {kill}");
            write_and_kill(folder.path(), 1 + (random >> 33) % 30, &mut acknowledged, &place);
            let log = ConversationLog::open(&url(folder.path())).unwrap();
            assert_eq!(log.store().cut_on_open(), vec![], "{place}");
            assert_eq!(log.check().unwrap().problems, vec![], "{place}");
            for (id, seq) in &acknowledged {
                let session = log.read_session(*id).unwrap().unwrap();
                let turns = session.turns.len() as u64;
                // The summary, and the last turn of the session before.
                let begins_with = if session.compacted_from.is_some() { 3 } else { 0 };
                let events = 1 + begins_with + 3 * turns;
                assert!(events >= seq.0, "{place}: {turns} turns, event {seq} was acknowledged");
                let messages = session.messages.len() as u64;
                assert_eq!(messages, begins_with + 2 * turns, "{place}: half of a turn, or of a beginning");
                if let Some(origin) = session.compacted_from {
                    assert_eq!(log.compactions_of(origin.session).unwrap(), log.compactions_of(*id).unwrap());
                }
            }
        }
        assert!(acknowledged.len() >= 10, "each time had sessions of its own");
    }
}

/// Lets a process write, notes what was acknowledged, and kills it after so many acknowledgements.
fn write_and_kill(folder: &Path, kill_after: u64, acknowledged: &mut HashMap<SessionId, SeqNo>, place: &str) {
    let mut child = spawn_writer(folder);
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((session, seq)) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')) else {
            continue;
        };
        acknowledged.insert(session.parse().unwrap(), SeqNo(seq.parse().unwrap()));
        seen += 1;
        if seen == kill_after {
            child.kill().unwrap(); // SIGKILL; what it said before is still read
        }
    }
    child.wait().unwrap();
    assert!(seen >= kill_after, "{place}: the writer ended by itself");
}
