//! The video branch: one clip instead of audio and text, or audio alone, never both.

use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::config::Config;
use vivavoce::turn::io::{Outcome, State};

use super::person::{Person, wait_until};
use crate::harness::TestServer;

fn with_clips(config: &mut Config) {
    config.video.enabled = true;
    config.video.engine = "scripted".into();
    config.scripted.tts_ms_per_char = 10;
}

fn clips(person: &Person) -> usize {
    person.messages.iter().filter(|m| matches!(m, ServerMessage::SpeakingClip { .. })).count()
}

fn speech(person: &Person) -> usize {
    let of_speech =
        |m: &&ServerMessage| matches!(m, ServerMessage::Audio(_) | ServerMessage::ResponseText { .. });
    person.messages.iter().filter(of_speech).count()
}

fn video_mode(person: &Person) -> (bool, Option<String>) {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::VideoMode { enabled, reason, .. } => Some((*enabled, reason.clone())),
        _ => None,
    });
    found.unwrap()
}

#[tokio::test]
async fn a_reply_is_one_clip_and_no_audio() {
    let server = TestServer::start(with_clips);
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(video_mode(&person), (true, None));
    assert_eq!((clips(&person), speech(&person)), (1, 0));
    assert_eq!(person.order(1), ["Thinking", "Rendering", "clip", "Speaking", "metrics", "Completed"]);
    let clip = person.messages.iter().find(|m| matches!(m, ServerMessage::SpeakingClip { .. }));
    let Some(ServerMessage::SpeakingClip { mime, data: Some(data), text, duration_ms, .. }) = clip else {
        panic!("{clip:?}");
    };
    assert_eq!(
        (mime.as_str(), text.as_str()),
        ("video/mp4", "This is a scripted reply. It has two sentences.")
    );
    assert!(!data.is_empty() && *duration_ms >= 460, "{duration_ms}");
    server.stop();
}

#[tokio::test]
async fn a_cancelled_clip_is_never_sent() {
    let server = TestServer::start(|config| {
        with_clips(config);
        config.scripted.clip_delay_ms = 60_000;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    person.until(|m| matches!(m, ServerMessage::Status { state: State::Rendering, .. })).await;
    person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Interrupted));
    // The renderer is free at once: the next reply does not wait for the cancelled one.
    person.type_text("again").await;
    person.until(|m| matches!(m, ServerMessage::Status { state: State::Rendering, turn_id: Some(2) })).await;
    assert_eq!((clips(&person), speech(&person)), (0, 0));
    let queued = || server.server.engines.clip.as_ref().map_or(0, |pool| pool.queued());
    // The cancelled clip is no longer being rendered.
    wait_until(|| queued() == 0).await;
    server.stop();
}

#[tokio::test]
async fn a_failed_render_falls_back_to_the_audio_of_that_turn_and_says_so() {
    let server = TestServer::start(|config| {
        with_clips(config);
        config.scripted.failures = vec!["clip@1".into()];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(clips(&person), 0);
    assert!(!person.audio(1).is_empty());
    let said = person
        .messages
        .iter()
        .any(|m| matches!(m, ServerMessage::Error { code, turn_id: Some(1), .. } if code == "clip_failed"));
    assert!(said);
    person.type_text("again").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    assert_eq!((clips(&person), person.audio(2).len()), (1, 0));
    server.stop();
}

#[tokio::test]
async fn without_a_renderer_the_server_speaks_and_says_why() {
    let server = TestServer::start(|config| {
        config.video.enabled = true;
        config.scripted.tts_ms_per_char = 5;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let (enabled, reason) = video_mode(&person);
    assert!(!enabled && reason.is_some_and(|reason| reason.contains("renderer")));
    assert!(clips(&person) == 0 && !person.audio(1).is_empty());
    server.stop();
}
