//! `agents.*`: others than the persona who may be talked with. An agent says only what differs from
//! `persona` and `llm`; [`Config::of_agent`] is the whole of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::error::Problem;
use super::load::{Schema, describe, wrong_type};
use super::validate::{Check, Finding};
use super::{Config, Llm, Persona, tree};

/// The section.
pub(super) const KEY: &str = "agents";
/// The persona, as an agent.
pub const DEFAULT_AGENT: &str = "default";
/// Longest name of an agent.
const MAX_NAME_CHARS: usize = 64;

/// One entry of `agents`. What is absent is as in `persona` and `llm`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// What it calls itself.
    pub name: Option<String>,
    /// How it behaves.
    pub system_prompt: Option<String>,
    /// What it knows: one sentence each.
    pub facts: Option<Vec<String>>,
    /// Spoken first; empty: nothing.
    pub greeting: Option<String>,
    /// Voice of the TTS engine.
    pub voice: Option<String>,
    /// Spoken when a stage fails; empty: nothing.
    pub apology: Option<String>,
    /// Names of the tools, of those in `tools`, that it may call.
    pub tools: Option<Vec<String>>,
    /// Keys of `llm` that differ.
    pub llm: Option<Mapping>,
}

impl Agent {
    /// Who it is, where `persona` says the rest.
    pub fn persona(&self, persona: &Persona) -> Persona {
        let text = |own: &Option<String>, other: &String| own.as_ref().unwrap_or(other).clone();
        let greeting = self.greeting.clone().or_else(|| persona.greeting.clone());
        Persona {
            name: text(&self.name, &persona.name),
            system_prompt: text(&self.system_prompt, &persona.system_prompt),
            facts: self.facts.clone().unwrap_or_else(|| persona.facts.clone()),
            greeting: greeting.filter(|greeting| !greeting.trim().is_empty()),
            voice: self.voice.clone().or_else(|| persona.voice.clone()),
            apology: text(&self.apology, &persona.apology),
        }
    }
}

impl Config {
    /// The configuration as it is for one agent; `None` if there is no such agent.
    pub fn of_agent(&self, name: &str) -> Option<Config> {
        if name == DEFAULT_AGENT {
            return Some(self.clone());
        }
        let agent = self.agents.get(name)?;
        let mut config = self.clone();
        config.persona = agent.persona(&self.persona);
        // What does not fit is found by [`problems`] before.
        config.llm = agent.llm.as_ref().and_then(|own| merged(&self.llm, own)).unwrap_or(config.llm);
        if let Some(names) = &agent.tools {
            config.tools.builtin.retain(|tool| names.contains(tool));
            config.tools.http.retain(|tool| names.contains(&tool.name));
        }
        Some(config)
    }

    /// The names of all agents, the persona's first.
    pub fn agent_names(&self) -> impl Iterator<Item = &str> {
        [DEFAULT_AGENT].into_iter().chain(self.agents.keys().map(String::as_str))
    }
}

/// `llm` with the keys of `own` in their place.
fn merged(llm: &Llm, own: &Mapping) -> Option<Llm> {
    let mut all = serde_yaml::to_value(llm).ok()?;
    if let Value::Mapping(all) = &mut all {
        for (path, value) in tree::leaves(own) {
            tree::set(all, &path, value.clone());
        }
    }
    serde_yaml::from_value(all).ok()
}

/// Keys and types in `agents` that cannot be. There are no defaults to hold them against but those of
/// `persona` and `llm`, so that they are looked at on their own.
pub(super) fn problems(agents: &Value, schema: &Schema, origin: &dyn Fn(&str) -> String) -> Vec<Problem> {
    let problem = |key: String, message: String| Problem { origin: origin(&key), key, message };
    let agents = match agents {
        Value::Null => return vec![],
        Value::Mapping(agents) => agents,
        other => {
            let message = format!("expected names with their settings below, found {}", describe(other));
            return vec![problem(KEY.to_owned(), message)];
        }
    };
    let mut problems = vec![];
    for (name, agent) in agents {
        let place = tree::join(KEY, &tree::key_text(name));
        if let Some(message) = wrong_name(name) {
            problems.push(problem(place, message));
            continue;
        }
        let keys = match agent {
            Value::Null => continue,
            Value::Mapping(keys) => keys,
            other => {
                let message = format!("expected system_prompt, voice, llm …, found {}", describe(other));
                problems.push(problem(place, message));
                continue;
            }
        };
        for (key, value) in keys {
            let path = tree::join(&place, &tree::key_text(key));
            match (key.as_str(), value) {
                (Some("llm"), Value::Mapping(own)) => {
                    problems.extend(problems_in_llm(&path, own, schema, origin));
                }
                _ => {
                    if let Some(message) = wrong_key(key, value) {
                        problems.push(problem(path, message));
                    }
                }
            }
        }
    }
    problems
}

fn wrong_name(name: &Value) -> Option<String> {
    let fits = |name: &str| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        plain && (1..=MAX_NAME_CHARS).contains(&name.len())
    };
    match name.as_str() {
        Some(DEFAULT_AGENT) => {
            Some("the agent `default` is the one of `persona`; change it there".to_owned())
        }
        Some(name) if fits(name) => None,
        _ => Some(format!(
            "not the name of an agent: 1 to {MAX_NAME_CHARS} letters a to z, digits, - and _ (numbers in quotes)"
        )),
    }
}

/// What is wrong with one key of an agent, tried alone.
fn wrong_key(key: &Value, value: &Value) -> Option<String> {
    let alone = Mapping::from_iter([(key.clone(), value.clone())]);
    let error = serde_yaml::from_value::<Agent>(Value::Mapping(alone)).err()?.to_string();
    if error.contains("unknown field") {
        let all = serde_yaml::to_value(Agent::default()).unwrap_or_default();
        let keys = all.as_mapping().into_iter().flat_map(Mapping::keys).filter_map(Value::as_str);
        let keys: Vec<&str> = keys.collect();
        return Some(format!("unknown key; an agent has {}", keys.join(", ")));
    }
    let wanted = match key.as_str() {
        Some("facts" | "tools") => "a list of texts",
        Some("llm") => "keys of llm below it",
        _ => "text",
    };
    Some(format!("expected {wanted}, found {}", describe(value)))
}

fn problems_in_llm(
    place: &str,
    own: &Mapping,
    schema: &Schema,
    origin: &dyn Fn(&str) -> String,
) -> Vec<Problem> {
    let mut problems = vec![];
    let Some(llm) = schema.section("llm") else { return problems };
    schema.refuse_unknown(place, own, llm, origin, &mut problems);
    let known = tree::leaves(llm);
    for (key, value) in tree::leaves(own) {
        let default = known.iter().find(|(known, _)| *known == key);
        let wrong = default.and_then(|(_, default)| wrong_type(&format!("llm.{key}"), value, default));
        if let Some(message) = wrong {
            let key = format!("{place}.{key}");
            problems.push(Problem { origin: origin(&key), key, message });
        }
    }
    problems
}

impl Check {
    /// Values that cannot be for an agent, under its own keys.
    pub(super) fn agents(&mut self, config: &Config) {
        let there_are: Vec<&str> = {
            let http = config.tools.http.iter().map(|tool| tool.name.as_str());
            config.tools.builtin.iter().map(String::as_str).chain(http).collect()
        };
        for (name, agent) in &config.agents {
            let Some(whole) = config.of_agent(name) else { continue };
            let mut own = Check(vec![]);
            own.persona(&whole.persona);
            if agent.llm.is_some() {
                own.llm(&whole.llm);
            }
            let own_key = |key: &Cow<'static, str>| {
                let key = key.strip_prefix("persona.").unwrap_or(key);
                Cow::Owned(format!("{KEY}.{name}.{key}"))
            };
            self.0.extend(own.0.into_iter().map(|finding| {
                // Where an agent's value is the common one, that has been found before.
                let keys = finding.keys.iter().map(own_key).chain(finding.keys.iter().cloned()).collect();
                Finding { keys, message: finding.message }
            }));
            for tool in agent.tools.iter().flatten() {
                let known = there_are.contains(&tool.as_str());
                let allowed = format!("one of {} (tools.builtin and tools.http)", there_are.join(", "));
                self.holds(known, format!("{KEY}.{name}.tools"), tool, &allowed);
            }
        }
    }
}

/// The type of [`Config::agents`].
pub type Agents = BTreeMap<String, Agent>;
