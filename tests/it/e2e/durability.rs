//! What was said stays, whatever happens to the server.

use std::time::Duration;

use serde_json::Value;
use vivavoce::client::{ClientError, ServerMessage};
use vivavoce::turn::io::Outcome;

use super::person::Person;
use crate::harness::{ServerProcess, TestServer};

const SCRIPTED: &str = "{asr: {engine: scripted}, llm: {engine: scripted}, tts: {engine: scripted}, \
                        scripted: {tts_ms_per_char: 20, replies: [First reply., Second reply that is long enough.]}}";

fn id_and_token(person: &Person) -> (String, String) {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { session_id, resume_token, .. } => {
            Some((session_id.clone(), resume_token.clone()))
        }
        _ => None,
    });
    found.unwrap()
}

async fn history(address: &str, id: &str, token: &str) -> (u16, Value) {
    let url = format!("http://{address}/api/sessions/{id}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(url).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn texts(history: &Value) -> Vec<(String, String)> {
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
    history["messages"].as_array().unwrap().iter().map(|m| (text(m, "role"), text(m, "text"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn kill_9_in_the_middle_of_a_turn_loses_nothing_that_was_acknowledged() {
    crate::tls();
    let server = ServerProcess::start(SCRIPTED);
    let mut person = Person::new(server.connect().await);
    person.type_text("one").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    person.type_text("two").await;
    person.until(|m| matches!(m, ServerMessage::Audio(audio) if audio.turn_id == 2)).await;
    let (id, token) = id_and_token(&person);
    let folder = server.kill();

    let server = ServerProcess::start_in(folder);
    let (status, told) = history(&server.address, &id, &token).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(texts(&told), pairs(&[("user", "one"), ("assistant", "First reply.")]));
    assert_eq!(told["turns"].as_array().unwrap().len(), 1, "half of a turn was written: {told}");
    assert_eq!(history(&server.address, &id, "not the token").await.0, 404);

    // The conversation goes on where it was.
    let url = format!("{}?session={id}&resume_token={token}", server.url());
    let mut person = Person::new(vivavoce::client::connect(&url, None).await.unwrap());
    person.type_text("three").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    assert!(
        matches!(&person.messages[0], ServerMessage::Session { resumed: true, session_id, .. } if *session_id == id)
    );
    let (_, told) = history(&server.address, &id, &token).await;
    assert_eq!(texts(&told).len(), 4, "{told}");
    let wrong = format!("{}?session={id}&resume_token=guess", server.url());
    let refused = vivavoce::client::connect(&wrong, None).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 404, .. }), "{refused}");
}

#[tokio::test]
async fn who_comes_back_takes_over_from_the_connection_that_was_lost() {
    crate::tls();
    let server = TestServer::start(|_| {});
    let mut lost = Person::new(server.connect().await);
    lost.type_text("one").await;
    lost.until_turn_end().await;
    lost.type_text("two").await;
    lost.until(|m| matches!(m, ServerMessage::Audio(audio) if audio.turn_id == 2)).await;
    // The client comes back before the server has noticed that it was gone.
    let (id, token) = id_and_token(&lost);
    let url = format!("{}?session={id}&resume_token={token}", server.url());
    let come_back = async {
        let mut back = Person::new(vivavoce::client::connect(&url, None).await.unwrap());
        back.type_text("three").await;
        // It is the same session: the new words end the reply that goes on.
        assert_eq!(back.until_turn_end().await, (2, Outcome::Interrupted));
        assert_eq!(back.until_turn_end().await, (3, Outcome::Completed));
    };
    let (end, ()) = tokio::join!(lost.listen(|_| false), come_back);
    let end = end.unwrap_err();
    assert!(matches!(end, ClientError::Closed { code: 1000, .. }), "{end}");
    // One history, without a fork.
    let (_, told) = history(&server.address, &id, &token).await;
    let said: Vec<String> =
        texts(&told).into_iter().filter(|(role, _)| role == "user").map(|(_, t)| t).collect();
    assert_eq!(said, ["one", "two", "three"], "{told}");
    assert_eq!(told["turns"][1]["outcome"], "interrupted", "{told}");
    server.stop();
}

#[tokio::test]
async fn sigterm_lets_the_reply_finish_and_says_goodbye() {
    let server = ServerProcess::start(SCRIPTED);
    let mut person = Person::new(server.connect().await);
    person.type_text("one").await;
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    let stopping = tokio::task::spawn_blocking(move || server.terminate());
    let end = person.listen(|_| false).await.unwrap_err();
    assert!(matches!(end, ClientError::Closed { code: 1012, .. }), "{end}");
    let order = person.order(1);
    assert_eq!(order.last().map(String::as_str), Some("Completed"), "{order:?}");
    assert!(stopping.await.unwrap().success());
}

#[tokio::test]
async fn a_reply_that_is_too_long_to_wait_for_is_ended_with_what_was_heard() {
    crate::tls();
    let config =
        SCRIPTED.replace("{asr", "{server: {drain_ms: 100}, asr").replace("First", "One two three four");
    let server = ServerProcess::start(&config);
    let folder = server.folder();
    let mut person = Person::new(server.connect().await);
    person.type_text("one").await;
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    let stopping = tokio::task::spawn_blocking(move || server.terminate());
    let end = person.listen(|_| false).await.unwrap_err();
    assert!(matches!(end, ClientError::Closed { code: 1012, .. }), "{end}");
    assert!(stopping.await.unwrap().success());
    let (id, token) = id_and_token(&person);
    let server = ServerProcess::start_in(folder);
    let (_, told) = history(&server.address, &id, &token).await;
    assert_eq!(told["turns"][0]["outcome"], "interrupted", "{told}");
    assert_eq!(told["messages"][0]["text"], "one", "{told}");
}

#[tokio::test]
async fn history_says_what_was_heard_of_an_interrupted_reply() {
    crate::tls();
    let server = TestServer::start(|config| {
        config.scripted.replies = vec!["One two three four five six seven eight nine ten.".into()];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("count").await;
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    person.wait(1_000).await;
    person.send(&vivavoce::client::ClientMessage::Interrupt { last_chunk_id: None }).await;
    let interrupt = person.until(|m| matches!(m, ServerMessage::Interrupt { .. })).await;
    let ServerMessage::Interrupt { heard_text, .. } = interrupt else { unreachable!() };
    assert!(!heard_text.is_empty());
    person.until_turn_end().await;
    let (id, token) = id_and_token(&person);
    let (_, told) = history(&server.address, &id, &token).await;
    assert_eq!(texts(&told), pairs(&[("user", "count"), ("assistant", &heard_text)]));
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn an_idle_session_is_ended_with_a_reason() {
    let server = TestServer::start(|config| config.limits.idle_timeout_s = 1);
    let mut person = Person::new(server.connect().await);
    let end = tokio::time::timeout(Duration::from_secs(30), person.listen(|_| false)).await.unwrap();
    assert!(matches!(end.unwrap_err(), ClientError::Closed { code: 1000, .. }));
    let fatal = person
        .messages
        .iter()
        .any(|m| matches!(m, ServerMessage::Error { code, fatal: true, .. } if code == "idle_timeout"));
    assert!(fatal, "{:#?}", person.log());
    server.stop();
}
