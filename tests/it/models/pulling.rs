//! What a pull brings, pins and keeps.

use expect_test::expect;
use vivavoce::models::presence::{Look, State};
use vivavoce::models::{Engine, find, pulled};

use super::{Place, weights};
use crate::stub_hub::{Answer, COMMIT, StubHub, is_bytes, sha256};

const FOLDER: [&str; 2] = ["O/Folder/config.json", "O/Folder/sub/model.safetensors"];

#[test]
fn a_pull_brings_all_files_and_pins_them() {
    let weights = weights(1);
    let hub = StubHub::start(&[(FOLDER[0], b"{}"), (FOLDER[1], &weights)]);
    let place = Place::new(&hub);
    let (pulled, told) = place.pull_telling("folder");
    let pulled = pulled.unwrap();
    assert_eq!((pulled.folder, pulled.bytes, pulled.fetched), (place.file("folder"), 300_002, 2));
    assert_eq!(place.read("folder/config.json").unwrap(), b"{}");
    assert!(place.read("folder/sub/model.safetensors").unwrap() == weights);
    assert_eq!(
        told.begun,
        ["Fetching config.json from 0 of 2", "Fetching sub/model.safetensors from 0 of 300000"]
    );
    assert_eq!((told.done, told.notes.len()), (300_000, 0));
    // The second file was asked for at the commit of the first.
    let paths = hub.take_paths();
    assert_eq!(paths[0], "/O/Folder/resolve/main/config.json");
    assert_eq!(paths[1], format!("/O/Folder/resolve/{COMMIT}/sub/model.safetensors"));

    let lock = String::from_utf8(place.read("models.lock.yml").unwrap()).unwrap();
    let (_, pins) = lock.split_once("folder:\n").unwrap();
    let expected = format!(
        "  repository: O/Folder\n  commit: {COMMIT}\n  files:\n    config.json:\n      bytes: 2\n      sha256: {}\n    \
         sub/model.safetensors:\n      bytes: 300000\n      sha256: {}\n",
        sha256(b"{}"),
        sha256(&weights)
    );
    assert_eq!(pins, expected);
    // Nothing but the files is left in its folder.
    let mut names: Vec<_> =
        std::fs::read_dir(place.file("folder")).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "config.json", "sub"]);
    assert_eq!(std::fs::read_dir(place.file("folder/sub")).unwrap().count(), 1);
}

#[test]
fn what_is_here_is_checked_and_not_asked_for_again() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", &weights(1))]);
    let place = Place::new(&hub);
    place.pull("mind").unwrap();
    hub.take_paths();
    let (again, told) = place.pull_telling("mind");
    assert_eq!(again.unwrap().fetched, 0);
    assert_eq!(told.begun, ["Checking mind.gguf from 0 of 300000"]);
    assert_eq!(hub.take_paths().len(), 0);
}

#[test]
fn a_flipped_byte_is_found_and_mended_with_the_pinned_commit() {
    let good = weights(1);
    let hub = StubHub::start(&[(FOLDER[0], b"{}"), (FOLDER[1], &good)]);
    let place = Place::new(&hub);
    place.pull("folder").unwrap();
    let mut flipped = good.clone();
    flipped[299_999] ^= 1;
    place.write("folder/sub/model.safetensors", &flipped);
    assert_eq!(place.look("folder", Look::Glance).state, State::Present);
    assert_eq!(place.look("folder", Look::Thorough).state, State::Damaged);

    hub.take_paths();
    assert_eq!(place.pull("folder").unwrap().fetched, 1, "the other file is intact");
    assert_eq!(hub.take_paths()[0], format!("/O/Folder/resolve/{COMMIT}/sub/model.safetensors"));
    assert!(place.read("folder/sub/model.safetensors").unwrap() == good);
    assert_eq!(place.look("folder", Look::Thorough).state, State::Present);
}

#[test]
fn another_file_upstream_is_refused_before_it_comes_and_the_old_one_is_kept() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", b"old bytes")]);
    let mut place = Place::new(&hub);
    place.pull("mind").unwrap();
    hub.put("O/Mind/mind.gguf", b"new bytes");
    place.write("mind/mind.gguf", b"0ld bytes");
    hub.take_paths();
    expect!["mind: mind.gguf is not what DIR/cache/models.lock.yml pins: expected sha256 b4dddecf813201f4a83f2ae71f6fa1a03ea961c3738e3da7fff94859c5ad1c17, the hub has 11e2defd59f47c7f2aac84d6a5d6747e98e785afffb72c8bb7b05ec74e1d663c; if the change is meant, accept it with `vivavoce models pull --update mind`"].assert_eq(&place.refused("mind"));
    assert!(!hub.take_paths().iter().any(|path| path.starts_with("/cdn/")), "no byte was asked for");
    assert_eq!(place.read("mind/mind.gguf").unwrap(), b"0ld bytes");

    // It can be accepted; then it is what is pinned, and the branch is asked again.
    place.update = true;
    assert_eq!(place.pull("mind").unwrap().fetched, 1);
    assert_eq!(hub.take_paths()[0], "/O/Mind/resolve/main/mind.gguf");
    assert_eq!(place.read("mind/mind.gguf").unwrap(), b"new bytes");
    place.update = false;
    assert_eq!(place.pull("mind").unwrap().fetched, 0);
}

#[test]
fn other_bytes_that_nobody_announced_are_refused_when_they_have_come() {
    let hub = StubHub::start(&[(FOLDER[0], b"{\"a\": 1}"), (FOLDER[1], b"weights")]);
    let place = Place::new(&hub);
    place.pull("folder").unwrap();
    hub.put(FOLDER[0], b"{\"a\": 2}");
    std::fs::remove_file(place.file("folder/config.json")).unwrap();
    expect!["folder: config.json is not what DIR/cache/models.lock.yml pins: expected sha256 f9d86028c6e0d64e225186f96acb69338b2c59764df79162107f5c4bb34d1310, received e5a9d5b0300e0f50d372e5a9ddfa24208aac9a940ce9a36f247387221ae205fe; if the change is meant, accept it with `vivavoce models pull --update folder`"].assert_eq(&place.refused("folder"));
    assert_eq!(place.read("folder/config.json"), None);
    assert_eq!(place.read("folder/config.json.part"), None, "it is of no use");
    assert_eq!(place.read("folder/sub/model.safetensors").unwrap(), b"weights");
}

#[test]
fn a_sum_in_the_manifest_has_the_last_word() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", b"weights")]);
    let sum = |of: &[u8]| format!("{{path: mind.gguf, sha256: {}}}", sha256(of));
    let place = Place::new(&hub).manifest("{path: mind.gguf}", &sum(b"other weights"));
    expect!["mind: mind.gguf is not what models/manifest.yml pins: expected sha256 53959fa102f31e51d8d1ee12fe89c2fd7cd556dbaf2c6102046d195a504850a0, the hub has 9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c; use another mirror (HF_ENDPOINT), or a version of Vivavoce that knows the new file"].assert_eq(&place.refused("mind"));
    assert_eq!(place.read("mind/mind.gguf"), None);
    let place = Place::new(&hub).manifest("{path: mind.gguf}", &sum(b"weights"));
    assert_eq!(place.pull("mind").unwrap().fetched, 1);
}

#[test]
fn a_pin_of_another_repository_is_none() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", b"weights"), ("O/Moved/mind.gguf", b"others")]);
    let mut place = Place::new(&hub);
    place.pull("mind").unwrap();
    place = place.manifest("O/Mind", "O/Moved");
    assert_eq!(place.pull("mind").unwrap().fetched, 1);
    assert_eq!(place.read("mind/mind.gguf").unwrap(), b"others");
}

#[test]
fn an_update_that_brings_nothing_new_fetches_nothing() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", b"weights")]);
    let mut place = Place::new(&hub);
    place.pull("mind").unwrap();
    hub.take_paths();
    place.update = true;
    assert_eq!(place.pull("mind").unwrap().fetched, 0);
    assert_eq!(hub.take_paths(), ["/O/Mind/resolve/main/mind.gguf", "/cdn/O/Mind/mind.gguf"]);
}

#[test]
fn nothing_takes_its_place_before_all_of_it_has_come() {
    let weights = weights(3);
    let hub = StubHub::start(&[(FOLDER[0], b"{}")]);
    let place = Place::new(&hub);
    let refused = place.refused("folder");
    assert!(refused.contains("404 Not Found: Entry not found"), "{refused}");
    assert_eq!(place.read("folder/config.json"), None);
    assert_eq!(place.read("folder/config.json.part").unwrap(), b"{}");
    assert!(matches!(place.look("folder", Look::Glance).state, State::Partial { percent: 0 }));

    // What came is not fetched again when the rest is there.
    hub.put(FOLDER[1], &weights);
    let (pulled, told) = place.pull_telling("folder");
    assert_eq!(pulled.unwrap().fetched, 2);
    assert_eq!(
        told.begun,
        ["Checking config.json from 0 of ?", "Fetching sub/model.safetensors from 0 of 300000"]
    );
    assert_eq!(place.look("folder", Look::Thorough).state, State::Present);
}

#[test]
fn files_put_there_by_hand_are_taken_if_the_hub_has_the_same() {
    let hub = StubHub::start(&[("O/Mind/mind.gguf", b"weights")]);
    let place = Place::new(&hub);
    place.write("mind/mind.gguf", b"weights");
    assert_eq!(place.pull("mind").unwrap().fetched, 0);
    assert_eq!(place.look("mind", Look::Thorough).state, State::Present);

    let place = Place::new(&hub);
    place.write("mind/mind.gguf", b"waits!!");
    assert_eq!(place.pull("mind").unwrap().fetched, 1);
    assert_eq!(place.read("mind/mind.gguf").unwrap(), b"weights");
}

#[test]
fn offline_says_what_to_copy_where_and_takes_what_was_copied() {
    let hub = StubHub::start(&[(FOLDER[0], b"{}"), (FOLDER[1], b"weights")]);
    let mut place = Place::new(&hub);
    place.hub.offline = Some("HF_HUB_OFFLINE is set");
    place.write("folder/config.json", b"{}");
    expect!["offline (HF_HUB_OFFLINE is set): folder is not pulled; copy HUB/O/Folder/resolve/main/sub/model.safetensors to DIR/cache/folder/sub/model.safetensors"].assert_eq(&place.refused("folder"));
    place.write("folder/sub/model.safetensors", b"weights");
    assert_eq!(place.pull("folder").unwrap().fetched, 0);
    assert_eq!(hub.take_paths().len(), 0, "nobody was asked");
    // From now on they are pinned.
    place.write("folder/config.json", b"[]");
    assert_eq!(place.look("folder", Look::Thorough).state, State::Damaged);
    let refused = place.refused("folder");
    assert!(refused.contains("resolve/main/config.json to DIR/cache/folder/config.json"), "{refused}");
    assert!(!refused.contains("safetensors"), "{refused}");
}

#[test]
fn engines_find_what_was_pulled_and_hear_what_to_run_otherwise() {
    let hub = StubHub::start(&[
        ("Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf", b"small"),
        ("Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf", b"larger"),
    ]);
    let mut place = Place::new(&hub);
    place.manifest = vivavoce::models::Manifest::builtin().unwrap();
    let config = &place.config;
    let says = |name: &str| find(config, name).unwrap_err().to_string();
    assert_eq!(
        says("qwen3-0.6b-q8_0"),
        "qwen3-0.6b-q8_0 is not here (640.0 MB to fetch); run `vivavoce models pull qwen3-0.6b-q8_0`"
    );
    assert!(says("qwen3-0.6").contains("did you mean qwen3-0.6b"));
    assert!(says("").contains("there is no model \"\""));
    assert_eq!(pulled(config, Engine::Llm).unwrap(), []);

    place.pull("qwen3-0.6b-q8_0").unwrap();
    place.pull("qwen3-4b-q4_k_m").unwrap();
    let small = place.file("qwen3-0.6b-q8_0/Qwen3-0.6B-Q8_0.gguf");
    assert_eq!(find(config, "qwen3-0.6b-q8_0").unwrap(), small);
    let names: Vec<_> =
        pulled(config, Engine::Llm).unwrap().into_iter().map(|found| (found.name, found.bytes)).collect();
    assert_eq!(names, [("qwen3-4b-q4_k_m".to_owned(), 6), ("qwen3-0.6b-q8_0".to_owned(), 5)]);
    assert_eq!(pulled(config, Engine::Asr).unwrap(), []);

    std::fs::write(&small, "longer than pinned").unwrap();
    assert!(says("qwen3-0.6b-q8_0").contains("its files are damaged"));
    assert_eq!(pulled(config, Engine::Llm).unwrap().len(), 1);
    // A path is taken as it is, a model of several files as its folder.
    assert_eq!(find(config, small.to_str().unwrap()).unwrap(), small);
    for file in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "model.safetensors",
    ] {
        place.write(&format!("qwen3-0.6b/{file}"), b"by hand");
    }
    assert_eq!(find(config, "qwen3-0.6b").unwrap(), place.file("qwen3-0.6b"));
}

#[test]
fn a_model_is_pulled_by_one_process_at_a_time() {
    let hub = StubHub::with(&[("O/Mind/mind.gguf", b"weights")], |asked, answer| match is_bytes(asked) {
        true => Answer::silence(),
        false => answer,
    });
    let place = Place::new(&hub);
    let place = &place;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            // Ends when the hub does.
            place.pull("mind").unwrap_err()
        });
        hub.server.stalled.recv().unwrap();
        assert!(place.refused("mind").starts_with("mind is being pulled or removed by another process"));
        drop(hub);
        assert!(first.join().unwrap().to_string().contains("check the network"));
    });
}
