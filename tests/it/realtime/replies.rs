//! Responses that are asked for: their parameters, tools, beside the conversation, cancelled.

use serde_json::{Value, json};

use super::client::Client;
use super::{prompt, with_llm};
use crate::harness::TestServer;
use crate::stub_llm::StubLlm;

const LONG_REPLY: &str = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen.";

fn look_up() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!({"type": "function", "name": "look_up", "description": "The weather.", "parameters": parameters})
}

#[tokio::test]
async fn a_text_reply_streams_and_may_be_cut() {
    let server = TestServer::start(|config| config.scripted.replies = vec!["One two three four.".into()]);
    let mut client = Client::with(&server, json!({"output_modalities": ["text"]})).await;
    client.write("user", "count").await;
    client.respond(json!({"metadata": {"purpose": "counting"}})).await;
    let done = client.until("response.done").await;
    let response = &done["response"];
    assert_eq!(
        (&response["status"], &response["metadata"]["purpose"]),
        (&json!("completed"), &json!("counting"))
    );
    assert_eq!(
        response["output"][0]["content"],
        json!([{"type": "output_text", "text": "One two three four."}])
    );
    assert_eq!(client.said("response.output_text.delta", &response["id"]), "One two three four.");
    assert!(client.audio(&response["id"]).is_empty());
    client.respond(json!({"max_output_tokens": 2})).await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["status"], "incomplete");
    assert_eq!(done["response"]["status_details"]["reason"], "max_output_tokens");
    assert_eq!(client.said("response.output_text.delta", &done["response"]["id"]), "One two ");
    server.stop();
}

#[tokio::test]
async fn a_response_may_have_its_own_instructions_and_modality() {
    let llm = StubLlm::saying(&["Ahoy."]);
    let server = with_llm(&llm, |_| {});
    let mut client = Client::with(&server, json!({"instructions": "Be a pilot."})).await;
    client.respond(json!({"instructions": "Be a pirate.", "output_modalities": ["text"]})).await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["output_modalities"], json!(["text"]));
    assert_eq!(prompt(&llm), ["system: Be a pirate."]);
    client.respond(json!({})).await;
    client.until("response.done").await;
    assert_eq!(prompt(&llm), ["system: Be a pilot.", "assistant: Ahoy."]);
    server.stop();
}

#[tokio::test]
async fn the_client_runs_its_tools_and_the_reply_goes_on() {
    let server = TestServer::start(|config| {
        config.scripted.replies =
            vec![r#"Let me see. {call look_up {"city":"Rome"}}"#.into(), "In Rome it is {tool}.".into()];
    });
    let mut client = Client::with(&server, json!({"tools": [look_up()]})).await;
    client.write("user", "weather in Rome?").await;
    client.respond(json!({})).await;
    let call = client.until_such("response.output_item.done", |e| e["item"]["type"] == "function_call").await;
    assert_eq!((&call["item"]["status"], &call["item"]["name"]), (&json!("completed"), &json!("look_up")));
    assert_eq!(call["item"]["arguments"], r#"{"city":"Rome"}"#);
    // As agents do: at once, while the words before the call are still being said.
    let call_id = call["item"]["call_id"].clone();
    let output = json!({"type": "function_call_output", "call_id": call_id, "output": "sunny"});
    client.send(json!({"type": "conversation.item.create", "item": output})).await;
    client.respond(json!({})).await;
    let first = client.until("response.done").await;
    let kinds: Vec<&Value> =
        first["response"]["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call"]);
    let second = client.until("response.done").await;
    let said = client.said("response.output_audio_transcript.delta", &second["response"]["id"]);
    assert_eq!(said, "In Rome it is sunny.");
    assert!(!client.order().contains(&"error"), "{:#?}", client.order());
    server.stop();
}

/// Once for each response, and what one response asks for goes before what the session says.
#[tokio::test]
async fn a_tool_that_must_be_called_is_asked_of_the_model() {
    let llm = StubLlm::saying(&["Very well."]);
    let server = with_llm(&llm, |_| {});
    let session = json!({"output_modalities": ["text"], "tools": [look_up()], "tool_choice": "required"});
    let mut client = Client::with(&server, session).await;
    client.write("user", "weather in Rome?").await;
    let named = json!({"type": "function", "name": "look_up"});
    let mut chosen = Vec::new();
    for wish in [
        json!({}),
        json!({"tool_choice": named}),
        json!({"tool_choice": "auto"}),
        json!({"conversation": "none", "output_modalities": ["text"]}),
    ] {
        client.respond(wish).await;
        client.until("response.done").await;
        let asked = std::iter::from_fn(|| llm.asked.try_recv().ok());
        let newest = asked.filter(|asked| asked.body["messages"].is_array()).last().unwrap();
        chosen.push(newest.body["tool_choice"].clone());
    }
    let named = json!({"type": "function", "function": {"name": "look_up"}});
    assert_eq!(chosen, [json!("required"), named, json!(null), json!("required")]);
    server.stop();
}

#[tokio::test]
async fn the_servers_tools_work_within_a_reply() {
    let server = TestServer::start(|config| {
        config.scripted.replies =
            vec![r#"{call calculate {"expression":"6*7"}}"#.into(), "It is {tool}.".into()];
    });
    let mut client =
        Client::with(&server, json!({"output_modalities": ["text"], "tools": [look_up()]})).await;
    client.write("user", "six times seven?").await;
    client.respond(json!({})).await;
    let done = client.until("response.done").await;
    let output = done["response"]["output"].as_array().unwrap();
    assert_eq!(output.len(), 1, "the server's call is its own business: {output:?}");
    assert!(output[0]["content"][0]["text"].as_str().unwrap().contains("42"), "{output:?}");
    server.stop();
}

#[tokio::test]
async fn a_response_beside_the_conversation_leaves_no_trace() {
    let llm = StubLlm::saying(&["Sports."]);
    let server = with_llm(&llm, |_| {});
    let mut client = Client::connect(&server).await;
    let kept = client.write("user", "who won the match?").await;
    let given = json!([
        {"type": "item_reference", "id": kept["id"]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what is this about?"}]},
    ]);
    let response = json!({
        "conversation": "none", "metadata": {"topic": "classification"}, "output_modalities": ["text"],
        "instructions": "Classify.", "input": given
    });
    client.respond(response).await;
    let done = client.until("response.done").await;
    let response = &done["response"];
    assert_eq!(response["metadata"]["topic"], "classification");
    assert_eq!((&response["conversation_id"], &response["status"]), (&json!(null), &json!("completed")));
    assert_eq!(response["output"][0]["content"][0]["text"], "Sports.");
    assert_eq!(prompt(&llm), ["system: Classify.", "user: who won the match?", "user: what is this about?"]);
    let added = client.events.iter().filter(|event| event["type"] == "conversation.item.added").count();
    assert_eq!(added, 1, "only what was written");
    client.respond(json!({"output_modalities": ["text"]})).await;
    client.until("response.done").await;
    assert_eq!(prompt(&llm)[1..], ["user: who won the match?"]);
    server.stop();
}

#[tokio::test]
async fn a_cancelled_response_ends_once_and_a_second_cancel_is_an_error() {
    let server = TestServer::start(|config| config.scripted.replies = vec![LONG_REPLY.into()]);
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    client.until("response.output_audio.delta").await;
    client.send(json!({"type": "response.cancel"})).await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["status_details"]["reason"], "client_cancelled");
    client.send(json!({"type": "response.cancel", "event_id": "again"})).await;
    let error = client.until("error").await;
    assert_eq!(
        (&error["error"]["code"], &error["error"]["event_id"]),
        (&json!("response_cancel_not_active"), &json!("again"))
    );
    client.respond(json!({})).await;
    let created = client.until("response.created").await;
    let wrong = json!({"type": "response.cancel", "response_id": done["response"]["id"]});
    client.send(wrong).await;
    client.until("error").await;
    let right = json!({"type": "response.cancel", "response_id": created["response"]["id"]});
    client.send(right).await;
    assert_eq!(client.until("response.done").await["response"]["status"], "cancelled");
    let count = |kind: &str| client.events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("response.created"), count("response.done")), (2, 2));
    server.stop();
}

#[tokio::test]
async fn a_late_cancel_does_not_hit_the_next_response() {
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["and now something else".into()];
        config.scripted.replies = vec![LONG_REPLY.into()];
    });
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    client.until("response.output_audio.delta").await;
    client.say("and now something else");
    client.until("input_audio_buffer.speech_started").await;
    assert_eq!(client.until("response.done").await["response"]["status"], "cancelled");
    // The client is slow: by now the next response is being said.
    client.until("response.created").await;
    client.until("response.output_audio.delta").await;
    client.send(json!({"type": "response.cancel"})).await;
    assert_eq!(client.until("error").await["error"]["code"], "response_cancel_not_active");
    client.until("response.output_audio.delta").await;
    // But the next one means what is heard now.
    client.send(json!({"type": "response.cancel"})).await;
    assert_eq!(client.until("response.done").await["response"]["status"], "cancelled");
    server.stop();
}

#[tokio::test]
async fn a_second_response_at_a_time_is_refused() {
    let server = TestServer::start(|config| config.scripted.replies = vec![LONG_REPLY.into()]);
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    client.until("response.created").await;
    client.send(json!({"type": "response.create", "event_id": "second"})).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "conversation_already_has_active_response");
    assert_eq!(error["error"]["event_id"], "second");
    server.stop();
}

#[tokio::test]
async fn what_fails_ends_the_response_as_failed_and_the_session_goes_on() {
    let server = TestServer::start(|config| {
        config.scripted.replies = vec!["Fine.".into()];
        config.scripted.failures = vec!["llm@1".into()];
        config.persona.apology = String::new();
    });
    let mut client = Client::connect(&server).await;
    client.write("user", "hello").await;
    client.respond(json!({})).await;
    let failed = client.until("response.done").await;
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["status_details"]["error"]["code"], "llm_failed");
    client.respond(json!({})).await;
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
    server.stop();
}

#[tokio::test]
async fn clearing_the_output_stops_what_is_heard() {
    let server = TestServer::start(|config| config.scripted.replies = vec![LONG_REPLY.into()]);
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    client.until("response.output_audio.delta").await;
    client.send(json!({"type": "output_audio_buffer.clear"})).await;
    client.until("output_audio_buffer.cleared").await;
    assert_eq!(client.until("response.done").await["response"]["status"], "cancelled");
    // Nothing is heard any more: that is what was asked for.
    client.send(json!({"type": "output_audio_buffer.clear"})).await;
    client.until("output_audio_buffer.cleared").await;
    client.wait(200).await;
    assert!(!client.order().contains(&"error"));
    server.stop();
}
