//! Our side: LLM text → segments → TTS, until the user has heard it, and how that ends.
//! How it gets there is [`delivery`](super::delivery)'s matter.

use std::collections::VecDeque;

use super::Turn;
use super::by_client::PastReply;
use super::config::TurnConfig;
use super::contribution::UserTurn;
use super::delivery::{ClipStage, Delivery, Voice, chunk_samples};
use super::io::{
    Commit, Event, Fault, InterruptReason, Metrics, Outcome, Output, ReplyId, RequestId, SegmentId, State,
    Time, TurnId, WordTime,
};
use super::ledger::Ledger;
use super::playout::{Playout, SAMPLES_PER_MS};
use super::segmenter::{Segment, Segmenter};
use super::tools::Tools;

/// The engine keeps its own time-outs and gives better errors; the machine's come a little later.
pub(super) const ENGINE_GRACE_MS: u64 = 1_000;

/// One LLM + TTS run.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub id: ReplyId,
    pub turn: TurnId,
    /// What it answers; `None`: no words of the user.
    pub user: Option<UserTurn>,
    /// The client asked for it.
    pub request: Option<RequestId>,
    /// Holds the reply's own text.
    pub segmenter: Segmenter,
    pub writing: Writing,
    pub tools: Tools,
    /// Segments that wait for the TTS.
    pub waiting: VecDeque<Segment>,
    pub synthesis: Option<Synthesis>,
    pub ledger: Ledger,
    pub delivery: Delivery,
    /// All of it has been sent.
    pub delivered: bool,
    /// A stage failed: the turn ends as failed.
    pub failed: bool,
    /// When the user's contribution was decided to be complete.
    pub decided: Time,
    pub metrics: Metrics,
}

/// What the LLM is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Writing {
    /// It is to be asked since this time, and is not yet.
    Delayed(Time),
    /// Asked, no token yet.
    Asked(Time),
    /// The last token came at this time.
    Since(Time),
    /// It has ended, and goes on when the tools that it called have answered.
    Tools,
    Done,
}

/// What the TTS is doing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Synthesis {
    segment: SegmentId,
    /// The last sign of life.
    since: Time,
}

impl Reply {
    fn new(id: ReplyId, turn: TurnId, writing: Writing, decided: Time, config: &TurnConfig) -> Reply {
        let delivery =
            if config.clips { Delivery::Clip(ClipStage::Collecting) } else { Delivery::Voice(Voice::new()) };
        Reply {
            id,
            turn,
            user: None,
            request: None,
            segmenter: Segmenter::new(config.first_segment_chars, config.max_segment_chars),
            writing,
            tools: Tools::default(),
            waiting: VecDeque::new(),
            synthesis: None,
            ledger: Ledger::default(),
            delivery,
            delivered: false,
            failed: false,
            decided,
            metrics: Metrics::default(),
        }
    }

    /// The LLM is at it.
    pub fn is_writing(&self) -> bool {
        matches!(self.writing, Writing::Asked(_) | Writing::Since(_))
    }

    /// The LLM has given a sign of life.
    pub fn note_token(&mut self, now: Time) {
        if let Writing::Asked(at) = self.writing {
            self.metrics.llm_first_token.get_or_insert(now.ms_since(at));
        }
        self.writing = Writing::Since(now);
    }

    /// Nothing of it is to be heard at this moment, or waits to be.
    pub fn is_quiet(&self, now: Time) -> bool {
        let played = self.playout().is_none_or(|playout| playout.ends_at().is_some_and(|end| end <= now));
        let all_sent = self.playout().is_none_or(|playout| playout.sent() == self.ledger.samples());
        self.waiting.is_empty() && self.synthesis.is_none() && played && all_sent
    }

    /// Something of it may have been heard.
    pub fn is_audible(&self) -> bool {
        self.playout().is_some_and(|playout| playout.sent() > 0)
    }

    /// Samples that the client got.
    pub fn sent(&self) -> u64 {
        self.playout().map_or(0, Playout::sent)
    }

    /// Something of it may have been heard, or read.
    pub fn is_noticed(&self) -> bool {
        matches!(self.delivery, Delivery::Text { told } if told > 0) || self.is_audible()
    }

    fn playout(&self) -> Option<&Playout> {
        match &self.delivery {
            Delivery::Voice(voice) => Some(&voice.playout),
            Delivery::Clip(ClipStage::Playing(playout)) => Some(playout),
            Delivery::Clip(_) | Delivery::Text { .. } => None,
        }
    }

    fn playout_mut(&mut self) -> Option<&mut Playout> {
        match &mut self.delivery {
            Delivery::Voice(voice) => Some(&mut voice.playout),
            Delivery::Clip(ClipStage::Playing(playout)) => Some(playout),
            Delivery::Clip(_) | Delivery::Text { .. } => None,
        }
    }

    pub fn collect_segments(&mut self) {
        while let Some(segment) = self.segmenter.next_segment() {
            if !matches!(self.delivery, Delivery::Text { .. }) {
                self.waiting.push_back(segment);
            }
        }
    }

    /// Adds a fixed text behind what there is, and ends the text.
    fn finish_with(&mut self, text: &str) {
        if !self.segmenter.text().is_empty() {
            self.segmenter.push("\n");
        }
        self.segmenter.push(text);
        self.finish_text();
    }

    /// No more text comes.
    pub fn finish_text(&mut self) {
        self.writing = Writing::Done;
        self.segmenter.finish();
        self.collect_segments();
    }

    /// All of its speech has been made.
    pub(super) fn is_spoken(&self) -> bool {
        self.writing == Writing::Done && self.waiting.is_empty() && self.synthesis.is_none()
    }

    /// Everything was sent, and the user has heard it as far as anybody can tell.
    fn is_heard(&self, config: &TurnConfig, now: Time) -> bool {
        self.heard_at(config).is_some_and(|at| at <= now)
    }

    /// All of it has been sent.
    fn is_sent(&self) -> bool {
        let sent = match &self.delivery {
            Delivery::Text { told } => *told == self.segmenter.text().len(),
            Delivery::Voice(_) | Delivery::Clip(_) => {
                self.playout().is_some_and(|playout| playout.sent() >= self.ledger.samples())
            }
        };
        self.is_spoken() && sent
    }

    fn heard_at(&self, config: &TurnConfig) -> Option<Time> {
        if !self.is_sent() {
            return None;
        }
        // What is read has been read.
        let Some(playout) = self.playout() else { return Some(Time(0)) };
        if playout.sent() == 0 || playout.reported() == Some(playout.sent()) {
            return Some(Time(0));
        }
        // A client that reports is a little behind real time.
        let grace = playout.reported().map_or(0, |_| u64::from(config.played_grace_ms));
        playout.ends_at().map(|end| end.plus_ms(grace))
    }

    fn llm_deadline(&self, config: &TurnConfig) -> Option<Time> {
        match self.writing {
            Writing::Asked(at) => {
                Some(at.plus_ms(u64::from(config.llm_first_token_timeout_ms) + ENGINE_GRACE_MS))
            }
            Writing::Since(at) => Some(at.plus_ms(u64::from(config.llm_token_timeout_ms) + ENGINE_GRACE_MS)),
            // Whoever delays it sees to it that this ends.
            Writing::Delayed(_) | Writing::Tools | Writing::Done => None,
        }
    }

    fn tts_deadline(&self, config: &TurnConfig) -> Option<Time> {
        self.synthesis.map(|synthesis| synthesis.since.plus_ms(config.tts_timeout_ms.into()))
    }

    fn render_deadline(&self, config: &TurnConfig) -> Option<Time> {
        match self.delivery {
            Delivery::Clip(ClipStage::Rendering(since)) => {
                Some(since.plus_ms(u64::from(config.render_timeout_ms)))
            }
            Delivery::Clip(_) | Delivery::Voice(_) | Delivery::Text { .. } => None,
        }
    }

    /// When something is due for this reply.
    pub fn deadline(&self, config: &TurnConfig) -> Option<Time> {
        let chunk = match &self.delivery {
            Delivery::Voice(voice) => {
                voice.next_piece(&self.ledger, chunk_samples(config)).and_then(|piece| {
                    voice.playout.may_send_at(piece.range.end - piece.range.start, config.lead_ms.into())
                })
            }
            Delivery::Clip(_) | Delivery::Text { .. } => None,
        };
        let late = [self.llm_deadline(config), self.tts_deadline(config), self.render_deadline(config)];
        let tools = [self.tools.deadline(config), self.filler_at(config)];
        late.into_iter().chain(tools).chain([chunk, self.heard_at(config)]).flatten().min()
    }
}

impl Turn {
    /// Lets the LLM answer: the user's words in this turn, or what is there.
    pub(super) fn start_reply(&mut self, turn: TurnId, request: Option<RequestId>, text_only: bool) {
        self.open_reply(turn, request, Writing::Asked(self.now));
        if let Some(reply) = self.reply.as_mut().filter(|_| text_only) {
            reply.delivery = Delivery::Text { told: 0 };
        }
        self.ask_llm();
        self.set_state(State::Thinking, Some(turn));
    }

    /// A reply whose text is known: a greeting.
    pub(super) fn start_fixed_reply(&mut self, turn: TurnId, text: &str) {
        self.open_reply(turn, None, Writing::Done);
        if let Some(reply) = self.reply.as_mut().filter(|_| self.config.text_only) {
            reply.delivery = Delivery::Text { told: 0 };
        }
        if let Some(reply) = &mut self.reply {
            reply.finish_with(text);
        }
    }

    /// The turn has failed before there was a reply: say so.
    pub(super) fn start_apology(&mut self, turn: TurnId, text: &str) {
        self.start_fixed_reply(turn, text);
        if let Some(reply) = &mut self.reply {
            reply.failed = true;
        }
    }

    fn open_reply(&mut self, turn: TurnId, request: Option<RequestId>, writing: Writing) {
        self.last_reply.0 += 1;
        self.by_client.forget_silence();
        let user = self.user.take_if(|user| user.id == turn);
        let decided = user.as_ref().and_then(|user| user.decided).unwrap_or(self.now);
        let mut reply = Reply::new(self.last_reply, turn, writing, decided, &self.config);
        reply.metrics = user.as_ref().map(|user| user.metrics).unwrap_or_default();
        (reply.user, reply.request) = (user, request);
        let id = reply.id;
        self.reply = Some(reply);
        self.tell(Event::ReplyStarted { turn, reply: id, request });
    }

    /// The one place where stale work is dropped: the reply at work, if `id` is its.
    pub(super) fn live(&mut self, id: ReplyId) -> Option<&mut Reply> {
        self.reply.as_mut().filter(|reply| reply.id == id)
    }

    pub(super) fn on_delayed(&mut self, id: ReplyId) {
        if let Some(reply) = self.live(id)
            && let Writing::Asked(since) = reply.writing
        {
            reply.writing = Writing::Delayed(since);
        }
    }

    pub(super) fn on_asked(&mut self, id: ReplyId) {
        let now = self.now;
        if let Some(reply) = self.live(id)
            && let Writing::Delayed(_) = reply.writing
        {
            reply.writing = Writing::Asked(now);
        }
    }

    pub(super) fn on_token(&mut self, id: ReplyId, text: &str) {
        let (now, max_chars) = (self.now, self.config.max_reply_chars);
        let Some(reply) = self.live(id).filter(|reply| reply.is_writing()) else { return };
        if reply.tools.take_goes_on() && !matches!(reply.segmenter.text().as_bytes(), [] | [.., b'\n']) {
            // What was written before the tool stands for itself.
            reply.segmenter.push("\n");
        }
        reply.note_token(now);
        reply.segmenter.push(text);
        reply.collect_segments();
        // Bytes are counted: a bound needs no exactness, and characters are never more.
        if reply.segmenter.text().len() > max_chars {
            reply.finish_text();
            self.outputs.push_back(Output::StopGenerating { reply: id });
        }
    }

    pub(super) fn on_generated(&mut self, id: ReplyId, result: Result<(), Fault>) {
        let Some(reply) = self.live(id).filter(|reply| reply.is_writing()) else { return };
        match result {
            Ok(()) if reply.tools.has_calls() => self.await_tools(),
            Ok(()) => reply.finish_text(),
            Err(fault) => self.fail_writing(fault),
        }
    }

    pub(super) fn on_speech(&mut self, id: ReplyId, segment: SegmentId, samples: u64, words: &[WordTime]) {
        let now = self.now;
        let Some(reply) = self.live(id) else { return };
        let Some(synthesis) = reply.synthesis.as_mut().filter(|s| s.segment == segment) else { return };
        if reply.metrics.tts_first_audio.is_none() && samples > 0 {
            reply.metrics.tts_first_audio = Some(now.ms_since(synthesis.since));
        }
        synthesis.since = now;
        reply.ledger.speech(samples, words);
    }

    pub(super) fn on_spoken(&mut self, id: ReplyId, segment: SegmentId, result: Result<(), Fault>) {
        let Some(reply) = self.live(id) else { return };
        if reply.synthesis.is_none_or(|s| s.segment != segment) {
            return;
        }
        match result {
            Ok(()) => {
                reply.synthesis = None;
                reply.ledger.close();
            }
            Err(fault) => self.fail_speaking(fault),
        }
    }

    /// The LLM failed: what was written is spoken, and an apology behind it.
    fn fail_writing(&mut self, fault: Fault) {
        let apology = self.config.apology.clone();
        let Some(reply) = &mut self.reply else { return };
        reply.failed = true;
        reply.finish_with(&apology);
        let turn = Some(reply.turn);
        self.tell(Event::Error { turn, fault });
    }

    /// The TTS failed: what was made is played, and nothing more.
    fn fail_speaking(&mut self, fault: Fault) {
        let Some(reply) = &mut self.reply else { return };
        reply.failed = true;
        reply.waiting.clear();
        reply.synthesis = None;
        reply.ledger.tear();
        let (id, turn) = (reply.id, reply.turn);
        if reply.writing != Writing::Done {
            reply.writing = Writing::Done;
            self.outputs.push_back(Output::StopGenerating { reply: id });
        }
        if let Some(Reply { delivery: delivery @ Delivery::Clip(_), .. }) = &mut self.reply {
            *delivery = Delivery::Voice(Voice::new());
        }
        self.tell(Event::Error { turn: Some(turn), fault });
    }

    /// Moves the reply on as far as it can go now.
    pub(super) fn advance_reply(&mut self) {
        self.check_reply_timeouts();
        self.check_tool_timeouts();
        self.say_filler();
        self.start_synthesis();
        if self.config_of_reply_is_clip() {
            self.start_rendering();
        }
        self.send_due_chunks();
        self.send_text();
        // Sending made room for more speech.
        self.start_synthesis();
        if let Some(reply) = self.reply.as_mut().filter(|reply| !reply.delivered && reply.is_sent()) {
            reply.delivered = true;
            let turn = reply.turn;
            self.tell(Event::Delivered { turn });
        }
        // Who has asked for the next one need not hear this to its end.
        let asked = self.by_client.is_asked();
        let (config, now) = (&self.config, self.now);
        let over = |reply: &mut Reply| reply.is_heard(config, now) || (asked && reply.is_sent());
        if let Some(reply) = self.reply.take_if(over) {
            self.complete_reply(reply);
        }
    }

    /// The reply has been heard.
    pub(super) fn complete_reply(&mut self, reply: Reply) {
        // A client may report the end while the reply is held: the sound is then no barge-in any
        // more, but what the user says next.
        let barge_in = self.barge_in.take();
        let outcome = if reply.failed { Outcome::Failed } else { Outcome::Completed };
        self.outputs.push_back(Output::ForgetReply { reply: reply.id });
        // Who speaks on has not said goodbye.
        let goodbye = outcome == Outcome::Completed && barge_in.is_none() && reply.tools.end_session();
        self.end_reply(reply, outcome);
        self.by_client.note_silence(self.now, self.detector.position());
        self.answer_barge_in(barge_in);
        if goodbye {
            self.outputs.push_back(Output::EndSession);
        }
    }

    fn config_of_reply_is_clip(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| matches!(reply.delivery, Delivery::Clip(_)))
    }

    fn check_reply_timeouts(&mut self) {
        let Some(reply) = &self.reply else { return };
        let (id, now) = (reply.id, self.now);
        if reply.llm_deadline(&self.config).is_some_and(|at| at <= now) {
            self.outputs.push_back(Output::StopGenerating { reply: id });
            self.fail_writing(timeout("llm_timeout", "the language model gave no token in time"));
        }
        let late = |reply: &Reply| reply.tts_deadline(&self.config).is_some_and(|at| at <= now);
        if self.reply.as_ref().is_some_and(late) {
            self.fail_speaking(timeout(
                "tts_timeout",
                "speech synthesis gave no audio within tts.timeout_ms",
            ));
        }
        let late = |reply: &Reply| reply.render_deadline(&self.config).is_some_and(|at| at <= now);
        if self.reply.as_ref().is_some_and(late) {
            let fault = timeout("render_timeout", "there was no clip within video.timeout_ms");
            self.on_rendered(id, Err(fault));
        }
    }

    /// One segment at a time, and not further ahead than configured.
    fn start_synthesis(&mut self) {
        let ahead = u64::from(self.config.tts_ahead_ms) * SAMPLES_PER_MS;
        let now = self.now;
        let Some(reply) = &mut self.reply else { return };
        while reply.synthesis.is_none() {
            if let Delivery::Voice(voice) = &reply.delivery
                && reply.ledger.samples() - voice.playout.sent() > ahead
            {
                return;
            }
            let Some(segment) = reply.waiting.pop_front() else { return };
            reply.ledger.open(&segment);
            if segment.spoken.is_empty() {
                reply.ledger.close();
                continue;
            }
            reply.synthesis = Some(Synthesis { segment: segment.id, since: now });
            let (id, text) = (reply.id, segment.spoken);
            self.outputs.push_back(Output::Synthesize { reply: id, segment: segment.id, text });
            return;
        }
    }

    pub(super) fn hold_reply(&mut self) {
        let now = self.now;
        let Some(reply) = &mut self.reply else { return };
        if let Some(playout) = reply.playout_mut() {
            playout.hold(now);
        }
        let turn = reply.turn;
        self.tell(Event::Pause { turn });
    }

    /// The sound was not words: the reply goes on from the exact sample where it was held.
    pub(super) fn resume_reply(&mut self) {
        self.forget_barge_in();
        let (now, from_chunk) = (self.now, self.next_chunk);
        let Some(reply) = &mut self.reply else { return };
        if let Some(playout) = reply.playout_mut() {
            playout.release(now);
        }
        let turn = reply.turn;
        self.tell(Event::Resume { turn, from_chunk });
    }

    /// The reply is cancelled, finally. Nothing of it can be sent any more: it is no longer there.
    pub(super) fn interrupt_reply(&mut self, reason: InterruptReason) {
        self.barge_in = None;
        let Some(reply) = self.reply.take() else { return };
        self.outputs.push_back(Output::CancelReply { reply: reply.id });
        let heard = self.heard_of(&reply);
        let heard_text = reply.segmenter.text()[..heard.bytes].trim().to_owned();
        self.tell(Event::Interrupt { turn: reply.turn, heard_text, reason });
        self.end_reply(reply, Outcome::Interrupted);
    }

    fn heard_of(&self, reply: &Reply) -> super::ledger::HeardThrough {
        if let Delivery::Text { told } = reply.delivery {
            return super::ledger::HeardThrough { bytes: told, estimated: false };
        }
        let through = reply.playout().map_or(0, |playout| playout.heard(self.now));
        reply.ledger.heard(reply.segmenter.text(), through)
    }

    /// The reply's turn ends, and with it the user's contribution that it answered.
    pub(super) fn end_reply(&mut self, reply: Reply, outcome: Outcome) {
        let text = reply.segmenter.text();
        let mut heard = self.heard_of(&reply);
        let mut heard_samples = reply.playout().map_or(0, |playout| playout.heard(self.now));
        if matches!(outcome, Outcome::Completed) {
            heard = super::ledger::HeardThrough { bytes: text.len(), estimated: false };
            heard_samples = reply.sent();
        }
        let user = reply.user.as_ref();
        let said = user.as_ref().map(|user| user.text()).filter(|text| !text.is_empty());
        let whole = text.trim();
        let assistant = text[..heard.bytes].trim();
        self.end_turn(Commit {
            turn: reply.turn,
            // Superseded words live on in the next turn.
            user: said.filter(|_| outcome != Outcome::Superseded),
            typed: user.is_some_and(|user| user.typed()),
            spoken: user
                .filter(|_| outcome != Outcome::Superseded)
                .map(|user| user.spoken())
                .unwrap_or_default(),
            tools: reply.tools.uses(),
            assistant: assistant.to_owned(),
            whole_reply: (assistant.len() < whole.len() && outcome != Outcome::Superseded)
                .then(|| whole.to_owned()),
            estimated: heard.estimated,
            heard_samples,
            outcome,
            metrics: Metrics { total: Some(self.now.ms_since(reply.decided)), ..reply.metrics },
        });
        let sent = reply.sent();
        if sent > 0 && self.config.amendable_replies > 0 {
            let text = reply.segmenter.text().to_owned();
            let past = PastReply { turn: reply.turn, text, ledger: reply.ledger, sent };
            self.by_client.remember(past, self.config.amendable_replies);
        }
    }
}

fn timeout(code: &str, message: &str) -> Fault {
    Fault { code: code.to_owned(), message: message.to_owned() }
}
