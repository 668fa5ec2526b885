use expect_test::{Expect, expect};

use super::*;
use crate::config::Config;
use crate::engines::{onnx, silero};

const YAML: &str = "
- name: net
  what: a network
  engine: vad
  source: somewhere 1.0
  licence: MIT
  setup: scripts/setup-models.sh
  files:
    - {path: a.onnx, platform: any, bytes: 3, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}
- name: voice
  what: a package
  engine: tts
  source: Debian
  licence: CMU
  setup: apt-get install voice
  config_key: asr.pocketsphinx_model_dir
  system: [a.onnx]
- name: mind
  what: a language model
  engine: llm
  selected_by: llm.model
  licence: Apache-2.0
  hub:
    repository: Owner/Mind-GGUF
    files:
      - {path: sub/mind.gguf, about_mb: 12}
      - {path: config.json, bytes: 7}
";

#[test]
fn an_entry_of_a_hub_needs_little() {
    let manifest = Manifest::parse(YAML).unwrap();
    let mind = manifest.entry("mind").unwrap();
    assert_eq!(mind.setup, "vivavoce models pull mind");
    assert_eq!(mind.source, "Owner/Mind-GGUF on Hugging Face");
    assert_eq!(mind.about_bytes(), Some(12_000_007));
    assert_eq!(mind.hub().unwrap().revision, "main");
    assert_eq!(manifest.entry("net").unwrap().about_bytes(), Some(3));
    assert_eq!(manifest.entry("voice").unwrap().about_bytes(), None);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let manifest = Manifest::builtin().unwrap();
    let says = |name: &str| manifest.entry(name).unwrap_err().to_string();
    expect![[r#"there is no model "Qwen3-0.6B-Q8"; did you mean qwen3-0.6b-q8_0?; `vivavoce models list` names them all"#]]
        .assert_eq(&says("Qwen3-0.6B-Q8"));
    expect![[r#"there is no model "xyz"; `vivavoce models list` names them all"#]].assert_eq(&says("xyz"));
}

fn check_refused(from: &str, to: &str, expected: Expect) {
    assert!(YAML.contains(from), "{from}");
    let error = Manifest::parse(&YAML.replace(from, to)).expect_err("is no manifest");
    expected.assert_eq(&error.to_string());
}

#[test]
fn an_entry_that_makes_no_sense_is_refused() {
    check_refused(
        "path: a.onnx",
        "path: ../a.onnx",
        expect!["models/manifest.yml: net: ../a.onnx is not below models.dir at line 2 column 1"],
    );
    check_refused(
        "15ad}",
        "15AD}",
        expect![
            "models/manifest.yml: net: sha256 of a.onnx is not 64 lower-case hexadecimal digits at line 2 column 1"
        ],
    );
    check_refused(
        "system: [a.onnx]",
        "",
        expect![
            "models/manifest.yml: voice: needs one of `files`, `system`, `built_in` and `hub` at line 2 column 1"
        ],
    );
    check_refused(
        "system: [a.onnx]",
        "system: [a.onnx]\n  built_in: [{path: a}]",
        expect![
            "models/manifest.yml: voice: needs one of `files`, `system`, `built_in` and `hub` at line 2 column 1"
        ],
    );
    check_refused(
        "licence: CMU",
        "license: CMU",
        expect![
            "models/manifest.yml: .[1]: unknown field `license`, expected one of `name`, `what`, `engine`, `selected_by`, `source`, `licence`, `setup`, `files`, `system`, `config_key`, `built_in`, `hub` at line 14 column 3"
        ],
    );
    check_refused(
        "engine: tts",
        "engine: voice",
        expect![
            "models/manifest.yml: .[1].engine: unknown variant `voice`, expected one of `vad`, `turn`, `asr`, `llm`, `tts`, `clip`, `runtime` at line 12 column 11"
        ],
    );
    check_refused(
        "  setup: apt-get install voice\n",
        "",
        expect!["models/manifest.yml: voice: needs `setup` at line 2 column 1"],
    );
    check_refused(
        "name: voice",
        "name: net",
        expect!["models/manifest.yml: net: there are two of that name"],
    );
    check_refused(
        "name: mind",
        "name: ../mind",
        expect![
            "models/manifest.yml: ../mind: a name has lower-case letters, digits, `.`, `-` and `_` only at line 2 column 1"
        ],
    );
    check_refused(
        "Owner/Mind-GGUF",
        "Mind-GGUF",
        expect![[
            r#"models/manifest.yml: mind: "Mind-GGUF" is no repository; write owner/name at line 2 column 1"#
        ]],
    );
    check_refused(
        "Owner/Mind-GGUF",
        "Owner/..",
        expect![[
            r#"models/manifest.yml: mind: "Owner/.." is no repository; write owner/name at line 2 column 1"#
        ]],
    );
    check_refused(
        "path: sub/mind.gguf",
        "path: sub/../../mind.gguf",
        expect![[
            r#"models/manifest.yml: mind: "sub/../../mind.gguf" is not below the cache folder at line 2 column 1"#
        ]],
    );
    check_refused(
        "path: sub/mind.gguf",
        "path: /mind.gguf",
        expect![[
            r#"models/manifest.yml: mind: "/mind.gguf" is not below the cache folder at line 2 column 1"#
        ]],
    );
    check_refused(
        "path: sub/mind.gguf",
        "path: .lock",
        expect![[r#"models/manifest.yml: mind: ".lock" is not below the cache folder at line 2 column 1"#]],
    );
    check_refused(
        "path: sub/mind.gguf",
        "path: config.json",
        expect!["models/manifest.yml: mind: config.json stands there twice at line 2 column 1"],
    );
    check_refused(
        "path: sub/mind.gguf",
        "path: config.json.part",
        expect![
            "models/manifest.yml: mind: config.json.part: names like that are for what has not come whole at line 2 column 1"
        ],
    );
    check_refused(
        "about_mb: 12",
        "sha256: 12",
        expect![
            "models/manifest.yml: mind: sha256 of sub/mind.gguf is not 64 lower-case hexadecimal digits at line 2 column 1"
        ],
    );
    check_refused(
        "about_mb: 12",
        "about_gb: 12",
        expect![
            "models/manifest.yml: .[2].hub.files[0]: unknown field `about_gb`, expected one of `path`, `about_mb`, `bytes`, `sha256` at line 26 column 31"
        ],
    );
}

/// `scripts/setup-models.sh` reads these lines with a pattern.
#[test]
fn file_lines_have_the_form_that_the_setup_script_reads() {
    for entry in Manifest::builtin().expect("is a manifest").entries {
        let Parts::Files(files) = entry.parts else { continue };
        for File { path, platform, bytes, sha256 } in files {
            let path = path.display();
            let line =
                format!("    - {{path: {path}, platform: {platform}, bytes: {bytes}, sha256: {sha256}}}\n");
            assert!(BUILTIN.contains(&line), "not found: {line}");
        }
    }
}

#[test]
fn the_manifest_of_this_build_lists_what_the_engines_load() {
    let manifest = Manifest::builtin().expect("is a manifest");
    let paths: Vec<&Path> = manifest
        .entries
        .iter()
        .filter_map(|entry| match &entry.parts {
            Parts::Files(files) => Some(files.iter().map(|file| file.path.as_path())),
            _ => None,
        })
        .flatten()
        .collect();
    for loaded in [onnx::LIBRARY, silero::MODEL] {
        assert!(paths.contains(&Path::new(loaded)), "{loaded} is not in models/manifest.yml");
    }
}

#[test]
fn entries_are_selected_by_keys_that_there_are() {
    let config = serde_yaml::to_value(Config::default()).unwrap();
    for entry in Manifest::builtin().unwrap().entries {
        let Some(key) = entry.selected_by else { continue };
        let mut value = &config;
        for part in key.split('.') {
            value = value.get(part).unwrap_or_else(|| panic!("{}: no key {key}", entry.name));
        }
        assert!(value.is_string(), "{}: {key} is no text", entry.name);
    }
}

#[test]
fn large_models_of_this_build_have_a_length_to_tell() {
    for entry in Manifest::builtin().unwrap().entries.iter().filter(|entry| entry.hub().is_some()) {
        assert!(entry.about_bytes() > Some(0), "{}: give about_mb", entry.name);
    }
}
