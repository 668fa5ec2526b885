use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engines::LlmEvent;
use crate::engines::local::text::golden;
use crate::engines::local::text::reply::ReplySettings;
use crate::engines::local::text::sampler::{Sampler, Sampling};

static VOCABULARY: LazyLock<Arc<Vocabulary>> =
    LazyLock::new(|| Arc::new(Vocabulary::new(Arc::new(golden::byte_level())).unwrap()));

fn tools() -> Vec<ToolSpec> {
    let tool =
        |name: &str, parameters| ToolSpec { name: name.to_owned(), description: String::new(), parameters };
    vec![
        tool("now", json!({"type": "object", "properties": {}, "additionalProperties": false})),
        tool(
            "get_weather",
            json!({
                "type": "object",
                "properties": {
                    "place": {"$ref": "#/$defs/place"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 7},
                    "units": {"enum": ["C", "F"]},
                },
                "required": ["place"],
                "additionalProperties": false,
                "$defs": {"place": {"type": "string", "maxLength": 12}},
            }),
        ),
    ]
}

fn reader(calls: Option<CallFormat>) -> ReplyReader {
    ReplyReader::new(Arc::clone(&VOCABULARY.tokenizer), &ReplySettings { calls, ..ReplySettings::default() })
}

/// Writes a reply: `wish` says which token the model would like most; the constraint decides.
fn write(
    constraint: &mut Constraint,
    reader: &mut ReplyReader,
    limit: usize,
    mut wish: impl FnMut(&mut [f32]),
) -> Vec<LlmEvent> {
    let mut events = vec![];
    for _ in 0..limit {
        if constraint.is_finished() || reader.has_ended() {
            break;
        }
        // A network may have more rows than there are tokens.
        let mut logits = vec![0.0; VOCABULARY.tokenizer.vocab_size() + 27];
        wish(&mut logits);
        constraint.mask(&mut logits).unwrap();
        let token = Sampler::new(Sampling::default(), 0).unwrap().choose(&mut logits, &[]).unwrap();
        events.extend(reader.push(token));
        constraint.accept(token, reader).unwrap();
    }
    events.extend(reader.finish());
    events
}

/// Wishes at random, as a model that has learned nothing.
fn noise(seed: u64) -> impl FnMut(&mut [f32]) {
    let mut random = crate::engines::local::text::SplitMix64::new(seed);
    move |logits| logits.iter_mut().for_each(|logit| *logit = random.next_unit() as f32)
}

fn text(events: &[LlmEvent]) -> String {
    events
        .iter()
        .map(|event| match event {
            LlmEvent::Text(text) => text.as_str(),
            LlmEvent::Thought(_) | LlmEvent::ToolCall(_) => "",
        })
        .collect()
}

#[test]
fn a_reply_keeps_to_its_schema() {
    let schema = json!({
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "count": {"type": "integer", "minimum": 3, "maximum": 5}, "tag": {"enum": ["é", "b c"]}},
        "required": ["ok", "count", "tag"],
        "additionalProperties": false,
    });
    for seed in 0..10 {
        let mut constraint = Constraint::json_schema(&VOCABULARY, &schema).unwrap();
        let reply = text(&write(&mut constraint, &mut reader(None), 400, noise(seed)));
        let value: Value = serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
        assert!(value["ok"].is_boolean() && (3..=5).contains(&value["count"].as_i64().unwrap()), "{reply}");
        assert!(["é", "b c"].contains(&value["tag"].as_str().unwrap()), "{reply}");
        assert!(reply.starts_with("{\"ok\": "), "the order of the schema, the spaces of templates: {reply}");
        assert!(constraint.is_finished());
    }
}

#[test]
fn a_reply_keeps_to_a_grammar() {
    let mut constraint = Constraint::lark(&VOCABULARY, "start: (\"yes\" | \"no\") \"!\"").unwrap();
    let reply = text(&write(&mut constraint, &mut reader(None), 40, noise(1)));
    assert!(["yes!", "no!"].contains(&reply.as_str()), "{reply:?}");
}

#[test]
fn a_token_that_is_not_allowed_is_an_error() {
    let mut constraint = Constraint::lark(&VOCABULARY, "start: \"yes\"").unwrap();
    let no = VOCABULARY.tokenizer.encode("n", ParseSpecial::No).unwrap()[0];
    let error = constraint.accept(no, &reader(None)).unwrap_err();
    assert!(matches!(error, ConstraintError::Following(_)), "{error}");
}

#[test]
fn grammars_that_mean_nothing_are_errors() {
    let error =
        |constraint: Result<Constraint, ConstraintError>| constraint.map(|_| ()).unwrap_err().to_string();
    assert!(error(Constraint::lark(&VOCABULARY, "start: nothing")).contains("the grammar cannot be used"));
    assert!(
        error(Constraint::json_schema(&VOCABULARY, &json!({"type": "unheard-of"})))
            .contains("the grammar cannot be used")
    );
}

#[test]
fn without_tools_nothing_is_bound() {
    assert!(Constraint::tool_calls(&VOCABULARY, CallFormat::Hermes, &[]).unwrap().is_none());
}

/// Steers a model into a call and then lets it babble: the call must be one that exists.
fn babble(format: CallFormat, opening: &str, seed: u64) -> Vec<LlmEvent> {
    let mut constraint = Constraint::tool_calls(&VOCABULARY, format, &tools()).unwrap().unwrap();
    let mut reader = reader(Some(format));
    for token in VOCABULARY.tokenizer.encode(opening, ParseSpecial::Yes).unwrap() {
        let mut logits = vec![0.0; VOCABULARY.tokenizer.vocab_size()];
        constraint.mask(&mut logits).unwrap();
        let free = logits.iter().all(|&logit| logit == 0.0);
        assert_eq!(free, reader.call_so_far().is_none(), "text is free in front of a call, and only there");
        assert_eq!(text(&reader.push(token)), "", "{opening:?}");
        constraint.accept(token, &reader).unwrap();
    }
    assert!(constraint.is_active());
    // The end of a list would be long in coming.
    let end = VOCABULARY.tokenizer.encode("]", ParseSpecial::No).unwrap()[0];
    let mut noise = noise(seed);
    let mut wish = |logits: &mut [f32]| {
        noise(logits);
        logits[end as usize] += 1.0;
    };
    let mut events = vec![];
    for _ in 0..600 {
        if constraint.is_finished() || !constraint.is_active() {
            break;
        }
        let mut logits = vec![0.0; VOCABULARY.tokenizer.vocab_size()];
        wish(&mut logits);
        constraint.mask(&mut logits).unwrap();
        let token = Sampler::new(Sampling::default(), 0).unwrap().choose(&mut logits, &[]).unwrap();
        events.extend(reader.push(token));
        constraint.accept(token, &reader).unwrap();
    }
    assert_eq!(constraint.is_active(), format.close().is_none(), "text is free again, or the reply is over");
    events.extend(reader.finish());
    events
}

fn check_call(events: &[LlmEvent]) {
    let [LlmEvent::ToolCall(call)] = events else { panic!("{events:?}") };
    let arguments: serde_json::Map<String, Value> = serde_json::from_str(&call.arguments).unwrap();
    match call.name.as_str() {
        "now" => assert!(arguments.is_empty()),
        "get_weather" => {
            assert!(arguments["place"].as_str().unwrap().chars().count() <= 12);
            assert!(arguments.get("days").is_none_or(|days| (1..=7).contains(&days.as_i64().unwrap())));
            assert!(arguments.get("units").is_none_or(|units| *units == json!("C") || *units == json!("F")));
            assert!(arguments.keys().all(|key| ["place", "days", "units"].contains(&key.as_str())));
        }
        name => panic!("there is no tool {name}"),
    }
}

#[test]
fn a_call_is_one_of_a_tool_that_exists() {
    for seed in 0..12 {
        check_call(&babble(CallFormat::Hermes, "<tool_call>", seed));
        check_call(&babble(CallFormat::Hermes, "<think>x</think><tool_call>\n{\"name\": \"", seed));
        check_call(&babble(CallFormat::Llama3, "<|python_tag|>", seed));
        let calls = babble(CallFormat::Mistral, "[TOOL_CALLS]", seed);
        assert!(!calls.is_empty());
        calls.chunks(1).for_each(check_call);
    }
}

#[test]
fn a_token_may_open_a_call_and_begin_it() {
    let mut embedded = golden::embedded_bytes("qwen2");
    embedded.tokens.push("CALLS] [".to_owned());
    embedded.token_types.push(4);
    let tokenizer = Arc::new(Tokenizer::from_embedded(&embedded, "test").unwrap());
    let vocabulary = Arc::new(Vocabulary::new(Arc::clone(&tokenizer)).unwrap());
    let mut constraint = Constraint::tool_calls(&vocabulary, CallFormat::Mistral, &tools()).unwrap().unwrap();
    let settings = ReplySettings { calls: Some(CallFormat::Mistral), ..ReplySettings::default() };
    let mut reader = ReplyReader::new(Arc::clone(&tokenizer), &settings);
    for token in tokenizer.encode("[TOOL_CALLS] [", ParseSpecial::Yes).unwrap() {
        reader.push(token);
        constraint.accept(token, &reader).unwrap();
    }
    assert_eq!(reader.call_so_far(), Some(" ["));
    let mut logits = vec![0.0; tokenizer.vocab_size()];
    constraint.mask(&mut logits).unwrap();
    let allowed = (0..tokenizer.vocab_size() as u32).filter(|&id| logits[id as usize] == 0.0);
    assert!(allowed.into_iter().all(|id| tokenizer.token_bytes(id).starts_with(b"{")), "the list has begun");
}

#[test]
fn thoughts_are_not_bound() {
    let mut constraint = Constraint::tool_calls(&VOCABULARY, CallFormat::Hermes, &tools()).unwrap().unwrap();
    let mut reader = reader(Some(CallFormat::Hermes));
    for token in VOCABULARY.tokenizer.encode("<think>I could <tool_call> now", ParseSpecial::Yes).unwrap() {
        reader.push(token);
        constraint.accept(token, &reader).unwrap();
    }
    assert!(!constraint.is_active());
}

#[test]
fn a_call_that_leaves_its_grammar_goes_on_without() {
    let mut constraint = Constraint::tool_calls(&VOCABULARY, CallFormat::Hermes, &tools()).unwrap().unwrap();
    let mut reader = reader(Some(CallFormat::Hermes));
    // As if somebody chose tokens without asking.
    for token in VOCABULARY.tokenizer.encode("<tool_call>\nnonsense", ParseSpecial::Yes).unwrap() {
        reader.push(token);
        constraint.accept(token, &reader).unwrap();
    }
    assert!(!constraint.is_active());
}

#[test]
fn constraints_travel_between_threads() {
    fn travels<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    travels::<Constraint>();
    is_shared::<Vocabulary>();
}

#[test]
fn the_real_qwen3_vocabulary_is_bound_too() {
    let Some(folder) = golden::shared("tokenizers/qwen3") else { return };
    let tokenizer = Arc::new(Tokenizer::from_folder(&folder).unwrap());
    let vocabulary = Arc::new(Vocabulary::new(Arc::clone(&tokenizer)).unwrap());
    let mut constraint = Constraint::tool_calls(&vocabulary, CallFormat::Hermes, &tools()).unwrap().unwrap();
    let settings = ReplySettings { calls: Some(CallFormat::Hermes), ..ReplySettings::default() };
    let mut reader = ReplyReader::new(Arc::clone(&tokenizer), &settings);
    let reply = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"place\": \"Zürich\", \"days\": 2}}\n</tool_call>";
    let mut events = vec![];
    // What a good model writes, in its own tokens, is allowed.
    for token in tokenizer.encode(reply, ParseSpecial::Yes).unwrap() {
        let mut logits = vec![0.0; 151_936];
        constraint.mask(&mut logits).unwrap();
        assert_eq!(logits[token as usize], 0.0, "{:?} must be allowed", tokenizer.decode(&[token]));
        events.extend(reader.push(token));
        constraint.accept(token, &reader).unwrap();
    }
    check_call(&events);
    assert!(!constraint.is_active());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_babbled_call_can_be_read(seed in any::<u64>()) {
        check_call(&babble(CallFormat::Hermes, "<tool_call>", seed));
    }
}

/// However little the model wants to, it calls one of the tools, and nothing comes before.
#[test]
fn a_reply_that_must_be_a_call_is_one() {
    for format in [CallFormat::Hermes, CallFormat::Llama3, CallFormat::Mistral] {
        for (seed, only) in [(1, None), (2, None), (3, Some("get_weather"))] {
            let tools: Vec<ToolSpec> =
                tools().into_iter().filter(|tool| only.is_none_or(|only| tool.name == only)).collect();
            let mut constraint = Constraint::call(&VOCABULARY, format, &tools).unwrap();
            assert!(constraint.is_active());
            let mut reader = reader(Some(format));
            let mut random = noise(seed);
            let mut events = vec![];
            for _ in 0..600 {
                if reader.has_ended() || constraint.is_finished() || !constraint.is_active() {
                    break;
                }
                let mut logits = vec![0.0; VOCABULARY.tokenizer.vocab_size()];
                random(&mut logits);
                constraint.mask(&mut logits).unwrap();
                let token = Sampler::new(Sampling::default(), 0).unwrap().choose(&mut logits, &[]).unwrap();
                events.extend(reader.push(token));
                constraint.accept(token, &reader).unwrap();
            }
            events.extend(reader.finish());
            assert_eq!(text(&events).trim(), "", "{format:?}");
            let Some(LlmEvent::ToolCall(call)) = events.first() else { panic!("{format:?}: {events:?}") };
            assert!(tools.iter().any(|tool| tool.name == call.name), "{call:?}");
            assert!(serde_json::from_str::<Value>(&call.arguments).unwrap().is_object(), "{call:?}");
        }
    }
}
