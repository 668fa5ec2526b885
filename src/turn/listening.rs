//! The user's side: speech edges → utterances → one contribution of the user.
//!
//! An utterance is recognised as soon as it ends, or already on a short silence inside the hangover;
//! that result counts only if nothing was said since. A contribution (`UserTurn`) may hold several
//! utterances: parts of a long one, or what was said before and after a reply was dropped unheard.

use crate::engines::VAD_FRAME_SAMPLES;

use super::config::TurnDetection;
use super::contribution::{UserTurn, Utterance, Words, unanswered};
use super::detector::Edge;
use super::io::{
    AsrJob, Event, Fault, Heard, InputRange, InterruptReason, Metrics, Outcome, Output, State, Time, TurnId,
};
use super::{Turn, replying::Reply};

/// Input samples per millisecond (16 kHz).
pub(super) const SAMPLES_PER_MS: u64 = crate::engines::INPUT_RATE_HZ as u64 / 1_000;

/// An interim recognition is worth its while when so great a part of the speech is new: a quarter.
const INTERIM_PART: u64 = 4;

/// Recognition at work.
#[derive(Debug, Clone)]
pub(super) struct Job {
    id: AsrJob,
    purpose: Purpose,
    started: Time,
    /// A speculative result that waits for the silence to last.
    done: Option<Heard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The words of an utterance of the contribution.
    Utterance,
    /// What was said before the present silence; becomes the utterance's if the silence lasts.
    Speculative,
    /// Only to be shown.
    Interim,
    /// To find out whether a sound during a reply was words.
    BargeIn,
}

impl Turn {
    pub(super) fn on_frame(&mut self, probability: f32) {
        match self.config.detection {
            TurnDetection::Vad | TurnDetection::Smart => {
                for edge in self.detector.push(probability) {
                    self.on_edge(edge);
                }
                self.judge_barge_in();
                self.recognise_early();
                self.judge_pause();
            }
            TurnDetection::Manual => {
                // Only the position counts; the speech edges are the client's business.
                let _ = self.detector.push(0.0);
                let longest = u64::from(self.config.max_utterance_s) * 1_000 * SAMPLES_PER_MS;
                self.manual_from = self.manual_from.max(self.detector.position().saturating_sub(longest));
            }
        }
    }

    pub(super) fn on_edge(&mut self, edge: Edge) {
        match edge {
            Edge::Start { sample } => self.on_speech_start(sample),
            Edge::Pause { .. } => {}
            Edge::Continue { .. } => {
                self.cancel_jobs_for(Purpose::Speculative);
                self.forget_judgement();
            }
            Edge::Split { utterance } => self.on_split(utterance),
            Edge::End { utterance, voice_end } => self.on_speech_end(utterance, voice_end),
        }
    }

    fn on_speech_start(&mut self, sample: u64) {
        self.speech_from = sample;
        self.tell(Event::SpeechStarted { sample });
        if self.barge_in.is_some() {
            self.go_on_with_barge_in();
        } else if self.reply.is_some() && !self.config.interrupts {
            self.set_user_aside();
            self.open_user_turn();
        } else if self.config.resume_false_interruption && self.reply.as_ref().is_some_and(Reply::is_audible)
        {
            self.begin_barge_in(sample);
        } else {
            self.stop_reply(InterruptReason::Speech);
            self.open_user_turn();
        }
    }

    /// The user has the floor: the reply stops, or is dropped if nothing of it was heard.
    fn stop_reply(&mut self, reason: InterruptReason) {
        let noticed = self.reply.as_ref().is_some_and(Reply::is_noticed);
        let joins = self.config.joins && (self.reply.is_none() || self.user.is_none());
        if !noticed && joins {
            self.supersede_unheard();
        } else {
            self.interrupt_reply(reason);
            self.set_user_aside();
        }
    }

    fn on_split(&mut self, utterance: InputRange) {
        self.speech_from = utterance.end;
        self.cancel_jobs_for(Purpose::Interim);
        // It would be taken for the words of the part that follows.
        self.cancel_jobs_for(Purpose::Speculative);
        if self.barge_in.is_some() {
            // So long a sound is no cough, whatever recognition makes of it.
            self.confirm_barge_in();
        }
        if self.user.is_some() {
            self.recognise_utterance(utterance);
        }
    }

    fn on_speech_end(&mut self, utterance: InputRange, voice_end: u64) {
        self.tell(Event::SpeechStopped { sample: voice_end });
        self.forget_judgement();
        if self.barge_in.is_some() {
            self.end_sound_of_barge_in(utterance, voice_end);
            return;
        }
        if self.user.as_ref().is_none_or(|user| user.decided.is_some()) {
            return;
        }
        self.cancel_jobs_for(Purpose::Interim);
        self.take_over_speculation(utterance);
        self.decide(voice_end);
    }

    /// The utterance has ended where it was expected to: what was recognised ahead is its words.
    fn take_over_speculation(&mut self, utterance: InputRange) {
        let ahead = self.jobs.iter().position(|job| job.purpose == Purpose::Speculative);
        let words = match ahead.map(|index| (index, self.jobs[index].done.take())) {
            Some((index, Some(heard))) => {
                self.jobs.remove(index);
                Words::Known(heard)
            }
            Some((index, None)) => {
                self.jobs[index].purpose = Purpose::Utterance;
                Words::Waiting(self.jobs[index].id)
            }
            None => Words::Waiting(self.start_job(Purpose::Utterance, utterance.clone())),
        };
        if let Some(user) = &mut self.user {
            user.utterances.push(Utterance { range: utterance, words });
        }
    }

    pub(super) fn recognise_utterance(&mut self, range: InputRange) {
        let job = self.start_job(Purpose::Utterance, range.clone());
        if let Some(user) = &mut self.user {
            user.utterances.push(Utterance { range, words: Words::Waiting(job) });
        }
    }

    /// The contribution is complete.
    pub(super) fn decide(&mut self, voice_end: u64) {
        let silence = self.detector.position().saturating_sub(voice_end);
        let Some(user) = &mut self.user else { return };
        user.decided = Some(self.now);
        user.metrics.endpoint = Some(silence as f64 / SAMPLES_PER_MS as f64);
        let id = user.id;
        self.tell(Event::Contributed { turn: id });
        self.set_state(State::Transcribing, Some(id));
        if !self.config.auto_reply {
            self.set_user_aside();
        }
        self.answer();
    }

    /// Answers the user, if the words are complete and nothing is before them.
    pub(super) fn answer(&mut self) {
        self.settle_waiting();
        let now = self.now;
        if let Some(event) = self.user.as_mut().and_then(|user| user.words_known(now)) {
            self.tell(event);
        }
        if self.reply.is_some() || self.closed {
            return;
        }
        let Some(user) = self.user.as_ref().filter(|user| user.transcribed.is_some()) else {
            self.start_asked_reply();
            return;
        };
        if self.by_client.has_waiting() {
            return;
        }
        let (turn, wordless) = (user.id, user.text().is_empty());
        if user.failed {
            self.apologise(turn);
        } else if wordless {
            self.drop_user_turn(Outcome::Empty);
        } else {
            self.start_reply(turn, None, self.config.text_only);
        }
    }

    fn apologise(&mut self, turn: TurnId) {
        if self.config.apology.trim().is_empty() {
            self.drop_user_turn(Outcome::Failed);
        } else {
            let apology = self.config.apology.clone();
            self.start_apology(turn, &apology);
        }
    }

    /// Work that pays off if the user's silence lasts, or that shows what was said so far.
    fn recognise_early(&mut self) {
        let collecting = self.user.as_ref().is_some_and(|user| user.decided.is_none());
        if !collecting || !self.detector.speaking() {
            return;
        }
        let range = self.speech_from..self.detector.position();
        let silence = self.detector.silence_samples();
        let speculate_after = u64::from(self.config.speculate_after_ms) * SAMPLES_PER_MS;
        if silence > 0 {
            // Once in a silence, even if it fails: the silence is only so many frames long.
            let newly = silence >= speculate_after && silence < speculate_after + VAD_FRAME_SAMPLES as u64;
            let wanted = speculate_after > 0 && newly && !range.is_empty();
            if wanted && !self.has_job_for(Purpose::Speculative) {
                self.cancel_jobs_for(Purpose::Interim);
                self.start_job(Purpose::Speculative, range);
            }
            return;
        }
        let interim = u64::from(self.config.interim_ms) * SAMPLES_PER_MS;
        let Some(user) = &mut self.user else { return };
        let since = range.end - user.interim_at.max(range.start);
        // The longer the speech, the longer its recognition takes and the less of it is new.
        let length = range.end - range.start;
        if interim > 0 && since >= interim.max(length / INTERIM_PART) {
            user.interim_at = range.end;
            if !self.has_job_for(Purpose::Interim) {
                self.start_job(Purpose::Interim, range);
            }
        }
    }

    pub(super) fn open_user_turn(&mut self) {
        self.by_client.forget_silence();
        // What was complete before a reply that the client asked for is not what is said now.
        self.set_user_aside();
        if self.user.is_none() {
            let id = self.new_turn();
            self.user = Some(UserTurn::new(id));
        }
        let id = self.user.as_ref().map(|user| user.id);
        self.set_state(State::UserSpeaking, id);
    }

    /// The user goes on before anything of the reply was heard: drop it, and join the words.
    fn supersede_unheard(&mut self) {
        if let Some(mut reply) = self.reply.take() {
            self.outputs.push_back(Output::CancelReply { reply: reply.id });
            let mut joined = reply.user.take();
            self.end_reply(reply, Outcome::Superseded);
            if let Some(user) = &mut joined {
                user.id = self.new_turn();
            }
            self.user = joined;
        } else if let Some(mut user) = self.user.take_if(|user| user.decided.is_some()) {
            self.end_turn(unanswered(&user, Outcome::Superseded, self.now));
            user.id = self.new_turn();
            self.user = Some(user);
        }
        if let Some(user) = &mut self.user {
            (user.decided, user.transcribed, user.metrics) = (None, None, Metrics::default());
            user.utterances.retain(|utterance| !utterance.is_wordless());
        }
    }

    pub(super) fn on_text(&mut self, text: String) {
        if self.reply.is_some() {
            let barge_in = self.barge_in.take();
            self.interrupt_reply(InterruptReason::Client);
            self.answer_barge_in(barge_in);
        }
        let now = self.now;
        let id = match &self.user {
            Some(user) => user.id,
            None => self.new_turn(),
        };
        let fresh = self.user.is_none();
        let user = self.user.get_or_insert_with(|| UserTurn::new(id));
        user.utterances.push(Utterance { range: 0..0, words: Words::Typed(text) });
        if fresh {
            user.decided = Some(now);
        }
        self.by_client.forget_silence();
        self.answer();
    }

    pub(super) fn on_commit(&mut self) {
        if self.config.detection != TurnDetection::Manual {
            match self.detector.end_now() {
                Some(edge) => self.on_edge(edge),
                None => self.refuse("nothing_to_commit", "nobody is saying anything"),
            }
            return;
        }
        let range = self.manual_from..self.detector.position();
        if range.is_empty() {
            self.refuse("nothing_to_commit", "there is no audio since the last commit");
            return;
        }
        if self.config.auto_reply {
            self.stop_reply(InterruptReason::Client);
        } else {
            self.set_user_aside();
        }
        self.manual_from = range.end;
        self.open_user_turn();
        self.recognise_utterance(range.clone());
        self.decide(range.end);
    }

    pub(super) fn on_clear(&mut self) {
        if self.config.detection == TurnDetection::Manual {
            self.manual_from = self.detector.position();
            return;
        }
        self.forget_judgement();
        self.detector.reset();
        if self.barge_in.is_some() {
            self.resume_reply();
        }
        if self.user.as_ref().is_some_and(|user| user.decided.is_none()) {
            self.drop_user_turn(Outcome::Empty);
        }
    }

    pub(super) fn on_transcribed(&mut self, id: AsrJob, result: Result<Heard, Fault>) {
        let Some(index) = self.jobs.iter().position(|job| job.id == id && job.done.is_none()) else {
            return; // stale: no longer wanted
        };
        match self.jobs[index].purpose {
            Purpose::Speculative => match result {
                Ok(heard) => self.jobs[index].done = Some(heard),
                // If the silence lasts, the whole utterance is tried.
                Err(_) => drop(self.jobs.remove(index)),
            },
            Purpose::Interim => {
                self.jobs.remove(index);
                self.tell_partial(result.unwrap_or_default());
            }
            Purpose::BargeIn => {
                self.jobs.remove(index);
                match result {
                    Ok(heard) => self.on_barge_in_words(heard),
                    Err(fault) => {
                        self.tell(Event::Error { turn: None, fault });
                        self.on_barge_in_words(Heard::default());
                    }
                }
            }
            Purpose::Utterance => {
                self.jobs.remove(index);
                self.on_utterance_words(id, result);
            }
        }
    }

    fn on_utterance_words(&mut self, id: AsrJob, result: Result<Heard, Fault>) {
        for user in self.user.iter_mut().chain(self.by_client.contributions()) {
            user.hear(id, &result);
        }
        self.answer();
    }

    fn tell_partial(&mut self, heard: Heard) {
        let Some(user) = &mut self.user else { return };
        let text = [user.text(), heard.text].join(" ").trim().to_owned();
        if text != user.partial && !text.is_empty() {
            user.partial.clone_from(&text);
            let turn = user.id;
            self.tell(Event::PartialTranscript { turn, text });
        }
    }

    pub(super) fn start_job(&mut self, purpose: Purpose, range: InputRange) -> AsrJob {
        self.last_job.0 += 1;
        let id = self.last_job;
        self.jobs.push(Job { id, purpose, started: self.now, done: None });
        self.outputs.push_back(Output::Transcribe { job: id, range });
        id
    }

    pub(super) fn has_job_for(&self, purpose: Purpose) -> bool {
        self.jobs.iter().any(|job| job.purpose == purpose)
    }

    /// The user's contribution is complete, although the detector has not said so. Without an
    /// utterance that has ended, or a typed one, there is nothing to answer.
    pub(super) fn cut_user_turn(&mut self) {
        let Some(user) = self.user.as_ref().filter(|user| user.decided.is_none()) else { return };
        if user.utterances.is_empty() {
            self.drop_user_turn(Outcome::Empty);
        } else {
            self.cancel_jobs_for(Purpose::Interim);
            self.cancel_jobs_for(Purpose::Speculative);
            self.decide(self.detector.position());
        }
    }

    pub(super) fn cancel_jobs_for(&mut self, purpose: Purpose) {
        for job in self.jobs.extract_if(.., |job| job.purpose == purpose) {
            if job.done.is_none() {
                self.outputs.push_back(Output::CancelTranscribe { job: job.id });
            }
        }
    }

    /// Recognition that `user` waits for is no longer wanted.
    pub(super) fn cancel_jobs_of(&mut self, user: &UserTurn) {
        for id in user.jobs() {
            if self.jobs.extract_if(.., |job| job.id == id).next().is_some() {
                self.outputs.push_back(Output::CancelTranscribe { job: id });
            }
        }
    }

    /// When the running recognition that began first is late.
    pub(super) fn recognition_deadline(&self) -> Option<Time> {
        let running = self.jobs.iter().filter(|job| job.done.is_none());
        running.map(|job| job.started.plus_ms(self.config.asr_timeout_ms.into())).min()
    }

    pub(super) fn check_recognition_timeouts(&mut self) {
        let (limit, now) = (u64::from(self.config.asr_timeout_ms), self.now);
        while let Some(late) = self
            .jobs
            .iter()
            .find(|job| job.done.is_none() && job.started.plus_ms(limit) <= now)
            .map(|job| job.id)
        {
            self.outputs.push_back(Output::CancelTranscribe { job: late });
            let message = format!("recognition took longer than asr.timeout_ms ({limit})");
            self.on_transcribed(late, Err(Fault { code: "asr_timeout".to_owned(), message }));
        }
    }

    /// The client stops a turn whose words are still being recognised.
    pub(super) fn interrupt_recognition(&mut self) {
        let Some(turn) = self.user.as_ref().map(|user| user.id) else { return };
        self.tell(Event::Interrupt { turn, heard_text: String::new(), reason: InterruptReason::Client });
        self.drop_user_turn(Outcome::Interrupted);
    }

    /// The user's contribution ends without a reply.
    pub(super) fn drop_user_turn(&mut self, outcome: Outcome) {
        for purpose in [Purpose::Speculative, Purpose::Interim, Purpose::BargeIn] {
            self.cancel_jobs_for(purpose);
        }
        if let Some(user) = self.user.take() {
            self.cancel_jobs_of(&user);
            self.end_turn(unanswered(&user, outcome, self.now));
        }
    }
}
