//! What files must hold: every published size, and files that are not what they should be.

use std::fs::{self, File};

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::*;

/// A published model, as transformers' own class lays it out.
#[derive(Deserialize)]
struct Size {
    config: serde_json::Value,
    parameters: usize,
    /// Name with `*` for a layer's number: how many there are, and the shape.
    tensors: BTreeMap<String, (usize, Vec<usize>)>,
}

fn sizes() -> BTreeMap<String, Size> {
    serde_json::from_slice(&fs::read(golden_folder().join("sizes.json")).unwrap()).unwrap()
}

fn with_star(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let star = |at: usize| if at > 0 && parts[at - 1] == "layers" { "*" } else { parts[at] };
    (0..parts.len()).map(star).collect::<Vec<_>>().join(".")
}

#[test]
fn every_published_size_has_the_references_tensors() {
    let sizes = sizes();
    assert_eq!(sizes.len(), random_weights::SIZES.len());
    for (name, shape) in random_weights::SIZES {
        let size = &sizes[*name];
        let config = shape.config();
        assert_eq!(serde_json::to_value(&config).unwrap(), size.config, "{name}");
        let mut ours: BTreeMap<String, (usize, Vec<usize>)> = BTreeMap::new();
        let mut parameters = 0;
        for (tensor, shape) in layout::tensors(&config) {
            parameters += shape.iter().product::<usize>();
            ours.entry(with_star(&format!("model.{tensor}"))).or_insert((0, shape)).0 += 1;
        }
        assert_eq!((parameters, ours), (size.parameters, size.tensors.clone()), "{name}");
    }
}

#[test]
fn every_whisper_of_the_manifest_has_a_shape() {
    let manifest = crate::models::Manifest::builtin().unwrap();
    let names = manifest.entries.iter().map(|entry| entry.name.as_str());
    let listed: Vec<&str> = names.filter(|name| name.contains("whisper")).collect();
    let mut shaped: Vec<&str> = random_weights::SIZES.iter().map(|(name, _)| *name).collect();
    shaped.sort_by_key(|name| listed.iter().position(|listed| listed == name));
    assert_eq!(listed, shaped);
}

/// Files of the true size whose numbers are holes: their heads are written, the rest takes no space.
#[test]
fn a_folder_of_every_published_size_passes_the_check() {
    for (name, shape) in random_weights::SIZES {
        let folder = tempfile::tempdir().unwrap();
        let config = shape.config();
        let (mut head, mut at) = (serde_json::Map::new(), 0);
        for (tensor, shape) in layout::tensors(&config) {
            let end = at + 2 * shape.iter().product::<usize>();
            let entry = serde_json::json!({ "dtype": "F16", "shape": shape, "data_offsets": [at, end] });
            head.insert(format!("model.{tensor}"), entry);
            at = end;
        }
        let head = serde_json::to_vec(&head).unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(&path, [&(head.len() as u64).to_le_bytes()[..], &head].concat()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len((8 + head.len() + at) as u64).unwrap();

        let folder = SafetensorsFolder::open(folder.path()).unwrap();
        layout::check(&folder, &config).unwrap_or_else(|error| panic!("{name}: {error}"));
        let wider = WhisperConfig { encoder_ffn_dim: config.encoder_ffn_dim + 32, ..config };
        let error = layout::check(&folder, &wider).unwrap_err().to_string();
        assert!(error.contains("model.encoder.layers.0.fc1.weight") && error.contains("shape"), "{error}");
    }
}

#[test]
fn random_weights_load_and_compute_ordinary_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let small = random_weights::Shape {
        width: 128,
        encoder_layers: 2,
        decoder_layers: 2,
        heads: 2,
        bins: 80,
        vocabulary: 512,
    };
    random_weights::write(folder.path(), &small.config(), 5).unwrap();
    let folder = SafetensorsFolder::open(folder.path()).unwrap();
    let config = WhisperConfig::read(&folder).unwrap();
    assert_eq!(config, small.config());
    let load = |weights| Network::load(&folder, config.clone(), weights).unwrap();
    let (small, exact) = (load(WhisperWeights::Int8), load(WhisperWeights::F32));
    assert!(small.bytes() * 3 < exact.bytes(), "{} and {} bytes", small.bytes(), exact.bytes());
    for network in [small, exact] {
        let mel = vec![0.5; 100 * 80];
        let encoded = network.encode(&mel, &CancelToken::new()).unwrap();
        let logits = network.decode(&[1, 2, 3], &mut network.past(), &network.hear(&encoded), 1);
        let size = (logits.iter().map(|logit| logit * logit).sum::<f32>() / logits.len() as f32).sqrt();
        assert!((0.3..3.0).contains(&size), "{size}");
    }
}

/// A copy of a tiny checkpoint that a test may spoil.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(golden_folder().join("multilingual")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn load_error(folder: &Path) -> String {
    let read = || {
        let folder = SafetensorsFolder::open(folder)?;
        let config = WhisperConfig::read(&folder)?;
        GenerationConfig::read(&folder)?;
        Network::load(&folder, config, WhisperWeights::Int8).map(drop)
    };
    read().expect_err("it is spoiled").to_string()
}

#[track_caller]
fn assert_names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn spoiled_files_are_refused_with_file_tensor_and_shapes() {
    let cut = copy();
    let weights = cut.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 10]).unwrap();
    assert_names(&load_error(cut.path()), &["model.safetensors", "fetch it again"]);

    let other = copy();
    let config = fs::read_to_string(other.path().join("config.json")).unwrap();
    let spoil = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        fs::write(other.path().join("config.json"), config.replace(from, to)).unwrap();
        load_error(other.path())
    };
    let error = spoil("\"num_mel_bins\": 80", "\"num_mel_bins\": 128");
    assert_names(&error, &["model.encoder.conv1.weight", "[32, 80, 3]", "[32, 128, 3]"]);
    let error = spoil("\"decoder_layers\": 2", "\"decoder_layers\": 3");
    assert_names(&error, &["model.decoder.layers.2.", "is not in"]);
    assert_names(&spoil("\"model_type\": \"whisper\"", "\"model_type\": \"bart\""), &["config.json", "bart"]);
    let error = spoil("\"decoder_attention_heads\": 2", "\"decoder_attention_heads\": 5");
    assert_names(&error, &["config.json", "decoder_attention_heads", "d_model"]);
    assert_names(&spoil("\"d_model\": 32", "\"d_model\": 0"), &["d_model", "is 0"]);
    assert_names(&spoil("\"gelu\"", "\"relu\""), &["activation_function", "relu"]);
    assert_names(&spoil("\"d_model\": 32,", ""), &["config.json", "d_model"]);
    fs::remove_file(other.path().join("config.json")).unwrap();
    assert_names(&load_error(other.path()), &["config.json", "fetch the model again"]);
}

#[test]
fn a_head_of_its_own_is_used_where_the_config_says_so() {
    let folder = copy();
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = tensors.tensor("model.decoder.embed_tokens.weight").unwrap();
    let shape = embedding.shape().to_vec();
    // Twice the embeddings: twice the logits.
    let doubled: Vec<u8> = embedding
        .data()
        .as_chunks()
        .0
        .iter()
        .flat_map(|four| (2.0 * f32::from_le_bytes(*four)).to_le_bytes())
        .collect();
    let mut views = tensors.tensors();
    views.push(("proj_out.weight".to_owned(), TensorView::new(Dtype::F32, shape, &doubled).unwrap()));
    serialize_to_file(views, None, &folder.path().join("new.safetensors")).unwrap();
    fs::rename(folder.path().join("new.safetensors"), &path).unwrap();
    let golden = Golden::load("multilingual", WhisperWeights::F32);
    let heard = golden.heard("short");
    for (tied, factor) in [(true, 1.0), (false, 2.0)] {
        let opened = SafetensorsFolder::open(folder.path()).unwrap();
        let config = WhisperConfig { tie_word_embeddings: tied, ..WhisperConfig::read(&opened).unwrap() };
        let network = Network::load(&opened, config, WhisperWeights::F32).unwrap();
        let tokens = golden.tokens("tokens");
        let logits = network.decode(&tokens, &mut network.past(), &heard, tokens.len());
        let expected: Vec<f32> = golden.floats("short.logits").iter().map(|logit| logit * factor).collect();
        assert_close("logits", &logits, &expected, 2.0 * TOLERANCE);
    }
}
