use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::engines::local::checkpoint::EmbeddedVocabulary;
use crate::engines::local::text::golden;

/// Compares the tokens of all texts with a golden's; says where they differ.
#[track_caller]
fn check_ids(expected: &Value, encode: impl Fn(&str) -> Vec<u32>) {
    let texts = golden::texts();
    let expected = expected.as_array().unwrap();
    assert_eq!(texts.len(), expected.len());
    let differs = |(text, expected): &(&String, &Value)| golden::brief(&encode(text)) != **expected;
    let wrong: Vec<String> = texts
        .iter()
        .zip(expected)
        .filter(differs)
        .map(|(text, expected)| {
            let start: String = text.chars().take(60).collect();
            format!("{start:?}: {}, not {expected}", golden::brief(&encode(text)))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} texts differ:\n{}", wrong.len(), texts.len(), wrong.join("\n"));
}

/// Compares with a golden of transformers, with and without added tokens.
#[track_caller]
fn check_parsed_and_plain(golden: &Value, tokenizer: &Tokenizer) {
    check_ids(&golden["parsed"], |text| tokenizer.encode(text, ParseSpecial::Yes).unwrap());
    check_ids(&golden["plain"], |text| tokenizer.encode(text, ParseSpecial::No).unwrap());
}

/// The files of the byte-level golden without `except`, with `files` instead.
fn folder(except: &[&str], files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden::file("bytes")).unwrap() {
        let entry = entry.unwrap();
        if !except.contains(&entry.file_name().to_str().unwrap()) {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The SentencePiece golden as a GGUF file would carry it.
fn embedded_pieces(golden: &Value) -> EmbeddedVocabulary {
    EmbeddedVocabulary {
        model: "llama".to_owned(),
        tokens: serde_json::from_value(golden["tokens"].clone()).unwrap(),
        scores: serde_json::from_value(golden["scores"].clone()).unwrap(),
        token_types: serde_json::from_value(golden["token_types"].clone()).unwrap(),
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        add_bos: true,
        ..EmbeddedVocabulary::default()
    }
}

#[test]
fn tokenizer_json_gives_the_tokens_of_transformers() {
    check_parsed_and_plain(&golden::read("bytes.json"), &golden::byte_level());
}

#[test]
fn vocab_and_merges_give_the_tokens_of_transformers() {
    let folder = folder(&["tokenizer.json"], &[]);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    check_parsed_and_plain(&golden::read("bytes.json"), &tokenizer);
    assert_eq!(tokenizer.ends(), golden::byte_level().ends());
}

#[test]
fn added_tokens_may_be_no_more_than_a_list() {
    let config = r#"{"tokenizer_class": "Qwen2TokenizerFast", "eos_token": "<|im_end|>"}"#;
    let added = r#"{"<|im_end|>": 700, "<tool_call>": 701}"#;
    let files = [("tokenizer_config.json", config), ("added_tokens.json", added)];
    let folder = folder(&["tokenizer.json", "generation_config.json"], &files);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("<|im_end|><tool_call>", ParseSpecial::Yes).unwrap(), [700, 701]);
    assert_eq!([700, 701].map(|id| tokenizer.kind(id)), [TokenKind::Control, TokenKind::Added]);
    assert_eq!(tokenizer.ends(), [700]);
    assert_eq!(tokenizer.vocab_size(), 702);
}

#[test]
fn an_embedded_byte_level_vocabulary_gives_the_tokens_of_transformers() {
    let tokenizer = Tokenizer::from_embedded(&golden::embedded_bytes("qwen2"), "test").unwrap();
    check_parsed_and_plain(&golden::read("bytes.json"), &tokenizer);
    let from_folder = golden::byte_level();
    for id in 0..from_folder.vocab_size() as u32 {
        assert_eq!(tokenizer.token_bytes(id), from_folder.token_bytes(id));
        assert_eq!(tokenizer.kind(id), from_folder.kind(id));
    }
}

#[test]
fn text_is_cut_as_the_file_says() {
    let golden = golden::read("cuts.json");
    for pre in ["gpt-2", "llama-bpe", "smollm"] {
        let mut vocabulary = golden::embedded_bytes(pre);
        if pre == "llama-bpe" {
            // Some tokens cannot be merged; Llama 3 finds them all the same.
            vocabulary.merges.truncate(vocabulary.merges.len() - 60);
        }
        let tokenizer = Tokenizer::from_embedded(&vocabulary, "test").unwrap();
        check_ids(&golden[pre], |text| tokenizer.encode(text, ParseSpecial::No).unwrap());
        for text in golden::texts() {
            let ids = tokenizer.encode(&text, ParseSpecial::No).unwrap();
            assert_eq!(tokenizer.decode(&ids), text, "without normalisation nothing is lost");
        }
    }
}

#[test]
fn sentence_pieces_give_the_tokens_of_transformers() {
    let golden = golden::read("pieces.json");
    let tokenizer = Tokenizer::from_embedded(&embedded_pieces(&golden), "test").unwrap();
    check_parsed_and_plain(&golden, &tokenizer);
    // The golden was compared with sentencepiece itself: they part only on texts that begin with a
    // space, and because sentencepiece never reads control tokens.
    let agrees = golden["sentencepiece_agrees"].as_array().unwrap().iter().filter(|it| **it == json!(true));
    assert!(agrees.count() > 480);
}

#[test]
fn a_real_sentence_piece_vocabulary_gives_the_tokens_of_transformers() {
    let Some(file) = golden::shared("llm/tok512.bin") else { return };
    // llama2.c: the longest token; then score, length, bytes of each; spaces instead of ▁.
    let data = fs::read(file).unwrap();
    let word = |at: usize| <[u8; 4]>::try_from(&data[at..at + 4]).unwrap();
    let (mut tokens, mut scores) = (vec![], vec![]);
    let mut at = 4;
    while at < data.len() {
        scores.push(f32::from_le_bytes(word(at)));
        let end = at + 8 + u32::from_le_bytes(word(at + 4)) as usize;
        tokens.push(std::str::from_utf8(&data[at + 8..end]).unwrap().replace(' ', "▁"));
        at = end;
    }
    tokens[1] = "<s>".to_owned();
    tokens[2] = "</s>".to_owned();
    let types = (0..tokens.len()).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    let vocabulary = EmbeddedVocabulary {
        token_types: types.collect(),
        tokens,
        scores,
        ..embedded_pieces(&golden::read("pieces.json"))
    };
    let tokenizer = Tokenizer::from_embedded(&vocabulary, "test").unwrap();
    check_parsed_and_plain(&golden::read("tok512.json"), &tokenizer);
    assert_eq!(tokenizer.bos(), Some(1));
    assert_eq!(tokenizer.ends(), [2]);
}

#[test]
fn the_real_qwen3_files_give_the_tokens_of_transformers() {
    let Some(folder) = golden::shared("tokenizers/qwen3") else { return };
    let golden = golden::read("qwen3.json");
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    check_parsed_and_plain(&golden, &tokenizer);
    for (text, expected) in golden::texts().iter().zip(golden["decoded"].as_array().unwrap()) {
        let ids = tokenizer.encode(text, ParseSpecial::Yes).unwrap();
        assert_eq!(*expected, json!(golden::hash(&tokenizer.decode(&ids))), "{text:?}");
    }
    assert_eq!(tokenizer.ends(), [151_643, 151_645]);
    assert_eq!(tokenizer.vocab_size(), 151_669);
    assert_eq!(tokenizer.kind(151_657), TokenKind::Added);
    assert_eq!(tokenizer.kind(151_645), TokenKind::Control);
}

#[test]
fn tokens_are_what_the_files_say() {
    let tokenizer = golden::byte_level();
    let id = |text| tokenizer.id_of(text).unwrap();
    assert_eq!(tokenizer.kind(id("<|im_end|>")), TokenKind::Control);
    assert_eq!(tokenizer.kind(id("<tool_call>")), TokenKind::Added);
    assert_eq!(tokenizer.kind(0), TokenKind::Text);
    assert_eq!(tokenizer.kind(u32::MAX), TokenKind::Control);
    assert_eq!(tokenizer.id_of("<|eot_id|>"), None);
    let mut ends = [id("<|im_end|>"), id("<|endoftext|>")];
    ends.sort_unstable();
    assert_eq!(tokenizer.ends(), ends);
    assert_eq!(tokenizer.names().eos.as_deref(), Some("<|im_end|>"));
    assert_eq!(tokenizer.names().pad.as_deref(), Some("<|endoftext|>"));
    assert_eq!(tokenizer.names().bos, None);
    let end = id("<|im_end|>");
    assert_eq!(tokenizer.encode("<|im_end|>", ParseSpecial::Yes).unwrap(), [end]);
    assert!(!tokenizer.encode("<|im_end|>", ParseSpecial::No).unwrap().contains(&end));
}

#[test]
fn sentence_pieces_can_be_told_to_add_no_space() {
    let mut vocabulary = embedded_pieces(&golden::read("pieces.json"));
    let first = |vocabulary: &EmbeddedVocabulary| {
        let tokenizer = Tokenizer::from_embedded(vocabulary, "test").unwrap();
        let ids = tokenizer.encode("the", ParseSpecial::No).unwrap();
        tokenizer.decode(&ids)
    };
    assert_eq!(first(&vocabulary), " the");
    vocabulary.add_space_prefix = Some(false);
    assert_eq!(first(&vocabulary), "the");
}

#[test]
fn ordinary_text_cannot_be_merged_to_a_control_token() {
    // A vocabulary where `<`, `s>` and `<s>` are tokens and nothing says that `<s>` is none of BPE's.
    let text = fs::read_to_string(golden::file("bytes/tokenizer.json")).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
    for (at, token) in ["s>", "<s>"].into_iter().enumerate() {
        vocabulary.insert(token.to_owned(), json!(1000 + at));
    }
    let merges = json["model"]["merges"].as_array_mut().unwrap();
    merges.insert(0, json!(["<", "s>"]));
    merges.insert(0, json!(["s", ">"]));
    json["pre_tokenizer"] =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let control = json!({"id": 1001, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    json["added_tokens"].as_array_mut().unwrap().push(control);
    let folder = folder(&[], &[("tokenizer.json", &json.to_string())]);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("<s>", ParseSpecial::Yes).unwrap(), [1001]);
    let plain = tokenizer.encode("a<s>", ParseSpecial::No).unwrap();
    assert!(!plain.contains(&1001), "{plain:?}");
    assert_eq!(tokenizer.decode(&plain), "a<s>");
}

#[track_caller]
fn check_error(folder: &Path, file: &str, problem: &str, remedy: &str) {
    let error = Tokenizer::from_folder(folder).map(|_| ()).unwrap_err().to_string();
    for part in [file, problem, remedy] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn broken_files_are_errors_that_name_them() {
    const FETCH: &str = "fetch the model's tokenizer files again";
    let empty = tempfile::tempdir().unwrap();
    check_error(empty.path(), empty.path().to_str().unwrap(), "neither tokenizer.json nor vocab.json", FETCH);
    let json = |text: &str| folder(&[], &[("tokenizer.json", text)]);
    check_error(json("").path(), "tokenizer.json", "EOF", FETCH);
    check_error(json("{}").path(), "tokenizer.json", "missing field `model`", FETCH);
    check_error(json(r#"{"model": {"type": "Unigram"}}"#).path(), "tokenizer.json", "Unigram", FETCH);
    let prefix =
        r#"{"model": {"type": "BPE", "continuing_subword_prefix": "\#\#", "vocab": {}, "merges": []}}"#
            .replace('\\', "");
    check_error(json(&prefix).path(), "tokenizer.json", "prefixes", FETCH);
    let huge = r#"{"model": {"type": "BPE", "vocab": {"a": 4294967295}, "merges": []}, "decoder": {"type": "ByteLevel"}}"#;
    let huge = huge.replace(
        "\"ByteLevel\"",
        "\"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true",
    );
    check_error(json(&huge).path(), "tokenizer.json", "4294967296 token ids", FETCH);
    let files = |name: &'static str, text: &str| folder(&["tokenizer.json"], &[(name, text)]);
    check_error(files("vocab.json", "[]").path(), "vocab.json", "invalid type", FETCH);
    check_error(files("vocab.json", r#"{"a": -1}"#).path(), "vocab.json", "invalid value", FETCH);
    check_error(files("vocab.json", r#"{"a": 0}"#).path(), "merges.txt", "does not fit to vocab.json", FETCH);
    check_error(files("merges.txt", "a b c").path(), "merges.txt", "merge 1 is no pair", FETCH);
    check_error(
        files("generation_config.json", r#"{"eos_token_id": "two"}"#).path(),
        "generation_config.json",
        "neither an id",
        FETCH,
    );
    check_error(
        files("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer"}"#).path(),
        "tokenizer_config.json",
        "BertTokenizer",
        "tokenizer.json",
    );
    check_error(folder(&["tokenizer.json", "merges.txt"], &[]).path(), "merges.txt", "cannot be read", FETCH);
    let binary = folder(&[], &[]);
    fs::write(binary.path().join("tokenizer.json"), [0xFF, 0xFE, 0x00]).unwrap();
    check_error(binary.path(), "tokenizer.json", "UTF-8", FETCH);
}

#[track_caller]
fn check_embedded_error(change: impl FnOnce(&mut EmbeddedVocabulary), problem: &str) {
    let mut vocabulary = golden::embedded_bytes("qwen2");
    change(&mut vocabulary);
    let error = Tokenizer::from_embedded(&vocabulary, "some.gguf").map(|_| ()).unwrap_err().to_string();
    for part in ["some.gguf", problem, "convert the model to GGUF again"] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn broken_embedded_vocabularies_are_errors_that_name_the_file() {
    check_embedded_error(|it| it.pre = Some("tekken".to_owned()), "'tekken'");
    check_embedded_error(|it| it.model = "bert".to_owned(), "'bert'");
    check_embedded_error(|it| it.token_types.truncate(5), "5 token types");
    check_embedded_error(|it| it.scores = vec![0.0], "1 scores");
    check_embedded_error(|it| it.merges.push("nopair".to_owned()), "no pair of tokens");
    check_embedded_error(|it| it.merges.push("no such".to_owned()), "out of vocabulary");
    check_embedded_error(
        |it| *it = EmbeddedVocabulary { model: "gpt2".to_owned(), ..EmbeddedVocabulary::default() },
        "no tokens",
    );
}

/// Pieces that texts with traps are made of.
fn tricky_text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "<|im_end|>",
        "<|im_start|>",
        "<tool_call>",
        "</think>",
        "<|im_",
        "end|>",
        "<",
        "|>",
        " ",
        "\n",
        "é",
        "e\u{301}",
        "word",
        "'ll",
        "12",
        "🙂",
        "<|endoftext|>",
        "\u{F0000}",
        "\u{F0001}",
        "▁",
        "<s>",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn without_special_tokens_there_are_none(text in tricky_text()) {
        for tokenizer in [golden::byte_level(), Tokenizer::from_embedded(&embedded_pieces(&golden::read("pieces.json")), "test").unwrap()] {
            let ids = tokenizer.encode(&text, ParseSpecial::No).unwrap();
            let special = ids.iter().find(|&&id| id != 0 && tokenizer.kind(id) != TokenKind::Text);
            prop_assert_eq!(special, None, "{:?}", ids);
        }
    }

    /// The crate searches the whole text itself; here its pipeline is run around our own search.
    #[test]
    fn special_tokens_are_found_as_the_crate_finds_them(text in tricky_text()) {
        let tokenizer = golden::byte_level();
        let expected = tokenizer.pipeline.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        prop_assert_eq!(tokenizer.encode(&text, ParseSpecial::Yes).unwrap(), expected);
    }

    #[test]
    fn damaged_files_never_panic(
        file in prop_oneof![Just("tokenizer.json"), Just("vocab.json"), Just("merges.txt"), Just("tokenizer_config.json")],
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0usize..40, "[\"{}\\[\\]:,0-9a-z <>|]{0,6}"), 1..4),
    ) {
        let mut text = fs::read_to_string(golden::file("bytes").join(file)).unwrap();
        for (at, len, instead) in cuts {
            let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = at.index(bounds.len());
            let end = (start + len).min(bounds.len() - 1);
            text.replace_range(bounds[start]..bounds[end], &instead);
        }
        let except: &[&str] = if file == "tokenizer.json" { &[] } else { &["tokenizer.json"] };
        let folder = folder(except, &[(file, &text)]);
        if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
            let _ = tokenizer.encode("Hello <|im_end|> world 123 é", ParseSpecial::Yes);
        }
    }
}
