//! Conversations and memories over HTTP and from the command line: for whom they belong to, and nobody else.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use vivavoce::client::{self, ClientMessage, ServerMessage};
use vivavoce::config::{AuthMode, Config};
use vivavoce::conversation::{NewToken, Scope};
use vivavoce::turn::io::Outcome;

use crate::harness::TestServer;

const FOUND: &str = r#"{call write_extracted {"discussions": ["Anna's dog is called Rex."]}}"#;
const MERGED: &str =
    r#"{call write_memories {"memories": [{"text": "Anna's dog is called Rex.", "notes": [1]}]}}"#;

/// Whoever says something is remembered with a dog.
fn remembers(config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
    config.scripted.replies = ["I see.", FOUND, MERGED].map(str::to_owned).into();
    config.scripted.tts_ms_per_char = 1;
    config.memory.extract_threshold = 2;
    config.memory.consolidate_threshold = 1;
}

fn token(server: &TestServer, scopes: &[Scope]) -> String {
    server.server.tokens.create(&NewToken { name: "a test", scopes, expires_at_unix_us: None }).unwrap()
}

async fn ask(server: &TestServer, method: Method, path: &str, token: &str, body: Option<Value>) -> Response {
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method, format!("http://{}{path}", server.address)).bearer_auth(token);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    request.send().await.unwrap()
}

async fn get(server: &TestServer, path: &str, token: &str) -> Value {
    let response = ask(server, Method::GET, path, token, None).await;
    assert_eq!(response.status().as_u16(), 200, "{path}");
    response.json().await.unwrap()
}

async fn status(server: &TestServer, method: Method, path: &str, token: &str) -> u16 {
    ask(server, method, path, token, None).await.status().as_u16()
}

/// A conversation of one turn; its session.
async fn converse(server: &TestServer, token: &str) -> String {
    let mut connection = client::connect(&server.url(), Some(token)).await.unwrap();
    let ServerMessage::Session { session_id, .. } = connection.receive().await.unwrap() else {
        panic!("the first message names the session");
    };
    connection.send(&ClientMessage::Text { text: "my dog is Rex".to_owned() }).await.unwrap();
    loop {
        if let ServerMessage::TurnEnd { outcome, .. } = connection.receive().await.unwrap() {
            assert_eq!(outcome, Outcome::Completed);
            break;
        }
    }
    server.server.keeper.wait_for_memory_jobs().await;
    session_id
}

fn texts(body: &Value) -> Vec<&str> {
    body["memories"].as_array().unwrap().iter().map(|memory| memory["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn memories_are_listed_corrected_and_deleted_by_whose_they_are() {
    let server = TestServer::start(remembers);
    let (mine, other) = (token(&server, &[Scope::Voice]), token(&server, &[Scope::Voice]));
    let admin = token(&server, &[Scope::Voice, Scope::Admin]);
    converse(&server, &mine).await;

    let body = get(&server, "/api/memories", &mine).await;
    assert_eq!(texts(&body), ["Anna's dog is called Rex."]);
    assert_eq!(texts(&get(&server, "/api/memories?query=dogs%20and%20cats", &mine).await).len(), 1);
    assert!(texts(&get(&server, "/api/memories?query=weather", &mine).await).is_empty());
    assert!(texts(&get(&server, "/api/memories", &other).await).is_empty());
    assert_eq!(status(&server, Method::GET, "/api/memories?whose=all", &other).await, 403);
    assert_eq!(texts(&get(&server, "/api/memories?whose=all", &admin).await).len(), 1);

    let path = format!("/api/memories/{}", body["memories"][0]["id"].as_str().unwrap());
    let correct = |token: String, text: &'static str| {
        let (server, path) = (&server, path.clone());
        async move { ask(server, Method::PATCH, &path, &token, Some(json!({"text": text}))).await }
    };
    assert_eq!(correct(other.clone(), "a cat").await.status().as_u16(), 404);
    assert_eq!(correct(mine.clone(), "  ").await.status().as_u16(), 400);
    let corrected = correct(mine.clone(), "Anna's dog is called Max.").await;
    assert_eq!(corrected.json::<Value>().await.unwrap()["text"], "Anna's dog is called Max.");
    assert_eq!(texts(&get(&server, "/api/memories?query=max", &mine).await), ["Anna's dog is called Max."]);

    assert_eq!(status(&server, Method::DELETE, &path, &other).await, 404);
    assert_eq!(status(&server, Method::DELETE, &path, &mine).await, 204);
    assert_eq!(status(&server, Method::DELETE, &path, &mine).await, 404);
    assert!(texts(&get(&server, "/api/memories?whose=all", &admin).await).is_empty());
    server.stop();
}

#[tokio::test]
async fn sessions_are_listed_written_out_and_deleted_by_whose_they_are() {
    let server = TestServer::start(remembers);
    let (mine, other) = (token(&server, &[Scope::Voice]), token(&server, &[Scope::Voice]));
    let session = converse(&server, &mine).await;

    let listed = get(&server, "/api/sessions", &mine).await;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["sessions"][0]["session"], session.as_str());
    assert!(get(&server, "/api/sessions", &other).await["sessions"].as_array().unwrap().is_empty());

    let path = format!("/api/sessions/{session}");
    let export = ask(&server, Method::GET, &format!("{path}/export"), &mine, None).await;
    assert_eq!(export.headers()["content-type"], "text/markdown; charset=utf-8");
    let text = export.text().await.unwrap();
    assert!(text.contains("### User\n\nmy dog is Rex\n\n### Assistant\n\nI see.\n"), "{text}");
    let json = get(&server, &format!("{path}/export?format=json"), &mine).await;
    assert_eq!(json["messages"][0]["text"], "my dog is Rex");
    assert_eq!(status(&server, Method::GET, &format!("{path}/export?format=pdf"), &mine).await, 400);
    assert_eq!(status(&server, Method::GET, &format!("{path}/export"), &other).await, 404);

    assert_eq!(status(&server, Method::DELETE, &path, &other).await, 404);
    assert_eq!(status(&server, Method::DELETE, &path, &mine).await, 204);
    assert_eq!(status(&server, Method::GET, &path, &mine).await, 404);
    assert!(get(&server, "/api/sessions", &mine).await["sessions"].as_array().unwrap().is_empty());
    assert_eq!(
        texts(&get(&server, "/api/memories", &mine).await).len(),
        1,
        "memories are deleted by themselves"
    );
    server.stop();
}

#[tokio::test]
async fn the_command_line_looks_after_memories_beside_the_server() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        what: What,
    }
    #[derive(clap::Subcommand)]
    enum What {
        Memory(vivavoce::cli::memory::Memory),
    }
    let server = TestServer::start(remembers);
    let mine = token(&server, &[Scope::Voice]);
    converse(&server, &mine).await;
    let config = std::sync::Arc::clone(&server.server.config);
    let run = |arguments: Vec<String>| {
        let What::Memory(memory) =
            Line::parse_from(["vivavoce".to_owned(), "memory".to_owned()].into_iter().chain(arguments)).what;
        let mut out = vec![];
        let done = memory.run(&config, &mut out).map_err(|error| error.to_string());
        done.map(|()| String::from_utf8(out).unwrap())
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let listed = run(words("list --query dog")).unwrap();
    let (id, rest) = listed.split_once("  ").unwrap();
    assert_eq!(rest, "user: Anna's dog is called Rex.\n");
    run(vec!["correct".to_owned(), id.to_owned(), "Anna has no dog.".to_owned()]).unwrap();
    assert_eq!(texts(&get(&server, "/api/memories", &mine).await), ["Anna has no dog."]);
    assert_eq!(run(vec!["delete".to_owned(), id.to_owned()]).unwrap(), "forgotten: Anna has no dog.\n");
    assert_eq!(run(words("list")).unwrap(), "");
    let gone = run(vec!["delete".to_owned(), id.to_owned()]).unwrap_err();
    assert!(gone.contains("there is no memory"), "{gone}");
    server.stop();
}
