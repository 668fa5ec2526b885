//! One person of the bench: streams the plan in real time and notes when what came.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Plan, Utterance};
use super::stats::Dice;
use super::wire::{Heard, Listener, MESSAGE, Speaker};
use crate::client::ClientError;

/// A reply that begins later than this is missed.
const MISSED_AFTER: Duration = Duration::from_secs(5);
/// A client's `interrupt` is sent so long after the first audio, at a random moment.
const INTERRUPT_AFTER_MS: Range<f64> = 100.0..1_000.0;
/// The last turn may end so long after the stream.
const LAST_TURN: Duration = Duration::from_secs(10);

/// What to do, from when on.
pub struct SessionPlan {
    /// What is sent.
    pub plan: Arc<Plan>,
    /// When the first message is sent.
    pub start: Instant,
    /// What else is done.
    pub act: Act,
}

/// What a person does during a reply.
pub enum Act {
    Listen,
    /// Stops it, at a moment that the dice tell.
    Interrupt {
        dice: Dice,
    },
}

/// What was measured, in ms.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each message's sending after it was due.
    pub pacing_lag: Vec<f64>,
    /// The final transcript after the message in which the end of speech is decided.
    pub transcript: Vec<f64>,
    /// First audio after the message in which the end of speech is decided.
    pub first_audio: Vec<f64>,
    /// First audio after the message with the last voiced sample.
    pub first_audio_after_speech: Vec<f64>,
    /// The `interrupt` message after its cause: our `interrupt`, or the message with enough speech.
    pub interrupt: Vec<f64>,
    /// The last byte of the turn's audio after the cause of its interruption; 0 where none came.
    pub last_audio: Vec<f64>,
    /// `pause` after the message in which speech start is decided.
    pub pause: Vec<f64>,
    /// Turns without first audio in time.
    pub missed: usize,
    /// Replies that were to be interrupted and were not.
    pub uninterrupted: usize,
    /// Binary messages of a turn after its `interrupt`.
    pub late_audio: usize,
    /// First audio that no utterance asked for.
    pub unexpected: usize,
    /// How turns ended.
    pub turn_ends: BTreeMap<String, usize>,
    /// `error` messages by code.
    pub errors: BTreeMap<String, usize>,
    /// Why the session did not last.
    pub dropped: Option<String>,
}

/// What is known about an utterance of the plan.
#[derive(Default, Clone)]
struct Reply {
    turn_id: Option<u64>,
    first_audio: Option<Instant>,
    last_audio: Option<Instant>,
    /// When we asked for an interruption.
    interrupt_sent: Option<Instant>,
    pause: Option<Instant>,
    interrupt: Option<Instant>,
}

struct Person {
    plan: Arc<Plan>,
    act: Act,
    /// When each message was sent.
    sent: Vec<Instant>,
    /// One for each utterance of the plan.
    replies: Vec<Reply>,
    /// When the final transcripts of turns came.
    transcripts: BTreeMap<u64, Instant>,
    interrupt_at: Option<(Instant, usize)>,
    turn_ends: usize,
    outcome: Outcome,
}

/// Streams the plan to its end.
pub async fn run((mut speaker, mut listener): (Speaker, Listener), plan: SessionPlan) -> Outcome {
    let SessionPlan { plan, start, act } = plan;
    let mut person = Person {
        replies: vec![Reply::default(); plan.utterances.len()],
        plan,
        act,
        sent: Vec::new(),
        transcripts: BTreeMap::new(),
        interrupt_at: None,
        turn_ends: 0,
        outcome: Outcome::default(),
    };
    if let Err(error) = person.talk(&mut speaker, &mut listener, start).await {
        person.outcome.dropped = Some(error.to_string());
    }
    let _ = speaker.close().await;
    person.conclude()
}

impl Person {
    async fn talk(
        &mut self,
        speaker: &mut Speaker,
        listener: &mut Listener,
        start: Instant,
    ) -> Result<(), ClientError> {
        let mut due = start;
        while let Some(message) = self.plan.message(self.sent.len()) {
            let interrupt_at = self.interrupt_at.map_or(due, |(at, _)| at);
            tokio::select! {
                biased;
                heard = listener.hear() => self.note(heard?, Instant::now()),
                () = tokio::time::sleep_until(interrupt_at), if self.interrupt_at.is_some() => {
                    self.interrupt(speaker).await?;
                }
                () = tokio::time::sleep_until(due) => {
                    let now = Instant::now();
                    self.outcome.pacing_lag.push(ms(now - due));
                    self.sent.push(now);
                    speaker.say(message).await?;
                    due += MESSAGE;
                }
            }
        }
        let until = Instant::now() + LAST_TURN;
        while self.turn_ends < self.replies.len() {
            match tokio::time::timeout_at(until, listener.hear()).await {
                Ok(heard) => self.note(heard?, Instant::now()),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn interrupt(&mut self, speaker: &mut Speaker) -> Result<(), ClientError> {
        let Some((_, index)) = self.interrupt_at.take() else { return Ok(()) };
        self.replies[index].interrupt_sent = Some(Instant::now());
        speaker.interrupt().await
    }

    fn note(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Audio { turn } => self.note_audio(turn, now),
            Heard::Transcript { turn } => {
                self.transcripts.insert(turn, now);
            }
            Heard::Pause { turn } => {
                if let Some(reply) = self.reply_of(turn) {
                    reply.pause.get_or_insert(now);
                }
            }
            Heard::Interrupt { turn } => {
                if let Some(reply) = self.reply_of(turn) {
                    reply.interrupt.get_or_insert(now);
                }
            }
            Heard::TurnEnd { outcome } => {
                self.turn_ends += 1;
                *self.outcome.turn_ends.entry(outcome).or_default() += 1;
            }
            Heard::Error { code } => *self.outcome.errors.entry(code).or_default() += 1,
            Heard::Other => {}
        }
    }

    fn note_audio(&mut self, turn_id: u64, now: Instant) {
        if let Some(reply) = self.reply_of(turn_id) {
            reply.last_audio = Some(now);
            let late = reply.interrupt.is_some();
            self.outcome.late_audio += usize::from(late);
            return;
        }
        // The utterance whose end was decided last, if nothing has answered it yet.
        let sent = self.sent.len();
        let ended =
            self.plan.utterances.iter().rposition(|utterance| self.plan.message_of(utterance.end) < sent);
        let Some(index) = ended.filter(|index| self.replies[*index].turn_id.is_none()) else {
            self.outcome.unexpected += 1;
            return;
        };
        let reply = &mut self.replies[index];
        (reply.turn_id, reply.first_audio, reply.last_audio) = (Some(turn_id), Some(now), Some(now));
        if let Act::Interrupt { dice } = &mut self.act {
            let Range { start, end } = INTERRUPT_AFTER_MS;
            let after_ms = start + dice.roll() * (end - start);
            self.interrupt_at = Some((now + Duration::from_secs_f64(after_ms / 1_000.0), index));
        }
    }

    fn reply_of(&mut self, turn_id: u64) -> Option<&mut Reply> {
        self.replies.iter_mut().rev().find(|reply| reply.turn_id == Some(turn_id))
    }

    fn conclude(mut self) -> Outcome {
        let plan = Arc::clone(&self.plan);
        for (index, utterance) in plan.utterances.iter().enumerate() {
            let reply = self.replies[index].clone();
            let Some(&decided) = self.sent.get(plan.message_of(utterance.end)) else { continue };
            let Some(first) = reply.first_audio.filter(|first| *first - decided <= MISSED_AFTER) else {
                self.outcome.missed += 1;
                continue;
            };
            self.outcome.first_audio.push(ms(first - decided));
            let transcript = reply.turn_id.and_then(|turn| self.transcripts.get(&turn));
            self.outcome.transcript.extend(transcript.map(|at| ms(at.saturating_duration_since(decided))));
            let spoken = self.sent[plan.message_of(utterance.voice_end)];
            self.outcome.first_audio_after_speech.push(ms(first - spoken));
            self.conclude_interruption(index, &reply, plan.utterances.get(index + 1));
        }
        self.outcome
    }

    fn conclude_interruption(&mut self, index: usize, reply: &Reply, next: Option<&Utterance>) {
        let by_speech = (self.plan.barge_in && index.is_multiple_of(2)).then_some(next).flatten();
        let cause = match (&self.act, by_speech) {
            (Act::Interrupt { .. }, _) => reply.interrupt_sent,
            (Act::Listen, Some(next)) => {
                let started = self.sent.get(self.plan.message_of(next.start));
                if let (Some(started), Some(pause)) = (started, reply.pause) {
                    self.outcome.pause.push(ms(pause - *started));
                }
                self.sent.get(self.plan.message_of(next.interrupts)).copied()
            }
            (Act::Listen, None) => return,
        };
        match (cause, reply.interrupt, reply.last_audio) {
            (Some(cause), Some(interrupt), Some(last)) => {
                self.outcome.interrupt.push(ms(interrupt - cause));
                self.outcome.last_audio.push(ms(last.saturating_duration_since(cause)));
            }
            _ => self.outcome.uninterrupted += 1,
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
