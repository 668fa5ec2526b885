//! Goldens in `tests/golden/qwen3_asr/`, made by `models/parity/qwen3_asr/generate.py`: stage by stage
//! against transformers in both layouts, and whole recordings through the recogniser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, is_looping};
use super::decode::{self, DecodeError, Known, Question};
use super::languages::LANGUAGES;
use super::layout::Layout;
use super::prompt::Vocabulary;
use super::recogniser::Recognised;
use super::*;
use crate::engines::local::text::Tokenizer;
use crate::engines::mel::{LogMel, Mel};

mod engine;
mod files;
mod words;

const TOLERANCE: f32 = 1e-4;
const LAYOUTS: [&str; 2] = ["original", "hf"];
/// Of the recordings, and where they begin and end in the samples: beyond a window of 8 s; two chunks and a
/// part of one; less than half a second.
const RECORDINGS: [(&str, usize, usize); 3] =
    [("long", 0, 181_920), ("medium", 16_000, 53_520), ("short", 30_000, 34_800)];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/qwen3_asr")
}

fn read_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(golden_folder().join(name)).unwrap()).unwrap()
}

fn folder(layout: &str) -> SafetensorsFolder {
    SafetensorsFolder::open(&golden_folder().join(layout)).unwrap()
}

fn recogniser(layout: &str, precision: Precision) -> Recogniser {
    Recogniser::load(&folder(layout), precision).unwrap()
}

fn english() -> Option<Language> {
    Language::of("en")
}

/// What the reference made of the recordings.
struct Golden(Vec<u8>);

impl Golden {
    fn read() -> Golden {
        Golden(std::fs::read(golden_folder().join("golden.safetensors")).unwrap())
    }

    fn bytes_of(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes_of(name).as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
    }

    fn numbers(&self, name: &str) -> Vec<u32> {
        self.bytes_of(name).as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
    }

    fn pcm(&self, begin: usize, end: usize) -> Vec<i16> {
        let samples = self.bytes_of("samples");
        samples.as_chunks().0[begin..end].iter().map(|two| i16::from_le_bytes(*two)).collect()
    }

    /// −1…1, of half a second at least.
    fn samples(&self, begin: usize, end: usize) -> Vec<f32> {
        let mut samples = f32s_from_i16s(&self.pcm(begin, end));
        samples.resize(samples.len().max(8_000), 0.0);
        samples
    }

    fn mel(&self, begin: usize, end: usize) -> Mel {
        LogMel::new(128).extract(&self.samples(begin, end))
    }
}

#[track_caller]
fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many numbers");
    let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest <= tolerance, "{what}: {furthest} away");
}

/// A question about a golden recording, with its parts.
struct Asked {
    before: Vec<u32>,
    audio: Vec<f32>,
    after: Vec<u32>,
}

impl Asked {
    fn new(golden: &Golden, recogniser: &Recogniser, begin: usize, end: usize) -> Asked {
        let vocabulary = &recogniser.vocabulary;
        Asked {
            before: vocabulary.before_audio("Grand Hotel.").unwrap(),
            audio: recogniser.tower.forward(&golden.mel(begin, end), &CancelToken::new()).unwrap(),
            after: vocabulary.after_audio(english()).unwrap(),
        }
    }

    fn answer(&self, recogniser: &Recogniser, beginning: Beginning<'_>, max_tokens: usize) -> Vec<u32> {
        let Asked { before, audio, after } = self;
        let question = Question { before, audio, after, beginning, max_tokens };
        let vocabulary = &recogniser.vocabulary;
        let known = Known { tokens: vocabulary.size(), ends: vocabulary.ends() };
        let mut cache = recogniser.text.new_cache();
        decode::answer(&recogniser.text, &question, known, &mut cache, &CancelToken::new()).unwrap()
    }
}

#[test]
fn each_stage_gives_what_the_reference_gives() {
    let golden = Golden::read();
    for layout in LAYOUTS {
        let recogniser = recogniser(layout, Precision::F32);
        for (name, begin, end) in RECORDINGS {
            let what = |stage: &str| format!("{layout}, {name}, {stage}");
            let theirs = |stage: &str| golden.floats(&format!("{name}.{stage}"));
            let mel = golden.mel(begin, end);
            let frames = golden.numbers(&format!("{name}.frames"));
            let chosen = frames.iter().flat_map(|frame| &mel.by_frame()[*frame as usize * 128..][..128]);
            assert_close(&what("mel"), &chosen.copied().collect::<Vec<_>>(), &theirs("mel"), TOLERANCE);

            let tower = &recogniser.tower;
            let encoded = tower.encode(&mel, &CancelToken::new()).unwrap();
            assert_close(&what("tower"), &encoded, &theirs("tower"), TOLERANCE);
            assert_eq!(encoded.len(), tower.config().rows(mel.frames()) * 32);
            assert_close(
                &what("projector"),
                &tower.project(&theirs("tower")),
                &theirs("features"),
                TOLERANCE,
            );
        }
    }
}

#[test]
fn logits_are_the_references() {
    use crate::engines::local::decoder::RowSequence;
    use candle_core::{Device, Tensor};

    let golden = Golden::read();
    for layout in LAYOUTS {
        let recogniser = recogniser(layout, Precision::F32);
        let text = &recogniser.text;
        for (name, begin, end) in RECORDINGS {
            let asked = Asked::new(&golden, &recogniser, begin, end);
            let audio = Tensor::from_slice(&asked.audio, (asked.audio.len() / 64, 64), &Device::Cpu).unwrap();
            let parts = [text.embed(&asked.before).unwrap(), audio, text.embed(&asked.after).unwrap()];
            let rows = Tensor::cat(&parts, 0).unwrap();
            let ids = golden.numbers(&format!("{name}.ids"));
            assert_eq!(rows.dims(), [ids.len(), 64]);
            let mut cache = text.new_cache();
            let sequence = RowSequence { rows, cache: &mut cache, logits: 24 };
            let logits = text.forward_rows(&mut [sequence]).unwrap().concat().concat();
            let what = format!("{layout}, {name}");
            assert_close(&what, &logits, &golden.floats(&format!("{name}.logits")), TOLERANCE);
        }
    }
}

#[test]
fn answers_are_the_references_token_for_token() {
    let golden = Golden::read();
    for layout in LAYOUTS {
        let recogniser = recogniser(layout, Precision::F32);
        for (name, begin, end) in RECORDINGS {
            let expected = golden.numbers(&format!("{name}.written"));
            let asked = Asked::new(&golden, &recogniser, begin, end);
            let ours = asked.answer(&recogniser, Beginning::Free, expected.len());
            assert_eq!(ours, expected, "{layout}, {name}");
        }
    }
}

#[test]
fn eight_bits_are_near_to_thirty_two() {
    let golden = Golden::read();
    let (exact, small) = (recogniser("hf", Precision::F32), recogniser("hf", Precision::EightBits));
    assert!(small.bytes() * 2 < exact.bytes());
    let (_, begin, end) = RECORDINGS[0];
    let mel = golden.mel(begin, end);
    let rows = small.tower.forward(&mel, &CancelToken::new()).unwrap();
    let theirs = golden.floats("long.features");
    let distance: f32 = rows.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum();
    let relative = (distance / theirs.iter().map(|number| number * number).sum::<f32>()).sqrt();
    assert!((1e-4..0.05).contains(&relative), "relative distance {relative}");
}

#[test]
fn rows_have_the_same_bits_in_any_number_of_threads() {
    let golden = Golden::read();
    let recogniser = recogniser("hf", Precision::EightBits);
    let mel = golden.mel(0, 160_000);
    let hear = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| recogniser.tower.forward(&mel, &CancelToken::new()).unwrap())
    };
    assert!(hear(1) == hear(3));
}

#[test]
fn a_guess_changes_how_long_it_takes_and_nothing_else() {
    let golden = Golden::read();
    for precision in [Precision::F32, Precision::EightBits] {
        let recogniser = recogniser("original", precision);
        for (_, begin, end) in RECORDINGS {
            let asked = Asked::new(&golden, &recogniser, begin, end);
            let alone = asked.answer(&recogniser, Beginning::Free, 14);
            assert!(alone.len() > 6, "{alone:?}");
            let mut wrong_in_the_middle = alone.clone();
            wrong_in_the_middle[5] = (alone[5] + 1) % 300;
            let longer = [&alone[..], &[40; 50]].concat();
            for guess in [&alone[..], &alone[..3], &wrong_in_the_middle, &longer, &[0, 1, 2]] {
                assert_eq!(asked.answer(&recogniser, Beginning::Guessed(guess), 14), alone);
            }
            // More than is read together.
            let long = asked.answer(&recogniser, Beginning::Free, 90);
            for guess in [&long[..], &long[..long.len().min(40)]] {
                assert_eq!(asked.answer(&recogniser, Beginning::Guessed(guess), 90), long);
            }
            let given = asked.answer(&recogniser, Beginning::Given(&alone[..6]), 14);
            assert_eq!(given, alone, "what is given is what would have been written");
            let other = asked.answer(&recogniser, Beginning::Given(&[0, 1, 2]), 14);
            assert!(other.starts_with(&[0, 1, 2]), "what is given stays, right or wrong");
        }
    }
}

#[test]
fn an_answer_ends_at_an_end_token_wherever_it_comes() {
    let golden = Golden::read();
    let recogniser = recogniser("hf", Precision::F32);
    let (_, begin, end) = RECORDINGS[1];
    let asked = Asked::new(&golden, &recogniser, begin, end);
    let alone = asked.answer(&recogniser, Beginning::Free, 14);
    let Asked { before, audio, after } = &asked;
    for (at, beginning) in [(0, Beginning::Free), (4, Beginning::Free), (4, Beginning::Guessed(&alone))] {
        let known = Known { tokens: recogniser.vocabulary.size(), ends: &alone[at..=at] };
        let question = Question { before, audio, after, beginning, max_tokens: 14 };
        let mut cache = recogniser.text.new_cache();
        let ours =
            decode::answer(&recogniser.text, &question, known, &mut cache, &CancelToken::new()).unwrap();
        assert_eq!(ours, alone[..at]);
    }
}

#[test]
fn streaming_gives_what_the_references_rule_gives() {
    #[derive(Deserialize)]
    struct Step {
        samples: usize,
        given: Vec<u32>,
        written: Vec<u32>,
    }
    let golden = Golden::read();
    let recogniser = recogniser("original", Precision::F32);
    let vocabulary = &recogniser.vocabulary;
    let mut streaming = Streaming::default();
    let steps: Vec<Step> = read_json("streaming.json");
    assert!(steps.iter().any(|step| !step.given.is_empty()));
    for step in steps {
        let asked = Asked {
            before: vocabulary.before_audio("").unwrap(),
            after: vocabulary.after_audio(None).unwrap(),
            ..Asked::new(&golden, &recogniser, 0, step.samples)
        };
        // The tokens are of a random model: their bytes make no characters that could be whole.
        let prefix = streaming.prefix(|_| b"x").to_vec();
        assert_eq!(prefix, step.given);
        let written = asked.answer(&recogniser, Beginning::Given(&prefix), 14);
        assert_eq!(written, step.written, "{} samples", step.samples);
        streaming.push(step.samples, written);
    }
}

#[test]
fn a_cancelled_recognition_ends_at_the_next_step() {
    let golden = Golden::read();
    let recogniser = recogniser("hf", Precision::F32);
    let (_, begin, end) = RECORDINGS[0];
    let asked = Asked::new(&golden, &recogniser, begin, end);
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(
        recogniser.tower.forward(&golden.mel(begin, end), &cancel),
        Err(EngineError::Cancelled)
    ));
    let Asked { before, audio, after } = &asked;
    let question = Question { before, audio, after, beginning: Beginning::Free, max_tokens: 14 };
    let known = Known { tokens: recogniser.vocabulary.size(), ends: &[] };
    let mut cache = recogniser.text.new_cache();
    let answer = decode::answer(&recogniser.text, &question, known, &mut cache, &cancel);
    assert!(matches!(answer, Err(DecodeError::Cancelled)));
    assert!(cache.is_empty());
    let samples = golden.samples(begin, end);
    let recognised = recogniser.transcribe(&samples, &Hints::default(), &cancel);
    assert!(matches!(recognised, Err(EngineError::Cancelled)));
}
