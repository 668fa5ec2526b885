//! `vivavoce models list|pull|verify|rm`: which models there are, and bringing them here.

mod progress;
mod report;

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use crate::config::Config;
use crate::models::cache::Cache;
use crate::models::hub::HubSettings;
use crate::models::presence::{Look, Looker, Report};
use crate::models::pull::{Progress, PullOptions, free_bytes, pull, pullable};
use crate::models::remove::{removable, remove, taken_bytes};
use crate::models::{Entry, Manifest, ModelError, size};
use progress::{Bars, Lines};

/// See which models there are, fetch, verify and remove them
#[derive(Debug, clap::Args)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What there is, what of it is here, and where it comes from
    List {
        /// One JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Fetch models from the hub (of the environment variable HF_ENDPOINT) into the cache folder
    Pull {
        /// Names, as `list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Take what the hub has now in place of what was pinned at the first pull
        #[arg(long)]
        update: bool,
    },
    /// Check every file against its sha256
    Verify {
        /// Names; without any: all that is here
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove pulled models
    Rm {
        /// Names, as `list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Why `vivavoce models` failed.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// A model cannot be had.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The list could not be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
    /// The list could not be made.
    #[error("cannot write the list as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Models {
    /// Runs the command; its report goes to `out`, bars go to a terminal's standard error. Blocking.
    /// `Ok(false)` if something is not as it should be (which was told).
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<bool, ModelsError> {
        let manifest = Manifest::builtin().map_err(ModelError::from)?;
        match self.command {
            Command::List { json } => list(&manifest, config, json, out),
            Command::Pull { names, update } => {
                let settings = HubSettings::from_env(config)?;
                let entries = named(&manifest, &names)?;
                let cache = Cache::of(config);
                if io::stderr().is_terminal() {
                    pull_all(&entries, &cache, &settings, update, &mut Bars::default(), out)
                } else {
                    pull_all(&entries, &cache, &settings, update, &mut Lines::new(io::stderr()), out)
                }
            }
            Command::Verify { names } => verify(&manifest, &names, config, out),
            Command::Rm { names, yes } => {
                let entries = named(&manifest, &names)?;
                let ask = !yes && io::stdin().is_terminal();
                rm(&entries, &Cache::of(config), ask.then_some(&mut io::stdin().lock()), out)
            }
        }
    }
}

/// The entries of these names, all of them or none.
fn named<'m>(manifest: &'m Manifest, names: &[String]) -> Result<Vec<&'m Entry>, ModelError> {
    names.iter().map(|name| manifest.entry(name)).collect()
}

fn list(manifest: &Manifest, config: &Config, json: bool, out: &mut dyn Write) -> Result<bool, ModelsError> {
    let reports = Looker::new(config)?.look_at_all(manifest, Look::Glance);
    if json {
        serde_json::to_writer_pretty(&mut *out, &report::json(&reports))?;
        writeln!(out)?;
    } else {
        report::write_table(&reports, out)?;
        let folder = Cache::of(config).folder().display().to_string();
        writeln!(out, "fetch a model with vivavoce models pull NAME; it is kept in {folder}")?;
    }
    Ok(reports.iter().all(Report::is_well))
}

fn verify(
    manifest: &Manifest,
    names: &[String],
    config: &Config,
    out: &mut dyn Write,
) -> Result<bool, ModelsError> {
    let looker = Looker::new(config)?;
    if !names.is_empty() {
        let entries = named(manifest, names)?;
        let reports: Vec<_> = entries.iter().map(|entry| looker.look(entry, Look::Thorough)).collect();
        report::write_table(&reports, out)?;
        return Ok(reports.iter().all(Report::is_present));
    }
    let mut reports = looker.look_at_all(manifest, Look::Thorough);
    // Models that nobody pulled are no news.
    reports.retain(|report| report.is_present() || !report.is_well());
    report::write_table(&reports, out)?;
    Ok(reports.iter().all(Report::is_present))
}

fn pull_all(
    entries: &[&Entry],
    cache: &Cache,
    settings: &HubSettings,
    update: bool,
    progress: &mut dyn Progress,
    out: &mut dyn Write,
) -> Result<bool, ModelsError> {
    let options = PullOptions { hub: settings, update, free_bytes };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // All or none: what cannot be pulled is told before anything is.
    for entry in entries {
        pullable(entry)?;
    }
    for entry in entries {
        let pulled = runtime.block_on(pull(entry, cache, &options, progress))?;
        let (length, folder) = (size(pulled.bytes), pulled.folder.display());
        match pulled.fetched {
            0 => writeln!(out, "{}: is here and intact ({length} in {folder})", entry.name)?,
            _ => writeln!(out, "{}: pulled ({length} in {folder})", entry.name)?,
        }
        if let Some(key) = &entry.selected_by {
            writeln!(out, "{}: used with {key}: {}", entry.name, entry.name)?;
        }
    }
    // Requests that are still being given up hold nothing up.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(true)
}

/// `answers` are where somebody can be asked.
fn rm(
    entries: &[&Entry],
    cache: &Cache,
    answers: Option<&mut dyn BufRead>,
    out: &mut dyn Write,
) -> Result<bool, ModelsError> {
    // All or none: what cannot be removed is told before anything is.
    for entry in entries {
        removable(entry)?;
    }
    let mut answers = answers;
    for entry in entries {
        if let Some(answers) = answers.as_deref_mut() {
            write!(out, "remove {} ({})? [y/N] ", entry.name, size(taken_bytes(entry, cache)?))?;
            out.flush()?;
            let mut answer = String::new();
            answers.read_line(&mut answer)?;
            if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
                writeln!(out, "{}: kept", entry.name)?;
                continue;
            }
        }
        match remove(entry, cache)? {
            0 => writeln!(out, "{}: is not here", entry.name)?,
            freed => writeln!(out, "{}: removed, {} freed", entry.name, size(freed))?,
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
