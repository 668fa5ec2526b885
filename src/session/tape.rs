//! The audio of a conversation, gathered turn by turn for the archive.
//!
//! What the machine's positions mean is known here only for a while: the microphone forgets, and of a reply's
//! audio only the last is kept. So a copy of what may belong to a turn waits until the turn has ended, and
//! the machine says what was spoken in it and how much was heard.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::audio::pcm;
use crate::conversation::audio::{AudioArchive, Speaker, Take};
use crate::conversation::ids::SessionId;
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};
use crate::turn::io::{Commit, InputRange, TurnId};

/// Speech that belongs to no turn yet, at most: five minutes. The oldest is forgotten.
const MOST_SAMPLES: usize = 5 * 60 * INPUT_RATE_HZ as usize;

/// See the module.
pub struct Tape {
    archive: Arc<AudioArchive>,
    /// What the user may have said: where it begins, and its samples (16 kHz). The newest is last.
    speech: VecDeque<(u64, Vec<i16>)>,
    /// The reply of a turn: PCM (24 kHz, little-endian) by its first samples, in order and without gaps.
    reply: Option<(TurnId, Vec<(u64, Bytes)>)>,
}

impl Tape {
    /// Of one conversation.
    pub fn new(archive: Arc<AudioArchive>) -> Tape {
        Tape { archive, speech: VecDeque::new(), reply: None }
    }

    /// This may be something that the user said.
    pub fn hear(&mut self, range: &InputRange, pcm: &[i16]) {
        // The same speech is heard several times, longer each time.
        self.speech.retain(|(start, samples)| *start != range.start || samples.len() > pcm.len());
        if !self.speech.iter().any(|(start, _)| *start == range.start) {
            self.speech.push_back((range.start, pcm.to_vec()));
        }
        let mut samples: usize = self.speech.iter().map(|(_, samples)| samples.len()).sum();
        while samples > MOST_SAMPLES
            && let Some((_, forgotten)) = self.speech.pop_front()
        {
            samples -= forgotten.len();
        }
    }

    /// Audio of a turn's reply, from sample `from` on, goes out. What was lost goes out again.
    pub fn play(&mut self, turn: TurnId, from: u64, pcm: Bytes) {
        let (_, chunks) = match &mut self.reply {
            Some(reply) if reply.0 == turn => reply,
            reply => reply.insert((turn, Vec::new())),
        };
        chunks.retain(|(start, _)| *start < from);
        if let Some((start, last)) = chunks.last_mut() {
            last.truncate(2 * (from - *start) as usize);
        }
        chunks.push((from, pcm));
    }

    /// Audio of a turn's whole reply becomes a clip.
    pub fn show(&mut self, turn: TurnId, samples: &[f32]) {
        let mut bytes = Vec::new();
        pcm::append_bytes_from_f32(samples, &mut bytes);
        self.play(turn, 0, bytes.into());
    }

    /// A turn that is logged in `session` has ended.
    pub fn turn_ends(&mut self, session: SessionId, commit: &Commit) {
        let turn = commit.turn.0;
        let said: Vec<i16> = commit.spoken.iter().flat_map(|range| self.take_speech(range)).collect();
        let user = Take { turn, speaker: Speaker::User, rate_hz: INPUT_RATE_HZ, samples: said };
        let mut heard = Vec::new();
        let reply = self.reply.take_if(|(of, _)| *of == commit.turn);
        for (_, chunk) in reply.into_iter().flat_map(|(_, chunks)| chunks) {
            // Whole samples, since that is how chunks are cut.
            let _ = pcm::append_samples(&chunk, &mut heard);
        }
        heard.truncate(commit.heard_samples as usize);
        let assistant = Take { turn, speaker: Speaker::Assistant, rate_hz: OUTPUT_RATE_HZ, samples: heard };
        for take in [user, assistant].into_iter().filter(|take| !take.samples.is_empty()) {
            self.archive.keep(session, take);
        }
    }

    /// What there is of `range`. It belongs to one turn only.
    fn take_speech(&mut self, range: &InputRange) -> Vec<i16> {
        let overlap = |start: u64, samples: &Vec<i16>| {
            let (from, to) = (range.start.max(start), range.end.min(start + samples.len() as u64));
            (from < to).then(|| (from - start) as usize..(to - start) as usize)
        };
        let found = self
            .speech
            .iter()
            .enumerate()
            .filter_map(|(index, (start, samples))| overlap(*start, samples).map(|part| (index, part)));
        let Some((index, part)) = found.max_by_key(|(_, part)| part.len()) else { return Vec::new() };
        self.speech.remove(index).map_or_else(Vec::new, |(_, samples)| samples[part].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::turn::io::{Metrics, Outcome};

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);

    fn commit(turn: u64, spoken: &[InputRange], heard_samples: u64) -> Commit {
        Commit {
            turn: TurnId(turn),
            user: None,
            typed: false,
            spoken: spoken.to_vec(),
            tools: vec![],
            assistant: String::new(),
            whole_reply: None,
            estimated: false,
            heard_samples,
            outcome: Outcome::Completed,
            metrics: Metrics::default(),
        }
    }

    fn chunk(samples: &[i16]) -> Bytes {
        pcm::bytes_from_samples(samples).into()
    }

    /// What was kept of a turn, after `record` has had a tape.
    fn kept(turn: u64, speaker: Speaker, record: impl FnOnce(&mut Tape)) -> Option<Vec<i16>> {
        let folder = tempfile::tempdir().unwrap();
        let open = || AudioArchive::open(folder.path(), Duration::from_secs(60)).unwrap();
        let mut tape = Tape::new(Arc::new(open()));
        record(&mut tape);
        drop(tape);
        let wav = open().read(SESSION, turn, speaker).unwrap()?;
        Some(hound::WavReader::new(&wav[..]).unwrap().into_samples().map(Result::unwrap).collect())
    }

    #[test]
    fn a_turn_gets_its_utterances_and_nothing_between_them() {
        let said = kept(2, Speaker::User, |tape| {
            tape.hear(&(10..12), &[1, 2]); // an interim recognition
            tape.hear(&(10..15), &[1, 2, 3, 4, 5]);
            tape.hear(&(20..22), &[9, 9]); // a cough
            tape.hear(&(30..33), &[6, 7, 8]);
            // The words of the first turn live on in the second.
            tape.turn_ends(SESSION, &commit(1, &[], 0));
            // The silence at the end was not recognised.
            tape.turn_ends(SESSION, &commit(2, &[10..14, 30..35], 0));
        });
        assert_eq!(said.unwrap(), [1, 2, 3, 4, 6, 7, 8]);
    }

    #[test]
    fn of_a_reply_there_is_what_was_heard() {
        let record = |heard: u64| {
            kept(1, Speaker::Assistant, move |tape| {
                tape.play(TurnId(1), 0, chunk(&[1, 2, 3]));
                tape.play(TurnId(1), 3, chunk(&[4, 5, 6]));
                // The connection was lost: a part goes out again, and then what had not gone out.
                tape.play(TurnId(1), 2, chunk(&[3, 4, 5, 6]));
                tape.play(TurnId(1), 6, chunk(&[7]));
                tape.turn_ends(SESSION, &commit(1, &[], heard));
            })
        };
        assert_eq!(record(7).unwrap(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(record(5).unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(record(0), None);
    }

    #[test]
    fn what_no_turn_wants_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut tape =
            Tape::new(Arc::new(AudioArchive::open(folder.path(), Duration::from_secs(60)).unwrap()));
        for start in 0..20 {
            tape.hear(&(start..start + 1), &vec![0; MOST_SAMPLES / 10]);
        }
        assert_eq!(tape.speech.len(), 10);
        assert_eq!(tape.speech[0].0, 10);
    }
}
