//! A session on virtual time: the translator, a turn machine, and engines that answer when they are told.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};

use super::order::Order;
use crate::config::Config;
use crate::engines::{ToolCall, Usage, WordTime};
use crate::frontends::realtime_ws::dialogue::{Dialogue, Out};
use crate::frontends::realtime_ws::server_events;
use crate::frontends::realtime_ws::session_config::{Detection, Has, SessionConfig};
use crate::session::messages::{Aside, FromClient, NewMessage, ToClient};
use crate::session::settings::{Offers, Settings};
use crate::turn::Turn;
use crate::turn::config::TurnConfig;
use crate::turn::io::{
    ChunkId, Event, Fault, Heard, Input, MessageId, Output, ReplyId, RequestId, Time, TurnId,
};

/// Samples of a character's speech: 50 ms.
const SAMPLES_PER_CHAR: u64 = 1_200;
const OFFERS: Offers<'static> = Offers { clips: false, judges_turns: false, voices: &[] };

/// Something that an engine or the store is asked.
#[derive(Debug, Clone)]
pub enum Work {
    Recognise(Input),
    Write { reply: ReplyId },
    Speak { reply: ReplyId, segment: Input, text: String },
    Store(TurnId),
    Aside(RequestId),
}

/// How an engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Well,
    /// The language model calls the client's tool first.
    Call,
    Fail,
}

/// A connection.
pub struct World {
    pub now: Time,
    turn: Turn,
    settings: Settings,
    dialogue: Dialogue,
    /// What was asked, oldest first.
    pub work: VecDeque<Work>,
    messages: BTreeMap<MessageId, NewMessage>,
    /// What the history holds: turn and text, who said it.
    pub history: Vec<(TurnId, &'static str, String)>,
    pub order: Order,
    /// What the client got.
    pub events: Vec<Value>,
    /// What the language model says.
    pub reply: &'static str,
    ids: u64,
    /// The client's connection is lost.
    lost: bool,
    /// The last chunk that went out.
    last_chunk: Option<ChunkId>,
}

impl World {
    pub fn new() -> World {
        let config = Config::default();
        let mut settings = Settings::new(&config, &config.persona, &OFFERS);
        settings.turn = TurnConfig {
            resume_false_interruption: false,
            joins: false,
            amendable_replies: 4,
            speculate_after_ms: 0,
            apology: String::new(),
            ..settings.turn
        };
        let server_vad = Detection::ServerVad {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            create_response: true,
            interrupt_response: true,
            idle_timeout_ms: None,
        };
        let has = Has { judges_turns: false, voices: Vec::new(), server_vad };
        let config = SessionConfig::new("sess_1".to_owned(), "m".to_owned(), 0, &settings, has);
        let settings = settings.with(config.first_patch(), &OFFERS).unwrap();
        let mut world = World {
            now: Time(0),
            turn: Turn::new(settings.turn.clone()),
            settings,
            dialogue: Dialogue::new(config, "t"),
            work: VecDeque::new(),
            messages: BTreeMap::new(),
            history: Vec::new(),
            order: Order::default(),
            events: Vec::new(),
            reply: "Well, yes. It is so.",
            ids: 0,
            lost: false,
            last_chunk: None,
        };
        world.feed(Input::Open { last_turn: TurnId(0) });
        world
    }

    /// The client sends an event.
    pub fn client(&mut self, event: &Value) {
        let mut out = Out::default();
        let _ = self.dialogue.on_client(&event.to_string(), &mut out);
        self.carry_out(out);
    }

    /// The connection is lost. What is told from now on is remembered.
    pub fn lose(&mut self) {
        if !std::mem::replace(&mut self.lost, true) {
            self.on_session_message(FromClient::Lost);
        }
    }

    /// The client is back, and knows what it has or does not.
    pub fn come_back(&mut self, knows: bool) {
        if std::mem::take(&mut self.lost) {
            let last_chunk = self.last_chunk.filter(|_| knows);
            self.on_session_message(FromClient::Back { last_chunk });
        }
    }

    /// The microphone gives `ms` of speech or silence.
    pub fn microphone(&mut self, ms: u64, speech: bool) {
        for _ in 0..ms / 32 {
            self.wait(32);
            self.feed(Input::Frame { probability: if speech { 0.9 } else { 0.1 } });
        }
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(deadline) = self.turn.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            self.feed(Input::Tick);
        }
        self.now = until;
    }

    /// The oldest work is done, so or so.
    pub fn answer(&mut self, answer: Answer) {
        let Some(work) = self.work.pop_front() else { return };
        let fault = || Fault { code: "engine_failed".to_owned(), message: "in a test".to_owned() };
        let result = || if answer == Answer::Fail { Err(fault()) } else { Ok(()) };
        match work {
            Work::Recognise(Input::Transcribed { job, .. }) => {
                let heard = Heard { text: "what is it".to_owned(), language: None };
                self.feed(Input::Transcribed { job, result: result().map(|()| heard) });
            }
            Work::Write { reply } => {
                for word in self.reply.split_inclusive(' ') {
                    self.feed(Input::Token { reply, text: word.to_owned() });
                }
                if answer == Answer::Call {
                    let call =
                        ToolCall { id: "x".to_owned(), name: "look".to_owned(), arguments: "{}".to_owned() };
                    self.feed(Input::ToolCall { reply, call, by_client: true });
                }
                let usage = Usage { input_tokens: 7, output_tokens: 5 };
                self.tell(ToClient::Written { reply, usage, cut: false });
                self.feed(Input::Generated { reply, result: result() });
            }
            Work::Speak { reply, segment: Input::Spoken { segment, .. }, text } => {
                let samples = text.len() as u64 * SAMPLES_PER_CHAR;
                let words = text.split_whitespace().map(|word| {
                    let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
                    WordTime { text: end - word.len()..end, end_sample: end as u64 * SAMPLES_PER_CHAR }
                });
                self.feed(Input::Speech { reply, segment, samples, words: words.collect() });
                self.feed(Input::Spoken { reply, segment, result: result() });
            }
            Work::Store(turn) => self.feed(Input::Committed { turn, result: result() }),
            Work::Aside(request) => {
                if answer != Answer::Fail {
                    self.tell(ToClient::Aside(request, Aside::Text("Beside.".to_owned())));
                }
                let ended = result().map(|()| (Usage::default(), false));
                self.tell(ToClient::Aside(request, Aside::Ended(ended)));
            }
            Work::Recognise(_) | Work::Speak { .. } => {}
        }
    }

    /// Everybody does their work, and it is quiet for a while.
    pub fn settle(&mut self) {
        for _ in 0..2_000 {
            if self.work.is_empty() && self.turn.is_idle() && self.turn.next_deadline().is_none() {
                return;
            }
            self.answer(Answer::Well);
            self.wait(20);
        }
        panic!("it never ends: {:?}", self.turn);
    }

    /// What the client is shown of a turn's reply, if it is shown still.
    pub fn heard(&self, turn: TurnId) -> Option<String> {
        self.dialogue.conversation.heard(turn)
    }

    /// The client leaves.
    pub fn close(&mut self) {
        self.feed(Input::Close);
    }

    /// The types of what came since the event number `from`, runs of the same as one.
    pub fn kinds(&self, from: usize) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.events[from..].iter().filter_map(|e| e["type"].as_str()).collect();
        kinds.dedup();
        kinds
    }

    /// The last event of this type.
    pub fn last(&self, kind: &str) -> &Value {
        self.events.iter().rfind(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind} came"))
    }

    fn feed(&mut self, input: Input) {
        self.turn.handle(input, self.now);
        while let Some(output) = self.turn.poll_output() {
            match output {
                Output::Transcribe { job, .. } => {
                    let result = Ok(Heard::default());
                    self.work.push_back(Work::Recognise(Input::Transcribed { job, result }));
                }
                Output::Generate { reply, .. } => self.work.push_back(Work::Write { reply }),
                Output::Synthesize { reply, segment, text } => {
                    let segment = Input::Spoken { reply, segment, result: Ok(()) };
                    self.work.push_back(Work::Speak { reply, segment, text });
                }
                Output::Commit(commit) => {
                    self.work.push_back(Work::Store(commit.turn));
                    self.history.extend(commit.user.map(|text| (commit.turn, "user", text)));
                    let assistant = commit.assistant;
                    if !assistant.is_empty() || commit.whole_reply.is_some() {
                        self.history.push((commit.turn, "assistant", assistant.clone()));
                    }
                    self.tell(ToClient::Committed { turn: commit.turn, assistant });
                }
                Output::Insert { turn, message } => {
                    let text = match self.messages.remove(&message) {
                        Some(NewMessage::User(text)) => text,
                        other => format!("{other:?}"),
                    };
                    self.history.push((turn, "client", text));
                }
                Output::Amend { turn, heard_text, .. } => {
                    let reply =
                        |entry: &&mut (TurnId, &str, String)| entry.0 == turn && entry.1 == "assistant";
                    if let Some(entry) = self.history.iter_mut().find(reply) {
                        entry.2 = heard_text;
                    }
                }
                Output::Tell(Event::Audio { turn, segment, chunk, range, .. }) => {
                    self.last_chunk = Some(chunk);
                    let pcm = Bytes::from(vec![0; (range.end - range.start) as usize * 2]);
                    self.tell(ToClient::Audio { turn, segment, chunk, pcm });
                }
                Output::Tell(event) => self.tell(ToClient::Event(event)),
                _ => {}
            }
        }
    }

    fn tell(&mut self, message: ToClient) {
        let mut out = Out::default();
        self.dialogue.on_session(message, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Out) {
        for event in out.client {
            self.ids += 1;
            let event: Value =
                serde_json::from_str(&server_events::encode(&event, &self.ids.to_string())).unwrap();
            self.order.see(&event);
            self.events.push(event);
        }
        for message in out.session {
            self.on_session_message(message);
        }
    }

    fn on_session_message(&mut self, message: FromClient) {
        match message {
            FromClient::Lost => self.feed(Input::Detached),
            FromClient::Back { last_chunk } => self.feed(Input::Attached { last_chunk }),
            FromClient::Audio(_) | FromClient::Withdraw(_) | FromClient::Leave => {}
            FromClient::Text(text) => self.feed(Input::Text { text }),
            FromClient::Interrupt { last_chunk, turn } => self.feed(Input::Interrupt { last_chunk, turn }),
            FromClient::Played(chunk) => self.feed(Input::Played { chunk }),
            FromClient::Configure(patch) => match self.settings.with(patch, &OFFERS) {
                Ok(settings) => {
                    self.settings = settings.clone();
                    self.feed(Input::Configure { config: Box::new(settings.turn.clone()) });
                    self.tell(ToClient::Configured(Box::new(settings)));
                }
                Err(fault) => self.tell(ToClient::Event(Event::Error { turn: None, fault })),
            },
            FromClient::Commit => self.feed(Input::Commit),
            FromClient::Clear => self.feed(Input::Clear),
            FromClient::Respond(request, wish) => {
                self.feed(Input::Respond { request, text_only: wish.text_only });
            }
            FromClient::RespondAside(request, ..) => self.work.push_back(Work::Aside(request)),
            FromClient::CancelAside(request) => {
                self.work.retain(|work| !matches!(work, Work::Aside(id) if *id == request));
            }
            FromClient::Insert { id, message, .. } => {
                self.messages.insert(id, message);
                self.feed(Input::Insert { message: id });
            }
            FromClient::Truncate(turn, samples) => self.feed(Input::Truncate { turn, samples }),
            FromClient::Echo(number) => self.tell(ToClient::Echo(number)),
        }
    }
}

/// A message of the user, to be put in.
pub fn user_item(text: &str) -> Value {
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
    json!({"type": "conversation.item.create", "item": item})
}
