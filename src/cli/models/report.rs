//! What was found of the models, as a table for people and as JSON for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::models::manifest::Parts;
use crate::models::presence::{Condition, Report, State};
use crate::models::size;

/// A line per entry, then a line for each part that is not as it must be, with the remedy.
pub(super) fn write_table(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = reports.iter().map(row).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for [name, engine, state, size, licence, what] in &rows {
        let [names, engines, states, sizes, licences] = widths;
        writeln!(
            out,
            "{name:names$}  {engine:engines$}  {state:states$}  {size:>sizes$}  {licence:licences$}  {what}"
        )?;
    }
    for report in reports {
        write_problems(report, out)?;
    }
    Ok(())
}

fn row(report: &Report) -> [String; 6] {
    let entry = &report.entry;
    let state = match report.state {
        State::Partial { percent } => format!("{} {percent} %", word(report.state)),
        state => word(state).to_owned(),
    };
    // Of some nobody knows it.
    let length = report.bytes.map(size).unwrap_or_default();
    [entry.name.clone(), entry.engine.to_string(), state, length, entry.licence.clone(), entry.what.clone()]
}

fn word(state: State) -> &'static str {
    match state {
        State::BuiltIn => "built-in",
        State::Present => "present",
        State::Missing => "missing",
        State::Partial { .. } => "partial",
        State::Damaged => "damaged",
        State::Unreadable => "unreadable",
        State::Unavailable => "unavailable",
    }
}

fn write_problems(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let entry = &report.entry;
    let can_be_pulled = entry.hub().is_some();
    if let State::Partial { percent } = report.state {
        return writeln!(out, "{}: {percent} % has come; run {}", entry.name, entry.setup);
    }
    for (path, condition) in &report.parts {
        let path = path.display();
        let problem = match condition {
            Condition::Present => continue,
            // Nobody need pull it.
            Condition::Missing if can_be_pulled && report.state == State::Missing => continue,
            Condition::Missing => format!("{path} is missing"),
            Condition::Partial => format!("{path} has not come whole"),
            Condition::Unpinned => {
                let name = &entry.name;
                writeln!(out, "{name}: {path} has no sha256 to compare with; run {} to pin it", entry.setup)?;
                continue;
            }
            Condition::Damaged { expected, found } => {
                format!("{path} is damaged: expected {expected}, found {found}")
            }
            Condition::Unreadable(reason) => format!("{path} cannot be read: {reason}"),
            Condition::Unavailable => {
                writeln!(out, "{}: there is no {path} for {}", entry.name, std::env::consts::ARCH)?;
                continue;
            }
        };
        let remedy = match &entry.parts {
            Parts::BuiltIn(_) => entry.setup.clone(),
            _ => format!("run {}", entry.setup),
        };
        writeln!(out, "{}: {problem}; {remedy}", entry.name)?;
    }
    Ok(())
}

/// An array with an object per entry.
pub(super) fn json(reports: &[Report]) -> Value {
    reports.iter().map(entry_json).collect()
}

fn entry_json(report: &Report) -> Value {
    let entry = &report.entry;
    let percent = match report.state {
        State::Partial { percent } => Some(percent),
        _ => None,
    };
    let part = |(path, condition): &(std::path::PathBuf, Condition)| {
        let (word, detail) = match condition {
            Condition::Present => ("present", None),
            Condition::Unpinned => ("unpinned", None),
            Condition::Missing => ("missing", None),
            Condition::Partial => ("partial", None),
            Condition::Damaged { expected, found } => {
                ("damaged", Some(format!("expected {expected}, found {found}")))
            }
            Condition::Unreadable(reason) => ("unreadable", Some(reason.clone())),
            Condition::Unavailable => ("unavailable", None),
        };
        json!({"path": path, "state": word, "detail": detail})
    };
    json!({
        "name": entry.name,
        "what": entry.what,
        "engine": entry.engine,
        "selected_by": entry.selected_by,
        "state": word(report.state),
        "percent": percent,
        "bytes": report.bytes,
        "licence": entry.licence,
        "source": entry.source,
        "setup": entry.setup,
        "files": report.parts.iter().map(part).collect::<Vec<_>>(),
    })
}
