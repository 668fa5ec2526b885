//! Every answer of `POST /chat` in the order of its checks, and the same of `POST /chat/stream`.

use serde_json::json;
use vivavoce::config::AuthMode;
use vivavoce::conversation::Scope;

use super::{Vault, answer, body, stamp, token};

#[tokio::test]
async fn a_file_is_answered() {
    let vault = Vault::start(&["Hello there."], |_| {});
    let content = "# Notes\r\n\r\n### User:\r\n\r\nHi!\r\n";
    let (status, done) = vault.chat(json!({"filename": "/a/new/note", "content": content})).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["status"], "ok");
    assert_eq!((&done["turns_appended"], &done["agent"]), (&json!(1), &json!("default")));
    let text = vault.read("a/new/note.md");
    assert_eq!(text, done["new_content"].as_str().unwrap());
    assert!(text.starts_with("---\r\nagent: default\r\nconversation_id: "), "{text}");
    let expected = format!("{content}\r\n### Assistant:\r\n\r\nHello there.\r\n\r\n### User:\r\n\r\n");
    assert_eq!(text.split_once("\r\n---\r\n\r\n").unwrap().1, expected);
    assert_eq!(vault.files(), ["a/new/note.md"]);
    vault.server.stop();
}

#[tokio::test]
async fn every_refusal_has_its_status_and_a_detail() {
    let vault = Vault::start(&["Hello."], |config| {
        config.markdown.default_agent = None;
        config.scripted.failures = vec!["llm@2".to_owned()];
    });
    let hi = "### User:\nHi!\n";
    let outside = vault.server.folder().path().join("outside.md");
    std::fs::write(&outside, hi).unwrap();
    std::os::unix::fs::symlink(&outside, vault.path("link.md")).unwrap();
    let cases = [
        (json!([]), 400, "must be an object"),
        (json!({}), 400, "`filename` is missing"),
        (json!({"filename": 7}), 400, "`filename` must be a string"),
        (json!({"filename": "a", "content": 7}), 400, "`content` must be a string"),
        (json!({"filename": "a", "agent": []}), 400, "`agent` must be a string"),
        (json!({"filename": ""}), 400, "names no file"),
        (json!({"filename": "../outside"}), 400, "filename escapes vault"),
        (json!({"filename": "x/../../outside"}), 400, "filename escapes vault"),
        (json!({"filename": "link"}), 400, "filename escapes vault"),
        (json!({"filename": "a"}), 400, "no agent"),
        (json!({"filename": "a", "agent": "nobody", "content": hi}), 404, "there is no agent `nobody`"),
    ];
    for (request, expected, detail) in cases {
        let (status, answer) = vault.chat(request.clone()).await;
        assert_eq!(status, expected, "{request}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(detail), "{request}: {answer}");
    }
    let nothing = async |request| {
        let (status, answer) = vault.chat(request).await;
        assert_eq!((status, &answer["status"]), (200, &json!("nothing_to_do")), "{answer}");
        (answer["reason"].as_str().unwrap().to_owned(), answer["new_content"].as_str().unwrap().to_owned())
    };
    // Who answers is asked for before whether there is anything to answer; whether there is such a one, after.
    assert_eq!(nothing(json!({"filename": "none", "agent": "nobody"})).await.0, "empty file");
    let scaffold = "### User:\n\n";
    let (reason, content) = nothing(json!({"filename": "b", "agent": "nobody", "content": scaffold})).await;
    assert_eq!((reason.as_str(), content.as_str()), ("empty file", scaffold));
    let answered = "### User:\nHi!\n\n### Assistant:\nYes?\n\n### User:\n";
    let (reason, _) = nothing(json!({"filename": "b", "agent": "nobody", "content": answered})).await;
    assert_eq!((reason.as_str(), vault.read("b.md").as_str()), ("last turn is assistant", answered));

    let (status, _) = vault.chat(json!({"filename": "c", "agent": "default", "content": hi})).await;
    assert_eq!(status, 200);
    let (status, failed) = vault.chat(json!({"filename": "d", "agent": "default", "content": hi})).await;
    assert_eq!(status, 500);
    assert!(failed["detail"].as_str().unwrap().starts_with("backend error: "), "{failed}");
    let text = vault.read("d.md");
    assert!(body(&text).starts_with("### User:\nHi!\n\n### Assistant:\n\n> [!error]-"), "{text}");
    // An error is no answer: the file can be asked again, and then the error is gone.
    let (status, done) = vault.chat(json!({"filename": "d"})).await;
    assert_eq!(status, 200, "{done}");
    let again = vault.read("d.md");
    assert_eq!(body(&again), "### User:\nHi!\n\n### Assistant:\n\nHello.\n\n### User:\n\n");
    assert_eq!(stamp(&again, "conversation_id"), stamp(&text, "conversation_id"));
    vault.server.stop();
}

#[tokio::test]
async fn a_token_is_always_needed() {
    for mode in [AuthMode::None, AuthMode::Auto, AuthMode::Tokens] {
        let vault = Vault::start(&["Hello."], |config| config.auth.mode = mode);
        for (method, path) in [("GET", "/agents"), ("POST", "/chat"), ("POST", "/chat/stream")] {
            let ask = |token: Option<&str>| {
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let request =
                    vault.http.request(method, vault.url(path)).header("origin", "https://a.example");
                token.into_iter().fold(request, |request, token| request.bearer_auth(token)).send()
            };
            let refused = ask(None).await.unwrap();
            assert_eq!(refused.headers()["access-control-allow-origin"], "*");
            assert!(!refused.headers().contains_key("access-control-allow-credentials"));
            assert_eq!(refused.headers()["www-authenticate"], "Bearer");
            let (status, answered) = answer(refused).await;
            assert_eq!((status, answered["detail"].is_string()), (401, true), "{path}");
            assert_eq!(answer(ask(Some("a-guess")).await.unwrap()).await.0, 401);
            let other = token(&vault.server, &[Scope::Voice, Scope::Admin]);
            assert_eq!(answer(ask(Some(&other)).await.unwrap()).await.0, 403, "{path}");
            let asked = vault.http.request(reqwest::Method::OPTIONS, vault.url(path));
            let asked = asked.header("origin", "https://a.example").send().await.unwrap();
            assert_eq!(asked.status(), 204);
            assert_eq!(asked.headers()["access-control-allow-headers"], "authorization, content-type");
        }
        let elsewhere = vault.http.get(vault.url("/healthz")).send().await.unwrap();
        assert!(!elsewhere.headers().contains_key("access-control-allow-origin"));
        assert_eq!(answer(elsewhere).await, (200, json!({"status": "ok"})));
        vault.server.stop();
    }
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_503_and_leaves_the_file() {
    let vault = Vault::start(&["Hello."], |config| {
        let far = "engine: openai\nurl: http://127.0.0.1:9/v1\nretries: 0";
        let agent =
            vivavoce::config::Agent { llm: Some(serde_yaml::from_str(far).unwrap()), ..Default::default() };
        config.agents.insert("far".to_owned(), agent);
    });
    let content = "---\nagent: far\n---\n### User:\nHi!\n";
    let (status, answered) = vault.chat(json!({"filename": "a", "content": content})).await;
    assert_eq!(status, 503, "{answered}");
    assert!(answered["detail"].as_str().unwrap().contains("127.0.0.1:9"), "{answered}");
    assert_eq!(vault.read("a.md"), content);
    // The others answer.
    let (status, _) = vault.chat(json!({"filename": "a", "agent": "default"})).await;
    assert_eq!(status, 200);
    vault.server.stop();
}

#[tokio::test]
async fn where_it_is_off_there_is_nothing() {
    let vault = Vault::start(&["Hello."], |config| config.markdown.enabled = false);
    let (status, answered) = vault.chat(json!({"filename": "a"})).await;
    assert_eq!(status, 404);
    assert!(answered["detail"].as_str().unwrap().contains("markdown.enabled"));
    vault.server.stop();
}
