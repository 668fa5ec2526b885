//! `models/manifest.yml`: what weights and libraries exist, and whether they are here and intact.
//!
//! The manifest is compiled in, so the binary knows what it needs wherever it runs; the files are
//! looked for in `models.dir`. Files of our own set-up are known by sha256, those of a system's
//! packages only by their presence.
//!
//! Deliberately absent: fetching anything, which is `scripts/setup-models.sh`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::Config;

const BUILTIN: &str = include_str!("../../models/manifest.yml");

/// Why a manifest is none: not YAML, a key unknown or missing, or an entry that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("models/manifest.yml: {0}")]
pub struct ManifestError(#[from] serde_yaml::Error);

/// Everything that can be set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// One network, library or package.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawEntry")]
pub struct Entry {
    /// For people and for the command line.
    pub name: String,
    /// What it is, in one line.
    pub what: String,
    /// Where it comes from, with its version.
    pub source: String,
    /// SPDX expression, or the nearest to one.
    pub licence: String,
    /// The command that sets it up.
    pub setup: String,
    /// What it consists of.
    pub parts: Parts,
}

/// What an entry consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Files below `models.dir`.
    Files(Vec<File>),
    /// Paths that belong to a package of the system: absolute, or below the folder of a config
    /// key. `{arch}` stands for the architecture.
    System {
        /// Each must exist.
        paths: Vec<String>,
        /// What relative paths are relative to.
        below: Option<ConfigKey>,
    },
}

/// A file as it must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Below `models.dir`.
    pub path: PathBuf,
    /// `any`, or an architecture as `uname -m` and [`std::env::consts::ARCH`] name it.
    pub platform: String,
    /// Length.
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// A key of `config.yml` that names a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ConfigKey {
    /// `asr.pocketsphinx_model_dir`
    #[serde(rename = "asr.pocketsphinx_model_dir")]
    PocketsphinxModelDir,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    what: String,
    source: String,
    licence: String,
    setup: String,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    system: Vec<String>,
    config_key: Option<ConfigKey>,
}

impl TryFrom<RawEntry> for Entry {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<Entry, String> {
        let wrong = |problem: String| Err(format!("{}: {problem}", raw.name));
        for file in &raw.files {
            let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if file.sha256.len() != 64 || !file.sha256.chars().all(is_digit) {
                return wrong(format!("sha256 of {} is not 64 hexadecimal digits", file.path.display()));
            }
            if file.path.is_absolute() || file.path.iter().any(|part| part == "..") {
                return wrong(format!("{} is not below models.dir", file.path.display()));
            }
        }
        let parts = match (raw.files.is_empty(), raw.system.is_empty()) {
            (false, true) => Parts::Files(raw.files),
            (true, false) => Parts::System { paths: raw.system, below: raw.config_key },
            _ => return wrong("needs either `files` or `system`".into()),
        };
        let RawEntry { name, what, source, licence, setup, .. } = raw;
        Ok(Entry { name, what, source, licence, setup, parts })
    }
}

/// How a part was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There, and as it must be as far as was looked.
    Present,
    /// Not there.
    Missing,
    /// There, but not what it must be.
    Damaged {
        /// A sha256 or a length.
        expected: String,
        /// A sha256 or a length.
        found: String,
    },
    /// There, but it cannot be read.
    Unreadable(String),
    /// There is none for this architecture.
    Unavailable,
}

/// How an entry was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was looked for.
    pub entry: Entry,
    /// Its parts: where, and how.
    pub parts: Vec<(PathBuf, Condition)>,
}

impl Report {
    /// Whether all of its parts are [`Condition::Present`].
    pub fn is_present(&self) -> bool {
        self.parts.iter().all(|(_, condition)| *condition == Condition::Present)
    }

    /// One word for the table: that of the first part that is not present.
    fn word(&self) -> &'static str {
        match self.parts.iter().map(|(_, condition)| condition).find(|c| **c != Condition::Present) {
            None => "present",
            Some(Condition::Missing | Condition::Present) => "missing",
            Some(Condition::Damaged { .. }) => "damaged",
            Some(Condition::Unreadable(_)) => "unreadable",
            Some(Condition::Unavailable) => "unavailable",
        }
    }
}

impl Manifest {
    /// The manifest of this build.
    pub fn builtin() -> Result<Manifest, ManifestError> {
        Manifest::parse(BUILTIN)
    }

    /// Parses `manifest.yml`.
    pub fn parse(yaml: &str) -> Result<Manifest, ManifestError> {
        Ok(Manifest { entries: serde_yaml::from_str(yaml)? })
    }

    /// What is there, by presence and length: quick.
    pub fn list(&self, config: &Config) -> Vec<Report> {
        self.look(config, same_length)
    }

    /// What is there and intact, by sha256: reads every file.
    pub fn verify(&self, config: &Config) -> Vec<Report> {
        self.look(config, same_sha256)
    }

    fn look(&self, config: &Config, check: fn(&Path, &File) -> Condition) -> Vec<Report> {
        let report = |entry: &Entry| {
            let parts = match &entry.parts {
                Parts::Files(files) => look_at_files(files, config, check),
                Parts::System { paths, below } => paths
                    .iter()
                    .map(|path| {
                        let path = system_path(path, *below, config);
                        let condition = if path.exists() { Condition::Present } else { Condition::Missing };
                        (path, condition)
                    })
                    .collect(),
            };
            Report { entry: entry.clone(), parts }
        };
        self.entries.iter().map(report).collect()
    }
}

/// Each path once: the file of this architecture, if there is one.
fn look_at_files(
    files: &[File],
    config: &Config,
    check: fn(&Path, &File) -> Condition,
) -> Vec<(PathBuf, Condition)> {
    let mut paths: Vec<&Path> = vec![];
    for file in files {
        if !paths.contains(&&*file.path) {
            paths.push(&file.path);
        }
    }
    let fits = |file: &&File| file.platform == "any" || file.platform == std::env::consts::ARCH;
    let look = |path: &Path| {
        let at = config.models.dir.join(path);
        let condition = match files.iter().filter(|file| file.path == path).find(fits) {
            None => Condition::Unavailable,
            Some(_) if !at.is_file() => Condition::Missing,
            Some(file) => check(&at, file),
        };
        (at, condition)
    };
    paths.into_iter().map(look).collect()
}

fn system_path(path: &str, below: Option<ConfigKey>, config: &Config) -> PathBuf {
    let path = path.replace("{arch}", std::env::consts::ARCH);
    match below {
        Some(ConfigKey::PocketsphinxModelDir) => config.asr.pocketsphinx_model_dir.join(path),
        None => path.into(),
    }
}

fn same_length(path: &Path, file: &File) -> Condition {
    match path.metadata() {
        Ok(metadata) if metadata.len() == file.bytes => Condition::Present,
        Ok(metadata) => Condition::Damaged {
            expected: format!("{} bytes", file.bytes),
            found: format!("{} bytes", metadata.len()),
        },
        Err(error) => Condition::Unreadable(error.to_string()),
    }
}

fn same_sha256(path: &Path, file: &File) -> Condition {
    match sha256(path) {
        Ok(found) if found == file.sha256 => Condition::Present,
        Ok(found) => Condition::Damaged {
            expected: format!("sha256 {}", file.sha256),
            found: format!("sha256 {found}"),
        },
        Err(error) => Condition::Unreadable(error.to_string()),
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hash.update(&block[..length]),
        }
    }
}

/// A line per entry, then a line for each part that is not as it must be, with the remedy.
pub fn write_table(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let width =
        |column: fn(&Report) -> &str| reports.iter().map(|report| column(report).len()).max().unwrap_or(0);
    let (name, state) = (width(|report| &report.entry.name), width(|report| report.word()));
    let licence = width(|report| &report.entry.licence);
    for report in reports {
        let entry = &report.entry;
        writeln!(
            out,
            "{:name$}  {:state$}  {:>7}  {:licence$}  {}",
            entry.name,
            report.word(),
            size(entry),
            entry.licence,
            entry.what
        )?;
    }
    for report in reports {
        for (path, condition) in &report.parts {
            let path = path.display();
            let problem = match condition {
                Condition::Present => continue,
                Condition::Missing => format!("{path} is missing"),
                Condition::Damaged { expected, found } => {
                    format!("{path} is damaged: expected {expected}, found {found}")
                }
                Condition::Unreadable(reason) => format!("{path} cannot be read: {reason}"),
                Condition::Unavailable => {
                    writeln!(
                        out,
                        "{}: there is no {path} for {}",
                        report.entry.name,
                        std::env::consts::ARCH
                    )?;
                    continue;
                }
            };
            writeln!(out, "{}: {problem}; run {}", report.entry.name, report.entry.setup)?;
        }
    }
    Ok(())
}

/// In MB, with one decimal; empty for what a system's package brings.
fn size(entry: &Entry) -> String {
    match &entry.parts {
        Parts::System { .. } => String::new(),
        Parts::Files(files) => {
            let fits = |file: &&File| file.platform == "any" || file.platform == std::env::consts::ARCH;
            let bytes: u64 = files.iter().filter(fits).map(|file| file.bytes).sum();
            format!("{:.1} MB", bytes as f64 / 1e6)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::engines::{onnx, silero};

    /// "abc" is 3 bytes; its sha256 is the example of FIPS 180-2.
    const YAML: &str = "
- name: net
  what: a network
  source: somewhere 1.0
  licence: MIT
  setup: scripts/setup-models.sh
  files:
    - {path: a.onnx, platform: any, bytes: 3, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}
- name: voice
  what: a package
  source: Debian
  licence: CMU
  setup: apt-get install voice
  config_key: asr.pocketsphinx_model_dir
  system: [a.onnx]
";

    fn check(content: Option<&str>, looked: fn(&Manifest, &Config) -> Vec<Report>, expected: Expect) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut config = Config::default();
        config.models.dir = dir.path().into();
        config.asr.pocketsphinx_model_dir = dir.path().into();
        if let Some(content) = content {
            std::fs::write(dir.path().join("a.onnx"), content).expect("file is written");
        }
        let reports = looked(&Manifest::parse(YAML).expect("is a manifest"), &config);
        assert_eq!(reports[0].is_present(), content == Some("abc"));
        let mut table = vec![];
        write_table(&reports, &mut table).expect("is written");
        let table = String::from_utf8(table).expect("UTF-8");
        expected.assert_eq(&table.replace(&dir.path().display().to_string(), "DIR"));
    }

    #[test]
    fn what_is_there_and_intact_is_present() {
        check(
            Some("abc"),
            Manifest::verify,
            expect![[r#"
            net    present   0.0 MB  MIT  a network
            voice  present           CMU  a package
        "#]],
        );
    }

    #[test]
    fn what_is_not_there_is_missing_with_path_and_remedy() {
        check(
            None,
            Manifest::list,
            expect![[r#"
            net    missing   0.0 MB  MIT  a network
            voice  missing           CMU  a package
            net: DIR/a.onnx is missing; run scripts/setup-models.sh
            voice: DIR/a.onnx is missing; run apt-get install voice
        "#]],
        );
    }

    #[test]
    fn a_changed_file_is_damaged_with_both_sums() {
        check(
            Some("abd"),
            Manifest::verify,
            expect![[r#"
            net    damaged   0.0 MB  MIT  a network
            voice  present           CMU  a package
            net: DIR/a.onnx is damaged: expected sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, found sha256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9; run scripts/setup-models.sh
        "#]],
        );
    }

    #[test]
    fn a_truncated_file_is_damaged_at_a_glance() {
        check(
            Some("ab"),
            Manifest::list,
            expect![[r#"
            net    damaged   0.0 MB  MIT  a network
            voice  present           CMU  a package
            net: DIR/a.onnx is damaged: expected 3 bytes, found 2 bytes; run scripts/setup-models.sh
        "#]],
        );
    }

    fn check_refused(from: &str, to: &str, expected: Expect) {
        let error = Manifest::parse(&YAML.replace(from, to)).expect_err("is no manifest");
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_refused() {
        check_refused(
            "path: a.onnx",
            "path: ../a.onnx",
            expect!["models/manifest.yml: net: ../a.onnx is not below models.dir at line 2 column 1"],
        );
        check_refused(
            "15ad}",
            "15AD}",
            expect![
                "models/manifest.yml: net: sha256 of a.onnx is not 64 hexadecimal digits at line 2 column 1"
            ],
        );
        check_refused(
            "system: [a.onnx]",
            "",
            expect!["models/manifest.yml: voice: needs either `files` or `system` at line 2 column 1"],
        );
        check_refused(
            "licence: CMU",
            "license: CMU",
            expect![
                "models/manifest.yml: .[1]: unknown field `license`, expected one of `name`, `what`, `source`, `licence`, `setup`, `files`, `system`, `config_key` at line 12 column 3"
            ],
        );
    }

    /// `scripts/setup-models.sh` reads these lines with a pattern.
    #[test]
    fn file_lines_have_the_form_that_the_setup_script_reads() {
        for entry in Manifest::builtin().expect("is a manifest").entries {
            let Parts::Files(files) = entry.parts else { continue };
            for File { path, platform, bytes, sha256 } in files {
                let path = path.display();
                let line = format!(
                    "    - {{path: {path}, platform: {platform}, bytes: {bytes}, sha256: {sha256}}}\n"
                );
                assert!(BUILTIN.contains(&line), "not found: {line}");
            }
        }
    }

    #[test]
    fn the_manifest_of_this_build_lists_what_the_engines_load() {
        let manifest = Manifest::builtin().expect("is a manifest");
        let paths: Vec<&Path> = manifest
            .entries
            .iter()
            .filter_map(|entry| match &entry.parts {
                Parts::Files(files) => Some(files.iter().map(|file| file.path.as_path())),
                Parts::System { .. } => None,
            })
            .flatten()
            .collect();
        for loaded in [onnx::LIBRARY, silero::MODEL] {
            assert!(paths.contains(&Path::new(loaded)), "{loaded} is not in models/manifest.yml");
        }
    }
}
