//! How a reply reaches the client: as chunks of audio, as one clip, or as text to be read.
//!
//! [`Delivery`] is one of them, chunks are cut only from [`Voice`] and a clip is sent only from
//! [`ClipStage`], so a turn cannot mix them.

use super::Turn;
use super::config::TurnConfig;
use super::io::{ChunkId, Event, Fault, Output, ReplyId, SegmentId, State, Time};
use super::ledger::{Ledger, Piece};
use super::playout::{Playout, SAMPLES_PER_MS};
use super::replying::{Reply, Writing};

#[derive(Debug, Clone)]
pub(super) enum Delivery {
    Voice(Voice),
    Clip(ClipStage),
    /// So many bytes of it have been told.
    Text {
        told: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Voice {
    pub playout: Playout,
    /// Id of the first chunk, and where each chunk ends.
    pub first_chunk: ChunkId,
    pub chunk_ends: Vec<u64>,
    /// The segment whose text was told last.
    pub announced: Option<SegmentId>,
    pub announced_whole: bool,
}

#[derive(Debug, Clone)]
pub(super) enum ClipStage {
    Collecting,
    /// Since this time.
    Rendering(Time),
    /// The clip is out; it plays like a queue that was sent at once.
    Playing(Playout),
}

impl Voice {
    pub fn new() -> Voice {
        Voice {
            playout: Playout::new(),
            first_chunk: ChunkId(0),
            chunk_ends: Vec::new(),
            announced: None,
            announced_whole: false,
        }
    }

    /// The next chunk that there are samples for, due or not.
    pub fn next_piece(&self, ledger: &Ledger, chunk_samples: u64) -> Option<Piece> {
        let piece = ledger.piece(self.playout.sent(), chunk_samples)?;
        let whole = piece.ends_segment || piece.range.end - piece.range.start == chunk_samples;
        whole.then_some(piece)
    }
}

impl Turn {
    pub(super) fn on_rendered(&mut self, id: ReplyId, result: Result<u64, Fault>) {
        let now = self.now;
        let Some(reply) = self.live(id) else { return };
        if !matches!(reply.delivery, Delivery::Clip(ClipStage::Rendering(_))) {
            return;
        }
        let turn = reply.turn;
        match result {
            Ok(duration_ms) => {
                let mut playout = Playout::new();
                playout.send(reply.ledger.samples(), now);
                reply.delivery = Delivery::Clip(ClipStage::Playing(playout));
                reply.metrics.first_audio = Some(now.ms_since(reply.decided));
                let text = reply.segmenter.text().trim().to_owned();
                self.tell(Event::SpeakingClip { turn, reply: id, text, duration_ms });
                self.set_state(State::Speaking, Some(turn));
            }
            Err(fault) => {
                // The words are there: let them be heard at least.
                reply.delivery = Delivery::Voice(Voice::new());
                self.tell(Event::Error { turn: Some(turn), fault });
            }
        }
    }

    pub(super) fn start_rendering(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        if !reply.is_spoken() || !matches!(reply.delivery, Delivery::Clip(ClipStage::Collecting)) {
            return;
        }
        if reply.ledger.samples() == 0 {
            reply.delivery = Delivery::Voice(Voice::new()); // nothing to show, nothing to hear
            return;
        }
        reply.delivery = Delivery::Clip(ClipStage::Rendering(self.now));
        let (id, turn, text) = (reply.id, reply.turn, reply.segmenter.text().trim().to_owned());
        self.outputs.push_back(Output::Render { reply: id, text });
        self.set_state(State::Rendering, Some(turn));
    }

    pub(super) fn send_due_chunks(&mut self) {
        let (now, chunk_samples) = (self.now, chunk_samples(&self.config));
        let lead_ms = u64::from(self.config.lead_ms);
        loop {
            let next_chunk = self.next_chunk;
            let Some(reply) = &mut self.reply else { return };
            let Delivery::Voice(voice) = &mut reply.delivery else { return };
            if self.absent {
                voice.playout.hold(now);
                return;
            }
            let Some(piece) = voice.next_piece(&reply.ledger, chunk_samples) else { break };
            let samples = piece.range.end - piece.range.start;
            if voice.playout.may_send_at(samples, lead_ms).is_none_or(|at| at > now) {
                break;
            }
            if voice.chunk_ends.is_empty() {
                voice.first_chunk = next_chunk;
                reply.metrics.first_audio = Some(now.ms_since(reply.decided));
            }
            voice.playout.send(samples, now);
            voice.chunk_ends.push(piece.range.end);
            let new_segment = voice.announced.replace(piece.segment) != Some(piece.segment);
            let filler = reply.tools.filler_in(piece.segment);
            let text = new_segment.then(|| match filler {
                Some(filler) => (filler.to_owned(), true),
                None => (reply.segmenter.text()[piece.source].trim().to_owned(), false),
            });
            let (turn, id, segment) = (reply.turn, reply.id, piece.segment);
            self.next_chunk.0 += 1;
            self.set_state(State::Speaking, Some(turn));
            if let Some((text, filler)) = text {
                self.tell(Event::ResponseText { turn, segment, text, last: false, filler });
            }
            let range = piece.range;
            self.tell(Event::Audio { turn, reply: id, segment, chunk: next_chunk, range });
        }
        self.tell_whole_text();
    }

    /// A reply that is read goes out as it is written.
    pub(super) fn send_text(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        let Delivery::Text { told } = &mut reply.delivery else { return };
        let whole = reply.segmenter.text();
        let mut text = &whole[*told..];
        if whole[..*told].trim().is_empty() {
            text = text.trim_start();
        }
        *told = whole.len();
        if !text.is_empty() {
            let (turn, text) = (reply.turn, text.to_owned());
            self.tell(Event::ReplyText { turn, text });
        }
    }

    /// With the first chunk of its last segment, the whole reply is known to be heard. Without a
    /// segment that can be spoken its text is at least seen.
    fn tell_whole_text(&mut self) {
        let Some(reply) = &mut self.reply else { return };
        let Delivery::Voice(voice) = &mut reply.delivery else { return };
        let sent = voice.playout.sent();
        let last_begun =
            sent > reply.ledger.last_start() || (reply.synthesis.is_none() && sent == reply.ledger.samples());
        if voice.announced_whole || reply.writing != Writing::Done || !reply.waiting.is_empty() || !last_begun
        {
            return;
        }
        voice.announced_whole = true;
        let segment = voice.announced.unwrap_or_default();
        let (turn, text) = (reply.turn, reply.segmenter.text().trim().to_owned());
        if text.is_empty() {
            return;
        }
        self.tell(Event::ResponseText { turn, segment, text, last: true, filler: false });
    }

    /// The client has played a chunk to its end. Ids that mean nothing here are refused.
    pub(super) fn note_played(&mut self, chunk: ChunkId) {
        if chunk >= self.next_chunk {
            let message = format!("chunk {} has not been sent yet", chunk.0);
            self.refuse("unknown_chunk", &message);
            return;
        }
        if let Some(Reply { delivery: Delivery::Voice(voice), .. }) = &mut self.reply
            && let Some(index) = chunk.0.checked_sub(voice.first_chunk.0)
            && let Some(end) = voice.chunk_ends.get(index as usize)
        {
            voice.playout.report(*end);
            return;
        }
        let message = format!("chunk {} is not of the reply that is playing", chunk.0);
        self.refuse("stale_chunk", &message);
    }
}

pub(super) fn chunk_samples(config: &TurnConfig) -> u64 {
    u64::from(config.chunk_ms) * SAMPLES_PER_MS
}
