//! Files are whole, whenever the server is killed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use vivavoce::conversation::{NewToken, Scope, TokenStore};

use crate::harness::ServerProcess;

const ROUNDS: u64 = 50;

/// `kill -9` at random points of replies that are being written: every file is one that was whole at some time.
#[test]
fn kill_9_leaves_no_file_half_written() {
    let words: Vec<String> = (0..400).map(|number| format!("word{number}")).collect();
    let reply = format!("{}.", words.join(" "));
    let config = json!({
        "vad": {"engine": "scripted"}, "asr": {"engine": "scripted"}, "llm": {"engine": "scripted"},
        "tts": {"engine": "scripted"}, "scripted": {"replies": [reply], "llm_token_ms": 1, "llm_first_token_ms": 0},
        "markdown": {"enabled": true},
    });
    let mut server = ServerProcess::start(&config.to_string());
    let folder = server.folder();
    let store = format!("sqlite://{}", folder.path().join("data/vivavoce.sqlite").display());
    let new = NewToken { name: "a test", scopes: &[Scope::Messages], expires_at_unix_us: None };
    let token = TokenStore::open(&store).unwrap().create(&new).unwrap();
    let file = folder.path().join("vault/a.md");
    let padding = "x".repeat(200_000);
    let asked = format!("### User:\n{padding}\n");
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..ROUNDS {
        let body = json!({"filename": "a", "content": asked}).to_string();
        let mut socket = TcpStream::connect(&server.address).unwrap();
        write!(
            socket,
            "POST /chat HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // Somewhere in the half second that the reply takes to be written: the point is to hit all of it.
        socket.set_read_timeout(Some(Duration::from_millis(1 + round * 17 % 900))).unwrap();
        let _ = socket.read(&mut [0; 1]);
        let killed = server.kill();
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = |text: &str| {
            let body = text.split_once("\n---\n\n").map_or(text, |(_, body)| body);
            let Some(rest) = body.strip_prefix(asked.as_str()) else { return false };
            let Some(said) = rest.strip_prefix("\n### Assistant:\n\n") else { return rest.is_empty() };
            let said = said.strip_suffix("\n\n### User:\n\n").or_else(|| said.strip_suffix('\n'));
            said.is_some_and(|said| reply.starts_with(said))
        };
        assert!(whole(&text), "round {round}: {:?}", &text[text.len().saturating_sub(200)..]);
        seen.insert(text.len());
        server = ServerProcess::start_in(killed);
    }
    assert!(seen.len() > 2, "it was killed at different points: {seen:?}");
    let log = vivavoce::conversation::ConversationLog::open(&store).unwrap();
    assert_eq!(log.check().unwrap().problems, []);
}
