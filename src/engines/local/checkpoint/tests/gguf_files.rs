//! GGUF: values, tensors, vocabulary, settings.

use candle_core::quantized::GgmlDType;

use super::writer::{F32, GgufWriter, IQ2_XS, Q4_0, string};
use super::*;

fn open(file: Vec<u8>) -> Result<Gguf, CheckpointError> {
    Gguf::from_bytes(Bytes::from(file), Path::new("test.gguf"))
}

#[test]
fn values_of_every_kind_are_read() {
    let file = GgufWriter::new("llama")
        .entry(b"u8", 0, &[200])
        .entry(b"i8", 1, &[0xff])
        .entry(b"i16", 3, &(-300i16).to_le_bytes())
        .entry(b"i64", 11, &7i64.to_le_bytes())
        .entry(b"f64", 12, &0.25f64.to_le_bytes())
        .u32("u32", 70_000)
        .f32("f32", 1.5)
        .flag("flag", true)
        .text("text", "zwölf")
        .texts("texts", &["a", "", "ß"])
        .array("floats", 6, &[1.0f32.to_le_bytes().to_vec(), 2.0f32.to_le_bytes().to_vec()])
        .array("integers", 5, &[(-1i32).to_le_bytes().to_vec()])
        .finish();
    let file = open(file).unwrap();
    let metadata = file.metadata();
    assert_eq!(metadata.count("u8").unwrap(), Some(200));
    assert_eq!(metadata.count("u32").unwrap(), Some(70_000));
    assert_eq!(metadata.count("i64").unwrap(), Some(7));
    assert_eq!(metadata.number("i8").unwrap(), Some(-1.0));
    assert_eq!(metadata.number("i16").unwrap(), Some(-300.0));
    assert_eq!(metadata.number("f32").unwrap(), Some(1.5));
    assert_eq!(metadata.number("f64").unwrap(), Some(0.25));
    assert_eq!(metadata.flag("flag").unwrap(), Some(true));
    assert_eq!(metadata.text("text").unwrap(), Some("zwölf"));
    assert_eq!(metadata.texts("texts").unwrap().unwrap(), ["a", "", "ß"]);
    assert_eq!(metadata.floats("floats").unwrap().unwrap(), [1.0, 2.0]);
    assert_eq!(metadata.integers("integers").unwrap().unwrap(), [-1]);
    assert_eq!(metadata.array_len("texts").unwrap(), Some(3));
    assert_eq!(metadata.text("nothing").unwrap(), None);

    assert_says(metadata.count("i8"), &["test.gguf", "i8", "is -1", "whole number of at least 0"]);
    assert_says(metadata.text("flag"), &["flag", "truth value", "not a string"]);
    assert_says(metadata.texts("floats"), &["floats", "array of F32", "array of strings"]);
    assert_says(metadata.floats("u32"), &["u32", "is 70000", "array of 32-bit floats"]);
}

#[test]
fn tensors_have_up_to_five_dimensions_and_both_versions_are_read() {
    for version in [2, 3] {
        let numbers: Vec<u8> = (0..48u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        let mut writer = GgufWriter::new("wan");
        writer.version = version;
        let file = writer
            .tensor("first", &[3], F32, &numbers[..12])
            .tensor("patch", &[2, 2, 1, 4, 3], F32, &numbers)
            .finish();
        let file = open(file).unwrap();
        assert_eq!(file.tensor_names().collect::<Vec<_>>(), ["first", "patch"]);
        let patch = file.tensor("patch").unwrap();
        assert_eq!((&patch.shape[..], patch.dtype), (&[3, 4, 1, 2, 2][..], GgmlDType::F32));
        assert_eq!((patch.rows(), patch.columns()), (24, 2));
        assert_eq!(patch.to_f32().unwrap(), (0..48u8).map(f32::from).collect::<Vec<_>>());
        assert_eq!(patch.row_to_f32(23).unwrap().unwrap(), [46.0, 47.0]);
        assert!(patch.row_to_f32(24).is_none());
        assert_says(file.tensor("third"), &["test.gguf", "tensor third", "is not in the file"]);
    }
}

#[test]
fn blocks_are_read_wherever_they_lie_in_memory() {
    let file = std::fs::read(golden("qwen3-q4_0.gguf")).unwrap();
    let read = |bytes: Bytes| {
        let tensor = Gguf::from_bytes(bytes, Path::new("x")).unwrap().tensor("blk.1.ffn_up.weight").unwrap();
        assert_eq!(tensor.dtype, GgmlDType::Q4_0);
        tensor.to_f32().unwrap()
    };
    let even = read(Bytes::from(file.clone()));
    let odd = read(Bytes::from([vec![0], file].concat()).slice(1..));
    assert_eq!(even, odd);
    assert!(even.iter().any(|number| *number != 0.0));
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let f32s = |count: usize| vec![0u8; 4 * count];
    let writer = || GgufWriter::new("llama");
    let version = |version: u32| {
        let mut writer = writer();
        writer.version = version;
        writer.finish()
    };
    let mut unaligned = writer();
    unaligned.alignment = 8;
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (b"GGML....".to_vec(), &["first four bytes", "\"GGML\"", "give a .gguf file"]),
        (b"GG".to_vec(), &["byte 0, magic", "4 bytes should follow, but only 2 do", "fetch it again"]),
        (vec![], &["byte 0, magic"]),
        (version(1), &["version 1", "convert the model again"]),
        (version(3u32.swap_bytes()), &["big-endian"]),
        (version(9), &["version 9", "update this server"]),
        (writer().u32("a", 1).u32("a", 2).finish(), &["a: is there twice"]),
        (writer().entry(b"a", 13, &[0; 8]).finish(), &["a: has a value of the unknown type 13"]),
        (writer().entry(b"a", 7, &[7]).finish(), &["a: is 7 where true or false should be"]),
        (writer().entry(b"\xffa", 7, &[1]).finish(), &["key of metadata entry 1", "not UTF-8"]),
        (writer().entry(b"a", 8, &string(b"ok\xc3(")).finish(), &["byte 92, a", "not UTF-8"]),
        (writer().array("a", 9, &[vec![0; 12]]).finish(), &["a: is an array of arrays"]),
        (writer().u32("general.alignment", 48).finish(), &["general.alignment", "48", "power of two"]),
        (writer().tensor("t", &[64], IQ2_XS, &[0; 64]).finish(), &["tensor t", "IQ2_XS", "use Q4_K_M"]),
        (writer().tensor("t", &[64], 77, &[0; 64]).finish(), &["tensor t", "unknown type 77"]),
        (writer().tensor("t", &[1; 6], F32, &f32s(1)).finish(), &["tensor t", "6 dimensions"]),
        (writer().tensor("t", &[], F32, &f32s(1)).finish(), &["tensor t", "0 dimensions"]),
        (writer().tensor("t", &[2, 0], F32, &f32s(1)).finish(), &["tensor t", "shape [2, 0]"]),
        (writer().tensor("t", &[48], Q4_0, &[0; 27]).finish(), &["tensor t", "rows of 48", "32"]),
        (writer().tensor("t", &[1 << 40, 1 << 40], F32, &[]).finish(), &["tensor t", "cannot be in"]),
        (writer().tensor("t", &[40], F32, &f32s(8)).finish(), &["tensor t", "takes 160 bytes"]),
        (writer().tensor_at("t", &[1], F32, u64::MAX - 31).finish(), &["tensor t", "takes 4 bytes"]),
        (unaligned.tensor_at("t", &[1], F32, 8).finish(), &["tensor t", "begins at 8", "alignment 32"]),
        (
            writer().tensor("t", &[8], F32, &f32s(8)).tensor("t", &[8], F32, &f32s(8)).finish(),
            &["tensor t", "twice"],
        ),
        (
            writer().tensor("t", &[16], F32, &f32s(16)).tensor_at("u", &[8], F32, 32).finish(),
            &["tensor u", "on top of tensor t"],
        ),
    ];
    for (file, parts) in cases {
        assert_says(open(file), &[&["test.gguf"], parts].concat());
    }
}

#[test]
fn files_that_are_none_are_named() {
    assert_says(
        Checkpoint::open(Path::new("/nowhere/model.gguf")),
        &["cannot read /nowhere/model.gguf", "give a .gguf file"],
    );
    assert_says(Checkpoint::open(Path::new("/dev/null")), &["/dev/null", "not a regular file"]);
}

#[test]
fn an_embedded_vocabulary_is_read() {
    let vocabulary = Checkpoint::open(&golden("qwen3-q4_0.gguf")).unwrap().vocabulary().unwrap().unwrap();
    assert_eq!(vocabulary.tokens.len(), 128);
    let tokens: Vec<String> = (0..128).map(|token| format!("t{token}")).collect();
    assert_eq!(
        vocabulary,
        EmbeddedVocabulary {
            model: "gpt2".into(),
            pre: Some("qwen2".into()),
            token_types: [vec![3; 3], vec![1; 125]].concat(),
            merges: vec!["t 1".into(), "t 2".into()],
            bos: Some(1),
            eos: Some(2),
            chat_template: Some("{{ messages[0].content }}".into()),
            tokens,
            ..EmbeddedVocabulary::default()
        }
    );
}

#[test]
fn vocabularies_that_contradict_themselves_are_refused() {
    let read = |writer: GgufWriter| {
        let bytes = Bytes::from(writer.finish());
        Checkpoint::from_gguf_bytes(bytes, Path::new("test.gguf")).unwrap().vocabulary()
    };
    let writer = || GgufWriter::new("llama").texts("tokenizer.ggml.tokens", &["<unk>", "<s>", "</s>"]);
    assert_eq!(read(GgufWriter::new("llama")).unwrap(), None);

    let vocabulary = read(writer().text("tokenizer.ggml.model", "llama")).unwrap().unwrap();
    assert!(vocabulary.add_bos, "SentencePiece begins with a token unless told otherwise");
    let told = writer().text("tokenizer.ggml.model", "llama").flag("tokenizer.ggml.add_bos_token", false);
    assert!(!read(told).unwrap().unwrap().add_bos);

    let id = "tokenizer.ggml.eos_token_id";
    assert_says(read(writer().u32(id, 3)), &[id, "is 3", "3 tokens"]);
    let scores = "tokenizer.ggml.scores";
    assert_says(read(writer().array(scores, 6, &[vec![0; 4]])), &[scores, "1 elements for 3 tokens"]);
}

/// A Llama of one layer without its weights, but for what the settings are read off.
fn settings(architecture: &str) -> GgufWriter {
    let key = |name: &str| format!("{architecture}.{name}");
    GgufWriter::new(architecture)
        .u32(&key("context_length"), 512)
        .u32(&key("embedding_length"), 8)
        .u32(&key("block_count"), 1)
        .u32(&key("feed_forward_length"), 16)
        .u32(&key("attention.head_count"), 2)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .tensor("token_embd.weight", &[8, 4], F32, &[0; 128])
}

fn config_of(writer: GgufWriter) -> Result<DecoderConfig, CheckpointError> {
    Checkpoint::from_gguf_bytes(Bytes::from(writer.finish()), Path::new("test.gguf"))?.decoder_config()
}

#[test]
fn settings_have_the_formats_defaults() {
    let config = config_of(settings("llama")).unwrap();
    assert_eq!(
        config,
        DecoderConfig {
            architecture: Architecture::Llama,
            vocab_size: 4,
            hidden_size: 8,
            intermediate_size: 16,
            layers: 1,
            heads: 2,
            kv_heads: 2,
            head_dim: 4,
            max_position: 512,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            tied_embeddings: true,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            eos: vec![],
            bos: None,
        }
    );
    let told = settings("qwen3")
        .u32("qwen3.attention.key_length", 6)
        .u32("qwen3.attention.head_count_kv", 1)
        .f32("qwen3.rope.freq_base", 1e6)
        .text("qwen3.rope.scaling.type", "linear")
        .f32("qwen3.rope.scaling.factor", 4.0)
        .u32("tokenizer.ggml.eos_token_id", 3)
        .u32("tokenizer.ggml.eot_token_id", 2)
        .u32("tokenizer.ggml.eom_token_id", 3)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .tensor("output.weight", &[8, 4], F32, &[0; 128])
        .tensor("blk.0.attn_q.bias", &[12], F32, &[0; 48]);
    let config = config_of(told).unwrap();
    assert_eq!((config.architecture, config.head_dim, config.kv_heads), (Architecture::Qwen3, 6, 1));
    assert_eq!((config.rope_theta, config.rope_scaling), (1e6, RopeScaling::Linear { factor: 4.0 }));
    assert_eq!((config.eos, config.bos), (vec![3, 2], Some(1)));
    assert!(config.qkv_bias && !config.output_bias && !config.tied_embeddings);

    let factors = settings("llama").tensor("rope_freqs.weight", &[2], F32, &[0, 0, 128, 63, 0, 0, 0, 65]);
    assert_eq!(config_of(factors).unwrap().rope_scaling, RopeScaling::Factors(vec![1.0, 8.0]));
}

#[test]
fn settings_that_we_do_not_follow_are_named() {
    let llama = || settings("llama");
    let cases: Vec<(GgufWriter, &[&str])> = vec![
        (settings("qwen3moe"), &["general.architecture", "qwen3moe", "supported are qwen3"]),
        (llama().u32("llama.expert_count", 8), &["llama.expert_count", "is 8"]),
        (llama().u32("llama.attention.sliding_window", 4096), &["sliding_window", "4096"]),
        (llama().u32("llama.attention.value_length", 16), &["llama.attention.value_length", "16"]),
        (llama().u32("llama.rope.dimension_count", 2), &["llama.rope.dimension_count", "is 2"]),
        (llama().text("llama.rope.scaling.type", "yarn"), &["llama.rope.scaling.type", "yarn", "linear"]),
        (
            llama().array("llama.attention.head_count_kv", 4, &[vec![1, 0, 0, 0]]),
            &["llama.attention.head_count_kv", "array of U32"],
        ),
        (llama().u32("llama.attention.head_count_kv", 0), &["key-value heads", "is 0"]),
        (llama().u32("llama.attention.head_count_kv", 3), &["number of heads", "no multiple of 3"]),
        (llama().u32("llama.attention.key_length", 3), &["width of a head", "odd"]),
        (llama().u32("llama.attention.key_length", 1 << 20), &["width of a head", "1048576"]),
        (llama().f32("llama.rope.freq_base", f32::NAN), &["base of the rotation", "NaN"]),
        (llama().u32("tokenizer.ggml.eos_token_id", 4), &["end token", "is 4 of 4"]),
        (GgufWriter::new("llama"), &["llama.embedding_length", "is not there"]),
        (llama().tensor("rope_freqs.weight", &[3], F32, &[0; 12]), &["stretching of the rotation"]),
    ];
    for (writer, parts) in cases {
        assert_says(config_of(writer), &[&["test.gguf"], parts].concat());
    }
}
