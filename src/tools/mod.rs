//! Tools that the language model may call: which there are, what they want, and running them.
//!
//! ```text
//! the model's call ─▶ Registry::run: name, arguments (JSON schema), time limit ─▶ now · calculate · end_session · HTTP
//!                                                                        ◀─ Answer: content for the model, summary
//! ```
//!
//! Whatever goes wrong is an [`Answer`] too, which the model reads (`{"error": "…"}`): it finds words
//! for it, or calls again with better arguments. What is wrong with the configuration is an error when
//! the registry is made, and nothing is left to be wrong later.
//!
//! A run is a future without any waiting for a thread in it, and ends where it is when it is dropped:
//! that is how an interruption cancels a tool. Nothing here knows a session, a turn, or who asks.
//! Deliberately absent: when a tool is run and what happens with the answer (`turn`, `session`).

mod calculate;
mod http;
mod now;
mod told;

use std::sync::Arc;
use std::time::Duration;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::config;
use crate::conversation::tasks;
use crate::engines::ToolSpec;
use http::HttpTool;
use now::Now;

/// Arguments of a call, at most, in bytes.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;
/// Content of an answer, at most, in bytes: a model has to read it all.
const MAX_CONTENT_BYTES: usize = 16 << 10;
/// Characters of a summary.
const MAX_SUMMARY_CHARS: usize = 160;
/// What is wrong with arguments is told up to so many times.
const MAX_COMPLAINTS: usize = 3;

/// Where tools get the time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// A tool of the configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct ToolError {
    /// The key, as in `tools.http[0].url`.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// What a tool gave, well or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON or text, for the model.
    pub content: String,
    /// The same in a few words.
    pub summary: String,
    /// It went wrong; `content` says how.
    pub failed: bool,
    /// The conversation is to end when the reply has been heard.
    pub ends_session: bool,
}

impl Answer {
    /// It went well.
    pub fn new(content: String, summary: &str) -> Answer {
        Answer { content, summary: shortened(summary), failed: false, ends_session: false }
    }

    /// It went wrong.
    pub fn error(message: &str) -> Answer {
        Answer {
            content: told::json(&json!({ "error": message })),
            summary: shortened(&format!("error: {message}")),
            failed: true,
            ends_session: false,
        }
    }
}

/// All tools of this server.
pub struct Registry {
    tools: Vec<Tool>,
    /// In the order of `tools`.
    specs: Vec<ToolSpec>,
}

struct Tool {
    arguments: Validator,
    timeout: Duration,
    kind: Kind,
}

enum Kind {
    Now(Now),
    Calculate,
    EndSession,
    /// What it works on belongs to one conversation, which runs it itself.
    OfSession,
    Http(Box<HttpTool>),
}

impl Registry {
    /// The tools of the configuration, by this machine's clock.
    ///
    /// # Errors
    /// A time zone, JSON schema, header or token that cannot be used.
    pub fn new(config: &config::Tools) -> Result<Registry, ToolError> {
        Registry::with_clock(config, Arc::new(jiff::Timestamp::now))
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn with_clock(config: &config::Tools, clock: Clock) -> Result<Registry, ToolError> {
        let mut registry = Registry { tools: Vec::new(), specs: Vec::new() };
        let timeout = Duration::from_millis(config.timeout_ms.into());
        for name in &config.builtin {
            if name == "tasks" {
                for (name, description, parameters) in tasks::tools() {
                    registry.add("tools.builtin", name, description, parameters, timeout, Kind::OfSession)?;
                }
                continue;
            }
            let (kind, description, parameters) = match name.as_str() {
                "now" => {
                    let now = Now::new(&config.timezone, Arc::clone(&clock))?;
                    (Kind::Now(now), "The current date and time.", no_arguments())
                }
                "calculate" => (
                    Kind::Calculate,
                    "Works out a sum, for example \"seven plus four\" or \"(3 + 4.5) * 2\".",
                    json!({
                        "type": "object",
                        "properties": {"expression": {"type": "string"}},
                        "required": ["expression"],
                        "additionalProperties": false,
                    }),
                ),
                "end_session" => (
                    Kind::EndSession,
                    "Hangs up. Only when the user has said goodbye; say goodbye yourself in the same reply.",
                    no_arguments(),
                ),
                other => {
                    let known = config::BUILTIN_TOOLS.join(", ");
                    let message = format!("there is no built-in tool {other:?}; there is {known}");
                    return Err(ToolError { key: "tools.builtin".into(), message });
                }
            };
            registry.add("tools.builtin", name, description, parameters, timeout, kind)?;
        }
        for (index, tool) in config.http.iter().enumerate() {
            let key = format!("tools.http[{index}]");
            let timeout = tool.timeout_ms.map_or(timeout, |own| Duration::from_millis(own.into()));
            let kind = Kind::Http(Box::new(HttpTool::new(tool, &key)?));
            registry.add(&key, &tool.name, &tool.description, tool.parameters.clone(), timeout, kind)?;
        }
        Ok(registry)
    }

    /// What the model is told of the tools.
    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Whether the conversation runs this tool itself: it works on what belongs to that.
    pub fn is_of_session(&self, name: &str) -> bool {
        let known = self.specs.iter().zip(&self.tools).find(|(spec, _)| spec.name == name);
        known.is_some_and(|(_, tool)| matches!(tool.kind, Kind::OfSession))
    }

    /// Runs a tool with the model's arguments (JSON text). Dropping the future stops it.
    pub async fn run(&self, name: &str, arguments: &str) -> Answer {
        let known = self.specs.iter().zip(&self.tools).find(|(spec, _)| spec.name == name);
        let Some((spec, tool)) = known else {
            let names: Vec<&str> = self.specs.iter().map(|spec| spec.name.as_str()).collect();
            return Answer::error(&format!("there is no such tool; there are: {}", names.join(", ")));
        };
        let arguments = match parsed(arguments, &tool.arguments) {
            Ok(arguments) => arguments,
            Err(complaint) => return Answer::error(&complaint),
        };
        let began = std::time::Instant::now();
        let answer = tokio::time::timeout(tool.timeout, tool.kind.run(&arguments)).await;
        let mut answer = answer
            .unwrap_or_else(|_| Answer::error(&format!("no answer within {} ms", tool.timeout.as_millis())));
        answer.content = cut(answer.content);
        let took_ms = began.elapsed().as_millis() as u64;
        tracing::info!(tool = spec.name, failed = answer.failed, took_ms, "a tool was run");
        crate::metrics::tool_ran(answer.failed);
        answer
    }

    fn add(
        &mut self,
        key: &str,
        name: &str,
        description: &str,
        parameters: Value,
        timeout: Duration,
        kind: Kind,
    ) -> Result<(), ToolError> {
        let error = |key: String, message: String| ToolError { key, message };
        if self.specs.iter().any(|spec| spec.name == name) {
            return Err(error(key.to_owned(), format!("there are two tools of the name {name:?}")));
        }
        let arguments = jsonschema::validator_for(&parameters)
            .map_err(|wrong| error(format!("{key}.parameters"), format!("no JSON schema: {wrong}")))?;
        self.tools.push(Tool { arguments, timeout, kind });
        let (name, description) = (name.to_owned(), description.trim().to_owned());
        self.specs.push(ToolSpec { name, description, parameters });
        Ok(())
    }
}

impl Kind {
    /// `arguments` are what the tool's schema allows.
    async fn run(&self, arguments: &Value) -> Answer {
        match self {
            Kind::Now(now) => now.answer(),
            Kind::Calculate => calculate::answer(arguments["expression"].as_str().unwrap_or_default()),
            Kind::EndSession => {
                let content = told::json(&json!({ "ended": true }));
                Answer { ends_session: true, ..Answer::new(content, "ends when the goodbye has been heard") }
            }
            Kind::OfSession => Answer::error("this tool works in conversations only"),
            Kind::Http(tool) => tool.run(arguments).await,
        }
    }
}

fn no_arguments() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// The model's arguments, if the schema allows them. The error is for the model.
fn parsed(arguments: &str, schema: &Validator) -> Result<Value, String> {
    if arguments.len() > MAX_ARGUMENT_BYTES {
        return Err(format!("the arguments are longer than {MAX_ARGUMENT_BYTES} bytes"));
    }
    // Models write nothing where nothing is wanted.
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the arguments are not JSON: {error}"))?;
    let complaints: Vec<String> = schema
        .iter_errors(&value)
        .take(MAX_COMPLAINTS)
        .map(|wrong| match wrong.instance_path().to_string() {
            path if path.is_empty() => shortened(&wrong.to_string()),
            path => shortened(&format!("{path}: {wrong}")),
        })
        .collect();
    if complaints.is_empty() {
        return Ok(value);
    }
    Err(format!("wrong arguments: {}", complaints.join("; ")))
}

/// On one line, and not longer than a summary may be.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SUMMARY_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Content that is too long ends with a remark.
fn cut(mut content: String) -> String {
    if content.len() > MAX_CONTENT_BYTES {
        content.truncate(content.floor_char_boundary(MAX_CONTENT_BYTES));
        content.push_str(" … (cut off)");
    }
    content
}

#[cfg(test)]
mod tests;
