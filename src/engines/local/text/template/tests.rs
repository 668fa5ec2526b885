use expect_test::expect;
use serde_json::json;

use super::*;
use crate::engines::ToolCall;
use crate::engines::local::text::golden;

fn names() -> SpecialNames {
    SpecialNames { bos: Some("<s>".to_owned()), eos: Some("</s>".to_owned()), ..SpecialNames::default() }
}

fn render(
    template: &ChatTemplate,
    messages: &[ChatMessage],
    tools: &[ToolSpec],
) -> Result<String, TextError> {
    let names = names();
    let conversation =
        Conversation { messages, tools, enable_thinking: false, add_generation_prompt: true, names: &names };
    template.render(conversation, &|content| content.to_owned())
}

/// Renders a template on one message of a user.
fn render_source(source: &str) -> Result<String, TextError> {
    render(&ChatTemplate::new(source, "test")?, &[ChatMessage::new(Role::User, "hi")], &[])
}

#[test]
fn conversations_are_rendered_as_by_transformers() {
    let golden = golden::read("templates.json");
    let cases = golden.as_array().unwrap();
    let mut failed = vec![];
    let mut errors = 0;
    for case in cases {
        let shown = case.get("same_as").map_or(case, |same| &cases[same.as_u64().unwrap() as usize]);
        let messages: Vec<ChatMessage> = serde_json::from_value(shown["messages"].clone()).unwrap();
        let tools: Vec<ToolSpec> = serde_json::from_value(shown["tools"].clone()).unwrap();
        let name = case["template"].as_str().unwrap();
        let names = if name == "qwen3" { SpecialNames::default() } else { names() };
        let conversation = Conversation {
            messages: &messages,
            tools: &tools,
            enable_thinking: case["enable_thinking"].as_bool().unwrap(),
            add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap(),
            names: &names,
        };
        let rendered = golden::template(name).render(conversation, &|content| content.to_owned());
        let right = match (&rendered, case.get("text"), case.get("error")) {
            (Ok(text), Some(expected), _) => {
                let brief = format!("{}:{}", text.len(), golden::hash(text));
                *expected == json!(text) || *expected == json!(brief)
            }
            (Err(error), _, Some(expected)) => {
                errors += 1;
                error.to_string().contains(expected.as_str().unwrap())
            }
            _ => false,
        };
        if !right {
            failed.push(format!("{case}\n is rendered as {rendered:?}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
    assert!(cases.len() > 150 && errors > 0, "the golden has errors too");
}

#[test]
fn templates_find_what_transformers_gives_them() {
    let rendered = |source| render_source(source).unwrap();
    assert_eq!(
        rendered("{{ tools is none }} {{ documents is none }} {{ pad_token is defined }}"),
        "True True False"
    );
    assert_eq!(rendered("{{ messages[::-1][0].content ~ 'abc'[::-1] ~ 'abc'[-2:] }}"), "hicbabc");
    assert_eq!(rendered("{{ 'a-b'.split('-')[-1].upper() + ' x '.strip() }}"), "Bx");
    assert_eq!(
        rendered("{{ {'b': 1, 'a': [1.0, true, none, 'é\"<&>']} | tojson }}"),
        r#"{"b": 1, "a": [1.0, true, null, "é\"<&>"]}"#
    );
    assert_eq!(rendered("{{ ['é🙂'] | tojson(ensure_ascii=True) }}"), r#"["\u00e9\ud83d\ude42"]"#);
    assert_eq!(
        rendered("{{ {'b': [], 'a': [1, {}]} | tojson(indent=2, sort_keys=True) }}"),
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
    );
    assert_eq!(
        rendered(
            "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        ),
        "02"
    );
    assert_eq!(
        rendered("a\n    {% if true %}\nb\n    {% endif %}\nc\n"),
        "a\nb\nc",
        "blocks take their line"
    );
    assert_eq!(rendered("x\n  {%- generation %}\n y\n  {% endgeneration %}\nz"), "x y\nz");
    assert_eq!(rendered("{{ '{% generation %}' }}"), "{% if true %}", "the price of not parsing Jinja");
    let year: i16 = rendered("{{ strftime_now('%Y') }}").parse().unwrap();
    assert!(year >= 2026);
}

#[test]
fn what_a_template_complains_about_is_the_error() {
    let error = |source| render_source(source).unwrap_err().to_string();
    assert!(error("{{ raise_exception('Roles must alternate!') }}").contains("Roles must alternate!"));
    assert!(error("{{ nothing.here }}").contains("test: its chat template does not take this conversation"));
    expect!["test: its chat template is broken: syntax error: unexpected end of input, expected end of block (in default:1); fetch the file again, or remove the template to use ChatML"]
        .assert_eq(&error("{% if x"));
    let empty = render(&ChatTemplate::chatml().unwrap(), &[], &[]).unwrap_err().to_string();
    assert!(empty.contains("no message"), "{empty}");
}

#[test]
fn without_a_template_it_is_chatml() {
    let messages = [ChatMessage::new(Role::System, "Be kind."), ChatMessage::new(Role::User, "Hi")];
    expect![
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ]
    .assert_eq(&render(&ChatTemplate::chatml().unwrap(), &messages, &[]).unwrap());
}

#[test]
fn a_folder_may_have_its_template_in_several_places() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let tool = ToolSpec { name: "now".to_owned(), description: String::new(), parameters: json!({}) };
    let rendered = |tools: &[ToolSpec]| {
        let template = ChatTemplate::from_folder(folder.path()).unwrap()?;
        Some(render(&template, &[ChatMessage::new(Role::User, "hi")], tools).unwrap())
    };
    assert_eq!(rendered(&[]), None);
    write("chat_template.json", r#"{"chat_template": "from json"}"#);
    assert_eq!(rendered(&[]).as_deref(), Some("from json"));
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}, {"name": "rag", "template": "{% broken"}]}"#,
    );
    assert_eq!(rendered(&[]).as_deref(), Some("plain"));
    assert_eq!(rendered(std::slice::from_ref(&tool)).as_deref(), Some("tools"));
    write("tokenizer_config.json", r#"{"chat_template": "from config"}"#);
    assert_eq!(rendered(std::slice::from_ref(&tool)).as_deref(), Some("from config"));
    write("chat_template.jinja", "from jinja");
    assert_eq!(rendered(&[]).as_deref(), Some("from jinja"));
    write("chat_template.jinja", "{% if");
    let error = ChatTemplate::from_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("chat_template.jinja") && error.contains("fetch the file again"), "{error}");
}

#[test]
fn arguments_that_are_no_object_are_shown_as_they_are() {
    let call = ToolCall { id: "1".to_owned(), name: "f".to_owned(), arguments: "{broken".to_owned() };
    let message = ChatMessage { tool_calls: vec![call], ..ChatMessage::new(Role::Assistant, "") };
    let text = render(&golden::qwen3_template(), &[ChatMessage::new(Role::User, "x"), message], &[]).unwrap();
    assert!(text.contains("{\"name\": \"f\", \"arguments\": {broken}"), "{text}");
}
