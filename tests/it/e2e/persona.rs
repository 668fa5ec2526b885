//! Who the server is: its greeting, and what of it can change without a restart.

use std::time::Duration;

use vivavoce::client::ServerMessage;
use vivavoce::turn::io::Outcome;

use super::person::Person;
use crate::harness::ServerProcess;

fn config(greeting: &str) -> String {
    format!(
        "{{asr: {{engine: scripted}}, llm: {{engine: scripted}}, tts: {{engine: scripted}}, \
         scripted: {{tts_ms_per_char: 2}}, persona: {{name: Ada, greeting: {greeting:?}}}}}"
    )
}

#[tokio::test]
async fn it_speaks_first_and_a_hangup_changes_what_it_says_to_new_sessions() {
    let server = ServerProcess::start(&config("Good day, I am {name}."));
    let mut early = Person::new(server.connect().await);
    assert_eq!(early.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(early.reply(1), "Good day, I am Ada.");
    let kinds = early.messages.iter().take(3);
    assert!(matches!(
        kinds.collect::<Vec<_>>()[..],
        [ServerMessage::Session { .. }, ServerMessage::Status { .. }, ServerMessage::VideoMode { .. }]
    ));

    std::fs::write(server.folder().path().join("config.yml"), config("Good evening.")).unwrap();
    server.signal("-HUP");
    let mut tries = 0..1_000;
    while !server.log().contains("persona re-read") {
        assert!(tries.next().is_some(), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late = Person::new(server.connect().await);
    late.until_turn_end().await;
    assert_eq!(late.reply(1), "Good evening.");
    // The session that was open goes on as it began.
    early.type_text("still there?").await;
    assert_eq!(early.until_turn_end().await, (2, Outcome::Completed));

    // What cannot be is refused, and the persona stays.
    std::fs::write(server.folder().path().join("config.yml"), "persona: {nam: Eve}").unwrap();
    server.signal("-HUP");
    while !server.log().contains("persona.nam: unknown key") {
        assert!(tries.next().is_some(), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut last = Person::new(server.connect().await);
    last.until_turn_end().await;
    assert_eq!(last.reply(1), "Good evening.");
}
