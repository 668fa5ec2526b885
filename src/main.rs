//! The binary: arguments, configuration, models, server. The only place with `anyhow`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use vivavoce::cli;
use vivavoce::config::Config;
use vivavoce::engines::Engines;
use vivavoce::frontends::start::{self, Listening};
use vivavoce::metrics;
use vivavoce::session::recording;
use vivavoce::tools::Registry;

/// Self-hosted realtime voice and video conversation server.
#[derive(Debug, Parser)]
#[command(name = "vivavoce", version, propagate_version = true)]
struct Arguments {
    /// Configuration file [default: config.yml here, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve,
    Talk(cli::talk::Talk),
    Ask(cli::ask::Ask),
    Say(cli::say::Say),
    Transcribe(cli::transcribe::Transcribe),
    Models(cli::models::Models),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run a recorded session's decisions again and compare every output
    Replay {
        /// A recording that `record: true` made
        file: PathBuf,
    },
    Db(cli::db::Db),
    Bench(cli::bench::Bench),
    Token(cli::token::Token),
    Memory(cli::memory::Memory),
    Vault(cli::vault::Vault),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Would the server start with this configuration?
    Check,
}

fn main() -> ExitCode {
    // SAFETY: no other thread exists yet.
    #[allow(unsafe_code)]
    unsafe {
        // The official builds of ONNX Runtime report to their maker otherwise; see engines/onnx.rs.
        std::env::set_var("ORT_DISABLE_TELEMETRY", "1");
    }
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // One line; our errors name their causes themselves.
            let line = error.to_string().replace('\n', " ");
            let _ = writeln!(std::io::stderr(), "vivavoce: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let path = arguments.config.as_deref();
    let mut out = std::io::stdout().lock();
    // `config check` reports what others would stop at.
    if let Command::Config(ConfigCommand::Check) = arguments.command {
        return Ok(exit_code(cli::config_check::run(path, &mut out)?));
    }
    let config = Config::load(path)?;
    match arguments.command {
        Command::Config(ConfigCommand::Check) => {}
        Command::Serve => {
            drop(out);
            cli::logging::init(&config.log)?;
            serve(config, arguments.config)?;
        }
        Command::Ask(ask) => ask.run(&config, &mut out)?,
        Command::Say(say) => say.run(&config, &mut out)?,
        Command::Transcribe(transcribe) => transcribe.run(&config, &mut out)?,
        Command::Models(models) => return Ok(exit_code(models.run(&config, &mut out)?)),
        Command::Replay { file } => {
            let replay = recording::replay(&file)?;
            writeln!(out, "{} inputs told, {} outputs the same", replay.inputs, replay.outputs)?;
            if let Some(difference) = replay.difference {
                writeln!(out, "line {} differs", difference.line)?;
                writeln!(out, "recorded: {}\nreplayed: {}", difference.recorded, difference.replayed)?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Talk(talk) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(talk.run(&mut out))?;
        }
        Command::Vault(vault) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(vault.run(&config, &mut out))?;
        }
        Command::Bench(bench) => return Ok(exit_code(bench.run(&config, &mut out)?)),
        Command::Db(db) => db.run(&config, &mut out)?,
        Command::Token(token) => token.run(&config, &mut out)?,
        Command::Memory(memory) => memory.run(&config, &mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn serve(config: Config, config_path: Option<PathBuf>) -> anyhow::Result<()> {
    metrics::install()?;
    // Before the runtime exists: models load on this thread.
    let tools = Arc::new(Registry::new(&config.tools)?);
    let engines = Arc::new(Engines::load(&config, tools.specs())?);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.server.executor_threads > 0 {
        runtime.worker_threads(config.server.executor_threads);
    }
    let runtime = runtime.enable_all().thread_name("executor").build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("cannot start the executor: {error}"))?;
    runtime.block_on(async {
        let listening = Listening::open(Arc::new(config), engines, tools).await?;
        start::reload_on_hangup(Arc::clone(&listening.server), config_path)?;
        announce(&listening)?;
        listening.run(stop_signal()?).await?;
        anyhow::Ok(())
    })
}

/// Says where to go, on standard output: the token is shown here once and nowhere else.
fn announce(listening: &Listening) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let host = start::shown_host(listening.address.ip());
    let port = listening.address.port();
    let scheme = match &listening.server.certificates {
        Some(certificates) => {
            writeln!(out, "the certificate's fingerprint (SHA-256): {}", certificates.fingerprint())?;
            "https"
        }
        None => "http",
    };
    match &listening.new_token {
        Some(token) => {
            writeln!(out, "a first access token was made; it is shown only now: {token}")?;
            writeln!(out, "open {scheme}://{host}:{port}/#token={token}")?;
        }
        None => writeln!(out, "open {scheme}://{host}:{port}/")?,
    }
    Ok(out.flush()?)
}

/// Done at SIGINT or SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One id of 64 begins so.
    #[test]
    fn an_id_that_begins_with_a_hyphen_is_an_id() {
        let id = "-gXKJhE3T0iFYzH0aQ1b2A";
        for line in [
            format!("memory delete {id}"),
            format!("memory correct {id} text"),
            format!("db export {id}"),
            format!("db export {id} --format markdown"),
            format!("db export --format markdown {id}"),
            format!("db export --format markdown {id} --config a.yml"),
        ] {
            let parsed = Arguments::try_parse_from(["vivavoce"].into_iter().chain(line.split(' ')));
            let parsed = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(format!("{parsed:?}").contains(id), "{line}");
            assert_eq!(format!("{parsed:?}").contains("Markdown"), line.contains("markdown"), "{line}");
        }
    }
}
