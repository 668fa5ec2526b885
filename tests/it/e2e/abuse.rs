//! Clients that do not read, or send what they should not, or too much, or vanish.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use vivavoce::client::{ClientError, ClientMessage, ServerMessage};
use vivavoce::conversation::{NewToken, Scope};
use vivavoce::turn::io::Outcome;

use super::person::{Person, wait_until};
use crate::harness::TestServer;

fn error_code(message: &ServerMessage) -> Option<&str> {
    match message {
        ServerMessage::Error { code, .. } => Some(code),
        _ => None,
    }
}

/// A typed turn goes well: the server is fine.
async fn still_serves(server: &TestServer) {
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
}

#[tokio::test]
async fn garbage_is_answered_with_errors_and_nothing_else_happens() {
    let server = TestServer::start(|config| config.scripted.tts_ms_per_char = 1);
    let (mut sender, mut receiver) = server.connect().await.split();
    let garbage = [
        "",
        "hello",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"weather\"}",
        "{\"type\":\"text\"}",
        "{\"type\":\"text\",\"text\":\"  \"}",
        "{\"type\":\"played\",\"chunk_id\":-1}",
        "{\"type\":\"configure\",\"hangover\":1}",
        "{\"type\":\"commit\",\"now\":true}",
    ];
    for text in garbage {
        sender.send_text(text.to_owned()).await.unwrap();
    }
    let mut errors = 0;
    while errors < garbage.len() {
        let message = receiver.receive().await.unwrap();
        if let Some(code) = error_code(&message) {
            assert_eq!(code, "bad_message", "{message:?}");
            errors += 1;
        }
    }
    // Impossible settings are refused as a whole.
    let half_right = r#"{"type":"configure","min_interrupt_ms":100,"turn_detection":{"hangover_ms":1}}"#;
    sender.send_text(half_right.to_owned()).await.unwrap();
    sender.send_text(r#"{"type":"configure"}"#.to_owned()).await.unwrap();
    let mut refused = false;
    loop {
        match receiver.receive().await.unwrap() {
            ServerMessage::Error { code, message, .. } => {
                assert_eq!(code, "bad_configure");
                assert!(message.contains("turn_detection.hangover_ms"), "{message}");
                refused = true;
            }
            ServerMessage::Configured(settings) => {
                assert!(refused);
                assert_eq!(settings["min_interrupt_ms"], 300);
                break;
            }
            _ => {}
        }
    }
    // Odd bytes are dropped, and the session goes on.
    sender.send_pcm(vec![1, 2, 3].into()).await.unwrap();
    sender.send(&ClientMessage::Text { text: "still there?".into() }).await.unwrap();
    let mut dropped = false;
    loop {
        let message = receiver.receive().await.unwrap();
        dropped |= error_code(&message) == Some("bad_audio");
        if let ServerMessage::TurnEnd { outcome, .. } = message {
            assert_eq!(outcome, Outcome::Completed);
            break;
        }
    }
    assert!(dropped);
    server.stop();
}

/// The code with which the server closes the socket.
async fn close_code(mut receiver: vivavoce::client::Receiver) -> u16 {
    loop {
        match receiver.receive().await {
            Ok(_) => {}
            Err(ClientError::Closed { code, .. }) => return code,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_flood_of_garbage_closes_the_socket() {
    let server = TestServer::start(|config| config.limits.bad_messages = 5);
    let (mut sender, receiver) = server.connect().await.split();
    for _ in 0..6 {
        sender.send_text("garbage".to_owned()).await.unwrap();
    }
    assert_eq!(close_code(receiver).await, 1008);
    still_serves(&server).await;
    server.stop();
}

#[tokio::test]
async fn too_many_messages_and_too_fast_audio_close_the_socket() {
    let server = TestServer::start(|config| {
        config.limits.messages_per_second = 60;
        config.limits.audio_speed = 2.0;
    });
    let (mut sender, receiver) = server.connect().await.split();
    for _ in 0..700 {
        // It is cut off before all of them are sent, if it is quick.
        let _ = sender.send(&ClientMessage::Ping).await;
    }
    assert_eq!(close_code(receiver).await, 1008);
    let (mut sender, receiver) = server.connect().await.split();
    for _ in 0..21 {
        // A second each: more than twice real time, on average over ten seconds.
        let _ = sender.send_pcm(vec![0; 32_000].into()).await;
    }
    assert_eq!(close_code(receiver).await, 1008);
    still_serves(&server).await;
    server.stop();
}

#[tokio::test]
async fn a_huge_message_closes_the_socket_as_too_big() {
    let server = TestServer::start(|config| config.limits.message_bytes = 4_096);
    let (mut sender, receiver) = server.connect().await.split();
    let _ = sender.send_text("x".repeat(5_000)).await;
    assert_eq!(close_code(receiver).await, 1009);
    still_serves(&server).await;
    server.stop();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = TestServer::start(|config| {
        config.limits.outbound_messages = 40;
        config.limits.messages_per_second = 100_000;
    });
    let url = server.url();
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    // The kernel's buffers take a lot before the server's writer has to wait.
    let ping = Message::text(
        r#"{"type":"configure","system_prompt":"PROMPT"}"#.replace("PROMPT", &"x".repeat(30_000)),
    );
    let mut sent = 0;
    let cut = loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.send(ping.clone())).await {
            Ok(Ok(())) => sent += 1,
            Ok(Err(error)) => break error,
            Err(_) => panic!("neither cut off nor served after {sent} messages"),
        }
        assert!(sent < 100_000, "the server buffers without end");
    };
    println!("cut off after {sent} messages: {cut}");
    still_serves(&server).await;
    server.stop();
}

#[tokio::test]
async fn clients_that_vanish_mid_turn_leave_nothing_behind() {
    let server = TestServer::start(|config| {
        config.limits.sessions = 2;
        config.limits.resume_grace_ms = 50;
    });
    for _ in 0..6 {
        let mut person = Person::new(server.connect().await);
        person.type_text("tell me everything").await;
        person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
        drop(person); // the socket closes without a goodbye
        // Its place is free again, soon: two sessions are all there may be.
        wait_until(|| server.server.admission.open_sessions() == 0).await;
    }
    still_serves(&server).await;
    server.stop();
}

#[tokio::test]
async fn foreign_pages_and_rebound_names_are_kept_out() {
    let server = TestServer::start(|_| {});
    let request = |host: &str, origin: &str| {
        format!(
            "GET /ws/chat HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    for (host, origin, expected) in [
        ("localhost", "", "101"),
        ("localhost:1234", "Origin: http://localhost:1234\r\n", "101"),
        ("127.0.0.1", "Origin: http://evil.example\r\n", "403"),
        ("evil.example", "", "403"),
        ("localhost.evil.example", "", "403"),
    ] {
        let mut socket = TcpStream::connect(&server.address).await.unwrap();
        socket.write_all(request(host, origin).as_bytes()).await.unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, format!("HTTP/1.1 {expected}").as_bytes(), "{host} {origin}");
    }
    server.stop();
}

#[tokio::test]
async fn elsewhere_a_token_is_needed() {
    let server = TestServer::start(|config| config.auth.mode = vivavoce::config::AuthMode::Tokens);
    let refused = vivavoce::client::connect(&server.url(), None).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
    let refused = vivavoce::client::connect(&server.url(), Some("guess")).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
    let token = server
        .server
        .tokens
        .create(&NewToken { name: "a test", scopes: &[Scope::Voice], expires_at_unix_us: None })
        .unwrap();
    vivavoce::client::connect(&server.url(), Some(&token)).await.unwrap();
    // As a browser does it.
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let mut request = server.url().into_client_request().unwrap();
    let offered = format!("vivavoce.v1, bearer.{token}").parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", offered);
    let (mut socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "vivavoce.v1");
    assert!(socket.next().await.unwrap().unwrap().into_text().unwrap().contains("\"session\""));
    server.stop();
}
