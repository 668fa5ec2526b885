//! Which language model `llm.engine` means, and the line that says so.
//!
//! `auto` takes the best that is there: a local model that was named or pulled, else the chat server of
//! `llm.url` if it answers, else the small model that is built in. An engine that is named is used
//! without looking for another.

use super::local::source::{BUILT_IN, Source};
use super::{EngineError, echo, local, openai_http, scripted};
use crate::config::Config;

/// Names that `llm.engine` knows besides `auto`.
pub const NAMES: [&str; 4] = [local::NAME, openai_http::NAME, echo::NAME, scripted::NAME];

/// A choice to be logged, and to be told to clients by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmChoice {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Why, in one line, with what to do to get another.
    pub reason: String,
}

/// Decides. Blocks, at most a second (`auto` may ask the server of `llm.url` once); not to be called on
/// an executor thread.
pub fn choose_llm(config: &Config) -> Result<LlmChoice, EngineError> {
    let engine = &config.llm.engine;
    if engine == "auto" {
        return choose_best(config);
    }
    let named = NAMES.into_iter().find(|name| name == engine);
    let name = named.ok_or_else(|| EngineError::Load {
        engine: "llm",
        message: format!("llm.engine: `{engine}` is no engine; write auto, {}", NAMES.join(", ")),
    })?;
    Ok(LlmChoice { name, reason: format!("llm: {name}, because llm.engine names it") })
}

fn choose_best(config: &Config) -> Result<LlmChoice, EngineError> {
    let local = |reason: String| Ok(LlmChoice { name: local::NAME, reason: format!("llm: local, {reason}") });
    let model = &config.llm.local.model;
    if model != "auto" {
        return local(format!("because llm.local.model names {model}"));
    }
    if let Some(pulled) = Source::pulled(config)? {
        return local(format!("because {} was pulled", pulled.name()));
    }
    match openai_http::probe(&config.llm) {
        Ok(server) => {
            let model = match (config.llm.model.as_str(), server.chat_model()) {
                ("", Some(first)) => first.to_owned(),
                ("", None) => "no model yet; load one there".to_owned(),
                (named, _) => named.to_owned(),
            };
            let name = openai_http::NAME;
            let reason = format!("llm: {name} ({model}), because a chat server answers at llm.url");
            Ok(LlmChoice { name, reason })
        }
        // A setting that is wrong is to be mended, not to be worked around.
        Err(error @ EngineError::Load { .. }) => Err(error),
        Err(error) => local(format!(
            "with the small built-in model {BUILT_IN}, because none was pulled and no chat server answers \
             ({error}); for a larger one: `vivavoce models pull qwen3-4b-q4_k_m`, or any OpenAI-compatible server \
             (LM Studio, Ollama, llama.cpp, vLLM)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(engine: &str, url: &str) -> Config {
        let cache = std::path::PathBuf::from("/no/such/cache");
        let mut config = Config::default();
        (config.llm.engine, config.llm.url, config.models.cache) = (engine.into(), url.into(), cache);
        config
    }

    fn choose(engine: &str, url: &str) -> Result<LlmChoice, EngineError> {
        choose_llm(&config(engine, url))
    }

    #[test]
    fn a_named_engine_is_used_without_asking_anybody() {
        for name in NAMES {
            assert_eq!(choose(name, "no address at all").unwrap().name, name);
        }
    }

    #[test]
    fn a_named_local_model_goes_before_a_server() {
        let mut config = config("auto", "no address at all");
        config.llm.local.model = "some.gguf".into();
        let choice = choose_llm(&config).unwrap();
        assert_eq!(choice.name, "local");
        assert!(choice.reason.contains("some.gguf"), "{}", choice.reason);
    }

    #[test]
    fn where_nothing_answers_the_built_in_model_does() {
        // Nobody listens on the port of discarded data.
        let choice = choose("auto", "http://127.0.0.1:9/v1").unwrap();
        assert_eq!(choice.name, "local");
        assert!(
            choice.reason.contains("concierge") && choice.reason.contains("127.0.0.1:9"),
            "{}",
            choice.reason
        );
    }

    #[test]
    fn an_unknown_engine_is_named() {
        let error = choose("gpt", "").unwrap_err().to_string();
        assert!(error.contains("`gpt`") && error.contains("local, openai, echo, scripted"), "{error}");
    }

    #[test]
    fn a_wrong_address_is_an_error_also_for_auto() {
        assert_eq!(choose("auto", "localhost:1234").unwrap_err().code(), "engine_load_failed");
    }
}
