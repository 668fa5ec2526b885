use std::ffi::OsString;
use std::path::Path;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_yaml::Value;

use super::*;

mod access;
mod agents;
mod speech_engines;

type Environment<'a> = &'a [(&'a str, &'a str)];

fn parse_with(text: &str, environment: Environment) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::parse(text, &Source::File("config.yml".into()), environment)
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_with(text, &[])
}

/// Each of the files is refused, with these lines.
fn check(files: &[&str], expected: Expect) {
    let lines: Vec<String> = files.iter().flat_map(|text| refusal(text, &[])).collect();
    expected.assert_eq(&format!("\n{}\n", lines.join("\n")));
}

fn refusal(text: &str, environment: Environment) -> Vec<String> {
    match parse_with(text, environment) {
        Ok(_) => vec![format!("accepted: {text:?} {environment:?}")],
        Err(error) => error.lines(),
    }
}

fn default_tree() -> serde_yaml::Mapping {
    match serde_yaml::to_value(Config::default()).unwrap() {
        Value::Mapping(tree) => tree,
        other => panic!("not a mapping: {other:?}"),
    }
}

#[test]
fn nothing_means_the_defaults() {
    for text in ["", "# only a comment\n", "turn:\n  # all commented out\nvad:\n"] {
        assert_eq!(parse(text).unwrap(), Config::default(), "{text:?}");
    }
    assert!(Config::load_from(&Source::Defaults, std::iter::empty()).unwrap() == Config::default());
}

#[test]
fn the_committed_file_is_the_defaults() {
    let text = include_str!("../../config.yml");
    assert_eq!(parse(text).unwrap(), Config::default());

    let written: serde_yaml::Mapping = serde_yaml::from_str(text).unwrap();
    let keys = |tree: &serde_yaml::Mapping| -> Vec<String> {
        tree::leaves(tree).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(&written), keys(&default_tree()), "keys of config.yml and of Config, in order");
}

#[test]
fn every_key_of_the_committed_file_is_explained() {
    let lines: Vec<&str> = include_str!("../../config.yml").lines().collect();
    for (key, _) in tree::leaves(&default_tree()) {
        let line = tree::line_of(&lines.join("\n"), &key).unwrap();
        assert!(lines[line - 2].trim_start().starts_with('#'), "no comment above {key}, line {line}");
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let config = Config::default();
    let vad = &config.vad;
    assert_eq!((vad.threshold, vad.negative_threshold), (0.5, 0.35));
    assert_eq!((vad.min_speech_ms, vad.hangover_ms, vad.prefix_padding_ms), (120, 500, 300));
    assert_eq!(vad.max_utterance_s, 30);
    let turn = &config.turn;
    assert_eq!((turn.min_interrupt_ms, turn.min_interrupt_words), (300, 0));
    assert_eq!((turn.lead_ms, turn.chunk_ms, turn.first_segment_chars), (400, 40, 40));
    assert!(turn.resume_false_interruption);
    let limits = &config.limits;
    assert_eq!((limits.sessions, limits.message_bytes), (64, 1 << 20));
    assert_eq!((limits.idle_timeout_s, limits.session_max_s, limits.ping_s), (300, 7_200, 20));
    assert!(!config.record && !config.log.transcripts && !config.video.enabled);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one() {
    check(
        &[
            "server:\n  port: 1\n\nturn:\n  lead_ms: 400\n  min_interupt_ms: 200\n",
            "sever:\n  port: 1\n",
            "recrod: true\n",
            "# a key in the wrong section\nturn:\n  hangover_ms: 200\n",
            "port: 9000\n",
            "\nserver.port: 9000\nserver: {port: 1}\n",
            "persona: {1: x}\n",
        ],
        expect![[r#"

            config.yml:6: turn.min_interupt_ms: unknown key; the nearest valid one is turn.min_interrupt_ms
            config.yml:1: sever: unknown key; the nearest valid one is server
            config.yml:1: recrod: unknown key; the nearest valid one is record
            config.yml:3: turn.hangover_ms: unknown key; the nearest valid one is vad.hangover_ms
            config.yml:1: port: unknown key; the nearest valid one is server.port
            config.yml:2: "server.port": unknown key; the nearest valid one is server.port
            config.yml:1: persona.1: unknown key; the nearest valid one is persona.name
        "#]],
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_expected_and_found() {
    check(
        &[
            "server:\n  port: eighty\n",
            "server:\n  port: 70000\n",
            "server: {port: -1}\n",
            "server: {port: 80.5}\n",
            "server: {drain_ms: -1}\n",
            "turn: {lead_ms: 99999999999}\n",
            "record: yes\n",
            "vad: {threshold: '0.5'}\n",
            "llm: {model: 7}\n",
            "llm: {model: }\n",
            "persona: {facts: one}\n",
            "persona: {facts: [one, 2]}\n",
            "persona: {greeting: [hello]}\n",
            "auth: {mode: open}\n",
            "auth: {mode: {a: b}}\n",
            "vad: 3\n",
            "vad: [a]\n",
            "record: {on: true}\n",
            "models: {dir: 3}\n",
        ],
        expect![[r#"

            config.yml:2: server.port: expected a whole number from 0 to 65535, found the text "eighty"
            config.yml:2: server.port: expected a whole number from 0 to 65535, found the number 70000
            config.yml:1: server.port: expected a whole number from 0 to 65535, found the number -1
            config.yml:1: server.port: expected a whole number from 0 to 65535, found the number 80.5
            config.yml:1: server.drain_ms: expected a whole number, 0 or more, found the number -1
            config.yml:1: turn.lead_ms: expected a whole number from 0 to 4294967295, found the number 99999999999
            config.yml:1: record: expected true or false, found the text "yes"
            config.yml:1: vad.threshold: expected a number, found the text "0.5"
            config.yml:1: llm.model: expected text, found the number 7
            config.yml:1: llm.model: expected text, found nothing
            config.yml:1: persona.facts: expected a list of texts, found the text "one"
            config.yml:1: persona.facts: expected a list of texts, found a list with the number 2
            config.yml:1: persona.greeting: expected text, found a list
            config.yml:1: auth.mode: expected one of auto, tokens, none, found the text "open"
            config.yml:1: auth.mode: expected a value like the text "auto", found a section
            config.yml:1: vad: expected a section with keys below it, found the number 3
            config.yml:1: vad: expected a section with keys below it, found a list
            config.yml:1: record: expected true or false, found a section
            config.yml:1: models.dir: expected text, found the number 3
        "#]],
    );
}

#[test]
fn an_impossible_value_is_named_with_what_is_allowed() {
    check(
        &[
            "vad: {threshold: 1.5}\n",
            "vad: {threshold: .nan}\n",
            "vad:\n  threshold: 0.3\n",
            "vad:\n  threshold: 0.5\n  negative_threshold: 0.7\n",
            "vad: {engine: webrtc}\n",
            "asr: {engine: vosk}\n",
            "llm: {engine: gpt}\n",
            "tts: {engine: festival}\n",
            "video: {enabled: true, engine: musetalk}\n",
            "turn: {chunk_ms: 5}\n",
            "turn: {chunk_ms: 1001, lead_ms: 2000}\n",
            "turn:\n  chunk_ms: 500\n",
            "turn: {first_segment_chars: 300}\n",
            "limits: {sessions: 0}\n",
            "limits: {sessions: 2000}\n",
            "limits: {message_bytes: 0}\n",
            "asr: {workers: 0}\n",
            "asr: {pocketsphinx_domain_weight: 1.5}\n",
            "llm: {temperature: -1}\n",
            "server: {host: 'http://localhost:8080'}\n",
            "server: {allowed_hosts: [good.example, 'bad.example:80']}\n",
            "log: {level: 'vivavoce=loud'}\n",
            "persona: {name: ' '}\n",
            "models: {dir: ''}\n",
            "scripted: {replies: []}\n",
            "scripted: {failures: [asr@2, 'tts@*', asr@0]}\n",
        ],
        expect![[r#"

            config.yml:1: vad.threshold: 1.5 is not allowed; must be from 0 to 1
            config.yml:1: vad.threshold: NaN is not allowed; must be from 0 to 1
            config.yml:2: vad.negative_threshold: 0.35 is not allowed; must be below vad.threshold (0.3)
            config.yml:3: vad.negative_threshold: 0.7 is not allowed; must be below vad.threshold (0.5)
            config.yml:1: vad.engine: "webrtc" is not allowed; must be one of auto, silero, scripted
            config.yml:1: asr.engine: "vosk" is not allowed; must be one of auto, qwen3-asr, whisper, pocketsphinx, openai, scripted
            config.yml:1: llm.engine: "gpt" is not allowed; must be one of auto, local, openai, echo, scripted
            config.yml:1: tts.engine: "festival" is not allowed; must be one of auto, kokoro, flite, openai, scripted
            config.yml:1: video.engine: "musetalk" is not allowed; must be one of auto, scripted
            config.yml:1: turn.chunk_ms: 5 is not allowed; must be from 10 to 1000
            config.yml:1: turn.chunk_ms: 1001 is not allowed; must be from 10 to 1000
            config.yml:2: turn.lead_ms: 400 is not allowed; must be at least turn.chunk_ms (500)
            config.yml:1: turn.max_segment_chars: 200 is not allowed; must be at least turn.first_segment_chars (300)
            config.yml:1: limits.sessions: 0 is not allowed; must be from 1 to 100000
            config.yml:1: limits.connections: 1024 is not allowed; must be at least limits.sessions (2000)
            config.yml:1: limits.message_bytes: 0 is not allowed; must be from 1024 to 67108864
            config.yml:1: asr.workers: 0 is not allowed; must be from 1 to 256
            config.yml:1: asr.pocketsphinx_domain_weight: 1.5 is not allowed; must be from 0 to 1
            config.yml:1: llm.temperature: -1 is not allowed; must be from 0 to 2
            config.yml:1: server.host: "http://localhost:8080" is not allowed; must be an IP address or a host name, without scheme, port and path
            config.yml:1: server.allowed_hosts: "bad.example:80" is not allowed; must be an IP address or a host name, without scheme, port and path
            config.yml:1: log.level: "vivavoce=loud" is not allowed (error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5); use error, warn, info, debug, trace, or a list like info,vivavoce=debug
            config.yml:1: persona.name: " " is not allowed; must be a name
            config.yml:1: models.dir: "" is not allowed; must be the path of a folder
            config.yml:1: scripted.replies: an empty list is not allowed; must have at least one entry
            config.yml:1: scripted.failures: "asr@0" is not allowed; must be asr, turn, llm, llm-mid, tts or clip, then @ and the number of a call from 1, or @*
        "#]],
    );
}

#[test]
fn urls_are_checked_and_never_shown_with_a_password() {
    check(
        &[
            "store: {url: 'mysql://me:secret@db/v'}\n",
            "store: {url: 'data/v.sqlite'}\n",
            "store: {url: 'sqlite://'}\n",
            "llm: {url: '127.0.0.1:1234'}\n",
            "llm: {url: 'http://host:99999/v1'}\n",
            "llm: {api_key_env: sk-1234}\n",
            "llm: {url: 'http://me:secret@host/v1'}\n",
        ],
        expect![[r#"

            config.yml:1: store.url: unknown scheme "mysql"; use sqlite:// and the path of a file, or postgres:// and a database
            config.yml:1: store.url: has no scheme; use sqlite:// and the path of a file, or postgres:// and a database
            config.yml:1: store.url: "sqlite://" is not allowed; must be sqlite:// and the path of a file
            config.yml:1: llm.url: "127.0.0.1:1234" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: llm.url: "http://host:99999/v1" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: llm.api_key_env: not the name of an environment variable; the key itself does not belong here
            config.yml:1: llm.url: must hold no user and password; use llm.api_key_env
        "#]],
    );
    for url in ["https://api.example.org/v1", "http://[::1]:8000/v1/", "http://localhost"] {
        assert_eq!(parse(&format!("llm: {{url: '{url}'}}")).unwrap().llm.url, url);
    }
}

#[test]
fn a_key_set_twice_is_an_error() {
    check(
        &[
            "server:\n  port: 1\nvad:\n  workers: 1\nserver:\n  host: ::1\n",
            "server:\n  port: 1\n  host: '::1'\n  port: 2\n",
        ],
        expect![[r#"

            config.yml:5: server: set twice, first on line 1; keep one of them
            config.yml:4: server.port: set twice, first on line 2; keep one of them
        "#]],
    );
}

#[test]
fn what_is_not_yaml_is_named_with_its_line() {
    check(
        &["server:\n  port: 1\n bad: [\n", "just words\n", "- a\n- b\n", "a: 1\n---\nb: 2\n"],
        expect![[r#"

            config.yml:3: not valid YAML: did not find expected key at line 3 column 2, while parsing a block mapping
            config.yml: not valid YAML: expected keys and values, found the text "just words"
            config.yml: not valid YAML: expected keys and values, found a list
            config.yml: not valid YAML: deserializing from YAML containing more than one document is not supported
        "#]],
    );
}

#[test]
fn all_that_is_wrong_is_listed_and_one_line_says_how_much() {
    let text = "turn: {leed_ms: 3}\nserver: {port: x}\n";
    check(
        &[text],
        expect![[r#"

        config.yml:1: turn.leed_ms: unknown key; the nearest valid one is turn.lead_ms
        config.yml:2: server.port: expected a whole number from 0 to 65535, found the text "x"
    "#]],
    );
    expect!["config.yml:1: turn.leed_ms: unknown key; the nearest valid one is turn.lead_ms (and 1 more: see `vivavoce config check`)"].assert_eq(&parse(text).unwrap_err().to_string());
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "server: {port: 1, host: '::1'}\npersona: {greeting: Hello}\n";
    let config = parse_with(
        text,
        &[
            ("VIVAVOCE_SERVER__PORT", "9000"),
            ("VIVAVOCE_RECORD", "true"),
            ("VIVAVOCE_RECORD_DIR", "/recordings"),
            ("VIVAVOCE_PERSONA__FACTS", "[The door is red., 'Yes: it is.']"),
            ("VIVAVOCE_PERSONA__GREETING", ""),
            ("VIVAVOCE_PERSONA__NAME", "42"),
            ("VIVAVOCE_LOG__LEVEL", "debug"),
            ("VIVAVOCE_VAD__THRESHOLD", "0.75"),
            ("VIVAVOCE_AUTH__MODE", "tokens"),
            ("VIVAVOCE_TOKEN", "the command-line client's"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!((config.server.port, config.server.host.as_str()), (9000, "::1"));
    assert_eq!((config.record, config.record_dir.as_path()), (true, Path::new("/recordings")));
    assert_eq!(config.persona.facts, ["The door is red.", "Yes: it is."]);
    assert_eq!((config.persona.greeting, config.persona.name.as_str()), (None, "42"));
    assert_eq!((config.log.level.as_str(), config.vad.threshold), ("debug", 0.75));
    assert_eq!(config.auth.mode, AuthMode::Tokens);
}

#[test]
fn every_key_can_be_set_by_the_environment() {
    let defaults = default_tree();
    for (key, default) in tree::leaves(&defaults) {
        let value = match default {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => serde_json::to_string(other).unwrap(),
        };
        let variable = env::variable_of(&key);
        let config = parse_with("", &[(&variable, &value)]);
        assert_eq!(config.unwrap(), Config::default(), "{key}");
        if default.is_null() {
            let config = parse_with("", &[(&variable, "1")]);
            assert_ne!(config.unwrap(), Config::default(), "{key}");
        }
    }
}

#[test]
fn a_bad_override_names_its_variable() {
    let bad: &[(&str, &str, &str)] = &[
        ("", "VIVAVOCE_SERVER__PROT", "1"),
        ("", "VIVAVOCE_SERVER", "{port: 1}"),
        ("", "VIVAVOCE_SERVER__PORT", "eighty"),
        ("", "VIVAVOCE_SERVER__PORT", "["),
        ("turn:\n  chunk_ms: 40\n", "VIVAVOCE_TURN__CHUNK_MS", "900"),
        ("turn:\n  chunk_ms: 100\n", "VIVAVOCE_TURN__LEAD_MS", "50"),
    ];
    let lines: Vec<String> =
        bad.iter().flat_map(|(file, name, value)| refusal(file, &[(name, value)])).collect();
    expect![[r#"

        VIVAVOCE_SERVER__PROT: server.prot: unknown key; the nearest valid variable is VIVAVOCE_SERVER__PORT
        VIVAVOCE_SERVER: server: unknown key; the nearest valid variable is VIVAVOCE_SERVER__PORT
        VIVAVOCE_SERVER__PORT: server.port: expected a whole number from 0 to 65535, found the text "eighty"
        VIVAVOCE_SERVER__PORT: server.port: not valid YAML: did not find expected node content at line 2 column 1, while parsing a flow node
        VIVAVOCE_TURN__CHUNK_MS: turn.lead_ms: 400 is not allowed; must be at least turn.chunk_ms (900)
        VIVAVOCE_TURN__LEAD_MS: turn.lead_ms: 50 is not allowed; must be at least turn.chunk_ms (100)
    "#]].assert_eq(&format!("\n{}\n", lines.join("\n")));
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let text = "models: {dir: weights, onnxruntime: lib/ort.so}\nrecord_dir: /abs\n\
                store: {url: 'sqlite://log.sqlite'}\nasr: {pocketsphinx_model_dir: ../sphinx}\n";
    let source = Source::File("/etc/vivavoce/config.yml".into());
    let config = Config::parse(text, &source, std::iter::empty()).unwrap();
    assert_eq!(config.models.dir, Path::new("/etc/vivavoce/weights"));
    assert_eq!(config.models.onnxruntime, Path::new("/etc/vivavoce/lib/ort.so"));
    assert_eq!(config.record_dir, Path::new("/abs"));
    assert_eq!(config.store.sqlite_path(), Some(Path::new("/etc/vivavoce/log.sqlite")));
    assert_eq!(config.asr.pocketsphinx_model_dir, Path::new("/etc/vivavoce/../sphinx"));

    let unset = Config::parse("", &source, std::iter::empty()).unwrap();
    assert_eq!(unset.models.onnxruntime, Path::new(""), "empty stays empty: it means the one in models.dir");
}

#[test]
fn a_given_file_has_to_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.yml");
    let error = Config::load_from(&Source::find(Some(&path)), std::iter::empty()).unwrap_err().to_string();
    assert!(error.contains("none.yml") && error.contains("--config"), "{error}");
}

#[test]
fn a_file_is_read_with_its_own_name_in_errors_and_its_persona_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.yml");
    std::fs::write(&path, "persona: {name: Ada}\n").unwrap();
    assert_eq!(Config::load(Some(&path)).unwrap().persona.name, "Ada");
    std::fs::write(&path, "persona: {name: Grace}\n").unwrap();
    assert_eq!(Config::reload_persona(Some(&path)).unwrap().name, "Grace");
    std::fs::write(&path, "persona: {nam: Grace}\n").unwrap();
    let error = Config::reload_persona(Some(&path)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:1: persona.nam:", path.display())), "{error}");
}

#[test]
fn the_prompt_has_the_name_filled_in_and_the_facts_as_sentences() {
    let mut persona = Persona {
        name: "Ada".into(),
        system_prompt: "You are {name}. Be kind.\n".into(),
        facts: vec![],
        ..Persona::default()
    };
    expect!["You are Ada. Be kind."].assert_eq(&persona.prompt());
    persona.facts = vec![
        " The shop closes at six".into(),
        "".into(),
        "{name} is new here!".into(),
        "Say \"hello.\"".into(),
    ];
    expect![[r#"
        You are Ada. Be kind.

        What you know: The shop closes at six. Ada is new here! Say "hello.""#]]
    .assert_eq(&persona.prompt());
    persona.system_prompt.clear();
    persona.facts.truncate(1);
    expect!["What you know: The shop closes at six."].assert_eq(&persona.prompt());
    assert_eq!(persona.greeting_text(), None);
    persona.greeting = Some("Hello, I am {name}.".into());
    assert_eq!(persona.greeting_text().unwrap(), "Hello, I am Ada.");
}

/// Configurations that are valid, with text of any kind where text may stand.
fn valid_config() -> impl Strategy<Value = Config> {
    let texts = (any::<String>(), prop::collection::vec(any::<String>(), 0..4), any::<Option<String>>());
    let numbers = (any::<u16>(), 0.01f32..1.0, 0.0f32..1.0, 10u32..=1000, 0u32..5000, 1usize..=64);
    (texts, numbers, any::<bool>(), prop::sample::select(ASR_ENGINES)).prop_map(
        |((prompt, facts, greeting), (port, threshold, low, chunk_ms, more_ms, workers), record, asr)| {
            let mut config = Config::default();
            config.persona.system_prompt = prompt.clone();
            config.persona.facts = facts;
            config.persona.greeting = greeting.filter(|text| !text.trim().is_empty());
            config.persona.name = format!("Ada {prompt}");
            config.llm.model = prompt;
            config.server.port = port;
            config.vad.threshold = threshold;
            config.vad.negative_threshold = threshold * low;
            config.turn.chunk_ms = chunk_ms;
            config.turn.lead_ms = chunk_ms + more_ms;
            config.limits.outbound_messages = 2 * (chunk_ms + more_ms) as usize / chunk_ms as usize + 20;
            config.asr.workers = workers;
            config.asr.engine = asr.into();
            config.record = record;
            config
        },
    )
}

proptest! {
    #[test]
    fn written_and_read_again_it_is_the_same(config in valid_config()) {
        let text = serde_yaml::to_string(&config).unwrap();
        prop_assert_eq!(parse(&text).unwrap(), config);
    }

    #[test]
    fn no_text_at_all_can_break_the_reader(
        text in prop_oneof![any::<String>(), "(server|vad|[a-z&*!{}\\[\\]:, \n-]|port: ){0,40}"],
        value in any::<String>().prop_filter("no NUL in an environment", |v| !v.contains('\0')),
    ) {
        if let Err(error) = parse_with(&text, &[("VIVAVOCE_TURN__LEAD_MS", &value)]) {
            prop_assert!(!error.lines().is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn tools_are_checked_key_by_key() {
    let tool = |lines: &str| {
        format!("tools:\n  http:\n    - name: a\n      url: http://h/x\n      description: d\n{lines}")
    };
    check(
        &[
            &tool("      urk: x\n"),
            &tool("      timeout_ms: soon\n"),
            &tool("      headers: [a]\n"),
            &tool("      method: [GET]\n"),
            "tools: {http: [a]}\n",
            "tools: {http: a}\n",
            "tools: {htp: []}\n",
            "tools: {builtin: now}\n",
            &tool("    - name: b\n      description: d\n      url: http://h/y\n      nam: b\n"),
        ],
        expect![[r#"

            config.yml:6: tools.http[0].urk: unknown key; the nearest valid one is url
            config.yml:6: tools.http[0].timeout_ms: expected a whole number of milliseconds, found the text "soon"
            config.yml:6: tools.http[0].headers: expected names with texts, found a list
            config.yml:6: tools.http[0].method: expected text, found a list
            config.yml:1: tools.http[0]: expected name, description, url …, found the text "a"
            config.yml:1: tools.http: expected a list of tools, found the text "a"
            config.yml:1: tools.htp: unknown key; the nearest valid one is tools.http
            config.yml:1: tools.builtin: expected a list of texts, found the text "now"
            config.yml:9: tools.http[1].nam: unknown key; the nearest valid one is name
        "#]],
    );
}

#[test]
fn a_tool_that_cannot_be_is_refused() {
    let tool = |lines: &str| {
        format!("tools:\n  http:\n    - {{name: a, url: 'http://h/x', description: d, {lines}}}\n")
    };
    check(
        &[
            "tools: {builtin: [nwo]}\n",
            "tools: {builtin: [now, now]}\n",
            "tools: {filler: ['']}\n",
            "tools: {max_rounds: 0}\n",
            "tools: {timeout_ms: 0, filler_after_ms: 70000}\n",
            "tools: {http: [{}]}\n",
            "tools: {http: [{name: 'a b', url: 'ftp://h', description: d, method: get}]}\n",
            "tools: {http: [{name: a, url: 'http://u:secret@h/', description: d}]}\n",
            &tool("token_env: 'sk-secret'"),
            &tool("timeout_ms: 0"),
            &tool("parameters: {type: array}"),
            &tool("parameters: {}"),
            "tools: {http: [{name: now, url: 'http://h', description: d}]}\n",
        ],
        expect![[r#"

            config.yml:1: tools.builtin: "nwo" is not allowed; must be one of now, calculate, end_session, tasks
            config.yml:1: tools.builtin: there are two tools of the name "now"; rename or drop one
            config.yml:1: tools.filler: "" is not allowed; must be a text of 1 to 200 characters; [] says nothing
            config.yml:1: tools.max_rounds: 0 is not allowed; must be from 1 to 20
            config.yml:1: tools.filler_after_ms: 70000 is not allowed; must be from 0 to 60000
            config.yml:1: tools.timeout_ms: 0 is not allowed; must be from 1 to 600000
            config.yml:1: tools.http[0].name: "" is not allowed; must be 1 to 64 of a-z, A-Z, 0-9, _ and -
            config.yml:1: tools.http[0].description: "" is not allowed; must be what the tool is for; the model reads it
            config.yml:1: tools.http[0].url: "" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: tools.http[0].name: "a b" is not allowed; must be 1 to 64 of a-z, A-Z, 0-9, _ and -
            config.yml:1: tools.http[0].url: "ftp://h" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: tools.http[0].method: "get" is not allowed; must be one of GET, POST, PUT, PATCH, DELETE
            config.yml:1: tools.http[0].url: must hold no user and password; use token_env
            config.yml:3: tools.http[0].token_env: not the name of an environment variable; the token itself does not belong here
            config.yml:3: tools.http[0].timeout_ms: 0 is not allowed; must be from 1 to 600000
            config.yml:3: tools.http[0].parameters.type: "array" is not allowed; must be object: a JSON schema of named arguments
            config.yml:2: tools.http[0].parameters.type: "nothing" is not allowed; must be object: a JSON schema of named arguments
            config.yml:1: tools.http[0].name: there are two tools of the name "now"; rename or drop one
        "#]],
    );
}

#[test]
fn a_tool_is_read_as_it_stands() {
    let config = parse(
        "tools:\n  builtin: []\n  http:\n    - name: stock\n      description: how many\n      url: http://h:1/s?x=1\n      \
         parameters: {type: object, properties: {article: {type: string}}}\n      method: POST\n      \
         headers: {x-shop: '7'}\n      timeout_ms: 30000\n",
    );
    let tools = config.unwrap().tools;
    let tool = &tools.http[0];
    assert_eq!((tool.name.as_str(), tool.method.as_str(), tool.timeout_ms), ("stock", "POST", Some(30_000)));
    assert_eq!(tool.parameters["properties"]["article"]["type"], "string");
    assert_eq!((tools.longest_timeout_ms(), tools.builtin.len()), (30_000, 0));
    let shown = format!("{tool:?}");
    assert!(shown.contains("x-shop") && !shown.contains('7'), "{shown}");
    let from_environment =
        parse_with("", &[("VIVAVOCE_TOOLS__HTTP", "[{name: a, url: 'http://h', description: d}]")]);
    assert_eq!(from_environment.unwrap().tools.http[0].name, "a");
    let wrong = refusal("", &[("VIVAVOCE_TOOLS__HTTP", "[{nam: a}]")]);
    assert_eq!(
        wrong,
        ["VIVAVOCE_TOOLS__HTTP: tools.http[0].nam: unknown key; the nearest valid one is name"]
    );
}
