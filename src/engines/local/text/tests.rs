use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engines::local::text::golden;
use crate::engines::{LlmEvent, Role, ToolCall};

fn chat() -> ChatText {
    ChatText::new(golden::byte_level(), golden::qwen3_template())
}

fn now() -> ToolSpec {
    ToolSpec {
        name: "now".to_owned(),
        description: "The time.".to_owned(),
        parameters: json!({"type": "object", "properties": {}}),
    }
}

#[test]
fn what_people_say_is_encoded_as_by_transformers() {
    let chat = chat();
    let golden = golden::read("injections.json");
    for case in golden.as_array().unwrap() {
        let messages: Vec<ChatMessage> = serde_json::from_value(case["messages"].clone()).unwrap();
        let tools: Vec<ToolSpec> = serde_json::from_value(case["tools"].clone()).unwrap();
        let prompt = chat.encode(&messages, &tools).unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(
            prompt.tokens,
            expected,
            "{}\nis not\n{}",
            chat.tokenizer().decode(&prompt.tokens),
            chat.tokenizer().decode(&expected)
        );
    }
}

#[test]
fn a_real_conversation_has_the_tokens_of_transformers() {
    let Some(folder) = golden::shared("tokenizers/qwen3") else { return };
    let chat = ChatText::from_folder(&folder).unwrap();
    let golden = golden::read("qwen3.json");
    // The conversations stand in the other golden: every one with one template and setting.
    let cases = golden::read("templates.json");
    let conversations = cases.as_array().unwrap().iter().filter(|case| case.get("messages").is_some());
    let mut compared = 0;
    for (case, expected) in conversations.zip(golden["chat"].as_array().unwrap()) {
        let messages: Vec<ChatMessage> = serde_json::from_value(case["messages"].clone()).unwrap();
        let tools: Vec<ToolSpec> = serde_json::from_value(case["tools"].clone()).unwrap();
        // Where people say `<think>`, ours is ordinary text and theirs is the token.
        let said: String = messages.iter().map(|message| message.content.as_str()).collect();
        if said.contains("think>") || said.contains("tool_response>") {
            continue;
        }
        let prompt = chat.encode(&messages, &tools).unwrap();
        assert_eq!(golden::brief(&prompt.tokens), *expected, "{said:.80}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    assert_eq!(chat.call_format(), Some(CallFormat::Hermes));
}

#[test]
fn a_prompt_says_how_its_reply_begins() {
    let hello = [ChatMessage::new(Role::User, "Hi")];
    let chat = chat();
    let prompt = chat.encode(&hello, &[]).unwrap();
    assert!(!prompt.begins_in_thought && !prompt.has_tools);
    assert!(chat.encode(&hello, &[now()]).unwrap().has_tools);
    let thinking = ChatTemplate::new("{{ messages[0].content }}<think>\n", "test").unwrap();
    let chat = ChatText::new(golden::byte_level(), thinking);
    let prompt = chat.encode(&hello, &[now()]).unwrap();
    assert!(prompt.begins_in_thought && !prompt.has_tools, "the template knows no tools");
    assert!(chat.tool_constraint(&[now()]).unwrap().is_none());
    let mut reader = chat.reader(&prompt, &[], 0);
    let tokens = chat.tokenizer().encode("hm</think>Yes", ParseSpecial::Yes).unwrap();
    let mut events: Vec<LlmEvent> = tokens.into_iter().flat_map(|token| reader.push(token)).collect();
    events.extend(reader.finish());
    let spoken = |event: &LlmEvent| match event {
        LlmEvent::Text(text) => text.clone(),
        LlmEvent::Thought(_) => String::new(),
        LlmEvent::ToolCall(call) => panic!("{call:?}"),
    };
    assert_eq!(events.iter().map(spoken).collect::<String>(), "Yes");
}

#[test]
fn a_file_that_wants_a_beginning_gets_one() {
    let mut vocabulary = EmbeddedVocabulary {
        model: "gpt2".to_owned(),
        tokens: ["<s>", "</s>", "a"].map(str::to_owned).to_vec(),
        token_types: vec![3, 3, 1],
        bos: Some(0),
        eos: Some(1),
        add_bos: true,
        chat_template: Some("{{ messages[0].content }}".to_owned()),
        ..EmbeddedVocabulary::default()
    };
    let tokens = |vocabulary: &EmbeddedVocabulary| {
        let chat = ChatText::from_embedded(vocabulary, "some.gguf").unwrap();
        chat.encode(&[ChatMessage::new(Role::User, "aa")], &[]).unwrap().tokens
    };
    assert_eq!(tokens(&vocabulary), [0, 2, 2]);
    vocabulary.chat_template = Some("{{ bos_token }}{{ messages[0].content }}".to_owned());
    assert_eq!(tokens(&vocabulary), [0, 2, 2], "not two");
    vocabulary.add_bos = false;
    vocabulary.chat_template = Some("{{ messages[0].content }}".to_owned());
    assert_eq!(tokens(&vocabulary), [2, 2]);
}

/// What somebody might say who knows how prompts are made.
fn sly_text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "<|im_end|>",
        "<|im_start|>",
        "<|im_",
        "end|>",
        "start|>",
        "<",
        "|",
        ">",
        "im_end",
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        "<tool_response>",
        "</tool_response>",
        "\n",
        " ",
        "system\n",
        "x",
        "\u{F0000}",
        "\u{F0001}",
        "\\u003c",
        "\"",
        "{{",
        "<|endoftext|>",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever is said, the prompt has the added tokens of a prompt in which nothing is said.
    #[test]
    fn what_is_said_never_becomes_a_token(
        said in proptest::collection::vec(sly_text(), 6),
        name in "llama3-like|mistral-like|qwen3",
    ) {
        let chat = ChatText::new(golden::byte_level(), golden::template(&name));
        let control = |said: &[String]| {
            let call = ToolCall { id: "123456789".to_owned(), name: said[3].clone(), arguments: json!({ &said[4]: [&said[5]] }).to_string() };
            let messages = [
                ChatMessage::new(Role::System, &*said[0]),
                ChatMessage::new(Role::User, &*said[1]),
                ChatMessage { tool_calls: vec![call], ..ChatMessage::new(Role::Assistant, "") },
                ChatMessage { tool_call_id: Some("123456789".to_owned()), ..ChatMessage::new(Role::Tool, &*said[2]) },
                ChatMessage::new(Role::Assistant, &*said[3]),
                ChatMessage::new(Role::User, &*said[4]),
            ];
            let tool = ToolSpec { name: said[5].clone(), description: said[0].clone(), parameters: json!({ &said[1]: said[2] }) };
            let tokens = chat.encode(&messages, &[tool]).unwrap().tokens;
            tokens.into_iter().filter(|&id| chat.tokenizer().kind(id) != TokenKind::Text).collect::<Vec<u32>>()
        };
        let harmless = vec!["x".to_owned(); 6];
        prop_assert_eq!(control(&said), control(&harmless));
    }
}
