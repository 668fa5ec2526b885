//! What files must hold: every published size, both layouts, and files that are not what they should be.

use std::fs;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

use super::*;
use crate::engines::local::checkpoint::RawTensor;

/// A published model, as transformers' own class lays it out.
#[derive(Deserialize)]
struct Size {
    parameters: usize,
    /// Name with `*` for a layer's number: how many there are, and the shape.
    tensors: BTreeMap<String, (usize, Vec<usize>)>,
}

fn with_star(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let star = |at: usize| if at > 0 && parts[at - 1] == "layers" { "*" } else { parts[at] };
    (0..parts.len()).map(star).collect::<Vec<_>>().join(".")
}

#[test]
fn every_published_size_has_the_references_tensors() {
    let sizes: BTreeMap<String, Size> = read_json("sizes.json");
    assert_eq!(sizes.keys().map(String::as_str).collect::<Vec<_>>(), random_weights::SIZES);
    for (name, size) in sizes {
        let config = random_weights::published(&name).unwrap();
        let mut ours: BTreeMap<String, (usize, Vec<usize>)> = BTreeMap::new();
        let mut parameters = 0;
        for (tensor, shape) in Layout::HuggingFace.tensors(&config) {
            parameters += shape.iter().product::<usize>();
            ours.entry(with_star(&tensor)).or_insert((0, shape)).0 += 1;
        }
        assert_eq!(ours, size.tensors, "{name}");
        assert_eq!(parameters, size.parameters, "{name}");
        assert_eq!((config.tower.window_rows(), config.tower.rows(1_000)), (104, 130));
    }
}

#[test]
fn both_layouts_have_all_their_tensors_and_no_others() {
    for (name, layout) in [("original", Layout::Original), ("hf", Layout::HuggingFace)] {
        let (folder, config) = (folder(name), Qwen3AsrConfig::read(&folder(name)).unwrap());
        assert_eq!(Layout::of(&folder), layout);
        let tensors = layout.tensors(&config);
        for (tensor, shape) in &tensors {
            assert_eq!(folder.tensor(tensor).unwrap().shape, *shape, "{tensor}");
        }
        layout.check(&folder, &config.tower).unwrap();
    }
}

#[test]
fn both_layouts_say_the_same() {
    let [original, hf] = LAYOUTS.map(|layout| Qwen3AsrConfig::read(&folder(layout)).unwrap());
    assert_eq!(original, hf);
    assert!(original.text.tied_embeddings);
}

/// The smallest model that there can be.
fn small() -> Qwen3AsrConfig {
    let mut config = random_weights::published("0.6b").unwrap();
    let tower = &mut config.tower;
    (tower.d_model, tower.encoder_layers, tower.encoder_attention_heads) = (32, 1, 2);
    (tower.encoder_ffn_dim, tower.downsample_hidden_size, tower.output_dim) = (32, 4, 32);
    let text = &mut config.text;
    (text.vocab_size, text.hidden_size, text.intermediate_size, text.layers) = (64, 32, 32, 1);
    (text.heads, text.kv_heads, text.head_dim, text.eos) = (2, 1, 16, vec![1]);
    config
}

#[test]
fn random_models_load_and_their_rows_are_of_ordinary_size() {
    let temporary = tempfile::tempdir().unwrap();
    random_weights::write(temporary.path(), &small(), 7).unwrap();
    let folder = SafetensorsFolder::open(temporary.path()).unwrap();
    assert_eq!(Qwen3AsrConfig::read(&folder).unwrap(), small());
    for precision in [Precision::EightBits, Precision::AsStored] {
        let (tower, text) = recogniser::load_networks(&folder, &small(), precision).unwrap();
        let samples: Vec<f32> = (0..24_000).map(|at| ((at * at) as f32 * 1e-5).sin() * 0.3).collect();
        let rows = tower.forward(&LogMel::new(128).extract(&samples), &CancelToken::new()).unwrap();
        let deviation = (rows.iter().map(|row| row * row).sum::<f32>() / rows.len() as f32).sqrt();
        assert!((0.1..3.0).contains(&deviation), "{deviation}");
        let question = Question {
            before: &[1, 2],
            audio: &rows,
            after: &[3],
            beginning: Beginning::Free,
            max_tokens: 5,
        };
        let known = Known { tokens: 64, ends: &[] };
        let written =
            decode::answer(&text, &question, known, &mut text.new_cache(), &CancelToken::new()).unwrap();
        assert_eq!(written.len(), 5);
    }
}

/// A folder like the golden one, with another `config.json`.
fn with_config(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, SafetensorsFolder) {
    let temporary = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden_folder().join("original")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, temporary.path().join(path.file_name().unwrap())).unwrap();
    }
    let mut config: Value = read_json("original/config.json");
    change(&mut config);
    fs::write(temporary.path().join("config.json"), config.to_string()).unwrap();
    let folder = SafetensorsFolder::open(temporary.path()).unwrap();
    (temporary, folder)
}

#[track_caller]
fn assert_refused(folder: &SafetensorsFolder, parts: &[&str]) {
    let error = Recogniser::load(folder, Precision::F32).err().expect("cannot be loaded").to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert!(error.starts_with("qwen3-asr: "), "{error:?}");
}

#[test]
fn a_config_that_makes_no_sense_is_refused_by_key() {
    let audio = |key: &'static str, value: Value| {
        move |config: &mut Value| config["thinker_config"]["audio_config"][key] = value
    };
    for (key, value, says) in [
        ("d_model", json!(0), "is 0"),
        ("d_model", json!(33), "encoder_attention_heads"),
        ("d_model", json!("wide"), "audio_config"),
        ("encoder_layers", json!(1u64 << 40), "is 1099511627776"),
        ("n_window_infer", json!(250), "no multiple of 100"),
        ("activation_function", json!("gelu_new"), "gelu_new"),
        ("scale_embedding", json!(true), "scale_embedding"),
        ("output_dim", json!(48), "64 wide"),
    ] {
        let (_kept, folder) = with_config(audio(key, value));
        assert_refused(&folder, &["config.json", says]);
    }
    let (_kept, folder) = with_config(|config| config["model_type"] = json!("whisper"));
    assert_refused(&folder, &["model_type", "\"whisper\"", "\"qwen3_asr\""]);
    let (_kept, folder) = with_config(|config| config["thinker_config"]["audio_token_id"] = json!(3));
    assert_refused(&folder, &["audio_token_id is 3", "<|audio_pad|>"]);
    let (_kept, folder) =
        with_config(|config| config["thinker_config"]["text_config"]["vocab_size"] = json!(365));
    assert_refused(&folder, &["vocab_size is 365"]);
}

#[test]
fn a_tensor_of_another_shape_is_refused_by_name() {
    let change = |config: &mut Value| config["thinker_config"]["audio_config"]["encoder_ffn_dim"] = json!(96);
    let (_kept, folder) = with_config(change);
    assert_refused(&folder, &["tensor thinker.audio_tower.layers.0.fc1.weight", "[64, 32]", "[96, 32]"]);
    let change = |config: &mut Value| config["thinker_config"]["audio_config"]["encoder_layers"] = json!(3);
    let (_kept, folder) = with_config(change);
    assert_refused(&folder, &["tensor thinker.audio_tower.layers.2.self_attn.q_proj.weight"]);
    let change =
        |config: &mut Value| config["thinker_config"]["text_config"]["intermediate_size"] = json!(64);
    let (_kept, folder) = with_config(change);
    assert_refused(&folder, &["tensor thinker.model.layers.0.mlp", "[96, 64]", "[64, 64]"]);
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    let (kept, _) = with_config(|_| {});
    let shard = kept.path().join("model-00002-of-00002.safetensors");
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..bytes.len() - 100]).unwrap();
    let error = SafetensorsFolder::open(kept.path()).err().unwrap().to_string();
    assert!(error.contains("model-00002-of-00002.safetensors"), "{error}");
}

#[test]
fn an_lm_head_of_its_own_is_used_if_the_config_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    random_weights::write(temporary.path(), &small(), 7).unwrap();
    let weights = |name: &str| SafetensorsFolder::open(temporary.path()).unwrap().tensor(name).unwrap();
    let mut tensors: Vec<RawTensor> =
        Layout::Original.tensors(&small()).iter().map(|(name, _)| weights(name)).collect();
    let mut head = weights("thinker.model.embed_tokens.weight");
    head.name = "thinker.lm_head.weight".to_owned();
    head.data = head
        .data
        .iter()
        .rev()
        .copied()
        .collect::<Vec<u8>>()
        .chunks(2)
        .flat_map(|two| [two[1], two[0]])
        .collect();
    tensors.push(head);
    let views = tensors
        .iter()
        .map(|raw| (raw.name.as_str(), TensorView::new(Dtype::BF16, raw.shape.clone(), &raw.data).unwrap()));
    let untied = tempfile::tempdir().unwrap();
    serialize_to_file(views, None, &untied.path().join("model.safetensors")).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(temporary.path().join("config.json")).unwrap()).unwrap();
    let mut written = vec![];
    for tied in [json!(true), Value::Null, json!(false)] {
        config["thinker_config"]["text_config"]["tie_word_embeddings"] = tied;
        fs::write(untied.path().join("config.json"), config.to_string()).unwrap();
        let folder = SafetensorsFolder::open(untied.path()).unwrap();
        let config = Qwen3AsrConfig::read(&folder).unwrap();
        let (_, text) = recogniser::load_networks(&folder, &config, Precision::F32).unwrap();
        let audio = vec![0.5; 32];
        let question =
            Question { before: &[1], audio: &audio, after: &[3], beginning: Beginning::Free, max_tokens: 6 };
        let known = Known { tokens: 64, ends: &[] };
        written.push(
            decode::answer(&text, &question, known, &mut text.new_cache(), &CancelToken::new()).unwrap(),
        );
    }
    assert_eq!(written[0], written[1], "tied unless it says otherwise");
    assert_ne!(written[0], written[2]);
}
