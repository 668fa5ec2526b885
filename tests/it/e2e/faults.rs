//! Engines that fail, at each stage: the turn ends as failed, the user hears why, the session goes on.

use vivavoce::client::ServerMessage;
use vivavoce::turn::io::Outcome;

use super::person::{Person, spoken, wait_until};
use crate::harness::TestServer;

const APOLOGY: &str = "Sorry, something went wrong. Please try again.";

async fn fails_once(failure: &str, code: &str, speaks: Option<&str>, by_voice: bool) {
    let server = TestServer::start(|config| {
        config.scripted.failures = vec![failure.to_owned()];
        config.scripted.tts_ms_per_char = 5;
        // A recognition that fails ahead of time is tried again: this test wants it to fail for good.
        config.asr.speculate_after_ms = 0;
    });
    let mut person = Person::new(server.connect().await);
    if by_voice {
        person.say(&spoken("what is the time"));
    } else {
        person.type_text("hello").await;
    }
    assert_eq!(person.until_turn_end().await, (1, Outcome::Failed), "{failure}");
    let errors: Vec<&str> = person
        .messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Error { code, turn_id: Some(1), fatal: false, .. } => Some(code.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(errors, [code], "{failure}");
    match speaks {
        Some(text) => assert_eq!(person.reply(1), text, "{failure}"),
        None => assert_eq!(person.audio(1), [0_i16; 0], "{failure}"),
    }
    person.type_text("and now?").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed), "after {failure}");
    server.stop();
}

#[tokio::test]
async fn recognition_fails() {
    fails_once("asr@1", "asr_failed", Some(APOLOGY), true).await;
}

#[tokio::test]
async fn the_language_model_fails() {
    fails_once("llm@1", "llm_failed", Some(APOLOGY), false).await;
}

#[tokio::test]
async fn the_language_model_fails_in_the_middle() {
    let said = format!("This is a \n{APOLOGY}");
    fails_once("llm-mid@1", "llm_failed", Some(&said), false).await;
}

#[tokio::test]
async fn speech_synthesis_fails() {
    fails_once("tts@1", "tts_failed", None, false).await;
}

#[tokio::test]
async fn a_model_that_never_answers_times_out() {
    let server = TestServer::start(|config| {
        config.scripted.llm_first_token_ms = 3_600_000;
        config.llm.first_token_timeout_ms = 200;
        config.scripted.tts_ms_per_char = 5;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("hello?").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Failed));
    assert_eq!(person.reply(1), APOLOGY);
    server.stop();
}

#[tokio::test]
async fn a_voice_that_hangs_is_stopped_and_holds_up_nobody_else() {
    let server = TestServer::start(|config| {
        config.scripted.tts_delay_ms = 3_600_000;
        config.tts.timeout_ms = 200;
        config.tts.workers = 1;
        // Nor does the first person's silence end it.
        config.limits.ping_s = 3_600;
    });
    let (mut one, mut two) = (Person::new(server.connect().await), Person::new(server.connect().await));
    for person in [&mut one, &mut two] {
        person.type_text("hello?").await;
        assert_eq!(person.until_turn_end().await, (1, Outcome::Failed));
    }
    // The one worker is free for the second person's work, though the first is still here.
    wait_until(|| server.server.engines.tts.queued() == 0).await;
    server.stop();
}
