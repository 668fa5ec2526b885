//! What `/metrics` shows: the names, descriptions and buckets of all measurements, one typed function
//! for each event that changes one, and [`render`].
//!
//! The recorder is the process's own, [`install`]ed once at start-up; before that (and in tests
//! without it) the functions do nothing. They take no lock for longer than a look-up and may be
//! called from anywhere. Labels are closed sets: no session, address or text is ever a label.
//!
//! Deliberately absent: the HTTP route (see the router), and anything that a client could make grow.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::histogram;
use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};
use crate::turn::io::{InterruptReason, Metrics as StageTimes, Outcome};

const STAGE_SECONDS: &str = "vivavoce_stage_seconds";
const SESSIONS_ACTIVE: &str = "vivavoce_sessions_active";
const QUEUE_LENGTH: &str = "vivavoce_queue_length";
const INTERRUPTIONS: &str = "vivavoce_interruptions_total";
const ERRORS: &str = "vivavoce_errors_total";
const TURNS: &str = "vivavoce_turns_total";
const TOOL_RUNS: &str = "vivavoce_tool_runs_total";
const AUDIO_SECONDS: &str = "vivavoce_audio_seconds_total";
const VAD_BATCH_SIZE: &str = "vivavoce_vad_batch_size";
const LLM_TOKENS: &str = "vivavoce_llm_tokens_total";
const LLM_CACHE_BYTES: &str = "vivavoce_llm_cache_bytes";
const LLM_CACHE_EVICTIONS: &str = "vivavoce_llm_cache_evictions_total";

/// From a scripted engine's millisecond to a patient person's limit.
const STAGE_BUCKETS_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// How often samples of histograms are sorted into their buckets; until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Which way audio goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client, 16 kHz.
    In,
    /// To the client, 24 kHz.
    Out,
}

/// Samples so far. Counters hold whole numbers, and a chunk is a fraction of a second.
static SAMPLES_IN: AtomicU64 = AtomicU64::new(0);
static SAMPLES_OUT: AtomicU64 = AtomicU64::new(0);

static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();

/// The recorder cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(String);

/// Starts recording. The first call counts; later ones only tell how it went.
pub fn install() -> Result<(), MetricsError> {
    RECORDER.get_or_init(start).as_ref().map(|_| ()).map_err(|message| MetricsError(message.clone()))
}

/// All measurements in Prometheus' text format; empty before [`install`].
pub fn render() -> String {
    let Some(Ok(handle)) = RECORDER.get() else { return String::new() };
    metrics_process::Collector::default().collect();
    let seconds = |samples: &AtomicU64, rate_hz: u32| samples.load(Ordering::Relaxed) / u64::from(rate_hz);
    counter!(AUDIO_SECONDS, "direction" => "in").absolute(seconds(&SAMPLES_IN, INPUT_RATE_HZ));
    counter!(AUDIO_SECONDS, "direction" => "out").absolute(seconds(&SAMPLES_OUT, OUTPUT_RATE_HZ));
    handle.run_upkeep();
    handle.render()
}

/// One session is open for as long as this lives.
#[derive(Debug)]
#[must_use = "the session counts as closed when this is dropped"]
pub struct ActiveSession(());

/// A session was opened.
pub fn session_opened() -> ActiveSession {
    gauge!(SESSIONS_ACTIVE).increment(1.0);
    ActiveSession(())
}

impl Drop for ActiveSession {
    fn drop(&mut self) {
        gauge!(SESSIONS_ACTIVE).decrement(1.0);
    }
}

/// A turn has ended, after these stages.
pub fn turn_ended(outcome: Outcome, times: &StageTimes) {
    let outcome = match outcome {
        Outcome::Completed => "completed",
        Outcome::Interrupted => "interrupted",
        Outcome::Empty => "empty",
        Outcome::Superseded => "superseded",
        Outcome::Failed => "failed",
    };
    counter!(TURNS, "outcome" => outcome).increment(1);
    let stages = [
        ("endpoint", times.endpoint),
        ("asr", times.asr),
        ("llm_first_token", times.llm_first_token),
        ("tts_first_audio", times.tts_first_audio),
        ("first_audio", times.first_audio),
        ("total", times.total),
    ];
    for (stage, time_ms) in stages {
        if let Some(time_ms) = time_ms {
            histogram!(STAGE_SECONDS, "stage" => stage).record(time_ms / 1_000.0);
        }
    }
}

/// A tool was run to its end. (Which, is in the log: names are not a closed set.)
pub fn tool_ran(failed: bool) {
    counter!(TOOL_RUNS, "outcome" => if failed { "failed" } else { "ok" }).increment(1);
}

/// A reply was stopped.
pub fn interrupted(reason: InterruptReason) {
    let reason = match reason {
        InterruptReason::Speech => "speech",
        InterruptReason::Client => "client",
    };
    counter!(INTERRUPTIONS, "reason" => reason).increment(1);
}

/// A client was told of an error. `code`: one of ours, never a text of somebody else's.
pub fn error(code: impl Into<SharedString>) {
    counter!(ERRORS, "code" => code.into()).increment(1);
}

/// So many pieces of work wait for the worker pool `pool` (`vad`, `asr`, `llm`, `tts`, `video`).
pub fn queue_length(pool: &'static str, length: usize) {
    gauge!(QUEUE_LENGTH, "pool" => pool).set(length as f64);
}

/// So many samples of audio came or went.
pub fn audio(direction: Direction, samples: usize) {
    let total = match direction {
        Direction::In => &SAMPLES_IN,
        Direction::Out => &SAMPLES_OUT,
    };
    total.fetch_add(samples as u64, Ordering::Relaxed);
}

/// The VAD judged so many frames in one model call.
pub fn vad_batch(frames: usize) {
    histogram!(VAD_BATCH_SIZE).record(frames as f64);
}

/// The local language model has written a reply: tokens of its prompt that it had to read, those that
/// it remembered, and those of the reply.
pub fn llm_reply(read: usize, remembered: usize, written: usize) {
    for (kind, tokens) in [("read", read), ("remembered", remembered), ("written", written)] {
        counter!(LLM_TOKENS, "kind" => kind).increment(tokens as u64);
    }
}

/// So much memory is in use for what the local language model has read.
pub fn llm_cache_bytes(bytes: u64) {
    gauge!(LLM_CACHE_BYTES).set(bytes as f64);
}

/// A session that was idle lost what the local language model had read of it.
pub fn llm_cache_evicted() {
    counter!(LLM_CACHE_EVICTIONS).increment(1);
}

fn start() -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(STAGE_SECONDS.into()), STAGE_BUCKETS_S)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(VAD_BATCH_SIZE.into()), BATCH_BUCKETS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    describe();
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics-upkeep".into())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|error| format!("cannot start the upkeep thread: {error}"))?;
    Ok(handle)
}

/// Names what there is, with zeros where nothing has happened yet, so that rates and alerts work from
/// the first scrape on.
fn describe() {
    describe_histogram!(STAGE_SECONDS, Unit::Seconds, "Time of each stage of a turn");
    describe_gauge!(SESSIONS_ACTIVE, "Open sessions");
    describe_gauge!(QUEUE_LENGTH, "Work waiting for a worker pool");
    describe_counter!(INTERRUPTIONS, "Replies that were interrupted, by speech or by the client's request");
    describe_counter!(ERRORS, "Errors that clients were told of, by code");
    describe_counter!(TOOL_RUNS, "Tools that the language model called, by outcome");
    describe_counter!(TURNS, "Turns that ended, by outcome");
    describe_counter!(AUDIO_SECONDS, Unit::Seconds, "Audio received (in) and sent (out)");
    describe_histogram!(VAD_BATCH_SIZE, "Frames per call of the VAD's network");
    describe_counter!(LLM_TOKENS, "Tokens of the local language model: read, remembered, written");
    describe_gauge!(LLM_CACHE_BYTES, Unit::Bytes, "Memory of what the local language model has read");
    describe_counter!(LLM_CACHE_EVICTIONS, "Idle sessions that lost their place in that memory");
    metrics_process::Collector::default().describe();

    gauge!(SESSIONS_ACTIVE).set(0.0);
    for outcome in ["completed", "interrupted", "empty", "superseded", "failed"] {
        counter!(TURNS, "outcome" => outcome).absolute(0);
    }
    for reason in ["speech", "client"] {
        counter!(INTERRUPTIONS, "reason" => reason).absolute(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the line that starts with `series`.
    fn value(text: &str, series: &str) -> f64 {
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    // One test: the recorder belongs to the process.
    #[test]
    fn what_happened_is_shown() {
        error("before_install");
        assert_eq!(render(), "");
        install().unwrap();
        install().unwrap();

        let first = session_opened();
        let second = session_opened();
        drop(first);
        let times = StageTimes { asr: Some(40.0), total: Some(1_200.0), ..StageTimes::default() };
        turn_ended(Outcome::Completed, &times);
        turn_ended(Outcome::Failed, &StageTimes::default());
        interrupted(InterruptReason::Client);
        error("llm_timeout");
        error("llm_timeout");
        queue_length("asr", 3);
        audio(Direction::In, 16_000);
        audio(Direction::In, 8_000);
        audio(Direction::Out, 48_000);
        vad_batch(5);
        llm_reply(7, 100, 20);
        llm_reply(3, 0, 0);
        llm_cache_bytes(4_096);
        llm_cache_evicted();
        tool_ran(true);

        let text = render();
        for (series, expected) in [
            ("vivavoce_sessions_active", 1.0),
            (r#"vivavoce_turns_total{outcome="completed"}"#, 1.0),
            (r#"vivavoce_turns_total{outcome="failed"}"#, 1.0),
            (r#"vivavoce_turns_total{outcome="empty"}"#, 0.0),
            (r#"vivavoce_interruptions_total{reason="client"}"#, 1.0),
            (r#"vivavoce_interruptions_total{reason="speech"}"#, 0.0),
            (r#"vivavoce_errors_total{code="llm_timeout"}"#, 2.0),
            (r#"vivavoce_tool_runs_total{outcome="failed"}"#, 1.0),
            (r#"vivavoce_queue_length{pool="asr"}"#, 3.0),
            (r#"vivavoce_audio_seconds_total{direction="in"}"#, 1.0),
            (r#"vivavoce_audio_seconds_total{direction="out"}"#, 2.0),
            (r#"vivavoce_llm_tokens_total{kind="read"}"#, 10.0),
            (r#"vivavoce_llm_tokens_total{kind="remembered"}"#, 100.0),
            (r#"vivavoce_llm_tokens_total{kind="written"}"#, 20.0),
            ("vivavoce_llm_cache_bytes", 4_096.0),
            ("vivavoce_llm_cache_evictions_total", 1.0),
            (r#"vivavoce_vad_batch_size_bucket{le="4"}"#, 0.0),
            (r#"vivavoce_vad_batch_size_bucket{le="8"}"#, 1.0),
            (r#"vivavoce_stage_seconds_bucket{stage="asr",le="0.025"}"#, 0.0),
            (r#"vivavoce_stage_seconds_bucket{stage="asr",le="0.05"}"#, 1.0),
            (r#"vivavoce_stage_seconds_sum{stage="total"}"#, 1.2),
        ] {
            assert_eq!(value(&text, series), expected, "{series}");
        }
        assert!(value(&text, "process_resident_memory_bytes") > 0.0);
        // A young process has used less than one tick; it is shown all the same.
        assert!(value(&text, "process_cpu_seconds_total").is_finite());
        assert!(!text.contains("stage=\"endpoint\""), "a stage that did not happen has no time:\n{text}");
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(text.contains(&format!("# HELP {family} ")), "{family} is not described");
        }
        drop(second);
        assert_eq!(value(&render(), "vivavoce_sessions_active"), 0.0);
    }
}
