//! Agents: the same for every frontend.

use serde_json::{Value, json};
use vivavoce::config::{Agent, Config};

use super::{Vault, answer, stamp};
use crate::stub_llm::{Answer, StubLlm};

/// An agent that speaks by another server.
pub fn elsewhere(url: &str) -> Agent {
    let llm = format!("engine: openai\nurl: {url}\nmodel: stub\nretries: 0");
    Agent { llm: Some(serde_yaml::from_str(&llm).unwrap()), ..Agent::default() }
}

fn with_agents(config: &mut Config, url: &str) {
    let tutor = Agent {
        system_prompt: Some("You are {name}, a tutor.".to_owned()),
        tools: Some(vec!["calculate".to_owned()]),
        ..elsewhere(url)
    };
    config.agents.insert("tutor".to_owned(), tutor);
    config.agents.insert("twin".to_owned(), elsewhere(url));
}

#[tokio::test]
async fn request_file_and_configuration_say_who_answers() {
    let stub = StubLlm::saying(&["From", " the", " tutor."]);
    let url = stub.url.clone();
    let vault = Vault::start(&["From the persona."], |config| with_agents(config, &url));
    let listed =
        answer(vault.http.get(vault.url("/agents")).bearer_auth(&vault.token).send().await.unwrap()).await;
    let names = json!({"agents": [{"name": "default"}, {"name": "tutor"}, {"name": "twin"}]});
    assert_eq!(listed, (200, names));

    vault.write("a.md", "### User:\nHi!\n");
    assert!(vault.reply_to("a").await.contains("From the persona."));
    vault.write("b.md", "---\nagent: tutor\n---\n### User:\nHi!\n");
    let text = vault.reply_to("b").await;
    assert!(text.contains("From the tutor."), "{text}");
    assert_eq!(stamp(&text, "agent"), "tutor");
    let asked = stub.take_asked().pop().unwrap();
    assert_eq!(asked.body["messages"][0]["content"], "You are Vivavoce, a tutor.");
    let tools: Vec<&Value> =
        asked.body["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(tools, ["calculate"]);
    // The request goes before the file.
    vault.write("c.md", "---\nagent: tutor\n---\n### User:\nHi!\n");
    let (_, done) = vault.chat(json!({"filename": "c", "agent": "default"})).await;
    assert_eq!(done["agent"], "default");
    assert_eq!(stamp(&vault.read("c.md"), "agent"), "default");
    vault.server.stop();
}

#[tokio::test]
async fn another_agent_goes_on_with_what_was_said() {
    let stub = StubLlm::start(|_| Answer::reply(&["Two."]));
    let url = stub.url.clone();
    let vault = Vault::start(&["One."], |config| with_agents(config, &url));
    vault.write("a.md", "### User:\nFirst\n");
    let first = vault.reply_to("a").await;
    vault.write("a.md", &format!("{first}Second\n").replace("agent: default", "agent: tutor"));
    let second = vault.reply_to("a").await;
    let asked = stub.take_asked().pop().unwrap();
    let contents: Vec<&str> = asked.body["messages"].as_array().unwrap()[1..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, ["First", "One.", "Second"]);
    assert_ne!(stamp(&first, "conversation_id"), stamp(&second, "conversation_id"));
    let session = stamp(&second, "conversation_id").parse().unwrap();
    let stored = vault.server.server.log.read_session(session).unwrap().unwrap();
    assert_eq!((stored.agent.as_str(), stored.frontend.as_str()), ("tutor", "markdown"));
    assert!(stored.forked_from.is_some());
    vault.server.stop();
}
