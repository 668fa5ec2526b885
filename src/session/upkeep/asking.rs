//! A conversation of our own with the language model: it is to call one tool, and is asked again until it
//! has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{mem, ops::ControlFlow};

use tokio::sync::oneshot;

use crate::engines::workers::LlmWork;
use crate::engines::{
    CancelToken, ChatMessage, Engines, LlmEvent, LlmRequest, LlmState, ReplyForm, RequestSampling, Role,
    ToolCall, ToolSpec,
};
use crate::session::work;
use crate::turn::io::Fault;

/// Who is asked, and how patiently.
pub struct Worker<'a> {
    pub engines: &'a Engines,
    /// The tool that takes the answer.
    pub tool: ToolSpec,
    /// Requests, at most.
    pub max_turns: u32,
    /// Tokens of one answer, at most.
    pub max_new_tokens: u32,
    pub timeout: Duration,
    pub cancel: &'a CancelToken,
}

/// Why there is no answer.
const NO_ANSWER: &str = "upkeep_no_answer";
/// It took too long.
const LATE: &str = "upkeep_timeout";
/// Somebody else needs the model more.
pub const CANCELLED: &str = "cancelled";

impl Worker<'_> {
    /// Asks until `accept` takes the tool's arguments; of several calls in one answer the last one counts.
    /// What `accept` says against them, the model is told.
    ///
    /// # Errors
    /// The engine's; or the model never called the tool as it should.
    pub async fn ask<T>(
        &self,
        instructions: &str,
        input: String,
        mut accept: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let asking = async {
            let mut messages =
                vec![ChatMessage::new(Role::System, instructions), ChatMessage::new(Role::User, input)];
            for _ in 0..self.max_turns {
                let (text, calls) = self.request(messages.clone()).await?;
                let mut kept = None;
                let answers: Vec<ChatMessage> =
                    calls.iter().map(|call| self.answer(call, &mut accept, &mut kept)).collect();
                if let Some(kept) = kept {
                    return Ok(kept);
                }
                let called = !calls.is_empty();
                messages.push(ChatMessage { tool_calls: calls, ..ChatMessage::new(Role::Assistant, text) });
                messages.extend(answers);
                if !called {
                    let name = &self.tool.name;
                    messages.push(ChatMessage::new(Role::User, format!("Now call {name} with all of it.")));
                }
            }
            let message =
                format!("the model was asked {} times and did not call {}", self.max_turns, self.tool.name);
            Err(Fault { code: NO_ANSWER.to_owned(), message })
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                let message = "the conversation went on in the meantime".to_owned();
                Err(Fault { code: CANCELLED.to_owned(), message })
            }
            answer = tokio::time::timeout(self.timeout, asking) => answer.unwrap_or_else(|_| {
                let message = format!("the model took longer than {} ms", self.timeout.as_millis());
                Err(Fault { code: LATE.to_owned(), message })
            }),
        }
    }

    /// What the model is told of a call.
    fn answer<T>(
        &self,
        call: &ToolCall,
        accept: &mut impl FnMut(&str) -> Result<T, String>,
        kept: &mut Option<T>,
    ) -> ChatMessage {
        let told = if call.name != self.tool.name {
            format!("error: there is no such tool; call {}", self.tool.name)
        } else {
            match accept(&call.arguments) {
                Ok(value) => {
                    *kept = Some(value);
                    "written".to_owned()
                }
                Err(wrong) => format!("error: {wrong}"),
            }
        };
        ChatMessage { tool_call_id: Some(call.id.clone()), ..ChatMessage::new(Role::Tool, told) }
    }

    /// One request. Dropping the future stops it.
    async fn request(&self, messages: Vec<ChatMessage>) -> Result<(String, Vec<ToolCall>), Fault> {
        let cancel = self.cancel.child_token();
        let _stops = cancel.clone().drop_guard();
        let written = Arc::new(Mutex::new((String::new(), Vec::new())));
        let (tell, told) = oneshot::channel();
        let sink = {
            let written = Arc::clone(&written);
            Box::new(move |event| {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    LlmEvent::Text(text) => written.0.push_str(&text),
                    LlmEvent::Thought(_) => {}
                    LlmEvent::ToolCall(call) => written.1.push(call),
                }
                ControlFlow::Continue(())
            })
        };
        let request = LlmRequest {
            messages,
            tools: vec![self.tool.clone()],
            max_new_tokens: self.max_new_tokens,
            sampling: RequestSampling { temperature: Some(0.0), ..RequestSampling::default() },
            // There is only the one.
            form: ReplyForm::Call(None),
        };
        let done = Box::new(move |(_, result)| drop(tell.send(result)));
        let state = LlmState::default();
        self.engines.llm.submit(LlmWork { request, state, cancel, sink, done }).map_err(work::saturated)?;
        match told.await {
            Ok(result) => result.map_err(work::fault)?,
            Err(_) => {
                let message = "the model's worker is gone".to_owned();
                return Err(Fault { code: "llm_failed".to_owned(), message });
            }
        };
        let (text, mut calls) = mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, call) in calls.iter_mut().enumerate().filter(|(_, call)| call.id.is_empty()) {
            call.id = format!("call_{number}");
        }
        Ok((text, calls))
    }
}
