use std::ops::ControlFlow;

use super::*;
use crate::audio::{pcm, resample};
use crate::engines::{OUTPUT_RATE_HZ, Tts, TtsEvent, flite::FliteTts};

fn engine() -> PocketSphinx {
    PocketSphinx::load(&Config::default()).unwrap()
}

/// 16 kHz speech of flite, with some silence around it.
fn speech(text: &str) -> Vec<i16> {
    let mut audio = vec![];
    FliteTts::load(&Config::default())
        .unwrap()
        .synthesize(text, None, &CancelToken::new(), &mut |event| {
            if let TtsEvent::Audio(samples) = event {
                audio.extend(samples);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let speech = resample::resample(&audio, OUTPUT_RATE_HZ, INPUT_RATE_HZ).unwrap();
    let mut pcm = vec![0; 4_800];
    pcm.extend(pcm::i16s_from_f32s(&speech));
    pcm.extend([0; 4_800]);
    pcm
}

fn knowing(facts: &[&str]) -> Arc<SpeechContext> {
    let facts = facts.iter().map(|fact| (*fact).to_owned()).collect();
    Arc::new(SpeechContext { name: "Vivavoce".into(), facts, ..SpeechContext::default() })
}

fn hear_knowing(engine: &mut PocketSphinx, pcm: &[i16], context: &Arc<SpeechContext>) -> String {
    let request = AsrRequest { pcm, language: None, context: Some(context) };
    engine.transcribe(&request, &CancelToken::new()).unwrap().text
}

fn hear(engine: &mut PocketSphinx, pcm: &[i16]) -> String {
    let transcript = engine.transcribe(&AsrRequest::new(pcm), &CancelToken::new()).unwrap();
    assert_eq!(transcript.language.as_deref(), Some("en"));
    transcript.text
}

#[test]
fn an_utterance_is_heard_the_same_whatever_came_before() {
    let mut engine = engine();
    let (question, other) =
        (speech("What is the capital of France?"), speech("Tell me a joke about computers."));
    let frames = engine.front_end.cepstra(&question);
    let first = hear(&mut engine, &question);
    assert_eq!(first, "what is the capital of france");
    assert_eq!(hear(&mut engine, &question), first);
    assert_eq!(hear(&mut engine, &other), "tell me a joke about computers");
    // Ten times louder, and much noise: either would move a mean or a noise estimate that is carried over.
    hear(&mut engine, &other.iter().map(|s| s.saturating_mul(10)).collect::<Vec<_>>());
    hear(&mut engine, &warm_up_noise().repeat(6));
    assert!(engine.front_end.cepstra(&question) == frames, "the front end remembers");
    assert_eq!(hear(&mut engine, &question), first);
    assert_eq!(hear(&mut self::engine(), &question), first);
}

#[test]
fn no_speech_is_no_words() {
    let mut engine = engine();
    for len in [0, 1, 159, 160, 409, 410, 411, 1_000, 16_000, 80_000] {
        assert_eq!(hear(&mut engine, &vec![0; len]), "", "{len} samples of silence");
    }
    for len in [1, 200, 410, 800, 1_600] {
        // Too short for words; must not upset the library.
        hear(&mut engine, &warm_up_noise()[4_000..4_000 + len]);
    }
    hear(&mut engine, &vec![i16::MAX; 16_000]);
    hear(&mut engine, &[i16::MIN, i16::MAX].repeat(8_000));
}

#[test]
fn a_cancel_is_noticed_and_leaves_the_decoder_usable() {
    let mut engine = engine();
    let question = speech("What is the capital of France?");
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(engine.transcribe(&AsrRequest::new(&question), &cancel), Err(EngineError::Cancelled)));
    assert!(matches!(engine.recognise(&question, &cancel), Err(EngineError::Cancelled)));

    // Cancelled by another thread while it is at work on minutes of audio.
    let minutes = question.repeat(40);
    let cancel = CancelToken::new();
    let result = std::thread::scope(|scope| {
        let (begin, begun) = std::sync::mpsc::channel();
        let worker = scope.spawn({
            let (engine, minutes, cancel) = (&mut engine, &minutes, &cancel);
            move || {
                begin.send(()).unwrap();
                engine.transcribe(&AsrRequest::new(minutes), cancel)
            }
        });
        begun.recv().unwrap();
        cancel.cancel();
        worker.join().unwrap()
    });
    assert!(matches!(result, Err(EngineError::Cancelled)));
    assert_eq!(hear(&mut engine, &question), "what is the capital of france");
}

#[test]
fn long_audio_is_cut_where_it_is_quiet() {
    let mut pcm = vec![8_000i16; MAX_WINDOW_SAMPLES];
    assert_eq!(window_len(&pcm), pcm.len());
    pcm.extend([8_000; 1_000]);
    let quiet = MIN_WINDOW_SAMPLES + 7 * MOMENT_SAMPLES;
    pcm[quiet..quiet + MOMENT_SAMPLES].fill(3);
    assert_eq!(window_len(&pcm), quiet + MOMENT_SAMPLES / 2);

    let sentence = speech("Tell me a joke about computers.");
    let text = hear(&mut engine(), &sentence.repeat(20));
    assert!(sentence.len() * 20 > MAX_WINDOW_SAMPLES);
    let heard = text.matches("joke about computers").count();
    assert!(heard >= 18, "{heard} of 20 in {text:?}");
}

#[test]
fn a_missing_or_empty_file_is_named_with_the_remedy() {
    let mut config = Config::default();
    let message = |config: &Config| PocketSphinx::load(config).err().unwrap().to_string();
    config.asr.pocketsphinx_model_dir = "/no/such/model".into();
    let error = message(&config);
    for part in
        ["pocketsphinx:", "/no/such/model/en-us/mdef", "pocketsphinx-en-us", "asr.pocketsphinx_model_dir"]
    {
        assert!(error.contains(part), "{part} is not in {error}");
    }

    // A copy of which one file after the other is missing or empty.
    let model = Config::default().asr.pocketsphinx_model_dir;
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("en-us")).unwrap();
    let files = Files::ACOUSTIC_FILES.iter().map(|f| format!("en-us/{f}"));
    let files: Vec<String> = files.chain([Files::DICTIONARY.into(), Files::LANGUAGE.into()]).collect();
    for file in &files {
        std::os::unix::fs::symlink(model.join(file), copy.path().join(file)).unwrap();
    }
    config.asr.pocketsphinx_model_dir = copy.path().into();
    for file in &files {
        let path = copy.path().join(file);
        std::fs::remove_file(&path).unwrap();
        assert!(message(&config).contains(&format!("{file}: No such file")), "{file}");
        std::fs::write(&path, "").unwrap();
        assert!(message(&config).contains(&format!("{file}: the file is empty")), "{file}");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(model.join(file), path).unwrap();
    }
    assert!(PocketSphinx::load(&config).is_ok());
}

#[test]
fn only_words_remain_of_a_hypothesis() {
    for (hypothesis, words) in [
        ("", ""),
        ("<s> hello <sil> the(2) world(3) </s>", "hello the world"),
        ("[NOISE] ++COUGH++ [SPEECH]", ""),
        ("i think i'm in india", "I think I'm in india"),
    ] {
        assert_eq!(words_of(hypothesis, &|_| None), words);
    }
    let spelling = |word: &str| (word == "quill's").then(|| "Quill's".to_owned());
    assert_eq!(words_of("<s> i like quill's(2) hall", &spelling), "I like Quill's hall");
}

#[test]
fn questions_about_the_facts_are_heard_and_spelled_as_the_facts_spell_them() {
    let context = knowing(&[
        "The tea room opens at 9:30.",
        "The Quillfeather Hall is on the first floor.",
        "Mina Zorbane runs the cloakroom.",
    ]);
    let mut config = Config::default();
    config.asr.pocketsphinx_domain_weight = 0.0;
    let (mut deaf, mut engine) = (PocketSphinx::load(&config).unwrap(), engine());
    for (question, want) in [
        ("When does the tea room open?", "when does the tea room open"),
        ("Where is the Quillfeather hall?", "where is the Quillfeather hall"),
        ("Where can I find Mina Zorbane?", "where can I find mina Zorbane"),
    ] {
        let pcm = speech(question);
        assert_ne!(hear_knowing(&mut deaf, &pcm, &context), want, "heard without knowing the facts");
        assert_eq!(hear_knowing(&mut engine, &pcm, &context), want);
    }
}

#[test]
fn each_conversation_has_its_own_words() {
    let mut engine = engine();
    let quillfeather = knowing(&["The Quillfeather Hall is upstairs."]);
    let zorbane = knowing(&["The Zorbane Garden is behind the house."]);
    let (hall, garden) = (speech("Where is the Quillfeather hall?"), speech("Where is the Zorbane garden?"));
    for _ in 0..2 {
        assert_eq!(hear_knowing(&mut engine, &hall, &quillfeather), "where is the Quillfeather hall");
        assert_eq!(hear_knowing(&mut engine, &garden, &zorbane), "where is the Zorbane garden");
        let strange = hear_knowing(&mut engine, &garden, &quillfeather).to_lowercase();
        assert!(!strange.contains("zorbane"), "{strange:?} has a word of another conversation");
    }
    // An equal context is the same one, though it is not the same object.
    let again = Arc::new((*zorbane).clone());
    assert_eq!(hear_knowing(&mut engine, &garden, &again), "where is the Zorbane garden");
    // The persona's own words come with the settings, before anybody has spoken.
    let mut config = Config::default();
    config.persona.facts = vec!["The Zorbane Garden is behind the house.".into()];
    let context = Arc::new(SpeechContext::of(&config.persona));
    let mut engine = PocketSphinx::load(&config).unwrap();
    assert!(engine.ear.spelling("zorbane").is_some());
    assert_eq!(hear_knowing(&mut engine, &garden, &context), "where is the Zorbane garden");
}

#[test]
fn whatever_the_facts_are_the_recogniser_works() {
    let mut engine = engine();
    let question = speech("What is the capital of France?");
    let long_word = "Pneumono".repeat(100);
    let many_words = "zab zeb zib zob zub ".repeat(2_000);
    let strange: [&[&str]; 7] = [
        &["", " ", "...", "\u{0}", "世界 😀"],
        &["<s> </s> <UNK> the(2) {thing} [NOISE] ++COUGH++ # \\data\\ \\1-grams:"],
        &["'s 's 's", "a'b'c'd", "O'Zab's", "--- a-b-c/d.e.f."],
        &["12345678901234567890 0.0.0.0 1:2:3 $ $$5 €", "9:99 p.m. A.B.C.D."],
        &[&long_word],
        &[&many_words],
        &["Zab.", "Zab!", "ZAB", "zab's Zab"],
    ];
    for facts in strange {
        assert_eq!(
            hear_knowing(&mut engine, &question, &knowing(facts)),
            "what is the capital of france",
            "{facts:?}"
        );
    }
}
