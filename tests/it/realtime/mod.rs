//! The Realtime API over a real socket: what OpenAI's clients rely on.

pub mod client;
mod items;
mod official;
mod refusals;
mod replies;
mod returning;
mod talking;

use serde_json::Value;
use vivavoce::config::Config;

use crate::harness::TestServer;
use crate::stub_llm::StubLlm;

/// With scripted ears and voice, and the model that `llm` is.
fn with_llm(llm: &StubLlm, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.llm.engine = "openai".into();
        config.llm.url = llm.url.clone();
        configure(config);
    })
}

/// The messages of the newest prompt, as `role: content`.
fn prompt(llm: &StubLlm) -> Vec<String> {
    let asked = std::iter::from_fn(|| llm.asked.try_recv().ok());
    let newest = asked.filter(|asked| asked.body["messages"].is_array()).last().expect("it was asked");
    let line = |message: &Value| {
        let calls = message["tool_calls"].as_array().map(|calls| {
            let call = |call: &Value| format!(" +{}", call["function"]["name"].as_str().unwrap());
            calls.iter().map(call).collect::<String>()
        });
        let role = message["role"].as_str().unwrap();
        format!("{role}: {}{}", message["content"].as_str().unwrap_or_default(), calls.unwrap_or_default())
    };
    newest.body["messages"].as_array().unwrap().iter().map(line).collect()
}
