//! What a session's fields mean for the machine, and that they are echoed whole.

use serde_json::{Value, json};

use crate::config::Config;
use crate::frontends::realtime_ws::audio::Format;
use crate::frontends::realtime_ws::session_config::{Detection, Has, SessionConfig};
use crate::session::settings::{Offers, Settings, SettingsPatch};
use crate::turn::config::TurnDetection;

fn session(judges_turns: bool, voices: &[&str]) -> SessionConfig {
    let config = Config::default();
    let offers = Offers { clips: false, judges_turns, voices: &[] };
    let settings = Settings::new(&config, &config.persona, &offers);
    let server_vad = Detection::ServerVad {
        threshold: 0.5,
        prefix_padding_ms: 300,
        silence_duration_ms: 500,
        create_response: true,
        interrupt_response: true,
        idle_timeout_ms: None,
    };
    let voices = voices.iter().map(|voice| (*voice).to_owned()).collect();
    SessionConfig::new(
        "sess_1".to_owned(),
        "m".to_owned(),
        0,
        &settings,
        Has { judges_turns, voices, server_vad },
    )
}

fn updated(session: &SessionConfig, change: Value) -> (Value, SettingsPatch) {
    let (new, patch) = session.updated(&change).unwrap_or_else(|problem| panic!("{problem:?}"));
    (serde_json::to_value(&new.echo).unwrap(), patch)
}

fn detection(detection: Value) -> Value {
    json!({"audio": {"input": {"turn_detection": detection}}})
}

#[test]
fn semantic_vad_is_the_end_of_turn_model_with_patience_or_silence_where_there_is_none() {
    for (eagerness, limit_ms) in [("low", 8_000), ("medium", 4_000), ("auto", 4_000), ("high", 2_000)] {
        for (judges, mode) in [(true, TurnDetection::Smart), (false, TurnDetection::Vad)] {
            let asked = detection(json!({"type": "semantic_vad", "eagerness": eagerness}));
            let (echo, patch) = updated(&session(judges, &[]), asked);
            assert_eq!((patch.detection, patch.smart_limit_ms), (Some(mode), Some(limit_ms)), "{eagerness}");
            let echoed = json!({
                "type": "semantic_vad", "eagerness": eagerness, "create_response": true, "interrupt_response": true
            });
            assert_eq!(echo["audio"]["input"]["turn_detection"], echoed);
        }
    }
}

#[test]
fn server_vad_has_all_its_fields_and_the_operators_defaults() {
    let (echo, patch) = updated(&session(true, &[]), detection(json!({"type": "server_vad"})));
    let echoed = json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        "create_response": true, "interrupt_response": true, "idle_timeout_ms": null
    });
    assert_eq!(echo["audio"]["input"]["turn_detection"], echoed);
    assert_eq!((patch.hangover_ms, patch.auto_reply, patch.interrupts), (Some(500), Some(true), Some(true)));
    let other = json!({
        "type": "server_vad", "threshold": 0.75, "prefix_padding_ms": 0, "silence_duration_ms": 900,
        "create_response": false, "interrupt_response": false, "idle_timeout_ms": 6_000
    });
    let (echo, patch) = updated(&session(true, &[]), detection(other.clone()));
    assert_eq!(echo["audio"]["input"]["turn_detection"], other);
    assert_eq!(
        (patch.threshold, patch.prefix_padding_ms, patch.hangover_ms),
        (Some(0.75), Some(0), Some(900))
    );
    assert_eq!(
        (patch.auto_reply, patch.interrupts, patch.idle_reply_ms),
        (Some(false), Some(false), Some(6_000))
    );
}

#[test]
fn without_detection_the_client_says_when() {
    let (echo, patch) = updated(&session(true, &[]), detection(json!(null)));
    assert_eq!(echo["audio"]["input"]["turn_detection"], json!(null));
    assert_eq!((patch.detection, patch.auto_reply), (Some(TurnDetection::Manual), Some(false)));
}

#[test]
fn voices_are_the_engines_and_openais_names_mean_the_servers_own() {
    let has = session(true, &["slt", "kal"]);
    let voice = |voice: &str| json!({"audio": {"output": {"voice": voice}}});
    assert_eq!(updated(&has, voice("kal")).1.voice.as_deref(), Some("kal"));
    let (echo, patch) = updated(&has, voice("marin"));
    assert_eq!((&echo["audio"]["output"]["voice"], patch.voice), (&json!("marin"), None));
    let problem = has.updated(&voice("nobody")).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("session.audio.output.voice"));
    // Where only the engine's server knows its voices, it is asked.
    assert_eq!(updated(&session(true, &[]), voice("marin")).1.voice.as_deref(), Some("marin"));
}

#[test]
fn an_update_leaves_the_rest_as_it_was_and_instructions_replace_the_operators_facts() {
    let before = session(true, &[]);
    let (echo, patch) = updated(&before, json!({"instructions": "Be brief.", "tracing": "auto"}));
    assert_eq!((patch.system_prompt.as_deref(), patch.facts), (Some("Be brief."), Some(vec![])));
    let mut expected = serde_json::to_value(&before.echo).unwrap();
    expected["instructions"] = json!("Be brief.");
    expected["tracing"] = json!("auto");
    assert_eq!(echo, expected);
    let (new, _) = before.updated(&json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}}})).unwrap();
    assert!(new.input != Format::Pcm && new.output == Format::Pcm);
}
