//! Pauses that a model judges, and a microphone with its noise taken out.

use std::path::Path;

use vivavoce::client::wire::{Configure, Detection};
use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::config::Config;
use vivavoce::turn::io::Outcome;

use super::person::{Person, spoken, word_error_rate};
use crate::harness::TestServer;

/// Silence without a judgement ends a turn only after 3 s.
fn judged(config: &mut Config) {
    config.vad.turn_detection = "smart".into();
    config.vad.smart_turn_model = "scripted".into();
    config.vad.hangover_ms = 3_000;
    config.vad.smart_limit_ms = 3_500;
}

/// One word, so that there is one pause.
async fn ask(person: &mut Person) -> f64 {
    person.say(&spoken("hello"));
    let (_, outcome) = person.until_turn_end().await;
    assert_eq!(outcome, Outcome::Completed);
    silence_before_the_decision(person)
}

/// From the last voice to the decision that the newest turn has ended, in ms: counted in samples.
fn silence_before_the_decision(person: &Person) -> f64 {
    let newest = person.messages.iter().rev().find_map(|message| match message {
        ServerMessage::Metrics { metrics, .. } => metrics.endpoint,
        _ => None,
    });
    newest.expect("every spoken turn has it")
}

#[tokio::test]
async fn a_finished_turn_is_answered_at_once() {
    let server = TestServer::start(judged);
    let mut person = Person::new(server.connect().await);
    let silence_ms = ask(&mut person).await;
    // The pause itself is 224 ms; the rest is the time that the judgement takes on a busy machine.
    assert!((224.0..3_000.0).contains(&silence_ms), "{silence_ms} ms");
    let engines = person.messages.iter().find_map(|message| match message {
        ServerMessage::Session { engines, .. } => Some(engines.clone()),
        _ => None,
    });
    assert_eq!(engines.unwrap().turn.as_deref(), Some("scripted"));
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn an_unfinished_turn_is_waited_for_and_a_client_may_prefer_the_plain_hangover() {
    let server = TestServer::start(|config| {
        judged(config);
        config.vad.hangover_ms = 500;
        config.vad.smart_limit_ms = 1_500;
        config.scripted.judgements = vec![0.0];
    });
    let mut person = Person::new(server.connect().await);
    let silence_ms = ask(&mut person).await;
    assert!(silence_ms >= 1_500.0, "{silence_ms} ms");
    let mode = Detection { mode: Some("vad".into()), ..Detection::default() };
    person
        .send(&ClientMessage::Configure(Configure { turn_detection: Some(mode), ..Configure::default() }))
        .await;
    person.until(|m| matches!(m, ServerMessage::Configured(_))).await;
    let silence_ms = ask(&mut person).await;
    assert!((500.0..600.0).contains(&silence_ms), "{silence_ms} ms");
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn a_judge_that_fails_is_complained_of_once_and_leaves_the_hangover() {
    let server = TestServer::start(|config| {
        judged(config);
        config.vad.hangover_ms = 500;
        config.scripted.failures = vec!["turn@*".into()];
    });
    let mut person = Person::new(server.connect().await);
    for _ in 0..2 {
        let silence_ms = ask(&mut person).await;
        assert!((500.0..600.0).contains(&silence_ms), "{silence_ms} ms");
    }
    let complaint =
        |m: &&ServerMessage| matches!(m, ServerMessage::Error { code, .. } if code == "turn_judge_failed");
    assert_eq!(person.messages.iter().filter(complaint).count(), 1);
    person.hang_up().await;
    server.stop();
}

/// With the golden network, whose weights are no speech model's: it answers, and the turn ends either way.
#[tokio::test]
async fn a_network_judges_what_the_microphone_heard() {
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/smart_turn/tiny.onnx");
    let server = TestServer::start(|config| {
        judged(config);
        config.vad.smart_turn_model = network.to_str().unwrap().into();
        config.vad.smart_limit_ms = 3_200;
    });
    let mut person = Person::new(server.connect().await);
    ask(&mut person).await;
    let faults: Vec<String> =
        person.log().into_iter().filter(|message| message.starts_with("Error")).collect();
    assert_eq!(faults, Vec::<String>::new());
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn without_a_model_smart_is_refused_and_nothing_changes() {
    let server = TestServer::start(|config| config.vad.turn_detection = "vad".into());
    let mut person = Person::new(server.connect().await);
    let mode = Detection { mode: Some("smart".into()), ..Detection::default() };
    let configure =
        Configure { turn_detection: Some(mode), min_interrupt_ms: Some(700), ..Configure::default() };
    person.send(&ClientMessage::Configure(configure)).await;
    let error = person.until(|m| matches!(m, ServerMessage::Error { .. })).await;
    assert!(
        matches!(&error, ServerMessage::Error { code, message, .. }
        if code == "bad_configure" && message.contains("turn_detection.mode")),
        "{error:?}"
    );
    person.send(&ClientMessage::Configure(Configure::default())).await;
    let ServerMessage::Configured(settings) =
        person.until(|m| matches!(m, ServerMessage::Configured(_))).await
    else {
        panic!("it was awaited");
    };
    assert_eq!(
        (&settings["turn_detection"]["mode"], &settings["min_interrupt_ms"]),
        (&"vad".into(), &300.into())
    );
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn with_the_noise_taken_out_recognition_hears_the_same_words_at_the_same_place() {
    let question = "what are your opening hours";
    let server = TestServer::start(|config| {
        config.vad.denoise = true;
        config.asr.engine = "pocketsphinx".into();
    });
    let mut person = Person::new(server.connect().await);
    person.say(&spoken(question));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let errors = word_error_rate(question, person.transcript(1));
    assert!(errors <= 0.4, "{question:?} was heard as {:?}", person.transcript(1));
    person.hang_up().await;
    server.stop();
}
