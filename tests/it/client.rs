//! Our client against running servers: what comes and goes, and what is said where nothing can.

use vivavoce::client::{self, ClientError, ClientMessage, ServerMessage};
use vivavoce::conversation::log::ConversationLog;
use vivavoce::turn::io::{Outcome, State};

use crate::harness::{ServerProcess, TestServer};

const SCRIPTED: &str = "{vad: {engine: scripted}, asr: {engine: scripted}, llm: {engine: scripted}, \
                        tts: {engine: scripted}}";

async fn until_turn_end(connection: &mut client::Connection) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    loop {
        messages.push(connection.receive().await.unwrap());
        if matches!(messages.last(), Some(ServerMessage::TurnEnd { .. })) {
            return messages;
        }
    }
}

#[tokio::test]
async fn a_typed_turn_is_answered_with_text_and_audio() {
    let server = TestServer::start(|config| config.scripted.tts_ms_per_char = 5);
    let mut connection = server.connect().await;
    assert!(matches!(
        connection.receive().await.unwrap(),
        ServerMessage::Session { protocol: 1, engines, .. } if engines.llm == "scripted"
    ));
    connection.send(&ClientMessage::Text { text: "hello".into() }).await.unwrap();
    let messages = until_turn_end(&mut connection).await;

    assert!(!messages.iter().any(|m| matches!(m, ServerMessage::Other(_))), "{messages:#?}");
    assert!(messages.contains(&ServerMessage::Status { state: State::Speaking, turn_id: Some(1) }));
    assert_eq!(messages.last(), Some(&ServerMessage::TurnEnd { turn_id: 1, outcome: Outcome::Completed }));
    let whole = messages.iter().find_map(|m| match m {
        ServerMessage::ResponseText { text, last: true, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(whole, Some("This is a scripted reply. It has two sentences."));
    let samples: usize = messages
        .iter()
        .map(|m| match m {
            ServerMessage::Audio(audio) => audio.samples().len(),
            _ => 0,
        })
        .sum();
    // 46 characters are spoken: the space between the sentences is in neither segment.
    assert_eq!(samples, 46 * 5 * 24);
    server.stop();
}

#[tokio::test]
async fn a_refusal_gives_the_servers_reason() {
    let server = TestServer::start(|config| config.limits.sessions = 1);
    let _one = server.connect().await;
    let error = client::connect(&server.url(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error:?}");
    let url = format!("{}?agent=nobody", server.url());
    let error = client::connect(&url, None).await.unwrap_err().to_string();
    assert!(error.contains("there is no such agent") && error.contains("HTTP 404"), "{error}");
}

#[tokio::test]
async fn where_nobody_can_answer_one_line_says_so() {
    for (url, part) in [
        ("ws://127.0.0.1:1/ws/chat", "cannot connect to ws://127.0.0.1:1/ws/chat"),
        ("wss://localhost/ws/chat", "no TLS"),
        ("no url", "no URL"),
    ] {
        let error = client::connect(url, None).await.unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
    let server = TestServer::start(|_| {});
    let error = client::connect(&server.url(), Some("line\nbreak")).await.unwrap_err();
    assert!(matches!(error, ClientError::Address(_)), "{error}");
}

/// The harness itself: another server in the same folder has the same conversations.
#[tokio::test]
async fn a_session_goes_on_after_a_restart() {
    let server = TestServer::start(|config| config.scripted.tts_ms_per_char = 1);
    let mut connection = server.connect().await;
    let ServerMessage::Session { session_id, resume_token, resumed: false, .. } =
        connection.receive().await.unwrap()
    else {
        panic!("no new session");
    };
    connection.send(&ClientMessage::Text { text: "hello".into() }).await.unwrap();
    until_turn_end(&mut connection).await;
    let folder = server.folder();
    server.stop();

    let server = TestServer::start_in(folder, |_| {});
    let url = format!("{}?session={session_id}&resume_token={resume_token}", server.url());
    let mut connection = client::connect(&url, None).await.unwrap();
    assert!(matches!(connection.receive().await.unwrap(), ServerMessage::Session { resumed: true, .. }));
    connection.send(&ClientMessage::Text { text: "again".into() }).await.unwrap();
    let messages = until_turn_end(&mut connection).await;
    assert!(matches!(messages.last(), Some(ServerMessage::TurnEnd { turn_id: 2, .. })));
}

/// The harness itself: a killed server starts again on what it had.
#[tokio::test]
async fn a_killed_process_starts_again_in_its_folder() {
    let process = ServerProcess::start(SCRIPTED);
    let mut connection = process.connect().await;
    connection.send(&ClientMessage::Text { text: "remember this".into() }).await.unwrap();
    until_turn_end(&mut connection).await;
    let folder = process.kill();
    let error = loop {
        if let Err(error) = connection.receive().await {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Lost(_)), "{error}");

    let again = ServerProcess::start_in(folder);
    again.connect().await;
    let folder = again.folder();
    assert!(again.terminate().success());
    let url = format!("sqlite://{}/data/vivavoce.sqlite", folder.path().display());
    let report = ConversationLog::open(&url).unwrap().check().unwrap();
    assert!(report.problems.is_empty() && report.sessions == 2, "{report:?}");
}
