//! A session whose client is the test.

use std::collections::BTreeMap;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use vivavoce::config::Config;
use vivavoce::conversation::events::Event as Logged;
use vivavoce::conversation::{ConversationLog, NewSession, Role, SessionId, SessionWriter, Store};
use vivavoce::engines::{CancelToken, Engines};
use vivavoce::session::messages::{FromClient, Hello, ToClient, Upkept};
use vivavoce::session::settings::{Offers, Settings};
use vivavoce::session::upkeep::memories::Keeper;
use vivavoce::session::{self, Journal, Start};
use vivavoce::tools::Registry;
use vivavoce::turn::io::Event;

/// What several sessions have in common.
pub struct House {
    pub config: Arc<Config>,
    pub log: Arc<ConversationLog>,
    pub keeper: Arc<Keeper>,
    engines: Arc<Engines>,
    tools: Arc<Registry>,
    _folder: TempDir,
}

/// A session.
pub struct Talk {
    pub to_session: Sender<FromClient>,
    from_session: Receiver<ToClient>,
    running: JoinHandle<()>,
    log: Arc<ConversationLog>,
    /// The session that the conversation is in now.
    pub session: SessionId,
    /// Those before it, the oldest first.
    pub before: Vec<SessionId>,
}

impl House {
    /// Scripted models that cost nothing, replies as configured.
    pub fn new(configure: impl FnOnce(&mut Config)) -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let names =
            [&mut config.vad.engine, &mut config.asr.engine, &mut config.llm.engine, &mut config.tts.engine];
        names.into_iter().for_each(|name| *name = "scripted".to_owned());
        config.persona.system_prompt = "Be kind.".to_owned();
        config.persona.apology = "Sorry.".to_owned();
        config.scripted.tts_ms_per_char = 1;
        config.scripted.llm_first_token_ms = 0;
        config.scripted.llm_token_ms = 0;
        config.tools.builtin = vec![];
        configure(&mut config);
        let tools = Arc::new(Registry::new(&config.tools).unwrap());
        // Models are not loaded on an executor's thread.
        let load = || Engines::load(&config, tools.specs()).unwrap();
        let engines = std::thread::scope(|scope| scope.spawn(load).join().unwrap());
        let engines = Arc::new(engines);
        let log = ConversationLog::open(&config.store.url).unwrap();
        let keeper = Keeper::new(Arc::clone(&log), config.memory.clone());
        House { config: Arc::new(config), log, keeper, engines, tools, _folder: folder }
    }

    /// A new session; `read`: replies are text, and not spoken.
    pub fn talk(&self, read: bool) -> Talk {
        let started = self
            .log
            .start_session(NewSession::default(), Box::new(|result| assert!(result.is_ok(), "{result:?}")));
        self.go_on(started.writer, read)
    }

    fn go_on(&self, writer: SessionWriter, read: bool) -> Talk {
        let session = writer.session_id();
        let mut settings = Settings::new(&self.config, &self.config.persona, &Offers::of(&self.engines));
        settings.turn.text_only = read;
        let start = Start {
            hello: Hello {
                session_id: session.to_string(),
                resume_token: String::new(),
                resumed: false,
                live: false,
                recorded: false,
                agent: "default".to_owned(),
                engines: self.engines.names.clone(),
            },
            settings,
            journal: Journal::new(writer),
            tools: Arc::clone(&self.tools),
            engines: Arc::clone(&self.engines),
            config: Arc::clone(&self.config),
            shows_thoughts: false,
            greeting: None,
            keeper: Arc::clone(&self.keeper),
            tape: None,
            recorder: None,
            drain: CancelToken::new(),
            stop: CancelToken::new(),
            replaced: CancelToken::new(),
            returns: None,
            moved: Box::new(|_| {}),
        };
        let (to_session, inbound) = channel(32);
        let (outbound, from_session) = channel(1_024);
        let running = tokio::spawn(session::run(start, inbound, outbound));
        Talk { to_session, from_session, running, log: Arc::clone(&self.log), session, before: vec![] }
    }
}

impl Talk {
    /// Says something, and gives what the session tells up to the turn's end: one line each.
    pub async fn say(&mut self, text: &str) -> Vec<String> {
        self.to_session.send(FromClient::Text(text.to_owned())).await.unwrap();
        self.until(|line| line.starts_with("end ")).await
    }

    /// What the session tells, up to the first line that `last` accepts.
    pub async fn until(&mut self, last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines: Vec<String> = vec![];
        loop {
            let message = self.from_session.recv().await.expect("the session is over");
            if let ToClient::Upkept(Upkept::CompactDone { session }) = &message {
                self.before.push(std::mem::replace(&mut self.session, *session));
            }
            if let Some(line) = line(message) {
                let is_last = last(&line);
                match (lines.last_mut(), line.strip_prefix("text ")) {
                    // Pieces of a text come as they please.
                    (Some(before), Some(more)) if before.starts_with("text ") => before.push_str(more),
                    _ => lines.push(line),
                }
                if is_last {
                    return lines;
                }
            }
        }
    }

    /// Ends the session and waits until the log is complete.
    pub async fn hang_up(self) {
        drop((self.to_session, self.from_session));
        self.running.await.unwrap();
    }

    /// A session's events in the log: kinds, and for messages what they say.
    pub fn logged(&self, session: SessionId) -> Vec<String> {
        logged(&self.log.store(), session)
    }

    /// The session's history, role and text.
    pub fn history(&self) -> Vec<(Role, String)> {
        let stored = self.log.read_session(self.session).unwrap().unwrap();
        stored.messages.into_iter().map(|message| (message.role, message.text)).collect()
    }
}

/// A session's events in the log: kinds, and for messages what they say.
pub fn logged(store: &Arc<dyn Store>, session: SessionId) -> Vec<String> {
    let events = store.load(session, None).unwrap();
    let line = |event: Logged| match event {
        Logged::SessionStart(start) => match start.compacted_from {
            Some(_) => "session_start, compacted".to_owned(),
            None => "session_start".to_owned(),
        },
        Logged::UserMessage(said) => format!("user: {}", said.text),
        Logged::AssistantMessage(said) => format!("assistant: {} ({:?})", said.text, said.outcome),
        Logged::SystemMessage(said) => format!("system: {}", said.text),
        Logged::ToolCall(call) => format!("call: {}", call.name),
        Logged::ToolResult(result) => format!("result: {}", result.name),
        Logged::TurnEnd(end) => format!("turn_end: {:?}", end.outcome),
        Logged::MemoryItem(item) => format!("memory_item: {:?} {}", item.kind, item.text),
        Logged::Memory(memory) => {
            format!("memory: {} (from {}, for {})", memory.text, memory.from.len(), memory.replaces.len())
        }
        other => other.kind().to_owned(),
    };
    events.iter().map(|stored| line(stored.event().unwrap())).collect()
}

/// How many there are of each.
pub fn count<'a>(lines: impl IntoIterator<Item = &'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}

fn line(message: ToClient) -> Option<String> {
    Some(match message {
        ToClient::Upkept(Upkept::CompactStart) => "compact_start".to_owned(),
        ToClient::Upkept(Upkept::CompactDone { .. }) => "compact_done".to_owned(),
        ToClient::Upkept(Upkept::CompactFailed { fault }) => format!("compact_failed {}", fault.code),
        ToClient::Upkept(Upkept::SystemMessage { text }) => format!("system: {text}"),
        ToClient::Upkept(Upkept::MemoryStart) => "memory_start".to_owned(),
        ToClient::Upkept(Upkept::MemoryDone { items, memories }) => format!("memory_done {items} {memories}"),
        ToClient::Upkept(Upkept::MemoryFailed { fault }) => format!("memory_failed {}", fault.code),
        ToClient::Event(Event::ReplyText { text, .. }) => format!("text {text}"),
        ToClient::Event(Event::ResponseText { text, last: true, filler: false, .. }) => {
            format!("said {text}")
        }
        ToClient::Event(Event::ResponseText { text, filler: true, .. }) => format!("filler {text}"),
        ToClient::Event(Event::ToolCall { name, .. }) => format!("call {name}"),
        ToClient::Event(Event::ToolResult { name, .. }) => format!("result {name}"),
        ToClient::Event(Event::Error { fault, .. }) => format!("error {}", fault.code),
        ToClient::Event(Event::TurnEnd { outcome, .. }) => format!("end {outcome:?}"),
        _ => return None,
    })
}
