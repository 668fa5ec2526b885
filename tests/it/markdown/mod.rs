//! Conversations in Markdown files, over real sockets, with scripted models.

mod agents;
mod contract;
mod conversations;
mod logs;
mod streams;
mod watch;
mod writes;

use std::path::PathBuf;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use vivavoce::config::Config;
use vivavoce::conversation::{NewToken, Scope};

use crate::harness::TestServer;

/// A server with a vault, a token for it, and a client.
pub struct Vault {
    pub server: TestServer,
    pub token: String,
    pub http: reqwest::Client,
}

impl Vault {
    /// It says `replies` in turn, and is as `configure` says besides.
    pub fn start(replies: &[&str], configure: impl FnOnce(&mut Config)) -> Vault {
        Vault::start_in(std::sync::Arc::new(tempfile::TempDir::new().unwrap()), replies, configure)
    }

    /// The same where another has been before.
    pub fn start_in(
        folder: std::sync::Arc<tempfile::TempDir>,
        replies: &[&str],
        configure: impl FnOnce(&mut Config),
    ) -> Vault {
        crate::tls();
        let vault_path = folder.path().join("vault");
        let server = TestServer::start_in(folder, |config| {
            config.vad.engine = "scripted".to_owned();
            config.scripted.replies = replies.iter().map(|reply| (*reply).to_owned()).collect();
            config.scripted.llm_first_token_ms = 0;
            config.scripted.llm_token_ms = 0;
            config.markdown.enabled = true;
            config.markdown.vault_path = vault_path;
            configure(config);
        });
        let token = token(&server, &[Scope::Messages]);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Vault { server, token, http }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.url(path)).bearer_auth(&self.token).json(body)
    }

    /// `POST /chat`: its status and body.
    pub async fn chat(&self, body: Value) -> (u16, Value) {
        answer(self.post("/chat", &body).send().await.unwrap()).await
    }

    /// `POST /chat` of a file as it is, which is to be answered: the file afterwards.
    pub async fn reply_to(&self, filename: &str) -> String {
        let (status, body) = loop {
            let answer = self.chat(json!({ "filename": filename })).await;
            // The log of another frontend's turn may be at it still.
            if answer.0 != 409 {
                break answer;
            }
        };
        assert_eq!((status, &body["status"]), (200, &json!("ok")), "{body}");
        let file = if filename.ends_with(".md") { filename.to_owned() } else { format!("{filename}.md") };
        assert_eq!(self.read(&file), body["new_content"].as_str().unwrap());
        self.read(&file)
    }

    pub fn path(&self, filename: &str) -> PathBuf {
        self.server.folder().path().join("vault").join(filename)
    }

    pub fn read(&self, filename: &str) -> String {
        std::fs::read_to_string(self.path(filename)).unwrap()
    }

    pub fn write(&self, filename: &str, text: &str) {
        let path = self.path(filename);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// All files, hidden ones too.
    pub fn files(&self) -> Vec<String> {
        let mut found = vec![];
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.path("")).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

pub fn token(server: &TestServer, scopes: &[Scope]) -> String {
    server.server.tokens.create(&NewToken { name: "a test", scopes, expires_at_unix_us: None }).unwrap()
}

pub async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// The value of a key in a file's frontmatter.
pub fn stamp(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).trim_matches('"').to_owned()
}

/// The words of a file's body, without what is stamped on it.
pub fn body(text: &str) -> &str {
    text.split_once("\n---\n\n").map_or(text, |(_, body)| body)
}
