//! The client's connection is lost, and comes back or does not.
//!
//! Nobody hears anything meanwhile: a reply stands still at the sample that was heard last, and goes on from
//! there, so that nothing is missed and nothing is said twice. What is being written and spoken goes on
//! behind it. A clip cannot be gone on with in its middle; it counts as seen.

use super::Turn;
use super::delivery::{ClipStage, Delivery};
use super::io::{ChunkId, Event, State, TurnId};
use super::playout::SAMPLES_PER_MS;

/// Audio that is sent again, at most. More than the client's queue ever holds.
pub const MAX_REPLAY_MS: u64 = 5_000;

impl Turn {
    pub(super) fn on_detached(&mut self) {
        let now = self.now;
        self.absent = true;
        // A sound that nobody hears the end of is no interruption; what comes after it is another one.
        let was_held = self.barge_in.is_some();
        if was_held {
            self.forget_barge_in();
            self.detector.reset();
        }
        match self.reply.as_mut().map(|reply| &mut reply.delivery) {
            Some(Delivery::Voice(voice)) => voice.playout.hold(now),
            Some(Delivery::Clip(ClipStage::Playing(playout))) if was_held => playout.release(now),
            _ => {}
        }
    }

    pub(super) fn on_attached(&mut self, last_chunk: Option<ChunkId>) {
        let (now, from_chunk) = (self.now, self.next_chunk);
        self.absent = false;
        let is_open = |turn: TurnId| {
            self.user.as_ref().is_some_and(|user| user.id == turn)
                || self.reply.as_ref().is_some_and(|reply| reply.turn == turn)
                || self.ending.iter().any(|(ending, ..)| *ending == turn)
        };
        if self.state.1.is_some_and(|turn| !is_open(turn)) {
            self.state = (State::Listening, None);
        }
        let (state, turn) = self.state;
        self.tell(Event::Status { state, turn });
        let Some(reply) = &mut self.reply else { return };
        let Delivery::Voice(voice) = &mut reply.delivery else { return };
        let told = last_chunk.and_then(|chunk| {
            let index = chunk.0.checked_sub(voice.first_chunk.0)?;
            voice.chunk_ends.get(usize::try_from(index).ok()?).copied()
        });
        let heard = told.unwrap_or_else(|| voice.playout.heard(now));
        let earliest = voice.playout.sent().saturating_sub(MAX_REPLAY_MS * SAMPLES_PER_MS);
        voice.playout.rewind(heard.max(earliest), now);
        // Its text comes again with the audio: the client may have lost it.
        voice.announced = None;
        voice.announced_whole = false;
        let turn = reply.turn;
        self.tell(Event::Resume { turn, from_chunk });
    }
}
