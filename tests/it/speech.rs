//! The native speech engines together: flite speaks, PocketSphinx hears; and human recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vivavoce::audio::wav;
use vivavoce::cli::{say::Say, transcribe::Transcribe};
use vivavoce::config::Config;
use vivavoce::engines::{Asr, AsrRequest, CancelToken, INPUT_RATE_HZ, SpeechContext};
use vivavoce::engines::{load_asr, load_tts};

const SENTENCES: [&str; 10] = [
    "What is the capital of France?",
    "What time does the train leave?",
    "My name is John and I live in New York.",
    "Stop talking and listen to me.",
    "How many people live in Germany?",
    "Tell me a joke about computers.",
    "Can you remind me to call my mother tomorrow morning?",
    "What is the meaning of life?",
    "The quick brown fox jumps over the lazy dog.",
    "Give me three good reasons to learn music.",
];

/// Lower-case words without punctuation, spelled as the recogniser spells them.
fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != '\'', " ");
    plain
        .split_whitespace()
        .map(|word| if word == "mister" { "mr".into() } else { word.to_owned() })
        .collect()
}

/// Words to insert, delete or replace to make one of the other (Levenshtein's distance).
fn word_errors(want: &[String], got: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=got.len()).collect();
    for (i, want) in want.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, got) in got.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(want != got)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[got.len()]
}

/// Recognises each recording; gives the word error rate over all and prints every mistake.
fn word_error_rate(
    asr: &mut dyn Asr,
    recordings: impl IntoIterator<Item = (String, Vec<i16>)>,
    context: Option<&Arc<SpeechContext>>,
) -> f64 {
    let (mut errors, mut total) = (0, 0);
    for (said, pcm) in recordings {
        let heard = asr
            .transcribe(&AsrRequest { pcm: &pcm, language: None, context }, &CancelToken::new())
            .unwrap()
            .text;
        let (want, got) = (words(&said), words(&heard));
        let wrong = word_errors(&want, &got);
        if wrong > 0 {
            println!("{wrong} of {} words: {said:?} was heard as {heard:?}", want.len());
        }
        errors += wrong;
        total += want.len();
    }
    errors as f64 / total as f64
}

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
    let Ok(transcripts) = std::fs::read_to_string(folder.join("transcripts.json")) else {
        println!("skipped: there are no recordings in {}", folder.display());
        return;
    };
    let transcripts: BTreeMap<String, String> = serde_json::from_str(&transcripts).unwrap();
    let read = |(file, said)| (said, wav::read_i16(&folder.join(file), INPUT_RATE_HZ).unwrap());
    let recordings: Vec<(String, Vec<i16>)> = transcripts.into_iter().map(read).collect();
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
    config.tts.engine = "piper".into();
    config.asr.engine = "whisper".into();
    let error = load_tts(&config).err().unwrap().to_string();
    assert_eq!(
        error,
        "tts: there is no engine \"piper\"; set tts.engine to one of auto, flite, kokoro, scripted"
    );
    let error = load_asr(&config).err().unwrap().to_string();
    assert_eq!(
        error,
        "asr: there is no engine \"whisper\"; set asr.engine to one of auto, pocketsphinx, scripted"
    );
}
