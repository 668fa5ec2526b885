//! The engine as the server loads it.

use std::sync::Arc;

use super::super::{NAME, WhisperModel, find};
use super::*;
use crate::config::Config;
use crate::engines::{AsrRequest, AsrState, SpeechContext, load_asr};

fn config(model: &Path) -> Config {
    let mut config = Config::default();
    config.asr.engine = NAME.to_owned();
    config.asr.whisper.model = model.display().to_string();
    config.asr.whisper.threads = 2;
    config.asr.whisper.fallbacks = 0;
    config
}

fn pcm() -> Vec<i16> {
    let bytes = Golden::load("multilingual", WhisperWeights::F32).bytes_of("samples");
    bytes.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect()
}

#[test]
fn the_server_finds_loads_and_asks_it() {
    let config = config(&golden_folder().join("multilingual"));
    let found = find(&config).unwrap().unwrap();
    assert_eq!(found.path, golden_folder().join("multilingual"));
    let pcm = pcm();
    let mut asr = load_asr(&config).unwrap();
    let request = AsrRequest { pcm: &pcm, language: Some("de"), context: None };
    let transcript = asr.transcribe(&request, &CancelToken::new()).unwrap();
    assert!(!transcript.text.is_empty());
    assert_eq!(transcript.language.as_deref(), Some("de"));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert!(matches!(asr.transcribe(&request, &cancelled), Err(EngineError::Cancelled)));
    assert_eq!(asr.transcribe(&request, &CancelToken::new()).unwrap(), transcript);
}

#[test]
fn what_is_kept_of_interim_recognitions_changes_no_words() {
    let model = WhisperModel::load(&config(&golden_folder().join("multilingual"))).unwrap();
    let (pcm, mut asr) = (pcm(), model.asr());
    let mut state = AsrState::default();
    for samples in [8_000, 15_000, 20_000, 21_000] {
        let request = AsrRequest { language: Some("fr"), ..AsrRequest::new(&pcm[..samples]) };
        let kept = asr.transcribe_on(&request, &mut state, &CancelToken::new()).unwrap();
        assert_eq!(kept, asr.transcribe(&request, &CancelToken::new()).unwrap());
        assert!(!state.is_empty());
    }
    // Of another engine's state, and of another utterance's, nothing is taken.
    let request = AsrRequest::new(&pcm[3_000..]);
    let alone = asr.transcribe(&request, &CancelToken::new()).unwrap();
    assert_eq!(asr.transcribe_on(&request, &mut state, &CancelToken::new()).unwrap(), alone);
    let mut strange = AsrState::default();
    strange.keep(request.pcm, "something else");
    assert_eq!(asr.transcribe_on(&request, &mut strange, &CancelToken::new()).unwrap(), alone);
}

#[test]
fn names_of_the_conversation_go_before_the_words() {
    let model = WhisperModel::load(&config(&golden_folder().join("multilingual"))).unwrap();
    let (pcm, mut asr) = (pcm(), model.asr());
    let context = Arc::new(SpeechContext {
        facts: vec!["The desk is run by Marta Kowalska.".to_owned()],
        ..SpeechContext::default()
    });
    let about = |context| AsrRequest { pcm: &pcm, language: Some("de"), context };
    let mut words = |context| asr.transcribe(&about(context), &CancelToken::new()).unwrap().text;
    let plain = words(None);
    // A model of random weights writes something else behind another beginning.
    assert_ne!(words(Some(&context)), plain);
    assert_eq!(words(None), plain);
}

#[test]
fn what_is_not_there_is_told_with_the_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(Path::new("auto"));
    config.models.cache = cache.path().to_owned();
    assert_eq!(find(&config).unwrap(), None);
    let error = WhisperModel::load(&config).err().unwrap().to_string();
    assert!(error.contains("vivavoce models pull whisper-base"), "{error}");
    config.asr.whisper.model = "whisper-small".to_owned();
    let error = WhisperModel::load(&config).err().unwrap().to_string();
    assert!(error.contains("whisper-small") && error.contains("pull"), "{error}");
    config.asr.whisper.model = cache.path().display().to_string();
    let error = WhisperModel::load(&config).err().unwrap().to_string();
    assert!(error.contains("config.json"), "{error}");
}
