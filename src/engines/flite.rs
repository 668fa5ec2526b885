//! Speech synthesis by flite (voice `slt`), as it streams, with the times of words.
//!
//! flite plans a whole utterance (what to say, how long each phone takes) and then streams its
//! samples, far faster than real time. So the words are reported first and the audio follows, resampled
//! from 16 to 24 kHz. A long text is planned in parts, to keep the wait for the first sample short.
//! Around each part flite has some 200 ms of pause on either side, of which a little is kept.
//!
//! Not here: any choice of speed, pitch or other voices.

pub(super) mod ffi;
pub(super) mod text;

use std::ffi::CString;
use std::ops::ControlFlow;

use super::{CancelToken, EngineError, OUTPUT_RATE_HZ, Tts, TtsEvent, WordTime, forbid_executor_thread};
use crate::audio::{pcm, resample::Resampler};
use crate::config::Config;
use ffi::{Plan, Progress, VOICE_RATE_HZ, Voice};
use text::Token;

/// The name in `config.yml`.
pub const NAME: &str = "flite";
/// The voices there are.
pub const VOICES: [&str; 1] = ["slt"];
/// What is kept of the pause before the first phone and of the one after the last.
const LEAD_MS: u32 = 40;
const TAIL_MS: u32 = 120;
/// The pauses hold noise at −60 dB; fading it in and out leaves no edge to hear.
const FADE_SAMPLES: usize = VOICE_RATE_HZ as usize * 5 / 1000;
/// A part ends at the first end of a sentence after so many tokens …
const PART_TOKENS: usize = 24;
/// … and, if there is none, after so many.
const MAX_PART_TOKENS: usize = 48;

/// One worker's flite. All share the voice, which is read-only data of the library.
pub struct FliteTts {
    voice: Voice,
    resampler: Resampler,
}

impl FliteTts {
    /// Registers the voice (once per process) and speaks a word to warm it up.
    pub fn load(config: &Config) -> Result<FliteTts, EngineError> {
        let load_error = |message: String| EngineError::Load { engine: NAME, message };
        if let Some(name) = &config.persona.voice {
            check_voice(name).map_err(|e| load_error(format!("{e}; change `persona.voice`")))?;
        }
        let voice = Voice::slt()
            .ok_or_else(|| load_error("libflite_cmu_us_slt gives no voice; reinstall libflite1".into()))?;
        let resampler =
            Resampler::new(VOICE_RATE_HZ, OUTPUT_RATE_HZ).map_err(|e| load_error(e.to_string()))?;
        let mut flite = FliteTts { voice, resampler };
        flite
            .speak(&text::clean("Hello."), &CancelToken::new(), &mut |_| ControlFlow::Continue(()))
            .map_err(|e| load_error(e.to_string()))?;
        Ok(flite)
    }

    fn speak(
        &mut self,
        tokens: &[Token],
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.resampler.reset();
        let mut given = 0;
        for tokens in parts(tokens) {
            let mut part = Part { tokens, start: given, cut: Cut::default(), at: 0, given: 0 };
            // Tokens are ASCII without NUL, so this conversion cannot fail.
            let text: Vec<&str> = tokens.iter().map(|t| t.ascii.as_str()).collect();
            let text = CString::new(text.join(" ")).unwrap_or_default();
            let mut stop = None;
            let spoke = self.voice.speak(&text, &mut |progress| {
                if cancel.is_cancelled() {
                    stop = Some(Stop::Cancelled);
                    return ControlFlow::Break(());
                }
                let next = match progress {
                    Progress::Plan(plan) => part.on_plan(&plan, sink),
                    Progress::Samples(samples) => part.on_samples(samples, &mut self.resampler, sink),
                };
                next.map_break(|reason| stop = Some(reason))
            });
            match stop {
                Some(Stop::Cancelled) => return Err(EngineError::Cancelled),
                Some(Stop::BySink) => return Ok(()),
                Some(Stop::PartDone) | None => {}
            }
            spoke.map_err(|_| EngineError::Failed {
                engine: NAME,
                code: "tts_failed",
                message: "flite could not synthesise a segment".into(),
            })?;
            given += part.given as u64;
        }
        let rest = self.resampler.finish();
        if !rest.is_empty() && !cancel.is_cancelled() {
            let _ = sink(TtsEvent::Audio(rest));
        }
        if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

impl Tts for FliteTts {
    fn synthesize(
        &mut self,
        text: &str,
        voice: Option<&str>,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        forbid_executor_thread("FliteTts::synthesize");
        if let Some(name) = voice {
            check_voice(name).map_err(|message| EngineError::Failed {
                engine: NAME,
                code: "unknown_voice",
                message,
            })?;
        }
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        self.speak(&text::clean(text), cancel, sink)
    }
}

fn check_voice(name: &str) -> Result<(), String> {
    if VOICES.contains(&name) {
        return Ok(());
    }
    Err(format!("there is no voice {name:?}; the voices are: {}", VOICES.join(", ")))
}

/// Cuts a text into parts that are planned one by one.
fn parts(mut tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    std::iter::from_fn(move || {
        let sentence_end = tokens.iter().skip(PART_TOKENS - 1).position(Token::ends_sentence);
        let len = sentence_end.map_or(usize::MAX, |n| n + PART_TOKENS).min(MAX_PART_TOKENS).min(tokens.len());
        let (part, rest) = tokens.split_at(len);
        tokens = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Why flite was told to stop.
enum Stop {
    Cancelled,
    BySink,
    /// What is left is only the end of the last pause.
    PartDone,
}

/// Which samples of a part are given, of those that flite makes. All at 16 kHz, from the part's start.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Cut {
    start: usize,
    end: usize,
}

impl Cut {
    /// Around the phones of `plan`.
    fn of(plan: &Plan) -> Cut {
        let sample = |s: f32| (f64::from(s.max(0.0)) * f64::from(VOICE_RATE_HZ)).round() as usize;
        let ms = |ms: u32| (ms * (VOICE_RATE_HZ / 1000)) as usize;
        let is_pause = |name: &str| name == "pau";
        let Some(last) = plan.phones.iter().rposition(|(name, _)| !is_pause(name)) else {
            return Cut::default();
        };
        let speech_start = match &plan.phones[0] {
            (name, end_s) if is_pause(name) => sample(*end_s),
            _ => 0,
        };
        // flite makes up to two frames of 5 ms less than its plan says; the fade must still be in them.
        let planned_end = plan.phones.last().map_or(0, |(_, end_s)| sample(*end_s)).saturating_sub(ms(10));
        let speech_end = sample(plan.phones[last].1);
        Cut {
            start: speech_start.saturating_sub(ms(LEAD_MS)),
            end: (speech_end + ms(TAIL_MS)).min(planned_end.max(speech_end)),
        }
    }

    /// Loudness of the sample at `at` of the part.
    fn gain(&self, at: usize) -> f32 {
        let from_edge = (at - self.start + 1).min(self.end - at);
        (from_edge as f32 / FADE_SAMPLES as f32).min(1.0)
    }
}

/// A part while it is spoken.
struct Part<'a> {
    tokens: &'a [Token],
    /// Samples (16 kHz) that the parts before this one gave.
    start: u64,
    cut: Cut,
    /// Samples that flite has made of this part …
    at: usize,
    /// … and those of them that were given.
    given: usize,
}

impl Part<'_> {
    fn on_plan(
        &mut self,
        plan: &Plan,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> ControlFlow<Stop> {
        self.cut = Cut::of(plan);
        let phones: Vec<&str> = plan.phones.iter().map(|(name, _)| name.as_str()).collect();
        sink(TtsEvent::Phonemes(phones.join(" "))).map_break(|()| Stop::BySink)?;
        let words = self.word_times(plan);
        if words.is_empty() {
            return ControlFlow::Continue(());
        }
        sink(TtsEvent::Words(words)).map_break(|()| Stop::BySink)
    }

    /// flite makes one token of each of ours. Were it ever to make more or fewer, no times are better
    /// than wrong ones: the reader then estimates.
    fn word_times(&self, plan: &Plan) -> Vec<WordTime> {
        if plan.token_end_s.len() != self.tokens.len() {
            tracing::warn!(ours = self.tokens.len(), flites = plan.token_end_s.len(), "flite: tokens differ");
            return vec![];
        }
        let mut latest = 0;
        let mut word_time = |(token, end_s): (&Token, &f32)| {
            let end = (f64::from(*end_s) * f64::from(VOICE_RATE_HZ)).round() as usize;
            let end = end.clamp(self.cut.start, self.cut.end) - self.cut.start;
            latest = latest.max(end);
            let at_voice_rate = self.start + latest as u64;
            WordTime {
                text: token.source.clone(),
                end_sample: at_voice_rate * u64::from(OUTPUT_RATE_HZ) / u64::from(VOICE_RATE_HZ),
            }
        };
        self.tokens.iter().zip(&plan.token_end_s).map(&mut word_time).collect()
    }

    fn on_samples(
        &mut self,
        samples: &[i16],
        resampler: &mut Resampler,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> ControlFlow<Stop> {
        let (first, cut) = (self.at, self.cut);
        self.at += samples.len();
        let from = cut.start.clamp(first, self.at) - first;
        let to = cut.end.clamp(first, self.at) - first;
        if from < to {
            let faded: Vec<f32> = samples[from..to]
                .iter()
                .zip(first + from..)
                .map(|(sample, at)| pcm::f32_from_i16(*sample) * cut.gain(at))
                .collect();
            self.given += faded.len();
            let audio = resampler.push(&faded);
            if !audio.is_empty() {
                sink(TtsEvent::Audio(audio)).map_break(|()| Stop::BySink)?;
            }
        }
        if self.at >= cut.end { ControlFlow::Break(Stop::PartDone) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests;
