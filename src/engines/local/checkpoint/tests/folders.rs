//! Folders: `config.json` in all its styles, shards, types.

use std::fs;

use serde_json::{Value, json};

use super::*;

fn parse(config: &Value) -> Result<DecoderConfig, CheckpointError> {
    super::super::config::from_json(Path::new("model/config.json"), config, None)
}

/// As Qwen3-0.6B's, in the style of transformers 4.
fn qwen3() -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "bos_token_id": 151643,
        "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
        "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28,
        "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 1_000_000, "sliding_window": null,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false,
        "vocab_size": 151936
    })
}

/// As Llama-3.2-1B-Instruct's, in the style of transformers 5.
fn llama3() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_theta": 500000.0, "rope_type": "llama3"},
        "tie_word_embeddings": true, "vocab_size": 128256
    })
}

/// The config with some keys set, each given by its JSON pointer.
fn with(mut config: Value, changes: &[(&str, Value)]) -> Value {
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    config
}

#[test]
fn both_styles_say_the_same() {
    let old = parse(&qwen3()).unwrap();
    assert_eq!((old.layers, old.heads, old.kv_heads, old.head_dim), (28, 16, 8, 128));
    assert_eq!((old.rope_theta, &old.rope_scaling), (1e6, &RopeScaling::None));
    assert_eq!((&old.eos[..], old.bos), (&[151645][..], Some(151643)));
    assert!(old.tied_embeddings && !old.qkv_bias);
    let new = with(
        qwen3(),
        &[
            ("rope_theta", Value::Null),
            ("rope_parameters", json!({"rope_type": "default", "rope_theta": 1_000_000.0})),
            ("layer_types", json!(vec!["full_attention"; 28])),
        ],
    );
    assert_eq!(parse(&new).unwrap(), old);

    let new = parse(&llama3()).unwrap();
    assert_eq!((new.architecture, new.head_dim, new.rope_theta), (Architecture::Llama, 64, 500_000.0));
    let mut scaling = llama3()["rope_parameters"].clone();
    scaling.as_object_mut().unwrap().remove("rope_theta");
    let changes =
        [("rope_parameters", Value::Null), ("rope_scaling", scaling), ("rope_theta", json!(500000))];
    assert_eq!(parse(&with(llama3(), &changes)).unwrap(), new);
    let nested = json!({"architectures": ["SomethingWithEars"], "text_config": llama3()});
    assert_eq!(parse(&nested).unwrap(), new);
    let mistral =
        with(llama3(), &[("architectures", json!(["MistralForCausalLM"])), ("sliding_window", Value::Null)]);
    assert_eq!(parse(&mistral).unwrap(), new);
}

#[test]
fn all_tokens_that_end_a_reply_are_found() {
    let generation = json!({"eos_token_id": [151645, 151643]});
    let path = Path::new("model/config.json");
    let config = super::super::config::from_json(path, &qwen3(), Some(&generation)).unwrap();
    assert_eq!(config.eos, [151645, 151643]);
    assert_eq!(parse(&llama3()).unwrap().eos, [128001, 128008, 128009]);
    let wrong = json!({"eos_token_id": "</s>"});
    assert_says(
        super::super::config::from_json(path, &qwen3(), Some(&wrong)),
        &["model/generation_config.json", "eos_token_id", "is \"</s>\"", "token id"],
    );
}

#[test]
fn what_we_do_not_follow_is_named_by_its_key() {
    let cases: [(Value, &[&str]); 17] = [
        (with(qwen3(), &[("architectures", json!(["Qwen3MoeForCausalLM"]))]), &["architectures", "Qwen3Moe"]),
        (with(qwen3(), &[("num_experts", json!(128))]), &["num_experts", "is 128"]),
        (
            with(qwen3(), &[("sliding_window", json!(4096)), ("use_sliding_window", json!(true))]),
            &["sliding_window", "4096"],
        ),
        (with(llama3(), &[("sliding_window", json!(4096))]), &["sliding_window"]),
        (
            with(qwen3(), &[("layer_types", json!(["sliding_attention"]))]),
            &["layer_types", "sliding_attention"],
        ),
        (with(qwen3(), &[("hidden_act", json!("gelu"))]), &["hidden_act", "gelu", "silu"]),
        (with(qwen3(), &[("quantization_config", json!({"bits": 4}))]), &["quantization_config", "GGUF"]),
        (
            with(qwen3(), &[("rope_scaling", json!({"type": "yarn", "factor": 4.0}))]),
            &["rope_scaling.type", "yarn", "llama3"],
        ),
        (
            with(
                qwen3(),
                &[("rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": 0.5}))],
            ),
            &["rope_parameters.partial_rotary_factor", "0.5"],
        ),
        (
            with(qwen3(), &[("rope_scaling", json!({"rope_type": "linear"}))]),
            &["rope_scaling.factor", "is not there"],
        ),
        (with(qwen3(), &[("rope_scaling", json!({"factor": 2}))]), &["rope_scaling.rope_type", "not there"]),
        (with(qwen3(), &[("vocab_size", json!(-3))]), &["vocab_size", "is -3", "whole number"]),
        (with(qwen3(), &[("hidden_size", Value::Null)]), &["hidden_size", "is not there"]),
        (with(qwen3(), &[("num_attention_heads", json!(0))]), &["num_attention_heads", "is 0"]),
        (with(qwen3(), &[("vocab_size", json!(u64::MAX))]), &["vocabulary size"]),
        (with(qwen3(), &[("tie_word_embeddings", json!("x".repeat(500)))]), &["tie_word_embeddings", "…"]),
        (json!([1, 2]), &["model_type", "not there"]),
    ];
    for (config, parts) in cases {
        assert_says(parse(&config), &[&["model/config.json"], parts].concat());
    }
    let nested = json!({"text_config": with(llama3(), &[("num_local_experts", json!(8))])});
    assert_says(parse(&nested), &["text_config.num_local_experts"]);
}

#[test]
fn shards_are_found_by_their_index() {
    let checkpoint = Checkpoint::open(&golden("qwen3-untied-old-sharded")).unwrap();
    assert_eq!(checkpoint.naming(), Naming::HuggingFace);
    let head = checkpoint.tensor("lm_head.weight").unwrap();
    assert_eq!((&head.shape[..], head.data.len()), (&[128, 32][..], 128 * 32 * 2));
    assert!(checkpoint.has_tensor("model.layers.1.mlp.down_proj.weight"));
    assert_eq!(checkpoint.vocabulary().unwrap(), None);
}

#[test]
fn folders_that_are_not_whole_are_refused_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    let open = || Checkpoint::open(folder.path());
    let index = "model.safetensors.index.json";

    assert_says(open(), &["model.safetensors", "needs config.json and model.safetensors"]);
    write(index, b"{\"weight_map\": ");
    assert_says(open(), &[index, "line 1", "EOF"]);
    write(index, b"{\"weight_map\": 3}");
    assert_says(open(), &[index, "weight_map"]);
    for outside in ["../secret.safetensors", "/etc/passwd", "a/b", "..", ""] {
        write(index, json!({"weight_map": {"w": outside}}).to_string().as_bytes());
        assert_says(open(), &[index, "weight_map.w", "not the name of a file in this folder"]);
    }
    write(index, b"{\"weight_map\": {\"w\": \"one.safetensors\"}}");
    assert_says(open(), &["cannot read", "one.safetensors"]);
    write("one.safetensors", &safetensors(r#"{"v":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}"#, 2));
    assert_says(open(), &["one.safetensors", "tensor w", "is not in this file"]);
    let weights = r#"{"w":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},
                      "empty":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}}"#;
    write("one.safetensors", &safetensors(weights, 2));
    let whole = open().unwrap();
    assert_says(whole.tensor("w"), &["one.safetensors", "tensor w", "I8", "use BF16, F16 or F32"]);
    assert_says(whole.tensor("empty"), &["one.safetensors", "tensor empty", "shape [0]"]);
    assert_says(whole.tensor("x"), &["tensor x", "is not in the folder"]);
    assert_says(whole.decoder_config(), &["config.json", "fetch the model's config.json too"]);
    write("one.safetensors", &safetensors(weights, 1));
    assert_says(open(), &["one.safetensors", "header", "not fully covered"]);
    write(index, b"{\"weight_map\": {\"w\": \"one.safetensors\", \"v\": \"two.safetensors\"}}");
    write("one.safetensors", &safetensors(weights, 2));
    write("two.safetensors", &safetensors(weights, 2));
    assert_says(open(), &["two.safetensors", "is in", "one.safetensors too"]);
}

/// A file with this header and so many bytes of data.
fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data_bytes]].concat()
}
