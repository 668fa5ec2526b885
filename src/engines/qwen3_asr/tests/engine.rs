//! Recordings through the recogniser and the engine.

use super::*;
use crate::config::Config;

fn config() -> Config {
    let mut config = Config::default();
    config.asr.qwen3_asr.model = golden_folder().join("hf").display().to_string();
    config.asr.qwen3_asr.quantize = false;
    config.asr.qwen3_asr.threads = 2;
    config.persona.facts = vec!["The manager is Marta Kowalska.".to_owned()];
    config
}

fn recognised(recogniser: &Recogniser, samples: &[f32], hints: &Hints<'_>) -> Recognised {
    recogniser.transcribe(samples, hints, &CancelToken::new()).unwrap()
}

#[test]
fn a_recording_becomes_the_words_of_its_tokens() {
    let golden = Golden::read();
    let recogniser = recogniser("original", Precision::F32);
    for (name, begin, end) in RECORDINGS {
        let expected = golden.numbers(&format!("{name}.written"));
        let samples = f32s_from_i16s(&golden.pcm(begin, end));
        let hints = Hints { language: english(), context: "Grand Hotel.", beginning: Beginning::Free };
        let recognised = recognised(&recogniser, &samples, &hints);
        // The recogniser bounds the words by the length of the speech, not by those of the golden.
        assert!(recognised.tokens.starts_with(&expected), "{name}: {:?}", recognised.tokens);
        assert!(recognised.tokens.len() <= decode::max_tokens(samples.len()));
        assert_eq!(recognised.text, recogniser.vocabulary.read(&recognised.tokens, english()).text);
        assert_eq!(recognised.language, english());
    }
}

#[test]
fn of_silence_nothing_is_made() {
    let recogniser = recogniser("hf", Precision::F32);
    for samples in [0, 100, 16_000, 200_000] {
        let nothing = recognised(&recogniser, &vec![0.0; samples], &Hints::default());
        assert_eq!(nothing, Recognised::default());
    }
}

#[test]
fn what_a_conversation_begins_with_is_read_once_and_changes_nothing() {
    let golden = Golden::read();
    let recogniser = recogniser("hf", Precision::EightBits);
    let samples = golden.samples(0, 32_000);
    let in_context = |context| recognised(&recogniser, &samples, &Hints { context, ..Hints::default() });
    let first = in_context("Vera. Grand Hotel.");
    let others: Vec<Recognised> = (0..12).map(|n| in_context(["", "Marta", "Kowalska"][n % 3])).collect();
    assert_eq!(in_context("Vera. Grand Hotel."), first);
    assert_eq!(others[..3], others[3..6]);
    assert_ne!(others[0].tokens, others[1].tokens, "a context is heard");
}

#[test]
fn a_recording_that_is_too_long_is_recognised_in_pieces() {
    let golden = Golden::read();
    let recogniser = recogniser("hf", Precision::F32);
    // The tiny model has 2048 positions: room for less than a minute of audio and its answer.
    let samples = golden.samples(0, 160_000).repeat(7);
    let long = recognised(&recogniser, &samples, &Hints { language: english(), ..Hints::default() });
    assert!(long.tokens.is_empty() && !long.text.is_empty());
    let short =
        recognised(&recogniser, &samples[..320_000], &Hints { language: english(), ..Hints::default() });
    assert!(!short.tokens.is_empty());
    assert!(long.text.len() > short.text.len());
}

#[test]
fn the_engine_recognises_and_goes_on_where_it_was() {
    let golden = Golden::read();
    let model = Qwen3AsrModel::load(&config()).unwrap();
    let context = Arc::new(SpeechContext::of(&config().persona));
    let pcm = golden.pcm(0, 160_000);
    let ask = |asr: &mut Box<dyn Asr>, samples: usize, state: &mut AsrState| {
        let request = AsrRequest {
            context: Some(&context),
            language: Some("de-AT"),
            ..AsrRequest::new(&pcm[..samples])
        };
        asr.transcribe_on(&request, state, &CancelToken::new()).unwrap()
    };
    let mut asr = model.asr();
    let alone = ask(&mut asr, pcm.len(), &mut AsrState::default());
    assert_eq!(alone.language.as_deref(), Some("de"));
    let mut state = AsrState::default();
    for samples in [32_000, 64_000, 120_000] {
        ask(&mut asr, samples, &mut state);
    }
    let mut other_worker = model.asr();
    assert_eq!(ask(&mut other_worker, pcm.len(), &mut state), alone);
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(asr.transcribe_on(&AsrRequest::new(&pcm), &mut state, &cancel).is_err());
    assert!(!state.is_empty(), "a recognition that is cancelled takes nothing");

    // Another utterance knows nothing of this one.
    let request = AsrRequest::new(&pcm[20_000..60_000]);
    let fresh = asr.transcribe(&request, &CancelToken::new()).unwrap();
    assert_eq!(asr.transcribe_on(&request, &mut state, &CancelToken::new()).unwrap(), fresh);

    assert!(matches!(asr.transcribe(&request, &cancel), Err(EngineError::Cancelled)));
}

#[test]
fn a_model_that_is_not_there_is_named_with_the_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let mut config = config();
    config.models.cache = cache.path().to_owned();
    config.asr.qwen3_asr.model = "auto".to_owned();
    assert_eq!(find(&config).unwrap(), None);
    let error = Qwen3AsrModel::load(&config).err().unwrap().to_string();
    assert!(error.contains("vivavoce models pull qwen3-asr-0.6b"), "{error}");
    config.asr.qwen3_asr.model = "qwen3-asr-1.7b".to_owned();
    let error = find(&config).unwrap_err().to_string();
    assert!(error.contains("asr.qwen3_asr.model") && error.contains("qwen3-asr-1.7b"), "{error}");
}
