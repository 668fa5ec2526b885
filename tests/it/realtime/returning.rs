//! A Realtime client loses its connection and comes back: docs/realtime.md, "Resuming".

use serde_json::{Value, json};
use vivavoce::config::Config;

use super::client::Client;
use crate::e2e::person::wait_until;
use crate::harness::TestServer;

const REPLY: &str = "One two three four. Five six seven eight nine ten.";
/// Bytes of its speech, 24 kHz; the space between the sentences is not spoken.
const WHOLE: usize = (REPLY.len() - 1) * 40 * 24 * 2;

/// Replies of two seconds.
fn slowly(config: &mut Config) {
    config.scripted.replies = vec![REPLY.to_owned()];
    config.scripted.tts_ms_per_char = 40;
}

fn way_back(client: &Client, server: &TestServer) -> String {
    let (session, token) = &client.keys;
    format!("ws://{}/v1/realtime?model=m&session={session}&resume_token={token}", server.address)
}

/// Somebody in the middle of the second sentence, and the response.
async fn in_the_middle(server: &TestServer) -> (Client, Value) {
    let mut client = Client::with(server, json!({"instructions": "Be brief."})).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    let response = client.until("response.created").await["response"]["id"].clone();
    client.until_such("response.output_audio_transcript.delta", |event| event["delta"] != "One").await;
    while client.audio(&response).len() < WHOLE / 2 {
        client.until("response.output_audio.delta").await;
    }
    (client, response)
}

fn check_whole(client: &Client, response: &Value) {
    assert_eq!(client.said("response.output_audio_transcript.delta", response), REPLY);
    let done = client.events.last().unwrap();
    assert_eq!(done["response"]["status"], "completed", "{done}");
    assert_eq!(done["response"]["output"][0]["content"][0]["transcript"], REPLY);
}

#[tokio::test]
async fn who_says_what_came_last_gets_all_that_is_behind_it_once() {
    let server = TestServer::start(slowly);
    let (mut client, response) = in_the_middle(&server).await;
    let url = way_back(&client, &server);
    // The last events were on their way when the connection broke.
    let had = client.events.len() - 3;
    client.events.truncate(had);
    let events = std::mem::take(&mut client.events);
    let last = events.last().unwrap()["event_id"].as_str().unwrap();
    let url = format!("{url}&last_event_id={last}");
    drop(client);
    let mut client = Client::open(&url).await;
    client.events = events;
    client.until("response.done").await;
    assert_eq!(client.audio(&response).len(), WHOLE, "nothing is missed, and nothing is said twice");
    check_whole(&client, &response);
    let prefix = client.events[0]["event_id"].as_str().unwrap().strip_suffix('1').unwrap().to_owned();
    let expected: Vec<String> = (1..=client.events.len()).map(|number| format!("{prefix}{number}")).collect();
    let ids: Vec<&str> = client.events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected, "each event once, in order");

    // It is the same conversation, with the same items.
    let item = client.events.last().unwrap()["response"]["output"][0]["id"].clone();
    assert_eq!(client.retrieve(&item).await["role"], "assistant");
    client.write("user", "again").await;
    client.respond(json!({"output_modalities": ["text"]})).await;
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
    server.stop();
}

#[tokio::test]
async fn who_does_not_say_it_learns_where_it_is_and_hears_the_rest() {
    let server = TestServer::start(slowly);
    let (client, response) = in_the_middle(&server).await;
    let url = way_back(&client, &server);
    drop(client);
    for unknown in ["", "&last_event_id=event_of_another9"] {
        let mut client = Client::open(&format!("{url}{unknown}")).await;
        let created = client.next().await.unwrap();
        assert_eq!(created["type"], "session.created");
        assert_eq!(created["session"]["instructions"], "Be brief.", "as it was configured");
        if unknown.is_empty() {
            continue; // the connection is lost again
        }
        let done = client.until("response.done").await;
        assert_eq!(done["response"]["id"], response);
        assert_eq!(done["response"]["status"], "completed");
        assert_eq!(done["response"]["output"][0]["content"][0]["transcript"], REPLY);
        let rest = client.audio(&response).len();
        assert!(rest > 0 && rest < WHOLE, "{rest} of {WHOLE}");
        assert_eq!(client.said("response.output_audio_transcript.delta", &response), "", "it has the words");
    }
    server.stop();
}

#[tokio::test]
async fn what_happens_meanwhile_is_told_afterwards() {
    let server = TestServer::start(|config| {
        slowly(config);
        config.scripted.llm_first_token_ms = 300;
    });
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({"output_modalities": ["text"]})).await;
    let created = client.until("response.created").await;
    let url = way_back(&client, &server);
    let url = format!("{url}&last_event_id={}", created["event_id"].as_str().unwrap());
    drop(client);
    let session = server.server.log.conversations(vivavoce::conversation::Whose::All, 1).unwrap()[0].session;
    // The reply is written when nobody is there.
    wait_until(|| server.server.log.read_session(session).unwrap().unwrap().turns.len() == 1).await;
    let mut client = Client::open(&url).await;
    client.until("response.done").await;
    assert_eq!(client.said("response.output_text.delta", &created["response"]["id"]), REPLY);
    server.stop();
}

#[tokio::test]
async fn a_better_connection_takes_over_and_the_old_one_is_told() {
    let server = TestServer::start(|config| {
        slowly(config);
        // The one who comes back has a place.
        config.limits.sessions = 1;
    });
    let (mut old, response) = in_the_middle(&server).await;
    let mut client = Client::open(&way_back(&old, &server)).await;
    let error = old.until("error").await;
    assert_eq!(error["error"]["code"], "replaced");
    while old.next().await.is_some() {}
    assert_eq!(u16::from(old.closed.unwrap().code), 1000);
    let done = client.until("response.done").await;
    assert_eq!((&done["response"]["id"], &done["response"]["status"]), (&response, &json!("completed")));
    server.stop();
}

#[tokio::test]
async fn who_stays_away_or_says_goodbye_gets_the_history() {
    let server = TestServer::start(|config| {
        slowly(config);
        config.limits.resume_grace_ms = 300;
    });
    for says_goodbye in [true, false] {
        let (mut client, response) = in_the_middle(&server).await;
        let url = way_back(&client, &server);
        if says_goodbye {
            client.leave().await;
        }
        drop(client);
        wait_until(|| server.server.admission.open_sessions() == 0).await;
        let mut client = Client::open(&url).await;
        let created = client.until("session.created").await;
        assert_ne!(created["session"]["instructions"], "Be brief.", "another connection, not configured yet");
        client.respond(json!({"output_modalities": ["text"]})).await;
        let done = client.until("response.done").await;
        assert_ne!(done["response"]["id"], response);
        assert!(done["response"]["usage"]["input_tokens"].as_u64().unwrap() > 8, "{done}");
        client.leave().await;
        wait_until(|| server.server.admission.open_sessions() == 0).await;
    }
    server.stop();
}
