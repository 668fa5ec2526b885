//! A contribution of the user: its utterances and their words.

use super::io::{AsrJob, Commit, Event, Fault, Heard, InputRange, Metrics, Outcome, Time, TurnId};
use super::listening::SAMPLES_PER_MS;

/// The user's contribution.
#[derive(Debug, Clone)]
pub(super) struct UserTurn {
    pub id: TurnId,
    pub utterances: Vec<Utterance>,
    /// When it was decided that the contribution is complete; `None` while the user speaks.
    pub decided: Option<Time>,
    /// When its words were complete.
    pub transcribed: Option<Time>,
    pub metrics: Metrics,
    /// Recognition of a part failed.
    pub fault: Option<Fault>,
    /// That was told.
    pub failed: bool,
    /// What was last told as a partial transcript.
    pub partial: String,
    /// Microphone position of the last interim recognition.
    pub interim_at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Utterance {
    /// Input samples; empty for typed text.
    pub range: InputRange,
    pub words: Words,
}

#[derive(Debug, Clone)]
pub(super) enum Words {
    Waiting(AsrJob),
    Known(Heard),
    Typed(String),
}

impl Utterance {
    /// Recognised, and there was nothing.
    pub fn is_wordless(&self) -> bool {
        matches!(&self.words, Words::Known(heard) if heard.text.trim().is_empty())
    }
}

impl UserTurn {
    /// Nothing has been said yet.
    pub fn new(id: TurnId) -> UserTurn {
        UserTurn {
            id,
            utterances: Vec::new(),
            decided: None,
            transcribed: None,
            metrics: Metrics::default(),
            fault: None,
            failed: false,
            partial: String::new(),
            interim_at: 0,
        }
    }

    fn complete(&self) -> bool {
        self.utterances.iter().all(|u| !matches!(u.words, Words::Waiting(_)))
    }

    /// The words have just become complete: what is to be told of them, once.
    pub fn words_known(&mut self, now: Time) -> Option<Event> {
        let decided = self.decided?;
        if self.transcribed.is_some() || !self.complete() {
            return None;
        }
        self.transcribed = Some(now);
        if self.typed() {
            return None;
        }
        self.metrics.asr = Some(now.ms_since(decided));
        let turn = self.id;
        if let Some(fault) = self.fault.take() {
            self.failed = true;
            return Some(Event::Error { turn: Some(turn), fault });
        }
        let (text, audio_ms, language) = (self.text(), self.audio_ms(), self.language());
        Some(Event::Transcript { turn, text, audio_ms, language })
    }

    /// Recognition of it failed.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Recognition that it waits for.
    pub fn jobs(&self) -> impl Iterator<Item = AsrJob> {
        self.utterances.iter().filter_map(|utterance| match utterance.words {
            Words::Waiting(job) => Some(job),
            Words::Known(_) | Words::Typed(_) => None,
        })
    }

    /// The words of an utterance, if it is one of these.
    pub fn hear(&mut self, id: AsrJob, result: &Result<Heard, Fault>) {
        let waits = |utterance: &&mut Utterance| matches!(utterance.words, Words::Waiting(job) if job == id);
        let Some(utterance) = self.utterances.iter_mut().find(waits) else { return };
        utterance.words = Words::Known(result.clone().unwrap_or_else(|fault| {
            self.fault = Some(fault);
            Heard::default()
        }));
    }

    /// The words so far, in order.
    pub fn text(&self) -> String {
        let texts = self.utterances.iter().filter_map(|u| match &u.words {
            Words::Waiting(_) => None,
            Words::Known(heard) => Some(heard.text.trim()),
            Words::Typed(text) => Some(text.trim()),
        });
        texts.filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Where its first utterance begins; `None` before one has ended.
    pub fn starts_at(&self) -> Option<u64> {
        self.utterances.iter().map(|u| &u.range).find(|range| !range.is_empty()).map(|range| range.start)
    }

    fn language(&self) -> Option<String> {
        self.utterances.iter().rev().find_map(|u| match &u.words {
            Words::Known(heard) => heard.language.clone(),
            Words::Waiting(_) | Words::Typed(_) => None,
        })
    }

    /// Whether all of it was typed.
    pub fn typed(&self) -> bool {
        self.utterances.iter().all(|u| matches!(u.words, Words::Typed(_)))
    }

    /// Where in the input its utterances are.
    pub fn spoken(&self) -> Vec<InputRange> {
        let ranges = self.utterances.iter().map(|utterance| utterance.range.clone());
        ranges.filter(|range| !range.is_empty()).collect()
    }

    fn audio_ms(&self) -> u64 {
        self.utterances.iter().map(|u| u.range.end - u.range.start).sum::<u64>() / SAMPLES_PER_MS
    }
}

/// What a contribution without a reply leaves behind.
pub(super) fn unanswered(user: &UserTurn, outcome: Outcome, now: Time) -> Commit {
    let text = user.text();
    // Superseded words live on in the next turn.
    let said = (outcome != Outcome::Superseded && !text.is_empty()).then_some(text);
    let total = user.decided.map(|decided| now.ms_since(decided));
    Commit {
        turn: user.id,
        user: said,
        typed: user.typed(),
        spoken: if outcome == Outcome::Superseded { Vec::new() } else { user.spoken() },
        tools: Vec::new(),
        assistant: String::new(),
        whole_reply: None,
        estimated: false,
        heard_samples: 0,
        outcome,
        metrics: Metrics { total, ..user.metrics },
    }
}
