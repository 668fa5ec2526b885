//! Stage by stage against the reference, on a tiny checkpoint (`models/parity/kokoro/model.py`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::*;

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kokoro")
}

fn golden() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden_folder().join("golden.safetensors"), &Device::Cpu)
        .expect("the golden")
}

fn network() -> Network {
    let settings = Settings::read(&golden_folder().join("config.json")).expect("settings");
    Network::load(&golden_folder().join("tiny.pth"), &settings, &Device::Cpu).expect("the tiny checkpoint")
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()).and_then(|t| t.to_vec1());
    flat.expect("numbers")
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{name} is off by {worst}");
}

/// Within a part of the greatest value, which is what single precision can promise of a sum of such values.
#[track_caller]
fn assert_close_to_scale(name: &str, found: &[f32], expected: &[f32], part: f32) {
    let scale = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    assert_close(name, found, expected, part * scale);
}

struct Inputs {
    ids: Tensor,
    sound: Tensor,
    manner: Tensor,
}

fn inputs(golden: &HashMap<String, Tensor>) -> Inputs {
    let style = &golden["style"];
    let half = style.dim(1).expect("two axes") / 2;
    let ids = golden["ids"].to_dtype(DType::U32).and_then(|ids| ids.flatten_all()).expect("ids");
    Inputs {
        ids,
        sound: style.narrow(1, 0, half).and_then(|t| t.contiguous()).expect("half"),
        manner: style.narrow(1, half, half).and_then(|t| t.contiguous()).expect("half"),
    }
}

#[test]
fn text_and_prosody_are_the_references() {
    let (golden, network) = (golden(), network());
    let Inputs { ids, manner, .. } = inputs(&golden);
    let bert = network.albert.forward(&ids).expect("runs");
    assert_close("bert", &values(&bert), &values(&golden["bert"]), 1e-4);
    let hidden = network.bert_encoder.forward(&bert).expect("runs");
    let encoded = network.prosody.encode(&hidden, &manner).expect("runs");
    assert_close("prosody", &values(&encoded), &values(&golden["prosody_text"]), 1e-4);
    let logits = network.prosody.duration_logits(&encoded).expect("runs");
    assert_close("durations", &values(&logits), &values(&golden["duration_logits"]), 1e-4);
    for (speed, expected) in [(1.0, "durations"), (1.7, "durations_fast")] {
        let durations = network.prosody.durations(&encoded, speed).expect("runs");
        let durations: Vec<f32> = durations.iter().map(|frames| *frames as f32).collect();
        assert_eq!(durations, values(&golden[expected]));
    }
    let text = network.text_encoder.forward(&ids).expect("runs").t().expect("transposed");
    assert_close("text", &values(&text), &values(&golden["text"]), 1e-4);
    let durations: Vec<u32> = values(&golden["durations"]).iter().map(|frames| *frames as u32).collect();
    let frames = network.frames(&durations).expect("few");
    let aligned = encoded.index_select(&frames, 0).expect("runs");
    let (pitch, energy) = network.prosody.curves(&aligned, &manner).expect("runs");
    assert_close("energy", &values(&energy), &values(&golden["energy"]), 1e-4);
    // Up to 300 Hz.
    assert_close_to_scale("pitch", &values(&pitch), &values(&golden["f0"]), 1e-5);
}

#[test]
fn the_decoder_is_the_references() {
    let (golden, network) = (golden(), network());
    let Inputs { sound, .. } = inputs(&golden);
    let durations: Vec<u32> = values(&golden["durations"]).iter().map(|frames| *frames as u32).collect();
    let frames = network.frames(&durations).expect("few");
    let text = golden["text"].index_select(&frames, 2).expect("aligned");
    let curve = |name: &str| golden[name].flatten_all().expect("a curve");
    let decoded =
        network.decoder.forward(&text, &curve("f0"), &curve("energy"), &sound, &|| Ok(())).expect("runs");
    // Up to 50.
    assert_close_to_scale("decoded", &values(&decoded), &values(&golden["decoded"]), 1e-5);
}

/// Where a bin is nearly empty its phase is noise, and at ±π its sign: the two are compared as complex
/// numbers. The reference sums phases of up to 10⁴ radians in f32, whose last bit is 10⁻³ radians: that
/// much may differ, times an amplitude of 0.1.
#[test]
fn the_source_is_the_references() {
    let (golden, network) = (golden(), network());
    let spectra =
        network.decoder.generator.spectra(&values(&golden["f0"]), false, &Device::Cpu).expect("runs");
    let complex = |tensor: &Tensor| -> Vec<f32> {
        let all = values(tensor);
        let (magnitudes, phases) = all.split_at(all.len() / 2);
        magnitudes.iter().zip(phases).flat_map(|(m, p)| [m * p.cos(), m * p.sin()]).collect()
    };
    assert_eq!(spectra.dims(), golden["har"].dims());
    assert_close_to_scale("source", &complex(&spectra), &complex(&golden["har"]), 1e-4);
}

#[test]
fn the_generator_with_the_references_source_is_the_references() {
    let (golden, network) = (golden(), network());
    let Inputs { sound, .. } = inputs(&golden);
    let generator = &network.decoder.generator;
    let samples = generator.forward(&golden["decoded"], &sound, &golden["har"], &|| Ok(())).expect("runs");
    assert_close("samples", &samples, &values(&golden["audio"]), 1e-4);
}

#[test]
fn a_cancel_ends_it_between_stages() {
    let (golden, network) = (golden(), network());
    let ids: Vec<u32> = values(&golden["ids"]).iter().map(|id| *id as u32).collect();
    let asked = std::cell::Cell::new(0);
    let run = |stop_at: usize| {
        asked.set(0);
        let check = || {
            asked.set(asked.get() + 1);
            if asked.get() == stop_at { Err(KokoroError::Cancelled) } else { Ok(()) }
        };
        network.speak(&ids, &values(&golden["style"]), 1.0, &check)
    };
    let speech = run(usize::MAX).expect("runs to its end");
    let stages = asked.get();
    assert!(stages > 30, "only {stages} stages");
    assert_eq!(speech.samples.len(), values(&golden["audio"]).len());
    for stop_at in [1, 3, stages / 2, stages] {
        assert!(matches!(run(stop_at), Err(KokoroError::Cancelled)));
        assert_eq!(asked.get(), stop_at, "it went on");
    }
}

#[test]
fn the_same_text_always_sounds_the_same() {
    let (golden, network) = (golden(), network());
    let ids: Vec<u32> = values(&golden["ids"]).iter().map(|id| *id as u32).collect();
    let speak = || network.speak(&ids, &values(&golden["style"]), 1.0, &|| Ok(())).expect("runs").samples;
    assert_eq!(speak(), speak());
}

#[test]
fn files_that_do_not_fit_are_errors_that_name_tensor_and_shapes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let load = |change: &dyn Fn(&mut Settings), path: &Path| {
        let mut settings = Settings::read(&golden_folder().join("config.json")).expect("settings");
        change(&mut settings);
        let error = Network::load(path, &settings, &Device::Cpu).err().expect("it does not fit");
        error.to_string()
    };
    let tiny = golden_folder().join("tiny.pth");
    let error = load(&|settings| settings.hidden_dim = 18, &tiny);
    assert!(error.contains("tiny.pth") && error.contains("bert_encoder.module.weight"), "{error}");
    assert!(error.contains("expected shape [18, 32], found [16, 32]"), "{error}");
    let error = load(&|settings| settings.n_layer = 3, &tiny);
    assert!(error.contains("it is missing") && error.contains("vivavoce models pull kokoro"), "{error}");
    let bytes = std::fs::read(&tiny).expect("the tiny checkpoint");
    let damaged = folder.path().join("damaged.pth");
    for length in [0, 100, bytes.len() / 2, bytes.len() - 10] {
        std::fs::write(&damaged, &bytes[..length]).expect("file is written");
        let error = load(&|_| {}, &damaged);
        assert!(error.contains("damaged.pth"), "{error}");
    }
    let error = load(&|_| {}, &folder.path().join("none.pth"));
    assert!(error.contains("none.pth") && error.contains("vivavoce models pull"), "{error}");
}
