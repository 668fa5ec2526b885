//! `POST /v1/chat/completions`: the language model by itself, with no session: every request brings its
//! whole conversation, and nothing of it is kept.

mod request;
mod stream;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use self::request::Checked;
use super::body::Body;
use super::models;
use super::work::{Reply, Written};
use crate::conversation::ids::random_bytes;
use crate::conversation::store::now_unix_us;
use crate::engines::local::UNFIT_FORM;
use crate::engines::{LlmEvent, ReplyForm, ToolCall, Usage, echo, scripted};
use crate::frontends::problem::{ErrorBody, Problem};
use crate::frontends::server::Server;

/// A reply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatCompletion)]
pub struct Completion {
    id: String,
    #[schema(example = "chat.completion")]
    object: &'static str,
    /// Seconds since 1970.
    created: i64,
    /// Which model has answered.
    model: String,
    choices: Vec<Choice>,
    usage: UsageCounts,
}

/// The one reply of a [`Completion`].
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatChoice)]
struct Choice {
    index: u32,
    message: Message,
    /// Never here.
    logprobs: Option<()>,
    /// `stop`, `length` or `tool_calls`.
    finish_reason: &'static str,
}

/// What the model said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatReply)]
struct Message {
    #[schema(example = "assistant")]
    role: &'static str,
    /// `null` where there are only calls.
    content: Option<String>,
    /// Never here.
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

/// A call of one of the request's tools.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatToolCall)]
struct Call {
    id: String,
    #[schema(example = "function")]
    r#type: &'static str,
    function: Function,
}

/// Which tool, with what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatFunctionCall)]
struct Function {
    name: String,
    /// JSON text.
    arguments: String,
}

/// Tokens, where the engine counts them; else 0.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ChatUsage)]
struct UsageCounts {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<ToolCall> for Call {
    fn from(ToolCall { id, name, arguments }: ToolCall) -> Call {
        Call { id, r#type: "function", function: Function { name, arguments } }
    }
}

impl From<Usage> for UsageCounts {
    fn from(usage: Usage) -> UsageCounts {
        let Usage { input_tokens, output_tokens } = usage;
        UsageCounts {
            prompt_tokens: input_tokens,
            completion_tokens: output_tokens,
            total_tokens: input_tokens.saturating_add(output_tokens),
        }
    }
}

/// Engines that take no notice of what a reply is to be.
const FREE_ENGINES: [&str; 2] = [echo::NAME, scripted::NAME];

/// What a reply is known by.
#[derive(Debug, Clone)]
struct Identity {
    id: String,
    created: i64,
    model: String,
}

impl Identity {
    fn new(server: &Server) -> Identity {
        let digits: String = random_bytes::<12>().iter().map(|byte| format!("{byte:02x}")).collect();
        Identity {
            id: format!("chatcmpl-{digits}"),
            created: now_unix_us() / 1_000_000,
            model: models::llm(&server.engines.names).to_owned(),
        }
    }
}

/// A reply of the language model
///
/// With `stream` it comes as server-sent events while it is written, and `[DONE]` at last.
#[utoipa::path(post, path = "/v1/chat/completions", operation_id = "create_chat_completion", tag = "engines", request_body = request::Request,
    responses(
        (status = 200, description = "The reply", content(
            (Completion = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 400, description = "What cannot be", body = ErrorBody),
        (status = 503, description = "The server is busy", body = ErrorBody),
    ))]
pub async fn create(
    State(server): State<Arc<Server>>,
    Body(request): Body<request::Request>,
) -> Result<Response, Problem> {
    let Checked { request, stream } = request.checked(&server.config.llm)?;
    let engine = &server.engines.names.llm;
    if request.form != ReplyForm::Free && FREE_ENGINES.contains(&engine.as_str()) {
        let message = format!("the engine `{engine}` cannot be bound to a response_format or tool_choice");
        return Err(Problem::new(StatusCode::BAD_REQUEST, UNFIT_FORM, message));
    }
    let limit = request.max_new_tokens;
    let mut reply = Reply::begin(&server, request)?;
    let identity = Identity::new(&server);
    if let Some(wishes) = stream {
        // What fails at once is still an answer of its own.
        let first = reply.next().await?;
        return Ok(stream::respond(identity, reply, first, limit, wishes.include_usage));
    }
    let (mut text, mut calls) = (String::new(), Vec::new());
    let usage = loop {
        match reply.next().await? {
            Written::Event(LlmEvent::Text(piece)) => text.push_str(&piece),
            Written::Event(LlmEvent::Thought(_)) => {}
            Written::Event(LlmEvent::ToolCall(call)) => calls.push(Call::from(call)),
            Written::End(usage) => break usage,
        }
    };
    let finish_reason = finish_reason(!calls.is_empty(), usage, limit);
    let content = Some(text).filter(|text| calls.is_empty() || !text.is_empty());
    let message = Message { role: "assistant", content, refusal: None, tool_calls: calls };
    let Identity { id, created, model } = identity;
    let choices = vec![Choice { index: 0, message, logprobs: None, finish_reason }];
    let object = "chat.completion";
    Ok(Json(Completion { id, object, created, model, choices, usage: usage.into() }).into_response())
}

/// Why the reply ends where it does. `limit`: tokens that it could have.
fn finish_reason(calls: bool, usage: Usage, limit: u32) -> &'static str {
    if calls {
        "tool_calls"
    } else if limit > 0 && usage.output_tokens >= limit {
        "length"
    } else {
        "stop"
    }
}
