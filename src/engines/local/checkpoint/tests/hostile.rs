//! Files that were damaged on purpose: every outcome is a model or an error.
//!
//! A panic fails the test, and so does an allocation for a length that only the file claims: the
//! claimed lengths are more than any machine has.

use std::fs;

use candle_core::Device;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::engines::local::decoder::{Decoder, LoadOptions};

/// Goes as far as it can: header, settings, vocabulary, weights.
fn load(file: Vec<u8>) -> bool {
    let Ok(checkpoint) = Checkpoint::from_gguf_bytes(Bytes::from(file), Path::new("test.gguf")) else {
        return false;
    };
    let vocabulary = checkpoint.vocabulary();
    Decoder::from_checkpoint(&checkpoint, &Device::Cpu, &LoadOptions::default()).is_ok() && vocabulary.is_ok()
}

fn gguf() -> Vec<u8> {
    fs::read(golden("qwen3-q4_0.gguf")).unwrap()
}

fn safetensors() -> Vec<u8> {
    fs::read(golden("llama-linear-old/model.safetensors")).unwrap()
}

fn open_safetensors(file: Vec<u8>) -> Result<SafetensorsFolder, CheckpointError> {
    let folder = SafetensorsFolder::from_bytes(Bytes::from(file), Path::new("model.safetensors"))?;
    for name in ["model.embed_tokens.weight", "model.norm.weight"] {
        if folder.has_tensor(name) {
            let _ = folder.tensor(name).map(|tensor| tensor.to_f32().unwrap());
        }
    }
    Ok(folder)
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = gguf();
    assert!(load(whole.clone()));
    // The header at every byte, the data at some.
    for end in (0..5000).chain((5000..whole.len()).step_by(997)) {
        assert!(!load(whole[..end].to_vec()), "cut at {end}");
    }
    let whole = safetensors();
    assert!(open_safetensors(whole.clone()).is_ok());
    for end in (0..3000).chain((3000..whole.len()).step_by(997)) {
        assert!(open_safetensors(whole[..end].to_vec()).is_err(), "cut at {end}");
    }
}

#[test]
fn a_length_that_lies_is_an_error_wherever_it_stands() {
    let whole = gguf();
    let mut refused = 0;
    // Every eight bytes of header and vocabulary are some length, or part of one, or something else.
    for position in 0..4500 {
        for lie in [u64::MAX, 1 << 62, 1 << 40, 1 << 33] {
            let mut file = whole.clone();
            file[position..position + 8].copy_from_slice(&lie.to_le_bytes());
            refused += u32::from(!load(file));
        }
    }
    assert!(refused > 9000, "only {refused} of 18000 lies were refused");
    let whole = safetensors();
    for lie in [u64::MAX, 1 << 62, 1 << 40, 1 << 33, 1 << 26] {
        let mut file = whole.clone();
        file[..8].copy_from_slice(&lie.to_le_bytes());
        assert!(open_safetensors(file).is_err());
    }
}

/// Some bytes replaced, some cut out: most often few, near the start where everything is decided.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, bool, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.8), any::<u8>()), 1..6)
}

fn damaged(mut file: Vec<u8>, header_bytes: usize, damage: &[(prop::sample::Index, bool, u8)]) -> Vec<u8> {
    for (index, in_header, byte) in damage {
        let position = index.index(if *in_header { header_bytes } else { file.len() });
        match byte {
            0..8 => drop(file.drain(position..(position + 9).min(file.len()))),
            _ => file[position] = *byte,
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gguf_files_are_errors_or_models(damage in damage()) {
        load(damaged(gguf(), 4500, &damage));
    }

    #[test]
    fn damaged_safetensors_are_errors_or_models(damage in damage()) {
        let _ = open_safetensors(damaged(safetensors(), 2000, &damage));
    }

    #[test]
    fn damaged_configs_are_errors_or_configs(damage in damage(), which in 0..2usize) {
        let name = ["llama3-biased", "qwen3-untied-old-sharded"][which];
        let text = fs::read(golden(name).join("config.json")).unwrap();
        let bytes = text.len();
        if let Ok(config) = serde_json::from_slice::<Value>(&damaged(text, bytes - 60, &damage)) {
            let _ = super::super::config::from_json(Path::new("config.json"), &config, Some(&config));
        }
    }

    /// Damage that leaves JSON whole: a value of another kind or size under any key.
    #[test]
    fn configs_with_wrong_values_are_errors_or_configs(
        key in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(Value::Null), any::<bool>().prop_map(Value::from), any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from), Just(serde_json::json!([[], {}])), Just(serde_json::json!({"a": 1})),
        ],
    ) {
        let text = fs::read(golden("llama3-biased/config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        let keys: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
        config[key.get(&keys)] = value;
        let _ = super::super::config::from_json(Path::new("config.json"), &config, None);
    }
}
