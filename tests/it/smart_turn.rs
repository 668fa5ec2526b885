//! smart-turn against the reference: goldens in `tests/golden/smart_turn`, made by
//! `models/parity/smart_turn/generate.py`, with a small network of the same interface.
//!
//! Needs the ONNX Runtime that `scripts/setup-models.sh` sets up.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use vivavoce::config;
use vivavoce::engines::TurnJudge;
use vivavoce::engines::smart_turn::SmartTurn;

const GOLDEN: &[u8] = include_bytes!("../golden/smart_turn/golden.safetensors");
const PARTS: [&str; 5] = ["short", "pause", "exact", "long", "empty"];
const EVERY_NTH_FRAME: usize = 9;
const TOLERANCE: f32 = 1e-5;

fn network() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/smart_turn/tiny.onnx")
}

fn models() -> config::Models {
    config::Models { dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("models"), ..Default::default() }
}

fn floats(golden: &SafeTensors, name: &str) -> Vec<f32> {
    golden.tensor(name).unwrap().data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// What is heard under this name.
fn heard(golden: &SafeTensors, name: &str) -> Vec<i16> {
    let samples = golden.tensor("samples").unwrap();
    let samples: Vec<i16> = samples.data().as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
    let range = golden.tensor(&format!("{name}.range")).unwrap();
    let range = range.data().as_chunks().0.iter().map(|eight| i64::from_le_bytes(*eight) as usize);
    let range: Vec<usize> = range.collect();
    samples[range[0]..range[1]].to_vec()
}

#[test]
fn features_and_probabilities_are_the_references() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let mut judge = SmartTurn::load(&models(), &network()).unwrap();
    let mut probabilities = vec![];
    for name in PARTS {
        let pcm = heard(&golden, name);
        let features = judge.features(&pcm);
        assert_eq!(features.len(), 80 * 800);
        let ours = features.chunks_exact(800).flat_map(|bin| bin.iter().step_by(EVERY_NTH_FRAME));
        let theirs = floats(&golden, &format!("{name}.mel"));
        let furthest = ours.clone().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!(ours.count(), theirs.len());
        assert!(furthest <= TOLERANCE, "{name}: features are {furthest} away");

        let (ours, theirs) = (judge.judge(&pcm).unwrap(), floats(&golden, &format!("{name}.probability"))[0]);
        assert!((ours - theirs).abs() <= TOLERANCE, "{name}: {ours} instead of {theirs}");
        probabilities.push(theirs);
    }
    let (low, high) =
        probabilities.iter().fold((1.0_f32, 0.0_f32), |(low, high), p| (low.min(*p), high.max(*p)));
    assert!(low < 0.3 && high > 0.7, "the network tells the parts apart: {probabilities:?}");
}

#[test]
fn what_is_no_such_network_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.onnx");
    std::fs::write(&garbage, &std::fs::read(network()).unwrap()[..50_000]).unwrap();
    let other = models().dir.join("vendor/silero-vad/silero_vad_16k_op15.onnx");
    for (path, reason) in [
        (garbage.as_path(), "garbage.onnx"),
        (Path::new("/nowhere/x.onnx"), "/nowhere/x.onnx"),
        (other.as_path(), "another network: inputs [\"input\", \"state\", \"sr\"]"),
    ] {
        let error = SmartTurn::load(&models(), path).err().unwrap();
        assert_eq!(error.code(), "engine_load_failed");
        let message = error.to_string();
        for words in [reason, "vivavoce models pull smart-turn-v3", "vad.smart_turn_model"] {
            assert!(message.contains(words), "`{words}` is not in: {message}");
        }
    }
}
