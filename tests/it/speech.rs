//! The native speech engines together: flite speaks, PocketSphinx hears; and human recordings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vivavoce::audio::wav;
use vivavoce::cli::{say::Say, transcribe::Transcribe};
use vivavoce::config::Config;
use vivavoce::engines::{Engines, INPUT_RATE_HZ, SpeechContext, load_asr, load_tts};

use crate::word_errors::{SENTENCES, recordings, word_error_rate};

#[test]
fn what_flite_says_pocketsphinx_hears() {
    let (config, folder) = (Config::default(), tempfile::tempdir().unwrap());
    let recordings = SENTENCES.iter().enumerate().map(|(n, text)| {
        let file = folder.path().join(format!("{n}.wav"));
        let mut told = vec![];
        Say { text: (*text).into(), out: Some(file.clone()) }.run(&config, &mut told).unwrap();
        assert!(String::from_utf8(told).unwrap().contains(" s of speech"));
        ((*text).to_owned(), wav::read_i16(&file, INPUT_RATE_HZ).unwrap())
    });
    let rate = word_error_rate(load_asr(&config).unwrap().as_mut(), recordings, None);
    println!("word error rate {:.1} %", 100.0 * rate);
    assert!(rate <= 0.10, "word error rate {rate}");
}

#[test]
fn humans_are_understood_as_well_as_this_model_can() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/speech"));
    let Some(recordings) = recordings(folder) else {
        println!("skipped: there are no recordings in {}", folder.display());
        return;
    };
    let mut config = Config::default();
    let mut knowing = load_asr(&config).unwrap();
    config.asr.pocketsphinx_domain_weight = 0.0;
    let general = word_error_rate(load_asr(&config).unwrap().as_mut(), recordings.clone(), None);
    println!("word error rate {:.1} %", 100.0 * general);
    assert!(general <= 0.30, "word error rate {general}");

    // What the recogniser knows of usual questions, and of facts that nobody speaks of, must do no harm.
    let facts = [
        "The tea room opens at 9:30.",
        "Dogs are welcome in the Quillfeather Hall.",
        "Mina Zorbane is here.",
    ];
    let facts = facts.map(str::to_owned).to_vec();
    let context = Arc::new(SpeechContext { facts, ..SpeechContext::default() });
    for context in [None, Some(&context)] {
        let rate = word_error_rate(knowing.as_mut(), recordings.clone(), context);
        println!("word error rate {:.1} % beside {:.1} %", 100.0 * rate, 100.0 * general);
        assert!(rate <= general + 0.02, "word error rate {rate}, without the domain {general}");
    }
}

#[test]
fn the_commands_report_their_errors_in_one_line() {
    let config = Config::default();
    let transcribe = |file: PathBuf| Transcribe { file }.run(&config, &mut vec![]).unwrap_err().to_string();
    let error = transcribe("no/such.wav".into());
    assert!(error.starts_with("no/such.wav: ") && !error.contains('\n'), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let say = |text: &str, out: PathBuf| Say { text: text.into(), out: Some(out) }.run(&config, &mut vec![]);
    let error = say("Hello.", folder.path().join("no/folder.wav")).unwrap_err().to_string();
    assert!(error.contains("no/folder.wav: No such file"), "{error}");
    let error = say("...", folder.path().join("nothing.wav")).unwrap_err().to_string();
    assert_eq!(error, "there is nothing to say in \"...\"");
}

#[test]
fn transcribe_prints_the_words_of_a_file_of_any_rate() {
    let (config, folder) = (Config::default(), tempfile::tempdir().unwrap());
    let file = folder.path().join("question.wav");
    Say { text: "What is the capital of France?".into(), out: Some(file.clone()) }
        .run(&config, &mut vec![])
        .unwrap();
    let mut printed = vec![];
    Transcribe { file }.run(&config, &mut printed).unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), "what is the capital of france\n");
}

#[test]
fn an_engine_that_is_not_there_is_named_with_those_that_are() {
    let mut config = Config::default();
    config.tts.engine = "festival".into();
    config.asr.engine = "vosk".into();
    let error = load_tts(&config).err().unwrap().to_string();
    let engines = "auto, kokoro, flite, openai, scripted";
    assert_eq!(error, format!("tts: there is no engine \"festival\"; set tts.engine to one of {engines}"));
    let error = load_asr(&config).err().unwrap().to_string();
    let engines = "auto, qwen3-asr, whisper, pocketsphinx, openai, scripted";
    assert_eq!(error, format!("asr: there is no engine \"vosk\"; set asr.engine to one of {engines}"));
}

#[test]
fn auto_takes_the_recogniser_that_has_a_model() {
    let mut config = Config::default();
    for engine in [&mut config.vad.engine, &mut config.llm.engine, &mut config.tts.engine] {
        *engine = "scripted".into();
    }
    config.models.cache = "/no/such/folder".into();
    let name = |config: &Config| Engines::load(config, &[]).unwrap().names.asr;
    assert_eq!(name(&config), "pocketsphinx");
    let golden = |name: &str| format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    config.asr.whisper.model = golden("whisper/multilingual");
    assert_eq!(name(&config), "whisper");
    config.asr.qwen3_asr.model = golden("qwen3_asr/original");
    assert_eq!(name(&config), "qwen3-asr");
    config.asr.engine = "whisper".into();
    assert_eq!(name(&config), "whisper");
}
