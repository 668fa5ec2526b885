//! The engines' worker pools, from async code: nothing here calls a model, and everything stops when
//! whoever waits for it is gone.
//!
//! Workers never wait for a client: what they make goes into channels that have no bound of their own,
//! because what flows through them has one: the tokens of one reply, the audio of one segment.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::DropGuard;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::Config;
use crate::engines::local::UNFIT_FORM;
use crate::engines::workers::{AsrWork, Judged, LlmWork, Saturated, TtsWork, VadWork};
use crate::engines::{
    AsrState, CancelToken, EngineError, Engines, LlmEvent, LlmRequest, LlmState, SpeechContext, Transcript,
    TtsEvent, Usage, VadFrame,
};
use crate::frontends::problem::Problem;
use crate::frontends::server::Server;

impl From<Saturated> for Problem {
    fn from(saturated: Saturated) -> Problem {
        Problem::busy(saturated.to_string())
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        // What is asked for is not possible with this model; asking again does not help.
        let status = if error.code() == UNFIT_FORM {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Problem::new(status, error.code(), error.to_string())
    }
}

/// A worker thread has ended, which it does with the server only.
fn gone() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is about to stop")
}

fn too_slow(engine: &str, limit: Duration, key: &str) -> Problem {
    let message = format!("{engine}: no answer within {} ms ({key})", limit.as_millis());
    Problem::new(StatusCode::GATEWAY_TIMEOUT, format!("{engine}_timeout"), message)
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// Judges the next frame of a stream; its state goes on in `frame`.
pub async fn judge(engines: &Engines, frame: Box<VadFrame>) -> Result<Box<VadFrame>, Problem> {
    let (tell, told) = oneshot::channel();
    let done = Box::new(move |judged: (Box<VadFrame>, Result<Judged, EngineError>)| drop(tell.send(judged)));
    engines.vad.submit(VadWork { frame, done })?;
    let (frame, judged) = told.await.map_err(|_| gone())?;
    judged?;
    Ok(frame)
}

/// Recognises one utterance. Dropping the future stops the work.
pub async fn recognise(
    engines: &Engines,
    config: &Config,
    pcm: Vec<i16>,
    language: Option<String>,
    context: Arc<SpeechContext>,
) -> Result<Transcript, Problem> {
    let (tell, told) = oneshot::channel();
    let cancel = CancelToken::new();
    let _stops = cancel.clone().drop_guard();
    let done =
        Box::new(move |(_, answer): (AsrState, Result<Transcript, EngineError>)| drop(tell.send(answer)));
    let (context, state) = (Some(context), AsrState::default());
    engines.asr.submit(AsrWork { pcm, language, context, state, cancel, done })?;
    let limit = millis(config.asr.timeout_ms);
    let answer = tokio::time::timeout(limit, told).await;
    Ok(answer.map_err(|_| too_slow("asr", limit, "asr.timeout_ms"))?.map_err(|_| gone())??)
}

/// What a language model writes.
#[derive(Debug, PartialEq)]
pub enum Written {
    /// The next piece of it.
    Event(LlmEvent),
    /// It is complete.
    End(Usage),
}

/// A reply that is being written. Dropping it stops the work.
pub struct Reply {
    written: mpsc::UnboundedReceiver<Result<Written, EngineError>>,
    first_limit: Duration,
    next_limit: Duration,
    began: bool,
    _stops: DropGuard,
    /// A server that is about to stop waits for it.
    _open: TaskTrackerToken,
}

impl Reply {
    /// Gives the request to the language model.
    pub fn begin(server: &Server, request: LlmRequest) -> Result<Reply, Problem> {
        let config = &server.config;
        let (tell, written) = mpsc::unbounded_channel();
        let cancel = CancelToken::new();
        let _stops = cancel.clone().drop_guard();
        let told = tell.clone();
        let sink = Box::new(move |event| match told.send(Ok(Written::Event(event))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        let done = Box::new(move |(_, result): (LlmState, Result<Usage, EngineError>)| {
            drop(tell.send(result.map(Written::End)));
        });
        server.engines.llm.submit(LlmWork { request, state: LlmState::default(), cancel, sink, done })?;
        let first_limit = millis(config.llm.first_token_timeout_ms);
        let next_limit = millis(config.llm.token_timeout_ms);
        let _open = server.sessions.token();
        Ok(Reply { written, first_limit, next_limit, began: false, _stops, _open })
    }

    /// What comes next. Nothing comes after [`Written::End`] or an error.
    pub async fn next(&mut self) -> Result<Written, Problem> {
        let (limit, key) = match self.began {
            false => (self.first_limit, "llm.first_token_timeout_ms"),
            true => (self.next_limit, "llm.token_timeout_ms"),
        };
        let next = tokio::time::timeout(limit, self.written.recv()).await;
        self.began = true;
        Ok(next.map_err(|_| too_slow("llm", limit, key))?.ok_or_else(gone)??)
    }
}

/// Speech that is being made. Dropping it stops the work.
pub struct Speech {
    made: mpsc::UnboundedReceiver<Result<Option<Vec<f32>>, EngineError>>,
    limit: Duration,
    _stops: DropGuard,
}

impl Speech {
    /// Gives a segment to the synthesiser.
    pub fn begin(
        engines: &Engines,
        config: &Config,
        text: String,
        voice: Option<String>,
    ) -> Result<Speech, Problem> {
        let (tell, made) = mpsc::unbounded_channel();
        let cancel = CancelToken::new();
        let _stops = cancel.clone().drop_guard();
        let told = tell.clone();
        let sink = Box::new(move |event| {
            let TtsEvent::Audio(audio) = event else { return ControlFlow::Continue(()) };
            match told.send(Ok(Some(audio))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        let done = Box::new(move |result: Result<(), EngineError>| drop(tell.send(result.map(|()| None))));
        engines.tts.submit(TtsWork { text, voice, cancel, sink, done })?;
        Ok(Speech { made, limit: millis(config.tts.timeout_ms), _stops })
    }

    /// The next samples, 24 kHz mono; `None`: all have been said.
    pub async fn next(&mut self) -> Result<Option<Vec<f32>>, Problem> {
        let next = tokio::time::timeout(self.limit, self.made.recv()).await;
        Ok(next.map_err(|_| too_slow("tts", self.limit, "tts.timeout_ms"))?.ok_or_else(gone)??)
    }
}
