//! Speech edges from the speech probabilities of successive frames.
//!
//! The hysteresis is that of `VADIterator` in the official package silero-vad 6.2.3: a frame at or
//! above the threshold starts speech; a frame below the negative threshold begins a pause, which
//! only a frame at or above the threshold ends; the speech is over at the first silent frame whose
//! end is the hangover later than the *end* of the pause's first frame. Frames between the two
//! thresholds change nothing, so they neither end a pause nor let the hangover run out.
//! [`DetectorConfig::negative_threshold`] is the official `threshold − 0.15` (to the precision of
//! an `f32`; the package compares in 64 bits).
//!
//! On top of it: a minimum of speech, so that a click starts nothing; a maximum length; and where
//! the audio of an utterance begins and ends. The official `end` is [`Edge::End`]'s `voice_end`
//! plus its `speech_pad_ms`; the official `start` is [`Edge::Start`]'s with the same padding.
//!
//! Deliberately absent: the network ([`crate::engines::Vad`]), the audio, and what speech means
//! for the conversation. Positions are counts of 16 kHz samples since the session began.

use std::ops::Range;

use crate::engines::{INPUT_RATE_HZ, VAD_FRAME_SAMPLES};

const FRAME_SAMPLES: u64 = VAD_FRAME_SAMPLES as u64;

/// See the keys of the same names under `vad` in `config.yml`.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorConfig {
    /// Probability from which a frame is speech, 0…1.
    pub threshold: f32,
    /// Probability below which a frame of speech is silence, 0…`threshold`.
    pub negative_threshold: f32,
    /// Less speech than this, pauses not counted, starts nothing.
    pub min_speech_ms: u32,
    /// Silence tolerated before speech end.
    pub hangover_ms: u32,
    /// Audio kept in front of speech start.
    pub prefix_padding_ms: u32,
    /// A longer utterance is split. A sound that has not reached `min_speech_ms` in this time is
    /// forgotten.
    pub max_utterance_s: u32,
}

/// What happened in a frame. An utterance is `Start (Pause Continue)* Pause End`, with any number
/// of `Split` after its `Start`; without hangover there is no `Pause` before `End`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// There has been [`DetectorConfig::min_speech_ms`] of speech.
    Start {
        /// Start of speech with its prefix padding; not before the end of the previous utterance.
        sample: u64,
    },
    /// Silence began inside an utterance.
    Pause {
        /// The first silent sample.
        sample: u64,
    },
    /// Speech again before the hangover was over.
    Continue {
        /// The first sample of speech.
        sample: u64,
    },
    /// The hangover is over.
    End {
        /// From the start with its padding, or the last split, to now: hangover included.
        utterance: Range<u64>,
        /// First silent sample of the final silence. It lies before `utterance` if the maximum
        /// length was reached in that silence.
        voice_end: u64,
    },
    /// The utterance reached its maximum length: this is the part so far. It goes on as the next
    /// part, which begins at this one's end.
    Split {
        /// The part.
        utterance: Range<u64>,
    },
}

/// The edges of one frame, at most two; made without touching the heap.
pub type Edges = std::iter::Flatten<std::array::IntoIter<Option<Edge>, 2>>;

/// Turns probabilities into [`Edge`]s, frame by frame.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechDetector {
    config: DetectorConfig,
    position: u64,
    /// No later utterance may begin before this sample.
    floor: u64,
    sound: Option<Sound>,
}

/// Speech, or what may become speech: from the first frame at or above the threshold until the
/// hangover is over.
#[derive(Debug, Clone, PartialEq)]
struct Sound {
    /// With prefix padding; after a split, the start of the running part.
    start: u64,
    voiced_samples: u64,
    /// The minimum of speech was reached and [`Edge::Start`] given.
    announced: bool,
    /// First sample of the running pause's first frame.
    pause: Option<u64>,
}

/// A frame as the hysteresis sees it.
enum Judgement {
    Speech,
    Between,
    Silence,
}

impl SpeechDetector {
    /// At sample 0, in silence.
    pub fn new(config: DetectorConfig) -> SpeechDetector {
        SpeechDetector { config, position: 0, floor: 0, sound: None }
    }

    /// Takes effect from the next frame; position and running utterance stay. More prefix padding
    /// than before does not bring back audio that [`SpeechDetector::keep_from`] gave up.
    pub fn configure(&mut self, config: DetectorConfig) {
        self.floor = self.keep_from();
        self.config = config;
    }

    /// From the next frame on so much silence ends an utterance, instead of
    /// [`DetectorConfig::hangover_ms`].
    pub fn tolerate(&mut self, hangover_ms: u32) {
        self.config.hangover_ms = hangover_ms;
    }

    /// Ends the utterance in the middle of its running pause. `None`: there is no pause in an utterance, or
    /// the part of it that runs is still empty.
    pub fn end_in_pause(&mut self) -> Option<Edge> {
        let position = self.position;
        let paused = |sound: &mut Sound| sound.announced && sound.pause.is_some() && sound.start < position;
        let sound = self.sound.take_if(paused)?;
        let voice_end = sound.pause?;
        self.floor = position;
        Some(Edge::End { utterance: sound.start..position, voice_end })
    }

    /// Ends the utterance here and now, whether it pauses or not. `None`: there is none, or the part of it
    /// that runs is still empty.
    pub fn end_now(&mut self) -> Option<Edge> {
        let position = self.position;
        let sound = self.sound.take_if(|sound| sound.announced && sound.start < position)?;
        self.floor = position;
        Some(Edge::End { utterance: sound.start..position, voice_end: sound.pause.unwrap_or(position) })
    }

    /// Judges the next frame of 512 samples by its probability of speech. What is no probability
    /// (NaN, outside 0…1) counts as silence.
    pub fn push(&mut self, probability: f32) -> Edges {
        let frame_start = self.position;
        self.position += FRAME_SAMPLES;
        let edge = match self.judge(probability) {
            Judgement::Speech => self.speech(frame_start),
            Judgement::Between => self.more_voice(),
            Judgement::Silence => self.silence(frame_start),
        };
        [edge, self.limit_length()].into_iter().flatten()
    }

    /// Samples judged so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// After [`Edge::Start`], before [`Edge::End`].
    pub fn speaking(&self) -> bool {
        self.utterance().is_some()
    }

    /// Samples judged as speech since the running utterance began: those of all its frames but the
    /// ones in pauses. Counts before [`Edge::Start`] too; 0 in silence.
    pub fn voiced_samples(&self) -> u64 {
        self.sound.as_ref().map_or(0, |sound| sound.voiced_samples)
    }

    /// Length of the running pause inside an utterance, from its first silent sample to now; 0 if
    /// there is none.
    pub fn silence_samples(&self) -> u64 {
        self.utterance().and_then(|sound| sound.pause).map_or(0, |pause| self.position - pause)
    }

    /// The earliest sample that a later edge's utterance can still contain; never moves back. What
    /// lies before it may be dropped.
    pub fn keep_from(&self) -> u64 {
        match &self.sound {
            Some(sound) => sound.start,
            None => self.padded(self.position),
        }
    }

    /// Forgets a running utterance without an edge. The position stays, and no later utterance
    /// reaches back before it.
    pub fn reset(&mut self) {
        self.sound = None;
        self.floor = self.position;
    }

    fn utterance(&self) -> Option<&Sound> {
        self.sound.as_ref().filter(|sound| sound.announced)
    }

    fn judge(&self, probability: f32) -> Judgement {
        if !(0.0..=1.0).contains(&probability)
            || probability < self.config.negative_threshold.min(self.config.threshold)
        {
            Judgement::Silence
        } else if probability >= self.config.threshold {
            Judgement::Speech
        } else {
            Judgement::Between
        }
    }

    fn speech(&mut self, frame_start: u64) -> Option<Edge> {
        let start = self.padded(frame_start);
        let sound =
            self.sound.get_or_insert(Sound { start, voiced_samples: 0, announced: false, pause: None });
        let paused = sound.pause.take().is_some();
        let start_edge = self.more_voice();
        match start_edge {
            None if paused && self.speaking() => Some(Edge::Continue { sample: frame_start }),
            start_edge => start_edge,
        }
    }

    /// Counts the frame as voiced if it lies in a sound and outside its pauses.
    fn more_voice(&mut self) -> Option<Edge> {
        let sound = self.sound.as_mut().filter(|sound| sound.pause.is_none())?;
        sound.voiced_samples += FRAME_SAMPLES;
        let reached = sound.voiced_samples >= samples(self.config.min_speech_ms);
        let newly = reached && !sound.announced;
        sound.announced |= reached;
        newly.then_some(Edge::Start { sample: sound.start })
    }

    fn silence(&mut self, frame_start: u64) -> Option<Edge> {
        let sound = self.sound.as_mut()?;
        let began = sound.pause.is_none();
        let voice_end = *sound.pause.get_or_insert(frame_start);
        // The official iterator's clock of the silence starts at the end of its first frame.
        if self.position - (voice_end + FRAME_SAMPLES) < samples(self.config.hangover_ms) {
            return (began && sound.announced).then_some(Edge::Pause { sample: frame_start });
        }
        let sound = self.sound.take()?;
        sound.announced.then(|| {
            self.floor = self.position;
            Edge::End { utterance: sound.start..self.position, voice_end }
        })
    }

    /// Splits an utterance that the next frame would make longer than the maximum.
    fn limit_length(&mut self) -> Option<Edge> {
        let max_samples = u64::from(self.config.max_utterance_s) * u64::from(INPUT_RATE_HZ);
        let sound = self.sound.as_mut()?;
        if self.position + FRAME_SAMPLES - sound.start <= max_samples {
            return None;
        }
        if !sound.announced {
            self.sound = None;
            return None;
        }
        let utterance = sound.start..self.position;
        sound.start = self.position;
        Some(Edge::Split { utterance })
    }

    /// Where the audio of speech that starts at `sample` begins.
    fn padded(&self, sample: u64) -> u64 {
        sample.saturating_sub(samples(self.config.prefix_padding_ms)).max(self.floor)
    }
}

fn samples(ms: u32) -> u64 {
    u64::from(ms) * u64::from(INPUT_RATE_HZ) / 1_000
}

#[cfg(test)]
mod tests;
