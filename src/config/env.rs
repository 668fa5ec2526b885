//! Environment variables over `config.yml`: `VIVAVOCE_SERVER__PORT=9000` sets `server.port`.
//!
//! The name is the key's path in capitals, sections joined by two underscores. The value is YAML
//! (`true`, `250`, `[a, b]`), except for keys that hold text: there it is the text itself, so that
//! nothing has to be quoted twice. For a key that may be unset, an empty value unsets it.

use std::ffi::OsString;

use serde_yaml::Value;

use super::error::Problem;
use super::tree;

/// All variables with this prefix are ours; one that is no key is an error.
pub const ENV_PREFIX: &str = "VIVAVOCE_";

/// Variables under the prefix that are no keys of `config.yml`: the command-line client's token.
const NOT_KEYS: &[&str] = &["VIVAVOCE_TOKEN"];

/// Keys that hold text or nothing. (The others that may be unset hold numbers.)
const UNSET_TEXTS: &[&str] = &["markdown.host", "persona.greeting", "persona.voice"];

/// One key set by the environment.
#[derive(Debug, PartialEq)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) key: String,
    pub(super) value: Value,
}

/// The variable that sets the key `path`.
pub(super) fn variable_of(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// Picks the overrides out of `variables`. `defaults`: every key that is no section, and its default.
pub(super) fn overrides(
    variables: impl Iterator<Item = (OsString, OsString)>,
    defaults: &[(String, &Value)],
) -> (Vec<Override>, Vec<Problem>) {
    let names: Vec<String> = defaults.iter().map(|(key, _)| variable_of(key)).collect();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(ENV_PREFIX) || NOT_KEYS.contains(&name.as_str()) {
            continue;
        }
        let Some(index) = names.iter().position(|known| *known == name) else {
            let key = name[ENV_PREFIX.len()..].to_lowercase().replace("__", ".");
            let nearest = tree::nearest(&name, names.iter().map(String::as_str)).unwrap_or_default();
            let message = format!("unknown key; the nearest valid variable is {nearest}");
            problems.push(Problem { origin: name, key, message });
            continue;
        };
        let (key, default) = &defaults[index];
        match value
            .into_string()
            .map_err(|_| "not valid UTF-8".to_owned())
            .and_then(|v| parse(v, key, default))
        {
            Ok(value) => found.push(Override { variable: name, key: key.clone(), value }),
            Err(message) => problems.push(Problem { origin: name, key: key.clone(), message }),
        }
    }
    // The environment has no order of its own; errors and overrides should have one.
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
    problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    (found, problems)
}

fn parse(value: String, key: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::String(_) => Ok(Value::String(value)),
        Value::Null if value.is_empty() => Ok(Value::Null),
        Value::Null if UNSET_TEXTS.contains(&key) => Ok(Value::String(value)),
        _ => serde_yaml::from_str(&value).map_err(|error| format!("not valid YAML: {error}")),
    }
}
