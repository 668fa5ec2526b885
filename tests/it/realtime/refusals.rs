//! What cannot be is an error that names the client's event and field; the session goes on.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use vivavoce::conversation::tokens::{NewToken, Scope};

use super::client::Client;
use crate::harness::TestServer;

#[tokio::test]
async fn errors_name_the_event_and_the_field_and_nothing_changes() {
    let server = TestServer::start(|_| {});
    let mut client = Client::connect(&server).await;
    let before = client.events[0]["session"].clone();
    let session = |session: serde_json::Value| json!({"type": "session.update", "session": session});
    let cases = [
        (json!({"type": "dance"}), "invalid_value", json!("type")),
        (json!({"type": "input_audio_buffer.append", "audio": "AAA"}), "invalid_value", json!("audio")),
        (json!({"type": "input_audio_buffer.append", "audio": "AAAA"}), "invalid_value", json!("audio")),
        (json!({"type": "input_audio_buffer.commit"}), "input_audio_buffer_commit_empty", json!(null)),
        (session(json!({"type": "transcription"})), "invalid_value", json!("session.type")),
        (session(json!({"temperature": 1})), "unknown_parameter", json!("session.temperature")),
        (
            session(json!({"audio": {"input": {"turn_detection": {"type": "psychic"}}}})),
            "invalid_value",
            json!("session.audio.input.turn_detection.type"),
        ),
        (
            session(json!({"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 7}}}})),
            "invalid_value",
            json!("session.audio.input.turn_detection.threshold"),
        ),
        (
            session(json!({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 8000}}}})),
            "invalid_value",
            json!("session.audio.output.format.rate"),
        ),
        (session(json!({"instructions": ["x"]})), "invalid_type", json!("session.instructions")),
        (json!({"type": "conversation.item.retrieve", "item_id": "no"}), "item_not_found", json!("item_id")),
        (json!({"type": "conversation.item.delete", "item_id": "no"}), "item_not_found", json!("item_id")),
        (
            json!({"type": "conversation.item.truncate", "item_id": "no", "content_index": 0, "audio_end_ms": 0}),
            "item_not_found",
            json!("item_id"),
        ),
        (
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "no", "output": ""}}),
            "invalid_tool_call_id",
            json!("item.call_id"),
        ),
        (json!({"type": "response.cancel"}), "response_cancel_not_active", json!(null)),
        (
            json!({"type": "response.create", "response": {"conversation": "none"}}),
            "invalid_value",
            json!("response.output_modalities"),
        ),
    ];
    for (number, (mut event, code, param)) in cases.into_iter().enumerate() {
        let id = format!("mine_{number}");
        event["event_id"] = json!(id);
        client.send(event.clone()).await;
        let error = client.until("error").await["error"].clone();
        assert_eq!(
            (&error["code"], &error["param"], &error["event_id"]),
            (&json!(code), &param, &json!(id)),
            "{event}: {error}"
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
    client.send_raw(Message::Text("{".into())).await;
    assert_eq!(client.until("error").await["error"]["code"], "invalid_json");
    client.send_raw(Message::Binary(vec![0, 1].into())).await;
    assert_eq!(client.until("error").await["error"]["code"], "invalid_frame");
    // An update changes what it names, and is echoed whole.
    let mut after = client.update(json!({"instructions": "Be kind."})).await;
    assert_eq!(after["instructions"], "Be kind.");
    after["instructions"] = before["instructions"].clone();
    assert_eq!(after, before);
    server.stop();
}

#[tokio::test]
async fn a_flood_of_nonsense_is_cut_off() {
    let server = TestServer::start(|config| config.limits.bad_messages = 3);
    let mut client = Client::connect(&server).await;
    for _ in 0..4 {
        client.send_raw(Message::Text("nonsense".into())).await;
    }
    while client.next().await.is_some() {}
    assert_eq!(client.closed.as_ref().map(|frame| u16::from(frame.code)), Some(1008), "{:?}", client.order());
    assert_eq!(client.events.last().unwrap()["error"]["code"], "abuse");
    server.stop();
}

#[tokio::test]
async fn a_session_ends_at_its_maximum() {
    let server = TestServer::start(|config| config.limits.session_max_s = 1);
    let mut client = Client::connect(&server).await;
    while client.next().await.is_some() {}
    assert_eq!(client.events.last().unwrap()["error"]["code"], "session_expired");
    assert_eq!(client.closed.as_ref().map(|frame| u16::from(frame.code)), Some(1000));
    server.stop();
}

#[tokio::test]
async fn browsers_bring_their_key_in_a_subprotocol() {
    let server = TestServer::start(|config| config.auth.mode = vivavoce::config::AuthMode::Tokens);
    let new = NewToken { name: "browser", scopes: &[Scope::Realtime], expires_at_unix_us: None };
    let token = server.server.tokens.create(&new).unwrap();
    let url = format!("ws://{}/v1/realtime?model=gpt-realtime", server.address);
    let connect = |protocols: Option<String>| {
        let mut request = url.as_str().into_client_request().unwrap();
        if let Some(protocols) = protocols {
            request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request)
    };
    assert!(connect(None).await.unwrap_err().to_string().contains("401"));
    let wrong = "realtime, openai-insecure-api-key.wrong".to_owned();
    assert!(connect(Some(wrong)).await.unwrap_err().to_string().contains("401"));
    let right = format!("realtime, openai-insecure-api-key.{token}");
    let (_socket, response) = connect(Some(right)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
    server.stop();
}

#[tokio::test]
async fn a_client_secret_brings_its_session() {
    let server = TestServer::start(|_| {});
    let make = |session: Value| {
        let url = format!("http://{}/v1/realtime/client_secrets", server.address);
        async move {
            crate::tls();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let made = client.post(url).json(&json!({ "session": session })).send().await.unwrap();
            made.json::<Value>().await.unwrap()
        }
    };
    let session =
        json!({"type": "realtime", "model": "gpt-realtime", "instructions": "Speak like a pirate."});
    let made = make(session).await;
    let url = format!("ws://{}/v1/realtime?model=gpt-realtime", server.address);
    let mut request = url.into_client_request().unwrap();
    let offered = format!("realtime, openai-insecure-api-key.{}", made["value"].as_str().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let created = socket.next().await.unwrap().unwrap();
    let created: Value = serde_json::from_str(created.to_text().unwrap()).unwrap();
    assert_eq!(created["session"]["instructions"], "Speak like a pirate.");

    let refused = make(json!({"type": "realtime", "output_modalities": ["smoke"]})).await;
    assert_eq!(refused["error"]["param"], "session.output_modalities", "{refused}");
    server.stop();
}
