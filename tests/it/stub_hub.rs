//! A model hub in this process: repositories with files, large ones kept behind a redirect, ranges,
//! ETags and commits, as the public hub has them. A test may change any of its answers.
//!
//! It is played by the scripted server that plays language models in other tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use sha2::{Digest, Sha256};

use crate::stub_llm::StubLlm;
pub use crate::stub_llm::{Answer, Asked, Step};

/// What all files are of.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The running hub; it ends when this is dropped.
pub struct StubHub {
    /// For `HF_ENDPOINT`.
    pub url: String,
    /// Requests so far, answers that stall, answers that were left.
    pub server: StubLlm,
    files: Files,
}

/// Contents by `owner/name/path`.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

impl StubHub {
    /// With these files.
    pub fn start(files: &[(&str, &[u8])]) -> StubHub {
        StubHub::with(files, |_, answer| answer)
    }

    /// With these files, and with `change` having the last word about each answer.
    pub fn with(
        files: &[(&str, &[u8])],
        change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) -> StubHub {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec()));
        let files: Files = Arc::new(Mutex::new(files.collect()));
        let served = Arc::clone(&files);
        let server = StubLlm::start(move |asked| change(asked, answer(asked, &served.lock().unwrap())));
        let url = server.url.trim_end_matches("/v1").to_owned();
        StubHub { url, server, files }
    }

    /// Another content of a file.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.files.lock().unwrap().insert(path.to_owned(), content.to_vec());
    }

    /// Paths asked for since the last look.
    pub fn take_paths(&self) -> Vec<String> {
        self.server.take_asked().into_iter().map(|asked| asked.path).collect()
    }
}

pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it is the request for the bytes of a large file, behind the redirect.
pub fn is_bytes(asked: &Asked) -> bool {
    asked.path.starts_with("/cdn/")
}

/// The same answer, but its connection breaks after so many bytes.
pub fn cut(answer: Answer, after: usize) -> Answer {
    let begun = body(&answer).slice(..after);
    Answer { body: vec![Step::Send(begun), Step::Break], ..answer }
}

/// The whole body of an honest answer.
pub fn body(answer: &Answer) -> Bytes {
    match answer.body.as_slice() {
        [Step::Send(body)] => body.clone(),
        _ => Bytes::new(),
    }
}

fn answer(asked: &Asked, files: &HashMap<String, Vec<u8>>) -> Answer {
    if let Some(content) = asked.path.strip_prefix("/cdn/").and_then(|path| files.get(path)) {
        let etag = format!("\"at-the-cdn-{}\"", &sha256(content)[..8]);
        return ranged(asked, content, &etag);
    }
    // /owner/name/resolve/revision/path
    let parts: Vec<&str> = asked.path.splitn(6, '/').collect();
    let ["", owner, name, "resolve", _, path] = parts[..] else {
        return Answer::plain(404, "").header("x-error-message", "no such page");
    };
    let key = format!("{owner}/{name}/{path}");
    let Some(content) = files.get(&key) else {
        return Answer::plain(404, "").header("x-error-message", "Entry not found");
    };
    let is_large = path.ends_with(".gguf") || path.ends_with(".safetensors");
    let answer = match is_large {
        true => Answer::plain(302, "Found")
            .header("x-linked-etag", &format!("\"{}\"", sha256(content)))
            .header("x-linked-size", &content.len().to_string())
            .header("location", &format!("/cdn/{key}?signature=secret")),
        false => ranged(asked, content, &format!("\"{}\"", &sha256(content)[..40])),
    };
    answer.header("x-repo-commit", COMMIT)
}

/// RFC 9110: a range that is asked for with the right `If-Range`, or without one.
fn ranged(asked: &Asked, content: &[u8], etag: &str) -> Answer {
    let header = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap());
    let is_same = header("if-range").is_none_or(|known| known == etag);
    let from = header("range").filter(|_| is_same).map(|range| {
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let whole = content.len();
    let answer = match from {
        Some(from) if from >= whole => {
            Answer::plain(416, "").header("content-range", &format!("bytes */{whole}"))
        }
        Some(from) => Answer::plain(206, content[from..].to_vec())
            .header("content-range", &format!("bytes {from}-{}/{whole}", whole - 1))
            .header("content-length", &(whole - from).to_string()),
        None => Answer::plain(200, content.to_vec()).header("content-length", &whole.to_string()),
    };
    answer.header("etag", etag)
}
