//! Real trained weights through the whole of the engine's lower half: stories260K, converted to GGUF by
//! `models/parity/stories260k/convert.py`, tells the story that transformers tells.
//!
//! The weights are not ours to commit; without them, or without Python, the test says so and passes.

use std::path::Path;
use std::process::Command;

use candle_core::Device;
use vivavoce::engines::local::checkpoint::Checkpoint;
use vivavoce::engines::local::decoder::{Decoder, LoadOptions, Sequence};

/// Made by `models/parity/stories260k/golden.py`.
#[derive(serde::Deserialize)]
struct Golden {
    greedy: Vec<u32>,
    text: String,
    smallest_margin: f32,
}

#[test]
fn converted_weights_tell_the_reference_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../shared/data/llm");
    if !data.is_dir() {
        println!("skipped: {} is not on this machine", data.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("stories.gguf");
    let converted = Command::new("python3")
        .arg(root.join("models/parity/stories260k/convert.py"))
        .args([data.join("stories260K.bin"), data.join("tok512.bin"), gguf.clone()])
        .output();
    let Ok(converted) = converted else {
        println!("skipped: there is no python3 to convert the weights with");
        return;
    };
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    let golden = std::fs::read_to_string(root.join("tests/golden/stories260k.json")).unwrap();
    let golden: Golden = serde_json::from_str(&golden).unwrap();
    // Rounding cannot have turned the reference's own choices.
    assert!(golden.smallest_margin > 0.01);

    let checkpoint = Checkpoint::open(&gguf).unwrap();
    let decoder = Decoder::from_checkpoint(&checkpoint, &Device::Cpu, &LoadOptions::default()).unwrap();
    let vocabulary = checkpoint.vocabulary().unwrap().unwrap();
    assert_eq!((&vocabulary.model[..], vocabulary.tokens.len(), vocabulary.add_bos), ("llama", 512, true));

    let mut cache = decoder.new_cache();
    let mut tokens = vec![vocabulary.bos.unwrap()];
    let mut text = String::new();
    while tokens.len() <= golden.greedy.len() {
        let last = &tokens[tokens.len() - 1..];
        let sequence = Sequence { tokens: last, cache: &mut cache, wants_logits: true };
        let logits = decoder.forward(&mut [sequence]).unwrap().remove(0).unwrap();
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        tokens.push(best as u32);
        text.push_str(&vocabulary.tokens[best]);
    }
    assert_eq!(tokens[1..], golden.greedy);
    let text = text.replace('\u{2581}', " ").replace("<0x0A>", "\n");
    assert_eq!(text.trim(), golden.text);
    assert!(text.trim().starts_with("Once upon a time, there was a little girl named Lily."));
}
