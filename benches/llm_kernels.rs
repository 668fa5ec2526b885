//! Products of quantised weights with rows of activations, by our kernels and by candle's, at the shapes of
//! Qwen3-0.6B: decode (1 row), a batch of sessions (4), prefill (32, 128).
//!
//! A table of its own rather than criterion's: the two take turns, each with its best time, because only
//! the ratio means something on a machine that does other work as well. So many copies of a matrix take
//! turns that none of them is in a cache, as in a model.
//!
//! ```sh
//! cargo bench --bench llm_kernels [-- Q4K]
//! ```
#![allow(clippy::print_stdout, reason = "the table is what this is for")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Tensor};
use vivavoce::engines::local::packed::{PackedMatrix, instruction_set};

const TYPES: [GgmlDType; 3] = [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K];

/// Inputs × outputs, and what they are.
const SHAPES: [(usize, usize, &str); 5] = [
    (1024, 4096, "query, key, value"),
    (2048, 1024, "attention output"),
    (1024, 6144, "gate, up"),
    (3072, 1024, "down"),
    (1024, 151_936, "LM head"),
];

/// Rows of the LM head are those whose logits are wanted: few.
const HEAD_MAX_ROWS: usize = 4;

/// More than a cache holds.
const WORKING_SET_BYTES: usize = 96 << 20;

/// Time for each of the two in each line.
const PATIENCE: Duration = Duration::from_millis(400);

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{}; best times; GB/s of weights, 10⁹ products/s of ours", instruction_set());
    println!("| weights | inputs × outputs | rows | threads | ours µs | candle µs | ratio | GB/s | G/s |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for dtype in
        TYPES.into_iter().filter(|dtype| only.as_ref().is_none_or(|only| *only == format!("{dtype:?}")))
    {
        for (cols, rows, what) in SHAPES {
            let pairs = Pair::several(dtype, rows, cols);
            for count in [1, 4, 32, 128].into_iter().filter(|count| rows < 100_000 || *count <= HEAD_MAX_ROWS)
            {
                for threads in [1, 2] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let pool = pool.unwrap_or_else(|error| panic!("{threads} threads: {error}"));
                    let (ours, candle) = pool.install(|| race(&pairs, count));
                    let bytes = pairs[0].ours.bytes() as f64;
                    println!(
                        "| {dtype:?} | {cols} × {rows} ({what}) | {count} | {threads} | {:.0} | {:.0} | {:.2} | {:.1} | {:.0} |",
                        ours * 1e6,
                        candle * 1e6,
                        candle / ours,
                        bytes / ours / 1e9,
                        (rows * cols * count) as f64 / ours / 1e9,
                    );
                }
            }
        }
    }
}

/// The same random matrix for both.
struct Pair {
    ours: PackedMatrix,
    candle: QMatMul,
}

impl Pair {
    fn several(dtype: GgmlDType, rows: usize, cols: usize) -> Vec<Self> {
        let bytes = rows * cols / dtype.block_size() * dtype.type_size();
        (0..WORKING_SET_BYTES.div_ceil(bytes)).map(|seed| Self::new(dtype, rows, cols, seed as u32)).collect()
    }

    fn new(dtype: GgmlDType, rows: usize, cols: usize, seed: u32) -> Self {
        let blocks = random_blocks(dtype, rows * cols, seed);
        let ours = PackedMatrix::pack(dtype, rows, cols, &blocks).unwrap_or_else(|error| panic!("{error}"));
        let candle = QStorage::from_data(Cow::Owned(blocks), &Device::Cpu, dtype)
            .and_then(|storage| QTensor::new(storage, (rows, cols)))
            .and_then(QMatMul::from_qtensor)
            .unwrap_or_else(|error| panic!("{error}"));
        Self { ours, candle }
    }
}

/// Blocks of random bits with scales of 2⁻⁷: time does not depend on the numbers, as long as they are such.
fn random_blocks(dtype: GgmlDType, weights: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) << 32 | 0x9e37_79b9;
    let mut blocks = vec![0; weights / dtype.block_size() * dtype.type_size()];
    blocks.fill_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let scales: &[usize] = match dtype {
        GgmlDType::Q4K => &[0, 2],
        GgmlDType::Q6K => &[208],
        _ => &[0],
    };
    for block in blocks.chunks_exact_mut(dtype.type_size()) {
        for at in scales {
            block[*at..*at + 2].copy_from_slice(&0x2000_u16.to_le_bytes());
        }
    }
    blocks
}

/// The best times of one product in seconds, ours and candle's, who take turns.
fn race(pairs: &[Pair], count: usize) -> (f64, f64) {
    let (cols, rows) = (pairs[0].ours.cols(), pairs[0].ours.rows());
    let inputs: Vec<f32> = (0..count * cols).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect();
    let tensor =
        Tensor::from_slice(&inputs, (count, cols), &Device::Cpu).unwrap_or_else(|error| panic!("{error}"));
    let mut outputs = vec![0.0; count * rows];
    let (mut ours, mut candle) = (f64::INFINITY, f64::INFINITY);
    let begun = Instant::now();
    while begun.elapsed() < 2 * PATIENCE {
        for pair in pairs {
            let start = Instant::now();
            pair.ours.multiply(black_box(&inputs), count, &mut outputs);
            ours = ours.min(start.elapsed().as_secs_f64());
        }
        for pair in pairs {
            let start = Instant::now();
            black_box(pair.candle.forward(black_box(&tensor)).unwrap_or_else(|error| panic!("{error}")));
            candle = candle.min(start.elapsed().as_secs_f64());
        }
    }
    (ours, candle)
}
