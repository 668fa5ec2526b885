//! A recording to words: windows, language, temperatures, and what is to be believed.
//!
//! Reference: `whisper/transcribe.py` of OpenAI's package. Up to a window (30 s) is decoded in one piece,
//! without time stamps unless they are wanted; longer recordings are decoded window after window, each
//! beginning where the last time stamp of the one before says that its last whole sentence ended.

use super::decode::{self, Decoded};
use super::guards;
use super::network::{Heard, Network};
use super::rules::Rules;
use super::tokens::{TIMESTAMP_MS, Task, Vocabulary};
use crate::config::WhisperWindow;
use crate::engines::mel::{HOP_SAMPLES, LogMel};
use crate::engines::{CancelToken, EngineError, INPUT_RATE_HZ};

/// How freely tokens are chosen: the first time, and again each time that the words cannot be trusted.
const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// Above this, words do not go before the next window.
const MAX_TEMPERATURE_OF_CONTEXT: f32 = 0.5;
/// A short window ends in so much silence at least: the model expects some, and its convolutions and the
/// spectrogram's window then see behind the last word what they would see in a full one.
const SILENCE_BEHIND_SAMPLES: usize = INPUT_RATE_HZ as usize;
/// Frames of a short window are a multiple of this (half a second).
const WINDOW_STEP_FRAMES: usize = 50;
const SAMPLES_PER_MS: usize = INPUT_RATE_HZ as usize / 1_000;

/// A model with its vocabulary: everything that sessions share.
pub struct Recogniser {
    /// The network.
    pub network: Network,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    rules: Rules,
    mel: LogMel,
    window: WhisperWindow,
    /// Temperatures beyond 0 that are tried.
    fallbacks: usize,
}

/// What is known before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// One of the vocabulary's languages; `None`: found out.
    pub language: Option<u32>,
    /// Tokens that go before, such as names.
    pub previous: &'a [u32],
    /// What an earlier recording of the same speech gave.
    pub draft: &'a [u32],
    /// Segments are wanted with their times.
    pub timestamps: bool,
}

/// What was recognised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recognised {
    /// All words.
    pub text: String,
    /// The language's token.
    pub language: Option<u32>,
    /// The words in pieces. Without time stamps there is one for each window.
    pub segments: Vec<Segment>,
    /// The last window's tokens, a draft for a longer recording that fits a window too.
    pub tokens: Vec<u32>,
}

/// A piece of what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// From the recording's beginning.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// The words.
    pub text: String,
}

/// What one window gave.
struct Reading {
    tokens: Vec<u32>,
    temperature: f32,
}

impl Recogniser {
    /// `fallbacks`: how often decoding may be tried again, 0 to 5.
    pub fn new(
        network: Network,
        vocabulary: Vocabulary,
        rules: Rules,
        window: WhisperWindow,
        fallbacks: usize,
    ) -> Recogniser {
        let mel = LogMel::new(network.config().num_mel_bins);
        Recogniser { network, vocabulary, rules, mel, window, fallbacks }
    }

    /// Recognises 16 kHz mono, −1…1. Computes in the rayon pool of the caller.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`].
    pub fn transcribe(
        &self,
        samples: &[f32],
        hints: &Hints,
        cancel: &CancelToken,
    ) -> Result<Recognised, EngineError> {
        let window_samples = self.network.config().max_frames() * HOP_SAMPLES;
        let is_long = samples.len() > window_samples && self.vocabulary.has_timestamps();
        let timestamps = (hints.timestamps && self.vocabulary.has_timestamps()) || is_long;
        let mut done = Recognised { language: hints.language, ..Recognised::default() };
        let mut previous = hints.previous.to_vec();
        let mut from = 0;
        while from < samples.len() {
            let speech = &samples[from..samples.len().min(from + window_samples)];
            let task = Task { previous: self.last_of(&previous), language: done.language, timestamps };
            let is_first = from == 0;
            let draft = if is_first { hints.draft } else { &[] };
            let reading = self.read_window(speech, task, draft, &mut done.language, cancel)?;
            let Some(reading) = reading else {
                from += speech.len();
                continue;
            };
            let start_ms = (from / SAMPLES_PER_MS) as u64;
            let read = if timestamps {
                self.cut(&reading.tokens, start_ms, speech.len(), &mut done.segments)
            } else {
                self.push(&reading.tokens, start_ms..start_ms + ms(speech.len()), &mut done.segments);
                speech.len()
            };
            // Whatever the time stamps say, the next window is another one.
            from += read.clamp(SAMPLES_PER_MS * TIMESTAMP_MS as usize, speech.len());
            if reading.temperature > MAX_TEMPERATURE_OF_CONTEXT {
                previous.clear();
            }
            previous.extend(reading.tokens.iter().filter(|token| **token < self.vocabulary.end));
            done.tokens = reading.tokens;
        }
        let words: Vec<&str> = done.segments.iter().map(|segment| segment.text.as_str()).collect();
        done.text = words.join(" ");
        Ok(done)
    }

    /// The frames that the encoder reads of so many samples.
    fn window_frames(&self, samples: usize) -> usize {
        let most = self.network.config().max_frames();
        match self.window {
            WhisperWindow::Full => most,
            WhisperWindow::Short => {
                let wanted = (samples + SILENCE_BEHIND_SAMPLES).div_ceil(HOP_SAMPLES);
                wanted.next_multiple_of(WINDOW_STEP_FRAMES).min(most)
            }
        }
    }

    /// Encodes a window of at most 30 s.
    fn hear(&self, speech: &[f32], cancel: &CancelToken) -> Result<Heard, EngineError> {
        let mut padded = speech.to_vec();
        padded.resize(self.window_frames(speech.len()) * HOP_SAMPLES, 0.0);
        let encoded = self.network.encode(self.mel.extract(&padded).by_frame(), cancel)?;
        Ok(self.network.hear(&encoded))
    }

    /// Tokens of a window; `None` if nobody speaks in it. The language is found out if it is not known.
    fn read_window(
        &self,
        speech: &[f32],
        mut task: Task,
        draft: &[u32],
        language: &mut Option<u32>,
        cancel: &CancelToken,
    ) -> Result<Option<Reading>, EngineError> {
        if guards::is_silent(speech) {
            return Ok(None);
        }
        let heard = self.hear(speech, cancel)?;
        if task.language.is_none() {
            task.language =
                decode::detect_language(&self.network, &self.vocabulary, &heard).map(|(id, _)| id);
        }
        let mut best: Option<(Decoded, f32)> = None;
        for temperature in TEMPERATURES.into_iter().take(1 + self.fallbacks) {
            let max_tokens = guards::max_tokens(speech.len());
            let request = decode::Request { task, temperature, max_tokens, draft };
            let decoded =
                decode::decode(&self.network, &self.vocabulary, &self.rules, &heard, &request, cancel)?;
            if guards::is_no_speech(&decoded) {
                return Ok(None);
            }
            let is_sound = guards::is_sound(&decoded, &self.vocabulary.decode(&decoded.tokens));
            if is_sound || best.as_ref().is_none_or(|(best, _)| is_better(&decoded, best)) {
                best = Some((decoded, temperature));
            }
            if is_sound {
                break;
            }
        }
        let Some((decoded, temperature)) = best else { return Ok(None) };
        let tokens = guards::without_loop(&decoded.tokens).to_vec();
        if guards::is_echo(&tokens, task.previous) {
            return Ok(None);
        }
        *language = task.language;
        Ok(Some(Reading { tokens, temperature }))
    }

    /// Cuts a window at its pairs of time stamps and gives the samples that have been read: up to the last
    /// time stamp if words follow it, which are then read again in the next window.
    fn cut(&self, tokens: &[u32], start_ms: u64, samples: usize, segments: &mut Vec<Segment>) -> usize {
        let time = |token: Option<&u32>| {
            let time = token.and_then(|token| self.vocabulary.time_ms(*token));
            time.map(|time| time.min(ms(samples)))
        };
        let is_time = |at: usize| time(tokens.get(at)).is_some();
        let pairs: Vec<usize> = (1..tokens.len()).filter(|at| is_time(at - 1) && is_time(*at)).collect();
        let ends_at_once = tokens.len() >= 2 && is_time(tokens.len() - 1) && !is_time(tokens.len() - 2);
        let mut ends = pairs;
        if ends.is_empty() {
            let until = tokens.iter().rev().find_map(|token| time(Some(token)));
            let until = until.filter(|until| *until > 0).unwrap_or(ms(samples));
            self.push(tokens, start_ms..start_ms + until, segments);
            return samples;
        }
        if ends_at_once {
            ends.push(tokens.len());
        }
        let mut begin = 0;
        for end in &ends {
            let piece = &tokens[begin..*end];
            let (from, to) = (time(piece.first()).unwrap_or(0), time(piece.last()).unwrap_or(0));
            self.push(piece, start_ms + from..start_ms + to, segments);
            begin = *end;
        }
        if ends_at_once {
            return samples;
        }
        time(tokens.get(begin - 1)).unwrap_or(0) as usize * SAMPLES_PER_MS
    }

    fn push(&self, tokens: &[u32], ms: std::ops::Range<u64>, segments: &mut Vec<Segment>) {
        let text = self.vocabulary.decode(tokens).trim().to_owned();
        if !text.is_empty() {
            segments.push(Segment { start_ms: ms.start, end_ms: ms.end, text });
        }
    }

    /// As much of what went before as leaves half of the positions for what comes.
    fn last_of<'a>(&self, previous: &'a [u32]) -> &'a [u32] {
        let most = (self.network.config().max_target_positions / 2).saturating_sub(8);
        &previous[previous.len().saturating_sub(most)..]
    }
}

/// Of two decodings that cannot be trusted: rather no loop, then the likelier one.
fn is_better(one: &Decoded, other: &Decoded) -> bool {
    let rank = |decoded: &Decoded| (!decoded.looped, decoded.mean_log_probability);
    rank(one).partial_cmp(&rank(other)).is_some_and(std::cmp::Ordering::is_gt)
}

fn ms(samples: usize) -> u64 {
    (samples / SAMPLES_PER_MS) as u64
}
