//! `tools.*`: what the language model may call, and what is checked of it before anything is loaded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::error::Problem;
use super::tree;
use super::validate::Check;

/// Valid entries of `tools.builtin`.
pub const BUILTIN_TOOLS: &[&str] = &["now", "calculate", "end_session", "tasks"];
/// Those that there are unless something else is said: small models get lost in many.
const USUAL_TOOLS: [&str; 3] = ["now", "calculate", "end_session"];
/// Valid values of `method` in `tools.http`.
pub const HTTP_METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Where the HTTP tools stand.
pub(super) const HTTP_KEY: &str = "tools.http";
/// Longest name of a tool: what OpenAI and others allow.
const MAX_NAME_CHARS: usize = 64;
/// Longest filler: it is to bridge a wait, not to lengthen it.
const MAX_FILLER_CHARS: usize = 200;

/// `tools.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    /// Names of the built-in tools that the model may call, out of [`BUILTIN_TOOLS`].
    pub builtin: Vec<String>,
    /// Time zone of the tool `now`, as in `Europe/Vienna`; empty: the system's.
    pub timezone: String,
    /// A tool that keeps the user waiting in silence for longer is bridged by a filler.
    pub filler_after_ms: u32,
    /// What is then said, one of them; empty: nothing.
    pub filler: Vec<String>,
    /// A tool may take so long, unless it has a limit of its own.
    pub timeout_ms: u32,
    /// Requests to the language model for one reply, at most; the last one is without tools.
    pub max_rounds: u32,
    /// Tools on other servers.
    pub http: Vec<HttpTool>,
}

impl Default for Tools {
    fn default() -> Self {
        Tools {
            builtin: USUAL_TOOLS.map(str::to_owned).into(),
            timezone: String::new(),
            filler_after_ms: 900,
            filler: vec!["One moment, please.".into()],
            timeout_ms: 10_000,
            max_rounds: 4,
            http: vec![],
        }
    }
}

impl Tools {
    /// How long the slowest tool may take.
    pub fn longest_timeout_ms(&self) -> u32 {
        let own = self.http.iter().filter_map(|tool| tool.timeout_ms);
        own.chain([self.timeout_ms]).max().unwrap_or(self.timeout_ms)
    }
}

/// One entry of `tools.http`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpTool {
    /// Function name.
    pub name: String,
    /// What it is for: the model reads this.
    pub description: String,
    /// JSON schema of the arguments; its `type` is `object`.
    pub parameters: serde_json::Value,
    /// Where it is.
    pub url: String,
    /// One of [`HTTP_METHODS`]. The arguments are the query of a GET or DELETE, else a JSON body.
    pub method: String,
    /// Sent along. Not for secrets: see `token_env`.
    pub headers: BTreeMap<String, String>,
    /// Environment variable with the bearer token; empty: none.
    pub token_env: String,
    /// Its own limit instead of `tools.timeout_ms`.
    pub timeout_ms: Option<u32>,
}

impl Default for HttpTool {
    fn default() -> Self {
        HttpTool {
            name: String::new(),
            description: String::new(),
            parameters: serde_json::json!({ "type": "object", "properties": {} }),
            url: String::new(),
            method: "GET".into(),
            headers: BTreeMap::new(),
            token_env: String::new(),
            timeout_ms: None,
        }
    }
}

impl fmt::Debug for HttpTool {
    /// Without the values of headers: somebody will have put a secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&String> = self.headers.keys().collect();
        f.debug_struct("HttpTool")
            .field("name", &self.name)
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// Keys and types in `tools.http` that cannot be. Lists have no defaults to be held against, so that
/// this one is looked at on its own.
pub(super) fn problems_in_http(root: &Mapping, origin: &dyn Fn(&str) -> String) -> Vec<Problem> {
    let list = root.get("tools").and_then(|tools| tools.get("http"));
    let Some(list) = list else { return vec![] };
    let problem = |key: String, message: String| Problem { origin: origin(&key), key, message };
    let Value::Sequence(items) = list else {
        let message = format!("expected a list of tools, found {}", super::load::describe(list));
        return vec![problem(HTTP_KEY.to_owned(), message)];
    };
    let mut problems = vec![];
    for (index, item) in items.iter().enumerate() {
        let place = format!("{HTTP_KEY}[{index}]");
        let Value::Mapping(keys) = item else {
            let found = super::load::describe(item);
            problems.push(problem(place, format!("expected name, description, url …, found {found}")));
            continue;
        };
        for (key, value) in keys {
            if let Some(message) = wrong_key(key, value) {
                problems.push(problem(tree::join(&place, &tree::key_text(key)), message));
            }
        }
    }
    problems
}

/// What is wrong with one key of a tool, tried alone.
fn wrong_key(key: &Value, value: &Value) -> Option<String> {
    let known = serde_yaml::to_value(HttpTool::default()).ok()?;
    let Value::Mapping(known) = known else { return None };
    if !known.contains_key(key) {
        let names = known.keys().filter_map(Value::as_str);
        let nearest = tree::nearest(&tree::key_text(key), names).unwrap_or_default();
        return Some(format!("unknown key; the nearest valid one is {nearest}"));
    }
    let alone = Mapping::from_iter([(key.clone(), value.clone())]);
    serde_yaml::from_value::<HttpTool>(Value::Mapping(alone)).err()?;
    let wanted = match key.as_str().unwrap_or_default() {
        "timeout_ms" => "a whole number of milliseconds",
        "headers" => "names with texts",
        "parameters" => "a JSON schema",
        _ => "text",
    };
    Some(format!("expected {wanted}, found {}", super::load::describe(value)))
}

impl Check {
    pub(super) fn tools(&mut self, tools: &Tools) {
        for name in &tools.builtin {
            self.one_of("tools.builtin", name, BUILTIN_TOOLS);
        }
        self.range("tools.filler_after_ms", tools.filler_after_ms, 0..=60_000);
        for text in &tools.filler {
            let sayable = !text.trim().is_empty() && text.chars().count() <= MAX_FILLER_CHARS;
            let allowed = format!("a text of 1 to {MAX_FILLER_CHARS} characters; [] says nothing");
            self.holds(sayable, "tools.filler", text, &allowed);
        }
        self.range("tools.timeout_ms", tools.timeout_ms, super::validate::WAIT_MS);
        self.range("tools.max_rounds", tools.max_rounds, 1..=20);
        let mut names: Vec<&str> = vec![];
        for (place, name) in tools.builtin.iter().map(|name| ("tools.builtin".to_owned(), name)).chain(
            tools
                .http
                .iter()
                .enumerate()
                .map(|(index, tool)| (format!("{HTTP_KEY}[{index}].name"), &tool.name)),
        ) {
            if names.contains(&name.as_str()) {
                self.refuse(place, format!("there are two tools of the name {name:?}; rename or drop one"));
            }
            names.push(name);
        }
        for (index, tool) in tools.http.iter().enumerate() {
            self.http_tool(index, tool);
        }
    }

    fn http_tool(&mut self, index: usize, tool: &HttpTool) {
        let key = |name: &str| -> Cow<'static, str> { format!("{HTTP_KEY}[{index}].{name}").into() };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = (1..=MAX_NAME_CHARS).contains(&tool.name.len()) && tool.name.chars().all(plain);
        let allowed = format!("1 to {MAX_NAME_CHARS} of a-z, A-Z, 0-9, _ and -");
        self.holds(name, key("name"), &tool.name, &allowed);
        let described = !tool.description.trim().is_empty();
        self.holds(
            described,
            key("description"),
            &tool.description,
            "what the tool is for; the model reads it",
        );
        if tool.url.split('/').nth(2).is_some_and(|host| host.contains('@')) {
            // Not shown: there is a password in it.
            self.refuse(key("url"), "must hold no user and password; use token_env".into());
        } else {
            let without_query = tool.url.split('?').next().unwrap_or_default();
            let url = super::validate::is_http_url(without_query) && !tool.url.contains(['#', ' ']);
            self.holds(url, key("url"), &tool.url, "http:// or https://, a host, and the path");
        }
        self.one_of(key("method"), &tool.method, HTTP_METHODS);
        if !super::validate::is_variable_name(&tool.token_env) {
            let message = "not the name of an environment variable; the token itself does not belong here";
            self.refuse(key("token_env"), message.into());
        }
        if let Some(timeout_ms) = tool.timeout_ms {
            self.range(key("timeout_ms"), timeout_ms, super::validate::WAIT_MS);
        }
        let found = tool.parameters.get("type").and_then(serde_json::Value::as_str).unwrap_or("nothing");
        let object = found == "object";
        self.holds(object, key("parameters.type"), found, "object: a JSON schema of named arguments");
    }
}
