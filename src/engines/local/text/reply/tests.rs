use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engines::ToolCall;
use crate::engines::local::text::golden;
use crate::engines::local::text::tokenizer::ParseSpecial;
use crate::engines::local::text::tool_calls::MALFORMED_CALL;

fn hermes() -> ReplySettings {
    ReplySettings { calls: Some(CallFormat::Hermes), ..ReplySettings::default() }
}

/// Reads a reply that the model writes with these tokens.
fn read_tokens(settings: &ReplySettings, tokens: &[u32]) -> Vec<LlmEvent> {
    let mut reader = ReplyReader::new(Arc::new(golden::byte_level()), settings);
    let mut events: Vec<LlmEvent> = tokens.iter().flat_map(|&token| reader.push(token)).collect();
    events.extend(reader.finish());
    joined(events)
}

/// Reads a reply of this text, `<tool_call>` and the like as one token.
fn read(settings: &ReplySettings, reply: &str) -> Vec<LlmEvent> {
    let tokens = golden::byte_level().encode(reply, ParseSpecial::Yes).unwrap();
    read_tokens(settings, &tokens)
}

/// Reads the parts of a reply from its bytes, in pieces of this size.
fn read_bytes(settings: &ReplySettings, reply: &[u8], size: usize) -> Vec<LlmEvent> {
    let mut reader = ReplyReader::new(Arc::new(golden::byte_level()), settings);
    let mut events = vec![];
    for piece in reply.chunks(size) {
        let text = reader.characters.push(piece);
        let parts = reader.markup.push(&text);
        events.extend(reader.events(parts));
    }
    events.extend(reader.finish());
    joined(events)
}

/// Text that follows on text is one text: how it is cut does not matter. Without thoughts.
fn joined(events: Vec<LlmEvent>) -> Vec<LlmEvent> {
    let mut joined = vec![];
    for event in events {
        match event {
            LlmEvent::Text(text) => push_text(text, &mut joined),
            LlmEvent::Thought(_) => {}
            call => joined.push(call),
        }
    }
    joined
}

fn text(text: &str) -> LlmEvent {
    LlmEvent::Text(text.to_owned())
}

/// Events without the ids of their calls.
fn shown(events: &[LlmEvent]) -> String {
    let show = |event: &LlmEvent| match event {
        LlmEvent::Text(text) => format!("{text:?}"),
        LlmEvent::Thought(thought) => format!("({thought})"),
        LlmEvent::ToolCall(ToolCall { name, arguments, .. }) => format!("{name}({arguments})"),
    };
    events.iter().map(show).collect::<Vec<_>>().join(" ")
}

#[test]
fn text_is_given_out_and_thoughts_are_not() {
    assert_eq!(read(&hermes(), "Hello, wörld 🙂!"), [text("Hello, wörld 🙂!")]);
    assert_eq!(read(&hermes(), "<think>\nhm\n</think>\n\nYes."), [text("Yes.")]);
    assert_eq!(read(&hermes(), "<think>\nnever ending"), []);
    let inside = ReplySettings { begins_in_thought: true, ..hermes() };
    assert_eq!(read(&inside, "hm</think>\n\nYes."), [text("Yes.")]);
}

#[test]
fn control_tokens_are_not_spoken_and_the_end_ends() {
    assert_eq!(read(&hermes(), "a<|im_start|>b<|im_end|>c"), [text("ab")]);
    let spelled = golden::byte_level().encode("<|im_end|>", ParseSpecial::No).unwrap();
    assert_eq!(read_tokens(&hermes(), &spelled), [text("<|im_end|>")], "spelled out it is text");
    let mut reader = ReplyReader::new(Arc::new(golden::byte_level()), &hermes());
    reader.push(golden::byte_level().id_of("<|im_end|>").unwrap());
    assert!(reader.has_ended());
    assert_eq!(reader.push(u32::MAX), []);
}

#[test]
fn thoughts_can_be_shown_as_they_come() {
    let tokenizer = golden::byte_level();
    let mut reader = ReplyReader::new(Arc::new(tokenizer), &hermes());
    let tokens = reader.tokenizer.encode("<think>\nhm, what", ParseSpecial::Yes).unwrap();
    let mut thought = String::new();
    for event in tokens.iter().flat_map(|&token| reader.push(token)) {
        let LlmEvent::Thought(more) = event else { panic!("{event:?}") };
        thought += &more;
    }
    assert_eq!(thought, "\nhm, what");
    assert_eq!(reader.finish(), []);
}

#[test]
fn tool_calls_are_cut_out() {
    let reply = "One moment.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"end\"}\n</tool_call>";
    let events = read(&hermes(), reply);
    assert_eq!(shown(&events), r#""One moment.\n" now({"zone":"UTC"}) end({})"#);
    let ids: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            LlmEvent::ToolCall(call) => Some(call.id.as_str()),
            _ => None,
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[0].len() == 9);
    let other = read(&ReplySettings { call_id_seed: 1, ..hermes() }, reply);
    assert_ne!(events, other, "another reply has other ids");
}

#[test]
fn a_call_comes_as_soon_as_it_is_closed() {
    let tokenizer = golden::byte_level();
    let mut reader = ReplyReader::new(Arc::new(tokenizer), &hermes());
    let mut push = |text: &str| {
        let tokens = reader.tokenizer.encode(text, ParseSpecial::Yes).unwrap();
        let events: Vec<LlmEvent> = tokens.iter().flat_map(|&token| reader.push(token)).collect();
        (shown(&joined(events)), reader.is_silent(), reader.call_so_far().map(str::to_owned))
    };
    assert_eq!(push("Wait"), ("\"Wait\"".to_owned(), false, None));
    assert_eq!(push("<tool_call>"), (String::new(), true, Some(String::new())));
    assert_eq!(push("\n{"), (String::new(), true, Some("\n{".to_owned())));
    assert_eq!(push("\"name\": \"x\"}"), (String::new(), true, Some("\n{\"name\": \"x\"}".to_owned())));
    assert_eq!(push("</tool_call>"), ("x({})".to_owned(), false, None));
    assert_eq!(push("<think>"), (String::new(), true, None));
}

#[test]
fn what_only_looks_like_a_call_is_none() {
    assert_eq!(shown(&read(&hermes(), "<think><tool_call>{}</tool_call></think>Hi")), r#""Hi""#);
    assert_eq!(shown(&read(&hermes(), "a <tool_calls> b")), r#""a <tool_calls> b""#);
    assert_eq!(
        shown(&read(&ReplySettings::default(), "<tool_call>{}</tool_call>")),
        r#""<tool_call>{}</tool_call>""#,
        "without tools"
    );
    let quoted =
        r#"<tool_call>{"name": "say", "arguments": {"text": "</tool_call> <think> \" "}}</tool_call>"#;
    assert_eq!(shown(&read(&hermes(), quoted)), r#"say({"text":"</tool_call> <think> \" "})"#);
}

#[test]
fn calls_that_cannot_be_read_are_answered_not_spoken() {
    let malformed = |reply: &str| {
        let events = read(&hermes(), reply);
        let [LlmEvent::ToolCall(call), rest @ ..] = &events[..] else { panic!("{events:?}") };
        assert_eq!(call.name, MALFORMED_CALL);
        let arguments: serde_json::Value = serde_json::from_str(&call.arguments).unwrap();
        (arguments["error"].as_str().unwrap().to_owned(), arguments["text"].clone(), shown(rest))
    };
    let (error, quoted, rest) =
        malformed("<tool_call>{\"name\": \"now\", \"arguments\": {}</tool_call> Bye.");
    assert!(error.contains("no JSON"), "{error}");
    assert_eq!(quoted, json!("{\"name\": \"now\", \"arguments\": {}"));
    assert_eq!(rest, "\"Bye.\"");
    let (error, _, _) = malformed("<tool_call>{\"name\": \"now\"");
    assert!(error.contains("the reply ended in the middle of it"), "{error}");
}

#[test]
fn other_formats_are_read_too() {
    let read = |format, reply| {
        shown(&read(&ReplySettings { calls: Some(format), ..ReplySettings::default() }, reply))
    };
    let llama = CallFormat::Llama3;
    assert_eq!(read(llama, r#"<|python_tag|>{"name": "now", "parameters": {"a": 1}}"#), r#"now({"a":1})"#);
    assert_eq!(read(llama, r#" {"name": "now", "parameters": {"a": 1}}"#), r#"now({"a":1})"#);
    assert_eq!(
        read(llama, r#"{"age": 7} is what you asked for."#),
        r#""{\"age\": 7} is what you asked for.""#
    );
    assert_eq!(read(llama, "Hello {you}"), r#""Hello {you}""#);
    let mistral = CallFormat::Mistral;
    assert_eq!(
        read(
            mistral,
            r#"Ok.[TOOL_CALLS] [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {"c": 1}}]"#
        ),
        r#""Ok." a({}) b({"c":1})"#
    );
}

#[test]
fn stop_strings_count_in_what_is_spoken() {
    let settings = ReplySettings { stop: vec!["User:".to_owned()], ..hermes() };
    let reply = "<think>User:</think>Hi. <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"User:\"}}</tool_call>Us<think>x</think>er: more<tool_call>{\"name\": \"g\"}</tool_call>";
    assert_eq!(shown(&read(&settings, reply)), r#""Hi. " f({"a":"User:"})"#);
    let mut reader = ReplyReader::new(Arc::new(golden::byte_level()), &settings);
    for token in golden::byte_level().encode("Hi User: x", ParseSpecial::No).unwrap() {
        reader.push(token);
    }
    assert!(reader.has_ended());
    assert_eq!(shown(&read(&settings, "Hi Use")), r#""Hi Use""#, "it was none");
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"<tool_call>",
        b"</tool_call>",
        b"<think>",
        b"</think>",
        b"\n{\"name\": \"f\", \"arguments\": {\"a\": \"<think>\"}}\n",
        b"<tool",
        b"_call>",
        b"</th",
        b"ink>",
        b"<",
        b"STOP",
        b"ST",
        b"OP",
        b" ",
        b"\n",
        b"word",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"\xC3\xA9\xF0\x9F\x99\x82",
        b"\xF0\x9F",
        b"\xFF",
        b"<|python_tag|>",
        b"[TOOL_CALLS]",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(
        reply in reply(),
        size in 1usize..9,
        calls in prop_oneof![Just(None), Just(Some(CallFormat::Hermes)), Just(Some(CallFormat::Llama3)), Just(Some(CallFormat::Mistral))],
        begins_in_thought in any::<bool>(),
    ) {
        let settings = ReplySettings { stop: vec!["STOP".to_owned(), "wordé".to_owned()], calls, begins_in_thought, call_id_seed: 0 };
        let whole = read_bytes(&settings, &reply, usize::MAX);
        prop_assert_eq!(&read_bytes(&settings, &reply, size), &whole);
        for event in &whole {
            if let LlmEvent::Text(text) = event {
                prop_assert!(!text.contains("STOP") && !text.contains("<think>"), "{:?}", text);
            }
        }
    }
}
