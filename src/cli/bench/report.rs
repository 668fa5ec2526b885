//! What a run of the bench found, as a table or as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::plan::Plan;
use super::server::Usage;
use super::session::Outcome;
use super::stats::Distribution;
use super::wire::Wire;
use super::{Bench, By, Scenario, Stagger};

/// All of it. Times are in ms.
#[derive(Debug, Serialize)]
pub struct Report {
    command: String,
    machine: Machine,
    wire: Wire,
    scenario: Scenario,
    sessions: u32,
    stagger: Stagger,
    interrupted_by: Option<By>,
    spoken: String,
    seconds: f64,
    turns: Turns,
    sessions_dropped: Vec<String>,
    /// Silence until the end of speech is decided: what the server is configured to wait.
    hangover: Option<Distribution>,
    transcript_beyond_hangover: Option<Distribution>,
    first_audio_beyond_hangover: Option<Distribution>,
    first_audio_after_speech: Option<Distribution>,
    pause: Option<Distribution>,
    interrupt: Option<Distribution>,
    last_audio_after_interrupt: Option<Distribution>,
    late_audio: usize,
    uninterrupted: usize,
    pacing_lag: Option<Distribution>,
    errors: BTreeMap<String, usize>,
    server: ServerUse,
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    processor: String,
    /// Over the last minute, other programs included.
    load: String,
}

#[derive(Debug, Serialize)]
struct Turns {
    expected: usize,
    missed: usize,
    unexpected: usize,
    outcomes: BTreeMap<String, usize>,
}

/// What the server's process used.
#[derive(Debug, Serialize)]
pub struct ServerUse {
    cpu_percent_of_a_core: f64,
    cpu_percent_per_session: f64,
    resident_mb_before: f64,
    resident_mb_most: f64,
    /// Of the most, beyond what it was before.
    resident_mb_per_session: f64,
}

impl ServerUse {
    /// `before`: without sessions. `largest`: the most memory, in bytes.
    pub fn new(sessions: u32, before: &Usage, from: &Usage, to: &Usage, largest: f64) -> ServerUse {
        let mb = |bytes: f64| bytes / 1e6;
        let seconds = (to.at - from.at).as_secs_f64();
        let cpu = 100.0 * (to.cpu_seconds - from.cpu_seconds) / seconds.max(f64::EPSILON);
        ServerUse {
            cpu_percent_of_a_core: cpu,
            cpu_percent_per_session: cpu / f64::from(sessions),
            resident_mb_before: mb(before.resident_bytes),
            resident_mb_most: mb(largest),
            resident_mb_per_session: mb(largest - before.resident_bytes) / f64::from(sessions),
        }
    }
}

impl Report {
    /// Of all sessions together.
    pub fn new(bench: &Bench, plan: &Plan, outcomes: Vec<Outcome>, server: ServerUse) -> Report {
        let lost = bench.sessions as usize - outcomes.len();
        let mut all = Outcome::default();
        let mut dropped = vec!["the bench's own task failed".to_owned(); lost];
        for outcome in outcomes {
            all.pacing_lag.extend(outcome.pacing_lag);
            all.transcript.extend(outcome.transcript);
            all.first_audio.extend(outcome.first_audio);
            all.first_audio_after_speech.extend(outcome.first_audio_after_speech);
            all.interrupt.extend(outcome.interrupt);
            all.last_audio.extend(outcome.last_audio);
            all.pause.extend(outcome.pause);
            all.missed += outcome.missed;
            all.uninterrupted += outcome.uninterrupted;
            all.late_audio += outcome.late_audio;
            all.unexpected += outcome.unexpected;
            add(&mut all.turn_ends, outcome.turn_ends);
            add(&mut all.errors, outcome.errors);
            dropped.extend(outcome.dropped);
        }
        let hangover = plan.utterances.iter().map(|u| (u.end - u.voice_end) as f64 / 16.0).collect();
        Report {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            machine: Machine::here(),
            wire: bench.wire,
            scenario: bench.scenario,
            sessions: bench.sessions,
            stagger: bench.stagger,
            interrupted_by: (bench.scenario == Scenario::Interrupt).then_some(bench.by),
            spoken: plan.spoken.clone(),
            seconds: plan.length().as_secs_f64(),
            turns: Turns {
                expected: plan.utterances.len() * bench.sessions as usize,
                missed: all.missed,
                unexpected: all.unexpected,
                outcomes: all.turn_ends,
            },
            sessions_dropped: dropped,
            hangover: Distribution::of(hangover),
            transcript_beyond_hangover: Distribution::of(all.transcript),
            first_audio_beyond_hangover: Distribution::of(all.first_audio),
            first_audio_after_speech: Distribution::of(all.first_audio_after_speech),
            pause: Distribution::of(all.pause),
            interrupt: Distribution::of(all.interrupt),
            last_audio_after_interrupt: Distribution::of(all.last_audio),
            late_audio: all.late_audio,
            uninterrupted: all.uninterrupted,
            pacing_lag: Distribution::of(all.pacing_lag),
            errors: all.errors,
            server,
        }
    }

    /// Nothing went wrong.
    pub fn is_good(&self) -> bool {
        let wrong = self.turns.missed + self.turns.unexpected + self.late_audio + self.uninterrupted;
        wrong == 0 && self.sessions_dropped.is_empty() && self.errors.is_empty()
    }

    /// For people.
    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.command)?;
        let Machine { cores, processor, load } = &self.machine;
        writeln!(out, "{cores} cores, {processor}; load {load}")?;
        writeln!(out, "{} sessions, {:.0} s each: {}\n", self.sessions, self.seconds, self.spoken)?;
        writeln!(out, "{:<40} {:>7} {:>8} {:>8} {:>8} {:>8}", "ms", "count", "p50", "p95", "p99", "max")?;
        for (name, distribution) in [
            ("end of speech → first audio", &self.first_audio_after_speech),
            ("  of it the hangover", &self.hangover),
            ("  beyond the hangover", &self.first_audio_beyond_hangover),
            ("hangover's end → final transcript", &self.transcript_beyond_hangover),
            ("speech start → pause", &self.pause),
            ("interrupt → its message", &self.interrupt),
            ("interrupt → last audio byte", &self.last_audio_after_interrupt),
            ("the bench's own pacing lag", &self.pacing_lag),
        ] {
            if let Some(Distribution { count, p50, p95, p99, max }) = distribution {
                writeln!(out, "{name:<40} {count:>7} {p50:>8.1} {p95:>8.1} {p99:>8.1} {max:>8.1}")?;
            }
        }
        let Turns { expected, missed, unexpected, outcomes } = &self.turns;
        writeln!(
            out,
            "\nturns: {expected} expected, {missed} missed, {unexpected} unexpected; {outcomes:?}"
        )?;
        if self.scenario == Scenario::Interrupt {
            let (late, not) = (self.late_audio, self.uninterrupted);
            writeln!(out, "interruptions: {not} did not happen, {late} chunks came after one")?;
        }
        writeln!(out, "sessions dropped: {}; errors: {:?}", self.sessions_dropped.len(), self.errors)?;
        for reason in self.sessions_dropped.iter().take(3) {
            writeln!(out, "  {reason}")?;
        }
        let server = &self.server;
        writeln!(
            out,
            "server: {:.1} % of a core, {:.3} % per session; {:.1} MB before, {:.1} MB at most, {:.3} MB per \
             session",
            server.cpu_percent_of_a_core,
            server.cpu_percent_per_session,
            server.resident_mb_before,
            server.resident_mb_most,
            server.resident_mb_per_session,
        )
    }
}

impl Machine {
    fn here() -> Machine {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.map_or("unknown processor", |(_, name)| name).to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn add(to: &mut BTreeMap<String, usize>, from: BTreeMap<String, usize>) {
    for (name, count) in from {
        *to.entry(name).or_default() += count;
    }
}
