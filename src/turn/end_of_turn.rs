//! Has the user finished, or only paused? (Turn detection mode `smart`.)
//!
//! At a short pause the end-of-turn model is asked about the turn so far, from its first word on. It says
//! that the user has finished: the utterance is over at once. It says that more is coming: silence is
//! tolerated up to the longer limit. Until it has answered, and where it fails, the plain hangover ends
//! the utterance, so that a slow or broken model makes nobody wait. When the user goes on, the question
//! is forgotten; each further pause is judged anew.
//!
//! Deliberately absent: the model, and any clock (silence is counted in samples).

use crate::engines::VAD_FRAME_SAMPLES;

use super::Turn;
use super::config::TurnDetection;
use super::io::{Event, Fault, InputRange, JudgementId, Output};
use super::listening::SAMPLES_PER_MS;

/// The user has finished if the model's probability is above this.
const FINISHED_ABOVE: f32 = 0.5;
/// No model hears more than so much of a turn's end.
const HEARS_SAMPLES: u64 = 8_000 * SAMPLES_PER_MS;

/// What is known of the pause that the user makes.
#[derive(Debug, Clone, Default)]
pub(super) struct EndOfTurn {
    opinion: Opinion,
    last: JudgementId,
    /// The client has been told that the model fails.
    fault_told: bool,
    /// The audio of a turn before this sample may be gone.
    kept_from: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Opinion {
    /// None: not asked yet, or the model failed.
    #[default]
    None,
    Asked(JudgementId),
    /// More is coming.
    GoesOn,
}

impl EndOfTurn {
    /// The mode has changed. Another one may have kept less than the whole turn: what there is begins here.
    pub fn begin(&mut self, kept_from: u64) {
        (self.fault_told, self.kept_from) = (false, kept_from);
    }
}

impl Turn {
    /// Asks the model once in a pause, when it has lasted long enough.
    pub(super) fn judge_pause(&mut self) {
        if self.config.detection != TurnDetection::Smart || !self.is_collecting() {
            return;
        }
        let silence = self.detector.silence_samples();
        let wanted = u64::from(self.config.smart_pause_ms) * SAMPLES_PER_MS;
        let newly = silence > 0 && silence >= wanted && silence < wanted + VAD_FRAME_SAMPLES as u64;
        if newly && self.end_of_turn.opinion == Opinion::None {
            self.end_of_turn.last.0 += 1;
            let id = self.end_of_turn.last;
            self.end_of_turn.opinion = Opinion::Asked(id);
            let range = self.turn_so_far();
            self.outputs.push_back(Output::JudgeTurn { judgement: id, range });
        }
    }

    pub(super) fn on_turn_judged(&mut self, id: JudgementId, result: Result<f32, Fault>) {
        if self.end_of_turn.opinion != Opinion::Asked(id) || !self.is_collecting() {
            return; // stale: the user went on, or has been answered
        }
        self.end_of_turn.opinion = Opinion::None;
        match result {
            Ok(probability) if probability > FINISHED_ABOVE => match self.detector.end_in_pause() {
                Some(edge) => self.on_edge(edge),
                // The part of a long utterance that begins here is still empty: the next frame ends it.
                None => self.detector.tolerate(0),
            },
            Ok(_) => {
                self.end_of_turn.opinion = Opinion::GoesOn;
                self.detector.tolerate(self.tolerated_silence_ms());
            }
            Err(fault) => {
                if !std::mem::replace(&mut self.end_of_turn.fault_told, true) {
                    let turn = self.user.as_ref().map(|user| user.id);
                    self.tell(Event::Error { turn, fault });
                }
            }
        }
    }

    /// The pause is over: speech goes on, or the utterance has ended.
    pub(super) fn forget_judgement(&mut self) {
        if let Opinion::Asked(id) = std::mem::take(&mut self.end_of_turn.opinion) {
            self.outputs.push_back(Output::CancelJudgement { judgement: id });
        }
        self.detector.tolerate(self.tolerated_silence_ms());
    }

    /// Silence that ends the utterance, as far as is known of this pause.
    pub(super) fn tolerated_silence_ms(&self) -> u32 {
        let hangover_ms = self.config.hangover_ms;
        match self.end_of_turn.opinion {
            Opinion::GoesOn => self.config.smart_limit_ms.max(hangover_ms),
            Opinion::None | Opinion::Asked(_) => hangover_ms,
        }
    }

    /// The earliest sample that a later judgement may want.
    pub(super) fn judgement_needs_from(&self) -> Option<u64> {
        // What is being answered may still be joined by what the user says now.
        let answered = self.reply.as_ref().and_then(|reply| reply.user.as_ref());
        let judged = [self.user.as_ref(), answered].into_iter().flatten();
        let starts_at = judged.filter_map(|user| user.starts_at()).min();
        let starts_at = starts_at.filter(|_| self.config.detection == TurnDetection::Smart)?;
        Some(self.audible_to_judge(starts_at))
    }

    fn turn_so_far(&self) -> InputRange {
        let start = self.user.as_ref().and_then(|user| user.starts_at()).unwrap_or(self.speech_from);
        self.audible_to_judge(start)..self.detector.position()
    }

    fn audible_to_judge(&self, start: u64) -> u64 {
        let heard_from = self.detector.position().saturating_sub(HEARS_SAMPLES);
        start.max(heard_from).max(self.end_of_turn.kept_from)
    }

    /// The user speaks, or pauses in speaking, and nothing has been decided.
    fn is_collecting(&self) -> bool {
        self.detector.speaking() && self.user.as_ref().is_some_and(|user| user.decided.is_none())
    }
}
