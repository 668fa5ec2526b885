//! The session actor with everything around it but the socket: from a typed turn to the first audio,
//! through the LLM's and the TTS's worker threads (scripted, at no cost), and from `interrupt` to its
//! message.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use vivavoce::config::Config;
use vivavoce::conversation::{ConversationLog, NewSession};
use vivavoce::engines::{CancelToken, Engines};
use vivavoce::session::messages::{FromClient, Hello, ToClient};
use vivavoce::session::settings::{Offers, Settings};
use vivavoce::session::upkeep::memories::Keeper;
use vivavoce::session::{self, Journal, Start};
use vivavoce::tools::Registry;
use vivavoce::turn::io::Event;

struct Talk {
    runtime: Runtime,
    to_session: Sender<FromClient>,
    from_session: Receiver<ToClient>,
    _folder: tempfile::TempDir,
}

impl Talk {
    fn begin() -> Talk {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let names =
            [&mut config.vad.engine, &mut config.asr.engine, &mut config.llm.engine, &mut config.tts.engine];
        names.into_iter().for_each(|name| *name = "scripted".to_owned());
        let config = Arc::new(config);
        let tools = Arc::new(Registry::new(&config.tools).unwrap());
        let engines = Arc::new(Engines::load(&config, tools.specs()).unwrap());
        let log = ConversationLog::open(&config.store.url).unwrap();
        let keeper = Keeper::new(Arc::clone(&log), config.memory.clone());
        let started = log.start_session(NewSession::default(), Box::new(|_| {}));
        let start = Start {
            hello: Hello {
                session_id: started.writer.session_id().to_string(),
                resume_token: started.resume_token,
                resumed: false,
                live: false,
                recorded: false,
                agent: "default".to_owned(),
                engines: engines.names.clone(),
            },
            settings: Settings::new(&config, &config.persona, &Offers::of(&engines)),
            journal: Journal::new(started.writer),
            tools,
            engines,
            config,
            shows_thoughts: false,
            greeting: None,
            tape: None,
            recorder: None,
            keeper,
            drain: CancelToken::new(),
            stop: CancelToken::new(),
            replaced: CancelToken::new(),
            returns: None,
            moved: Box::new(|_| {}),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (to_session, inbound) = channel(32);
        let (outbound, from_session) = channel(256);
        runtime.spawn(session::run(start, inbound, outbound));
        Talk { runtime, to_session, from_session, _folder: folder }
    }

    /// Sends, and gives the time until a message comes that `wanted` accepts.
    fn until(&mut self, message: FromClient, wanted: fn(&ToClient) -> bool) -> Duration {
        self.runtime.block_on(async {
            let began = Instant::now();
            self.to_session.send(message).await.unwrap();
            while !wanted(&black_box(self.from_session.recv().await.unwrap())) {}
            began.elapsed()
        })
    }

    /// A typed turn, stopped at its first audio: the times to the audio and to the `interrupt`.
    fn turn(&mut self) -> (Duration, Duration) {
        let first_audio = self
            .until(FromClient::Text("hello".to_owned()), |message| matches!(message, ToClient::Audio { .. }));
        let interrupt = self.until(FromClient::Interrupt { last_chunk: None, turn: None }, |message| {
            matches!(message, ToClient::Event(Event::Interrupt { .. }))
        });
        // The next turn begins when this one is durable.
        self.runtime.block_on(async {
            let ended = |message: &ToClient| matches!(message, ToClient::Event(Event::TurnEnd { .. }));
            while !ended(&self.from_session.recv().await.unwrap()) {}
        });
        (first_audio, interrupt)
    }
}

fn bench(criterion: &mut Criterion) {
    let mut talk = Talk::begin();
    let mut group = criterion.benchmark_group("session");
    group.sample_size(20);
    group.bench_function("typed turn to first audio", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| talk.turn().0).sum());
    });
    group.bench_function("interrupt to its message", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| talk.turn().1).sum());
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
