//! `vivavoce ask`: a conversation with the language model alone.

use std::io::Write;
use std::process::{Command, Stdio};

use vivavoce::cli::ask::{Ask, AskError};
use vivavoce::config::Config;

fn ask(text: &str) -> Ask {
    Ask { text: Some(text.into()), facts: None, system: None, stats: false }
}

#[test]
fn tools_are_run_and_their_results_go_back() {
    let mut config = Config::default();
    config.llm.engine = "scripted".into();
    config.scripted.replies =
        vec![r#"Let me see. {call calculate {"expression": "six times seven"}}"#.into(), "{tool}".into()];
    let mut printed = vec![];
    Ask { stats: true, ..ask("what is six times seven") }.run(&config, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let called = r#"Let me see. [calculate {"expression": "six times seven"} → "#;
    assert!(lines[0].starts_with(called) && lines[0].ends_with("42]"), "{printed}");
    assert!(lines[1].contains(r#""result": "42""#), "{printed}");
    assert!(lines[2].starts_with('[') && lines[2].contains("tokens in"), "{printed}");
}

/// It says what it read: a result in another form than those that it learned from comes out as nonsense.
#[test]
fn the_model_built_in_says_what_its_tools_find() {
    let mut config = Config::default();
    config.llm.engine = "local".into();
    config.llm.local.model = "concierge".into();
    for (question, answer) in [
        ("what is twelve times three", "Twelve times three is thirty six."),
        ("what is nine minus four", "Nine minus four is five."),
        ("what is 5 times 5", "5 times 5 is twenty five."),
    ] {
        let mut printed = vec![];
        ask(question).run(&config, &mut printed).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap().trim(), answer);
    }
}

#[test]
fn facts_that_cannot_be_read_are_named() {
    let question = Ask { facts: Some("/no/such/facts.txt".into()), ..ask("hello") };
    let error = question.run(&Config::default(), &mut vec![]).unwrap_err();
    assert!(matches!(error, AskError::Facts { .. }));
    assert!(error.to_string().contains("--facts /no/such/facts.txt"), "{error}");
}

#[test]
fn lines_of_the_standard_input_are_one_conversation_with_the_model_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let facts = folder.path().join("facts.txt");
    std::fs::write(&facts, "The toilet is behind the gift shop.\n\nA child ticket costs four pounds.\n")
        .unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_vivavoce"))
        .args(["ask", "--system", "You are Ottilie, the receptionist of the Brunswater Museum."])
        .arg("--facts")
        .arg(&facts)
        .env("VIVAVOCE_LLM__ENGINE", "local")
        .env("VIVAVOCE_MODELS__CACHE", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = process.stdin.take().unwrap();
    questions.write_all(b"where is the toilet\n\nplease say that again\n").unwrap();
    drop(questions);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let answer = "The toilet is behind the gift shop.\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), answer.repeat(2));
}
