//! Items that the client puts in, places, and takes out: the next prompt has them so.

use serde_json::{Value, json};

use super::client::Client;
use super::{prompt, with_llm};
use crate::stub_llm::StubLlm;

async fn answer(client: &mut Client, llm: &StubLlm) -> Vec<String> {
    client.respond(json!({"output_modalities": ["text"], "instructions": "I."})).await;
    client.until("response.done").await;
    prompt(llm)
}

fn message(role: &str, text: &str, previous: &Value) -> Value {
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    let item = json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
    json!({"type": "conversation.item.create", "item": item, "previous_item_id": previous})
}

#[tokio::test]
async fn items_reach_the_prompt_in_their_order_and_leave_it() {
    let llm = StubLlm::saying(&["Yes."]);
    let server = with_llm(&llm, |_| {});
    let mut client = Client::connect(&server).await;
    let first = client.write("user", "first").await;
    let last = client.write("user", "last").await;
    client.send(message("assistant", "between", &first["id"])).await;
    let between = client.until("conversation.item.added").await;
    assert_eq!(between["previous_item_id"], first["id"]);
    client.send(message("system", "above all", &json!("root"))).await;
    let above = client.until("conversation.item.added").await;
    assert_eq!(above["previous_item_id"], json!(null));
    let expected = ["system: I.", "system: above all", "user: first", "assistant: between", "user: last"];
    assert_eq!(answer(&mut client, &llm).await, expected);

    client.send(json!({"type": "conversation.item.delete", "item_id": between["item"]["id"]})).await;
    assert_eq!(client.until("conversation.item.deleted").await["item_id"], between["item"]["id"]);
    client.send(json!({"type": "conversation.item.delete", "item_id": last["id"]})).await;
    client.until("conversation.item.deleted").await;
    let expected = ["system: I.", "system: above all", "user: first", "assistant: Yes."];
    assert_eq!(answer(&mut client, &llm).await, expected);
    client
        .send(json!({"type": "conversation.item.retrieve", "item_id": last["id"], "event_id": "gone"}))
        .await;
    assert_eq!(client.until("error").await["error"]["event_id"], "gone");
    server.stop();
}

#[tokio::test]
async fn a_restored_call_and_its_result_stand_together() {
    let llm = StubLlm::saying(&["Yes."]);
    let server = with_llm(&llm, |_| {});
    let mut client = Client::connect(&server).await;
    client.write("user", "weather?").await;
    let call = json!({"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"});
    client.send(json!({"type": "conversation.item.create", "item": call})).await;
    client.until("conversation.item.done").await;
    client.write("user", "well?").await;
    let output = json!({"type": "function_call_output", "call_id": "c1", "output": "sunny"});
    client.send(json!({"type": "conversation.item.create", "item": output})).await;
    client.until("conversation.item.done").await;
    let expected = ["system: I.", "user: weather?", "assistant:  +look_up", "tool: sunny", "user: well?"];
    assert_eq!(answer(&mut client, &llm).await, expected);
    server.stop();
}
