//! A connection breaks, and its client comes back.

use serde_json::json;
use vivavoce::client::{self, ClientError, Connection, ServerMessage};
use vivavoce::config::Config;
use vivavoce::turn::io::Outcome;

use super::person::{Person, wait_until};
use crate::harness::TestServer;
use crate::realtime::client::Client;

const REPLY: &str = "One two three four five six seven eight nine ten.";

/// Replies of two seconds.
fn slowly(config: &mut Config) {
    config.scripted.replies = vec![REPLY.to_owned()];
    config.scripted.tts_ms_per_char = 40;
}

/// Where a session goes on.
fn way_back(person: &Person, server: &TestServer, more: &str) -> String {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { session_id, resume_token, .. } => Some((session_id, resume_token)),
        _ => None,
    });
    let (id, token) = found.expect("the first message names the session");
    format!("{}?session={id}&resume_token={token}{more}", server.url())
}

async fn back(url: &str) -> (Connection, bool) {
    let mut connection = client::connect(url, None).await.unwrap();
    let ServerMessage::Session { resumed: true, live, .. } = connection.receive().await.unwrap() else {
        panic!("the first message names the session");
    };
    (connection, live)
}

/// Types, hears a part of the reply, and gives the last chunk of it.
async fn hear_a_part(person: &mut Person) -> u64 {
    person.type_text("go on").await;
    let mut chunks = vec![];
    person
        .until(|message| {
            if let ServerMessage::Audio(audio) = message {
                chunks.push(audio.chunk_id);
            }
            chunks.len() == 15
        })
        .await;
    chunks[14]
}

#[tokio::test]
async fn a_reply_goes_on_at_the_sample_that_was_heard() {
    let server = TestServer::start(slowly);
    let mut person = Person::new(server.connect().await);
    let last = hear_a_part(&mut person).await;
    let (url, first_part) = (way_back(&person, &server, &format!("&last_chunk_id={last}")), person.audio(1));
    drop(person); // without a goodbye
    let (connection, live) = back(&url).await;
    assert!(live);
    let mut person = Person::new(connection);
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.reply(1), REPLY);
    let second_part = person.audio(1);
    assert!(!second_part.is_empty());
    let whole = REPLY.len() * 40 * 24;
    assert_eq!(first_part.len() + second_part.len(), whole, "nothing is missed, and nothing is said twice");
    let resumed = person.messages.iter().find(|m| matches!(m, ServerMessage::Resume { .. }));
    assert!(resumed.is_some(), "{:?}", person.log());

    // It is the same session: the next turn is the second.
    person.type_text("again").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn a_better_connection_takes_over_and_the_old_one_is_told() {
    let server = TestServer::start(|config| {
        slowly(config);
        // The one who comes back has a place.
        config.limits.sessions = 1;
    });
    let mut person = Person::new(server.connect().await);
    let last = hear_a_part(&mut person).await;
    let url = way_back(&person, &server, &format!("&last_chunk_id={last}"));
    let (connection, live) = back(&url).await;
    assert!(live);
    let told = person.listen(|message| matches!(message, ServerMessage::Error { .. })).await.unwrap();
    assert!(matches!(told, ServerMessage::Error { ref code, .. } if code == "replaced"), "{told:?}");
    let closed = person.listen(|_| false).await;
    assert!(matches!(closed, Err(ClientError::Closed { code: 1000, .. })), "{closed:?}");
    let mut person = Person::new(connection);
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn who_says_goodbye_or_stays_away_gets_the_history() {
    let server = TestServer::start(|config| {
        slowly(config);
        config.limits.resume_grace_ms = 300;
    });
    for says_goodbye in [true, false] {
        let mut person = Person::new(server.connect().await);
        hear_a_part(&mut person).await;
        let url = way_back(&person, &server, "");
        match says_goodbye {
            true => person.hang_up().await,
            false => drop(person),
        }
        wait_until(|| server.server.admission.open_sessions() == 0).await;
        let (mut connection, live) = back(&url).await;
        assert!(!live);
        connection.send(&client::ClientMessage::Text { text: "again".to_owned() }).await.unwrap();
        let mut person = Person::new(connection);
        assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
        person.hang_up().await;
        wait_until(|| server.server.admission.open_sessions() == 0).await;
    }
    server.stop();
}

#[tokio::test]
async fn who_knows_a_session_from_before_a_compaction_gets_the_one_that_goes_on() {
    let server = TestServer::start(|config| {
        config.scripted.replies =
            vec!["One two three.".to_owned(), r#"{call write_summary {"text": "They counted."}}"#.to_owned()];
        config.scripted.tts_ms_per_char = 1;
        config.compaction.threshold = Some(4);
        config.compaction.retained_tokens = 0;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("please count from one to three for me").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let url = way_back(&person, &server, "");
    let old = url.split_once("session=").unwrap().1.split('&').next().unwrap().parse().unwrap();
    // Compacted in the pause.
    wait_until(|| server.server.log.successor(old).unwrap().is_some()).await;
    person.hang_up().await;
    wait_until(|| server.server.admission.open_sessions() == 0).await;
    let mut connection = client::connect(&url, None).await.unwrap();
    let ServerMessage::Session { session_id, resumed: true, .. } = connection.receive().await.unwrap() else {
        panic!("the first message names the session");
    };
    assert_eq!(session_id, server.server.log.successor(old).unwrap().unwrap().to_string());
    server.stop();
}

/// Asks for a reply on the Realtime wire, waits for its end, and gives the session and its token.
async fn reply_on_realtime(url: &str) -> (String, String) {
    let mut client = Client::open(url).await;
    client.write("user", "count").await;
    client.respond(json!({"output_modalities": ["text"]})).await;
    client.until("response.done").await;
    client.leave().await;
    while client.next().await.is_some() {}
    client.keys
}

#[tokio::test]
async fn a_realtime_client_goes_on_with_the_history() {
    let server = TestServer::start(|_| {});
    let url = format!("ws://{}/v1/realtime?model=m", server.address);
    let (session, token) = reply_on_realtime(&url).await;
    wait_until(|| server.server.admission.open_sessions() == 0).await;
    let again = reply_on_realtime(&format!("{url}&session={session}&resume_token={token}")).await;
    assert_eq!(again, (session.clone(), token));
    wait_until(|| server.server.admission.open_sessions() == 0).await;
    let writer = server.server.log.continue_session(session.parse().unwrap()).unwrap();
    let known: Vec<u64> = writer.usage().iter().map(|usage| usage.messages).collect();
    assert_eq!(
        known,
        [1, 3],
        "the second prompt knows of the first question, its reply, and the second question"
    );
    assert!(
        tokio_tungstenite::connect_async(format!("{url}&session={session}&resume_token=guess"))
            .await
            .is_err()
    );
    server.stop();
}
