//! `POST /chat/stream`, and many requests at a time.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::Notify;
use vivavoce::config::Config;

use super::agents::elsewhere;
use super::{Vault, answer, body, stamp};
use crate::e2e::person::wait_until;
use crate::stub_llm::{Answer, Step, StubLlm, delta, done, stop};

/// The events of a stream, read while they come.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn ask(vault: &Vault, request: Value) -> Events {
        let response = vault.post("/chat/stream", &request).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Events { response, text: String::new() }
    }

    /// Its name and data; `None`: the stream is over.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |key| event.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
                if let (Some(name), Some(data)) = (line("event:"), line("data:")) {
                    return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                }
                continue; // a comment
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<(String, Value)> {
        let mut all = vec![];
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

fn with_agent(config: &mut Config, url: &str) {
    config.agents.insert("far".to_owned(), elsewhere(url));
    config.limits.sessions = 200;
}

#[tokio::test]
async fn a_reply_comes_as_it_is_written() {
    let go_on = Arc::new(Notify::new());
    let gate = Arc::clone(&go_on);
    let stub = StubLlm::start(move |_| {
        let begun = Answer::stream([delta(json!({"content": "Grüß "}))]);
        let rest = [delta(json!({"content": "dich."})), stop(), done()].concat();
        begun.then(Step::Await(Arc::clone(&gate))).then(Step::Send(rest.into()))
    });
    let url = stub.url.clone();
    let vault = Vault::start(&["x"], |config| with_agent(config, &url));
    let content = "---\nagent: far\nx: 1\n---\n### User:\nHallo\n";
    let mut events = Events::ask(&vault, json!({"filename": "a", "content": content})).await;
    let (name, first) = events.next().await.unwrap();
    let before = first["new_content"].as_str().unwrap();
    assert_eq!((name.as_str(), before), ("delta", &*format!("{content}\n### Assistant:\n\nGrüß\n")));
    // The file waits for the end.
    assert_eq!(vault.read("a.md"), content);
    // Nobody else may ask now, by whatever name.
    for path in ["/chat", "/chat/stream"] {
        let (status, busy) =
            answer(vault.post(path, &json!({"filename": "/a.md"})).send().await.unwrap()).await;
        assert_eq!(status, 409);
        assert_eq!((&busy["status"], &busy["filename"]), (&json!("in_progress"), &json!("/a.md")), "{busy}");
        assert!(busy["detail"].is_string());
    }
    go_on.notify_one();
    let rest = events.rest().await;
    let ((name, last), deltas) = rest.split_last().unwrap();
    assert_eq!((name.as_str(), &last["status"]), ("done", &json!("ok")), "{rest:?}");
    assert!(deltas.iter().all(|(name, _)| name == "delta"));
    let shown: Vec<&Value> = deltas.iter().map(|(_, data)| &data["new_content"]).collect();
    assert_eq!(shown.iter().collect::<HashSet<_>>().len(), shown.len(), "never twice the same");
    assert_eq!(vault.read("a.md"), last["new_content"].as_str().unwrap());
    assert!(body(&vault.read("a.md")).ends_with("### Assistant:\n\nGrüß dich.\n\n### User:\n\n"));
    // It may be asked again.
    let (status, again) = vault.chat(json!({"filename": "a"})).await;
    assert_eq!((status, &again["reason"]), (200, &json!("last turn is assistant")));
    vault.server.stop();
}

#[tokio::test]
async fn what_a_model_thinks_is_a_callout_and_no_words() {
    let stub = StubLlm::start(|asked| {
        let again = asked.body["messages"].as_array().unwrap().len() > 2;
        let thoughts = if again { "Again?" } else { "The user greets.\n\nSo do I." };
        let pieces =
            [json!({"reasoning_content": thoughts}), json!({"content": "<think>\n\n</think>Hello."})];
        Answer::stream(pieces.map(delta).into_iter().chain([stop(), done()]))
    });
    let url = stub.url.clone();
    let vault = Vault::start(&["x"], |config| with_agent(config, &url));
    let content = "---\nagent: far\n---\n### User:\nHi\n";
    let events = Events::ask(&vault, json!({"filename": "a", "content": content})).await.rest().await;
    assert_eq!(events.last().unwrap().1["status"], "ok", "{events:?}");
    let first = "### User:\nHi\n\n### Assistant:\n\n> [!thinking]- Thought\n> The user greets.\n>\n> So do I.\n\nHello.\n\n### User:\n\n";
    assert!(vault.read("a.md").ends_with(first), "{}", vault.read("a.md"));
    // It stays as it is, and the model is not told of it.
    vault.write("a.md", &format!("{}Hi again\n", vault.read("a.md")));
    assert_eq!(vault.chat(json!({"filename": "a"})).await.0, 200);
    let text = vault.read("a.md");
    assert!(text.contains("> [!thinking]- Thought\n> The user greets.\n>\n> So do I.\n\nHello."), "{text}");
    assert!(text.contains("> [!thinking]- Thought\n> Again?\n\nHello."), "{text}");
    let asked = stub.take_asked().pop().unwrap();
    let said: Vec<&str> = asked.body["messages"].as_array().unwrap()[1..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["Hi", "Hello.", "Hi again"]);
    vault.server.stop();
}

#[tokio::test]
async fn what_comes_after_the_claim_is_an_event() {
    let vault = Vault::start(&["x"], |config| {
        config.markdown.default_agent = None;
        config.scripted.failures = vec!["llm-mid@2".to_owned(), "llm@1".to_owned()];
        config.scripted.replies = vec!["One two three four five.".to_owned()];
        with_agent(config, "http://127.0.0.1:9/v1");
    });
    let hi = "### User:\nHi\n";
    for (request, expected) in [
        (json!({"filename": "../a"}), 400),
        (json!({"filename": "a", "agent": 7}), 400),
        (json!({"content": hi}), 400),
    ] {
        let refused = answer(vault.post("/chat/stream", &request).send().await.unwrap()).await;
        assert_eq!((refused.0, refused.1["detail"].is_string()), (expected, true), "{request}");
    }
    for (request, status, detail) in [
        (json!({"filename": "a", "content": 7}), 400, "`content` must be a string"),
        (json!({"filename": "a", "content": hi}), 400, "no agent"),
        (json!({"filename": "a", "agent": "nobody"}), 404, "nobody"),
        (json!({"filename": "a", "agent": "far"}), 503, "no backend"),
        (json!({"filename": "a", "agent": "default"}), 500, "backend error"),
    ] {
        let events = Events::ask(&vault, request.clone()).await.rest().await;
        let (name, data) = &events[events.len() - 1];
        assert_eq!((name.as_str(), &data["status_code"]), ("error", &json!(status)), "{request}: {events:?}");
        assert!(data["detail"].as_str().unwrap().contains(detail), "{data}");
        assert!(events[..events.len() - 1].iter().all(|(name, _)| name == "delta"));
    }
    // What had come of a reply that fails is kept, with why there is no more of it.
    let content = "### User:\nTry again\n";
    let request = json!({"filename": "b", "agent": "default", "content": content});
    let events = Events::ask(&vault, request).await.rest().await;
    assert_eq!(events.last().unwrap().1["status_code"], 500, "{events:?}");
    let text = vault.read("b.md");
    assert!(body(&text).contains("### Assistant:\n\nOne two three\n\n> [!error]-"), "{text}");
    let nothing = Events::ask(&vault, json!({"filename": "b", "agent": "default"})).await.rest().await;
    assert_eq!(nothing.len(), 1);
    assert_eq!((nothing[0].0.as_str(), &nothing[0].1["status"]), ("done", &json!("nothing_to_do")));
    vault.server.stop();
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_run_and_what_came_is_kept() {
    for path in ["/chat", "/chat/stream"] {
        let stub = StubLlm::start(move |asked| {
            if asked.number == 1 {
                return Answer::stream([delta(json!({"content": "Half a "}))]).then(Step::Stall);
            }
            Answer::reply(&["Whole."])
        });
        let url = stub.url.clone();
        let vault = Vault::start(&["x"], |config| with_agent(config, &url));
        let content = "### User:\nHi\n";
        let request = json!({"filename": "a", "content": content, "agent": "far"});
        if path == "/chat" {
            let asking = tokio::spawn(vault.post(path, &request).send());
            // Shown in the file while it grows.
            wait_until(|| vault.path("a.md").exists() && vault.read("a.md").contains("Half a")).await;
            assert!(!vault.read("a.md").contains("conversation_id"), "stamped at the end");
            asking.abort();
        } else {
            let mut events = Events::ask(&vault, request).await;
            assert_eq!(events.next().await.unwrap().0, "delta");
            drop(events);
        }
        wait_until(|| vault.read("a.md").contains("conversation_id")).await;
        stub.left.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        let text = vault.read("a.md");
        assert_eq!(body(&text), "### User:\nHi\n\n### Assistant:\n\nHalf a\n\n### User:\n\n");
        // The claim is free, and the conversation goes on with what was read.
        vault.write("a.md", &format!("{text}Go on\n"));
        let mut next = vault.chat(json!({"filename": "a"})).await;
        while next.0 == 409 {
            tokio::task::yield_now().await;
            next = vault.chat(json!({"filename": "a"})).await;
        }
        assert_eq!(next.0, 200, "{next:?}");
        assert_eq!(stamp(&vault.read("a.md"), "conversation_id"), stamp(&text, "conversation_id"));
        let asked = stub.take_asked().pop().unwrap();
        let said: Vec<&str> = asked.body["messages"].as_array().unwrap()[1..]
            .iter()
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["Hi", "Half a", "Go on"]);
        vault.server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_files_at_a_time_do_not_mix() {
    let vault = Vault::start(&["You said {echo}, I heard {echo}."], |config| {
        config.limits.sessions = 64;
        config.scripted.llm_token_ms = 2;
    });
    let asked = (0..50).map(|number| {
        let content = format!("### User:\nword{number}\n");
        let vault = &vault;
        async move {
            let request = json!({"filename": format!("f{number}"), "content": content});
            (number, Events::ask(vault, request).await.rest().await)
        }
    });
    let mut sessions = HashSet::new();
    for (number, events) in join_all(asked).await {
        let (last, deltas) = events.split_last().unwrap();
        assert_eq!((last.0.as_str(), &last.1["status"]), ("done", &json!("ok")), "{last:?}");
        let mut before = String::new();
        for (name, data) in deltas {
            assert_eq!(name, "delta");
            let text = data["new_content"].as_str().unwrap();
            assert!(text.starts_with(before.trim_end()) && text != before, "{text:?} after {before:?}");
            before = text.to_owned();
        }
        let text = vault.read(&format!("f{number}.md"));
        let reply = format!("You said word{number}, I heard word{number}.");
        assert_eq!(
            body(&text),
            format!("### User:\nword{number}\n\n### Assistant:\n\n{reply}\n\n### User:\n\n")
        );
        sessions.insert(stamp(&text, "conversation_id"));
    }
    assert_eq!((sessions.len(), vault.files().len()), (50, 50));
    vault.server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_for_one_file_one_is_answered() {
    let go_on = Arc::new(Notify::new());
    let gate = Arc::clone(&go_on);
    let stub = StubLlm::start(move |_| {
        let rest = [delta(json!({"content": "One."})), stop(), done()].concat();
        Answer::stream(Vec::<String>::new())
            .then(Step::Await(Arc::clone(&gate)))
            .then(Step::Send(rest.into()))
    });
    let url = stub.url.clone();
    let vault = Vault::start(&["x"], |config| with_agent(config, &url));
    vault.write("a.md", "---\nagent: far\n---\n### User:\nHi\n");
    let asked = (0..50).map(|_| vault.post("/chat/stream", &json!({"filename": "a"})).send());
    let mut asked: futures_util::stream::FuturesUnordered<_> = asked.collect();
    let (mut refused, mut accepted) = (0, vec![]);
    while let Some(response) = asked.next().await {
        let response = response.unwrap();
        match response.status().as_u16() {
            200 => accepted.push(response),
            409 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((accepted.len(), refused), (1, 49));
    go_on.notify_one();
    let text = accepted.pop().unwrap().text().await.unwrap();
    assert!(text.contains("event: done"), "{text}");
    assert_eq!(stub.take_asked().len(), 1);
    assert_eq!(vault.read("a.md").matches("One.").count(), 1);
    vault.server.stop();
}
