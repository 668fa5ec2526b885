//! `vivavoce bench`: many people at once, in real time, against a running server.
//!
//! Each session streams 20 ms messages at absolute deadlines, as a microphone would. What is measured
//! is beyond the hangover: `plan` runs the server's own detector offline over the very samples that
//! will be sent, so it is known in which message each utterance's end is decided. The latency of a
//! turn's first audio is the arrival of its first binary message minus the sending of *that* message.
//! This holds only for a server with the default `vad` settings and the real VAD.
//!
//! The generator reports its own pacing lag: where it is large, the machine is too busy for the
//! figures to mean anything. Deliberately absent: judging what was said; starting the server.

mod plan;
mod report;
mod server;
mod session;
mod stats;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use plan::{Plan, PlanError};
use report::{Report, ServerUse};
use server::Usage;
use session::{Act, Outcome, SessionPlan};
use wire::Wire;

/// Sessions that start "at the same time" start within this.
const SYNC_SPREAD: Duration = Duration::from_millis(10);
/// Sessions that connect at a time, so that the server's listen queue is not what is measured.
const CONNECT_AT_ONCE: usize = 16;
/// From the last connection to the first message.
const SETTLE: Duration = Duration::from_millis(500);
/// A listening server's use is measured after this.
const WARM_UP: Duration = Duration::from_secs(3);

/// Measure a running server under the load of many sessions
#[derive(Debug, Clone, clap::Args)]
pub struct Bench {
    /// The server's socket, if it is not on this machine at port 8080
    #[arg(long)]
    url: Option<String>,
    /// What is spoken on it
    #[arg(long, value_enum, default_value = "voice")]
    wire: Wire,
    /// Access token, if the server asks for one
    #[arg(long)]
    token: Option<String>,
    /// Sessions at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// What the sessions do
    #[arg(long, value_enum, default_value = "turns")]
    scenario: Scenario,
    /// Turns of each session (turns, interrupt)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    turns: u32,
    /// How replies are interrupted (interrupt)
    #[arg(long, value_enum, default_value = "client")]
    by: By,
    /// Time of silence (listen)
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=86_400))]
    seconds: u32,
    /// Silence after an utterance, for the reply: must be longer than it
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1_000..=120_000))]
    silence_ms: u32,
    /// What the users say, instead of a sentence by flite
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// When sessions start: all within 10 ms, or anywhere in a turn's length
    #[arg(long, value_enum, default_value = "sync")]
    stagger: Stagger,
    /// Of the random stagger and the moments of interruption
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Scenario {
    /// Speak, hear the whole reply, speak again
    Turns,
    /// Say nothing
    Listen,
    /// Speak, and stop the reply
    Interrupt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The `interrupt` message
    Client,
    /// Speech during the reply
    Speech,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Stagger {
    Sync,
    Random,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The utterance cannot be had, or does not give the turns it should.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The server cannot be reached.
    #[error(transparent)]
    Client(#[from] crate::client::ClientError),
    /// The server's own figures cannot be had.
    #[error(transparent)]
    Metrics(#[from] server::MetricsError),
    /// No runtime, or the report could not be written.
    #[error("cannot run: {0}")]
    Io(#[from] std::io::Error),
    /// The report could not be written as JSON.
    #[error("cannot write the report: {0}")]
    Json(#[from] serde_json::Error),
}

impl Bench {
    /// Runs the scenario and writes its report. Blocking; must not be called on an executor's thread,
    /// since it runs models. `config`: where the models are.
    ///
    /// Gives whether nothing went wrong: no session dropped, no turn missed, no audio after an
    /// interruption.
    ///
    /// # Errors
    /// Where nothing could be measured.
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<bool, BenchError> {
        let plan = Arc::new(match self.scenario {
            Scenario::Listen => Plan::silence(self.wire, self.seconds, config)?,
            Scenario::Turns | Scenario::Interrupt => {
                let barge_in = self.scenario == Scenario::Interrupt && self.by == By::Speech;
                Plan::speech(self.wire, self.wav.as_deref(), self.turns, self.silence_ms, barge_in, config)?
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (outcomes, server) = runtime.block_on(self.drive(&plan))?;
        let report = Report::new(self, &plan, outcomes, server);
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        } else {
            report.write_table(out)?;
        }
        Ok(report.is_good())
    }

    fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(self.wire.usual_url())
    }

    async fn drive(&self, plan: &Arc<Plan>) -> Result<(Vec<Outcome>, ServerUse), BenchError> {
        let mut dice = stats::Dice::new(self.seed);
        let baseline = server::usage(self.url(), self.token.as_deref()).await?;
        let mut connections = Vec::new();
        let indices: Vec<u32> = (0..self.sessions).collect();
        for group in indices.chunks(CONNECT_AT_ONCE) {
            let connecting = group.iter().map(|_| self.wire.connect(self.url(), self.token.as_deref()));
            for connection in futures_util::future::join_all(connecting).await {
                connections.push(connection?);
            }
        }

        let start = Instant::now() + SETTLE;
        let mut running = JoinSet::new();
        for (index, connection) in connections.into_iter().enumerate() {
            let offset = match self.stagger {
                Stagger::Sync => SYNC_SPREAD * index as u32 / self.sessions,
                Stagger::Random => plan.cycle().mul_f64(dice.roll()),
            };
            let act = match (self.scenario, self.by) {
                (Scenario::Interrupt, By::Client) => Act::Interrupt { dice: dice.fork() },
                _ => Act::Listen,
            };
            let plan = SessionPlan { plan: Arc::clone(plan), start: start + offset, act };
            running.spawn(session::run(connection, plan));
        }

        let measured = self.measure(start, plan.length());
        let sessions = async {
            let mut outcomes = Vec::new();
            while let Some(outcome) = running.join_next().await {
                outcomes.extend(outcome.ok());
            }
            outcomes
        };
        let (measured, outcomes) = tokio::join!(measured, sessions);
        let (from, to, largest) = measured?;
        Ok((outcomes, ServerUse::new(self.sessions, &baseline, &from, &to, largest)))
    }

    /// The server's use from the warm-up to the end of the plan, and the most memory in between.
    async fn measure(&self, start: Instant, length: Duration) -> Result<(Usage, Usage, f64), BenchError> {
        let read = || server::usage(self.url(), self.token.as_deref());
        tokio::time::sleep_until(start + WARM_UP.min(length / 4)).await;
        let from = read().await?;
        let end = start + length;
        let mut largest = from.resident_bytes;
        let mut next = from.at;
        loop {
            next += Duration::from_secs(5);
            tokio::time::sleep_until(next.min(end)).await;
            let now = read().await?;
            largest = largest.max(now.resident_bytes);
            if next >= end {
                return Ok((from, now, largest));
            }
        }
    }
}
