//! Engines that do what `scripted.*` of the configuration says: known words, known delays, failures
//! on demand, at no cost of their own. For tests and benches; they understand nothing.
//!
//! Deliberately absent: randomness, and any clock but for the delays. Calls are counted per engine
//! over all workers of one [`Scripted`], so "the second call of `asr`" means the same whichever
//! worker takes it; a call counts when it begins, also if it is cancelled later.

use std::ops::ControlFlow;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::{
    Asr, AsrRequest, AsrState, CancelToken, ChatMessage, Clip, ClipRenderer, EngineError, Llm, LlmEvent,
    LlmRequest, LlmState, OUTPUT_RATE_HZ, Role, ToolCall, Transcript, Tts, TtsEvent, TurnJudge, Usage, Vad,
    VadFrame, WordTime, forbid_executor_thread,
};
use crate::config;

/// The name in `config.yml`.
pub const NAME: &str = "scripted";

/// A frame with a root mean square above this (−40 dB of full scale) is speech.
const SPEECH_RMS: f32 = 0.01;
const SPEECH_PROBABILITY: f32 = 0.95;
const SILENCE_PROBABILITY: f32 = 0.02;
/// Frames cost nothing here, so this only bounds a batch.
const MAX_VAD_BATCH: usize = 256;

/// Audio is given in pieces of 100 ms. At 24 kHz they hold 22 whole periods of the tone, so that
/// every piece is a copy of the same samples and the tone has no seams.
const PIECE_SAMPLES: usize = 2_400;
const TONE_HZ: f64 = 220.0;
const TONE_AMPLITUDE: f64 = 0.1;

/// `llm-mid@N` fails after so many tokens (after the last one of a shorter reply).
const MID_REPLY_TOKENS: u32 = 3;

/// Head of every scripted clip: an MP4 file type box and nothing to play.
const EMPTY_MP4: &[u8] = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom";

/// A load of scripted engines. Every engine made by it follows one script and shares its counters.
#[derive(Debug, Clone)]
pub struct Scripted {
    script: Arc<Script>,
}

#[derive(Debug)]
struct Script {
    config: config::Scripted,
    failures: Vec<Failure>,
    asr_calls: AtomicU64,
    judge_calls: AtomicU64,
    llm_calls: AtomicU64,
    tts_calls: AtomicU64,
    clip_calls: AtomicU64,
    /// `[2400]` samples: 100 ms of the tone.
    tone: Box<[f32]>,
}

impl Scripted {
    /// Checks the script. The error names the bad entry of `scripted.failures`.
    pub fn new(config: &config::Scripted) -> Result<Scripted, EngineError> {
        let failures = config
            .failures
            .iter()
            .map(|entry| entry.parse())
            .collect::<Result<Vec<Failure>, BadFailure>>()
            .map_err(|bad| EngineError::Load {
                engine: NAME,
                message: format!("in the list scripted.failures, {bad}"),
            })?;
        let radians_per_sample = std::f64::consts::TAU * TONE_HZ / f64::from(OUTPUT_RATE_HZ);
        let tone = (0..PIECE_SAMPLES)
            .map(|sample| (TONE_AMPLITUDE * (radians_per_sample * sample as f64).sin()) as f32)
            .collect();
        let script = Script {
            config: config.clone(),
            failures,
            asr_calls: AtomicU64::new(0),
            judge_calls: AtomicU64::new(0),
            llm_calls: AtomicU64::new(0),
            tts_calls: AtomicU64::new(0),
            clip_calls: AtomicU64::new(0),
            tone,
        };
        Ok(Scripted { script: Arc::new(script) })
    }

    /// Speech is what is loud. Keeps no state.
    pub fn vad(&self) -> Box<dyn Vad> {
        Box::new(ScriptedVad)
    }

    /// Gives `scripted.transcripts` in turn, whatever was said.
    pub fn asr(&self) -> Box<dyn Asr> {
        Box::new(ScriptedAsr(Arc::clone(&self.script)))
    }

    /// Gives `scripted.judgements` in turn, whatever was said.
    pub fn turn_judge(&self) -> Box<dyn TurnJudge> {
        Box::new(ScriptedJudge(Arc::clone(&self.script)))
    }

    /// Gives `scripted.replies` in turn, one for each request, a token being a word with its space;
    /// `{echo}` in a reply stands for the user's last message, `{tool}` for the last answer of a tool,
    /// and `{call NAME ARGUMENTS}` calls one.
    pub fn llm(&self) -> Box<dyn Llm> {
        Box::new(ScriptedLlm(Arc::clone(&self.script)))
    }

    /// Gives a quiet tone of `scripted.tts_ms_per_char` per character, with the times of its words.
    pub fn tts(&self) -> Box<dyn Tts> {
        Box::new(ScriptedTts(Arc::clone(&self.script)))
    }

    /// Gives a clip of the audio's length with nothing to play in it.
    pub fn clip(&self) -> Box<dyn ClipRenderer> {
        Box::new(ScriptedClip(Arc::clone(&self.script)))
    }
}

/// Where a failure on demand happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Asr,
    Turn,
    Llm,
    LlmMid,
    Tts,
    Clip,
}

/// One entry of `scripted.failures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failure {
    place: Place,
    /// The call that fails, counted from 1; `None`: all of them.
    call: Option<u64>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no failure; write PLACE@N or PLACE@*, PLACE being one of asr, turn, llm, llm-mid, tts, clip, \
     and N counting calls from 1 (asr@2)"
)]
struct BadFailure(String);

impl FromStr for Failure {
    type Err = BadFailure;

    fn from_str(entry: &str) -> Result<Failure, BadFailure> {
        let bad = || BadFailure(entry.to_owned());
        let (place, call) = entry.split_once('@').ok_or_else(bad)?;
        let place = match place {
            "asr" => Place::Asr,
            "turn" => Place::Turn,
            "llm" => Place::Llm,
            "llm-mid" => Place::LlmMid,
            "tts" => Place::Tts,
            "clip" => Place::Clip,
            _ => return Err(bad()),
        };
        let call = match call {
            "*" => None,
            number => Some(number.parse().ok().filter(|&n| n > 0).ok_or_else(bad)?),
        };
        Ok(Failure { place, call })
    }
}

impl Script {
    /// `call` counts from 1.
    fn check_failure(&self, place: Place, call: u64) -> Result<(), EngineError> {
        let fails = self.failures.iter().any(|f| f.place == place && f.call.is_none_or(|n| n == call));
        if !fails {
            return Ok(());
        }
        let (code, name) = match place {
            Place::Asr => ("asr_failed", "asr"),
            Place::Turn => ("turn_judge_failed", "turn"),
            Place::Llm => ("llm_failed", "llm"),
            Place::LlmMid => ("llm_failed", "llm-mid"),
            Place::Tts => ("tts_failed", "tts"),
            Place::Clip => ("clip_failed", "clip"),
        };
        let message = format!("call {call} of {name} fails because scripted.failures says so");
        Err(EngineError::Failed { engine: NAME, code, message })
    }
}

/// Number of the call that begins now, from 1.
fn begin_call(calls: &AtomicU64) -> u64 {
    calls.fetch_add(1, Ordering::Relaxed) + 1
}

/// The line for the `call`-th call (from 1), round and round; empty if there is none.
fn line(lines: &[String], call: u64) -> &str {
    match lines.len() as u64 {
        0 => "",
        count => &lines[((call - 1) % count) as usize],
    }
}

struct ScriptedVad;

impl Vad for ScriptedVad {
    fn judge(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), EngineError> {
        forbid_executor_thread("scripted vad");
        for frame in frames {
            let energy = frame.pcm.iter().map(|sample| sample * sample).sum::<f32>();
            let rms = (energy / frame.pcm.len() as f32).sqrt();
            frame.probability = if rms > SPEECH_RMS { SPEECH_PROBABILITY } else { SILENCE_PROBABILITY };
        }
        Ok(())
    }

    fn max_batch(&self) -> usize {
        MAX_VAD_BATCH
    }
}

struct ScriptedAsr(Arc<Script>);

impl Asr for ScriptedAsr {
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        _: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("scripted asr");
        let script = &*self.0;
        let call = begin_call(&script.asr_calls);
        sleep_ms(script.config.asr_delay_ms, cancel)?;
        script.check_failure(Place::Asr, call)?;
        let text = line(&script.config.transcripts, call).to_owned();
        Ok(Transcript { text, language: request.language.map(str::to_owned) })
    }
}

struct ScriptedJudge(Arc<Script>);

impl TurnJudge for ScriptedJudge {
    fn judge(&mut self, _pcm: &[i16]) -> Result<f32, EngineError> {
        forbid_executor_thread("scripted turn judge");
        let script = &*self.0;
        let call = begin_call(&script.judge_calls);
        script.check_failure(Place::Turn, call)?;
        let judgements = &script.config.judgements;
        let index = (call - 1) as usize % judgements.len().max(1);
        Ok(judgements.get(index).copied().unwrap_or(1.0))
    }
}

struct ScriptedLlm(Arc<Script>);

impl Llm for ScriptedLlm {
    fn generate(
        &mut self,
        request: &LlmRequest,
        _state: &mut LlmState,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Usage, EngineError> {
        forbid_executor_thread("scripted llm");
        let script = &*self.0;
        let call = begin_call(&script.llm_calls);
        let mut reply = line(&script.config.replies, call).to_owned();
        for (mark, role) in [("{echo}", Role::User), ("{tool}", Role::Tool)] {
            if reply.contains(mark) {
                reply = reply.replace(mark, last_words(&request.messages, role));
            }
        }
        let words = |message: &ChatMessage| message.content.split_whitespace().count() as u32;
        let mut usage = Usage { input_tokens: request.messages.iter().map(words).sum(), ..Usage::default() };

        sleep_ms(script.config.llm_first_token_ms, cancel)?;
        script.check_failure(Place::Llm, call)?;
        let mut rest = reply.as_str();
        let mut calls = 0;
        while !rest.is_empty() {
            if usage.output_tokens >= request.max_new_tokens {
                break;
            }
            let (event, length) = match tool_call(rest) {
                Some((name, arguments, length)) => {
                    calls += 1;
                    let id = format!("call_{call}_{calls}");
                    (LlmEvent::ToolCall(ToolCall { id, name, arguments }), length)
                }
                None => {
                    let token = tokens(rest).next().unwrap_or(rest);
                    (LlmEvent::Text(token.to_owned()), token.len())
                }
            };
            rest = &rest[length..];
            if usage.output_tokens > 0 {
                sleep_ms(script.config.llm_token_ms, cancel)?;
            }
            usage.output_tokens += 1;
            if sink(event).is_break() {
                return Ok(usage);
            }
            if usage.output_tokens == MID_REPLY_TOKENS {
                script.check_failure(Place::LlmMid, call)?;
            }
        }
        if usage.output_tokens < MID_REPLY_TOKENS {
            script.check_failure(Place::LlmMid, call)?;
        }
        Ok(usage)
    }
}

/// What the user said last; empty if nothing.
pub(super) fn last_user_words(messages: &[ChatMessage]) -> &str {
    last_words(messages, Role::User)
}

fn last_words(messages: &[ChatMessage], role: Role) -> &str {
    messages.iter().rev().find(|message| message.role == role).map_or("", |message| &message.content)
}

/// `{call NAME ARGUMENTS}` at the beginning of `text`: the name, the JSON of the arguments, and how
/// long all of it is.
fn tool_call(text: &str) -> Option<(String, String, usize)> {
    let (name, rest) = text.strip_prefix("{call ")?.split_once(' ')?;
    let mut arguments = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
    arguments.next()?.ok()?;
    let end = arguments.byte_offset();
    let behind = rest[end..].strip_prefix('}')?;
    let behind = behind.strip_prefix(' ').unwrap_or(behind);
    Some((name.to_owned(), rest[..end].to_owned(), text.len() - behind.len()))
}

/// Words, each with the space behind it.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

struct ScriptedTts(Arc<Script>);

impl Tts for ScriptedTts {
    fn synthesize(
        &mut self,
        text: &str,
        _voice: Option<&str>,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        forbid_executor_thread("scripted tts");
        let script = &*self.0;
        let call = begin_call(&script.tts_calls);
        sleep_ms(script.config.tts_delay_ms, cancel)?;
        script.check_failure(Place::Tts, call)?;

        let samples_per_char = script.config.tts_ms_per_char * u64::from(OUTPUT_RATE_HZ) / 1_000;
        let words = word_times(text, samples_per_char);
        if !words.is_empty() && sink(TtsEvent::Words(words)).is_break() {
            return Ok(());
        }
        let mut samples_left = text.chars().count() as u64 * samples_per_char;
        while samples_left > 0 {
            check_cancel(cancel)?;
            let samples = samples_left.min(PIECE_SAMPLES as u64);
            samples_left -= samples;
            if sink(TtsEvent::Audio(script.tone[..samples as usize].to_vec())).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What stands between white space is a word; it ends with the sample of its last character.
fn word_times(text: &str, samples_per_char: u64) -> Vec<WordTime> {
    let mut words = Vec::new();
    let mut word_start: Option<usize> = None;
    let mut chars_before = 0;
    for (byte, character) in text.char_indices() {
        match (character.is_whitespace(), word_start) {
            (false, None) => word_start = Some(byte),
            (true, Some(start)) => {
                words.push(WordTime { text: start..byte, end_sample: chars_before * samples_per_char });
                word_start = None;
            }
            _ => {}
        }
        chars_before += 1;
    }
    if let Some(start) = word_start {
        words.push(WordTime { text: start..text.len(), end_sample: chars_before * samples_per_char });
    }
    words
}

struct ScriptedClip(Arc<Script>);

impl ClipRenderer for ScriptedClip {
    fn render_clip(
        &mut self,
        audio: &[f32],
        sample_rate_hz: u32,
        _text: &str,
        cancel: &CancelToken,
    ) -> Result<Clip, EngineError> {
        forbid_executor_thread("scripted clip");
        let script = &*self.0;
        let call = begin_call(&script.clip_calls);
        sleep_ms(script.config.clip_delay_ms, cancel)?;
        script.check_failure(Place::Clip, call)?;
        let duration_ms = audio.len() as u64 * 1_000 / u64::from(sample_rate_hz.max(1));
        Ok(Clip { mp4: bytes::Bytes::from_static(EMPTY_MP4), duration_ms })
    }
}

fn check_cancel(cancel: &CancelToken) -> Result<(), EngineError> {
    if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
}

/// Sleeps on this thread, and wakes at once when the token is set. No delay costs one look at the
/// token.
fn sleep_ms(delay_ms: u64, cancel: &CancelToken) -> Result<(), EngineError> {
    check_cancel(cancel)?;
    if delay_ms == 0 {
        return Ok(());
    }
    // The token only speaks the language of futures: its waker unparks this thread.
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut cancelled = pin!(cancel.cancelled());
    let began = Instant::now();
    let delay = Duration::from_millis(delay_ms);
    loop {
        if cancelled.as_mut().poll(&mut context).is_ready() {
            return Err(EngineError::Cancelled);
        }
        let left = delay.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
