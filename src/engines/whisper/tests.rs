//! Goldens in `tests/golden/whisper/`, made by `models/parity/whisper/generate.py`: stage by stage against
//! transformers, and whole recordings through the recogniser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;

use super::config::{GenerationConfig, WhisperConfig};
use super::decode::{self, Decoded};
use super::network::{Heard, Network};
use super::rules::Rules;
use super::tokens::{Task, Vocabulary};
use super::transcribe::{Hints, Recogniser};
use super::{layout, random_weights};
use crate::config::{WhisperWeights, WhisperWindow};
use crate::engines::local::checkpoint::SafetensorsFolder;
use crate::engines::local::text::Tokenizer;
use crate::engines::mel::LogMel;
use crate::engines::{CancelToken, EngineError};

mod engine;
mod files;
mod texts;

const TOLERANCE: f32 = 1e-4;
const CHECKPOINTS: [&str; 2] = ["multilingual", "distilled"];
const WINDOWS: [(&str, usize); 2] = [("full", 400), ("short", 250)];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/whisper")
}

/// A tiny checkpoint, and what the reference made of it.
struct Golden {
    bytes: Vec<u8>,
    network: Network,
    vocabulary: Vocabulary,
    generation: GenerationConfig,
}

impl Golden {
    fn load(name: &str, weights: WhisperWeights) -> Golden {
        let path = golden_folder().join(name);
        let folder = SafetensorsFolder::open(&path).unwrap();
        let config = WhisperConfig::read(&folder).unwrap();
        let generation = GenerationConfig::read(&folder).unwrap();
        let tokenizer = Tokenizer::from_folder(&path).unwrap();
        Golden {
            bytes: std::fs::read(golden_folder().join(format!("{name}.golden.safetensors"))).unwrap(),
            vocabulary: Vocabulary::new(tokenizer, &config, &generation).unwrap(),
            network: Network::load(&folder, config, weights).unwrap(),
            generation,
        }
    }

    fn recogniser(name: &str, window: WhisperWindow) -> Recogniser {
        let golden = Golden::load(name, WhisperWeights::F32);
        let rules = golden.rules();
        Recogniser::new(golden.network, golden.vocabulary, rules, window, 0)
    }

    fn rules(&self) -> Rules {
        Rules::new(&self.vocabulary, &self.generation)
    }

    fn bytes_of(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(name).unwrap().data().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes_of(name).as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
    }

    fn tokens(&self, name: &str) -> Vec<u32> {
        let tokens = self.bytes_of(name);
        let tokens = tokens.as_chunks().0.iter().map(|four| i32::from_le_bytes(*four));
        tokens.filter_map(|token| u32::try_from(token).ok()).collect()
    }

    /// −1…1
    fn samples(&self) -> Vec<f32> {
        let samples = self.bytes_of("samples");
        let samples = samples.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two));
        samples.map(|sample| f32::from(sample) / 32_768.0).collect()
    }

    fn heard(&self, window: &str) -> Heard {
        let mel = self.floats(&format!("{window}.mel"));
        self.network.hear(&self.network.encode(&mel, &CancelToken::new()).unwrap())
    }

    fn task<'a>(&self, timestamps: bool) -> Task<'a> {
        Task { previous: &[], language: self.vocabulary.language("de"), timestamps }
    }

    fn decode(&self, heard: &Heard, timestamps: bool, draft: &[u32]) -> Decoded {
        let request =
            decode::Request { task: self.task(timestamps), temperature: 0.0, max_tokens: 24, draft };
        let cancel = CancelToken::new();
        decode::decode(&self.network, &self.vocabulary, &self.rules(), heard, &request, &cancel).unwrap()
    }
}

#[track_caller]
fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many numbers");
    let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest <= tolerance, "{what}: {furthest} away");
}

#[test]
fn each_stage_gives_what_the_reference_gives() {
    for name in CHECKPOINTS {
        let golden = Golden::load(name, WhisperWeights::F32);
        for (window, frames) in WINDOWS {
            let what = |stage: &str| format!("{name}, {window} window, {stage}");
            let theirs = |stage: &str| golden.floats(&format!("{window}.{stage}"));
            let mut padded = golden.samples();
            padded.resize(frames * 160, 0.0);
            let mel = LogMel::new(golden.network.config().num_mel_bins).extract(&padded);
            assert_close(&what("mel"), mel.by_frame(), &theirs("mel"), 1e-5);

            let encoded = golden.network.encode(&theirs("mel"), &CancelToken::new()).unwrap();
            assert_close(&what("encoder"), &encoded, &theirs("encoded"), TOLERANCE);

            let heard = golden.network.hear(&theirs("encoded"));
            let tokens = golden.tokens("tokens");
            let logits = golden.network.decode(&tokens, &mut golden.network.past(), &heard, tokens.len());
            assert_close(&what("logits"), &logits, &theirs("logits"), TOLERANCE);

            let start = golden.vocabulary.start;
            let logits = golden.network.decode(&[start], &mut golden.network.past(), &heard, 1);
            let languages = golden.vocabulary.languages();
            let ours: Vec<f32> = languages.iter().map(|(_, id)| logits[*id as usize]).collect();
            assert_close(&what("languages"), &ours, &theirs("language"), TOLERANCE);
        }
    }
}

#[test]
fn greedy_texts_and_their_probabilities_are_the_references() {
    for name in CHECKPOINTS {
        let golden = Golden::load(name, WhisperWeights::F32);
        for (window, _) in WINDOWS {
            let heard = golden.heard(window);
            for (kind, timestamps) in [("plain", false), ("timed", true)] {
                let what = format!("{name}, {window} window, {kind}");
                let decoded = golden.decode(&heard, timestamps, &[]);
                assert_eq!(decoded.tokens, golden.tokens(&format!("{window}.{kind}")), "{what}");
                let scores = [decoded.mean_log_probability, decoded.no_speech];
                assert_close(&what, &scores, &golden.floats(&format!("{window}.{kind}.scores")), TOLERANCE);
                assert!(!decoded.looped && decoded.drafted == 0, "{what}");
            }
        }
    }
}

#[test]
fn the_detected_language_is_the_likeliest() {
    for name in CHECKPOINTS {
        let golden = Golden::load(name, WhisperWeights::F32);
        for (window, _) in WINDOWS {
            let logits = golden.floats(&format!("{window}.language"));
            let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            let (token, probability) =
                decode::detect_language(&golden.network, &golden.vocabulary, &golden.heard(window)).unwrap();
            assert_eq!(token, golden.vocabulary.languages()[best].1);
            assert!((probability - logits[best].exp() / total).abs() < 1e-4);
        }
    }
}

#[test]
fn a_kept_past_gives_the_same_bits_as_reading_all_at_once() {
    for weights in [WhisperWeights::F32, WhisperWeights::Int8] {
        let golden = Golden::load("multilingual", weights);
        let (heard, tokens) = (golden.heard("short"), golden.tokens("tokens"));
        let network = &golden.network;
        let at_once = network.decode(&tokens, &mut network.past(), &heard, tokens.len());
        let mut past = network.past();
        let mut one_by_one = vec![];
        for token in &tokens {
            one_by_one.extend(network.decode(&[*token], &mut past, &heard, 1));
        }
        assert!(at_once == one_by_one);
        past.truncate(2);
        assert_eq!(past.len(), 2);
        let again = network.decode(&tokens[2..], &mut past, &heard, 1);
        assert!(at_once.ends_with(&again));
    }
}

#[test]
fn eight_bits_are_near_to_thirty_two() {
    let golden = Golden::load("multilingual", WhisperWeights::Int8);
    let tokens = golden.tokens("tokens");
    let logits = |golden: &Golden| {
        let heard = golden.heard("full");
        golden.network.decode(&tokens, &mut golden.network.past(), &heard, tokens.len())
    };
    let (ours, theirs) = (logits(&golden), golden.floats("full.logits"));
    let distance: f32 = ours.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum();
    let size: f32 = theirs.iter().map(|logit| logit * logit).sum();
    let relative = (distance / size).sqrt();
    assert!((1e-6..0.05).contains(&relative), "relative distance {relative}");
}

#[test]
fn a_draft_changes_how_long_it_takes_and_nothing_else() {
    let golden = Golden::load("multilingual", WhisperWeights::Int8);
    let heard = golden.heard("full");
    for timestamps in [false, true] {
        let alone = golden.decode(&heard, timestamps, &[]);
        let len = alone.tokens.len();
        assert!(len > 8);
        let mut wrong_in_the_middle = alone.tokens.clone();
        wrong_in_the_middle[5] = golden.vocabulary.first_timestamp() - 1;
        let longer = [&alone.tokens[..], &[40; 50]].concat();
        let drafts: [(&[u32], usize); 5] = [
            (&alone.tokens, len),
            (&alone.tokens[..3], 3),
            (&wrong_in_the_middle, 5),
            (&longer, len),
            (&[0, 1, 2], 0),
        ];
        for (draft, right) in drafts {
            let drafted = golden.decode(&heard, timestamps, draft);
            assert_eq!(drafted.drafted, right);
            assert_eq!(Decoded { drafted: 0, ..drafted }, alone);
        }
    }
}

#[test]
fn drawn_texts_are_the_same_each_time_and_differ_between_temperatures() {
    let golden = Golden::load("distilled", WhisperWeights::F32);
    let heard = golden.heard("full");
    let draw = |temperature| {
        let request =
            decode::Request { task: golden.task(false), temperature, max_tokens: 24, draft: &[1, 2] };
        let cancel = CancelToken::new();
        decode::decode(&golden.network, &golden.vocabulary, &golden.rules(), &heard, &request, &cancel)
            .unwrap()
    };
    assert_eq!(draw(0.6), draw(0.6));
    assert_ne!(draw(0.6).tokens, draw(1.0).tokens);
    assert!(draw(1.0).mean_log_probability < draw(0.0).mean_log_probability);
}

#[test]
fn a_cancelled_recognition_ends_at_the_next_step() {
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    let cancel = CancelToken::new();
    let heard = golden.heard("full");
    cancel.cancel();
    let mel = golden.floats("full.mel");
    assert!(matches!(golden.network.encode(&mel, &cancel), Err(EngineError::Cancelled)));
    let request = decode::Request { task: golden.task(false), temperature: 0.0, max_tokens: 24, draft: &[] };
    let rules = golden.rules();
    let decoded = decode::decode(&golden.network, &golden.vocabulary, &rules, &heard, &request, &cancel);
    assert!(matches!(decoded, Err(EngineError::Cancelled)));
}

#[test]
fn a_recording_becomes_the_words_of_its_tokens() {
    for (window, kind) in [(WhisperWindow::Full, "full"), (WhisperWindow::Short, "short")] {
        let golden = Golden::load("multilingual", WhisperWeights::F32);
        let recogniser = Golden::recogniser("multilingual", window);
        let language = recogniser.vocabulary.language("de-AT");
        let hints = Hints { language, ..Hints::default() };
        let recognised = recogniser.transcribe(&golden.samples(), &hints, &CancelToken::new()).unwrap();
        let expected = golden.tokens(&format!("{kind}.plain"));
        // The recogniser bounds the text by the length of the speech, not by 24 tokens.
        assert!(recognised.tokens.starts_with(&expected), "{:?}", recognised.tokens);
        assert_eq!(recognised.text, recogniser.vocabulary.decode(&recognised.tokens).trim());
        assert_eq!(recognised.language, language);
        assert_eq!(recognised.segments.len(), 1);
        assert_eq!((recognised.segments[0].start_ms, recognised.segments[0].end_ms), (0, 1312));
    }
}

#[test]
fn a_long_recording_is_read_window_after_window() {
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    let recogniser = Golden::recogniser("multilingual", WhisperWindow::Short);
    let samples = golden.samples().repeat(8);
    let recognised = recogniser.transcribe(&samples, &Hints::default(), &CancelToken::new()).unwrap();
    assert!(recognised.language.is_some());
    let last = recognised.segments.last().unwrap();
    // 10.5 s of windows of 4 s.
    assert!(recognised.segments.len() >= 3, "{recognised:?}");
    assert!((6_000..=10_500).contains(&last.start_ms) && last.end_ms <= 10_500, "{recognised:?}");
    assert!(recognised.segments.iter().all(|segment| segment.start_ms <= segment.end_ms));
    assert!(recognised.segments.is_sorted_by_key(|segment| segment.start_ms));
}

#[test]
fn of_silence_nothing_is_made() {
    let recogniser = Golden::recogniser("multilingual", WhisperWindow::Short);
    for samples in [0, 100, 16_000, 200_000] {
        let recognised =
            recogniser.transcribe(&vec![0.0; samples], &Hints::default(), &CancelToken::new()).unwrap();
        assert_eq!((recognised.text.as_str(), recognised.tokens.len()), ("", 0));
    }
}
