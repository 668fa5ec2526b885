//! `vivavoce config check`: would the server start with this configuration?
//!
//! Deliberately absent: loading models and asking other servers; that is `serve`'s business.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use crate::config::{Config, ENV_PREFIX, Source};
use crate::tools::Registry;

/// Writes where the configuration comes from, then `ok` or all that is wrong with it, one line each.
/// `Ok(false)` if something is: the exit code should say so.
pub fn run(path: Option<&Path>, out: &mut dyn Write) -> io::Result<bool> {
    check(&Source::find(path), std::env::vars_os().collect(), out)
}

fn check(source: &Source, environment: Vec<(OsString, OsString)>, out: &mut dyn Write) -> io::Result<bool> {
    writeln!(out, "configuration: {source}")?;
    let mut variables: Vec<_> = environment.iter().map(|(name, _)| name.to_string_lossy()).collect();
    variables.retain(|name| name.starts_with(ENV_PREFIX));
    variables.sort();
    if !variables.is_empty() {
        writeln!(out, "environment: {}", variables.join(", "))?;
    }
    match Config::load_from(source, environment.iter().cloned()) {
        Ok(config) => match Registry::new(&config.tools) {
            Ok(_) => {
                writeln!(out, "ok")?;
                Ok(true)
            }
            Err(error) => {
                writeln!(out, "{source}: {error}")?;
                Ok(false)
            }
        },
        Err(error) => {
            for line in error.lines() {
                writeln!(out, "{line}")?;
            }
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check_file(text: &str, variables: &[(&str, &str)], expected: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut out = Vec::new();
        let valid = check(&Source::File(path), environment, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap().replace(folder.path().to_str().unwrap(), "DIR");
        expected.assert_eq(&format!("{shown}valid: {valid}\n"));
    }

    #[test]
    fn a_good_file_is_ok() {
        check_file(
            "turn: {lead_ms: 200}\n",
            &[("VIVAVOCE_SERVER__PORT", "9000"), ("HOME", "/")],
            expect![[r#"
                configuration: DIR/config.yml
                environment: VIVAVOCE_SERVER__PORT
                ok
                valid: true
            "#]],
        );
    }

    #[test]
    fn a_tool_that_cannot_be_is_found() {
        check_file(
            "tools:\n  timezone: Vienna\n",
            &[],
            expect![[r#"
                configuration: DIR/config.yml
                DIR/config.yml: tools.timezone: there is no time zone "Vienna" here (failed to find time zone `Vienna` in time zone database); write it as in Europe/Vienna, and install the system's time zones if they are missing (Debian: tzdata)
                valid: false
            "#]],
        );
    }

    #[test]
    fn everything_wrong_is_listed() {
        check_file(
            "turn: {leed_ms: 200}\nvad:\n  threshold: high\n",
            &[("VIVAVOCE_SERVER__PROT", "9000")],
            expect![[r#"
                configuration: DIR/config.yml
                environment: VIVAVOCE_SERVER__PROT
                DIR/config.yml:1: turn.leed_ms: unknown key; the nearest valid one is turn.lead_ms
                VIVAVOCE_SERVER__PROT: server.prot: unknown key; the nearest valid variable is VIVAVOCE_SERVER__PORT
                DIR/config.yml:3: vad.threshold: expected a number, found the text "high"
                valid: false
            "#]],
        );
    }
}
