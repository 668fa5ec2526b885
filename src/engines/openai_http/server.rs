//! The chat server of `llm.url`: what it serves, and whether it takes tools. How it is asked is in
//! [`super::remote`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::remote::{self, Address, Patience, Remote, Stage, failed};
use super::request::ChatRequest;
use super::words::quote;
use crate::engines::{CancelToken, EngineError, LlmRequest};
use crate::{config, outbound};

/// The list of models, at most.
const MAX_MODELS_BYTES: usize = 4 << 20;

/// What goes wrong with language models.
pub(super) const LLM: Stage = Stage {
    unreachable: "llm_unreachable",
    timeout: "llm_timeout",
    refused: "llm_refused",
    rate_limited: "llm_rate_limited",
    bad_request: "llm_bad_request",
    failed: "llm_failed",
    url_key: "llm.url",
    model_key: "llm.model",
    api_key_key: "llm.api_key_env",
    suspects: "llm.model and llm.max_new_tokens",
};

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

#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// From the request to the first token, everything included.
    FirstToken,
    /// From one token to the next.
    NextToken,
}

/// The server of `llm.url`.
pub(super) struct Server {
    pub remote: Remote,
    config: config::Llm,
    /// The model found by asking, while `llm.model` is empty.
    discovered_model: Mutex<Option<String>>,
    /// It has said that it does not take tools.
    refuses_tools: AtomicBool,
}

impl Server {
    /// Asks nothing yet.
    pub fn new(config: &config::Llm) -> Result<Server, EngineError> {
        let address = Address {
            url: &config.url,
            api_key_env: &config.api_key_env,
            connect_timeout_ms: config.connect_timeout_ms,
            retries: config.retries,
        };
        let remote = Remote::new(&LLM, &address)?;
        let (discovered_model, refuses_tools) = (Mutex::new(None), AtomicBool::new(false));
        Ok(Server { remote, config: config.clone(), discovered_model, refuses_tools })
    }

    /// Patience that begins now.
    pub fn patience<'a>(&self, limit: Limit, cancel: &'a CancelToken) -> Patience<'a> {
        let (key, ms) = match limit {
            Limit::FirstToken => ("llm.first_token_timeout_ms", self.config.first_token_timeout_ms),
            Limit::NextToken => ("llm.token_timeout_ms", self.config.token_timeout_ms),
        };
        Patience::new(remote::Limit { key, ms }, cancel)
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
        let response = self.remote.ask(|| self.remote.get(&["models"]), patience, |_, _| None).await?;
        let body = patience.wait(outbound::read_body(response, MAX_MODELS_BYTES)).await;
        let body = body.map_err(|stop| self.remote.stopped(stop, patience))?;
        let list: List = serde_json::from_slice(&body).map_err(|_| {
            let body = quote(&String::from_utf8_lossy(&body));
            let message =
                format!("{}/models is no list of models but: {body}; check llm.url", self.remote.shown());
            failed(LLM.failed, message)
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
            failed(LLM.bad_request, format!("the request cannot be written as JSON: {error}"))
        })?;
        let body = Bytes::from(body);
        let request = || {
            let request = self.remote.post(&["chat", "completions"]);
            request.header(CONTENT_TYPE, "application/json").body(body.clone())
        };
        let answer = self.remote.ask(request, patience, |status, words| self.explain(status, words)).await;
        if answer.as_ref().is_err_and(|error| error.code() == LLM.bad_request) {
            // The model may have been unloaded: ask again for the list next time.
            *self.lock_model() = None;
        }
        answer
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
            let message = format!("{} lists no model; load one there or set llm.model", self.remote.shown());
            failed(LLM.bad_request, message)
        })?;
        *self.lock_model() = Some(model.clone());
        Ok(model)
    }

    fn lock_model(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.discovered_model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the server takes no tools, if that is what it says.
    fn explain(&self, status: StatusCode, words: &str) -> Option<&'static str> {
        refuses_tools(status, words).then(|| {
            self.refuses_tools.store(true, Ordering::Relaxed);
            "load a model that can call tools, or switch them on at that server"
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
