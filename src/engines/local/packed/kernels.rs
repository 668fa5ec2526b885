//! The products: a group of sixteen rows of weights with a few rows of activations.
//!
//! All sums inside a block are integers and exact. What is added up in f32, once per block, is added one
//! block after the other, in multiplications and additions that are never fused. So an output has the same
//! bits however many rows of activations there are, and whichever instruction set computes it (dense
//! matrices excepted: they use fused additions where there are such).
//!
//! The order in which a unit's lines are read matters to the hardware's prefetching (see
//! [`layout`](super::layout)): measure before you move a load.

use super::activations::{Unit2, Unit64, Unit256};
use super::ggml::Encoding;
use super::layout::{unit_lines, unit256};
use super::simd::{Line, Simd};

/// The sixteen outputs of a group for each of `M` rows of activations.
pub(super) type Outputs<const M: usize> = [[f32; 16]; M];

/// A loop over constants, unrolled here: the compiler does not always, and then shifts are no longer by
/// constants.
macro_rules! unrolled {
    ($at:ident in $($value:literal),+ => $body:block) => {
        $({
            let $at: usize = $value;
            $body
        })+
    };
}

/// Products of a group of Q8_0.
#[inline(always)]
pub(super) fn q8_0<S: Simd, const M: usize>(simd: S, group: &[Line], tile: &[[Unit64; M]]) -> Outputs<M> {
    let mut totals = [simd.splat(0.0); M];
    for (unit, acts) in group.as_chunks::<17>().0.iter().zip(tile) {
        let scales = [simd.f16s(unit[0].half(0)), simd.f16s(unit[0].half(1))];
        for run in 0..2 {
            let mut dots = [simd.int_splat(0); M];
            for row in 0..M {
                dots[row] = simd.offset_start(acts[row].minus_128_sums[run]);
            }
            for quad in 0..8 {
                let weights = simd.bytes(&unit[1 + 8 * run + quad]);
                for row in 0..M {
                    dots[row] = simd.dot_offset(dots[row], weights, acts[row].quads[8 * run + quad]);
                }
            }
            for row in 0..M {
                totals[row] = add_scaled(simd, totals[row], dots[row], scales[run], acts[row].scales[run]);
            }
        }
    }
    lanes(simd, totals)
}

/// Products of a group of Q4_0.
#[inline(always)]
pub(super) fn q4_0<S: Simd, const M: usize>(simd: S, group: &[Line], tile: &[[Unit64; M]]) -> Outputs<M> {
    let mut totals = [simd.splat(0.0); M];
    for (unit, acts) in group.as_chunks::<9>().0.iter().zip(tile) {
        let scales = [simd.f16s(unit[0].half(0)), simd.f16s(unit[0].half(1))];
        for run in 0..2 {
            let mut dots = [simd.int_splat(0); M];
            for row in 0..M {
                dots[row] = simd.int_splat(acts[row].minus_8_sums[run]);
            }
            unrolled!(quad in 0, 1, 2, 3 => {
                let nibbles = simd.bytes(&unit[1 + 4 * run + quad]);
                let (low, high) = (simd.low_nibbles(nibbles), simd.high_nibbles(nibbles));
                for row in 0..M {
                    let quads = &acts[row].quads;
                    dots[row] = simd.dot_small(dots[row], low, quads[8 * run + quad]);
                    dots[row] = simd.dot_small(dots[row], high, quads[8 * run + quad + 4]);
                }
            });
            for row in 0..M {
                totals[row] = add_scaled(simd, totals[row], dots[row], scales[run], acts[row].scales[run]);
            }
        }
    }
    lanes(simd, totals)
}

/// Products of a group of Q4_K (`HIGH_BITS` 0, `LINES` 37) or Q5_K (1, 45).
#[inline(always)]
pub(super) fn with_minimums<S: Simd, const HIGH_BITS: usize, const LINES: usize, const M: usize>(
    simd: S,
    group: &[Line],
    tile: &[[Unit256; M]],
) -> Outputs<M> {
    let mut totals = [simd.splat(0.0); M];
    for (unit, acts) in group.as_chunks::<LINES>().0.iter().zip(tile) {
        let scale = simd.f16s(unit[unit256::FACTORS].half(0));
        let minimum = simd.f16s(unit[unit256::FACTORS].half(1));
        let mut minimums = [simd.int_splat(0); M];
        for pair in 0..4 {
            let halves = simd.pairs_from_u8(unit[unit256::MINIMUMS + pair / 2].half(pair % 2));
            for row in 0..M {
                minimums[row] = simd.dot_pairs(minimums[row], halves, acts[row].sums_32[pair]);
            }
        }
        let mut sums = [simd.int_splat(0); M];
        for run in 0..8 {
            let (section, index) = unit256::place(HIGH_BITS, run);
            let (line, part) = unit256::scales(HIGH_BITS, section, index);
            let scales = simd.int_from_u8(unit[line].quarter(part));
            let (planes, nibbles) = unit256::run_lines(unit, HIGH_BITS, section, index);
            let mut dots = [simd.int_splat(0); M];
            unrolled!(quad in 0, 1, 2, 3 => {
                let nibbles = simd.bytes(&nibbles[quad]);
                let (mut low, mut high) = (simd.low_nibbles(nibbles), simd.high_nibbles(nibbles));
                if HIGH_BITS == 1 {
                    let plane = simd.bytes(&planes[0]);
                    low = simd.with_high_bits::<1>(low, plane, quad);
                    high = simd.with_high_bits::<1>(high, plane, quad + 4);
                }
                for row in 0..M {
                    let quads = &acts[row].quads;
                    dots[row] = simd.dot_small(dots[row], low, quads[8 * run + quad]);
                    dots[row] = simd.dot_small(dots[row], high, quads[8 * run + quad + 4]);
                }
            });
            for row in 0..M {
                sums[row] = simd.int_add(sums[row], simd.int_mul(dots[row], scales));
            }
        }
        for row in 0..M {
            let act_scale = simd.splat(acts[row].scale);
            let product = simd.mul(simd.float(sums[row]), scale);
            let less = simd.mul(simd.float(minimums[row]), minimum);
            totals[row] = simd.add(totals[row], simd.mul(simd.sub(product, less), act_scale));
        }
    }
    lanes(simd, totals)
}

/// Products of a group of Q6_K.
#[inline(always)]
pub(super) fn q6k<S: Simd, const M: usize>(simd: S, group: &[Line], tile: &[[Unit256; M]]) -> Outputs<M> {
    const HIGH_BITS: usize = 2;
    let mut totals = [simd.splat(0.0); M];
    for (unit, acts) in group.as_chunks::<{ unit256::lines(HIGH_BITS) }>().0.iter().zip(tile) {
        let mut sums = [simd.int_splat(0); M];
        let mut offsets = [simd.int_splat(0); M];
        for run in 0..8 {
            let (section, index) = unit256::place(HIGH_BITS, run);
            let (planes, nibbles) = unit256::run_lines(unit, HIGH_BITS, section, index);
            let (low_plane, high_plane) = (simd.bytes(&planes[0]), simd.bytes(&planes[1]));
            let mut low_dots = [simd.int_splat(0); M];
            let mut high_dots = [simd.int_splat(0); M];
            unrolled!(quad in 0, 1, 2, 3 => {
                let nibbles = simd.bytes(&nibbles[quad]);
                let low = simd.with_high_bits::<2>(simd.low_nibbles(nibbles), low_plane, quad);
                let high = simd.with_high_bits::<2>(simd.high_nibbles(nibbles), high_plane, quad);
                for row in 0..M {
                    let quads = &acts[row].quads;
                    low_dots[row] = simd.dot_small(low_dots[row], low, quads[8 * run + quad]);
                    high_dots[row] = simd.dot_small(high_dots[row], high, quads[8 * run + quad + 4]);
                }
            });
            let (line, part) = unit256::scales(HIGH_BITS, section, index);
            let scales = simd.pairs_from_i8(unit[line].half(part));
            let (low_scales, high_scales) = simd.split_pairs(scales);
            for row in 0..M {
                sums[row] = simd.int_add(sums[row], simd.int_mul(low_dots[row], low_scales));
                sums[row] = simd.int_add(sums[row], simd.int_mul(high_dots[row], high_scales));
                offsets[row] = simd.dot_pairs(offsets[row], scales, acts[row].sums_16[run]);
            }
        }
        let scale = simd.f16s(unit[unit256::FACTORS].half(0));
        for row in 0..M {
            let sum = simd.int_sub(sums[row], simd.int_mul(offsets[row], simd.int_splat(32)));
            totals[row] = add_scaled(simd, totals[row], sum, scale, acts[row].scale);
        }
    }
    lanes(simd, totals)
}

/// Products of a group of dense weights, two columns (a unit) at a time.
#[inline(always)]
pub(super) fn dense<S: Simd, const M: usize>(
    simd: S,
    encoding: Encoding,
    group: &[Line],
    tile: &[[Unit2; M]],
) -> Outputs<M> {
    // Even and odd columns have a sum each: twice as many additions are under way.
    let mut totals = [[simd.splat(0.0); 2]; M];
    for (unit, acts) in group.chunks_exact(unit_lines(encoding)).zip(tile) {
        let weights = match encoding {
            Encoding::F16 => [simd.f16s(unit[0].half(0)), simd.f16s(unit[0].half(1))],
            Encoding::BF16 => [simd.bf16s(unit[0].half(0)), simd.bf16s(unit[0].half(1))],
            _ => [simd.f32s(&unit[0]), simd.f32s(&unit[1])],
        };
        for row in 0..M {
            let [even, odd] = acts[row];
            totals[row][0] = simd.fma(weights[0], simd.splat(even), totals[row][0]);
            totals[row][1] = simd.fma(weights[1], simd.splat(odd), totals[row][1]);
        }
    }
    let mut outputs = [simd.splat(0.0); M];
    for row in 0..M {
        outputs[row] = simd.add(totals[row][0], totals[row][1]);
    }
    lanes(simd, outputs)
}

/// `total` + `dot` · (`scales` · `act_scale`).
#[inline(always)]
fn add_scaled<S: Simd>(
    simd: S,
    total: S::Floats,
    dot: S::Ints,
    scales: S::Floats,
    act_scale: f32,
) -> S::Floats {
    let scale = simd.mul(scales, simd.splat(act_scale));
    simd.add(total, simd.mul(simd.float(dot), scale))
}

#[inline(always)]
fn lanes<S: Simd, const M: usize>(simd: S, totals: [S::Floats; M]) -> Outputs<M> {
    let mut outputs = [[0.0; 16]; M];
    for row in 0..M {
        outputs[row] = simd.lanes(totals[row]);
    }
    outputs
}
