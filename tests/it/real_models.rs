//! Trained weights, where somebody has pulled them: `RUN_MODEL_TESTS=1 cargo nextest run real_models
//! --no-capture`. `docs/models.md` says how, and has a table for the figures that are printed.
//!
//! A published model is not ours to hold to a figure, so each is held to what it replaces: a recogniser to
//! PocketSphinx, a voice to flite. A port that computes something else fails that by far.

use std::path::PathBuf;
use std::time::Instant;

use vivavoce::audio::{pcm, resample};
use vivavoce::config::Config;
use vivavoce::engines::smart_turn::{self, SmartTurn};
use vivavoce::engines::{
    Asr, CancelToken, INPUT_RATE_HZ, OUTPUT_RATE_HZ, TtsEvent, TurnJudge, load_asr, load_tts,
};
use vivavoce::models::{self, Engine};

use crate::word_errors::{Recording, SENTENCES, recordings, word_error_rate};

/// `None` unless somebody asked for these tests; then the configuration with their models' folder.
fn wanted() -> Option<Config> {
    if std::env::var("RUN_MODEL_TESTS").as_deref() != Ok("1") {
        println!("skipped: RUN_MODEL_TESTS is not 1");
        return None;
    }
    let mut config = Config::default();
    if let Ok(folder) = std::env::var("VIVAVOCE_MODELS__CACHE") {
        config.models.cache = folder.into();
    }
    Some(config)
}

/// The recognisers that were pulled, by name.
fn recognisers(config: &Config) -> Vec<(String, Box<dyn Asr>)> {
    let load = |model: models::Found| {
        let mut config = config.clone();
        let is_qwen = model.name.starts_with("qwen3-asr");
        config.asr.engine = if is_qwen { "qwen3-asr" } else { "whisper" }.into();
        let key = if is_qwen { &mut config.asr.qwen3_asr.model } else { &mut config.asr.whisper.model };
        key.clone_from(&model.name);
        (model.name, load_asr(&config).unwrap())
    };
    models::pulled(config, Engine::Asr).unwrap().into_iter().map(load).collect()
}

fn floor_recogniser(config: &Config) -> Box<dyn Asr> {
    let mut config = config.clone();
    config.asr.engine = "pocketsphinx".into();
    load_asr(&config).unwrap()
}

/// The voice says each sentence; 16 kHz.
fn say(config: &Config) -> Vec<Recording> {
    let mut tts = load_tts(config).unwrap();
    let mut spoken = |text: &str| {
        let (mut samples, mut words) = (vec![], vec![]);
        tts.synthesize(text, None, &CancelToken::new(), &mut |event| {
            match event {
                TtsEvent::Audio(more) => samples.extend(more),
                TtsEvent::Words(more) => words.extend(more),
                TtsEvent::Phonemes(_) => {}
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert!(words.iter().all(|word| word.end_sample <= samples.len() as u64), "{text}: {words:?}");
        let samples = resample::resample(&samples, OUTPUT_RATE_HZ, INPUT_RATE_HZ).unwrap();
        pcm::i16s_from_f32s(&samples)
    };
    SENTENCES.iter().map(|text| ((*text).to_owned(), spoken(text))).collect()
}

#[test]
fn pulled_recognisers_hear_people_better_than_pocketsphinx() {
    let Some(config) = wanted() else { return };
    let folder = std::env::var("MODEL_TESTS_SPEECH").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/speech")),
        PathBuf::from,
    );
    let recordings = recordings(&folder).unwrap_or_else(|| {
        panic!("{}: no transcripts.json; name a folder in MODEL_TESTS_SPEECH", folder.display())
    });
    let seconds =
        recordings.iter().map(|(_, pcm)| pcm.len()).sum::<usize>() as f64 / f64::from(INPUT_RATE_HZ);
    let floor = word_error_rate(floor_recogniser(&config).as_mut(), recordings.clone(), None);
    println!("| pocketsphinx | {:.1} % |", 100.0 * floor);
    for (name, mut asr) in recognisers(&config) {
        let began = Instant::now();
        let rate = word_error_rate(asr.as_mut(), recordings.clone(), None);
        println!("| {name} | {:.1} % | RTF {:.2} |", 100.0 * rate, began.elapsed().as_secs_f64() / seconds);
        assert!(rate < floor, "{name}: word error rate {rate}, PocketSphinx's is {floor}");
    }
}

#[test]
fn what_pulled_voices_say_is_understood_as_well_as_flite() {
    let Some(config) = wanted() else { return };
    let voices = models::pulled(&config, Engine::Tts).unwrap();
    let mut said = vec![];
    for model in voices.into_iter().filter(|model| model.name != "kokoro-lexicon") {
        let mut config = config.clone();
        config.tts.engine = "kokoro".into();
        config.tts.kokoro.model.clone_from(&model.name);
        said.push((model.name, say(&config)));
    }
    let mut flite = config.clone();
    flite.tts.engine = "flite".into();
    let flite = say(&flite);
    let mut ears = recognisers(&config);
    ears.push(("pocketsphinx".into(), floor_recogniser(&config)));
    for (ear, asr) in &mut ears {
        let floor = word_error_rate(asr.as_mut(), flite.clone(), None);
        println!("| flite | {ear} | {:.1} % |", 100.0 * floor);
        for (voice, recordings) in &said {
            let rate = word_error_rate(asr.as_mut(), recordings.clone(), None);
            println!("| {voice} | {ear} | {:.1} % |", 100.0 * rate);
            assert!(rate <= floor + 0.05, "{voice}, heard by {ear}: {rate}; flite: {floor}");
        }
    }
}

#[test]
fn a_sentence_is_more_finished_at_its_end_than_in_its_middle() {
    let Some(config) = wanted() else { return };
    let Some(network) = smart_turn::find(&config).unwrap() else {
        println!("skipped: smart-turn-v3 was not pulled");
        return;
    };
    let mut judge = SmartTurn::load(&config.models, &network).unwrap();
    let mut flite = config.clone();
    flite.tts.engine = "flite".into();
    let (mut right, mut all) = (0, 0);
    for (text, pcm) in say(&flite) {
        let [middle, end] = [&pcm[..pcm.len() / 2], &pcm[..]].map(|pcm| judge.judge(pcm).unwrap());
        println!("{text:?}: {middle:.2} in the middle, {end:.2} at the end");
        right += usize::from(end > middle);
        all += 1;
    }
    assert!(right * 10 >= all * 8, "{right} of {all}");
}
