//! Conversations → text, by the model's own chat template.
//!
//! Templates are Jinja as transformers runs it (`apply_chat_template`); this gives them what it gives
//! them: `trim_blocks` and `lstrip_blocks`, loop controls, Python's string methods, `tojson` like
//! `json.dumps`, `raise_exception`, `strftime_now`, `{% generation %}` blocks, the names of special
//! tokens, `tools` and `documents` that are none rather than empty.
//!
//! Deliberately absent: images and documents in messages.

mod python;

use std::path::Path;

use jiff::Zoned;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use super::TextError;
use super::files::{read_json_if_there, read_text};
use super::tokenizer::SpecialNames;
use crate::engines::{ChatMessage, Role, ToolSpec};

/// What models without a template of their own are most often trained on.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Bytes of a rendered conversation, at most.
const MAX_RENDERED_BYTES: usize = 16 << 20;

/// The chat template of a model.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Where it is from, for errors.
    place: String,
    /// A second template is used when there are tools.
    has_tool_use: bool,
    sources: String,
}

/// What is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// In order.
    pub messages: &'a [ChatMessage],
    /// What may be called.
    pub tools: &'a [ToolSpec],
    /// Whether the model may think first (Qwen3).
    pub enable_thinking: bool,
    /// Whether the text ends with the beginning of a reply.
    pub add_generation_prompt: bool,
    /// What the template prints for special tokens.
    pub names: &'a SpecialNames,
}

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// `chat_template` of `tokenizer_config.json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
struct TemplateFile {
    chat_template: Option<Templates>,
}

impl ChatTemplate {
    /// Compiles a template; `place` names it in errors.
    pub fn new(source: &str, place: &str) -> Result<ChatTemplate, TextError> {
        Self::compile(&[(DEFAULT, source)], place)
    }

    /// ChatML, for models without a template.
    pub fn chatml() -> Result<ChatTemplate, TextError> {
        Self::new(CHATML, "ChatML")
    }

    /// The template of a model's folder; none if it has none.
    pub fn from_folder(folder: &Path) -> Result<Option<ChatTemplate>, TextError> {
        let jinja = folder.join("chat_template.jinja");
        if jinja.exists() {
            return Self::new(&read_text(&jinja)?, &jinja.display().to_string()).map(Some);
        }
        for name in ["tokenizer_config.json", "chat_template.json"] {
            let file = folder.join(name);
            let read: Option<TemplateFile> = read_json_if_there(&file)?;
            let place = file.display().to_string();
            match read.and_then(|read| read.chat_template) {
                Some(Templates::One(source)) => return Self::new(&source, &place).map(Some),
                Some(Templates::Named(named)) => {
                    let named: Vec<(&str, &str)> =
                        named.iter().map(|it| (it.name.as_str(), it.template.as_str())).collect();
                    return Self::compile(&named, &place).map(Some);
                }
                None => {}
            }
        }
        Ok(None)
    }

    fn compile(named: &[(&str, &str)], place: &str) -> Result<ChatTemplate, TextError> {
        let broken = |error: Error| TextError::Load {
            place: place.to_owned(),
            problem: format!("its chat template is broken: {}", describe(&error)),
            remedy: "fetch the file again, or remove the template to use ChatML",
        };
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?,
        );
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", python::tojson);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| {
            jiff::fmt::strtime::format(format, &Zoned::now())
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        let wanted: Vec<_> = named.iter().filter(|(name, _)| [DEFAULT, TOOL_USE].contains(name)).collect();
        for (name, source) in &wanted {
            let source = without_generation_blocks(source);
            environment.add_template_owned((*name).to_owned(), source).map_err(broken)?;
        }
        if !wanted.iter().any(|(name, _)| *name == DEFAULT) {
            return Err(TextError::Load {
                place: place.to_owned(),
                problem: "none of its chat templates is called 'default'".to_owned(),
                remedy: "name one of them so",
            });
        }
        Ok(ChatTemplate {
            environment,
            place: place.to_owned(),
            has_tool_use: wanted.iter().any(|(name, _)| *name == TOOL_USE),
            sources: wanted.iter().map(|(_, source)| *source).collect(),
        })
    }

    /// The text of the template (of both, one behind the other).
    pub fn source(&self) -> &str {
        &self.sources
    }

    /// Renders a conversation. Everything that people, tools and the model said goes through `say`
    /// first.
    pub fn render(
        &self,
        conversation: Conversation<'_>,
        say: &dyn Fn(&str) -> String,
    ) -> Result<String, TextError> {
        let fails = |problem: String| TextError::Template { place: self.place.clone(), problem };
        if conversation.messages.is_empty() {
            return Err(fails("the conversation has no message".to_owned()));
        }
        let with_tools = self.has_tool_use && !conversation.tools.is_empty();
        let template = self.environment.get_template(if with_tools { TOOL_USE } else { DEFAULT });
        let text = template
            .and_then(|template| template.render(context(conversation, say)))
            .map_err(|error| fails(describe(&error)))?;
        if text.len() > MAX_RENDERED_BYTES {
            return Err(fails(format!("the conversation is longer than {MAX_RENDERED_BYTES} bytes")));
        }
        Ok(text)
    }
}

/// What a template sees.
fn context(conversation: Conversation<'_>, say: &dyn Fn(&str) -> String) -> Value {
    let Conversation { messages, tools, enable_thinking, add_generation_prompt, names } = conversation;
    let described = |tool: &ToolSpec| {
        Value::from_pairs([
            ("type", Value::from("function")),
            (
                "function",
                Value::from_pairs([
                    ("name", Value::from(say(&tool.name))),
                    ("description", Value::from(say(&tool.description))),
                    ("parameters", value(&tool.parameters, say)),
                ]),
            ),
        ])
    };
    let tools = match tools {
        [] => Value::from(()),
        tools => tools.iter().map(described).collect(),
    };
    let messages: Value = messages.iter().map(|one| message(one, messages, say)).collect();
    let named = [
        ("bos_token", &names.bos),
        ("eos_token", &names.eos),
        ("unk_token", &names.unknown),
        ("pad_token", &names.pad),
    ];
    let named = named.into_iter().filter_map(|(key, name)| Some((key, Value::from(name.as_deref()?))));
    let always = [
        ("messages", messages),
        ("tools", tools),
        ("documents", Value::from(())),
        ("add_generation_prompt", Value::from(add_generation_prompt)),
        ("enable_thinking", Value::from(enable_thinking)),
    ];
    Value::from_pairs(always.into_iter().chain(named))
}

fn message(message: &ChatMessage, all: &[ChatMessage], say: &dyn Fn(&str) -> String) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut fields = vec![("role", Value::from(role)), ("content", Value::from(say(&message.content)))];
    if !message.tool_calls.is_empty() {
        let call = |call: &crate::engines::ToolCall| {
            // Templates expect an object. What is none (a call that a server sent broken) is shown as it is.
            let arguments = match serde_json::from_str::<Json>(&call.arguments) {
                Ok(arguments @ Json::Object(_)) => value(&arguments, say),
                _ => Value::from(say(&call.arguments)),
            };
            let function = [("name", Value::from(say(&call.name))), ("arguments", arguments)];
            Value::from_pairs([
                ("id", Value::from(say(&call.id))),
                ("type", Value::from("function")),
                ("function", Value::from_pairs(function)),
            ])
        };
        fields.push(("tool_calls", message.tool_calls.iter().map(call).collect()));
    }
    if let Some(id) = &message.tool_call_id {
        fields.push(("tool_call_id", Value::from(say(id))));
        let calls = all.iter().flat_map(|message| &message.tool_calls);
        if let Some(call) = calls.into_iter().find(|call| call.id == *id) {
            fields.push(("name", Value::from(say(&call.name))));
        }
    }
    Value::from_pairs(fields)
}

/// JSON as a template value; strings, also those that are keys, go through `say`.
fn value(json: &Json, say: &dyn Fn(&str) -> String) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(say(text)),
        Json::Array(items) => items.iter().map(|item| value(item, say)).collect(),
        Json::Object(fields) => {
            Value::from_pairs(fields.iter().map(|(key, field)| (say(key), value(field, say))))
        }
    }
}

/// `{% generation %}` marks what a model is trained on; for rendering it means nothing. (`if true`
/// keeps what the tags do to the white space around them.)
fn without_generation_blocks(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        plain.push_str(before);
        let sign_bytes = usize::from(tag.starts_with(['-', '+']));
        let word_at = tag[sign_bytes..].len() - tag[sign_bytes..].trim_start().len() + sign_bytes;
        let word = tag[word_at..].split(|character: char| !character.is_alphanumeric()).next();
        let replacement = match word {
            Some("generation") => Some(("generation", "if true")),
            Some("endgeneration") => Some(("endgeneration", "endif")),
            _ => None,
        };
        rest = tag;
        if let Some((word, replacement)) = replacement {
            plain.push_str(&tag[..word_at]);
            plain.push_str(replacement);
            rest = &tag[word_at + word.len()..];
        }
    }
    plain.push_str(rest);
    plain
}

/// What an error says, in one line.
fn describe(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words += &format!(": {cause}");
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests;
