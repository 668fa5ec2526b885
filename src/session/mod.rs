//! I/O that drives one turn machine: the session actor.
//!
//! One task per connection owns everything of a conversation: the turn machine, the microphone's
//! audio, the VAD's state, the reply's audio, the history. It waits for its client, its inbox (what
//! worker threads made), and its deadlines; for nothing else, so that a slow engine, disk or client
//! never stops it. What the machine decides, it carries out.
//!
//! - [`messages`]: what a session and its frontend say to each other.
//! - [`settings`]: what a client may change.
//! - `by_client`: what a client puts into the conversation, and wants of the replies it asks for.
//! - `work`: gives work to the engines and brings results back.
//! - `hearing`: the microphone → the VAD → the machine.
//! - `microphone`, `reply_audio`: the samples behind the machine's positions.
//! - `requests`: what the LLM is asked, and what has to be done before.
//! - `upkeep`: compaction and memories.
//! - `returning`: a client that lost its connection comes back; `ending`: the last things.
//! - `journal`: turns → events of the conversation log.
//! - `prompt`: what the LLM is asked, from the history and what a reply has brought so far.
//! - [`tape`]: the audio of its turns, for the archive.
//! - [`recording`]: what a machine was told and what it answered, to be replayed.

mod by_client;
mod ending;
mod hearing;
mod journal;
pub mod messages;
mod microphone;
mod prompt;
mod recognition;
pub mod recording;
mod reply_audio;
mod requests;
mod returning;
pub mod settings;
pub mod tape;
pub mod upkeep;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::conversation::ids::SessionId;
use crate::engines::denoise::Denoiser;
use crate::engines::{CancelToken, ChatMessage, Clip, Engines, SpeechContext, VadFrame};
use crate::metrics::{self, Direction};
use crate::tools::Registry;
use crate::turn::Turn;
use crate::turn::io::{Event, Fault, Input, Output, ReplyId, Time, TurnId};

use by_client::ByClient;
pub use journal::Journal;
use messages::{CloseReason, FromClient, Hello, Return, ToClient};
use microphone::Microphone;
use recording::Recorder;
use reply_audio::ReplyAudio;
use requests::Request;
use settings::{Offers, Settings, SettingsPatch};
use tape::Tape;
use upkeep::Upkeep;
use upkeep::memories::Keeper;
use work::{Arrival, Work};

/// Results of worker threads that wait for the actor.
const INBOX_LENGTH: usize = 64;

/// What a session needs to begin.
pub struct Start {
    /// The first message.
    pub hello: Hello,
    /// The server's configuration.
    pub config: Arc<Config>,
    /// The models.
    pub engines: Arc<Engines>,
    /// What the LLM may call.
    pub tools: Arc<Registry>,
    /// This conversation's place in the log.
    pub journal: Journal,
    /// The conversation's settings.
    pub settings: Settings,
    /// The client is shown what the model thinks.
    pub shows_thoughts: bool,
    /// Spoken first.
    pub greeting: Option<String>,
    /// Keeps memories.
    pub keeper: Arc<Keeper>,
    /// Records what is said and heard.
    pub tape: Option<Tape>,
    /// Writes down what the turn machine is told.
    pub recorder: Option<Recorder>,
    /// Set when the server is about to stop: replies finish, then the session ends.
    pub drain: CancelToken,
    /// Set when it stops: the session ends now.
    pub stop: CancelToken,
    /// Set when another connection goes on with the session: it ends here now.
    pub replaced: CancelToken,
    /// Clients that come back here, and how long one that lost its connection is waited for. `None`: it is
    /// not.
    pub returns: Option<(mpsc::Receiver<Return>, Duration)>,
    /// Told when the conversation goes on in another session of the log.
    pub moved: Box<dyn Fn(SessionId) + Send>,
}

/// One conversation.
struct Session {
    config: Arc<Config>,
    settings: Settings,
    /// What the recogniser is told of the settings.
    speech_context: Arc<SpeechContext>,
    turn: Turn,
    began: Instant,
    microphone: Microphone,
    /// The VAD's state and frame; away while a frame is judged.
    vad: Option<Box<VadFrame>>,
    work: Work,
    /// What the LLM was asked for the reply at work: after a tool it is asked the same and more.
    prompt: Option<(ReplyId, Vec<ChatMessage>)>,
    /// Audio of the reply at work.
    audio: Option<(ReplyId, ReplyAudio)>,
    clip: Option<(ReplyId, Clip)>,
    by_client: ByClient,
    /// A commit or a clear waits until all audio before it has been judged.
    waiting_for_audio: Option<Input>,
    journal: Journal,
    upkeep: Upkeep,
    keeper: Arc<Keeper>,
    /// The reply that is under way, and its turn.
    running: Option<(ReplyId, TurnId)>,
    /// What the running turn answers was typed.
    typed: bool,
    /// The last reply was read, not heard.
    last_was_read: bool,
    shows_thoughts: bool,
    tape: Option<Tape>,
    recorder: Option<Recorder>,
    to_client: mpsc::Sender<ToClient>,
    moved: Box<dyn Fn(SessionId) + Send>,
    /// A client that is lost is waited for.
    waits: bool,
    /// It is lost.
    absent: bool,
    /// Work that could not be begun.
    refused: VecDeque<Input>,
    last_activity: Instant,
    over: Option<Over>,
}

/// Why the actor stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    ClientGone,
    TooSlow,
    Closed(CloseReason),
}

/// Runs a conversation until its client is gone or it has to end. Dropping `from_client`'s sender
/// ends it, unless it is to wait for the client's return; the frontend ends when `to_client` is dropped.
pub async fn run(
    mut start: Start,
    mut from_client: mpsc::Receiver<FromClient>,
    to_client: mpsc::Sender<ToClient>,
) {
    let (inbox, mut arrivals) = mpsc::channel(INBOX_LENGTH);
    let began = Instant::now();
    let (drain, stop, replaced) = (start.drain.clone(), start.stop.clone(), start.replaced.clone());
    let limits = start.config.limits.clone();
    let idle_timeout = Duration::from_secs(limits.idle_timeout_s);
    let session_end = began + Duration::from_secs(limits.session_max_s);
    let (hello, greeting) = (start.hello.clone(), start.greeting.clone());
    let (mut returns, patience) = start.returns.take().unzip();
    let patience = patience.unwrap_or_default();
    let mut absent_until: Option<Instant> = None;
    let mut session = Session::new(start, began, inbox, to_client);
    tracing::info!(agent = hello.agent, resumed = hello.resumed, "session begins");
    session.waits = returns.is_some();
    session.open(hello, greeting);
    // A long conversation that goes on: before anything is said is as good a time as any.
    session.use_pause();

    while session.over.is_none() {
        let idle_at = session.last_activity + idle_timeout;
        let deadline = session.turn.next_deadline().map(|time| session.instant(time));
        let wake =
            deadline.into_iter().chain([idle_at, session_end]).chain(absent_until).min().unwrap_or(idle_at);
        tokio::select! {
            biased;
            Some(arrival) = arrivals.recv() => session.on_arrival(arrival),
            message = from_client.recv(), if !session.absent && session.waiting_for_audio.is_none() => {
                match message {
                    Some(message) => session.on_client(message),
                    None if session.waits && session.is_worth_waiting_for() => {
                        absent_until = Some(Instant::now() + patience);
                        session.lose_client();
                    }
                    None => session.over = Some(Over::ClientGone),
                }
            }
            Some(back) = returning::next_return(&mut returns) => {
                let Return { connection, last_chunk, hello } = back;
                from_client = connection.from_client;
                absent_until = None;
                session.regain_client(connection.to_client, last_chunk, hello);
            }
            () = drain.cancelled(), if session.turn.is_idle() => {
                session.over = Some(Over::Closed(CloseReason::Restart));
            }
            () = replaced.cancelled() => session.over = Some(Over::Closed(CloseReason::Replaced)),
            () = stop.cancelled() => session.over = Some(Over::Closed(CloseReason::Restart)),
            () = tokio::time::sleep_until(wake) => {
                let now = Instant::now();
                if absent_until.is_some_and(|until| now >= until) {
                    session.over = Some(Over::ClientGone);
                } else if now >= session_end {
                    session.over = Some(Over::Closed(CloseReason::TooLong));
                } else if now >= idle_at {
                    session.over = Some(Over::Closed(CloseReason::Idle));
                } else {
                    session.feed(Input::Tick);
                }
            }
        }
    }
    session.finish(&mut arrivals).await;
}

impl Session {
    fn new(
        start: Start,
        began: Instant,
        inbox: mpsc::Sender<Arrival>,
        to_client: mpsc::Sender<ToClient>,
    ) -> Session {
        let denoiser = start.config.vad.denoise.then(Denoiser::new).and_then(|denoiser| {
            // The rates are fixed and good.
            denoiser.inspect_err(|error| tracing::error!("no noise suppression: {error}")).ok()
        });
        let frame = VadFrame { denoiser: denoiser.map(Box::new), ..VadFrame::silence() };
        let upkeep = Upkeep::new(Arc::clone(&start.engines.count_tokens), start.journal.writer());
        Session {
            upkeep,
            keeper: start.keeper,
            running: None,
            typed: false,
            last_was_read: false,
            shows_thoughts: start.shows_thoughts,
            turn: Turn::new(start.settings.turn.clone()),
            config: start.config,
            speech_context: Arc::new(SpeechContext::of(&start.settings.persona)),
            settings: start.settings,
            began,
            microphone: Microphone::default(),
            vad: Some(Box::new(frame)),
            work: Work::new(start.engines, start.tools, inbox),
            prompt: None,
            audio: None,
            clip: None,
            by_client: ByClient::default(),
            waiting_for_audio: None,
            journal: start.journal,
            tape: start.tape,
            recorder: start.recorder,
            to_client,
            moved: start.moved,
            waits: false,
            absent: false,
            refused: VecDeque::new(),
            last_activity: began,
            over: None,
        }
    }

    /// The first messages: who is here, that it listens, whether it can be seen.
    fn open(&mut self, hello: Hello, greeting: Option<String>) {
        self.send(ToClient::Hello(hello));
        self.feed(Input::Open { last_turn: self.journal.last_turn() });
        let enabled = self.settings.turn.clips;
        let reason = self.work.engines().video_fault.clone();
        self.send(ToClient::VideoMode { enabled, reason });
        if let Some(text) = greeting {
            self.feed(Input::Greet { text });
        }
    }

    fn time(&self) -> Time {
        Time(self.began.elapsed().as_micros() as u64)
    }

    fn instant(&self, time: Time) -> Instant {
        self.began + Duration::from_micros(time.0)
    }

    /// Tells the machine, and carries out what it decides. Work that cannot even be begun comes back
    /// as an input of its own.
    fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let now = self.time();
            if let Some(recorder) = &mut self.recorder {
                recorder.input(now, &input);
            }
            self.turn.handle(input, now);
            while let Some(output) = self.turn.poll_output() {
                if let Some(recorder) = &mut self.recorder {
                    recorder.output(&output);
                }
                self.carry_out(output);
            }
            next = self.refused.pop_front();
        }
    }

    /// What was found out beside an input.
    fn feed_refused(&mut self) {
        if let Some(input) = self.refused.pop_front() {
            self.feed(input);
        }
    }

    fn on_client(&mut self, message: FromClient) {
        match message {
            FromClient::Audio(pcm) => self.hear(&pcm),
            FromClient::Text(text) => {
                self.last_activity = Instant::now();
                self.feed(Input::Text { text });
            }
            FromClient::Interrupt { last_chunk, turn } => self.feed(Input::Interrupt { last_chunk, turn }),
            FromClient::Played(chunk) => self.feed(Input::Played { chunk }),
            FromClient::Configure(patch) => self.configure(patch),
            FromClient::Commit => self.behind_audio(Input::Commit),
            FromClient::Clear => self.behind_audio(Input::Clear),
            FromClient::Respond(request, wish) => {
                self.last_activity = Instant::now();
                self.respond(request, wish);
            }
            FromClient::RespondAside(request, wish, beside) => self.respond_aside(request, wish, beside),
            FromClient::CancelAside(request) => self.work.cancel_aside(request),
            FromClient::Insert { id, message, place } => self.insert(id, message, place),
            FromClient::Withdraw(anchor) => self.withdraw(&anchor),
            FromClient::Truncate(turn, samples) => self.feed(Input::Truncate { turn, samples }),
            FromClient::Echo(number) => self.send(ToClient::Echo(number)),
            FromClient::Leave => {
                self.over.get_or_insert(Over::ClientGone);
            }
            FromClient::Lost => self.feed(Input::Detached),
            FromClient::Back { last_chunk } => {
                self.last_activity = Instant::now();
                self.feed(Input::Attached { last_chunk });
            }
        }
    }

    fn configure(&mut self, patch: SettingsPatch) {
        match self.settings.with(patch, &Offers::of(self.work.engines())) {
            Ok(settings) => {
                self.settings = settings;
                self.speech_context = Arc::new(SpeechContext::of(&self.settings.persona));
                let config = Box::new(self.settings.turn.clone());
                self.feed(Input::Configure { config });
                self.send(ToClient::Configured(Box::new(self.settings.clone())));
            }
            Err(fault) => self.send(ToClient::Event(Event::Error { turn: None, fault })),
        }
    }

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Judged(frame, result) => self.on_judged(frame, result),
            Arrival::Input(Input::ToolCall { reply, call, .. }) => {
                let by_client = self.is_clients_tool(reply, &call.name);
                self.feed(Input::ToolCall { reply, call, by_client });
            }
            Arrival::Aside(request, aside) => self.on_aside(request, aside),
            Arrival::Compaction(job, step) => {
                self.on_compaction(job, step);
                self.feed_refused();
            }
            Arrival::Recalled(reply, memories) => {
                self.on_recalled(reply, memories);
                self.feed_refused();
            }
            Arrival::Remembered(news) => self.on_remembered(news),
            Arrival::Input(input @ Input::Committed { .. }) => {
                self.feed(input);
                if self.turn.is_idle() {
                    self.remember();
                    self.use_pause();
                }
            }
            Arrival::Input(input) => self.feed(input),
            Arrival::Thought(reply, thought) => {
                if self.running.is_some_and(|(running, _)| running == reply) {
                    self.send(ToClient::Thought(thought));
                }
            }
            Arrival::Transcribed(job, state, result) => {
                if let Err((next, error)) = self.work.transcription_ended(job, state) {
                    let result = Err(work::saturated(error));
                    self.refused.push_back(Input::Transcribed { job: next, result });
                }
                self.feed(Input::Transcribed { job, result });
            }
            Arrival::Generated(reply, state, result) => {
                self.work.llm_state = state;
                if let Ok(usage) = result {
                    self.on_usage(reply, usage);
                    let cut = usage.output_tokens >= self.max_new_tokens(self.by_client.wish(reply));
                    self.send(ToClient::Written { reply, usage, cut });
                }
                let result = result.map(drop).map_err(work::fault);
                self.feed(Input::Generated { reply, result });
            }
            Arrival::Speech(reply, segment, samples, words) => {
                let count = samples.len() as u64;
                if let Some((_, audio)) = self.audio.as_mut().filter(|(id, _)| *id == reply) {
                    audio.push(&samples);
                    self.feed(Input::Speech { reply, segment, samples: count, words });
                }
            }
            Arrival::Rendered(reply, result) => {
                let result = result.map(|clip| {
                    let duration_ms = clip.duration_ms;
                    self.clip = Some((reply, clip));
                    duration_ms
                });
                self.feed(Input::Rendered { reply, result: result.map_err(work::fault) });
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Transcribe { job, range } => {
                let pcm = self.microphone.copy(&range);
                if let Some(tape) = &mut self.tape {
                    tape.hear(&range, &pcm);
                }
                let language = self.settings.language.clone();
                if let Err(error) = self.work.transcribe(job, pcm, language, Arc::clone(&self.speech_context))
                {
                    self.refused.push_back(Input::Transcribed { job, result: Err(work::saturated(error)) });
                }
            }
            Output::CancelTranscribe { job } => self.work.forget_transcription(job),
            Output::JudgeTurn { judgement, range } => {
                let pcm = self.microphone.copy(&range);
                if let Err(fault) = self.work.judge_turn(judgement, pcm) {
                    self.refused.push_back(Input::TurnJudged { judgement, result: Err(fault) });
                }
            }
            Output::CancelJudgement { .. } => self.work.forget_judgement(),
            Output::Generate { reply, user_text, request, so_far, without_tools } => {
                self.by_client.begin(reply, request);
                self.request(Request { reply, user_text, so_far, without_tools });
            }
            Output::Insert { turn, message } => self.write_message(turn, message),
            Output::Amend { turn, heard_text, estimated } => self.journal.amend(turn, heard_text, estimated),
            Output::RunTool { reply, call, name, arguments } if self.work.tools().is_of_session(&name) => {
                self.run_own_tool(reply, call, &name, &arguments);
            }
            Output::RunTool { reply, call, name, arguments } => {
                self.work.run_tool(reply, call, name, arguments);
            }
            Output::StopGenerating { reply } => self.work.stop_generating(reply),
            Output::Synthesize { reply, segment, text } => {
                self.open_audio(reply);
                let wished = self.by_client.wish(reply).and_then(|wish| wish.voice.clone());
                let voice = wished.or_else(|| self.settings.persona.voice.clone());
                if let Err(error) = self.work.synthesize(reply, segment, text, voice) {
                    let result = Err(work::saturated(error));
                    self.refused.push_back(Input::Spoken { reply, segment, result });
                }
            }
            Output::Render { reply, text } => {
                let samples = match &self.audio {
                    Some((id, ReplyAudio::Whole(samples))) if *id == reply => samples.clone(),
                    _ => Vec::new(),
                };
                if let (Some(tape), Some((_, turn))) = (&mut self.tape, self.running) {
                    tape.show(turn, &samples);
                }
                if let Err(error) = self.work.render(reply, samples, text) {
                    self.refused.push_back(Input::Rendered { reply, result: Err(work::saturated(error)) });
                }
            }
            // A reply that has ended well has no work left, or what hangs and was given up on.
            Output::CancelReply { reply } | Output::ForgetReply { reply } => {
                self.work.cancel_reply(reply);
                self.forget_reply(reply);
            }
            Output::Commit(commit) => {
                metrics::turn_ended(commit.outcome, &commit.metrics);
                let first_audio_ms = commit.metrics.first_audio;
                tracing::info!(turn_id = commit.turn.0, outcome = ?commit.outcome, first_audio_ms, "turn ends");
                let done = self.work.committed(commit.turn);
                if let Some(tape) = &mut self.tape {
                    tape.turn_ends(self.journal.session_id(), &commit);
                }
                let (turn, assistant) = (commit.turn, commit.assistant.clone());
                self.journal.commit(commit, done);
                self.send(ToClient::Committed { turn, assistant });
            }
            Output::EndSession => {
                self.over.get_or_insert(Over::Closed(CloseReason::HungUp));
            }
            Output::Tell(event) => self.tell(event),
        }
    }

    fn open_audio(&mut self, reply: ReplyId) {
        if self.audio.as_ref().is_none_or(|(id, _)| *id != reply) {
            let clips = self.settings.turn.clips;
            let audio = if clips { ReplyAudio::Whole(Vec::new()) } else { ReplyAudio::stream() };
            self.audio = Some((reply, audio));
        }
    }

    fn forget_reply(&mut self, reply: ReplyId) {
        self.forget_waiting(reply);
        self.audio.take_if(|(id, _)| *id == reply);
        self.clip.take_if(|(id, _)| *id == reply);
        self.prompt.take_if(|(id, _)| *id == reply);
    }

    fn tell(&mut self, event: Event) {
        self.last_activity = Instant::now();
        match event {
            Event::Audio { turn, reply, segment, chunk, range } => {
                let Some((_, audio)) = self.audio.as_mut().filter(|(id, _)| *id == reply) else { return };
                let pcm = audio.cut(&range);
                if let Some(tape) = &mut self.tape {
                    tape.play(turn, range.start, pcm.clone());
                }
                metrics::audio(Direction::Out, pcm.len() / 2);
                self.send(ToClient::Audio { turn, segment, chunk, pcm });
            }
            Event::SpeakingClip { turn, reply, text, .. } => {
                if let Some((_, clip)) = self.clip.take_if(|(id, _)| *id == reply) {
                    self.send(ToClient::Clip { turn, text, clip });
                }
            }
            Event::Interrupt { reason, .. } => {
                metrics::interrupted(reason);
                self.send(ToClient::Event(event));
            }
            Event::Error { ref fault, turn } => {
                metrics::error(fault.code.clone());
                tracing::warn!(code = fault.code, turn_id = turn.map(|t| t.0), "{}", fault.message);
                self.send(ToClient::Event(event));
            }
            Event::ReplyStarted { turn, reply, .. } => {
                self.running = Some((reply, turn));
                self.send(ToClient::Event(event));
            }
            Event::NoReply { request, .. } => {
                self.by_client.refuse(request);
                self.send(ToClient::Event(event));
            }
            Event::Transcript { ref text, turn, audio_ms, .. } => {
                self.typed = audio_ms == 0;
                if self.config.log.transcripts {
                    tracing::info!(turn_id = turn.0, text, "transcript");
                }
                self.send(ToClient::Event(event));
            }
            event => self.send(ToClient::Event(event)),
        }
    }

    /// A client that does not read is cut off, not buffered for.
    fn send(&mut self, message: ToClient) {
        if self.absent {
            return;
        }
        match self.to_client.try_send(message) {
            Ok(()) => {}
            // That the connection is lost is noticed where it is read.
            Err(mpsc::error::TrySendError::Closed(_)) if self.waits => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.over = Some(Over::TooSlow),
            Err(mpsc::error::TrySendError::Closed(_)) => self.over = Some(Over::ClientGone),
        }
    }

    fn fail_session(&mut self, code: &str, message: &str) {
        let fault = Fault { code: code.to_owned(), message: message.to_owned() };
        self.tell(Event::Error { turn: None, fault });
        self.over.get_or_insert(Over::Closed(CloseReason::Fault));
    }
}
