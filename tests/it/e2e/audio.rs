//! Conversations of which the audio is recorded.

use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::config::Config;
use vivavoce::conversation::SessionId;
use vivavoce::conversation::audio::{Recorded, Speaker};
use vivavoce::turn::io::Outcome;

use super::person::{Person, spoken, wait_until, word_error_rate};
use crate::harness::TestServer;

const QUESTION: &str = "where can I find the station";

/// The session, the key to it, and whether the person was told of the recording.
fn session(person: &Person) -> (String, String, bool) {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { session_id, resume_token, recorded, .. } => {
            Some((session_id.clone(), resume_token.clone(), *recorded))
        }
        _ => None,
    });
    found.expect("the first message names the session")
}

fn recorded(config: &mut Config) {
    config.asr.engine = "pocketsphinx".into();
    config.tts.engine = "flite".into();
    config.record_audio.enabled = true;
    config.scripted.replies = vec!["You will find it behind the town hall, and then on the left.".into()];
}

/// A file of the HTTP API, or why there is none.
async fn get(server: &TestServer, path: &str, token: &str) -> Result<Vec<u8>, u16> {
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{}/api/sessions/{path}", server.address)).bearer_auth(token);
    let response = request.send().await.unwrap();
    match response.status().as_u16() {
        200 => Ok(response.bytes().await.unwrap().to_vec()),
        status => Err(status),
    }
}

fn samples(wav: &[u8]) -> Vec<i16> {
    hound::WavReader::new(wav).unwrap().into_samples().map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_was_said_and_heard_can_be_listened_to_until_it_is_deleted() {
    let server = TestServer::start(recorded);
    let archive = &server.server.audio;
    let mut person = Person::new(server.connect().await);
    person.say(&spoken(QUESTION));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    // The second reply is stopped after a moment.
    person.type_text("again").await;
    let first = person.until(|m| matches!(m, ServerMessage::Audio(audio) if audio.turn_id == 2)).await;
    person.wait(600).await;
    let ServerMessage::Audio(first) = first else { panic!() };
    person.send(&ClientMessage::Interrupt { last_chunk_id: Some(first.chunk_id + 2) }).await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Interrupted));
    let (id, token, told) = session(&person);
    assert!(told, "the person knows of it");
    let session: SessionId = id.parse().unwrap();
    wait_until(|| archive.list(session).unwrap().len() == 3).await;

    let body = get(&server, &id, &token).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let kept = archive.list(session).unwrap();
    assert_eq!(body["audio"], serde_json::to_value(&kept).unwrap());
    let of = |recorded: &Recorded| (recorded.turn, recorded.speaker);
    let expected = [(1, Speaker::User), (1, Speaker::Assistant), (2, Speaker::Assistant)];
    assert_eq!(kept.iter().map(of).collect::<Vec<_>>(), expected);

    let said = samples(&get(&server, &format!("{id}/audio/1/user"), &token).await.unwrap());
    let words = super::conversation::recognised(&said);
    assert!(word_error_rate(QUESTION, &words) <= 0.4, "the recording sounds like {words:?}");
    let heard = samples(&get(&server, &format!("{id}/audio/1/assistant"), &token).await.unwrap());
    assert_eq!(heard, person.audio(1), "all of the first reply");
    let heard = samples(&get(&server, &format!("{id}/audio/2/assistant"), &token).await.unwrap());
    let sent = person.audio(2);
    assert_eq!(heard.len(), 3 * first.samples().len(), "three chunks were played");
    assert_eq!(heard, sent[..heard.len()]);

    for (path, token, status) in [
        (format!("{id}/audio/2/user"), token.as_str(), 404),
        (format!("{id}/audio/9/assistant"), &token, 404),
        (format!("{id}/audio/one/assistant"), &token, 404),
        (format!("{id}/audio/1/nobody"), &token, 404),
        (format!("{id}/audio/1/user"), "guess", 404),
    ] {
        assert_eq!(get(&server, &path, token).await, Err(status), "{path}");
    }

    person.hang_up().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let delete = client.delete(format!("http://{}/api/sessions/{id}", server.address)).bearer_auth(&token);
    assert_eq!(delete.send().await.unwrap().status().as_u16(), 204);
    assert_eq!(archive.list(session).unwrap(), [], "it goes with the conversation");
    server.stop();
}

#[tokio::test]
async fn nothing_is_recorded_unless_that_is_wanted() {
    let server = TestServer::start(|config| {
        recorded(config);
        config.record_audio.enabled = false;
    });
    let folder = server.folder();
    let mut person = Person::new(server.connect().await);
    person.say(&spoken(QUESTION));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert!(!session(&person).2);
    person.hang_up().await;
    server.stop();
    assert!(!folder.path().join("audio").exists());
}

#[tokio::test]
async fn a_disk_that_takes_no_recordings_does_not_stop_a_conversation() {
    let server = TestServer::start(recorded);
    let folder = server.folder();
    let mut person = Person::new(server.connect().await);
    person.until(|m| matches!(m, ServerMessage::Session { .. })).await;
    // Where a folder is to be there is a file.
    let in_the_way = folder.path().join("audio").join(session(&person).0);
    std::fs::write(&in_the_way, "").unwrap();
    person.say(&spoken(QUESTION));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    person.type_text("again").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    person.hang_up().await;
    server.stop();
    assert!(in_the_way.is_file());
}

#[tokio::test]
async fn recordings_of_earlier_days_are_deleted_although_nothing_more_is_recorded() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let dir = folder.path().join("audio");
    let old = dir.join(SessionId::random().to_string()).join("1-user.wav");
    std::fs::create_dir_all(old.parent().unwrap()).unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 86_400);
    std::fs::File::create(&old).unwrap().set_modified(long_ago).unwrap();
    let server = TestServer::start_in(folder, |config| {
        config.record_audio.dir = dir;
        config.record_audio.retention_days = 7;
    });
    wait_until(|| !old.exists()).await;
    server.stop();
}
