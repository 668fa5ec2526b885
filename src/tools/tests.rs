use super::*;
use crate::config::{HttpTool as HttpConfig, Tools};

fn registry(config: &Tools) -> Registry {
    let clock = now::stopped_clock("2026-11-20T14:46:59Z");
    Registry::with_clock(config, clock).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(edit: impl FnOnce(&mut HttpConfig)) -> String {
    let mut tool =
        HttpConfig { name: "look".into(), url: "http://127.0.0.1:9".into(), ..HttpConfig::default() };
    edit(&mut tool);
    let config = Tools { http: vec![tool], ..Tools::default() };
    Registry::new(&config).err().map_or("accepted".to_owned(), |error| error.to_string())
}

/// A tool whose arguments are checked; running it would not get far.
fn picky() -> Registry {
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let tool = HttpConfig {
        name: "weather".into(),
        url: "http://127.0.0.1:9".into(),
        parameters,
        ..HttpConfig::default()
    };
    registry(&Tools { http: vec![tool], ..Tools::default() })
}

#[test]
fn the_model_is_told_of_the_tools_that_are_configured() {
    let names = |config: &Tools| -> Vec<String> {
        registry(config).specs().iter().map(|spec| spec.name.clone()).collect()
    };
    assert_eq!(names(&Tools::default()), ["now", "calculate", "end_session"]);
    assert_eq!(names(&Tools { builtin: vec!["calculate".into()], ..Tools::default() }), ["calculate"]);
    for spec in picky().specs() {
        assert_eq!(spec.parameters["type"], "object", "{}", spec.name);
    }
}

#[tokio::test]
async fn a_tool_is_run_with_its_arguments() {
    let tools = registry(&Tools::default());
    let sum = tools.run("calculate", r#"{"expression": "seven plus four"}"#).await;
    assert_eq!(sum.content, r#"{"result": "11", "spoken": "eleven"}"#);
    assert_eq!((sum.summary.as_str(), sum.failed, sum.ends_session), ("11", false, false));
    for nothing in ["", " ", "{}"] {
        assert!(tools.run("now", nothing).await.content.starts_with(r#"{"date": "2026-11-20", "#));
    }
    let end = tools.run("end_session", "{}").await;
    assert!(end.ends_session && !end.failed, "{end:?}");
}

#[tokio::test]
async fn wrong_arguments_are_told_to_the_model_and_nothing_is_run() {
    let tools = picky();
    for (arguments, complaint) in [
        ("{", "the arguments are not JSON"),
        ("[]", "wrong arguments: [] is not of type \\\"object\\\""),
        ("{}", "\\\"city\\\" is a required property"),
        (r#"{"city": 7}"#, "/city: 7 is not of type \\\"string\\\""),
        (r#"{"city": "x", "days": 8}"#, "/days: 8 is greater than the maximum of 7"),
        (r#"{"city": "x", "dogs": 8}"#, "'dogs' was unexpected"),
        (r#"{"city": 1, "days": "x", "dogs": 8}"#, "; "),
    ] {
        let answer = tools.run("weather", arguments).await;
        let starts = answer.content.starts_with(r#"{"error": ""#);
        assert!(starts && answer.content.contains(complaint), "{arguments}: {}", answer.content);
        assert!(answer.failed && answer.summary.starts_with("error: "), "{answer:?}");
    }
    let long = format!(r#"{{"city": "{}"}}"#, "x".repeat(MAX_ARGUMENT_BYTES));
    assert!(tools.run("weather", &long).await.content.contains("longer than 65536 bytes"));
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_told_to_the_model() {
    let answer = registry(&Tools::default()).run("fly", "{}").await;
    assert_eq!(
        answer.content,
        r#"{"error": "there is no such tool; there are: now, calculate, end_session"}"#
    );
}

#[test]
fn what_cannot_be_is_named_at_the_start() {
    assert_eq!(refused(|_| {}), "accepted");
    let schema =
        refused(|tool| tool.parameters = json!({"type": "object", "properties": {"a": {"type": "txt"}}}));
    assert!(schema.starts_with("tools.http[0].parameters: no JSON schema: "), "{schema}");
    let header = refused(|tool| drop(tool.headers.insert("x y".into(), "1".into())));
    assert_eq!(header, "tools.http[0].headers.x y: no name of a header");
    let token = refused(|tool| tool.token_env = "VIVAVOCE_TEST_NO_SUCH_TOKEN".into());
    assert_eq!(
        token,
        "tools.http[0].token_env: there is no token in the environment variable VIVAVOCE_TEST_NO_SUCH_TOKEN"
    );
    let twice = refused(|tool| tool.name = "now".into());
    assert_eq!(twice, "tools.http[0]: there are two tools of the name \"now\"");
}

#[test]
fn nothing_is_longer_than_it_may_be() {
    let long = "é".repeat(MAX_CONTENT_BYTES);
    let content = cut(long.clone());
    assert!(content.len() < MAX_CONTENT_BYTES + 40 && content.ends_with("é … (cut off)"));
    assert_eq!(shortened(&long).chars().count(), MAX_SUMMARY_CHARS + 1);
    assert_eq!(shortened("a\n  b"), "a b");
    assert_eq!(cut("short".into()), "short");
}
