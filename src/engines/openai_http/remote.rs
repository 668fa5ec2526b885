//! One OpenAI-compatible server, whatever it is asked for: where it is, asking it, and what its refusals
//! mean. Recognition, replies and speech differ in the names of their keys and codes ([`Stage`]).
//!
//! Retries happen here and only here, and end with the answer's head: what an answer holds is never
//! asked for again. Deliberately absent: `Retry-After` as a date (taken as if it were not there), and any
//! look into proxies for a server on this machine.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;

use super::NAME;
use super::words::{quote, server_message};
use crate::engines::{CancelToken, EngineError};
use crate::outbound::{self, Connections};

/// Wait before the first repetition; each further one waits twice as long. A random half is taken
/// off, so that many sessions do not come back in step.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The body of a refusal: what is read of it, and for how long.
const MAX_REFUSAL_BYTES: usize = 16 << 10;
const REFUSAL_READ: Duration = Duration::from_secs(2);

/// Names that differ between recognition, replies and speech.
pub(super) struct Stage {
    /// `…_unreachable`: no answer at all.
    pub unreachable: &'static str,
    /// `…_timeout`: no answer in time.
    pub timeout: &'static str,
    /// `…_refused`: the key is not accepted.
    pub refused: &'static str,
    /// `…_rate_limited`: too many requests.
    pub rate_limited: &'static str,
    /// `…_bad_request`: the server understands something else.
    pub bad_request: &'static str,
    /// `…_failed`: everything else.
    pub failed: &'static str,
    /// Key of the address.
    pub url_key: &'static str,
    /// Key of the model's name.
    pub model_key: &'static str,
    /// Key of the environment variable's name.
    pub api_key_key: &'static str,
    /// Keys to look at when a request is refused as it is.
    pub suspects: &'static str,
}

/// Where a server is, as the configuration says.
pub(super) struct Address<'a> {
    /// Base address.
    pub url: &'a str,
    /// Environment variable with the bearer key; may be empty.
    pub api_key_env: &'a str,
    /// Time to connect.
    pub connect_timeout_ms: u32,
    /// Repetitions of a request that was not answered.
    pub retries: u32,
}

/// A configured length of time.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// The key that sets it.
    pub key: &'static str,
    pub ms: u32,
}

/// How long an answer is waited for. Whatever is awaited here ends at once with the cancel token.
pub(super) struct Patience<'a> {
    pub cancel: &'a CancelToken,
    pub deadline: Instant,
    pub limit: Limit,
}

/// Why waiting ended before the answer.
pub(super) enum Stop {
    Cancelled,
    Late,
}

impl<'a> Patience<'a> {
    /// Patience that begins now.
    pub fn new(limit: Limit, cancel: &'a CancelToken) -> Patience<'a> {
        Patience { cancel, deadline: Instant::now() + Duration::from_millis(limit.ms.into()), limit }
    }

    pub async fn wait<F: Future>(&self, answer: F) -> Result<F::Output, Stop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            answer = tokio::time::timeout_at(self.deadline, answer) => answer.map_err(|_| Stop::Late),
        }
    }
}

/// A server, with the pool of connections.
pub(super) struct Remote {
    stage: &'static Stage,
    connections: Arc<Connections>,
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
    api_key_env: String,
    retries: u32,
}

impl Remote {
    /// Asks nothing yet.
    pub fn new(stage: &'static Stage, address: &Address<'_>) -> Result<Remote, EngineError> {
        let load = |message| EngineError::Load { engine: NAME, message };
        let (key, url) = (stage.url_key, address.url);
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| {
            load(format!("{key}: `{url}` is no address of a server; write it like http://127.0.0.1:1234/v1"))
        })?;
        let authorization = outbound::bearer(address.api_key_env, stage.api_key_key).map_err(load)?;
        let connections = Connections::shared().map_err(|error| {
            load(format!("cannot start the thread for HTTP: {error}; raise the limit of threads"))
        })?;
        let connect_timeout = Duration::from_millis(address.connect_timeout_ms.into());
        let client = connections.client(&base, connect_timeout);
        let client = client.map_err(|error| load(outbound::no_client(key, &error)))?;
        let (api_key_env, retries) = (address.api_key_env.to_owned(), address.retries);
        Ok(Remote { stage, connections, client, base, authorization, api_key_env, retries })
    }

    /// Waits on the calling thread, which must be none of an executor.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.connections.block_on(future)
    }

    /// Lets something go on that nobody waits for.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.connections.spawn(future);
    }

    /// A `GET` of this path behind the base address.
    pub fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.client.get(self.path(segments))
    }

    /// A `POST` to this path behind the base address.
    pub fn post(&self, segments: &[&str]) -> RequestBuilder {
        self.client.post(self.path(segments))
    }

    /// The address as it can be shown: without credentials.
    pub fn shown(&self) -> String {
        let mut url = self.base.clone();
        // Fails only for addresses that cannot have credentials.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.set_query(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Sends a request until it is accepted, cannot be, or patience ends. `request` makes it anew for
    /// each try. `explain`: what to do about a refusal with these words that only this stage knows; it
    /// is not tried again.
    pub async fn ask(
        &self,
        request: impl Fn() -> RequestBuilder,
        patience: &Patience<'_>,
        explain: impl Fn(StatusCode, &str) -> Option<&'static str>,
    ) -> Result<Response, EngineError> {
        let mut tries_left = self.retries;
        let mut backoff = FIRST_BACKOFF;
        loop {
            let answer = patience.wait(self.ask_once(request(), &explain)).await;
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
            tracing::debug!(error = %refusal.error, pause_ms = pause.as_millis() as u64, "asking again");
            tries_left -= 1;
            backoff *= 2;
            let slept = patience.wait(tokio::time::sleep(pause)).await;
            slept.map_err(|stop| self.stopped(stop, patience))?;
        }
    }

    /// The error of a wait that ended too early.
    pub fn stopped(&self, stop: Stop, patience: &Patience<'_>) -> EngineError {
        match stop {
            Stop::Cancelled => EngineError::Cancelled,
            Stop::Late if patience.cancel.is_cancelled() => EngineError::Cancelled,
            Stop::Late => {
                let Limit { key, ms } = patience.limit;
                let message = format!(
                    "nothing to hear from {} within {ms} ms ({key}); it may still be loading its model: \
                     try again, or raise that limit",
                    self.shown()
                );
                failed(self.stage.timeout, message)
            }
        }
    }

    /// The error of an answer that cannot be read on.
    pub fn broken(&self, reason: impl std::fmt::Display) -> EngineError {
        let message = format!("the answer of {} broke off: {reason}; see that server's log", self.shown());
        failed(self.stage.failed, message)
    }

    /// The error of an answer that is not what was asked for.
    pub fn unusable(&self, reason: impl std::fmt::Display) -> EngineError {
        let message = format!(
            "the answer of {} is of no use: {reason}; check {} and {}",
            self.shown(),
            self.stage.url_key,
            self.stage.model_key
        );
        failed(self.stage.failed, message)
    }

    fn path(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn ask_once(
        &self,
        request: RequestBuilder,
        explain: &impl Fn(StatusCode, &str) -> Option<&'static str>,
    ) -> Result<Response, Refusal> {
        let request = match &self.authorization {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        };
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(self.refusal(response, explain).await),
            // Nothing of an answer has come: no connection, or one that broke before the answer's head.
            Err(error) => {
                let message = format!(
                    "no answer from {} ({}); start the server there, or set {}",
                    self.shown(),
                    outbound::root_cause(&error),
                    self.stage.url_key
                );
                Err(Refusal { error: failed(self.stage.unreachable, message), again: Again::Soon })
            }
        }
    }

    async fn refusal(
        &self,
        response: Response,
        explain: &impl Fn(StatusCode, &str) -> Option<&'static str>,
    ) -> Refusal {
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
        let Stage { url_key, model_key, suspects, bad_request, .. } = self.stage;
        let explained = explain(status, &words);
        let (code, again, remedy) = match status {
            _ if explained.is_some() => {
                (*bad_request, Again::Never, explained.unwrap_or_default().to_owned())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (self.stage.refused, Again::Never, self.key_remedy())
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let remedy = "try again later, or raise the limit at that server";
                (self.stage.rate_limited, soon, remedy.to_owned())
            }
            _ if status.is_server_error() => (self.stage.failed, soon, "see that server's log".to_owned()),
            _ if status.is_redirection() => {
                let to = location.unwrap_or_else(|| "nowhere".to_owned());
                (*bad_request, Again::Never, format!("it redirects to {to}: set {url_key} to where it is"))
            }
            StatusCode::NOT_FOUND => {
                let remedy = format!(
                    "check {model_key}, and that {url_key} ends as that server wants it (mostly /v1)"
                );
                (*bad_request, Again::Never, remedy)
            }
            _ => (*bad_request, Again::Never, format!("check {suspects}")),
        };
        let message = format!("{} answers {status}: {words}; {remedy}", self.shown());
        Refusal { error: failed(code, message), again }
    }

    fn key_remedy(&self) -> String {
        let key = self.stage.api_key_key;
        match (self.api_key_env.as_str(), &self.authorization) {
            ("", _) => format!("name an environment variable with a key in {key}"),
            (name, None) => format!("put a key into the environment variable {name} ({key})"),
            (name, Some(_)) => {
                format!("it does not accept the key in the environment variable {name} ({key})")
            }
        }
    }
}

/// A request that was not answered as it should be, and whether to try again.
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

pub(super) fn failed(code: &'static str, message: String) -> EngineError {
    EngineError::Failed { engine: NAME, code, message }
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
    use super::super::server::LLM;
    use super::*;

    fn remote(url: &str) -> Result<Remote, EngineError> {
        Remote::new(&LLM, &Address { url, api_key_env: "", connect_timeout_ms: 1_000, retries: 0 })
    }

    #[test]
    fn paths_go_behind_the_base_address() {
        for (base, expected) in [
            ("http://host:1/v1", "http://host:1/v1/chat/completions"),
            ("http://host:1/v1/", "http://host:1/v1/chat/completions"),
            ("http://host", "http://host/chat/completions"),
            ("https://host/a/b?version=2", "https://host/a/b/chat/completions?version=2"),
        ] {
            assert_eq!(remote(base).unwrap().path(&["chat", "completions"]).as_str(), expected);
        }
    }

    #[test]
    fn a_bad_address_is_named() {
        for bad in ["", "localhost:1234", "ftp://host/v1", "http://"] {
            let error = remote(bad).err().unwrap();
            assert_eq!(error.code(), "engine_load_failed");
            assert!(error.to_string().contains(&format!("llm.url: `{bad}`")), "{error}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = remote("http://me:secret@host:1/v1/?key=secret").unwrap().shown();
        assert_eq!(shown, "http://host:1/v1");
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
