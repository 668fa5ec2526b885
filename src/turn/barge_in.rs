//! A sound during a reply: is it an interruption?
//!
//! The reply is held. With enough speech (and words, where they are wanted) it is interrupted, and
//! the sound becomes the user's next contribution; else it goes on where it was held.

use super::Turn;
use super::contribution::{Utterance, Words};
use super::io::{Heard, InputRange, InterruptReason};
use super::listening::{Purpose, SAMPLES_PER_MS};

/// Where words are wanted, what was said so far is recognised again after so much more.
const RECOGNITION_MS: u64 = 500;

/// The user makes a sound during a reply.
#[derive(Debug, Clone)]
pub(super) struct BargeIn {
    /// Sounds that have ended; more than one if the next began before the words were judged.
    ended: Vec<InputRange>,
    /// Where the voice of the last of them ended.
    voice_end: u64,
    /// One of them had `min_interrupt_ms` of speech: now only the words are wanted.
    long_enough: bool,
    /// Whether a sound is going on.
    sounding: bool,
    /// What recognition makes of it all, so far.
    words: Heard,
    /// Microphone position of the last recognition.
    recognised_at: u64,
}

impl BargeIn {
    /// The earliest sample that recognition may still want; `None` while the first sound goes on.
    pub fn needed_from(&self) -> Option<u64> {
        self.ended.first().map(|range| range.start)
    }
}

impl Turn {
    pub(super) fn begin_barge_in(&mut self, sample: u64) {
        self.hold_reply();
        self.barge_in = Some(BargeIn {
            ended: Vec::new(),
            voice_end: sample,
            long_enough: false,
            sounding: true,
            words: Heard::default(),
            recognised_at: sample,
        });
    }

    /// The next sound, before the one before was judged.
    pub(super) fn go_on_with_barge_in(&mut self) {
        if let Some(barge_in) = &mut self.barge_in {
            barge_in.sounding = true;
        }
    }

    pub(super) fn end_sound_of_barge_in(&mut self, utterance: InputRange, voice_end: u64) {
        let Some(barge_in) = &mut self.barge_in else { return };
        barge_in.sounding = false;
        barge_in.ended.push(utterance);
        barge_in.voice_end = voice_end;
        if barge_in.long_enough {
            self.recognise_barge_in();
        } else {
            self.resume_reply();
        }
    }

    /// Has the sound during the reply become an interruption?
    pub(super) fn judge_barge_in(&mut self) {
        let long_enough = u64::from(self.config.min_interrupt_ms) * SAMPLES_PER_MS;
        let position = self.detector.position();
        let wanted = self.config.min_interrupt_words as usize;
        let Some(barge_in) = &mut self.barge_in else { return };
        if !barge_in.sounding || self.detector.voiced_samples() < long_enough {
            return;
        }
        barge_in.long_enough = true;
        if count_words(&barge_in.words.text) >= wanted {
            self.confirm_barge_in();
        } else if position >= barge_in.recognised_at + RECOGNITION_MS * SAMPLES_PER_MS
            && !self.has_job_for(Purpose::BargeIn)
        {
            self.recognise_barge_in();
        }
    }

    fn recognise_barge_in(&mut self) {
        self.cancel_jobs_for(Purpose::BargeIn);
        let position = self.detector.position();
        let speech_from = self.speech_from;
        let Some(barge_in) = &mut self.barge_in else { return };
        barge_in.recognised_at = position;
        let first = barge_in.ended.first().map_or(speech_from, |range| range.start);
        let end =
            if barge_in.sounding { position } else { barge_in.ended.last().map_or(position, |r| r.end) };
        self.start_job(Purpose::BargeIn, first..end);
    }

    pub(super) fn on_barge_in_words(&mut self, heard: Heard) {
        let Some(barge_in) = &mut self.barge_in else { return };
        let enough = count_words(&heard.text) >= self.config.min_interrupt_words as usize;
        let sounding = barge_in.sounding;
        barge_in.words = heard;
        match (sounding, enough) {
            (true, _) => self.judge_barge_in(),
            (false, true) => self.confirm_recognised_barge_in(),
            (false, false) => self.resume_reply(),
        }
    }

    pub(super) fn confirm_barge_in(&mut self) {
        let barge_in = self.barge_in.take();
        self.interrupt_reply(InterruptReason::Speech);
        self.answer_barge_in(barge_in);
    }

    /// The sound has ended, and recognition has found the words in all of it: they are the user's.
    fn confirm_recognised_barge_in(&mut self) {
        let Some(barge_in) = self.barge_in.take() else { return };
        self.interrupt_reply(InterruptReason::Speech);
        self.cancel_jobs_for(Purpose::BargeIn);
        self.open_user_turn();
        let (first, last) = (barge_in.ended.first(), barge_in.ended.last());
        if let (Some(user), Some(first), Some(last)) = (&mut self.user, first, last) {
            let words = Words::Known(barge_in.words);
            user.utterances.push(Utterance { range: first.start..last.end, words });
        }
        self.decide(barge_in.voice_end);
    }

    /// What was said during the reply becomes the user's next contribution.
    pub(super) fn answer_barge_in(&mut self, barge_in: Option<BargeIn>) {
        self.cancel_jobs_for(Purpose::BargeIn);
        let Some(barge_in) = barge_in else { return };
        self.open_user_turn();
        for range in barge_in.ended {
            self.recognise_utterance(range);
        }
        if !barge_in.sounding {
            self.decide(barge_in.voice_end);
        }
    }

    /// What was being recognised to judge a sound during the reply is no longer wanted.
    pub(super) fn forget_barge_in(&mut self) {
        self.barge_in = None;
        self.cancel_jobs_for(Purpose::BargeIn);
    }
}

fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}
