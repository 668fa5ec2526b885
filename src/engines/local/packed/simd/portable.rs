//! [`Simd`] in plain Rust: arrays of sixteen, and loops over them that the compiler vectorises.

use half::f16;

use super::{LANES, Line, Simd};

/// Every processor can run it.
#[derive(Clone, Copy)]
pub struct Portable;

/// Lane by lane.
#[inline(always)]
fn each<A: Copy, B: Copy, T: Copy + Default>(
    a: [A; LANES],
    b: [B; LANES],
    op: impl Fn(A, B) -> T,
) -> [T; LANES] {
    let mut result = [T::default(); LANES];
    for lane in 0..LANES {
        result[lane] = op(a[lane], b[lane]);
    }
    result
}

/// Σ of products of the bytes of each lane's word, taken as unsigned less `offset`, with signed ones.
#[inline(always)]
fn dot(sum: [i32; LANES], weights: [u32; LANES], offset: i32, quad: i32) -> [i32; LANES] {
    let quad = quad.to_le_bytes().map(|byte| i32::from(byte as i8));
    each(sum, weights, |sum, word| {
        let at = |shift: u32| ((word >> shift) & 0xff) as i32 - offset;
        sum + at(0) * quad[0] + at(8) * quad[1] + at(16) * quad[2] + at(24) * quad[3]
    })
}

/// Two 16-bit halves in one lane.
#[inline(always)]
fn pair(low: i16, high: i16) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}

impl Simd for Portable {
    /// Four bytes, little-endian, in one word per lane.
    type Bytes = [u32; LANES];
    type Ints = [i32; LANES];
    type Floats = [f32; LANES];
    const ROWS_PER_PASS: usize = 4;

    #[inline(always)]
    fn bytes(self, line: &Line) -> [u32; LANES] {
        let mut words = [0; LANES];
        for (word, bytes) in words.iter_mut().zip(line.0.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        words
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: [u32; LANES]) -> [u32; LANES] {
        bytes.map(|word| word & 0x0f0f_0f0f)
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: [u32; LANES]) -> [u32; LANES] {
        bytes.map(|word| (word >> 4) & 0x0f0f_0f0f)
    }

    #[inline(always)]
    fn with_high_bits<const BITS: usize>(
        self,
        nibbles: [u32; LANES],
        plane: [u32; LANES],
        index: usize,
    ) -> [u32; LANES] {
        let mask = if BITS == 1 { 0x0101_0101 } else { 0x0303_0303 };
        each(nibbles, plane, |low, high| low | ((high >> (BITS * index)) & mask) << 4)
    }

    #[inline(always)]
    fn int_splat(self, value: i32) -> [i32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn int_from_u8(self, bytes: &[u8; 16]) -> [i32; LANES] {
        bytes.map(i32::from)
    }

    #[inline(always)]
    fn pairs_from_u8(self, bytes: &[u8; 32]) -> [i32; LANES] {
        let mut lanes = [0; LANES];
        for (lane, [low, high]) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = pair(i16::from(*low), i16::from(*high));
        }
        lanes
    }

    #[inline(always)]
    fn pairs_from_i8(self, bytes: &[u8; 32]) -> [i32; LANES] {
        let mut lanes = [0; LANES];
        for (lane, [low, high]) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = pair(i16::from(*low as i8), i16::from(*high as i8));
        }
        lanes
    }

    #[inline(always)]
    fn split_pairs(self, halves: [i32; LANES]) -> ([i32; LANES], [i32; LANES]) {
        (halves.map(|lane| i32::from(lane as i16)), halves.map(|lane| lane >> 16))
    }

    #[inline(always)]
    fn int_add(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        each(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn int_sub(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        each(a, b, i32::wrapping_sub)
    }

    #[inline(always)]
    fn int_mul(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        each(a, b, i32::wrapping_mul)
    }

    #[inline(always)]
    fn dot_small(self, sum: [i32; LANES], weights: [u32; LANES], quad: i32) -> [i32; LANES] {
        dot(sum, weights, 0, quad)
    }

    #[inline(always)]
    fn offset_start(self, _minus_128_sums: i32) -> [i32; LANES] {
        // `dot_offset` takes the 128 away from each weight itself.
        [0; LANES]
    }

    #[inline(always)]
    fn dot_offset(self, sum: [i32; LANES], weights: [u32; LANES], quad: i32) -> [i32; LANES] {
        dot(sum, weights, 128, quad)
    }

    #[inline(always)]
    fn dot_pairs(self, sum: [i32; LANES], halves: [i32; LANES], pair: i32) -> [i32; LANES] {
        let [low, high] = [i32::from(pair as i16), pair >> 16];
        each(sum, halves, |sum, lane| sum + i32::from(lane as i16) * low + (lane >> 16) * high)
    }

    #[inline(always)]
    fn float(self, ints: [i32; LANES]) -> [f32; LANES] {
        ints.map(|int| int as f32)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f32; 16]) -> [f32; LANES] {
        *values
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> [f32; LANES] {
        values.map(|value| f32_from_f16(value.to_bits()))
    }

    #[inline(always)]
    fn f16s(self, bytes: &[u8; 32]) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        for (lane, pair) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = f32_from_f16(u16::from_le_bytes(*pair));
        }
        lanes
    }

    #[inline(always)]
    fn bf16s(self, bytes: &[u8; 32]) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        for (lane, pair) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = f32::from_bits(u32::from(u16::from_le_bytes(*pair)) << 16);
        }
        lanes
    }

    #[inline(always)]
    fn f32s(self, line: &Line) -> [f32; LANES] {
        self.bytes(line).map(f32::from_bits)
    }

    #[inline(always)]
    fn lanes(self, values: [f32; LANES]) -> [f32; 16] {
        values
    }

    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| a / b)
    }

    // The comparisons are written so that a NaN in `a` gives `b`, as the x86 instructions do.
    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn fma(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        // Not `f32::mul_add`: without the instruction that is a slow library call.
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn first_or(self, values: [f32; LANES], count: usize, rest: [f32; LANES]) -> [f32; LANES] {
        let mut lanes = rest;
        for (at, lane) in lanes.iter_mut().enumerate() {
            *lane = if at < count { values[at] } else { *lane };
        }
        lanes
    }

    #[inline(always)]
    fn pow2(self, whole: [f32; LANES]) -> [f32; LANES] {
        whole.map(|whole| f32::from_bits(((whole as i32 + 127) as u32) << 23))
    }
}

/// The value of an IEEE half float, in operations that vectorise (those of the crate `half` ask the
/// processor for its features at every call).
#[inline(always)]
fn f32_from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    // Exponent and mantissa moved into place are the value · 2^−112, subnormal numbers included.
    let value = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let finite = value.to_bits();
    let special = 0x7f80_0000 | magnitude << 13;
    f32::from_bits(sign | if magnitude >= 0x7c00 { special } else { finite })
}
