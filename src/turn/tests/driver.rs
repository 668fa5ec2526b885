//! Engines, store and client that answer when, and as, a test chooses: whatever the machine has
//! asked for can be answered next, well or not, in any order, twice, or never.

use std::collections::BTreeMap;

use super::witness::Witness;
use crate::config::Config;
use crate::turn::Turn;
use crate::turn::config::TurnConfig;
use crate::turn::io::{
    AsrJob, CallId, Fault, Heard, Input, JudgementId, Output, ReplyId, SegmentId, Time, ToolCall, ToolResult,
    TurnId, WordTime,
};

/// The LLM's replies, token by token: several segments, one of them long.
const TOKENS: [&str; 8] = [
    "Well, yes. ",
    "It is ",
    "all right now. ",
    "We go on ",
    "and on, ",
    "as far as we can. ",
    "Good.",
    "\n",
];
const SAMPLES_PER_CHAR: u64 = 24 * 50;

/// Something that the machine waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pending {
    Transcript(AsrJob),
    Judgement(JudgementId),
    Text(ReplyId),
    Tool(ReplyId, CallId),
    Speech(ReplyId, SegmentId),
    Clip(ReplyId),
    Durability(TurnId),
}

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The next part of it, or all of it: words, a token, a piece of speech, a clip; the user has finished.
    Good,
    /// It ends here; where that is nothing yet, with nothing. A tool: the session is to end. A pause: more
    /// is coming.
    End,
    Fail,
    /// The LLM calls a tool; the same as [`Answer::Good`] for everybody else.
    Call,
}

/// A machine, its witness, and what is pending.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    pub turn: Turn,
    pub witness: Witness,
    pub now: Time,
    pub pending: BTreeMap<Pending, Work>,
    /// Everything that went in and came out.
    pub log: Vec<(Time, Input, Vec<Output>)>,
    pub keeps_log: bool,
    times_words: bool,
}

/// How far the work is.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub given: usize,
    text: String,
}

/// Short times, so that little happens between decisions.
pub(super) fn short_config() -> TurnConfig {
    TurnConfig {
        min_speech_ms: 64,
        hangover_ms: 96,
        smart_pause_ms: 64,
        smart_limit_ms: 256,
        prefix_padding_ms: 64,
        max_utterance_s: 1,
        speculate_after_ms: 32,
        min_interrupt_ms: 96,
        max_reply_chars: 120,
        tts_ahead_ms: 600,
        played_grace_ms: 100,
        asr_timeout_ms: 1_200,
        llm_first_token_timeout_ms: 300,
        llm_token_timeout_ms: 200,
        tool_timeout_ms: 400,
        filler: vec!["Wait a bit.".to_owned(), "Hold on.".to_owned()],
        filler_after_ms: 250,
        max_rounds: 3,
        tts_timeout_ms: 900,
        render_timeout_ms: 60,
        apology: "Sorry.".to_owned(),
        ..TurnConfig::new(&Config::default(), false)
    }
}

impl Driver {
    pub fn new(config: TurnConfig, times_words: bool) -> Driver {
        Driver {
            turn: Turn::new(config),
            witness: Witness::default(),
            now: Time(0),
            pending: BTreeMap::new(),
            log: Vec::new(),
            keeps_log: true,
            times_words,
        }
    }

    pub fn feed(&mut self, input: Input) {
        let kept = self.keeps_log.then(|| input.clone());
        let outputs = self.witness.step(&mut self.turn, input, self.now);
        for output in &outputs {
            self.note(output);
        }
        if let Some(input) = kept {
            self.log.push((self.now, input, outputs));
        }
    }

    /// Time passes; the machine is told of its deadlines on the way, each `late` µs too late.
    pub fn wait(&mut self, micros: u64, late: u64) {
        let until = Time(self.now.0 + micros);
        while let Some(deadline) = self.turn.next_deadline() {
            let at = Time(deadline.0.max(self.now.0) + late);
            if at > until {
                break;
            }
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = self.now.max(until);
    }

    /// The microphone gives `count` frames in real time.
    pub fn frames(&mut self, count: u64, probability: f32) {
        for _ in 0..count {
            self.wait(32_000, 0);
            self.feed(Input::Frame { probability });
        }
    }

    /// Answers the `index`th of what is pending, round and round.
    pub fn answer(&mut self, index: usize, answer: Answer) {
        let Some(at) = index.checked_rem(self.pending.len()) else { return };
        let Some(pending) = self.pending.keys().nth(at).cloned() else { return };
        self.answer_pending(&pending, answer);
    }

    pub fn answer_pending(&mut self, pending: &Pending, answer: Answer) {
        let Some(work) = self.pending.get(pending).cloned() else { return };
        let times_words = self.times_words;
        let fault = Fault { code: "engine_failed".to_owned(), message: "in a test".to_owned() };
        let failed = answer == Answer::Fail;
        let good = matches!(answer, Answer::Good | Answer::Call);
        let input = match pending.clone() {
            Pending::Transcript(job) => {
                let words = if good { "what is it" } else { " " };
                let heard = Heard { text: words.to_owned(), language: None };
                Input::Transcribed { job, result: if failed { Err(fault) } else { Ok(heard) } }
            }
            Pending::Judgement(judgement) => {
                let probability = if good { 0.9 } else { 0.1 };
                Input::TurnJudged { judgement, result: if failed { Err(fault) } else { Ok(probability) } }
            }
            Pending::Text(reply) if answer == Answer::Call => {
                let (id, name) = (format!("call_{}", work.given), "look".to_owned());
                let call = ToolCall { id, name, arguments: "{}".to_owned() };
                Input::ToolCall { reply, call, by_client: reply.0 % 3 == 0 }
            }
            Pending::Tool(reply, call) => {
                let (content, ends_session) = (format!("{answer:?}"), answer == Answer::End);
                let result = ToolResult { summary: content.clone(), content, failed, ends_session };
                Input::ToolDone { reply, call, result }
            }
            Pending::Text(reply) if good && work.given < TOKENS.len() => {
                Input::Token { reply, text: TOKENS[work.given].to_owned() }
            }
            Pending::Text(reply) => {
                Input::Generated { reply, result: if failed { Err(fault) } else { Ok(()) } }
            }
            Pending::Speech(reply, segment) if good && work.given < 3 => {
                let third = work.text.len() as u64 * SAMPLES_PER_CHAR / 3;
                let words = if times_words && work.given == 0 { word_times(&work.text) } else { vec![] };
                Input::Speech { reply, segment, samples: third, words }
            }
            Pending::Speech(reply, segment) => {
                Input::Spoken { reply, segment, result: if failed { Err(fault) } else { Ok(()) } }
            }
            Pending::Clip(reply) => {
                Input::Rendered { reply, result: if failed { Err(fault) } else { Ok(900) } }
            }
            Pending::Durability(turn) => {
                Input::Committed { turn, result: if failed { Err(fault) } else { Ok(()) } }
            }
        };
        if matches!(input, Input::Token { .. } | Input::ToolCall { .. } | Input::Speech { .. }) {
            self.pending.entry(pending.clone()).and_modify(|work| work.given += 1);
        } else {
            self.pending.remove(pending);
        }
        self.feed(input);
    }

    /// The user falls silent, everybody does their work, and time passes.
    pub fn finish(&mut self) {
        // Else silence would be broken for ever.
        let config = TurnConfig { idle_reply_ms: 0, ..self.turn.config().clone() };
        self.feed(Input::Configure { config: Box::new(config) });
        self.frames(80, 0.0);
        for _ in 0..2_000 {
            if self.pending.is_empty() && self.turn.next_deadline().is_none() {
                break;
            }
            self.answer(0, Answer::Good);
            self.wait(10_000, 0);
        }
        assert!(self.pending.is_empty() && self.turn.is_idle(), "it never ends: {:?}", self.turn);
        self.witness.finish();
    }

    fn note(&mut self, output: &Output) {
        let (pending, text) = match output {
            Output::Transcribe { job, .. } => (Pending::Transcript(*job), ""),
            Output::JudgeTurn { judgement, .. } => (Pending::Judgement(*judgement), ""),
            Output::Generate { reply, .. } => (Pending::Text(*reply), ""),
            Output::RunTool { reply, call, .. } => (Pending::Tool(*reply, *call), ""),
            Output::Synthesize { reply, segment, text } => (Pending::Speech(*reply, *segment), text.as_str()),
            Output::Render { reply, .. } => (Pending::Clip(*reply), ""),
            Output::Commit(commit) => (Pending::Durability(commit.turn), ""),
            // Cancelled work may still come, late: it stays pending.
            _ => return,
        };
        self.pending.insert(pending, Work { given: 0, text: text.to_owned() });
    }
}

/// A word is said when its last character is.
fn word_times(text: &str) -> Vec<WordTime> {
    let words = text.split_whitespace().map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let end = start + word.len();
        WordTime { text: start..end, end_sample: end as u64 * SAMPLES_PER_CHAR }
    });
    words.collect()
}
