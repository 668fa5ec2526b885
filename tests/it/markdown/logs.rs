//! What is said by voice is in the vault, too, and goes on there.

use serde_json::json;
use vivavoce::client::{self, ClientMessage, ServerMessage};

use super::{Vault, body, stamp};
use crate::e2e::person::wait_until;

/// Types a turn over the voice socket, and waits until it has ended.
async fn say(connection: &mut client::Connection, text: &str) {
    connection.send(&ClientMessage::Text { text: text.into() }).await.unwrap();
    while !matches!(connection.receive().await.unwrap(), ServerMessage::TurnEnd { .. }) {}
}

async fn begin(connection: &mut client::Connection) -> (String, String) {
    match connection.receive().await.unwrap() {
        ServerMessage::Session { session_id, resume_token, .. } => (session_id, resume_token),
        other => panic!("{other:?}"),
    }
}

fn logging(config: &mut vivavoce::config::Config) {
    config.markdown.log_all_chats = true;
    config.markdown.log_path = "{agent}/{frontend}-{id}.md".to_owned();
    config.scripted.tts_ms_per_char = 1;
}

/// The one file in the folder of logs, when it holds `text`.
async fn logged(vault: &Vault, text: &str) -> String {
    let holding = || {
        let files = vault.files().into_iter().filter(|name| name.starts_with("_logs/"));
        files.into_iter().find(|name| name.ends_with(".md") && vault.read(name).contains(text))
    };
    wait_until(|| holding().is_some()).await;
    holding().unwrap()
}

#[tokio::test]
async fn a_conversation_by_voice_goes_on_in_its_file_and_back() {
    let vault = Vault::start(&["One.", "Two.", "Three.", "Four."], logging);
    let mut connection = vault.server.connect().await;
    let (session, resume_token) = begin(&mut connection).await;
    say(&mut connection, "First").await;
    let name = logged(&vault, "One.").await;
    assert_eq!(name, format!("_logs/default/voice-{}.md", &session[..8]));
    let text = vault.read(&name);
    assert_eq!(stamp(&text, "conversation_id"), session);
    assert_eq!(body(&text), "### User:\n\nFirst\n\n### Assistant:\n\nOne.\n\n### User:\n\n");
    say(&mut connection, "Second").await;
    let name = logged(&vault, "Two.").await;

    // The file goes on with it; the voice session, which was still open, ends.
    vault.write(&name, &format!("{}Third\n", vault.read(&name)));
    let text = vault.reply_to(&name).await;
    assert!(text.ends_with("Third\n\n### Assistant:\n\nThree.\n\n### User:\n\n"), "{text}");
    assert_eq!(stamp(&text, "conversation_id"), session);
    while connection.receive().await.is_ok() {}

    // And by voice again, in the same file.
    let url = format!("{}?session={session}&resume_token={resume_token}", vault.server.url());
    let mut connection = client::connect(&url, None).await.unwrap();
    begin(&mut connection).await;
    say(&mut connection, "Fourth").await;
    assert_eq!(logged(&vault, "Four.").await, name);
    let said = ["First", "One.", "Second", "Two.", "Third", "Three.", "Fourth", "Four."];
    let text = vault.read(&name);
    let words: Vec<&str> =
        body(&text).lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(words, said);
    assert_eq!(vault.files().len(), 1);
    vault.server.stop();
}

#[tokio::test]
async fn the_file_is_found_again_after_a_restart_and_by_its_fingerprint() {
    let vault = Vault::start(&["One.", "Two."], logging);
    let mut connection = vault.server.connect().await;
    let (session, resume_token) = begin(&mut connection).await;
    say(&mut connection, "First").await;
    let name = logged(&vault, "One.").await;
    let folder = vault.server.folder();
    drop(connection);
    vault.server.stop();

    // Somebody moves it, and takes its name away.
    let vault_path = folder.path().join("vault");
    let moved = vault_path.join("mine.md");
    std::fs::rename(vault_path.join(&name), &moved).unwrap();
    let text = std::fs::read_to_string(&moved).unwrap();
    let unnamed: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("conversation_id")).collect();
    std::fs::write(&moved, unnamed).unwrap();

    let vault = Vault::start_in(folder, &["Two."], logging);
    let url = format!("{}?session={session}&resume_token={resume_token}", vault.server.url());
    let mut connection = client::connect(&url, None).await.unwrap();
    begin(&mut connection).await;
    say(&mut connection, "Second").await;
    wait_until(|| vault.read("mine.md").contains("Two.")).await;
    assert_eq!(stamp(&vault.read("mine.md"), "conversation_id"), session);
    assert_eq!(vault.files(), ["mine.md"]);
    vault.server.stop();
}

#[tokio::test]
async fn a_vault_that_cannot_be_written_breaks_no_turn() {
    let vault = Vault::start(&["One.", "Two."], logging);
    // A file where the folder should be.
    std::fs::write(vault.path("_logs"), "in the way").unwrap();
    let mut connection = vault.server.connect().await;
    say(&mut connection, "First").await;
    say(&mut connection, "Second").await;
    std::fs::remove_file(vault.path("_logs")).unwrap();
    say(&mut connection, "Third").await;
    // What could not be written comes with the next turn.
    let name = logged(&vault, "Third").await;
    assert!(vault.read(&name).contains("First"));
    vault.server.stop();
}

#[tokio::test]
async fn a_file_that_was_edited_stays_and_files_of_the_vault_are_not_logged_twice() {
    let vault = Vault::start(&["One.", "Two.", "Three."], logging);
    vault.write("note.md", "### User:\nHi\n");
    vault.reply_to("note").await;
    let mut connection = vault.server.connect().await;
    begin(&mut connection).await;
    say(&mut connection, "First").await;
    let name = logged(&vault, "Two.").await;
    let edited = vault.read(&name).replace("Two.", "Too.");
    vault.write(&name, &edited);
    say(&mut connection, "Second").await;
    let other = logged(&vault, "Three.").await;
    assert_ne!(name, other);
    assert_eq!(vault.read(&name), edited);
    assert!(vault.read(&other).contains("Two."));
    assert_eq!(vault.files().len(), 3, "{:?}", vault.files());
    vault.server.stop();
}

#[tokio::test]
async fn where_it_is_not_wanted_nothing_is_logged() {
    let vault = Vault::start(&["One."], |_| {});
    let mut connection = vault.server.connect().await;
    say(&mut connection, "First").await;
    drop(connection);
    let (_, nothing) = vault.chat(json!({"filename": "a"})).await;
    assert_eq!(nothing["reason"], "empty file");
    let files = vault.files();
    vault.server.stop();
    assert!(files.is_empty(), "{files:?}");
}
