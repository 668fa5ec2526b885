//! The engine `openai` against a chat server on a real socket, called as a worker thread would.

use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Notify;
use vivavoce::config;
use vivavoce::engines::llm_choice::choose_llm;
use vivavoce::engines::openai_http::{OpenAi, probe};
use vivavoce::engines::{
    CancelToken, ChatMessage, EngineError, LlmEvent, LlmRequest, LlmState, ReplyForm, Role, ToolCall,
    ToolSpec, Usage, forbid_executor_thread,
};

use crate::stub_llm::{Answer, Asked, Step, StubLlm, delta, done, event, stop, usage};

/// A timeout far beyond any test: what ends earlier was ended by something else. (Where it should have
/// been and was not, the test fails after a minute instead of hanging.)
const MINUTE_MS: u32 = 60_000;

fn config(url: &str) -> config::Llm {
    config::Llm {
        url: url.to_owned(),
        model: "m".into(),
        api_key_env: String::new(),
        temperature: Some(0.7),
        first_token_timeout_ms: MINUTE_MS,
        token_timeout_ms: MINUTE_MS,
        ..Default::default()
    }
}

fn hello() -> LlmRequest {
    LlmRequest {
        messages: vec![ChatMessage::new(Role::System, "Be brief."), ChatMessage::new(Role::User, "Hello")],
        max_new_tokens: 64,
        ..LlmRequest::default()
    }
}

/// What came into the sink, and how the call ended.
type Reply = (Vec<LlmEvent>, Result<Usage, EngineError>);

fn ask(engine: &OpenAi, request: &LlmRequest) -> Reply {
    let mut events = vec![];
    let sink = &mut |event| {
        // The session's sink may block; that is forbidden inside a runtime.
        forbid_executor_thread("the sink");
        events.push(event);
        ControlFlow::Continue(())
    };
    let result = engine.llm().generate(request, &mut LlmState::default(), &CancelToken::new(), sink);
    (events, result)
}

/// One question to a server that gives these answers, the last one again and again.
fn ask_once(answers: Vec<Answer>, edit: impl FnOnce(&mut config::Llm)) -> (Reply, StubLlm) {
    let stub = StubLlm::start(move |asked| answers[(asked.number - 1).min(answers.len() - 1)].clone());
    let mut config = config(&stub.url);
    edit(&mut config);
    (ask(&OpenAi::new(&config).unwrap(), &hello()), stub)
}

fn words(events: &[LlmEvent]) -> String {
    let text = |event: &LlmEvent| match event {
        LlmEvent::Text(text) => text.clone(),
        LlmEvent::Thought(thought) => format!("({thought})"),
        LlmEvent::ToolCall(ToolCall { name, .. }) => format!("[{name}]"),
    };
    events.iter().map(text).collect()
}

/// The call failed with this code, and its message names the server and holds these words.
#[track_caller]
fn check_failed(result: &Result<Usage, EngineError>, stub: &StubLlm, code: &str, message: &[&str]) {
    let error = result.as_ref().expect_err("the call should have failed");
    assert_eq!(error.code(), code, "{error}");
    for words in message.iter().chain([&stub.url.as_str()]) {
        assert!(error.to_string().contains(words), "`{words}` is not in: {error}");
    }
}

#[test]
fn a_reply_is_streamed() {
    let ((events, result), stub) = ask_once(vec![Answer::reply(&["Good ", "day", "."])], |_| {});
    let text = |text: &str| LlmEvent::Text(text.into());
    assert_eq!(events, [text("Good "), text("day"), text(".")]);
    assert_eq!(result.unwrap(), Usage { input_tokens: 12, output_tokens: 5 });

    let asked = &stub.take_asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.headers["content-type"], "application/json");
    assert!(!asked.headers.contains_key("authorization"));
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.7,
        "max_tokens": 64,
    });
    assert_eq!(asked.body, expected);
}

#[test]
fn sampling_is_the_servers_own_unless_it_is_set() {
    let (_, stub) = ask_once(vec![Answer::reply(&["x"])], |c| c.temperature = None);
    let keys = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "stop"];
    let body = &stub.take_asked()[0].body;
    assert!(keys.iter().all(|key| body.get(key).is_none()), "{body}");

    let (_, stub) = ask_once(vec![Answer::reply(&["x"])], |c| {
        (c.temperature, c.top_p, c.top_k) = (Some(0.5), Some(0.25), Some(20));
        (c.min_p, c.repetition_penalty, c.seed) = (Some(0.125), Some(1.5), Some(7));
        c.stop = vec!["\n".into()];
    });
    let body = &stub.take_asked()[0].body;
    let sent: Vec<&serde_json::Value> = keys.iter().map(|key| &body[key]).collect();
    assert_eq!(json!(sent), json!([0.5, 0.25, 20, 0.125, 1.5, 7, ["\n"]]));
}

#[test]
fn the_key_comes_from_the_environment() {
    // A variable that every process of the test runner has.
    let (_, stub) = ask_once(vec![Answer::reply(&["x"])], |c| c.api_key_env = "PATH".into());
    let bearer = format!("Bearer {}", std::env::var("PATH").unwrap());
    assert_eq!(stub.take_asked()[0].headers["authorization"], bearer);
}

#[test]
fn a_stream_cut_into_bytes_says_the_same() {
    let text = "Grüß dich, 你好 😀!";
    let stream = ["\u{feff}: hello\r\n\r\n", &delta(json!({"content": text})), &stop(), &done()].concat();
    let bytes = stream.into_bytes().into_iter().map(|byte| vec![byte]);
    let ((events, result), _stub) = ask_once(vec![Answer::stream(bytes)], |_| {});
    assert_eq!((words(&events).as_str(), result.is_ok()), (text, true));
}

#[test]
fn thoughts_are_told_apart_from_what_is_said() {
    let pieces = [
        delta(json!({"reasoning_content": "The user greets."})),
        delta(json!({"content": "<think>So do"})),
        delta(json!({"content": " I.</thi"})),
        delta(json!({"content": "nk>\n\nHello."})),
        done(),
    ];
    let ((events, _), _stub) = ask_once(vec![Answer::stream(pieces)], |_| {});
    assert_eq!(words(&events), "(The user greets.)(So do)( I.)Hello.");
}

#[test]
fn tools_are_passed_through() {
    let piece = |function| delta(json!({"tool_calls": [{"index": 0, "id": "c1", "function": function}]}));
    let answer = Answer::stream([
        delta(json!({"content": "One moment."})),
        piece(json!({"name": "light", "arguments": "{\"on\""})),
        piece(json!({"arguments": ":true}"})),
        event(&json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})),
        done(),
    ]);
    let stub = StubLlm::start(move |_| answer.clone());
    let parameters = json!({"type": "object", "properties": {"on": {"type": "boolean"}}});
    let tool = ToolSpec { name: "light".into(), description: "Switches it".into(), parameters };
    let request = LlmRequest { tools: vec![tool.clone()], ..hello() };
    let (events, _) = ask(&OpenAi::new(&config(&stub.url)).unwrap(), &request);
    let call = LlmEvent::ToolCall(ToolCall {
        id: "c1".into(),
        name: "light".into(),
        arguments: "{\"on\":true}".into(),
    });
    assert_eq!(events, [LlmEvent::Text("One moment.".into()), call]);
    assert_eq!(stub.take_asked()[0].body["tools"], json!([{"type": "function", "function": tool}]));
}

#[test]
fn what_a_reply_must_be_is_passed_on() {
    let tool = ToolSpec { name: "light".into(), description: String::new(), parameters: json!({}) };
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let stub = StubLlm::saying(&["Done."]);
    let engine = OpenAi::new(&config(&stub.url)).unwrap();
    let sent = |form: ReplyForm| {
        let (_, result) = ask(&engine, &LlmRequest { tools: vec![tool.clone()], form, ..hello() });
        result.unwrap();
        stub.take_asked().pop().unwrap().body
    };
    let free = sent(ReplyForm::Free);
    assert!(free.get("tool_choice").is_none() && free.get("response_format").is_none(), "{free}");
    assert_eq!(sent(ReplyForm::Call(None))["tool_choice"], "required");
    let named = json!({"type": "function", "function": {"name": "light"}});
    assert_eq!(sent(ReplyForm::Call(Some("light".into())))["tool_choice"], named);
    let format = sent(ReplyForm::Json(schema.clone()))["response_format"].clone();
    assert_eq!((&format["type"], &format["json_schema"]["schema"]), (&json!("json_schema"), &schema));
}

#[test]
fn calls_and_results_of_tools_are_sent_as_servers_expect_them() {
    let stub = StubLlm::saying(&["Done."]);
    let call = ToolCall { id: "c1".into(), name: "light".into(), arguments: "{\"on\":true}".into() };
    let mut request = hello();
    request.messages.push(ChatMessage { tool_calls: vec![call], ..ChatMessage::new(Role::Assistant, "") });
    request
        .messages
        .push(ChatMessage { tool_call_id: Some("c1".into()), ..ChatMessage::new(Role::Tool, "it is on") });
    let (events, _) = ask(&OpenAi::new(&config(&stub.url)).unwrap(), &request);
    assert_eq!(words(&events), "Done.");
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "light", "arguments": "{\"on\":true}"}}
            ],
        },
        {"role": "tool", "content": "it is on", "tool_call_id": "c1"},
    ]);
    assert_eq!(stub.take_asked()[0].body["messages"], expected);
}

#[test]
fn a_server_that_takes_no_tools_gets_none_from_then_on() {
    for (status, refusal) in [
        (400, "registry.ollama.ai/library/gemma3:latest does not support tools"),
        (400, "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"),
        (500, "tools param requires --jinja flag"),
    ] {
        let stub = StubLlm::start(move |asked| match asked.body.get("tools") {
            Some(_) => Answer::error(status, refusal),
            None => Answer::reply(&["Hi."]),
        });
        let engine = OpenAi::new(&config(&stub.url)).unwrap();
        let (name, description) = ("light".to_owned(), "Switches it".to_owned());
        let tool = ToolSpec { name, description, parameters: json!({"type": "object"}) };
        let request = LlmRequest { tools: vec![tool], ..hello() };
        for _ in 0..2 {
            let (events, result) = ask(&engine, &request);
            assert_eq!((words(&events).as_str(), result.is_ok()), ("Hi.", true), "{refusal}");
        }
        let with_tools: Vec<bool> =
            stub.take_asked().iter().map(|asked| asked.body.get("tools").is_some()).collect();
        assert_eq!(with_tools, [true, false, false], "{refusal}");
    }
}

#[test]
fn another_refusal_of_a_request_with_tools_is_a_refusal() {
    let stub = StubLlm::start(|_| Answer::error(400, "the tool call cannot be read"));
    let tool = ToolSpec { name: "x".into(), description: "x".into(), parameters: json!({"type": "object"}) };
    let engine = OpenAi::new(&config(&stub.url)).unwrap();
    let (_, result) = ask(&engine, &LlmRequest { tools: vec![tool], ..hello() });
    check_failed(&result, &stub, "llm_bad_request", &["the tool call cannot be read"]);
    assert_eq!(stub.take_asked().len(), 1);
}

#[test]
fn a_reply_may_end_without_saying_so() {
    let token = || delta(json!({"content": "Hi."}));
    for pieces in [vec![token()], vec![token(), stop()], vec![token().trim_end().to_owned()]] {
        let ((events, result), _stub) = ask_once(vec![Answer::stream(pieces)], |_| {});
        assert_eq!((words(&events).as_str(), result.is_ok()), ("Hi.", true));
    }
}

#[test]
fn a_server_that_dawdles_after_the_reply_takes_nothing_away() {
    for end in [Step::Stall, Step::Break] {
        let answer = Answer::stream([delta(json!({"content": "Hi."})), stop(), usage(1, 2)]).then(end);
        let ((events, result), _stub) = ask_once(vec![answer], |_| {});
        assert_eq!(words(&events), "Hi.");
        assert_eq!(result.unwrap(), Usage { input_tokens: 1, output_tokens: 2 });
    }
}

#[test]
fn connections_are_used_again() {
    let requests = 50;
    // An answer ends only when the next one has been read to its `[DONE]`: its connection is to be
    // kept although it was busy when nothing more was wanted from it.
    let ends: Vec<_> = (0..=requests).map(|_| Arc::new(Notify::new())).collect();
    let ends_of_answers = ends.clone();
    let stub = StubLlm::start(move |asked| {
        Answer::reply(&["x"]).then(Step::Await(Arc::clone(&ends_of_answers[asked.number])))
    });
    let engine = OpenAi::new(&config(&stub.url)).unwrap();
    // It comes free a moment after its end, so some reuses may be missed; all of them are only if
    // connections are never kept.
    let reused = (1..=requests).any(|request| {
        ask(&engine, &hello()).1.unwrap();
        ends[request - 1].notify_one();
        stub.connections() < request
    });
    assert!(reused, "{requests} requests took {} connections", stub.connections());
}

#[test]
fn a_refused_key_is_not_tried_again() {
    for status in [401, 403] {
        let ((_, result), stub) =
            ask_once(vec![Answer::error(status, "bad key"), Answer::reply(&["x"])], |c| {
                c.api_key_env = "PATH".into();
            });
        check_failed(
            &result,
            &stub,
            "llm_refused",
            &[&status.to_string(), "bad key", "PATH (llm.api_key_env)"],
        );
        assert!(!result.unwrap_err().to_string().contains(&std::env::var("PATH").unwrap()));
        assert_eq!(stub.take_asked().len(), 1);
    }
}

#[test]
fn a_bad_request_is_not_tried_again() {
    let refusals = [
        (Answer::error(400, "context too long"), "context too long"),
        (Answer::plain(404, "no such page"), "no such page"),
        (Answer::plain(422, json!({"detail": "unprocessable"}).to_string()), "unprocessable"),
        (Answer::plain(307, "").header("location", "http://elsewhere/"), "http://elsewhere/"),
    ];
    for (refusal, reason) in refusals {
        let ((_, result), stub) = ask_once(vec![refusal, Answer::reply(&["x"])], |_| {});
        check_failed(&result, &stub, "llm_bad_request", &[reason]);
        assert_eq!(stub.take_asked().len(), 1);
    }
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_the_server_says() {
    let limited = Answer::error(429, "slow down").header("retry-after", "0.5");
    let began = Instant::now();
    let ((events, _), stub) = ask_once(vec![limited, Answer::reply(&["x"])], |_| {});
    // More than the first backoff, which is at most 200 ms.
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!((words(&events).as_str(), stub.take_asked().len()), ("x", 2));
}

#[test]
fn a_rate_limit_beyond_the_budget_fails_at_once() {
    let limited = Answer::error(429, "slow down").header("retry-after", "7200");
    let ((_, result), stub) = ask_once(vec![limited, Answer::reply(&["x"])], |_| {});
    check_failed(&result, &stub, "llm_rate_limited", &["429", "slow down"]);
    assert_eq!(stub.take_asked().len(), 1);
}

#[test]
fn a_server_error_is_tried_again() {
    let ((events, _), stub) =
        ask_once(vec![Answer::error(500, "oops"), Answer::error(503, "oops"), Answer::reply(&["x"])], |_| {});
    assert_eq!((words(&events).as_str(), stub.take_asked().len()), ("x", 3));
}

#[test]
fn retries_are_counted() {
    let ((_, result), stub) = ask_once(vec![Answer::error(500, "oops")], |c| c.retries = 1);
    check_failed(&result, &stub, "llm_failed", &["500", "oops"]);
    assert_eq!(stub.take_asked().len(), 2);
}

#[test]
fn nothing_is_tried_again_after_the_first_token() {
    let token = || delta(json!({"content": "Well, "}));
    let failures = [
        Answer::stream([token()]).then(Step::Break),
        Answer::stream([token(), event(&json!({"error": {"message": "out of memory"}}))]),
        Answer::stream([token(), "data: {\"choices\": nonsense\n\n".to_owned()]),
    ];
    for failure in failures {
        let ((events, result), stub) = ask_once(vec![failure, Answer::reply(&["x"])], |_| {});
        check_failed(&result, &stub, "llm_failed", &["broke off"]);
        assert_eq!((words(&events).as_str(), stub.take_asked().len()), ("Well, ", 1));
    }
}

#[test]
fn garbage_is_an_error_that_shows_it() {
    let garbage = [
        (Answer::plain(200, "<html>Welcome</html>"), "<html>Welcome</html>"),
        (Answer::plain(200, ""), "no event stream"),
        (Answer::plain(200, vec![0xFF, 0xFE, 0x00]), "no event stream"),
        (Answer::stream(["data: \u{7}nonsense\n\n"]), "nonsense"),
        (Answer::stream(["data: [1,2]\n\n"]), "[1,2]"),
    ];
    for (answer, shown) in garbage {
        let ((events, result), stub) = ask_once(vec![answer], |_| {});
        check_failed(&result, &stub, "llm_failed", &[shown]);
        assert_eq!(events, []);
    }
}

#[test]
fn an_endless_line_is_an_error() {
    let mut answer = Answer::stream([vec![b'x'; (1 << 20) + 1]]);
    answer.body.push(Step::Stall);
    let ((_, result), stub) = ask_once(vec![answer], |_| {});
    check_failed(&result, &stub, "llm_failed", &["longer than 1048576 bytes"]);
    stub.left.recv().unwrap();
}

#[test]
fn a_stall_is_a_timeout() {
    let (thinking, token) = (delta(json!({"content": "<think>hm"})), delta(json!({"content": "Well, "})));
    let stalls = [
        Answer::silence(),
        Answer::stream([": alive\n\n"]).then(Step::Stall),
        Answer::stream([thinking]).then(Step::Stall),
    ];
    for stall in stalls {
        let ((events, result), stub) = ask_once(vec![stall], |c| c.first_token_timeout_ms = 50);
        check_failed(&result, &stub, "llm_timeout", &["50 ms (llm.first_token_timeout_ms)"]);
        assert!(events.iter().all(|event| matches!(event, LlmEvent::Thought(_))), "{events:?}");
    }
    let ((events, result), stub) =
        ask_once(vec![Answer::stream([token]).then(Step::Stall)], |c| c.token_timeout_ms = 50);
    check_failed(&result, &stub, "llm_timeout", &["50 ms (llm.token_timeout_ms)"]);
    assert_eq!(words(&events), "Well, ");
    stub.left.recv().unwrap();
}

/// The server never ends these calls; their cancel token has to.
#[test]
fn a_cancel_ends_a_stall_at_once_and_hangs_up() {
    let answers = [
        Answer::silence(),
        Answer::stream([": alive\n\n"]).then(Step::Stall),
        Answer::stream([delta(json!({"content": "Well, "}))]).then(Step::Stall),
    ];
    for answer in answers {
        let stub = StubLlm::start(move |_| answer.clone());
        let engine = OpenAi::new(&config(&stub.url)).unwrap();
        let cancel = CancelToken::new();
        thread::scope(|scope| {
            let call = scope.spawn(|| {
                let sink = &mut |_| ControlFlow::Continue(());
                engine.llm().generate(&hello(), &mut LlmState::default(), &cancel, sink)
            });
            stub.stalled.recv().unwrap();
            cancel.cancel();
            assert!(matches!(call.join().unwrap(), Err(EngineError::Cancelled)));
        });
        stub.left.recv().unwrap();
    }
}

#[test]
fn a_cancel_ends_the_wait_for_a_token_and_for_a_retry() {
    let token = Answer::stream([delta(json!({"content": "Well, "}))]).then(Step::Stall);
    let limited = Answer::error(429, "slow down").header("retry-after", "30");
    for answer in [token, limited] {
        let (answered, has_answered) = mpsc::channel();
        let on_request = answered.clone();
        let limits = answer.status == 429;
        let stub = StubLlm::start(move |_: &Asked| {
            if limits {
                on_request.send(()).unwrap();
            }
            answer.clone()
        });
        let engine = OpenAi::new(&config(&stub.url)).unwrap();
        let cancel = CancelToken::new();
        thread::scope(|scope| {
            let call = scope.spawn(|| {
                let sink = &mut |_| {
                    answered.send(()).unwrap();
                    ControlFlow::Continue(())
                };
                engine.llm().generate(&hello(), &mut LlmState::default(), &cancel, sink)
            });
            has_answered.recv().unwrap();
            cancel.cancel();
            assert!(matches!(call.join().unwrap(), Err(EngineError::Cancelled)));
        });
    }
}

#[test]
fn a_cancel_from_the_sink_stops_before_the_next_token() {
    let stub = StubLlm::saying(&["a", "b", "c"]);
    let cancel = CancelToken::new();
    let mut seen = 0;
    let result = OpenAi::new(&config(&stub.url)).unwrap().llm().generate(
        &hello(),
        &mut LlmState::default(),
        &cancel,
        &mut |_| {
            seen += 1;
            cancel.cancel();
            ControlFlow::Continue(())
        },
    );
    assert!(matches!(result, Err(EngineError::Cancelled)));
    assert_eq!(seen, 1);
}

#[test]
fn a_break_from_the_sink_ends_the_reply_and_hangs_up() {
    let answer = Answer::stream([delta(json!({"content": "a"})), delta(json!({"content": "b"}))]);
    let answer = answer.then(Step::Stall);
    let stub = StubLlm::start(move |_| answer.clone());
    let mut seen = 0;
    let result = OpenAi::new(&config(&stub.url)).unwrap().llm().generate(
        &hello(),
        &mut LlmState::default(),
        &CancelToken::new(),
        &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        },
    );
    assert_eq!((seen, result.is_ok()), (1, true));
    stub.left.recv().unwrap();
}

/// An address where nobody listens: bound once, so that no other test has it, and closed again.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let url = nobody();
    let (_, result) = ask(&OpenAi::new(&config::Llm { retries: 1, ..config(&url) }).unwrap(), &hello());
    let error = result.unwrap_err();
    assert_eq!(error.code(), "llm_unreachable");
    for words in [url.as_str(), "refused", "llm.url"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// The stub speaks no TLS, so the handshake fails; without a crypto provider there would be none.
#[test]
fn https_is_spoken() {
    let stub = StubLlm::saying(&["x"]);
    let url = stub.url.replace("http://", "https://");
    let error =
        ask(&OpenAi::new(&config::Llm { retries: 0, ..config(&url) }).unwrap(), &hello()).1.unwrap_err();
    assert_eq!(error.code(), "llm_unreachable");
    assert!(error.to_string().contains("corrupt message"), "{error}");
    assert!(stub.take_asked().is_empty());
}

#[test]
fn the_first_model_is_found_once_and_again_when_it_is_gone() {
    let stub = StubLlm::start(|asked| match (asked.path.as_str(), asked.number) {
        ("/v1/models", 1) => Answer::models(&["text-embedding-x", "first"]),
        ("/v1/models", _) => Answer::models(&["second"]),
        (_, 3) => Answer::error(404, "no model first"),
        _ => Answer::reply(&["x"]),
    });
    let engine = OpenAi::new(&config::Llm { model: String::new(), ..config(&stub.url) }).unwrap();
    let codes: Vec<_> = (0..4).map(|_| ask(&engine, &hello()).1.map_err(|error| error.code())).collect();
    assert_eq!(codes[2], Err("llm_bad_request"));
    assert!([0, 1, 3].into_iter().all(|call| codes[call].is_ok()), "{codes:?}");

    let asked = stub.take_asked();
    let asked: Vec<_> =
        asked.iter().map(|asked| asked.body["model"].as_str().unwrap_or(&asked.path)).collect();
    assert_eq!(asked, ["/v1/models", "first", "first", "first", "/v1/models", "second"]);
}

#[test]
fn a_server_without_models_is_told_so() {
    let stub = StubLlm::start(|_| Answer::models(&[]));
    let engine = OpenAi::new(&config::Llm { model: String::new(), ..config(&stub.url) }).unwrap();
    check_failed(&ask(&engine, &hello()).1, &stub, "llm_bad_request", &["llm.model"]);
}

/// A configuration in which nothing was pulled.
fn whole(llm: config::Llm) -> config::Config {
    let mut config = config::Config { llm, ..Default::default() };
    config.models.cache = "/no/such/folder".into();
    config
}

#[test]
fn auto_takes_a_server_that_answers() {
    let stub = StubLlm::saying(&["x"]);
    let config = config::Llm { model: String::new(), ..config(&stub.url) };
    assert_eq!(probe(&config).unwrap().models, ["stub"]);
    let choice = choose_llm(&whole(config)).unwrap();
    assert_eq!(choice.name, "openai");
    assert!(choice.reason.contains("stub"), "{}", choice.reason);
}

#[test]
fn auto_is_the_built_in_model_where_no_server_answers() {
    let silent = StubLlm::start(|_| Answer::silence());
    let refusing = StubLlm::start(|_| Answer::error(401, "bad key"));
    for (url, cause) in
        [(nobody(), "refused"), (silent.url.clone(), "within 1000 ms"), (refusing.url.clone(), "bad key")]
    {
        let choice = choose_llm(&whole(config(&url))).unwrap();
        assert_eq!(choice.name, "local");
        for words in ["concierge", url.as_str(), cause] {
            assert!(choice.reason.contains(words), "`{words}` is not in: {}", choice.reason);
        }
    }
}
