//! The house style: a person, engines, a store and a client on virtual time.
//!
//! `check(&script, "0 ms speech; 900 ms silence; 2500 ms interrupt", expect![…])` shows what the
//! client saw, and behind `→` what the machine asked of engines and store. Runs of chunks are one
//! line. Every timeline is watched by the [`Witness`], too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::Expect;

use super::witness::Witness;
use crate::config::Config;
use crate::turn::Turn;
use crate::turn::config::{TurnConfig, TurnDetection};
use crate::turn::io::{
    AsrJob, ChunkId, Event, Fault, Heard, Input, MessageId, Output, ReplyId, RequestId, SegmentId, Time,
    ToolCall, ToolResult, ToolUse, TurnId, WordTime,
};

/// An engine that does not answer.
pub(super) const NEVER: u64 = u64::MAX;
/// The engines' speech comes in such pieces …
const PIECE_MS: u64 = 100;
/// … ten times as fast as it is heard.
const PIECE_EVERY_MS: u64 = 10;
const FRAME_MS: u64 = 32;
const SAMPLES_PER_MS: u64 = 24;

/// What a step of the LLM is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Llm {
    Says(&'static str),
    /// Calls the tool of this name.
    Calls(&'static str),
    Fails(&'static str),
    Ends,
}

/// What the engines and the store do, and the settings. Delays are in ms.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub config: TurnConfig,
    pub greeting: Option<&'static str>,
    /// Delay and words, or failure, of each recognition; the last one again and again.
    pub asr: Vec<(u64, Result<&'static str, &'static str>)>,
    /// Delay and probability, or failure, of each judgement of a pause; the last one again and again.
    pub judge: Vec<(u64, Result<f32, &'static str>)>,
    /// Delay after the step before, and step, of each reply; the last one again and again.
    pub llm: Vec<Vec<(u64, Llm)>>,
    /// Delay and result of each run of a tool; the last one again and again. `end_session` also ends it.
    pub tools: Vec<(u64, Result<&'static str, &'static str>)>,
    pub tts_delay: u64,
    /// Length of a character's audio; 0: no sound.
    pub tts_ms_per_char: u64,
    /// The engine times words.
    pub tts_times_words: bool,
    /// This synthesis (from 0) fails after so many pieces; [`NEVER`]: it stops answering.
    pub tts_fails: Option<(usize, u64, Option<&'static str>)>,
    pub clip: (u64, Result<u64, &'static str>),
    /// Delay and result of each commit; the last one again and again.
    pub store: Vec<(u64, Result<(), &'static str>)>,
    /// The client reports each chunk, so long after it was played.
    pub reports: Option<u64>,
    pub shows_metrics: bool,
    /// What only some wires tell, too.
    pub shows_all: bool,
    /// Tools that the client runs.
    pub client_tools: &'static [&'static str],
    /// The LLM can be asked so much later than it is to be.
    pub delay: u64,
}

impl Default for Script {
    fn default() -> Self {
        let config = TurnConfig {
            speculate_after_ms: 0,
            apology: "Sorry.".to_owned(),
            ..TurnConfig::new(&Config::default(), false)
        };
        Script {
            config,
            greeting: None,
            asr: vec![(50, Ok("hello"))],
            judge: vec![(40, Ok(0.9))],
            llm: vec![says("Hello you. How are you?")],
            tools: vec![(200, Ok("a result"))],
            tts_delay: 30,
            tts_ms_per_char: 60,
            tts_times_words: true,
            tts_fails: None,
            clip: (500, Ok(1_500)),
            store: vec![(5, Ok(()))],
            reports: None,
            shows_metrics: false,
            shows_all: false,
            client_tools: &[],
            delay: 0,
        }
    }
}

/// The whole text after 100 ms, and the end.
pub(super) fn says(text: &'static str) -> Vec<(u64, Llm)> {
    vec![(100, Llm::Says(text)), (0, Llm::Ends)]
}

/// Plays `steps` and compares.
pub(super) fn check(script: &Script, steps: &str, expected: Expect) {
    expected.assert_eq(&World::new(script.clone()).play(steps));
}

/// The same behind a question that was asked until 640 ms and ended at 1184 ms; `from_ms` on is shown.
pub(super) fn check_answer(script: &Script, steps: &str, from_ms: u64, expected: Expect) {
    let asked = ["0 ms speech; 640 ms silence", steps].join(if steps.is_empty() { "" } else { ";" });
    let timeline = World::new(script.clone()).play(&asked);
    let at = |line: &str| line.split(' ').next().and_then(|ms| ms.parse::<u64>().ok());
    let shown = timeline.lines().filter(|line| at(line).is_none_or(|ms| ms >= from_ms));
    expected.assert_eq(&shown.map(|line| format!("{line}\n")).collect::<String>());
}

struct World {
    script: Script,
    turn: Turn,
    witness: Witness,
    now_ms: u64,
    /// What will happen, in order; the second number keeps the order of equal times.
    due: BTreeMap<(u64, u64), Input>,
    scheduled: u64,
    calls: BTreeMap<&'static str, usize>,
    lines: Vec<String>,
    /// When the reporting client will have played what it has; it never pauses.
    played_ms: u64,
    /// The run of chunks that the last line shows: its segment and range.
    run: Option<(TurnId, SegmentId, ChunkId, u64, u64)>,
}

impl World {
    fn new(script: Script) -> World {
        World {
            turn: Turn::new(script.config.clone()),
            script,
            witness: Witness::default(),
            now_ms: 0,
            due: BTreeMap::new(),
            scheduled: 0,
            calls: BTreeMap::new(),
            lines: Vec::new(),
            played_ms: 0,
            run: None,
        }
    }

    fn play(mut self, steps: &str) -> String {
        let mut steps: Vec<(u64, &str)> = steps.split(';').map(parse_step).collect();
        steps.reverse();
        self.feed(Input::Open { last_turn: TurnId(0) });
        if let Some(text) = self.script.greeting {
            self.feed(Input::Greet { text: text.to_owned() });
        }
        let (mut speaks, mut closed, mut frames) = (false, false, 0_u64);
        let mut last_step_ms = 0;
        loop {
            let step = steps.last().map(|(at, _)| *at);
            let frame = (!closed).then_some((frames + 1) * FRAME_MS);
            let engine = self.due.keys().next().map(|(at, _)| *at);
            let tick = self.turn.next_deadline().map(|at| at.0.div_ceil(1_000));
            let waits = [step, engine, tick].into_iter().flatten().min();
            let settled = self.now_ms > last_step_ms + 1_000 || closed;
            if steps.is_empty() && settled && self.turn.is_idle() && engine.is_none() {
                break;
            }
            if self.now_ms > 200_000 {
                self.line("… and so on");
                return self.lines.join("\n") + "\n";
            }
            self.now_ms = waits.into_iter().chain(frame).min().expect("something is always due");
            if frame == Some(self.now_ms) {
                frames += 1;
                self.feed(Input::Frame { probability: if speaks { 0.9 } else { 0.1 } });
            } else if step == Some(self.now_ms) {
                let (_, what) = steps.pop().expect("it was there");
                last_step_ms = self.now_ms;
                match what {
                    "speech" => speaks = true,
                    "silence" => speaks = false,
                    what => {
                        let input = client_input(what, self.turn.config());
                        closed |= matches!(input, Input::Close);
                        self.feed(input);
                    }
                }
            } else if engine == Some(self.now_ms) {
                let (_, input) = self.due.pop_first().expect("it was there");
                self.feed(input);
            } else {
                self.feed(Input::Tick);
            }
        }
        self.witness.finish();
        self.lines.join("\n") + "\n"
    }

    fn feed(&mut self, input: Input) {
        let outputs = self.witness.step(&mut self.turn, input, Time::from_ms(self.now_ms));
        for output in outputs {
            self.carry_out(output);
        }
    }

    fn after(&mut self, delay_ms: u64, input: Input) {
        if delay_ms != NEVER {
            self.scheduled += 1;
            self.due.insert((self.now_ms + delay_ms, self.scheduled), input);
        }
    }

    /// Which call of an engine this is, from 0.
    fn call(&mut self, engine: &'static str) -> usize {
        let calls = self.calls.entry(engine).or_default();
        *calls += 1;
        *calls - 1
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Transcribe { job, range } => {
                self.line(&format!("→ transcribe {}: {}–{} ms", job.0, range.start / 16, range.end / 16));
                let call = self.call("asr");
                let (delay, words) = self.script.asr[call.min(self.script.asr.len() - 1)];
                let heard = |text: &str| Heard { text: text.to_owned(), language: None };
                self.after(delay, Input::Transcribed { job, result: words.map(heard).map_err(fault) });
            }
            Output::CancelTranscribe { job } => self.line(&format!("→ forget transcribe {}", job.0)),
            Output::JudgeTurn { judgement, range } => {
                self.line(&format!("→ judge {}: {}–{} ms", judgement.0, range.start / 16, range.end / 16));
                let call = self.call("judge");
                let (delay, result) = self.script.judge[call.min(self.script.judge.len() - 1)];
                self.after(delay, Input::TurnJudged { judgement, result: result.map_err(fault) });
            }
            Output::CancelJudgement { judgement } => self.line(&format!("→ forget judge {}", judgement.0)),
            Output::Generate { reply, user_text, so_far, without_tools, .. } => {
                let mut line = format!("→ generate for {user_text:?}");
                if let Some(so_far) = so_far {
                    let _ = write!(line, " behind {:?}{}", so_far.text, uses(&so_far.tools));
                }
                line += if without_tools { " without tools" } else { "" };
                self.line(&line);
                self.generate(reply);
            }
            Output::RunTool { reply, call, name, .. } => {
                self.line(&format!("→ run {name}"));
                let run = self.call("tool");
                let (delay, result) = self.script.tools[run.min(self.script.tools.len() - 1)];
                let (content, failed) = result.map_or_else(|error| (error, true), |content| (content, false));
                let (content, ends_session) = (content.to_owned(), name == "end_session");
                let result = ToolResult { summary: content.clone(), content, failed, ends_session };
                self.after(delay, Input::ToolDone { reply, call, result });
            }
            Output::EndSession => self.line("→ end session"),
            Output::Insert { turn, message } => {
                self.line(&format!("→ insert {} message {}", number(Some(turn)), message.0));
            }
            Output::Amend { turn, heard_text, estimated } => {
                let how = if estimated { " (estimated)" } else { "" };
                self.line(&format!("→ amend {}: heard {heard_text:?}{how}", number(Some(turn))));
            }
            Output::StopGenerating { .. } => self.line("→ stop generating"),
            Output::Synthesize { reply, segment, text } => {
                self.line(&format!("→ speak s{} {text:?}", segment.0));
                self.synthesize(reply, segment, &text);
            }
            Output::Render { reply, text } => {
                self.line(&format!("→ render {text:?}"));
                let (delay, result) = self.script.clip;
                self.after(delay, Input::Rendered { reply, result: result.map_err(fault) });
            }
            Output::CancelReply { .. } => self.line("→ cancel reply"),
            Output::ForgetReply { .. } => self.line("→ forget reply"),
            Output::Commit(commit) => {
                let mut line = format!("→ commit {}: {:?}", number(Some(commit.turn)), commit.outcome);
                if let Some(user) = &commit.user {
                    let _ = write!(line, ", {} {user:?}", if commit.typed { "typed" } else { "said" });
                }
                line += &uses(&commit.tools);
                let _ = write!(line, ", heard {:?}", commit.assistant);
                if let Some(whole) = &commit.whole_reply {
                    let _ = write!(line, " of {whole:?}");
                }
                line += if commit.estimated { " (estimated)" } else { "" };
                self.line(&line);
                let call = self.call("store");
                let (delay, result) = self.script.store[call.min(self.script.store.len() - 1)];
                self.after(delay, Input::Committed { turn: commit.turn, result: result.map_err(fault) });
            }
            Output::Tell(event) => self.show(event),
        }
    }

    fn generate(&mut self, reply: ReplyId) {
        let call = self.call("llm");
        let mut delay_ms = self.script.delay;
        if delay_ms > 0 {
            self.after(0, Input::Delayed { reply });
            self.after(delay_ms, Input::Asked { reply });
        }
        for (after, step) in self.script.llm[call.min(self.script.llm.len() - 1)].clone() {
            if after == NEVER {
                return;
            }
            delay_ms += after;
            let input = match step {
                Llm::Says(text) => Input::Token { reply, text: text.to_owned() },
                Llm::Calls(name) => {
                    // As some servers do: no id that would be unique.
                    let (id, name, arguments) = ("call_0".to_owned(), name.to_owned(), "{}".to_owned());
                    let by_client = self.script.client_tools.contains(&name.as_str());
                    Input::ToolCall { reply, call: ToolCall { id, name, arguments }, by_client }
                }
                Llm::Fails(code) => Input::Generated { reply, result: Err(fault(code)) },
                Llm::Ends => Input::Generated { reply, result: Ok(()) },
            };
            self.after(delay_ms, input);
        }
    }

    fn synthesize(&mut self, reply: ReplyId, segment: SegmentId, text: &str) {
        let call = self.call("tts");
        let ms_per_char = self.script.tts_ms_per_char;
        let total_ms = text.len() as u64 * ms_per_char;
        let mut words: Vec<WordTime> = Vec::new();
        for word in text.split_whitespace().filter(|_| self.script.tts_times_words) {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            let end = start + word.len();
            words.push(WordTime { text: start..end, end_sample: end as u64 * ms_per_char * SAMPLES_PER_MS });
        }
        let fails = self.script.tts_fails.filter(|(index, ..)| *index == call);
        let mut delay_ms = self.script.tts_delay;
        for index in 0..total_ms.div_ceil(PIECE_MS) {
            if let Some((_, pieces, code)) = fails
                && pieces == index
            {
                if let Some(code) = code {
                    self.after(delay_ms, Input::Spoken { reply, segment, result: Err(fault(code)) });
                }
                return;
            }
            let piece_ms = PIECE_MS.min(total_ms - index * PIECE_MS);
            let (samples, words) = (piece_ms * SAMPLES_PER_MS, std::mem::take(&mut words));
            self.after(delay_ms, Input::Speech { reply, segment, samples, words });
            delay_ms += PIECE_EVERY_MS;
        }
        self.after(delay_ms, Input::Spoken { reply, segment, result: Ok(()) });
    }

    fn show(&mut self, event: Event) {
        let line = match event {
            Event::Status { state, turn } => {
                let state = serde_json::to_value(state).expect("a state has a name");
                format!("status {} {}", state.as_str().expect("a name"), number(turn))
            }
            Event::SpeechStarted { sample } => format!("speech from {} ms", sample / 16),
            Event::SpeechStopped { sample } => format!("speech to {} ms", sample / 16),
            Event::Contributed { .. } | Event::ReplyStarted { .. } | Event::Delivered { .. }
                if !self.script.shows_all =>
            {
                return;
            }
            Event::Contributed { turn } => format!("contributed {}", number(Some(turn))),
            Event::ReplyStarted { turn, request, .. } => {
                let asked = request.map_or(String::new(), |request| format!(" for request {}", request.0));
                format!("reply {}{asked}", number(Some(turn)))
            }
            Event::Delivered { turn } => format!("delivered {}", number(Some(turn))),
            Event::NoReply { request, fault } => {
                format!("no reply for request {}: {}", request.0, fault.code)
            }
            Event::ReplyText { turn, text } => format!("written {} {text:?}", number(Some(turn))),
            Event::Amended { turn, heard_text } => format!("amended {} {heard_text:?}", number(Some(turn))),
            Event::Idled { turn, from, to } => {
                format!("idled {} {}–{} ms", number(Some(turn)), from / 16, to / 16)
            }
            Event::PartialTranscript { turn, text } => format!("partial {} {text:?}", number(Some(turn))),
            Event::Transcript { turn, text, audio_ms, .. } => {
                format!("transcript {} {text:?} ({audio_ms} ms)", number(Some(turn)))
            }
            Event::ResponseText { turn, segment, text, last, filler } => {
                let what = if filler { "filler" } else { "text" };
                let what = if last { "whole text" } else { what };
                format!("{what} {} s{} {text:?}", number(Some(turn)), segment.0)
            }
            Event::Audio { turn, segment, chunk, range, .. } => {
                if let Some(delay) = self.script.reports {
                    let lasts_ms = (range.end - range.start) / SAMPLES_PER_MS;
                    self.played_ms = self.played_ms.max(self.now_ms) + lasts_ms;
                    self.after(self.played_ms - self.now_ms + delay, Input::Played { chunk });
                }
                return self.show_chunk(turn, segment, chunk, range);
            }
            Event::SpeakingClip { turn, text, duration_ms, .. } => {
                format!("clip {} {text:?} ({duration_ms} ms)", number(Some(turn)))
            }
            Event::Pause { turn } => format!("pause {}", number(Some(turn))),
            Event::Resume { turn, from_chunk } => {
                format!("resume {} from chunk {}", number(Some(turn)), from_chunk.0)
            }
            Event::Interrupt { turn, heard_text, reason } => {
                // The client plays no more; what it has reported is on its way.
                let on_its_way = self.now_ms + self.script.reports.unwrap_or(0);
                self.due.retain(|(at, _), input| !matches!(input, Input::Played { .. }) || *at <= on_its_way);
                format!("interrupt {} by {reason:?}, heard {heard_text:?}", number(Some(turn)))
            }
            Event::ToolCall { turn, name, id, by_client: true, .. } => {
                format!("tool call {} {name} for the client as {id}", number(Some(turn)))
            }
            Event::ToolCall { turn, name, .. } => format!("tool call {} {name}", number(Some(turn))),
            Event::ToolResult { turn, name, summary } => {
                format!("tool result {} {name}: {summary}", number(Some(turn)))
            }
            Event::Metrics { .. } if !self.script.shows_metrics => return,
            Event::Metrics { turn, metrics: m } => {
                let stages =
                    [m.endpoint, m.asr, m.llm_first_token, m.tts_first_audio, m.first_audio, m.total];
                let stages = stages.map(|ms| ms.map_or("–".to_owned(), |ms| ms.to_string()));
                format!("metrics {} {}", number(Some(turn)), stages.join(" · "))
            }
            Event::TurnEnd { turn, outcome } => format!("end {} {outcome:?}", number(Some(turn))),
            Event::Error { turn, fault } => format!("error {} {}", number(turn), fault.code),
        };
        self.line(line.trim_end());
    }

    fn show_chunk(&mut self, turn: TurnId, segment: SegmentId, chunk: ChunkId, range: std::ops::Range<u64>) {
        let (first, since, start) = match self.run.take() {
            Some((t, s, first, since, start)) if (t, s) == (turn, segment) => {
                self.lines.pop();
                (first, since, start)
            }
            _ => (chunk, self.now_ms, range.start),
        };
        let when = if since == self.now_ms { "".to_owned() } else { format!(" until {} ms", self.now_ms) };
        let (from, to) = (start / SAMPLES_PER_MS, range.end / SAMPLES_PER_MS);
        let (turn_number, id) = (number(Some(turn)), segment.0);
        let line = format!(
            "{:<8}  audio {turn_number} s{id} chunks {}–{} ({from}–{to} ms){when}",
            format!("{since} ms"),
            first.0,
            chunk.0
        );
        self.lines.push(line);
        self.run = Some((turn, segment, first, since, start));
    }

    fn line(&mut self, text: &str) {
        self.run = None;
        let now = format!("{} ms", self.now_ms);
        self.lines.push(format!("{now:<8}  {text}"));
    }
}

/// `, call_0 look_up@12 = a result`: id, name, place in the reply's text, what came of it.
fn uses(tools: &[ToolUse]) -> String {
    let mut text = String::new();
    for ToolUse { request, call, after_chars, result } in tools {
        let result = result.as_ref().map_or("nothing", |result| &result.summary);
        let _ = write!(text, ", {request}. {} {}@{after_chars} = {result}", call.id, call.name);
    }
    text
}

fn number(turn: Option<TurnId>) -> String {
    turn.map_or(String::new(), |turn| format!("#{}", turn.0))
}

fn fault(code: &str) -> Fault {
    Fault { code: code.to_owned(), message: format!("{code} in a test") }
}

fn parse_step(step: &str) -> (u64, &str) {
    let (at, what) = step.trim().split_once(" ms ").expect("a step is `N ms WHAT`");
    (at.parse().expect("a time in ms"), what.trim())
}

/// `WORD [ARGUMENT]`
fn client_input(what: &str, config: &TurnConfig) -> Input {
    let (word, argument) = what.split_once(' ').unwrap_or((what, ""));
    let chunk = || ChunkId(argument.parse().expect("a chunk id"));
    let configure = |change: &dyn Fn(&mut TurnConfig)| {
        let mut config = config.clone();
        change(&mut config);
        Input::Configure { config: Box::new(config) }
    };
    match word {
        "interrupt" if argument.is_empty() => Input::Interrupt { last_chunk: None, turn: None },
        "interrupt" => Input::Interrupt { last_chunk: Some(chunk()), turn: None },
        "interrupt_turn" => {
            let turn = TurnId(argument.parse().expect("a turn"));
            Input::Interrupt { last_chunk: None, turn: Some(turn) }
        }
        "played" => Input::Played { chunk: chunk() },
        "respond" => {
            Input::Respond { request: RequestId(argument.parse().expect("a number")), text_only: false }
        }
        "write" => {
            Input::Respond { request: RequestId(argument.parse().expect("a number")), text_only: true }
        }
        "insert" => Input::Insert { message: MessageId(argument.parse().expect("a number")) },
        "truncate" => {
            let (turn, ms) = argument.split_once(' ').expect("a turn and ms");
            let ms: u64 = ms.parse().expect("ms");
            Input::Truncate { turn: TurnId(turn.parse().expect("a turn")), samples: ms * SAMPLES_PER_MS }
        }
        "text" => Input::Text { text: argument.to_owned() },
        "commit" => Input::Commit,
        "clear" => Input::Clear,
        "close" => Input::Close,
        "lost" => Input::Detached,
        "back" if argument.is_empty() => Input::Attached { last_chunk: None },
        "back" => Input::Attached { last_chunk: Some(chunk()) },
        "manual" => configure(&|config| config.detection = TurnDetection::Manual),
        "vad" => configure(&|config| config.detection = TurnDetection::Vad),
        "smart" => configure(&|config| config.detection = TurnDetection::Smart),
        "hangover" => configure(&|config| config.hangover_ms = argument.parse().expect("ms")),
        "min_interrupt" => configure(&|config| config.min_interrupt_ms = argument.parse().expect("ms")),
        "stale" => {
            Input::Transcribed { job: AsrJob(argument.parse().expect("a job")), result: Err(fault("stale")) }
        }
        word => panic!("{word:?} is not a step"),
    }
}
