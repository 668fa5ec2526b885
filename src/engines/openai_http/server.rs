//! One OpenAI-compatible server: where it is, what it serves, asking it, and what its refusals mean.
//!
//! Retries happen here and only here, and end with the answer's head: once a reply streams it is
//! never asked for again. Deliberately absent: `Retry-After` as a date (taken as if it were not
//! there), and any look into proxies for a server on this machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::NAME;
use super::reply::{quote, server_message};
use super::request::ChatRequest;
use crate::engines::{CancelToken, EngineError, LlmRequest};
use crate::{config, outbound};

/// Wait before the first repetition; each further one waits twice as long. A random half is taken
/// off, so that many sessions do not come back in step.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Idle connections are dropped before common servers close theirs (uvicorn's default is 5 s): a
/// request on a connection that is just being closed fails.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// The body of a refusal: what is read of it, and for how long.
const MAX_REFUSAL_BYTES: usize = 16 << 10;
const REFUSAL_READ: Duration = Duration::from_secs(2);
/// The list of models, at most.
const MAX_MODELS_BYTES: usize = 4 << 20;

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Names of the models, in the server's order.
    pub models: Vec<String>,
}

impl ServerInfo {
    /// The model to talk with if nobody names one: the first that is not there for embeddings (LM
    /// Studio lists those too).
    pub fn chat_model(&self) -> Option<&str> {
        let chats = |name: &&String| !name.to_lowercase().contains("embed");
        self.models.iter().find(chats).or(self.models.first()).map(String::as_str)
    }
}

/// How long an answer is waited for. Whatever is awaited here ends at once with the cancel token.
pub(super) struct Patience<'a> {
    pub cancel: &'a CancelToken,
    pub deadline: Instant,
    /// The key that sets the deadline.
    pub limit: Limit,
}

#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// From the request to the first token, everything included.
    FirstToken,
    /// From one token to the next.
    NextToken,
}

/// Why waiting ended before the answer.
pub(super) enum Stop {
    Cancelled,
    Late,
}

impl Patience<'_> {
    pub async fn wait<F: Future>(&self, answer: F) -> Result<F::Output, Stop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            answer = tokio::time::timeout_at(self.deadline, answer) => answer.map_err(|_| Stop::Late),
        }
    }
}

/// The server of `llm.url`, with its pool of connections.
pub(super) struct Server {
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
    config: config::Llm,
    /// The model found by asking, while `llm.model` is empty.
    discovered_model: Mutex<Option<String>>,
    /// It has said that it does not take tools.
    refuses_tools: AtomicBool,
}

impl Server {
    /// Asks nothing yet.
    pub fn new(config: &config::Llm) -> Result<Server, EngineError> {
        let load = |message| EngineError::Load { engine: NAME, message };
        let base = Url::parse(&config.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| {
            load(format!(
                "llm.url: `{}` is no address of a server; write it like http://127.0.0.1:1234/v1",
                config.url
            ))
        })?;
        let authorization = outbound::bearer(&config.api_key_env, "llm.api_key_env").map_err(load)?;
        let client = outbound::client(&base)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms.into()))
            .pool_idle_timeout(POOL_IDLE)
            .build()
            .map_err(|error| load(outbound::no_client("llm.url", &error)))?;
        let config = config.clone();
        let (discovered_model, refuses_tools) = (Mutex::new(None), AtomicBool::new(false));
        Ok(Server { client, base, authorization, config, discovered_model, refuses_tools })
    }

    /// Patience that begins now.
    pub fn patience<'a>(&self, limit: Limit, cancel: &'a CancelToken) -> Patience<'a> {
        let (_, timeout_ms) = self.limit(limit);
        Patience { cancel, deadline: Instant::now() + Duration::from_millis(timeout_ms.into()), limit }
    }

    fn limit(&self, limit: Limit) -> (&'static str, u32) {
        match limit {
            Limit::FirstToken => ("llm.first_token_timeout_ms", self.config.first_token_timeout_ms),
            Limit::NextToken => ("llm.token_timeout_ms", self.config.token_timeout_ms),
        }
    }

    /// The address as it can be shown: without credentials.
    pub fn shown(&self) -> String {
        let mut url = self.base.clone();
        // Fails only for addresses that cannot have credentials.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.set_query(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// What the server serves.
    pub async fn info(&self, patience: &Patience<'_>) -> Result<ServerInfo, EngineError> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let response = self.ask(self.client.get(self.path(&["models"])), patience).await?;
        let body = patience.wait(outbound::read_body(response, MAX_MODELS_BYTES)).await;
        let body = body.map_err(|stop| self.stopped(stop, patience))?;
        let list: List = serde_json::from_slice(&body).map_err(|_| {
            let body = quote(&String::from_utf8_lossy(&body));
            let message = format!("{}/models is no list of models but: {body}; check llm.url", self.shown());
            failed("llm_failed", message)
        })?;
        Ok(ServerInfo { models: list.data.into_iter().map(|model| model.id).collect() })
    }

    /// Asks for a reply; the answer is its stream, which has not been read yet. A server (or a model)
    /// that does not take tools is asked again without them, and gets none from then on.
    pub async fn open(&self, request: &LlmRequest, patience: &Patience<'_>) -> Result<Response, EngineError> {
        let with_tools = !request.tools.is_empty() && !self.refuses_tools.load(Ordering::Relaxed);
        let answer = self.open_with(request, with_tools, patience).await;
        match answer {
            Err(error) if with_tools && self.refuses_tools.load(Ordering::Relaxed) => {
                tracing::warn!("the language model gets no tools from now on: {error}");
                self.open_with(request, false, patience).await
            }
            answer => answer,
        }
    }

    async fn open_with(
        &self,
        request: &LlmRequest,
        with_tools: bool,
        patience: &Patience<'_>,
    ) -> Result<Response, EngineError> {
        let model = self.model(patience).await?;
        let body = ChatRequest::new(request, &model, &self.config, with_tools);
        let body = serde_json::to_vec(&body).map_err(|error| {
            failed("llm_bad_request", format!("the request cannot be written as JSON: {error}"))
        })?;
        let request = self.client.post(self.path(&["chat", "completions"]));
        let request = request.header(CONTENT_TYPE, "application/json").body(Bytes::from(body));
        let answer = self.ask(request, patience).await;
        if answer.as_ref().is_err_and(|error| error.code() == "llm_bad_request") {
            // The model may have been unloaded: ask again for the list next time.
            *self.lock_model() = None;
        }
        answer
    }

    /// The error of a wait that ended too early.
    pub fn stopped(&self, stop: Stop, patience: &Patience<'_>) -> EngineError {
        match stop {
            Stop::Cancelled => EngineError::Cancelled,
            Stop::Late if patience.cancel.is_cancelled() => EngineError::Cancelled,
            Stop::Late => {
                let (key, timeout_ms) = self.limit(patience.limit);
                let message = format!(
                    "nothing to hear from {} within {timeout_ms} ms ({key}); it may still be loading its \
                     model: try again, or raise that limit",
                    self.shown()
                );
                failed("llm_timeout", message)
            }
        }
    }

    /// The error of a stream that cannot be read on.
    pub fn broken(&self, reason: impl std::fmt::Display) -> EngineError {
        failed(
            "llm_failed",
            format!("the reply of {} broke off: {reason}; see that server's log", self.shown()),
        )
    }

    async fn model(&self, patience: &Patience<'_>) -> Result<String, EngineError> {
        if !self.config.model.is_empty() {
            return Ok(self.config.model.clone());
        }
        if let Some(model) = self.lock_model().clone() {
            return Ok(model);
        }
        let info = self.info(patience).await?;
        let model = info.chat_model().map(str::to_owned).ok_or_else(|| {
            let message = format!("{} lists no model; load one there or set llm.model", self.shown());
            failed("llm_bad_request", message)
        })?;
        *self.lock_model() = Some(model.clone());
        Ok(model)
    }

    fn lock_model(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.discovered_model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Sends a request until it is accepted, cannot be, or patience ends.
    async fn ask(&self, request: RequestBuilder, patience: &Patience<'_>) -> Result<Response, EngineError> {
        let request = match &self.authorization {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        };
        let mut tries_left = self.config.retries;
        let mut backoff = FIRST_BACKOFF;
        loop {
            let Some(attempt) = request.try_clone() else {
                return Err(failed("llm_failed", "the request cannot be repeated".into()));
            };
            let answer = patience.wait(self.ask_once(attempt)).await;
            let refusal = match answer.map_err(|stop| self.stopped(stop, patience))? {
                Ok(response) => return Ok(response),
                Err(refusal) => refusal,
            };
            let pause = match refusal.again {
                Again::Never => return Err(refusal.error),
                Again::Soon => backoff.mul_f64(jitter()),
                Again::After(pause) => pause,
            };
            if tries_left == 0 || Instant::now() + pause >= patience.deadline {
                return Err(refusal.error);
            }
            tracing::debug!(error = %refusal.error, pause_ms = pause.as_millis() as u64, "llm: asking again");
            tries_left -= 1;
            backoff *= 2;
            let slept = patience.wait(tokio::time::sleep(pause)).await;
            slept.map_err(|stop| self.stopped(stop, patience))?;
        }
    }

    async fn ask_once(&self, request: RequestBuilder) -> Result<Response, Refusal> {
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(self.refusal(response).await),
            // Nothing of an answer has come: no connection, or one that broke before the answer's head.
            Err(error) => {
                let message = format!(
                    "no answer from {} ({}); start the server there, or set llm.url",
                    self.shown(),
                    outbound::root_cause(&error)
                );
                Err(Refusal { error: failed("llm_unreachable", message), again: Again::Soon })
            }
        }
    }

    async fn refusal(&self, response: Response) -> Refusal {
        let status = response.status();
        let soon = retry_after(response.headers()).map_or(Again::Soon, Again::After);
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(quote);
        let body = tokio::time::timeout(REFUSAL_READ, outbound::read_body(response, MAX_REFUSAL_BYTES)).await;
        let words = match body.unwrap_or_default() {
            body if body.is_empty() => "no reason given".to_owned(),
            body => match serde_json::from_slice(&body) {
                Ok(json) => server_message(&json),
                Err(_) => quote(&String::from_utf8_lossy(&body)),
            },
        };
        let shown = self.shown();
        let (code, again, remedy) = match status {
            _ if refuses_tools(status, &words) => {
                self.refuses_tools.store(true, Ordering::Relaxed);
                let remedy = "load a model that can call tools, or switch them on at that server";
                ("llm_bad_request", Again::Never, remedy.to_owned())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                ("llm_refused", Again::Never, self.key_remedy())
            }
            StatusCode::TOO_MANY_REQUESTS => {
                ("llm_rate_limited", soon, "try again later, or raise the limit at that server".to_owned())
            }
            _ if status.is_server_error() => ("llm_failed", soon, "see that server's log".to_owned()),
            _ if status.is_redirection() => {
                let to = location.unwrap_or_else(|| "nowhere".to_owned());
                ("llm_bad_request", Again::Never, format!("it redirects to {to}: set llm.url to where it is"))
            }
            StatusCode::NOT_FOUND => {
                let remedy = "check llm.model, and that llm.url ends as that server wants it (mostly /v1)";
                ("llm_bad_request", Again::Never, remedy.to_owned())
            }
            _ => ("llm_bad_request", Again::Never, "check llm.model and llm.max_new_tokens".to_owned()),
        };
        let message = format!("{shown} answers {status}: {words}; {remedy}");
        Refusal { error: failed(code, message), again }
    }

    fn key_remedy(&self) -> String {
        match (self.config.api_key_env.as_str(), &self.authorization) {
            ("", _) => "name an environment variable with a key in llm.api_key_env".to_owned(),
            (name, None) => format!("put a key into the environment variable {name} (llm.api_key_env)"),
            (name, Some(_)) => {
                format!("it does not accept the key in the environment variable {name} (llm.api_key_env)")
            }
        }
    }
}

/// A request that was not answered with a stream, and whether to try again.
struct Refusal {
    error: EngineError,
    again: Again,
}

enum Again {
    Never,
    /// After the backoff.
    Soon,
    /// The server named the time.
    After(Duration),
}

fn failed(code: &'static str, message: String) -> EngineError {
    EngineError::Failed { engine: NAME, code, message }
}

/// Whether a server means with these words that it takes no tools. Ollama: "… does not support tools";
/// llama.cpp: "tools param requires --jinja flag"; vLLM: "… tool choice requires --enable-auto-tool-choice …".
fn refuses_tools(status: StatusCode, words: &str) -> bool {
    let words = words.to_lowercase();
    let fault =
        [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::INTERNAL_SERVER_ERROR];
    let reason = ["support", "requires", "unrecognized", "unknown", "not allowed"];
    fault.contains(&status) && words.contains("tool") && reason.iter().any(|reason| words.contains(reason))
}

/// Seconds, as servers that limit rates write them; fractions too.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// 0.5…1, evenly.
fn jitter() -> f64 {
    // Without randomness nothing is lost but the spread.
    0.5 + f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, EngineError> {
        Server::new(&config::Llm { url: url.into(), api_key_env: String::new(), ..Default::default() })
    }

    #[test]
    fn paths_go_behind_the_base_address() {
        for (base, expected) in [
            ("http://host:1/v1", "http://host:1/v1/chat/completions"),
            ("http://host:1/v1/", "http://host:1/v1/chat/completions"),
            ("http://host", "http://host/chat/completions"),
            ("https://host/a/b?version=2", "https://host/a/b/chat/completions?version=2"),
        ] {
            assert_eq!(server(base).unwrap().path(&["chat", "completions"]).as_str(), expected);
        }
    }

    #[test]
    fn a_bad_address_is_named() {
        for bad in ["", "localhost:1234", "ftp://host/v1", "http://"] {
            let error = server(bad).err().unwrap();
            assert_eq!(error.code(), "engine_load_failed");
            assert!(error.to_string().contains(&format!("llm.url: `{bad}`")), "{error}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = server("http://me:secret@host:1/v1/?key=secret").unwrap().shown();
        assert_eq!(shown, "http://host:1/v1");
    }

    #[test]
    fn a_chat_model_is_preferred_to_one_for_embeddings() {
        let chat_model = |models: &[&str]| {
            let models = models.iter().map(|&name| name.to_owned()).collect();
            ServerInfo { models }.chat_model().map(str::to_owned)
        };
        assert_eq!(chat_model(&["text-Embedding-x", "qwen", "other"]).as_deref(), Some("qwen"));
        assert_eq!(chat_model(&["nomic-embed"]).as_deref(), Some("nomic-embed"));
        assert_eq!(chat_model(&[]), None);
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let read = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]))
        };
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(["-1", "1e300", "NaN", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"].map(read), [None; 5]);
    }
}
