use std::path::Path;

use expect_test::{Expect, expect};

use super::*;

/// "abc" is 3 bytes; its sha256 is the example of FIPS 180-2.
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
- name: own
  what: made here
  engine: llm
  source: ours
  licence: MIT
  setup: install it again
  built_in: [{path: own/own.gguf}]
- name: mind
  what: a language model
  engine: llm
  selected_by: llm.model
  licence: Apache-2.0
  hub:
    repository: O/Mind
    files:
      - {path: mind.gguf, bytes: 3, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}
      - {path: sub/config.json}
";

struct Folder {
    folder: tempfile::TempDir,
    config: Config,
    manifest: Manifest,
}

impl Folder {
    /// With these files below models.dir (`models/`) and the cache (`cache/`).
    fn new(files: &[(&str, &str)]) -> Folder {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut config = Config::default();
        config.models.dir = folder.path().join("models");
        config.models.cache = folder.path().join("cache");
        config.asr.pocketsphinx_model_dir = folder.path().join("models");
        for (path, content) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("folder is made");
            std::fs::write(path, content).expect("file is written");
        }
        Folder { folder, config, manifest: Manifest::parse(YAML).expect("is a manifest") }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn said(&self, out: &[u8]) -> String {
        String::from_utf8_lossy(out).replace(&self.path().display().to_string(), "DIR")
    }

    fn check_list(&self, is_well: bool, expected: Expect) {
        let mut out = vec![];
        assert_eq!(list(&self.manifest, &self.config, false, &mut out).expect("is written"), is_well);
        expected.assert_eq(&self.said(&out));
    }

    fn check_verify(&self, names: &[&str], is_well: bool, expected: Expect) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut out = vec![];
        assert_eq!(verify(&self.manifest, &names, &self.config, &mut out).expect("is written"), is_well);
        expected.assert_eq(&self.said(&out));
    }

    fn rm(&self, names: &[&str], answers: Option<&str>) -> Result<String, String> {
        let entries: Vec<&Entry> = names.iter().map(|name| self.manifest.entry(name).unwrap()).collect();
        let mut answers = answers.map(|answers| io::Cursor::new(answers.to_owned()));
        let answers = answers.as_mut().map(|answers| answers as &mut dyn BufRead);
        let mut out = vec![];
        let done = rm(&entries, &Cache::of(&self.config), answers, &mut out);
        done.map(|_| self.said(&out)).map_err(|error| self.said(error.to_string().as_bytes()))
    }
}

const SET_UP: [(&str, &str); 2] = [("models/a.onnx", "abc"), ("models/own/own.gguf", "weights")];
const PULLED: [(&str, &str); 2] = [("cache/mind/mind.gguf", "abc"), ("cache/mind/sub/config.json", "{}")];

#[test]
fn a_model_that_nobody_pulled_is_missing_and_all_is_well() {
    Folder::new(&SET_UP).check_list(
        true,
        expect![[r#"
        net    vad  present   3 B  MIT         a network
        voice  tts  present        CMU         a package
        own    llm  built-in  7 B  MIT         made here
        mind   llm  missing   3 B  Apache-2.0  a language model
        fetch a model with vivavoce models pull NAME; it is kept in DIR/cache
    "#]],
    );
}

#[test]
fn what_is_not_there_is_missing_with_path_and_remedy() {
    Folder::new(&[]).check_list(
        false,
        expect![[r#"
        net    vad  missing  3 B  MIT         a network
        voice  tts  missing       CMU         a package
        own    llm  missing       MIT         made here
        mind   llm  missing  3 B  Apache-2.0  a language model
        net: DIR/models/a.onnx is missing; run scripts/setup-models.sh
        voice: DIR/models/a.onnx is missing; run apt-get install voice
        own: DIR/models/own/own.gguf is missing; install it again
        fetch a model with vivavoce models pull NAME; it is kept in DIR/cache
    "#]],
    );
}

#[test]
fn a_truncated_file_is_damaged_at_a_glance() {
    let folder =
        Folder::new(&[("models/a.onnx", "ab"), SET_UP[1], ("cache/mind/mind.gguf", "abcd"), PULLED[1]]);
    folder.check_list(false, expect![[r#"
        net    vad  damaged   3 B  MIT         a network
        voice  tts  present        CMU         a package
        own    llm  built-in  7 B  MIT         made here
        mind   llm  damaged   5 B  Apache-2.0  a language model
        net: DIR/models/a.onnx is damaged: expected 3 bytes, found 2 bytes; run scripts/setup-models.sh
        mind: DIR/cache/mind/mind.gguf is damaged: expected 3 bytes, found 4 bytes; run vivavoce models pull mind
        mind: DIR/cache/mind/sub/config.json has no sha256 to compare with; run vivavoce models pull mind to pin it
        fetch a model with vivavoce models pull NAME; it is kept in DIR/cache
    "#]]);
}

#[test]
fn what_has_begun_to_come_is_partial() {
    let folder = Folder::new(&[SET_UP[0], SET_UP[1], ("cache/mind/mind.gguf.part", "ab")]);
    folder.check_list(
        true,
        expect![[r#"
        net    vad  present       3 B  MIT         a network
        voice  tts  present            CMU         a package
        own    llm  built-in      7 B  MIT         made here
        mind   llm  partial 66 %  3 B  Apache-2.0  a language model
        mind: 66 % has come; run vivavoce models pull mind
        fetch a model with vivavoce models pull NAME; it is kept in DIR/cache
    "#]],
    );
}

#[test]
fn verify_finds_a_changed_byte_with_both_sums() {
    let changed = [("models/a.onnx", "abd"), SET_UP[1], ("cache/mind/mind.gguf", "abd"), PULLED[1]];
    Folder::new(&changed).check_verify(&[], false, expect![[r#"
        net    vad  damaged   3 B  MIT         a network
        voice  tts  present        CMU         a package
        own    llm  built-in  7 B  MIT         made here
        mind   llm  damaged   5 B  Apache-2.0  a language model
        net: DIR/models/a.onnx is damaged: expected sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, found sha256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9; run scripts/setup-models.sh
        mind: DIR/cache/mind/mind.gguf is damaged: expected sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, found sha256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9; run vivavoce models pull mind
        mind: DIR/cache/mind/sub/config.json has no sha256 to compare with; run vivavoce models pull mind to pin it
    "#]]);
}

#[test]
fn verify_leaves_out_what_nobody_pulled_unless_it_is_named() {
    let folder = Folder::new(&SET_UP);
    folder.check_verify(
        &[],
        true,
        expect![[r#"
        net    vad  present   3 B  MIT  a network
        voice  tts  present        CMU  a package
        own    llm  built-in  7 B  MIT  made here
    "#]],
    );
    folder.check_verify(
        &["mind", "own"],
        false,
        expect![[r#"
        mind  llm  missing   3 B  Apache-2.0  a language model
        own   llm  built-in  7 B  MIT         made here
    "#]],
    );
}

#[test]
fn a_file_put_there_by_hand_is_present_and_to_be_pinned() {
    let folder = Folder::new(&[SET_UP[0], SET_UP[1], PULLED[0], PULLED[1]]);
    folder.check_verify(&["mind"], true, expect![[r#"
        mind  llm  present  5 B  Apache-2.0  a language model
        mind: DIR/cache/mind/sub/config.json has no sha256 to compare with; run vivavoce models pull mind to pin it
    "#]]);
}

#[test]
fn the_list_as_json_says_the_same() {
    let folder = Folder::new(&[SET_UP[0], SET_UP[1], ("cache/mind/mind.gguf.part", "ab")]);
    let mut out = vec![];
    list(&folder.manifest, &folder.config, true, &mut out).unwrap();
    let entries: serde_json::Value = serde_json::from_str(&folder.said(&out)).unwrap();
    let states: Vec<&str> = (0..4).map(|entry| entries[entry]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["present", "present", "built-in", "partial"]);
    expect![[r#"
        {
          "name": "mind",
          "what": "a language model",
          "engine": "llm",
          "selected_by": "llm.model",
          "state": "partial",
          "percent": 66,
          "bytes": 3,
          "licence": "Apache-2.0",
          "source": "O/Mind on Hugging Face",
          "setup": "vivavoce models pull mind",
          "files": [
            {
              "path": "DIR/cache/mind/mind.gguf",
              "state": "partial",
              "detail": null
            },
            {
              "path": "DIR/cache/mind/sub/config.json",
              "state": "missing",
              "detail": null
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&entries[3]).unwrap());
}

#[test]
fn rm_removes_what_was_pulled_and_nothing_else() {
    let own = ("cache/mind/notes.txt", "mine");
    let folder = Folder::new(&[PULLED[0], PULLED[1], ("cache/mind/sub/config.json.part", "{"), own]);
    assert_eq!(folder.rm(&["mind"], None).unwrap(), "mind: removed, 6 B freed\n");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("cache/mind")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(folder.path().join(own.0).exists());

    std::fs::remove_file(folder.path().join(own.0)).unwrap();
    assert_eq!(folder.rm(&["mind"], None).unwrap(), "mind: is not here\n");
    assert!(!folder.path().join("cache/mind").exists(), "an empty folder goes");
}

#[test]
fn rm_asks_and_takes_only_yes_for_yes() {
    let folder = Folder::new(&PULLED);
    let said = folder.rm(&["mind"], Some("\n")).unwrap();
    assert_eq!(said, "remove mind (5 B)? [y/N] mind: kept\n");
    assert!(folder.path().join("cache/mind/mind.gguf").exists());
    let said = folder.rm(&["mind"], Some("Y\n")).unwrap();
    assert_eq!(said, "remove mind (5 B)? [y/N] mind: removed, 5 B freed\n");
    assert!(!folder.path().join("cache/mind").exists());
}

#[test]
fn rm_refuses_what_was_not_pulled_and_then_removes_nothing() {
    let folder = Folder::new(&[SET_UP[0], SET_UP[1], PULLED[0], PULLED[1]]);
    let refusals: Vec<String> =
        ["net", "voice", "own"].iter().map(|name| folder.rm(&["mind", name], None).unwrap_err()).collect();
    expect![[r#"
        net cannot be removed: scripts/setup-models.sh brought it, and the server does not work without it
        voice cannot be removed: it belongs to the system (Debian); use its package manager
        own cannot be removed: it is a part of Vivavoce"#]]
    .assert_eq(&refusals.join("\n"));
    assert!(folder.path().join("cache/mind/mind.gguf").exists());
}
