//! Tools over a real socket: built-in ones, and one on another server.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;
use vivavoce::client::{ClientError, ClientMessage, ServerMessage};
use vivavoce::config::{Config, HttpTool};
use vivavoce::conversation::{Role, SessionId, Whose};
use vivavoce::turn::io::Outcome;

use super::person::{Person, wait_until};
use crate::harness::TestServer;
use crate::stub_llm::{Answer, Asked, Step, StubLlm};

/// A language model that calls a tool in its first answer, and then says this.
fn model(text: &'static str, call: (&'static str, &'static str), then: &'static str) -> StubLlm {
    StubLlm::start(move |asked| match (asked.path.as_str(), asked.number) {
        ("/v1/models", _) => Answer::models(&["stub"]),
        (_, 1) => Answer::calls(text, &[("c1", call.0, call.1)]),
        _ => Answer::reply(&[then]),
    })
}

fn talks_to(llm: &StubLlm) -> impl Fn(&mut Config) + use<> {
    let url = llm.url.clone();
    move |config| {
        config.llm.engine = "openai".into();
        config.llm.url.clone_from(&url);
        config.scripted.tts_ms_per_char = 5;
    }
}

/// The tool `stock` at this path of a server.
fn stock(server: &StubLlm, path: &str) -> HttpTool {
    HttpTool {
        name: "stock".into(),
        description: "How many there are".into(),
        parameters: json!({
            "type": "object",
            "properties": {"article": {"type": "string"}, "sizes": {"type": "array"}},
            "required": ["article"],
        }),
        url: format!("{}{path}", server.url.trim_end_matches("/v1")),
        ..HttpTool::default()
    }
}

/// Calls and results, as the client was told of them.
fn tool_messages(person: &Person) -> Vec<String> {
    let lines = person.messages.iter().filter_map(|message| match message {
        ServerMessage::ToolCall { name, arguments, .. } => Some(format!("{name} {arguments}")),
        ServerMessage::ToolResult { name, summary, .. } => Some(format!("{name}: {summary}")),
        _ => None,
    });
    lines.collect()
}

/// The messages of the chats that the model was asked for.
fn prompts(llm: &StubLlm) -> Vec<Value> {
    let chats = llm.take_asked().into_iter().filter(|asked| asked.path.ends_with("/chat/completions"));
    chats.map(|asked| asked.body["messages"].clone()).collect()
}

fn session_id(person: &Person) -> SessionId {
    let found = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { session_id, .. } => session_id.parse().ok(),
        _ => None,
    });
    found.expect("the first message names the session")
}

#[tokio::test]
async fn a_built_in_tool_is_used_told_and_remembered() {
    let llm = model("Let me see.", ("calculate", r#"{"expression": "seven plus four"}"#), "It is eleven.");
    let server = TestServer::start(talks_to(&llm));
    let mut person = Person::new(server.connect().await);
    person.type_text("what is seven plus four").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.reply(1), "Let me see.\nIt is eleven.");
    let told = [r#"calculate {"expression": "seven plus four"}"#, "calculate: 11"];
    assert_eq!(tool_messages(&person), told);
    person.type_text("thanks").await;
    person.until_turn_end().await;

    let prompts = prompts(&llm);
    let user = |text: &str| json!({"role": "user", "content": text});
    let function = json!({"name": "calculate", "arguments": r#"{"expression": "seven plus four"}"#});
    let used = [
        user("what is seven plus four"),
        json!({
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        }),
        json!({"role": "tool", "content": r#"{"result": "11", "spoken": "eleven"}"#, "tool_call_id": "c1"}),
    ];
    assert_eq!(prompts[0].as_array().unwrap()[1..], used[..1]);
    assert_eq!(prompts[1].as_array().unwrap()[1..], used);
    let remembered = [json!({"role": "assistant", "content": "It is eleven."}), user("thanks")];
    assert_eq!(prompts[2].as_array().unwrap()[1..], [&used[..], &remembered].concat());

    let log = &server.server.log;
    let session = log.read_session(session_id(&person)).unwrap().unwrap();
    let roles: Vec<Role> = session.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles[..4], [Role::User, Role::ToolCall, Role::ToolResult, Role::Assistant]);
    let rows = log.conversations(Whose::All, 1).unwrap();
    log.rebuild().unwrap();
    assert_eq!(log.conversations(Whose::All, 1).unwrap(), rows);
    server.stop();
}

#[tokio::test]
async fn the_model_knows_which_tools_there_are() {
    let llm = StubLlm::saying(&["Hi."]);
    let server = TestServer::start(|config| {
        talks_to(&llm)(config);
        config.tools.http = vec![stock(&llm, "/stock")];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    person.until_turn_end().await;
    let asked = llm.take_asked();
    let tools = asked.iter().find_map(|asked| asked.body["tools"].as_array()).unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["now", "calculate", "end_session", "stock"]);
    server.stop();
}

#[tokio::test]
async fn a_tool_on_another_server_gets_the_arguments_and_the_token() {
    for (method, query, body) in [
        ("GET", "shop=1&article=blue+hat&sizes=1&sizes=2", Value::Null),
        ("POST", "shop=1", json!({"article": "blue hat", "sizes": [1, 2]})),
    ] {
        let shop = StubLlm::start(|_| Answer::plain(200, r#"{"pieces": 3}"#));
        let llm = model("", ("stock", r#"{"article": "blue hat", "sizes": [1, 2]}"#), "There are three.");
        let server = TestServer::start(|config| {
            talks_to(&llm)(config);
            let mut tool = stock(&shop, "/stock?shop=1");
            tool.method = method.into();
            tool.headers.insert("x-shop".into(), "7".into());
            // A variable that every process of the test runner has.
            tool.token_env = "PATH".into();
            config.tools.http = vec![tool];
        });
        let mut person = Person::new(server.connect().await);
        person.type_text("how many hats are there").await;
        assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
        assert_eq!(tool_messages(&person)[1], r#"stock: {"pieces": 3}"#);
        assert_eq!(prompts(&llm)[1][3]["content"], r#"{"pieces": 3}"#);
        let Asked { path, query: found, headers, body: sent, .. } = shop.asked.recv().unwrap();
        assert_eq!((path.as_str(), found.as_str(), sent), ("/stock", query, body));
        assert_eq!(headers["x-shop"], "7");
        assert_eq!(headers["authorization"], format!("Bearer {}", std::env::var("PATH").unwrap()));
        server.stop();
    }
}

/// What the model is told of a call of `stock` that goes wrong.
async fn complaint(answer: Answer, arguments: &'static str) -> (String, usize) {
    let shop = StubLlm::start(move |_| answer.clone());
    let llm = model("", ("stock", arguments), "I do not know.");
    let server = TestServer::start(|config| {
        talks_to(&llm)(config);
        config.tools.http = vec![HttpTool { timeout_ms: Some(500), ..stock(&shop, "/stock") }];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("how many hats are there").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed), "the model finds words for it");
    assert_eq!(person.reply(1), "I do not know.");
    let told = prompts(&llm)[1][3]["content"].as_str().unwrap().to_owned();
    server.stop();
    (told, shop.take_asked().len())
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_the_model() {
    let good = r#"{"article": "hat"}"#;
    let asked_once = |error: &str| (format!(r#"{{"error": "{error}"}}"#), 1);
    let elsewhere = Answer::plain(302, "").header("location", "http://localhost:9/");
    for (answer, error) in [
        (
            Answer::plain(500, "out of\n hats"),
            "the tool's server answers 500 Internal Server Error: out of hats",
        ),
        (Answer::plain(404, ""), "the tool's server answers 404 Not Found"),
        (elsewhere, "the tool's server redirects to somewhere else: not followed"),
        (
            Answer::plain(200, vec![0xff, 0xfe, 0x00]),
            "the tool's server answers 200 OK with something that is no text",
        ),
        (Answer::silence(), "no answer within 500 ms"),
    ] {
        assert_eq!(complaint(answer, good).await, asked_once(error));
    }
    let wrong = r#"{"error": "wrong arguments: \"article\" is a required property"}"#;
    assert_eq!(complaint(Answer::plain(200, "3"), "{}").await, (wrong.to_owned(), 0), "it is not even asked");
}

#[tokio::test]
async fn a_redirect_within_the_server_is_followed_and_too_much_is_cut_off() {
    let shop = StubLlm::start(|asked| match asked.path.as_str() {
        "/stock" => Answer::plain(302, "").header("location", "/new/stock?a=1"),
        _ => Answer::plain(200, "é".repeat(100_000)),
    });
    let llm = model("", ("stock", r#"{"article": "hat"}"#), "Many.");
    let server = TestServer::start(|config| {
        talks_to(&llm)(config);
        config.tools.http = vec![stock(&shop, "/stock")];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("how many hats are there").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let prompts = prompts(&llm);
    let content = prompts[1][3]["content"].as_str().unwrap();
    assert!(content.len() < 17_000 && content.ends_with("é … (cut off)"), "{} bytes", content.len());
    server.stop();
}

#[tokio::test]
async fn a_slow_tool_is_bridged_and_what_was_said_of_it_is_no_part_of_the_reply() {
    let released = Arc::new(Notify::new());
    let gate = Arc::clone(&released);
    let shop = StubLlm::start(move |_| {
        Answer::plain(200, "").then(Step::Await(Arc::clone(&gate))).then(Step::Send("three".into()))
    });
    let llm = model("", ("stock", r#"{"article": "hat"}"#), "There are three.");
    let server = TestServer::start(|config| {
        talks_to(&llm)(config);
        config.tools.filler_after_ms = 50;
        config.tools.filler = vec!["Hold on a second.".into()];
        config.tools.http = vec![stock(&shop, "/stock")];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("how many hats are there").await;
    let filler = person.until(|m| matches!(m, ServerMessage::ResponseText { .. })).await;
    let ServerMessage::ResponseText { text, filler, last, .. } = filler else { unreachable!() };
    assert_eq!((text.as_str(), filler, last), ("Hold on a second.", true, false));
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    released.notify_one();
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.reply(1), "There are three.");
    let session = server.server.log.read_session(session_id(&person)).unwrap().unwrap();
    assert_eq!(session.messages.last().unwrap().text, "There are three.");
    server.stop();
}

#[tokio::test]
async fn an_interruption_stops_the_tool() {
    let shop = StubLlm::start(|_| Answer::silence());
    let llm = model("One moment.", ("stock", r#"{"article": "hat"}"#), "Yes?");
    let server = TestServer::start(|config| {
        talks_to(&llm)(config);
        config.tools.http = vec![stock(&shop, "/stock")];
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("how many hats are there").await;
    person.until(|m| matches!(m, ServerMessage::Audio(_))).await;
    wait_until(|| shop.stalled.try_recv().is_ok()).await;
    person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Interrupted));
    // The request is left where it is.
    wait_until(|| shop.left.try_recv().is_ok()).await;
    person.type_text("never mind").await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    assert_eq!(tool_messages(&person), [r#"stock {"article": "hat"}"#]);
    let prompts = prompts(&llm);
    assert_eq!(prompts[1][3]["content"], r#"{"error": "stopped before there was a result"}"#);
    server.stop();
}

#[tokio::test]
async fn the_session_ends_when_the_goodbye_has_been_heard() {
    let server = TestServer::start(|config| {
        config.scripted.replies = vec!["Goodbye, come again. {call end_session {}}".into()];
        config.scripted.tts_ms_per_char = 10;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("bye").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.reply(1), "Goodbye, come again.");
    assert!(!person.audio(1).is_empty());
    let ClientError::Closed { code, reason } = person.listen(|_| false).await.unwrap_err() else {
        panic!("the socket is closed in form");
    };
    assert_eq!((code, reason.as_str()), (1000, "hung up"));
    assert!(!person.messages.iter().any(|m| matches!(m, ServerMessage::Error { .. })), "nothing is wrong");
    let session = server.server.log.read_session(session_id(&person)).unwrap().unwrap();
    assert_eq!(session.ended.unwrap().reason, "hung_up");
    server.stop();
}
