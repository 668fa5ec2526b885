//! The engine `openai` for replies: streams `POST {llm.url}/chat/completions`.
//!
//! ```text
//! worker thread ── blocks on ──▶ server.rs: request ──▶ bytes ──▶ sse.rs ──▶ reply.rs (think.rs) ──▶ sink
//! ```
//!
//! Deliberately absent: a KV cache (the server's business) and retries after the first token.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use super::remote::{Patience, Stop};
use super::reply::{Progress, ReplyReader};
use super::server::{Limit, Server, ServerInfo};
use super::sse::SseParser;
use super::words::quote;
use crate::engines::{
    CancelToken, EngineError, Llm, LlmEvent, LlmRequest, LlmState, Usage, forbid_executor_thread,
};
use crate::{config, outbound};

/// [`probe`] asks for so long: start-up must not hang on a server that is not there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Once the model has stopped, token counts and `[DONE]` may take so long; nobody waits for more.
const COUNTS_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection whose reply has been read to `[DONE]` is read to its end, for the next request.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// An answer that is no event stream is quoted up to here.
const QUOTED_BYTES: usize = 1 << 10;

/// A loaded engine: the way to one server. Every [`Llm`] made by it uses the same connections.
#[derive(Clone)]
pub struct OpenAi(Arc<Server>);

impl OpenAi {
    /// Checks the settings; asks the server nothing yet (it may be started later).
    pub fn new(config: &config::Llm) -> Result<OpenAi, EngineError> {
        Ok(OpenAi(Arc::new(Server::new(config)?)))
    }

    /// An engine for one worker.
    pub fn llm(&self) -> Box<dyn Llm> {
        Box::new(OpenAiLlm(Arc::clone(&self.0)))
    }

    /// Asks the server for its models, which also opens the first connection. Blocks, at most as long
    /// as `llm.first_token_timeout_ms`.
    pub fn info(&self) -> Result<ServerInfo, EngineError> {
        forbid_executor_thread("openai info");
        let server = &self.0;
        server.remote.block_on(server.info(&server.patience(Limit::FirstToken, &CancelToken::new())))
    }
}

/// Asks the server of `llm.url` once, quickly, whether it is there. Blocks, at most a second.
pub fn probe(config: &config::Llm) -> Result<ServerInfo, EngineError> {
    let timeout_ms = PROBE_TIMEOUT.as_millis() as u32;
    OpenAi::new(&config::Llm {
        connect_timeout_ms: config.connect_timeout_ms.min(timeout_ms),
        first_token_timeout_ms: config.first_token_timeout_ms.min(timeout_ms),
        retries: 0,
        ..config.clone()
    })?
    .info()
}

struct OpenAiLlm(Arc<Server>);

impl Llm for OpenAiLlm {
    fn generate(
        &mut self,
        request: &LlmRequest,
        _state: &mut LlmState,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Usage, EngineError> {
        forbid_executor_thread("openai llm");
        let server = &*self.0;
        let patience = server.patience(Limit::FirstToken, cancel);
        let response = server.remote.block_on(server.open(request, &patience))?;
        Reading {
            server,
            patience,
            response,
            sse: SseParser::default(),
            reply: ReplyReader::default(),
            beginning: Vec::new(),
            is_stream: false,
        }
        .run(sink)
    }
}

/// One reply, being read.
struct Reading<'a> {
    server: &'a Server,
    /// Its deadline is the first token's, then the next one's.
    patience: Patience<'a>,
    response: Response,
    sse: SseParser,
    reply: ReplyReader,
    /// The first bytes, to be quoted if they turn out to be no event stream.
    beginning: Vec<u8>,
    /// An event has been read.
    is_stream: bool,
}

/// Whether a reply goes on.
#[derive(PartialEq)]
enum Next {
    Read,
    /// The end of the reply.
    End,
    /// The sink wants no more.
    Unwanted,
}

impl Reading<'_> {
    fn run(mut self, sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>) -> Result<Usage, EngineError> {
        loop {
            let mut next = self.read_bytes()?;
            while let Some(data) = self.sse.next_event() {
                match self.take_event(&data, sink)? {
                    Next::Read => {}
                    end => {
                        next = end;
                        break;
                    }
                }
            }
            match next {
                Next::Read => {}
                Next::End => return self.end(sink),
                Next::Unwanted => return Ok(self.reply.usage()),
            }
        }
    }

    /// Waits for the next bytes of the answer.
    fn read_bytes(&mut self) -> Result<Next, EngineError> {
        // What the model said is complete: a server that dawdles or breaks off now takes nothing away.
        let complete = self.reply.progress() >= Progress::Stopped;
        match self.server.remote.block_on(self.patience.wait(self.response.chunk())) {
            Err(Stop::Late) if complete => Ok(Next::End),
            Err(stop) => Err(self.server.remote.stopped(stop, &self.patience)),
            Ok(Err(_)) if complete => Ok(Next::End),
            Ok(Err(error)) => Err(self.server.remote.broken(outbound::root_cause(&error))),
            Ok(Ok(Some(bytes))) => {
                if !self.is_stream {
                    let room = QUOTED_BYTES - self.beginning.len();
                    self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                self.sse.push(&bytes).map_err(|error| self.server.remote.broken(error))?;
                Ok(Next::Read)
            }
            Ok(Ok(None)) => {
                self.sse.finish();
                Ok(Next::End)
            }
        }
    }

    fn take_event(
        &mut self,
        data: &str,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Next, EngineError> {
        self.is_stream = true;
        if self.patience.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let before = self.reply.progress();
        let events = self.reply.read(data).map_err(|error| self.server.remote.broken(error))?;
        if events.into_iter().any(|event| sink(event).is_break()) {
            return Ok(Next::Unwanted);
        }
        match self.reply.progress() {
            // The first token's deadline stands: thinking is not heard.
            Progress::Silent => {}
            Progress::Begun => {
                self.patience = self.server.patience(Limit::NextToken, self.patience.cancel);
            }
            Progress::Stopped if before < Progress::Stopped => {
                self.patience.deadline = Instant::now() + COUNTS_TIMEOUT;
            }
            Progress::Stopped => {}
            Progress::Done => return Ok(Next::End),
        }
        Ok(Next::Read)
    }

    fn end(mut self, sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>) -> Result<Usage, EngineError> {
        if !self.is_stream {
            let beginning = quote(&String::from_utf8_lossy(&self.beginning));
            return Err(self.server.remote.broken(format!("the answer is no event stream: `{beginning}`")));
        }
        let usage = self.reply.usage();
        for event in self.reply.finish() {
            if sink(event).is_break() {
                break;
            }
        }
        let mut response = self.response;
        self.server.remote.spawn(async move {
            let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
            // Either way the connection is left to itself afterwards.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
        });
        Ok(usage)
    }
}
