//! A reply as server-sent events, while it is written.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{Identity, UsageCounts, finish_reason};
use crate::engines::{LlmEvent, ToolCall, Usage};
use crate::frontends::openai_api::work::{Reply, Written};

/// How far the stream is.
struct Writing {
    identity: Identity,
    reply: Reply,
    /// Came before the head of the answer was sent.
    first: Option<Written>,
    limit: u32,
    include_usage: bool,
    calls: usize,
    /// Events that are due.
    due: std::collections::VecDeque<Event>,
    over: bool,
}

/// The answer. Dropping it (the client is gone) stops the model.
pub fn respond(
    identity: Identity,
    reply: Reply,
    first: Written,
    limit: u32,
    include_usage: bool,
) -> Response {
    let mut writing = Writing {
        identity,
        reply,
        first: Some(first),
        limit,
        include_usage,
        calls: 0,
        due: Default::default(),
        over: false,
    };
    writing.chunk(&json!({"role": "assistant", "content": ""}), None);
    let events = futures_util::stream::unfold(writing, |mut writing| async move {
        let event = writing.next().await?;
        Some((event, writing))
    });
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response()
}

impl Writing {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            let written = match self.first.take() {
                Some(first) => Ok(first),
                None => self.reply.next().await,
            };
            match written {
                Ok(Written::Event(LlmEvent::Text(text))) => self.chunk(&json!({"content": text}), None),
                Ok(Written::Event(LlmEvent::Thought(_))) => {}
                Ok(Written::Event(LlmEvent::ToolCall(call))) => self.call(&call),
                Ok(Written::End(usage)) => self.end(usage),
                Err(problem) => {
                    self.due.push_back(Event::default().data(json!(problem.body()).to_string()));
                    self.over = true;
                }
            }
        }
    }

    fn call(&mut self, ToolCall { id, name, arguments }: &ToolCall) {
        let function = json!({"name": name, "arguments": arguments});
        let call = json!({"index": self.calls, "id": id, "type": "function", "function": function});
        self.calls += 1;
        self.chunk(&json!({"tool_calls": [call]}), None);
    }

    fn end(&mut self, usage: Usage) {
        self.chunk(&json!({}), Some(finish_reason(self.calls > 0, usage, self.limit)));
        if self.include_usage {
            let usage = UsageCounts::from(usage);
            let chunk = self.frame(json!([]), json!(usage));
            self.due.push_back(chunk);
        }
        self.due.push_back(Event::default().data("[DONE]"));
        self.over = true;
    }

    fn chunk(&mut self, delta: &Value, finish_reason: Option<&str>) {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        let chunk = self.frame(json!([choice]), Value::Null);
        self.due.push_back(chunk);
    }

    fn frame(&self, choices: Value, usage: Value) -> Event {
        let Identity { id, created, model } = &self.identity;
        let mut chunk = json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
            "choices": choices,
        });
        // As OpenAI does: only where it was asked for, and then in every chunk.
        if self.include_usage {
            chunk["usage"] = usage;
        }
        Event::default().data(chunk.to_string())
    }
}
