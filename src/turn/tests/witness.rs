//! A witness of one conversation: it sees every input and output of a machine and panics when a
//! promise is broken. It keeps its own account of what the client has played; nothing of it is
//! taken from the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::turn::Turn;
use crate::turn::io::{
    AsrJob, Commit, Event, Input, JudgementId, Outcome, Output, ReplyId, SegmentId, State, Time, TurnId,
    WordTime,
};

use super::tool_witness::ToolWitness;
use crate::turn::absence::MAX_REPLAY_MS;

const OUTPUT_SAMPLES_PER_MS: u64 = 24;
const FRAME_SAMPLES: u64 = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Witness {
    now: Time,
    frames: u64,
    turns: BTreeMap<TurnId, SeenTurn>,
    speech: Speech,
    tools: ToolWitness,
    client: Client,
    next_chunk: u64,
    jobs: BTreeMap<AsrJob, bool>,
    /// The pause that is being judged, and the newest that was.
    judging: Option<JudgementId>,
    last_judged: JudgementId,
    needed_from: u64,
    status: Option<(State, Option<TurnId>)>,
    /// The segment whose text was told last: its audio must follow.
    announced: Option<(TurnId, SegmentId)>,
    /// Generations and syntheses that were asked for and may still be answered.
    pub live_replies: BTreeSet<ReplyId>,
    /// The newest reply breaks a silence: it answers nothing.
    idled: bool,
    /// The connection is lost.
    absent: bool,
    /// It is here again; the last chunk that was heard, if the client said so.
    returned: Option<Option<u64>>,
}

#[derive(Debug, Clone, Default)]
struct SeenTurn {
    interrupted_with: Option<String>,
    committed: Option<Commit>,
    ended: bool,
    pcm: bool,
    clip: bool,
    whole_text: Option<String>,
    /// Of a reply that is read: all that was told.
    read: Option<String>,
    delivered: bool,
    paused: bool,
}

/// What the engines made of the newest reply.
#[derive(Debug, Clone, Default)]
struct Speech {
    reply: ReplyId,
    written: String,
    /// The LLM may still write.
    writing: bool,
    /// It has been asked again, and has not written yet.
    goes_on: bool,
    segments: Vec<SpokenSegment>,
    open: Option<SegmentId>,
}

#[derive(Debug, Clone)]
struct SpokenSegment {
    id: SegmentId,
    /// It bridges a wait and says nothing of the reply.
    filler: bool,
    start: u64,
    samples: u64,
    words: usize,
    closed: bool,
    /// Ends of words in samples of the reply.
    word_ends: Vec<u64>,
}

/// Somebody's player: a queue that plays in real time.
#[derive(Debug, Clone, Default)]
struct Client {
    reply: ReplyId,
    received: u64,
    /// In thousandths of a sample.
    played_milli: u64,
    at: Time,
    paused: bool,
    chunk_ends: BTreeMap<u64, u64>,
    reported: Option<u64>,
}

impl Client {
    fn until(&mut self, now: Time) {
        if !self.paused {
            let reached = self.played_milli + now.since(self.at) * OUTPUT_SAMPLES_PER_MS;
            self.played_milli = reached.min(self.received * 1_000);
        }
        self.at = now;
    }

    fn receive(&mut self, reply: ReplyId, range: Range<u64>) {
        if self.reply != reply {
            *self = Client { reply, at: self.at, ..Client::default() };
        }
        assert_eq!(range.start, self.received, "a gap or an overlap in the audio of {reply:?}");
        assert!(range.end > range.start, "an empty chunk");
        self.received = range.end;
    }

    fn pause(&mut self) {
        self.paused = true;
        self.played_milli -= self.played_milli % 1_000;
    }

    fn heard(&self) -> u64 {
        self.reported.unwrap_or(self.played_milli / 1_000)
    }

    /// A new player, which has what was heard and nothing else.
    fn begin_anew(&mut self, last_chunk: Option<u64>) {
        let told = last_chunk.and_then(|chunk| self.chunk_ends.get(&chunk).copied());
        let kept = self.received.saturating_sub(MAX_REPLAY_MS * OUTPUT_SAMPLES_PER_MS);
        self.received = told.unwrap_or_else(|| self.heard()).max(kept);
        self.played_milli = self.received * 1_000;
        self.reported = self.reported.map(|reported| reported.min(self.received));
        self.paused = false;
    }
}

impl Witness {
    /// Lets `turn` handle `input` and judges what it does.
    pub fn step(&mut self, turn: &mut Turn, input: Input, now: Time) -> Vec<Output> {
        self.now = self.now.max(now);
        self.client.until(self.now);
        self.tools.see_input(&input, turn.config().max_rounds);
        let lead = u64::from(turn.config().lead_ms) * OUTPUT_SAMPLES_PER_MS;
        self.see_input(&input);
        turn.handle(input, now);
        let outputs: Vec<Output> = std::iter::from_fn(|| turn.poll_output()).collect();
        for (index, output) in outputs.iter().enumerate() {
            self.see_output(output, &outputs[index + 1..], lead);
        }
        self.returned = None;
        let due = turn.next_deadline().filter(|at| *at <= self.now);
        assert_eq!(due, None, "a deadline that has passed remains: the driver would spin");
        let needed = turn.audio_needed_from();
        assert!(needed >= self.needed_from, "audio that was given up is needed again");
        assert!(needed <= self.frames * FRAME_SAMPLES, "audio to come is not needed");
        self.needed_from = needed;
        outputs
    }

    /// Everything asked of the engines and the store has been answered and time has passed.
    pub fn finish(&self) {
        for (turn, seen) in &self.turns {
            assert!(seen.committed.is_some() && seen.ended, "turn {turn:?} has no end: {seen:?}");
        }
    }

    /// Whether a reply of the newest turn is held.
    pub fn holds(&self) -> bool {
        self.turns.values().any(|seen| seen.paused)
    }

    /// The last chunk that the client has played to its end.
    pub fn last_heard(&self) -> Option<u64> {
        let heard = self.client.heard();
        self.client.chunk_ends.iter().filter(|(_, end)| **end <= heard).map(|(chunk, _)| *chunk).max()
    }

    /// The state that the client was told last.
    pub fn state(&self) -> Option<State> {
        self.status.map(|(state, _)| state)
    }

    fn see_input(&mut self, input: &Input) {
        match input {
            Input::Frame { .. } => self.frames += 1,
            Input::Played { chunk } | Input::Interrupt { last_chunk: Some(chunk), .. } => {
                if self.live_replies.contains(&self.client.reply)
                    && let Some(end) = self.client.chunk_ends.get(&chunk.0)
                {
                    // Of a chunk of before a loss no more counts than has been sent again.
                    let end = (*end).min(self.client.received);
                    self.client.reported = Some(end.max(self.client.reported.unwrap_or(0)));
                }
            }
            Input::Token { reply, text } if *reply == self.speech.reply && self.speech.writing => {
                let written = &mut self.speech.written;
                if std::mem::take(&mut self.speech.goes_on) && !written.is_empty() && !written.ends_with('\n')
                {
                    *written += "\n";
                }
                *written += text;
            }
            Input::Generated { reply, .. } if *reply == self.speech.reply => self.speech.writing = false,
            Input::Speech { reply, segment, samples, words } if self.speech.is_open(*reply, *segment) => {
                self.speech.add(*samples, words);
            }
            Input::Spoken { reply, segment, result } if self.speech.is_open(*reply, *segment) => {
                self.speech.close(result.is_ok());
            }
            Input::Transcribed { job, .. } => {
                self.jobs.entry(*job).and_modify(|open| *open = false);
            }
            Input::Detached => {
                self.absent = true;
                // A clip plays on; its client has all of it.
                let is_clip = self.client.received > 0 && self.client.chunk_ends.is_empty();
                if is_clip {
                    self.client.paused = false
                } else {
                    self.client.pause()
                }
                // A sound that held the reply is forgotten.
                self.turns.values_mut().for_each(|seen| seen.paused = false);
            }
            Input::Attached { last_chunk } => {
                self.absent = false;
                (self.status, self.announced) = (None, None);
                self.returned = Some(last_chunk.map(|chunk| chunk.0));
            }
            Input::TurnJudged { judgement, .. } => drop(self.judging.take_if(|id| id == judgement)),
            _ => {}
        }
    }

    fn see_output(&mut self, output: &Output, behind: &[Output], lead: u64) {
        self.tools.see_output(output, &self.live_replies);
        match output {
            Output::Transcribe { job, range } => {
                assert!(self.jobs.insert(*job, true).is_none(), "{job:?} was used before");
                assert!(range.start >= self.needed_from, "{range:?}: given up from {}", self.needed_from);
                assert!(range.end <= self.frames * FRAME_SAMPLES && range.start < range.end, "{range:?}");
            }
            Output::CancelTranscribe { job } => {
                assert_eq!(self.jobs.insert(*job, false), Some(true), "{job:?} is not at work");
            }
            Output::JudgeTurn { judgement, range } => {
                assert_eq!(self.judging.replace(*judgement), None, "one pause at a time");
                assert!(*judgement > self.last_judged, "{judgement:?} was used before");
                self.last_judged = *judgement;
                assert!(range.start >= self.needed_from, "{range:?}: given up from {}", self.needed_from);
                assert_eq!(range.end, self.frames * FRAME_SAMPLES, "it is judged up to now");
                assert!((1..=8 * 16_000).contains(&(range.end - range.start)), "{range:?}");
            }
            Output::CancelJudgement { judgement } => {
                assert_eq!(self.judging.take(), Some(*judgement), "it is not at work");
            }
            Output::Generate { reply, user_text, request, so_far, .. } => {
                let asked = request.is_some() || std::mem::take(&mut self.idled) || so_far.is_some();
                assert!(asked || !user_text.trim().is_empty(), "nothing to answer");
                match so_far {
                    None => self.begin(*reply),
                    Some(so_far) => {
                        assert_eq!(*reply, self.speech.reply, "another reply cannot go on");
                        assert_eq!(so_far.text, self.speech.written.trim());
                        self.speech.goes_on = true;
                    }
                }
                self.speech.writing = true;
            }
            Output::RunTool { .. } | Output::EndSession | Output::Insert { .. } | Output::Amend { .. } => {} // see the tools' witness
            Output::Synthesize { reply, segment, text } => {
                if self.speech.reply != *reply {
                    self.begin(*reply); // a fixed reply
                }
                assert_eq!(self.speech.open, None, "one segment at a time");
                self.speech.open(*segment, text);
            }
            Output::Render { reply, .. } => assert!(self.live_replies.contains(reply), "{reply:?} is over"),
            Output::StopGenerating { reply } => {
                assert!(self.live_replies.contains(reply), "{reply:?} is over");
                self.speech.writing = false;
            }
            Output::CancelReply { reply } | Output::ForgetReply { reply } => {
                // A reply that never got as far as an engine may be cancelled, too.
                self.live_replies.remove(reply);
            }
            Output::Commit(commit) => self.see_commit(commit),
            Output::Tell(event) => self.see_event(event, behind, lead),
        }
    }

    fn begin(&mut self, reply: ReplyId) {
        assert!(reply > self.speech.reply, "reply ids count up");
        self.speech = Speech { reply, ..Speech::default() };
        self.live_replies.insert(reply);
    }

    fn see_event(&mut self, event: &Event, behind: &[Output], lead: u64) {
        if let Event::TurnEnd { .. } = event {
            // Its metrics came just before: checked there.
        } else if let Some(turn) = turn_of(event) {
            let seen = self.turns.entry(turn).or_default();
            let late = matches!(event, Event::Amended { .. });
            assert!(!late || seen.committed.is_some(), "{event:?} before there is anything to amend");
            assert!(!seen.ended || late, "{event:?} after the turn's end");
            // Who comes back is told how things are.
            let told_again = matches!(event, Event::Status { .. }) && self.status.is_none();
            let closing = told_again || matches!(event, Event::Metrics { .. } | Event::Error { .. });
            assert!(seen.committed.is_none() || closing || late, "{event:?} after the turn was committed");
            let of_reply = matches!(
                event,
                Event::Audio { .. }
                    | Event::ResponseText { .. }
                    | Event::Resume { .. }
                    | Event::SpeakingClip { .. }
                    | Event::Pause { .. }
                    | Event::ToolCall { .. }
                    | Event::ToolResult { .. }
                    | Event::ReplyText { .. }
                    | Event::Delivered { .. }
            );
            assert!(!of_reply || seen.interrupted_with.is_none(), "{event:?} after interrupt");
        }
        match event {
            Event::Status { state, turn } => {
                assert_ne!(self.status, Some((*state, *turn)), "the state did not change");
                self.status = Some((*state, *turn));
            }
            Event::ResponseText { turn, segment, text, last: false, filler } => {
                if *filler {
                    self.speech.note_filler(*segment);
                }
                assert_ne!(self.announced, Some((*turn, *segment)), "told before");
                assert!(!text.is_empty());
                self.announced = Some((*turn, *segment));
                let next = behind.first();
                assert!(
                    matches!(next, Some(Output::Tell(Event::Audio { segment: s, .. })) if s == segment),
                    "{event:?} comes without its first chunk"
                );
            }
            Event::ResponseText { turn, text, last: true, .. } => {
                let seen = self.turns.entry(*turn).or_default();
                assert_eq!(seen.whole_text, None, "the whole reply was told before");
                seen.whole_text = Some(text.clone());
            }
            Event::Audio { turn, reply, segment, chunk, range } => {
                let seen = self.turns.entry(*turn).or_default();
                assert!(!self.absent, "audio for nobody");
                assert!(!seen.clip, "audio in a turn that sent a clip");
                assert!(!seen.paused, "audio while the reply is held");
                assert_eq!(self.announced, Some((*turn, *segment)), "audio without its text");
                assert_eq!(chunk.0, self.next_chunk, "chunk ids count up");
                seen.pcm = true;
                self.next_chunk += 1;
                self.client.receive(*reply, range.clone());
                self.client.chunk_ends.insert(chunk.0, range.end);
                let ahead = self.client.received - self.client.played_milli / 1_000;
                assert!(ahead <= lead, "{ahead} samples ahead of real time, {lead} are allowed");
            }
            Event::SpeakingClip { turn, reply, .. } => {
                let samples = self.speech.samples();
                let seen = self.turns.entry(*turn).or_default();
                assert!(!seen.pcm && !seen.clip, "a clip in a turn that sent audio or a clip");
                seen.clip = true;
                self.client.receive(*reply, 0..samples);
            }
            Event::Pause { turn } => {
                let seen = self.turns.entry(*turn).or_default();
                assert!(seen.pcm || seen.clip, "nothing is heard that could be held");
                assert!(!std::mem::replace(&mut seen.paused, true), "held twice");
                self.client.pause();
            }
            Event::Resume { turn, from_chunk } => {
                let seen = self.turns.entry(*turn).or_default();
                assert_eq!(from_chunk.0, self.next_chunk);
                match self.returned.take() {
                    Some(last_chunk) => {
                        (seen.paused, seen.whole_text) = (false, None);
                        if self.client.reply == self.speech.reply {
                            self.client.begin_anew(last_chunk);
                        }
                    }
                    None => assert!(std::mem::replace(&mut seen.paused, false), "was not held"),
                }
                self.client.paused = false;
            }
            Event::Interrupt { turn, heard_text, .. } => {
                let seen = self.turns.entry(*turn).or_default();
                assert_eq!(seen.interrupted_with, None, "interrupted twice");
                seen.interrupted_with = Some(heard_text.clone());
            }
            Event::SpeechStopped { .. } => {
                let minded = |output: &Output| match output {
                    Output::Transcribe { .. } | Output::Tell(Event::Resume { .. }) => true,
                    Output::Tell(Event::Status { state, .. }) => *state == State::Transcribing,
                    _ => false,
                };
                assert!(behind.iter().any(minded), "what the user said is lost: {behind:?}");
            }
            Event::ReplyText { turn, text } => {
                let seen = self.turns.entry(*turn).or_default();
                assert!(!seen.pcm && !seen.clip && !text.is_empty(), "it is read or heard, not both");
                *seen.read.get_or_insert_default() += text;
            }
            Event::Delivered { turn } => {
                let seen = self.turns.entry(*turn).or_default();
                assert!(!std::mem::replace(&mut seen.delivered, true), "delivered twice");
            }
            Event::Idled { .. } => self.idled = true,
            Event::Metrics { turn, .. } => {
                let end = behind.first();
                assert!(
                    matches!(end, Some(Output::Tell(Event::TurnEnd { turn: t, .. })) if t == turn),
                    "metrics come just before the turn's end"
                );
            }
            Event::TurnEnd { turn, outcome } => {
                let seen = self.turns.entry(*turn).or_default();
                assert!(!std::mem::replace(&mut seen.ended, true), "{turn:?} ends twice");
                let committed = seen.committed.as_ref().map(|commit| commit.outcome);
                assert_eq!(committed, Some(*outcome), "it ends as it was committed");
            }
            Event::Error { fault, .. } if fault.code == "tts_timeout" => self.speech.close(false),
            _ => {}
        }
    }

    fn see_commit(&mut self, commit: &Commit) {
        let seen = self.turns.entry(commit.turn).or_default();
        assert!(seen.committed.is_none(), "committed twice: {commit:?}");
        seen.paused = false;
        if let Some(heard) = &seen.interrupted_with {
            assert_eq!(heard, &commit.assistant, "the client and the history disagree");
            assert_eq!(commit.outcome, Outcome::Interrupted);
        }
        if let Some(whole) = &commit.whole_reply {
            assert!(whole.starts_with(&commit.assistant), "{commit:?}");
        }
        if commit.outcome == Outcome::Superseded {
            assert_eq!((&commit.user, commit.assistant.as_str()), (&None, ""));
        }
        let audible = seen.pcm || seen.clip;
        if let Some(read) = &seen.read {
            assert!(!audible && commit.whole_reply.is_none(), "{commit:?}");
            assert_eq!(read.trim(), commit.assistant, "what was told has been read");
        } else if commit.outcome == Outcome::Completed {
            assert_eq!(commit.whole_reply, None);
            assert!(
                !seen.pcm || seen.whole_text.as_deref().unwrap_or_default() == commit.assistant,
                "the whole reply is told once: {seen:?}"
            );
        } else if !audible {
            assert_eq!(commit.assistant, "", "nothing was heard");
        } else {
            let heard = commit.assistant.split_whitespace().count();
            if let Some(words) = self.speech.words_within(self.client.heard()) {
                assert_eq!((heard, commit.estimated), (words, false), "{commit:?} {:?}", self.client);
            }
            let (written, heard) = (self.speech.written.trim(), commit.assistant.as_str());
            assert!(heard.starts_with(written) || written.starts_with(heard), "{written:?}: {heard:?}");
        }
        let seen = self.turns.entry(commit.turn).or_default();
        seen.committed = Some(commit.clone());
        if audible {
            self.client.paused = false;
        }
    }
}

impl Speech {
    fn open(&mut self, segment: SegmentId, text: &str) {
        let start = self.samples();
        let words = text.split_whitespace().count();
        let empty = SpokenSegment {
            id: segment,
            filler: false,
            start,
            samples: 0,
            words,
            closed: false,
            word_ends: Vec::new(),
        };
        self.segments.push(empty);
        self.open = Some(segment);
    }

    fn note_filler(&mut self, segment: SegmentId) {
        let fillers = self.segments.iter().filter(|other| other.filler && other.id != segment).count();
        assert_eq!(fillers, 0, "one filler is enough");
        self.segments.iter_mut().filter(|other| other.id == segment).for_each(|other| other.filler = true);
    }

    fn is_open(&self, reply: ReplyId, segment: SegmentId) -> bool {
        (reply, Some(segment)) == (self.reply, self.open)
    }

    fn add(&mut self, samples: u64, words: &[WordTime]) {
        if let Some(segment) = self.segments.last_mut() {
            segment.samples += samples;
            segment.word_ends.extend(words.iter().map(|word| segment.start + word.end_sample));
        }
    }

    /// What the engine calls complete has been said by its last sample, whatever it said of times.
    fn close(&mut self, complete: bool) {
        self.open = None;
        if let Some(segment) = self.segments.last_mut().filter(|_| complete) {
            segment.closed = true;
            let end = segment.start + segment.samples;
            segment.word_ends.iter_mut().for_each(|word| *word = (*word).min(end));
        }
    }

    fn samples(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.start + segment.samples)
    }

    /// How many words have been heard when the samples before `through` have been; `None` where the
    /// engine has not timed every word of what was heard.
    fn words_within(&self, through: u64) -> Option<usize> {
        let soundless = |segment: &SpokenSegment| segment.closed && segment.samples == 0;
        let own = || self.segments.iter().filter(|segment| !segment.filler);
        let begun = || own().filter(|segment| segment.start < through || soundless(segment));
        let timed = begun().all(|segment| segment.words == segment.word_ends.len());
        let heard = begun().flat_map(|segment| &segment.word_ends).filter(|end| **end <= through).count();
        timed.then_some(heard)
    }
}

pub(super) fn turn_of(event: &Event) -> Option<TurnId> {
    match event {
        Event::Status { turn, .. } | Event::Error { turn, .. } => *turn,
        Event::SpeechStarted { .. } | Event::SpeechStopped { .. } | Event::NoReply { .. } => None,
        Event::Contributed { turn }
        | Event::Idled { turn, .. }
        | Event::ReplyStarted { turn, .. }
        | Event::ReplyText { turn, .. }
        | Event::Delivered { turn }
        | Event::Amended { turn, .. } => Some(*turn),

        Event::PartialTranscript { turn, .. }
        | Event::Transcript { turn, .. }
        | Event::ResponseText { turn, .. }
        | Event::Audio { turn, .. }
        | Event::SpeakingClip { turn, .. }
        | Event::Pause { turn }
        | Event::Resume { turn, .. }
        | Event::Interrupt { turn, .. }
        | Event::ToolCall { turn, .. }
        | Event::ToolResult { turn, .. }
        | Event::Metrics { turn, .. }
        | Event::TurnEnd { turn, .. } => Some(*turn),
    }
}
