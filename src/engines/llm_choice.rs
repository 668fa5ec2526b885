//! Which language model `llm.engine` means, and the line that says so.
//!
//! `auto` takes the best that is there: the chat server of `llm.url` if it answers, else `echo`. An
//! engine that is named is used without looking for another.

use super::{EngineError, echo, openai_http, scripted};
use crate::config;

/// Names that `llm.engine` knows besides `auto`. (`local`, the built-in model, will be one of them,
/// and `auto`'s answer where no server is found: see [`choose_llm`].)
pub const NAMES: [&str; 3] = [openai_http::NAME, echo::NAME, scripted::NAME];

/// A choice to be logged, and to be told to clients by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmChoice {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Why, in one line, with what to do to get another.
    pub reason: String,
}

/// Decides. Blocks, at most a second (`auto` asks the server of `llm.url` once); not to be called on
/// an executor thread.
pub fn choose_llm(config: &config::Llm) -> Result<LlmChoice, EngineError> {
    if config.engine == "auto" {
        return choose_best(config);
    }
    let named = NAMES.into_iter().find(|name| *name == config.engine);
    let name = named.ok_or_else(|| EngineError::Load {
        engine: "llm",
        message: format!("llm.engine: `{}` is no engine; write auto, {}", config.engine, NAMES.join(", ")),
    })?;
    Ok(LlmChoice { name, reason: format!("llm: {name}, because llm.engine names it") })
}

fn choose_best(config: &config::Llm) -> Result<LlmChoice, EngineError> {
    match openai_http::probe(config) {
        Ok(server) => {
            let model = match (config.model.as_str(), server.chat_model()) {
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
        // Here `local` goes: the built-in model, if its weights are there.
        Err(error) => {
            let name = echo::NAME;
            let reason = format!(
                "llm: {name}, which only repeats what it hears, because no language model is there: {error}; \
                 any OpenAI-compatible server does (LM Studio, Ollama, llama.cpp, vLLM)"
            );
            Ok(LlmChoice { name, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(engine: &str, url: &str) -> Result<LlmChoice, EngineError> {
        choose_llm(&config::Llm { engine: engine.into(), url: url.into(), ..Default::default() })
    }

    #[test]
    fn a_named_engine_is_used_without_asking_anybody() {
        for name in NAMES {
            assert_eq!(choose(name, "no address at all").unwrap().name, name);
        }
    }

    #[test]
    fn an_unknown_engine_is_named() {
        let error = choose("gpt", "").unwrap_err().to_string();
        assert!(error.contains("`gpt`") && error.contains("openai, echo, scripted"), "{error}");
    }

    #[test]
    fn a_wrong_address_is_an_error_also_for_auto() {
        assert_eq!(choose("auto", "localhost:1234").unwrap_err().code(), "engine_load_failed");
    }
}
