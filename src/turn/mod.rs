//! DECISIONS. The turn machine: what a conversation does next, as a pure function of what has
//! happened. It knows no clock, thread, socket or model; a test reads its `use` lines.
//!
//! ```text
//! turn.handle(input, now);                 // something happened
//! while let Some(o) = turn.poll_output() { /* carry it out */ }
//! sleep_until(turn.next_deadline());       // then handle(Input::Tick, now)
//! ```
//!
//! - [`io`]: what goes in and what comes out.
//! - [`detector`]: VAD probabilities → speech edges.
//! - `listening`: the user's side; speech edges → utterances → one contribution of the user
//!   (`contribution`).
//! - `end_of_turn`: a pause; has the user finished? (turn detection `smart`)
//! - [`absence`]: the connection is lost, and comes back.
//! - `barge_in`: a sound during a reply; is it an interruption?
//! - `by_client`: what the client does itself: replies it asks for, messages it puts in, truncation.
//! - `replying`: our side; LLM text → segments → TTS, and how that ends.
//! - `tools`: tools that the LLM calls on the way, and what is said while the user waits for them.
//! - `delivery`: what was spoken → chunks or one clip, to the client.
//! - [`segmenter`], [`speakable`]: LLM text → what can be spoken.
//! - [`ledger`], [`playout`]: which words lie at which samples, and which samples were heard.
//!
//! Deliberately absent: the audio itself (positions are sample counts; the session keeps the
//! samples), the prompt and the history (the session's and the conversation log's), the wire.

pub mod absence;
mod barge_in;
mod by_client;
mod commit;
pub mod config;
mod contribution;
mod delivery;
pub mod detector;
mod end_of_turn;
mod ids;
pub mod io;
pub mod ledger;
mod listening;
pub mod playout;
mod replying;
pub mod segmenter;
pub mod speakable;
#[cfg(test)]
mod tests;
mod tool_use;
mod tools;

use std::collections::VecDeque;

use barge_in::BargeIn;
use by_client::ByClient;
use config::{TurnConfig, TurnDetection};
use contribution::UserTurn;
use detector::{DetectorConfig, SpeechDetector};
use end_of_turn::EndOfTurn;
use io::{
    AsrJob, CallId, ChunkId, Commit, Event, Fault, Input, InterruptReason, Metrics, Outcome, Output, ReplyId,
    State, Time, TurnId,
};
use listening::Job;
use replying::Reply;

/// The turn machine of one conversation.
#[derive(Debug, Clone)]
pub struct Turn {
    config: TurnConfig,
    now: Time,
    outputs: VecDeque<Output>,
    state: (State, Option<TurnId>),

    detector: SpeechDetector,
    /// Where the running utterance begins.
    speech_from: u64,
    /// Manual mode: where the audio of the next commit begins.
    manual_from: u64,
    /// Recognition at work, for the user's contribution or to judge a barge-in.
    jobs: Vec<Job>,
    /// What is known of the pause that the user makes.
    end_of_turn: EndOfTurn,
    /// The user's contribution that is being made or answered.
    user: Option<UserTurn>,
    /// What waits for its place in the conversation, and replies that can still be amended.
    by_client: ByClient,
    /// The user makes a sound during a reply; the reply is held.
    barge_in: Option<BargeIn>,
    /// The reply at work. Whatever carries another id is stale.
    reply: Option<Reply>,
    /// Turns that have ended and whose history is not durable yet.
    ending: VecDeque<(TurnId, Outcome, Metrics)>,

    last_turn: TurnId,
    last_reply: ReplyId,
    last_job: AsrJob,
    last_call: CallId,
    next_chunk: ChunkId,
    opened: bool,
    closed: bool,
    /// There is no client at the moment.
    absent: bool,
}

impl Turn {
    /// A conversation in which nothing has happened.
    pub fn new(config: TurnConfig) -> Turn {
        Turn {
            detector: SpeechDetector::new(detector_config(&config)),
            config,
            now: Time(0),
            outputs: VecDeque::new(),
            state: (State::Listening, None),
            speech_from: 0,
            manual_from: 0,
            jobs: Vec::new(),
            end_of_turn: EndOfTurn::default(),
            user: None,
            by_client: ByClient::default(),
            barge_in: None,
            reply: None,
            ending: VecDeque::new(),
            last_turn: TurnId(0),
            last_reply: ReplyId(0),
            last_job: AsrJob(0),
            last_call: CallId(0),
            next_chunk: ChunkId(0),
            opened: false,
            closed: false,
            absent: false,
        }
    }

    /// Something has happened. Time never runs backwards: an earlier `now` counts as the latest one.
    pub fn handle(&mut self, input: Input, now: Time) {
        self.now = self.now.max(now);
        if self.closed && !matches!(input, Input::Committed { .. }) {
            return;
        }
        match input {
            Input::Open { last_turn } => self.on_open(last_turn),
            Input::Greet { text } => self.on_greet(&text),
            Input::Frame { probability } => self.on_frame(probability),
            Input::Commit => self.on_commit(),
            Input::Clear => self.on_clear(),
            Input::Respond { request, text_only } => self.on_respond(request, text_only),
            Input::Insert { message } => self.on_insert(message),
            Input::Truncate { turn, samples } => self.on_truncate(turn, samples),
            Input::Text { text } => self.on_text(text),
            Input::Interrupt { last_chunk, turn } => self.on_interrupt(last_chunk, turn),
            Input::Played { chunk } => self.on_played(chunk),
            Input::Configure { config } => self.on_configure(*config),
            Input::Transcribed { job, result } => self.on_transcribed(job, result),
            Input::TurnJudged { judgement, result } => self.on_turn_judged(judgement, result),
            Input::Delayed { reply } => self.on_delayed(reply),
            Input::Asked { reply } => self.on_asked(reply),
            Input::Token { reply, text } => self.on_token(reply, &text),
            Input::ToolCall { reply, call, by_client } => self.on_tool_call(reply, call, by_client),
            Input::ToolDone { reply, call, result } => self.on_tool_done(reply, call, result),
            Input::Generated { reply, result } => self.on_generated(reply, result),
            Input::Speech { reply, segment, samples, words } => {
                self.on_speech(reply, segment, samples, &words);
            }
            Input::Spoken { reply, segment, result } => self.on_spoken(reply, segment, result),
            Input::Rendered { reply, result } => self.on_rendered(reply, result),
            Input::Committed { turn, result } => self.on_committed(turn, result),
            Input::Detached => self.on_detached(),
            Input::Attached { last_chunk } => self.on_attached(last_chunk),
            Input::Tick => {}
            Input::Close => self.on_close(),
        }
        self.check_recognition_timeouts();
        self.answer();
        self.advance_reply();
        if self.reply.is_none() {
            // What waited for its end.
            self.answer();
            self.advance_reply();
        }
    }

    /// The next thing to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Time> {
        let reply = self.reply.as_ref().and_then(|reply| reply.deadline(&self.config));
        self.recognition_deadline().into_iter().chain(reply).chain(self.idle_deadline()).min()
    }

    /// The earliest microphone sample that may still be asked for.
    pub fn audio_needed_from(&self) -> u64 {
        match self.config.detection {
            TurnDetection::Vad | TurnDetection::Smart => {
                let barge_in = self.barge_in.as_ref().and_then(BargeIn::needed_from);
                let others = barge_in.into_iter().chain(self.judgement_needs_from());
                others.fold(self.detector.keep_from(), u64::min)
            }
            TurnDetection::Manual => self.manual_from,
        }
    }

    /// The settings in force.
    pub fn config(&self) -> &TurnConfig {
        &self.config
    }

    /// No turn is open and nothing waits to become durable.
    pub fn is_idle(&self) -> bool {
        self.user.is_none() && self.reply.is_none() && self.ending.is_empty() && self.by_client.is_idle()
    }

    fn on_open(&mut self, last_turn: TurnId) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        self.last_turn = self.last_turn.max(last_turn);
        self.tell(Event::Status { state: State::Listening, turn: None });
    }

    fn on_greet(&mut self, text: &str) {
        if self.user.is_none() && self.reply.is_none() && self.by_client.is_idle() {
            let turn = self.new_turn();
            self.start_fixed_reply(turn, text);
        }
    }

    fn on_configure(&mut self, config: TurnConfig) {
        let modes = [config.detection, self.config.detection];
        if modes[0] != modes[1] {
            self.forget_judgement();
            if modes.contains(&TurnDetection::Manual) {
                self.cut_user_turn();
                if self.barge_in.is_some() {
                    self.resume_reply();
                }
                self.detector.reset();
                self.manual_from = self.detector.position();
            }
            self.end_of_turn.begin(self.detector.keep_from());
        }
        self.detector.configure(detector_config(&config));
        self.config = config;
        self.detector.tolerate(self.tolerated_silence_ms());
    }

    fn on_interrupt(&mut self, last_chunk: Option<ChunkId>, turn: Option<TurnId>) {
        if turn.is_some() && self.reply.as_ref().map(|reply| reply.turn) != turn {
            self.refuse("nothing_to_interrupt", "that reply is over");
            return;
        }
        if let Some(chunk) = last_chunk {
            self.note_played(chunk);
        }
        if self.reply.is_some() {
            let barge_in = self.barge_in.take();
            self.interrupt_reply(InterruptReason::Client);
            self.answer_barge_in(barge_in);
        } else if self.user.as_ref().is_some_and(|user| user.decided.is_some()) {
            self.interrupt_recognition();
        } else {
            self.refuse("nothing_to_interrupt", "there is no reply to interrupt");
        }
    }

    fn on_played(&mut self, chunk: ChunkId) {
        self.note_played(chunk);
    }

    fn on_committed(&mut self, turn: TurnId, result: Result<(), Fault>) {
        let Some(index) = self.ending.iter().position(|(id, _, _)| *id == turn) else { return };
        let Some((turn, outcome, metrics)) = self.ending.remove(index) else { return };
        if let Err(fault) = result {
            self.tell(Event::Error { turn: Some(turn), fault });
        }
        self.tell(Event::Metrics { turn, metrics });
        self.tell(Event::TurnEnd { turn, outcome });
        self.settle();
    }

    fn on_close(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.outputs.push_back(Output::CancelReply { reply: reply.id });
            self.end_reply(reply, Outcome::Interrupted);
        }
        self.barge_in = None;
        self.close_waiting();
        self.drop_user_turn(Outcome::Interrupted);
        self.closed = true;
    }

    /// Ends a turn: its history goes to the log; the client is told when that is durable.
    fn end_turn(&mut self, commit: Commit) {
        self.ending.push_back((commit.turn, commit.outcome, commit.metrics));
        self.outputs.push_back(Output::Commit(commit));
    }

    /// Back to listening, if nothing is going on.
    fn settle(&mut self) {
        if self.is_idle() {
            self.set_state(State::Listening, None);
        }
    }

    fn set_state(&mut self, state: State, turn: Option<TurnId>) {
        if self.state != (state, turn) && !self.closed {
            self.state = (state, turn);
            self.tell(Event::Status { state, turn });
        }
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Tell(event));
    }

    /// The client asked for something that cannot be. Nothing else changes.
    fn refuse(&mut self, code: &str, message: &str) {
        let fault = Fault { code: code.to_owned(), message: message.to_owned() };
        self.tell(Event::Error { turn: None, fault });
    }

    fn new_turn(&mut self) -> TurnId {
        self.last_turn.0 += 1;
        self.last_turn
    }
}

fn detector_config(config: &TurnConfig) -> DetectorConfig {
    DetectorConfig {
        threshold: config.threshold,
        negative_threshold: config.negative_threshold,
        min_speech_ms: config.min_speech_ms,
        hangover_ms: config.hangover_ms,
        prefix_padding_ms: config.prefix_padding_ms,
        max_utterance_s: config.max_utterance_s,
    }
}
