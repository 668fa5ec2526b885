//! Prompts, words and rules.

use super::*;
use crate::engines::local::packed::log_sum_exp;

/// What WhisperTokenizer makes.
#[derive(Deserialize)]
struct Texts {
    prompts: Vec<Prompt>,
    previous: Vec<Previous>,
    decoded: Vec<Words>,
}

#[derive(Deserialize)]
struct Prompt {
    language: String,
    timestamps: bool,
    ids: Vec<u32>,
}

/// `ids` begin with `<|startofprev|>`.
#[derive(Deserialize)]
struct Previous {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Words {
    ids: Vec<u32>,
    text: String,
}

fn texts(name: &str) -> Texts {
    let json = std::fs::read(golden_folder().join("tokens.json")).unwrap();
    let mut texts: BTreeMap<String, Texts> = serde_json::from_slice(&json).unwrap();
    texts.remove(name).unwrap()
}

fn assert_texts(vocabulary: &Vocabulary, texts: &Texts) {
    for Prompt { language, timestamps, ids } in &texts.prompts {
        let task = Task { previous: &[], language: vocabulary.language(language), timestamps: *timestamps };
        assert_eq!(vocabulary.prompt(&task), *ids, "{language}");
    }
    for Previous { text, ids } in &texts.previous {
        let previous = vocabulary.encode_previous(text).unwrap();
        assert_eq!(previous, ids[1..], "{text}");
        let task = Task { previous: &previous, language: None, timestamps: true };
        assert!(vocabulary.prompt(&task).starts_with(ids), "{text}");
    }
    for Words { ids, text } in &texts.decoded {
        assert_eq!(vocabulary.decode(ids), *text);
    }
    let steering = " <|en|> <|0.00|> <|startoftranscript|>";
    let spelled = vocabulary.encode_previous(steering).unwrap();
    assert!(spelled.iter().all(|token| *token < vocabulary.end), "a look-alike steers nothing");
    assert_eq!(vocabulary.decode(&spelled), steering);
}

#[test]
fn prompts_and_words_are_the_references() {
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    let vocabulary = &golden.vocabulary;
    assert_texts(vocabulary, &texts("multilingual"));
    let languages: Vec<&str> = vocabulary.languages().iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(languages, ["en", "zh", "de", "es", "ru", "ko", "fr"]);
    assert_eq!(vocabulary.language("DE_at"), vocabulary.language("de"));
    assert_eq!(vocabulary.language("tlh"), None);
    assert_eq!(vocabulary.code(vocabulary.language("ko")).as_deref(), Some("ko"));
    assert_eq!(vocabulary.time_ms(vocabulary.first_timestamp() + 50), Some(1_000));
    assert_eq!(vocabulary.time_ms(vocabulary.no_timestamps), None);
    assert_eq!(vocabulary.decode(&[vocabulary.end, vocabulary.start, vocabulary.first_timestamp()]), "");
}

#[test]
#[allow(clippy::print_stderr, reason = "it says that it skips")]
fn the_published_vocabulary_gives_the_references_prompts() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tokenizers/whisper");
    if !source.is_dir() {
        eprintln!("skipped: there is no {}", source.display());
        return;
    }
    // The folder as Hugging Face's has it: the added tokens in a file of their own.
    let folder = tempfile::tempdir().unwrap();
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(source.join(file), folder.path().join(file)).unwrap();
    }
    let texts = texts("published");
    let mut added =
        BTreeMap::from([("<|endoftext|>".to_owned(), 50_257), ("<|startoftranscript|>".to_owned(), 50_258)]);
    for Prompt { language, ids, .. } in &texts.prompts {
        added.insert(format!("<|{language}|>"), ids[1]);
    }
    let steering = ["translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps"];
    added.extend(steering.iter().zip(50_358..).map(|(name, id)| (format!("<|{name}|>"), id)));
    let write = |file: &str, json: serde_json::Value| {
        std::fs::write(folder.path().join(file), json.to_string()).unwrap();
    };
    write("added_tokens.json", serde_json::to_value(added).unwrap());
    write("tokenizer_config.json", serde_json::json!({ "tokenizer_class": "WhisperTokenizer" }));

    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let config = random_weights::Shape::of("whisper-base").unwrap().config();
    let vocabulary = Vocabulary::new(tokenizer, &config, &GenerationConfig::default()).unwrap();
    assert_eq!((vocabulary.end, vocabulary.start, vocabulary.no_timestamps), (50_257, 50_258, 50_363));
    assert_eq!(vocabulary.no_speech, Some(50_362));
    assert_texts(&vocabulary, &texts);
}

#[test]
fn an_english_only_model_is_asked_for_no_language() {
    let path = golden_folder().join("multilingual");
    let folder = SafetensorsFolder::open(&path).unwrap();
    let config = WhisperConfig::read(&folder).unwrap();
    let generation = GenerationConfig { is_multilingual: Some(false), ..GenerationConfig::default() };
    let tokenizer = Tokenizer::from_folder(&path).unwrap();
    let vocabulary = Vocabulary::new(tokenizer, &config, &generation).unwrap();
    let prompt = vocabulary.prompt(&Task { previous: &[], language: Some(5), timestamps: false });
    assert_eq!(prompt, [vocabulary.start, vocabulary.no_timestamps]);
    assert_eq!(vocabulary.code(None).as_deref(), Some("en"));
    let network = Network::load(&folder, config, WhisperWeights::F32).unwrap();
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    assert!(decode::detect_language(&network, &vocabulary, &golden.heard("short")).is_none());
}

#[test]
fn a_tokenizer_without_a_needed_token_is_refused_by_its_name() {
    let path = golden_folder().join("multilingual");
    let folder = SafetensorsFolder::open(&path).unwrap();
    let config = WhisperConfig { vocab_size: 345, ..WhisperConfig::read(&folder).unwrap() };
    let tokenizer = Tokenizer::from_folder(&path).unwrap();
    let error = Vocabulary::new(tokenizer, &config, &GenerationConfig::default()).unwrap_err();
    assert!(error.contains("<|notimestamps|>") && error.contains("345"), "{error}");
}

#[test]
fn what_may_follow_is_what_the_reference_lets_follow() {
    for name in CHECKPOINTS {
        let golden = Golden::load(name, WhisperWeights::F32);
        let (rules, logits) = (golden.rules(), golden.floats("rules.logits"));
        for case in 0..9 {
            let written = golden.tokens(&format!("rules.{case}.written"));
            for (kind, timestamps) in [("timed", true), ("plain", false)] {
                let mut ruled = logits.clone();
                rules.apply(&written, timestamps, &mut ruled);
                let allowed: Vec<u8> = ruled.iter().map(|logit| u8::from(logit.is_finite())).collect();
                assert_eq!(
                    allowed,
                    golden.bytes_of(&format!("rules.{case}.{kind}")),
                    "{name}, {written:?}, {kind}"
                );
                let unchanged =
                    ruled.iter().zip(&logits).all(|(ruled, logit)| ruled == logit || !ruled.is_finite());
                assert!(unchanged);
            }
        }
    }
}

#[test]
fn lists_with_ids_that_are_no_tokens_are_passed_over() {
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    let generation = GenerationConfig {
        suppress_tokens: Some(vec![-1, 3, 1_000_000, i64::from(golden.vocabulary.end)]),
        begin_suppress_tokens: Some(vec![-7, 1 << 40]),
        ..GenerationConfig::default()
    };
    let mut logits = vec![0.0; golden.vocabulary.len()];
    Rules::new(&golden.vocabulary, &generation).apply(&[], false, &mut logits);
    assert!(logits[3] == f32::NEG_INFINITY && logits[4] == 0.0);
    assert_eq!(logits[golden.vocabulary.end as usize], 0.0, "a text can always end");
    assert!(log_sum_exp(&logits).is_finite());
}
