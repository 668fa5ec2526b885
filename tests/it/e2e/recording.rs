//! What a session's machine was told, replayed, gives the same answers byte for byte.

use std::path::PathBuf;

use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::session::recording::replay;

use super::person::{Person, spoken, wait_until};
use crate::harness::TestServer;

#[tokio::test]
async fn a_recorded_conversation_replays_byte_for_byte() {
    let server = TestServer::start(|config| {
        config.record = true;
        config.tts.engine = "flite".into();
        config.scripted.replies =
            vec!["The first reply is quite long, so that it can be stopped. Is it not?".into()];
    });
    let folder = server.folder();
    let mut person = Person::new(server.connect().await);
    person.say(&spoken("tell me something"));
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    person.wait(700).await;
    person.send(&ClientMessage::Interrupt { last_chunk_id: Some(5) }).await;
    person.until_turn_end().await;
    person.type_text("again").await;
    person.until_turn_end().await;
    person.hang_up().await;
    server.stop();

    let path = recordings(&folder.path().join("recordings")).pop().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read what people said");
    let replayed = whole_replay(&path).await;
    assert_eq!(replayed.difference, None);
    assert!(replayed.inputs > 100 && replayed.outputs > 50, "{replayed:?}");

    // A machine that answers differently is found out.
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replacen("\"min_interrupt_ms\":300", "\"min_interrupt_ms\":301", 1);
    assert_ne!(changed, text);
    let lied = changed.replacen("\"user_speaking\"", "\"speaking\"", 1);
    let other = path.with_extension("changed.jsonl");
    std::fs::write(&other, lied).unwrap();
    let difference = replay(&other).unwrap().difference.unwrap();
    assert!(difference.recorded.contains("\"speaking\"") && difference.replayed.contains("user_speaking"));

    // What is no recording is refused with its place.
    std::fs::write(&other, text.replacen("\"frame\"", "\"flame\"", 1)).unwrap();
    let error = replay(&other).unwrap_err().to_string();
    assert!(error.contains("line ") && error.contains(".jsonl"), "{error}");
}

fn recordings(folder: &std::path::Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The recorder's thread writes its last lines by itself.
async fn whole_replay(path: &std::path::Path) -> vivavoce::session::recording::Replay {
    wait_until(|| std::fs::read_to_string(path).unwrap().contains("\"close\"")).await;
    replay(path).unwrap()
}
