//! What is sent: the body of `POST {llm.url}/chat/completions`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::config;
use crate::engines::{ChatMessage, LlmRequest, ReplyForm, Role, ToolCall, ToolSpec};

#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    // These three are no part of OpenAI's own interface; servers of open models take them.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<&'a str>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: Role,
    /// Text also where there are only calls: not every server takes `null`.
    content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: &'a ToolSpec,
}

impl<'a> ChatRequest<'a> {
    /// `with_tools`: the server takes them.
    pub fn new(request: &'a LlmRequest, model: &'a str, config: &'a config::Llm, with_tools: bool) -> Self {
        let tools = if with_tools { request.tools.as_slice() } else { &[] };
        let wished = &request.sampling;
        ChatRequest {
            model,
            messages: request.messages.iter().map(Message::from).collect(),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            temperature: wished.temperature.or(config.temperature),
            top_p: wished.top_p.or(config.top_p),
            top_k: config.top_k,
            min_p: config.min_p,
            repetition_penalty: config.repetition_penalty,
            seed: wished.seed.or(config.seed),
            stop: config.stop.iter().chain(&wished.stop).map(String::as_str).collect(),
            max_tokens: match request.max_new_tokens {
                0 => config.max_new_tokens,
                tokens => tokens,
            },
            tools: tools.iter().map(|function| Tool { r#type: "function", function }).collect(),
            tool_choice: match &request.form {
                ReplyForm::Call(name) if with_tools => Some(tool_choice(name.as_deref())),
                _ => None,
            },
            response_format: match &request.form {
                ReplyForm::Json(schema) => {
                    Some(json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}))
                }
                _ => None,
            },
        }
    }
}

fn tool_choice(name: Option<&str>) -> Value {
    match name {
        Some(name) => json!({"type": "function", "function": {"name": name}}),
        None => json!("required"),
    }
}

impl<'a> From<&'a ChatMessage> for Message<'a> {
    fn from(message: &'a ChatMessage) -> Self {
        let call = |call: &'a ToolCall| Call {
            id: &call.id,
            r#type: "function",
            function: Function { name: &call.name, arguments: &call.arguments },
        };
        Message {
            role: message.role,
            content: &message.content,
            tool_calls: message.tool_calls.iter().map(call).collect(),
            tool_call_id: message.tool_call_id.as_deref(),
        }
    }
}
