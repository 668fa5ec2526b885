//! What is asked of the language model, checked. What a client asks for and cannot have is refused, where
//! leaving it out would change what the answer means; what is unknown is ignored.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::config;
use crate::engines::{Calls, ChatMessage, LlmRequest, ReplyForm, RequestSampling, Role, ToolCall, ToolSpec};
use crate::frontends::problem::Problem;

const MAX_STOPS: usize = 4;
const MAX_TOOLS: usize = 128;

/// A conversation to be continued.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatRequest)]
pub struct Request {
    /// The conversation so far.
    messages: Vec<Message>,
    /// Any name: there is one language model here.
    #[allow(dead_code)]
    model: Option<String>,
    /// Functions that the model may call.
    tools: Option<Vec<Tool>>,
    /// `auto` (if absent), `none`, `required`, or `{"type": "function", "function": {"name": …}}`.
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    /// Tokens of the reply, at most.
    max_completion_tokens: Option<u32>,
    /// The older name of the same.
    max_tokens: Option<u32>,
    /// 0 to 2.
    temperature: Option<f32>,
    /// 0 to 1.
    top_p: Option<f32>,
    /// The same seed and conversation give the same reply, where the engine can.
    seed: Option<i64>,
    /// The reply ends before any of these; four at most.
    stop: Option<OneOrMany>,
    /// The reply comes while it is written.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Only 1.
    n: Option<u32>,
    /// `text` (if absent), `json_object`, or `json_schema` with its schema.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
    /// Only false.
    logprobs: Option<bool>,
}

/// What is to come with a stream.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ChatStreamOptions)]
pub struct StreamOptions {
    /// At last, tokens counted.
    #[serde(default)]
    pub include_usage: bool,
}

/// One text, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = OneOrManyTexts)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatMessage)]
struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    role: String,
    /// A text, or parts of type `text`.
    content: Option<Content>,
    /// Of the assistant: what it called.
    tool_calls: Option<Vec<Call>>,
    /// Of a tool: the call that it answers.
    tool_call_id: Option<String>,
}

/// What a message says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ChatContent)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of what a message says.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatContentPart)]
struct Part {
    /// Only `text`.
    r#type: String,
    text: Option<String>,
}

/// A call that the assistant made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatRequestToolCall)]
struct Call {
    id: String,
    function: CalledFunction,
}

/// Which function, with what.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatRequestFunctionCall)]
struct CalledFunction {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// A tool that may be called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatTool)]
struct Tool {
    /// Only `function`.
    r#type: Option<String>,
    function: Function,
}

/// A function that may be called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatFunction)]
struct Function {
    name: String,
    #[serde(default)]
    description: String,
    /// JSON schema of the arguments.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
}

/// A request that can be worked on.
#[derive(Debug)]
pub struct Checked {
    /// For the engine.
    pub request: LlmRequest,
    /// The reply is to come while it is written.
    pub stream: Option<StreamOptions>,
}

impl Request {
    /// Checks everything; `config` has the limits.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn checked(self, config: &config::Llm) -> Result<Checked, Problem> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(Problem::bad_value("n", "n: there is one reply for each request here"));
        }
        if self.logprobs == Some(true) {
            return Err(Problem::bad_value("logprobs", "logprobs: they are not told here"));
        }
        let calls = calls(self.tool_choice.as_ref())?;
        let tools = if calls == Calls::Never { vec![] } else { specs(self.tools.unwrap_or_default())? };
        let form = match schema(self.response_format.as_ref())? {
            Some(schema) if tools.is_empty() => ReplyForm::Json(schema),
            Some(_) => {
                let message = "response_format: not together with tools; leave one of them out";
                return Err(Problem::bad_value("response_format", message));
            }
            None => calls.form(&tools),
        };
        if matches!(calls, Calls::Must | Calls::MustBe(_)) && form == ReplyForm::Free {
            return Err(Problem::bad_value("tool_choice", "tool_choice: there is no such tool in tools"));
        }
        let asked = self.max_completion_tokens.or(self.max_tokens);
        if asked == Some(0) {
            return Err(Problem::bad_value("max_completion_tokens", "max_completion_tokens: at least 1"));
        }
        let sampling = RequestSampling {
            temperature: within("temperature", self.temperature, 2.0)?,
            top_p: within("top_p", self.top_p, 1.0)?,
            seed: self.seed.map(i64::cast_unsigned),
            stop: stops(self.stop)?,
        };
        if self.messages.is_empty() {
            return Err(Problem::bad_value("messages", "messages: there are none"));
        }
        let messages: Result<_, _> = self.messages.into_iter().enumerate().map(message).collect();
        let request = LlmRequest {
            messages: messages?,
            tools,
            max_new_tokens: asked.map_or(config.max_new_tokens, |asked| asked.min(config.max_new_tokens)),
            sampling,
            form,
        };
        let stream = self.stream.unwrap_or(false).then(|| self.stream_options.unwrap_or_default());
        Ok(Checked { request, stream })
    }
}

/// `tool_choice`.
fn calls(choice: Option<&Value>) -> Result<Calls, Problem> {
    match choice {
        None | Some(Value::Null) => return Ok(Calls::May),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => return Ok(Calls::May),
            "none" => return Ok(Calls::Never),
            "required" => return Ok(Calls::Must),
            _ => {}
        },
        Some(choice) => {
            let name = choice["function"]["name"].as_str().filter(|_| choice["type"] == "function");
            if let Some(name) = name {
                return Ok(Calls::MustBe(name.to_owned()));
            }
        }
    }
    Err(Problem::bad_value("tool_choice", "tool_choice: one of auto, none, required, or a function by name"))
}

/// The schema that `response_format` asks for; none for text.
fn schema(format: Option<&Value>) -> Result<Option<Value>, Problem> {
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(None) };
    let schema = &format["json_schema"]["schema"];
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(serde_json::json!({"type": "object"}))),
        Some("json_schema") if schema.is_object() => Ok(Some(schema.clone())),
        _ => {
            let message = "response_format: one of text, json_object, and json_schema with its schema";
            Err(Problem::bad_value("response_format", message))
        }
    }
}

fn within(param: &str, value: Option<f32>, most: f32) -> Result<Option<f32>, Problem> {
    match value.filter(|value| !(0.0..=most).contains(value)) {
        Some(value) => Err(Problem::bad_value(param, format!("{param}: {value} is not within 0 to {most}"))),
        None => Ok(value),
    }
}

fn stops(stop: Option<OneOrMany>) -> Result<Vec<String>, Problem> {
    let stops = match stop {
        None => vec![],
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    };
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.is_empty() || stop.len() > 256) {
        let message = format!("stop: at most {MAX_STOPS} texts of 1 to 256 bytes");
        return Err(Problem::bad_value("stop", message));
    }
    Ok(stops)
}

fn message((index, message): (usize, Message)) -> Result<ChatMessage, Problem> {
    let param = |name: &str| format!("messages[{index}].{name}");
    let role = match message.role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let text =
                format!("there is no role {other:?}; there are system, developer, user, assistant and tool");
            return Err(Problem::bad_value(param("role"), text));
        }
    };
    let calls = message.tool_calls.unwrap_or_default();
    if !calls.is_empty() && role != Role::Assistant {
        return Err(Problem::bad_value(param("tool_calls"), "only the assistant calls tools"));
    }
    if (role == Role::Tool) != message.tool_call_id.is_some() {
        let text = "a message of a tool, and no other, needs the id of the call that it answers";
        return Err(Problem::bad_value(param("tool_call_id"), text));
    }
    let content = match message.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            let texts: Result<Vec<String>, Problem> = parts
                .into_iter()
                .map(|part| match (part.r#type.as_str(), part.text) {
                    ("text", Some(text)) => Ok(text),
                    (other, _) => {
                        let text = format!("parts of type {other:?} are not understood here; text is");
                        Err(Problem::bad_value(param("content"), text))
                    }
                })
                .collect();
            texts?.join("\n")
        }
        None if calls.is_empty() => {
            return Err(Problem::bad_value(param("content"), "there is neither a content nor a call"));
        }
        None => String::new(),
    };
    let call = |Call { id, function: CalledFunction { name, arguments } }| ToolCall { id, name, arguments };
    let tool_calls = calls.into_iter().map(call).collect();
    Ok(ChatMessage { role, content, tool_calls, tool_call_id: message.tool_call_id })
}

fn specs(tools: Vec<Tool>) -> Result<Vec<ToolSpec>, Problem> {
    if tools.len() > MAX_TOOLS {
        return Err(Problem::bad_value("tools", format!("tools: at most {MAX_TOOLS}")));
    }
    let spec = |(index, tool): (usize, Tool)| {
        if let Some(other) = tool.r#type.filter(|kind| kind != "function") {
            let message = format!("there is no type {other:?}; there is function");
            return Err(Problem::bad_value(format!("tools[{index}].type"), message));
        }
        let Function { name, description, parameters } = tool.function;
        let well_named = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !well_named {
            let message = format!("{name:?} is no name of 1 to 64 letters, digits, _ and -");
            return Err(Problem::bad_value(format!("tools[{index}].function.name"), message));
        }
        let parameters =
            parameters.unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}}));
        if !parameters.is_object() {
            let message = "the parameters are no JSON schema of an object";
            return Err(Problem::bad_value(format!("tools[{index}].function.parameters"), message));
        }
        Ok(ToolSpec { name, description, parameters })
    };
    tools.into_iter().enumerate().map(spec).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(body: Value) -> Result<Checked, Problem> {
        serde_json::from_value::<Request>(body).unwrap().checked(&config::Llm::default())
    }

    #[test]
    fn a_whole_conversation_is_taken_over() {
        let body = json!({
            "model": "gpt-4o", "user": "somebody", "stream": true, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "on?"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "noon"},
            ],
            "tools": [{"type": "function", "function": {"name": "now"}}], "tool_choice": "auto",
            "max_tokens": 7, "temperature": 0, "top_p": 0.5, "seed": -1, "stop": "END",
        });
        let Checked { request, stream } = check(body).unwrap();
        assert!(stream.unwrap().include_usage);
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
        assert_eq!(request.messages[1].content, "What is\non?");
        assert_eq!(request.messages[2].tool_calls[0].name, "now");
        assert_eq!(request.messages[3].tool_call_id.as_deref(), Some("c1"));
        assert_eq!(request.tools[0].parameters["type"], "object");
        assert_eq!(request.max_new_tokens, 7);
        let sampling = &request.sampling;
        assert_eq!(
            (sampling.temperature, sampling.top_p, sampling.seed),
            (Some(0.0), Some(0.5), Some(u64::MAX))
        );
        assert_eq!(sampling.stop, ["END"]);
    }

    #[test]
    fn the_operators_limit_stands() {
        let hello = json!([{"role": "user", "content": "hello"}]);
        let most = config::Llm::default().max_new_tokens;
        let asked = |body: Value| check(body).unwrap().request.max_new_tokens;
        assert_eq!(asked(json!({"messages": hello})), most);
        assert_eq!(asked(json!({"messages": hello, "max_completion_tokens": 1_000_000})), most);
    }

    #[test]
    fn what_a_reply_must_be_is_asked_of_the_engine() {
        let hello = json!([{"role": "user", "content": "hello"}]);
        let tools = json!([{"function": {"name": "a"}}, {"function": {"name": "b"}}]);
        let form = |body: Value| check(body).unwrap().request.form;
        let choice = |choice: Value| form(json!({"messages": hello, "tools": tools, "tool_choice": choice}));
        assert_eq!(choice(json!("auto")), ReplyForm::Free);
        assert_eq!(choice(json!("none")), ReplyForm::Free);
        assert_eq!(choice(json!("required")), ReplyForm::Call(None));
        let named = json!({"type": "function", "function": {"name": "b"}});
        assert_eq!(choice(named), ReplyForm::Call(Some("b".into())));
        let format = |format: Value| form(json!({"messages": hello, "response_format": format}));
        assert_eq!(format(json!({"type": "text"})), ReplyForm::Free);
        assert_eq!(format(json!({"type": "json_object"})), ReplyForm::Json(json!({"type": "object"})));
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let named = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        assert_eq!(format(named), ReplyForm::Json(schema));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let hello = json!([{"role": "user", "content": "hello"}]);
        let tools = json!([{"function": {"name": "a"}}]);
        let named = |name: &str| json!({"type": "function", "function": {"name": name}});
        let json_object = json!({"type": "json_object"});
        for (body, param) in [
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages[0].role"),
            (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
            (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages[0].tool_call_id"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
                "messages[0].content",
            ),
            (json!({"messages": hello, "n": 2}), "n"),
            (json!({"messages": hello, "logprobs": true}), "logprobs"),
            (json!({"messages": hello, "temperature": 3}), "temperature"),
            (json!({"messages": hello, "top_p": -0.1}), "top_p"),
            (json!({"messages": hello, "stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"messages": hello, "stop": ""}), "stop"),
            (json!({"messages": hello, "max_tokens": 0}), "max_completion_tokens"),
            (json!({"messages": hello, "tool_choice": "required"}), "tool_choice"),
            (json!({"messages": hello, "tool_choice": "sometimes", "tools": tools}), "tool_choice"),
            (json!({"messages": hello, "tool_choice": named("b"), "tools": tools}), "tool_choice"),
            (json!({"messages": hello, "response_format": {"type": "xml"}}), "response_format"),
            (json!({"messages": hello, "response_format": {"type": "json_schema"}}), "response_format"),
            (json!({"messages": hello, "response_format": json_object, "tools": tools}), "response_format"),
            (json!({"messages": hello, "tools": [{"function": {"name": "a b"}}]}), "tools[0].function.name"),
            (
                json!({"messages": hello, "tools": [{"type": "web", "function": {"name": "a"}}]}),
                "tools[0].type",
            ),
            (
                json!({"messages": hello, "tools": [{"function": {"name": "a", "parameters": 7}}]}),
                "tools[0].function.parameters",
            ),
        ] {
            let problem = check(body.clone()).unwrap_err();
            assert_eq!((problem.status.as_u16(), problem.param.as_deref()), (400, Some(param)), "{body}");
        }
    }
}
