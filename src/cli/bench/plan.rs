//! What every session sends, and when the server's VAD must decide what about it.
//!
//! A turn is a *cycle* of the stream whose length is a whole number of both VAD frames (512 samples)
//! and messages (320), so every turn of every session meets the VAD's frames in the same way.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use super::stats::Dice;
use super::wire::{MESSAGE, Wire};
use crate::audio::framer::Framer;
use crate::audio::wav::WavError;
use crate::audio::{pcm, resample, wav};
use crate::config::{self, Config};
use crate::engines::flite::FliteTts;
use crate::engines::silero::SileroVad;
use crate::engines::{CancelToken, EngineError, INPUT_RATE_HZ, OUTPUT_RATE_HZ, Tts, TtsEvent, Vad, VadFrame};
use crate::turn::config::TurnConfig;
use crate::turn::detector::{DetectorConfig, Edge, SpeechDetector};

/// The least common multiple of a VAD frame and a message: 160 ms.
const ALIGNMENT_SAMPLES: usize = 2_560;
/// What is said when no file is given.
const SENTENCE: &str = "What are your opening hours today?";
/// Room before an utterance.
const LEAD_IN_MS: u32 = 480;
/// From the end of an utterance to the one that interrupts its reply: the hangover, and then some.
const BARGE_IN_AFTER_MS: u32 = 1_500;
/// A cycle of nothing but a quiet room: a whole number of both frames and messages.
const ROOM_MS: u32 = 4_000;
/// A quiet room: noise of −66 dB, in integer steps.
const NOISE_STEPS: f64 = 16.0;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// The recording cannot be sent at the wire's rate.
    #[error(transparent)]
    Rate(#[from] resample::ResampleError),
    /// flite or Silero cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The stream would not give the turns that are to be measured.
    #[error("{what} does not make one utterance each time: {problem}; use another recording")]
    Unfit {
        /// The recording.
        what: String,
        /// What the VAD makes of it.
        problem: String,
    },
}

/// One utterance of the stream, as the server's detector must see it. Positions are samples since the
/// stream's start, and those just before which it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utterance {
    /// Speech start is announced.
    pub start: u64,
    /// There was enough speech to interrupt a reply. (On the Realtime wire its start is enough.)
    pub interrupts: u64,
    /// The last voiced sample.
    pub voice_end: u64,
    /// The end is decided: the hangover is over.
    pub end: u64,
}

/// The stream.
#[derive(Debug)]
pub struct Plan {
    /// Messages of one cycle, over and over.
    messages: Vec<Message>,
    /// How often.
    cycles: u32,
    /// Samples that the server has heard when it has got each message of the stream.
    heard: Vec<u64>,
    /// All of the stream.
    pub utterances: Vec<Utterance>,
    /// Every second utterance is spoken into the reply to the one before.
    pub barge_in: bool,
    /// What is said.
    pub spoken: String,
}

impl Plan {
    /// A quiet room for so many seconds.
    pub fn silence(wire: Wire, seconds: u32, config: &Config) -> Result<Plan, PlanError> {
        let cycle = Cycle::default().silence(ROOM_MS).aligned();
        let cycles = seconds * 1_000 / ROOM_MS;
        Plan::new(wire, &cycle, cycles, 0, "a quiet room".to_owned(), config)
    }

    /// `turns` times the utterance in `wav` (or a sentence by flite) with silence behind it;
    /// `barge_in`: each followed by another into its reply.
    pub fn speech(
        wire: Wire,
        wav: Option<&Path>,
        turns: u32,
        silence_ms: u32,
        barge_in: bool,
        config: &Config,
    ) -> Result<Plan, PlanError> {
        let (utterance, spoken) = match wav {
            Some(path) => (wav::read_i16(path, INPUT_RATE_HZ)?, path.display().to_string()),
            None => (speak(SENTENCE)?, format!("{SENTENCE:?} by flite")),
        };
        let mut cycle = Cycle::default().silence(LEAD_IN_MS).speech(&utterance);
        if barge_in {
            cycle = cycle.silence(BARGE_IN_AFTER_MS).speech(&utterance);
        }
        let cycle = cycle.silence(silence_ms).aligned();
        let each = if barge_in { 2 } else { 1 };
        Plan::new(wire, &cycle, turns, each, spoken, config)
    }

    fn new(
        wire: Wire,
        cycle: &Cycle,
        cycles: u32,
        each: u32,
        spoken: String,
        config: &Config,
    ) -> Result<Plan, PlanError> {
        let mut vad = SileroVad::load(&config.models)?;
        let messages = wire.messages(&cycle.0)?;
        let (heard, utterances) = listen(wire, &messages, cycles, &mut vad)?;
        let plan = Plan { messages, cycles, heard, utterances, barge_in: each == 2, spoken };
        plan.check(each).map_err(|problem| PlanError::Unfit { what: plan.spoken.clone(), problem })?;
        Ok(plan)
    }

    /// Every cycle has as many utterances as it should, whole.
    fn check(&self, each: u32) -> Result<(), String> {
        for cycle in 0..self.cycles as usize {
            let range = cycle * self.messages.len()..(cycle + 1) * self.messages.len();
            let inside = |u: &&Utterance| {
                range.contains(&self.message_of(u.start)) && range.contains(&self.message_of(u.end))
            };
            let found = self.utterances.iter().filter(inside).count();
            if found != each as usize {
                return Err(format!(
                    "the VAD finds {found} utterances in turn {} instead of {each}",
                    cycle + 1
                ));
            }
        }
        if self.utterances.len() != (each * self.cycles) as usize {
            return Err("an utterance reaches into the next turn".to_owned());
        }
        Ok(())
    }

    /// The message of this number; `None` after the end.
    pub fn message(&self, number: usize) -> Option<Message> {
        let within = number < self.messages.len() * self.cycles as usize;
        within.then(|| self.messages[number % self.messages.len()].clone())
    }

    /// The number of the message with which the server has heard the sample just before `position`.
    pub fn message_of(&self, position: u64) -> usize {
        self.heard.partition_point(|heard| *heard < position)
    }

    /// Time of one cycle.
    pub fn cycle(&self) -> Duration {
        MESSAGE * self.messages.len() as u32
    }

    /// Time of the whole stream.
    pub fn length(&self) -> Duration {
        self.cycle() * self.cycles
    }
}

/// Samples of one cycle: noise everywhere, speech on top.
#[derive(Default)]
struct Cycle(Vec<i16>);

impl Cycle {
    fn silence(mut self, ms: u32) -> Cycle {
        self.0.resize(self.0.len() + (INPUT_RATE_HZ / 1_000 * ms) as usize, 0);
        self
    }

    fn speech(mut self, samples: &[i16]) -> Cycle {
        self.0.extend_from_slice(samples);
        self
    }

    fn aligned(mut self) -> Cycle {
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT_SAMPLES), 0);
        let mut dice = Dice::new(0);
        for sample in &mut self.0 {
            let noise = (dice.roll() * 2.0 - 1.0) * NOISE_STEPS;
            *sample = sample.saturating_add(noise as i16);
        }
        self
    }
}

/// What the server hears of `cycles` times these messages: the samples so far with each of them, and what
/// its detector, with the default settings, makes of them.
fn listen(
    wire: Wire,
    messages: &[Message],
    cycles: u32,
    vad: &mut dyn Vad,
) -> Result<(Vec<u64>, Vec<Utterance>), EngineError> {
    let settings = TurnConfig::new(&Config::default(), false);
    let enough_ms = if wire == Wire::Realtime { 0 } else { settings.min_interrupt_ms };
    let interrupting = u64::from(enough_ms) * u64::from(INPUT_RATE_HZ) / 1_000;
    let mut hearing = wire.hearing();
    let mut detector = SpeechDetector::new(default_detector());
    let mut framer = Framer::default();
    let mut frame = VadFrame::silence();
    let (mut heard, mut found) = (Vec::new(), Vec::new());
    let mut so_far = 0;
    let (mut start, mut interrupts) = (None, None);
    let mut failure = None;
    for message in (0..cycles).flat_map(|_| messages) {
        let samples = hearing.hear(message);
        so_far += samples.len() as u64;
        heard.push(so_far);
        framer.push(&samples, |samples| {
            frame.pcm.copy_from_slice(samples);
            if let Err(error) = vad.judge(&mut [&mut frame]) {
                failure.get_or_insert(error);
                return;
            }
            for edge in detector.push(frame.probability) {
                let now = detector.position();
                match edge {
                    Edge::Start { .. } => (start, interrupts) = (Some(now), None),
                    Edge::End { voice_end, .. } => {
                        let start = start.take().unwrap_or(now);
                        let interrupts = interrupts.take().unwrap_or(now);
                        found.push(Utterance { start, interrupts, voice_end, end: now });
                    }
                    Edge::Pause { .. } | Edge::Continue { .. } | Edge::Split { .. } => {}
                }
            }
            if start.is_some() && detector.voiced_samples() >= interrupting {
                interrupts.get_or_insert(detector.position());
            }
        });
    }
    failure.map_or(Ok((heard, found)), Err)
}

/// The server's, if nobody configured another.
fn default_detector() -> DetectorConfig {
    let vad = config::Vad::default();
    DetectorConfig {
        threshold: vad.threshold,
        negative_threshold: vad.negative_threshold,
        min_speech_ms: vad.min_speech_ms,
        hangover_ms: vad.hangover_ms,
        prefix_padding_ms: vad.prefix_padding_ms,
        max_utterance_s: vad.max_utterance_s,
    }
}

/// `text` by flite, 16 kHz.
pub fn speak(text: &str) -> Result<Vec<i16>, PlanError> {
    let mut speech = Vec::new();
    FliteTts::load(&Config::default())?.synthesize(text, None, &CancelToken::new(), &mut |event| {
        if let TtsEvent::Audio(samples) = event {
            speech.extend(samples);
        }
        ControlFlow::Continue(())
    })?;
    let speech = resample::resample(&speech, OUTPUT_RATE_HZ, INPUT_RATE_HZ).map_err(|error| {
        let path = PathBuf::from(format!("{text:?} by flite"));
        WavError { path, problem: wav::WavProblem::Rate(error) }
    })?;
    Ok(pcm::i16s_from_f32s(&speech))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::wire::MESSAGE_SAMPLES;
    use crate::engines::VAD_FRAME_SAMPLES;

    /// Judges frames as speech that are loud for the most part: a filter smears their edges.
    struct Loudness;

    impl Vad for Loudness {
        fn judge(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), EngineError> {
            for frame in frames {
                let loud = frame.pcm.iter().filter(|sample| sample.abs() > 0.1).count();
                frame.probability = if loud > VAD_FRAME_SAMPLES / 2 { 0.9 } else { 0.1 };
            }
            Ok(())
        }

        fn max_batch(&self) -> usize {
            1
        }
    }

    fn plan(wire: Wire, cycle: &Cycle, cycles: u32) -> Plan {
        let messages = wire.messages(&cycle.0).unwrap();
        let (heard, utterances) = listen(wire, &messages, cycles, &mut Loudness).unwrap();
        Plan { messages, cycles, heard, utterances, barge_in: false, spoken: String::new() }
    }

    fn cycle() -> Cycle {
        // 14 frames of silence, 20 of speech.
        Cycle::default().silence(448).speech(&[9_000; 20 * 512]).silence(2_000).aligned()
    }

    #[test]
    fn every_cycle_meets_frames_and_messages_alike() {
        let cycle = cycle();
        assert_eq!((cycle.0.len() % VAD_FRAME_SAMPLES, cycle.0.len() % MESSAGE_SAMPLES), (0, 0));
        let messages = Wire::Voice.messages(&cycle.0).unwrap();
        let (_, found) = listen(Wire::Voice, &messages, 3, &mut Loudness).unwrap();
        // 120 ms are four frames, 300 ms ten; the hangover of 500 ms begins behind the first silent
        // frame and takes sixteen.
        let first = Utterance {
            start: (14 + 4) * 512,
            interrupts: (14 + 10) * 512,
            voice_end: (14 + 20) * 512,
            end: (14 + 20 + 1 + 16) * 512,
        };
        let later = |cycles: u64| {
            let by = cycles * cycle.0.len() as u64;
            let Utterance { start, interrupts, voice_end, end } = first;
            let (start, interrupts) = (start + by, interrupts + by);
            Utterance { start, interrupts, voice_end: voice_end + by, end: end + by }
        };
        assert_eq!(found, [first, later(1), later(2)]);
    }

    #[test]
    fn a_plan_with_other_utterances_than_planned_is_refused() {
        let cycle = cycle();
        let mut plan = plan(Wire::Voice, &cycle, 2);
        assert_eq!(plan.check(1), Ok(()));
        assert!(plan.check(2).unwrap_err().contains("1 utterances in turn 1 instead of 2"));
        plan.utterances[1].end += 10 * INPUT_RATE_HZ as u64;
        assert!(plan.check(1).unwrap_err().contains("0 utterances in turn 2"));
    }

    #[test]
    fn messages_repeat_and_end() {
        let cycle = cycle();
        let plan = plan(Wire::Voice, &cycle, 2);
        let count = plan.messages.len();
        assert_eq!(plan.message(count + 3), plan.message(3));
        assert_eq!(
            (plan.message(2 * count - 1).map(|m| m.len()), plan.message(2 * count)),
            (Some(640), None)
        );
        assert_eq!(plan.length(), plan.cycle() * 2);
        // 512 samples are in the messages 0 and 1.
        assert_eq!([320, 321, 512].map(|position| plan.message_of(position)), [0, 1, 1]);
    }

    /// The same speech on the other wire: the same utterances, and a little later.
    #[test]
    fn the_realtime_wire_says_the_same() {
        let cycle = cycle();
        let (voice, realtime) = (plan(Wire::Voice, &cycle, 2), plan(Wire::Realtime, &cycle, 2));
        assert_eq!(realtime.messages.len(), voice.messages.len());
        assert_eq!(realtime.length(), voice.length());
        assert_eq!(realtime.check(1), Ok(()));
        for (one, other) in realtime.utterances.iter().zip(&voice.utterances) {
            assert_eq!((one.start, one.voice_end, one.end), (other.start, other.voice_end, other.end));
            assert_eq!(one.interrupts, one.start, "speech is an interruption at once");
        }
        // Two blocks of 8 ms are whole in the first message; half a block is the filter's delay.
        assert_eq!([192, 193].map(|position| realtime.message_of(position)), [0, 1]);
    }
}
