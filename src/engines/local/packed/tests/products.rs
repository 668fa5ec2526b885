//! Products of matrices.

use std::borrow::Cow;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use half::{bf16, f16};
use proptest::prelude::*;

use super::super::*;
use super::{Random, bits, pool};

const QUANTISED: [GgmlDType; 5] =
    [GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];
const DENSE: [GgmlDType; 3] = [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16];

/// Columns of a row of activations that share a scale.
fn act_block(dtype: GgmlDType) -> usize {
    match dtype {
        GgmlDType::Q8_0 | GgmlDType::Q4_0 => 32,
        GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K => 256,
        _ => 1,
    }
}

/// Where the half floats of a block are.
fn half_floats(dtype: GgmlDType) -> &'static [usize] {
    match dtype {
        GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
        GgmlDType::Q6K => &[208],
        GgmlDType::F32 => &[],
        _ => &[0],
    }
}

/// Blocks of which every bit is random, but for scales, which are between −0.1 and 0.1.
fn random_blocks(dtype: GgmlDType, weights: usize, random: &mut Random) -> Vec<u8> {
    let mut blocks = vec![0; weights / dtype.block_size() * dtype.type_size()];
    blocks.fill_with(|| random.bits() as u8);
    for block in blocks.chunks_exact_mut(dtype.type_size()) {
        let scale = random.float() * 0.1;
        for at in half_floats(dtype) {
            let bytes = match dtype {
                GgmlDType::BF16 => bf16::from_f32(scale).to_le_bytes(),
                _ => f16::from_f32(scale).to_le_bytes(),
            };
            block[*at..*at + 2].copy_from_slice(&bytes);
        }
        if dtype == GgmlDType::F32 {
            block.copy_from_slice(&scale.to_le_bytes());
        }
    }
    blocks
}

/// A matrix, and its weights as candle reads them.
struct Case {
    dtype: GgmlDType,
    packed: PackedMatrix,
    weights: Vec<f32>,
}

impl Case {
    fn new(dtype: GgmlDType, rows: usize, cols: usize, blocks: &[u8]) -> Self {
        let packed = PackedMatrix::pack(dtype, rows, cols, blocks).unwrap();
        let storage = QStorage::from_data(Cow::Borrowed(blocks), &Device::Cpu, dtype).unwrap();
        let tensor = QTensor::new(storage, (rows, cols)).unwrap();
        let weights = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        Self { dtype, packed, weights }
    }

    fn random(dtype: GgmlDType, rows: usize, cols: usize, random: &mut Random) -> Self {
        Self::new(dtype, rows, cols, &random_blocks(dtype, rows * cols, random))
    }

    fn multiply(&self, isa: Isa, inputs: &[f32]) -> Vec<f32> {
        let count = inputs.len() / self.packed.cols();
        let mut outputs = vec![f32::NAN; count * self.packed.rows()];
        self.packed.multiply_with(isa, inputs, count, &mut outputs);
        outputs
    }

    /// Checks products of every instruction set against sums in 64 bits.
    fn check(&self, inputs: &[f32]) {
        let cols = self.packed.cols();
        for isa in Isa::available() {
            let outputs = self.multiply(isa, inputs);
            let rows =
                inputs.chunks(cols).flat_map(|input| self.weights.chunks(cols).map(move |row| (row, input)));
            for (at, (output, (weights, input))) in outputs.iter().zip(rows).enumerate() {
                let place = format!("{:?}, {}, output {at}", self.dtype, isa.name());
                self.check_output(*output, weights, input, &place);
            }
        }
    }

    fn check_output(&self, output: f32, weights: &[f32], input: &[f32], place: &str) {
        let dot = |input: &[f32]| -> f64 {
            weights.iter().zip(input).map(|(weight, value)| f64::from(*weight) * f64::from(*value)).sum()
        };
        // The same activations in units of max |x| / 127: what is left is f32's own rounding, of sums
        // and differences (scale · quants − minimum) whose parts may be larger than the weights.
        let rounded = round_activations(self.dtype, input);
        let part = largest(weights) * rounded.iter().map(|value| value.abs()).sum::<f32>();
        let error = (f64::from(output) - dot(&rounded)).abs();
        assert!(error <= f64::from(part) * 1e-5, "{place}: {output} is off by {error}, sum of parts {part}");
        // What that rounding costs: each activation is off by at most half a unit.
        if self.packed.activation_kind() != ActivationKind::Dense {
            let block = act_block(self.dtype);
            let bound: f32 = weights
                .chunks(block)
                .zip(input.chunks(block))
                .map(|(weights, input)| {
                    largest(input) / 254.0 * weights.iter().map(|weight| weight.abs()).sum::<f32>()
                })
                .sum();
            let error = (f64::from(output) - dot(input)).abs();
            assert!(
                error <= f64::from(bound) * 1.001 + f64::from(part) * 1e-5,
                "{place}: off by {error}, bound {bound}"
            );
        }
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// Activations as a product sees them.
fn round_activations(dtype: GgmlDType, input: &[f32]) -> Vec<f32> {
    if act_block(dtype) == 1 {
        return input.to_vec();
    }
    let rounded = input.chunks(act_block(dtype)).flat_map(|block| {
        let unit = largest(block) / 127.0;
        block.iter().map(move |value| if unit == 0.0 { 0.0 } else { (value / unit).round_ties_even() * unit })
    });
    rounded.collect()
}

#[test]
fn products_are_those_of_the_dequantised_weights() {
    let mut random = Random::new(1);
    for dtype in QUANTISED.into_iter().chain(DENSE) {
        for (rows, blocks, count) in [(1, 1, 1), (5, 3, 2), (16, 2, 3), (17, 1, 8), (47, 5, 13)] {
            let cols = blocks * dtype.block_size();
            Case::random(dtype, rows, cols, &mut random).check(&random.floats(count * cols));
        }
    }
}

#[test]
fn rows_are_those_that_candle_reads() {
    let mut random = Random::new(2);
    for dtype in QUANTISED.into_iter().chain(DENSE) {
        let cols = 3 * dtype.block_size();
        let case = Case::random(dtype, 19, cols, &mut random);
        let mut row = vec![f32::NAN; cols];
        for (at, expected) in case.weights.chunks(cols).enumerate() {
            case.packed.row(at, &mut row);
            assert_eq!(row, expected, "{dtype:?}, row {at}");
        }
    }
}

#[test]
fn the_greatest_quants_and_scales_do_not_overflow() {
    let blocks = |dtype: GgmlDType, byte: u8, scale: f32| {
        let mut blocks = vec![byte; 20 * 512 / dtype.block_size() * dtype.type_size()];
        for block in blocks.chunks_exact_mut(dtype.type_size()) {
            for at in half_floats(dtype) {
                block[*at..*at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            }
        }
        blocks
    };
    let inputs: [fn(usize) -> f32; 4] = [
        |_| 3.0,
        |_| -3.0,
        |at| if at % 2 == 0 { 1e9 } else { -1e9 },
        |at| if at % 256 == 7 { 5.0 } else { 0.0 },
    ];
    for dtype in QUANTISED {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            for scale in [0.0, -1.0, 65504.0] {
                let case = Case::new(dtype, 20, 512, &blocks(dtype, byte, scale));
                for input in inputs {
                    case.check(&(0..512).map(input).collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn nothing_times_anything_is_nothing_and_what_is_not_finite_stays_so() {
    let mut random = Random::new(3);
    for dtype in QUANTISED {
        let case = Case::random(dtype, 3, 512, &mut random);
        for isa in Isa::available() {
            assert_eq!(case.multiply(isa, &[0.0; 512]), [0.0; 3]);
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut input = random.floats(512);
                input[300] = wrong;
                let outputs = case.multiply(isa, &input);
                assert!(outputs.iter().all(|output| !output.is_finite()), "{dtype:?} {wrong}: {outputs:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The property that kept prefixes, prefill in chunks and batches are built on.
    #[test]
    fn an_output_has_the_same_bits_whatever_is_computed_with_it(
        kind in 0..QUANTISED.len() + DENSE.len(),
        rows in 1usize..70,
        blocks in 1usize..4,
        count in 1usize..20,
        threads in 1usize..4,
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let dtype = QUANTISED.into_iter().chain(DENSE).nth(kind).unwrap();
        let cols = blocks * dtype.block_size();
        let case = Case::random(dtype, rows, cols, &mut random);
        let inputs = random.floats(count * cols);
        let first = bits(&case.multiply(Isa::best(), &inputs));
        for isa in Isa::available() {
            let together = bits(&pool(threads).install(|| case.multiply(isa, &inputs)));
            let alone: Vec<u32> = inputs.chunks(cols).flat_map(|input| bits(&case.multiply(isa, input))).collect();
            prop_assert_eq!(&together, &alone, "{:?} {}", dtype, isa.name());
            if QUANTISED.contains(&dtype) {
                prop_assert_eq!(&together, &first, "{:?} {}", dtype, isa.name());
            }
        }
    }
}

#[test]
fn threads_that_share_the_work_give_the_same_bits() {
    let mut random = Random::new(4);
    for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::F16] {
        let case = Case::random(dtype, 1003, 512, &mut random);
        let inputs = random.floats(5 * 512);
        let one = pool(1).install(|| case.multiply(Isa::best(), &inputs));
        for threads in [2, 3, 8] {
            let many = pool(threads).install(|| case.multiply(Isa::best(), &inputs));
            assert_eq!(bits(&many), bits(&one), "{dtype:?}, {threads} threads");
        }
    }
}

#[test]
fn matrices_can_share_activations() {
    let mut random = Random::new(5);
    let inputs = random.floats(3 * 256);
    let acts = Activations::quantize(ActivationKind::Blocks256, &inputs, 3, 256);
    let cases = [(GgmlDType::Q4K, 33), (GgmlDType::Q6K, 16), (GgmlDType::Q5K, 1)]
        .map(|(dtype, rows)| Case::random(dtype, rows, 256, &mut random));
    let mut outputs = cases.each_ref().map(|case| vec![f32::NAN; 3 * case.packed.rows()]);
    let mut jobs: Vec<_> =
        cases.iter().zip(&mut outputs).map(|(case, out)| (&case.packed, out.as_mut_slice())).collect();
    multiply_all(&acts, &mut jobs);
    for (case, output) in cases.iter().zip(&outputs) {
        assert_eq!(bits(output), bits(&case.multiply(Isa::best(), &inputs)));
    }
}

#[test]
fn weights_of_another_size_are_refused() {
    let pack = |dtype, rows, cols, bytes: usize| PackedMatrix::pack(dtype, rows, cols, &vec![0; bytes]).err();
    assert_eq!(pack(GgmlDType::Q4K, 16, 256, 16 * 144), None);
    assert_eq!(pack(GgmlDType::Q4_1, 16, 32, 320), Some(PackError::Unsupported(GgmlDType::Q4_1)));
    for cols in [0, 128, 300] {
        let error = PackError::Columns { dtype: GgmlDType::Q4K, cols, block: 256 };
        assert_eq!(pack(GgmlDType::Q4K, 16, cols, 16 * 144), Some(error));
    }
    for (rows, given) in [(16, 0), (16, 16 * 34 - 1), (15, 16 * 34), (0, 0), (usize::MAX, 34)] {
        let error = PackError::Length { dtype: GgmlDType::Q8_0, rows, cols: 32, given };
        assert_eq!(pack(GgmlDType::Q8_0, rows, 32, given), Some(error));
    }
}

#[test]
fn packed_weights_are_hardly_larger_than_those_of_the_file() {
    for dtype in QUANTISED {
        let file = 64 * 1024 / dtype.block_size() * dtype.type_size();
        let packed = PackedMatrix::pack(dtype, 64, 1024, &vec![0; file]).unwrap();
        assert!(packed.bytes() <= file * 103 / 100, "{dtype:?}: {} of {file}", packed.bytes());
    }
}
