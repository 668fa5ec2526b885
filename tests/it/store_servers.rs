//! Whole servers and their stores: two on one database, and one whose disk is full.

use std::sync::Arc;

use serde_json::Value;
use vivavoce::client::ServerMessage;
use vivavoce::conversation::{ConversationLog, Whose};
use vivavoce::turn::io::Outcome;

use crate::e2e::person::Person;
use crate::harness::{ServerProcess, TestServer};
use crate::stores::postgres_server::PostgresServer;

fn scripted(store_url: &str) -> String {
    format!(
        "{{store: {{url: '{store_url}'}}, asr: {{engine: scripted}}, llm: {{engine: scripted}}, \
         tts: {{engine: scripted}}, scripted: {{replies: [First., Second., Third.]}}}}"
    )
}

fn id_and_token(person: &Person) -> (String, String) {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { session_id, resume_token, .. } => {
            Some((session_id.clone(), resume_token.clone()))
        }
        _ => None,
    });
    found.unwrap()
}

async fn history(address: &str, (id, token): &(String, String)) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/api/sessions/{id}");
    client.get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap()
}

fn said(history: &Value) -> Vec<&str> {
    let messages = history["messages"].as_array().unwrap_or_else(|| panic!("{history}")).iter();
    messages.filter(|m| m["role"] == "user").map(|m| m["text"].as_str().unwrap()).collect()
}

async fn come_back(url: &str, (id, token): &(String, String)) -> Person {
    let url = format!("{url}?session={id}&resume_token={token}");
    Person::new(vivavoce::client::connect(&url, None).await.unwrap())
}

#[tokio::test]
async fn a_conversation_goes_on_at_another_server_of_the_same_database() {
    crate::tls();
    let Some(postgres) = PostgresServer::start() else { return };
    let url = crate::stores::url_of(&postgres.database());
    let servers = [ServerProcess::start(&scripted(&url)), ServerProcess::start(&scripted(&url))];
    let mut person = Person::new(servers[0].connect().await);
    person.type_text("one").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let key = id_and_token(&person);
    person.hang_up().await;
    // The first server writes that it is over.
    while history(&servers[1].address, &key).await["ended"].is_null() {
        // Not so often that it is refused for that.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }

    let mut person = come_back(&servers[1].url(), &key).await;
    person.type_text("two").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    for server in &servers {
        let told = history(&server.address, &key).await;
        assert_eq!(said(&told), ["one", "two"], "{told}");
        assert_eq!(told["messages"].as_array().unwrap().len(), 4, "{told}");
    }

    // Somebody else goes on with it at the other server, at the same time.
    let mut other = come_back(&servers[0].url(), &key).await;
    person.type_text("left").await;
    other.type_text("right").await;
    let (left, right) = tokio::join!(person.until_turn_end(), other.until_turn_end());
    assert_eq!((left, right), ((3, Outcome::Completed), (3, Outcome::Completed)));
    let log = Arc::clone(&ConversationLog::open(&url).unwrap());
    let rows = log.conversations(Whose::All, 10).unwrap();
    let mut all: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let session = log.read_session(row.session).unwrap().unwrap();
            let users = session.messages.into_iter().filter(|m| m.role == vivavoce::conversation::Role::User);
            users.map(|m| m.text).collect()
        })
        .collect();
    all.sort();
    assert_eq!(all, [["one", "two", "left"], ["one", "two", "right"]], "one of them is a fork");
    assert_eq!(log.check().unwrap().problems, []);
    for server in servers {
        assert!(!server.log().contains("s3cret"), "a password is in the log");
    }
}

#[tokio::test]
async fn a_store_that_cannot_write_is_told_of_once_and_gets_everything_later() {
    crate::tls();
    let server = TestServer::start(|config| config.scripted.replies = vec!["Yes.".to_owned()]);
    let database = rusqlite::Connection::open(server.folder().path().join("log.sqlite")).unwrap();
    let fill = || {
        let refuse = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'no space'); END";
        database.execute_batch(refuse).unwrap();
    };
    let mut person = Person::new(server.connect().await);
    let say = async |person: &mut Person, text: &str| {
        let before = person.messages.len();
        person.type_text(text).await;
        assert_eq!(person.until_turn_end().await.1, Outcome::Completed, "{text}: it goes on");
        let errors = person.messages[before..].iter().filter_map(|message| match message {
            ServerMessage::Error { code, message, .. } => Some((code.clone(), message.clone())),
            _ => None,
        });
        errors.collect::<Vec<_>>()
    };
    assert_eq!(say(&mut person, "one").await, []);
    fill();
    let told = say(&mut person, "two").await;
    assert!(told.len() == 1 && told[0].0 == "store_failed", "{told:?}");
    assert!(told[0].1.contains("this conversation is not being stored for now"), "{told:?}");
    assert!(told[0].1.contains("log.sqlite"), "{told:?}");
    assert_eq!(say(&mut person, "three").await, [], "told once");
    // Somebody comes while it is so.
    let mut newcomer = Person::new(server.connect().await);
    let told = say(&mut newcomer, "new").await;
    assert!(told.len() == 1 && told[0].0.starts_with("s"), "{told:?}");

    database.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(say(&mut person, "four").await, []);
    assert_eq!(say(&mut newcomer, "newer").await, []);
    let told = history(&server.address, &id_and_token(&person)).await;
    assert_eq!(said(&told), ["one", "two", "three", "four"], "{told}");
    let told = history(&server.address, &id_and_token(&newcomer)).await;
    assert_eq!(said(&told), ["new", "newer"], "{told}");
    fill();
    assert_eq!(say(&mut person, "five").await.len(), 1, "it is told of again");
    database.execute_batch("DROP TRIGGER full").unwrap();
}
