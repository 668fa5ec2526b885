//! Parity with transformers, and that it does not matter how tokens are cut into steps.
//!
//! Checkpoints and goldens: `tests/golden/decoder`, made by `models/parity/decoder/generate.py`. What can run
//! in both arithmetics runs in both: candle's is here that of GPUs on a CPU.
//!
//! For weights in blocks there are two references. With the blocks widened to 32 bits the logits must be the
//! same. With products of blocks, which round the rows to 8 bits too, they must be near: off by [`ROUNDED`] of
//! their own size (root mean square), where a wrong scale or a swapped block is off by half and more.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};

use super::*;

/// Largest difference of a logit; their standard deviation is about 1.
const EXACT: f32 = 1e-4;
/// Root mean square of the differences over that of the logits. These networks are narrow, so that
/// the rounding of few numbers has to average out.
const ROUNDED: f32 = 0.04;

const BOTH: [Arithmetic; 2] = [Arithmetic::Kernels, Arithmetic::Candle];

/// Checkpoints with plain numbers.
const DENSE: [&str; 8] = [
    "qwen3-tied",
    "qwen3-untied-old-sharded",
    "llama3-biased",
    "llama-linear-old",
    "qwen3-f32.gguf",
    "qwen3-f16.gguf",
    "qwen3-bf16.gguf",
    "llama-permuted.gguf",
];
/// Checkpoints with blocks.
const BLOCKS: [&str; 5] =
    ["qwen3-q8_0.gguf", "qwen3-q4_0.gguf", "qwen3-q4_k.gguf", "qwen3-q6_k.gguf", "qwen3-mixed.gguf"];
/// Those whose goldens reach beyond position 2048.
const LONG: [&str; 4] = ["qwen3-tied", "llama3-biased", "llama-linear-old", "llama-permuted.gguf"];

/// Exact weights and caches.
const F32: LoadOptions =
    LoadOptions { weights: WeightType::F32, kv_type: Some(KvType::F32), max_position: None };

#[test]
fn logits_at_all_positions_equal_the_references() {
    for (name, arithmetic) in everywhere(DENSE.into_iter().chain(BLOCKS)) {
        let (decoder, golden) = (load(name, &F32, arithmetic), Golden::read(name));
        let mut cache = decoder.new_cache();
        for (position, token) in golden.prompt.iter().enumerate() {
            let logits = read(&decoder, &mut cache, &[*token]);
            let what = format!("{name}, {arithmetic:?}, position {position}");
            assert_near(&logits, &golden.logits[position], EXACT, &what);
        }
    }
}

#[test]
fn greedy_continuations_equal_the_references_token_for_token() {
    for (name, arithmetic) in everywhere(DENSE.into_iter().chain(BLOCKS)) {
        let (decoder, golden) = (load(name, &F32, arithmetic), Golden::read(name));
        let ours = greedy(&decoder, &golden.prompt, golden.greedy.len());
        assert_eq!(ours, golden.greedy, "{name}, {arithmetic:?}");
    }
}

#[test]
fn positions_beyond_2048_are_as_exact_as_the_first() {
    for (name, arithmetic) in everywhere(LONG.into_iter()) {
        let (decoder, golden) = (load(name, &F32, arithmetic), Golden::read(name));
        let (tokens, logits) = golden.long.expect("the golden has a long sequence");
        assert!(tokens.len() > 2048);
        let mut cache = decoder.new_cache();
        let (before, last) = tokens.split_at(tokens.len() - logits.len());
        for chunk in before.chunks(700) {
            advance(&decoder, &mut cache, chunk);
        }
        for (token, expected) in last.iter().zip(&logits) {
            let position = cache.len();
            let ours = read(&decoder, &mut cache, &[*token]);
            assert_near(&ours, expected, EXACT, &format!("{name}, {arithmetic:?}, position {position}"));
        }
    }
}

#[test]
fn products_of_blocks_are_near_the_reference() {
    for (name, arithmetic) in everywhere(BLOCKS.into_iter()) {
        let golden = Golden::read(name);
        let options = LoadOptions { kv_type: Some(KvType::F32), ..LoadOptions::default() };
        let decoder = load(name, &options, arithmetic);
        let mut cache = decoder.new_cache();
        let logits: Vec<f32> =
            golden.prompt.iter().flat_map(|token| read(&decoder, &mut cache, &[*token])).collect();
        let difference = relative_difference(&logits, &golden.logits.concat());
        // Rounding shows; nothing at all would mean that no blocks were multiplied.
        assert!((EXACT..ROUNDED).contains(&difference), "{name}, {arithmetic:?}: off by {difference}");
    }
}

#[test]
fn dense_weights_can_be_brought_to_8_bits() {
    let name = "qwen3-tied";
    let golden = Golden::read(name);
    for arithmetic in BOTH {
        let exact = load(name, &F32, arithmetic);
        let options = LoadOptions { weights: WeightType::Q8_0, ..F32 };
        let small = load(name, &options, arithmetic);
        assert!(small.weight_bytes() < exact.weight_bytes());
        let logits = read(&small, &mut small.new_cache(), &golden.prompt);
        let difference = relative_difference(&logits, golden.logits.last().unwrap());
        assert!((EXACT..ROUNDED).contains(&difference), "{arithmetic:?}: off by {difference}");
    }
}

#[test]
fn weights_of_16_bits_stay_so_small() {
    let size = |name| load(name, &LoadOptions::default(), Arithmetic::Kernels).weight_bytes();
    assert_eq!(size("qwen3-f16.gguf") * 2, size("qwen3-f32.gguf"));
    assert_eq!(size("qwen3-bf16.gguf"), size("qwen3-f16.gguf"));
}

#[test]
fn caches_of_16_bits_take_half_the_memory_and_hardly_change_anything() {
    let golden = Golden::read("qwen3-tied");
    for arithmetic in BOTH {
        let wide = load("qwen3-tied", &LoadOptions::default(), arithmetic);
        let options = LoadOptions { kv_type: Some(KvType::F16), ..LoadOptions::default() };
        let narrow = load("qwen3-tied", &options, arithmetic);
        let (mut wide_cache, mut narrow_cache) = (wide.new_cache(), narrow.new_cache());
        assert_eq!((wide_cache.bytes(), narrow_cache.bytes()), (0, 0));
        read(&wide, &mut wide_cache, &golden.prompt);
        let logits = read(&narrow, &mut narrow_cache, &golden.prompt);
        // At least the positions themselves: 2 layers of 2 heads of 16, keys and values.
        assert!(narrow_cache.bytes() >= (golden.prompt.len() * 2 * 2 * 16 * 2 * 2) as u64);
        assert_eq!(wide_cache.bytes(), 2 * narrow_cache.bytes());
        let worst = worst_difference(&logits, golden.logits.last().unwrap());
        assert!((EXACT..5e-3).contains(&worst), "{arithmetic:?}: differs by {worst}");
    }
    // Checkpoints of 16 bits have such caches without being asked.
    let decoder = load("qwen3-f16.gguf", &LoadOptions::default(), Arithmetic::Kernels);
    assert_eq!(decoder.kv_kind.dtype, DType::F16);
}

#[test]
fn a_prompt_in_chunks_is_the_prompt() {
    for (name, arithmetic) in
        everywhere(["qwen3-tied", "llama-permuted.gguf", "qwen3-mixed.gguf"].into_iter())
    {
        let decoder = load(name, &LoadOptions::default(), arithmetic);
        let tokens: Vec<u32> = Golden::read(name).prompt.iter().cycle().take(150).copied().collect();
        let mut whole = decoder.new_cache();
        let expected = read(&decoder, &mut whole, &tokens);
        for chunk in [1, 2, 7, 64, 149] {
            let mut cache = decoder.new_cache();
            let (before, last) = tokens.split_at(tokens.len() - 1);
            before.chunks(chunk).for_each(|chunk| advance(&decoder, &mut cache, chunk));
            let logits = read(&decoder, &mut cache, last);
            assert_eq!(cache.len(), tokens.len());
            assert_same(&logits, &expected, arithmetic, &format!("{name} in chunks of {chunk}"));
        }
    }
}

#[test]
fn sequences_in_a_batch_are_as_each_alone() {
    for (name, arithmetic) in everywhere(["qwen3-tied", "qwen3-mixed.gguf"].into_iter()) {
        let (decoder, golden) = (load(name, &LoadOptions::default(), arithmetic), Golden::read(name));
        let tokens = &golden.prompt;
        // Of different lengths, with different pasts, one without logits.
        let pasts = [&tokens[..0], &tokens[..5], &tokens[3..6]];
        let news = [&tokens[..4], &tokens[5..6], &tokens[1..9]];
        let cache_of = |past: &[u32]| {
            let mut cache = decoder.new_cache();
            past.chunks(8).for_each(|past| advance(&decoder, &mut cache, past));
            cache
        };
        let mut alone = pasts.map(cache_of);
        let mut together = pasts.map(cache_of);
        let expected: Vec<Vec<f32>> =
            alone.iter_mut().zip(news).map(|(cache, new)| read(&decoder, cache, new)).collect();
        let mut batch: Vec<Sequence<'_>> = together
            .iter_mut()
            .zip(news)
            .enumerate()
            .map(|(index, (cache, tokens))| Sequence { tokens, cache, wants_logits: index != 1 })
            .collect();
        let logits = decoder.forward(&mut batch).unwrap();
        assert_eq!(logits[1], None);
        for index in [0, 2] {
            let what = format!("{name}, sequence {index}");
            assert_same(logits[index].as_ref().unwrap(), &expected[index], arithmetic, &what);
        }
        // What was written into the caches is as good: the next token's logits agree, all three.
        for (index, (alone, together)) in alone.iter_mut().zip(&mut together).enumerate() {
            assert_eq!(alone.len(), together.len());
            let expected = read(&decoder, alone, &tokens[..1]);
            let ours = read(&decoder, together, &tokens[..1]);
            assert_same(&ours, &expected, arithmetic, &format!("{name}, sequence {index}, next"));
        }
    }
}

#[test]
fn what_is_cut_off_and_read_again_is_as_if_it_had_never_been() {
    let golden = Golden::read("qwen3-tied");
    for arithmetic in BOTH {
        let decoder = load("qwen3-tied", &F32, arithmetic);
        let mut cache = decoder.new_cache();
        read(&decoder, &mut cache, &golden.prompt[..4]);
        // Something else, long enough that the buffers grow.
        advance(&decoder, &mut cache, &[9; 200]);
        cache.truncate(300);
        assert_eq!(cache.len(), 204, "cutting behind the end is nothing");
        cache.truncate(4);
        let logits = read(&decoder, &mut cache, &golden.prompt[4..]);
        assert_near(&logits, golden.logits.last().unwrap(), EXACT, "after the cut");
        cache.truncate(0);
        assert!(cache.is_empty());
        let logits = read(&decoder, &mut cache, &golden.prompt);
        assert_near(&logits, golden.logits.last().unwrap(), EXACT, "from the start");
    }
}

#[test]
fn rows_can_come_in_place_of_tokens() {
    let (decoder, golden) = (load("llama3-biased", &F32, Arithmetic::Kernels), Golden::read("llama3-biased"));
    let rows = decoder.embed(&golden.prompt).unwrap();
    assert_eq!(rows.dims(), [golden.prompt.len(), 32]);
    let (mut first, mut second) = (decoder.new_cache(), decoder.new_cache());
    let logits = decoder
        .forward_rows(&mut [
            RowSequence { rows: rows.clone(), cache: &mut first, logits: 3 },
            RowSequence { rows: rows.narrow(0, 0, 3).unwrap(), cache: &mut second, logits: 1 },
        ])
        .unwrap();
    assert_eq!(logits.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    for (ours, expected) in logits[0].iter().zip(&golden.logits[golden.logits.len() - 3..]) {
        assert_near(ours, expected, EXACT, "the last of all rows");
    }
    assert_near(&logits[1][0], &golden.logits[2], EXACT, "three rows");

    let wrong = Tensor::zeros((2, 31), DType::F32, &Device::Cpu).unwrap();
    let sequence = RowSequence { rows: wrong, cache: &mut first, logits: 1 };
    let error = decoder.forward_rows(&mut [sequence]).unwrap_err();
    assert!(matches!(error, DecoderError::Foreign { what: "rows", index: 0 }), "{error}");
}

#[test]
fn a_step_that_cannot_be_made_changes_nothing() {
    let decoder = load("qwen3-tied", &LoadOptions { max_position: Some(12), ..F32 }, Arithmetic::Kernels);
    assert_eq!(decoder.config().max_position, 12);
    let (mut good, mut bad) = (decoder.new_cache(), decoder.new_cache());
    advance(&decoder, &mut good, &[3; 5]);
    advance(&decoder, &mut bad, &[3; 10]);
    let mut step = |tokens: &[u32]| {
        let sequence = Sequence { tokens: &[4, 5], cache: &mut good, wants_logits: true };
        let other = Sequence { tokens, cache: &mut bad, wants_logits: true };
        let error = decoder.forward(&mut [sequence, other]).unwrap_err();
        assert_eq!((good.len(), bad.len()), (5, 10), "{error}");
        error
    };
    let error = step(&[1, 2, 3]);
    assert!(matches!(error, DecoderError::ContextFull { len: 10, more: 3, max_position: 12 }), "{error}");
    assert_eq!(crate::engines::EngineError::from(error).code(), "llm_context_full");
    assert!(matches!(step(&[]), DecoderError::EmptySequence { index: 1 }));
    assert!(matches!(step(&[128]), DecoderError::UnknownToken { token: 128, vocab_size: 128 }));
    // The context can be filled to its last position.
    read(&decoder, &mut bad, &[1, 2]);
    assert_eq!(bad.len(), 12);

    let other = load("llama-linear-old", &F32, Arithmetic::Kernels);
    let sequence = Sequence { tokens: &[1], cache: &mut good, wants_logits: true };
    let error = other.forward(&mut [sequence]).unwrap_err();
    assert!(matches!(error, DecoderError::Foreign { what: "the cache", index: 0 }), "{error}");
    assert!(decoder.forward(&mut []).unwrap().is_empty());
}

#[test]
fn a_decoder_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Decoder>();
    fn sent<T: Send>() {}
    sent::<KvCache>();
}

struct Golden {
    prompt: Vec<u32>,
    logits: Vec<Vec<f32>>,
    greedy: Vec<u32>,
    /// Tokens, and logits of the last of them.
    long: Option<(Vec<u32>, Vec<Vec<f32>>)>,
}

impl Golden {
    fn read(checkpoint: &str) -> Golden {
        let name = checkpoint.trim_end_matches(".gguf");
        let tensors =
            safetensors::load(folder().join(format!("{name}.golden.safetensors")), &Device::Cpu).unwrap();
        let ids = |tensor: &Tensor| tensor.to_dtype(DType::U32).unwrap().to_vec1().unwrap();
        let rows = |name: &str| tensors[name].to_vec2().unwrap();
        Golden {
            prompt: ids(&tensors["prompt"]),
            logits: rows("logits"),
            greedy: ids(&tensors["greedy"]),
            long: tensors.get("long").map(|long| (ids(long), rows("long_logits"))),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder")
}

/// Each name with both arithmetics.
fn everywhere<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, Arithmetic)> {
    names.flat_map(|name| BOTH.map(|arithmetic| (name, arithmetic)))
}

fn load(name: &str, options: &LoadOptions, arithmetic: Arithmetic) -> Decoder {
    let checkpoint = Checkpoint::open(&folder().join(name)).unwrap();
    load::load(&checkpoint, &Device::Cpu, options, arithmetic).unwrap()
}

/// Logits after the last of `tokens`.
fn read(decoder: &Decoder, cache: &mut KvCache, tokens: &[u32]) -> Vec<f32> {
    let sequence = Sequence { tokens, cache, wants_logits: true };
    decoder.forward(&mut [sequence]).unwrap().remove(0).unwrap()
}

fn advance(decoder: &Decoder, cache: &mut KvCache, tokens: &[u32]) {
    let sequence = Sequence { tokens, cache, wants_logits: false };
    assert_eq!(decoder.forward(&mut [sequence]).unwrap(), [None]);
}

fn greedy(decoder: &Decoder, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut cache = decoder.new_cache();
    let mut logits = read(decoder, &mut cache, prompt);
    let mut tokens = Vec::new();
    loop {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        tokens.push(best as u32);
        if tokens.len() == count {
            return tokens;
        }
        logits = read(decoder, &mut cache, &tokens[tokens.len() - 1..]);
    }
}

fn worst_difference(ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len());
    assert!(ours.iter().all(|logit| logit.is_finite()));
    ours.iter().zip(expected).map(|(ours, expected)| (ours - expected).abs()).fold(0.0, f32::max)
}

fn assert_near(ours: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let worst = worst_difference(ours, expected);
    assert!(worst < tolerance, "{what}: differs by {worst}");
}

/// Root mean square of the differences over that of what is expected.
fn relative_difference(ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len());
    let differences = ours.iter().zip(expected).map(|(ours, expected)| (ours - expected).powi(2));
    (differences.sum::<f32>() / expected.iter().map(|number| number.powi(2)).sum::<f32>()).sqrt()
}

/// With kernels the same bits.
fn assert_same(ours: &[f32], expected: &[f32], arithmetic: Arithmetic, what: &str) {
    match arithmetic {
        Arithmetic::Kernels => assert_eq!(worst_difference(ours, expected), 0.0, "{what}"),
        Arithmetic::Candle => assert_near(ours, expected, 1e-5, what),
    }
}
