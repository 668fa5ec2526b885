//! [`Simd`] with AVX2, FMA and F16C: every vector is two registers of eight lanes.
//!
//! The byte products go through `vpmaddubsw`, whose 16-bit sums saturate. They cannot here: weights of at
//! most 127 give at most 2·127·127 = 32,258; weights of eight bits are taken as sign and magnitude, and
//! give at most 2·128·127 = 32,512; the bound is 32,767.
//!
//! SAFETY of all `unsafe` blocks here: an [`Avx2`] exists only if [`Avx2::detect`] found the
//! instructions, so calling them is sound; the loads and stores go through references to arrays of
//! exactly the registers' size and ask for no alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::f16;

use super::{Line, Simd};

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the processor (once; the answer is kept by the standard library).
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Lanes 0–7 and 8–15 of integers or bytes.
type Pair = [__m256i; 2];
/// Lanes 0–7 and 8–15 of floats.
type FloatPair = [__m256; 2];

/// Applies an intrinsic to both halves.
macro_rules! both {
    ($intrinsic:ident, $($argument:expr),+) => {
        unsafe { [$intrinsic($($argument[0]),+), $intrinsic($($argument[1]),+)] }
    };
}

/// Σ of four products of bytes per lane, of which no pair may exceed 16 bits.
#[inline(always)]
fn dot_quads(sum: __m256i, weights: __m256i, activations: __m256i) -> __m256i {
    unsafe {
        let pairs = _mm256_maddubs_epi16(weights, activations);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

impl Simd for Avx2 {
    type Bytes = Pair;
    type Ints = Pair;
    type Floats = FloatPair;
    const ROWS_PER_PASS: usize = 4;

    #[inline(always)]
    fn bytes(self, line: &Line) -> Pair {
        unsafe {
            [
                _mm256_loadu_si256(line.half(0).as_ptr().cast()),
                _mm256_loadu_si256(line.half(1).as_ptr().cast()),
            ]
        }
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: Pair) -> Pair {
        let mask = unsafe { [_mm256_set1_epi8(0x0f); 2] };
        both!(_mm256_and_si256, bytes, mask)
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: Pair) -> Pair {
        let mask = unsafe { _mm256_set1_epi8(0x0f) };
        bytes.map(
            #[inline(always)]
            |half| unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(half), mask) },
        )
    }

    #[inline(always)]
    fn with_high_bits<const BITS: usize>(self, nibbles: Pair, plane: Pair, index: usize) -> Pair {
        unsafe {
            let from = (BITS * index) as i64;
            let mask = _mm256_set1_epi8(if BITS == 1 { 0x10 } else { 0x30 });
            let mut merged = nibbles;
            for (half, plane) in merged.iter_mut().zip(plane) {
                // The count is a constant after inlining, and the shift becomes one by an immediate.
                let at_bit_4 = if from <= 4 {
                    _mm256_sll_epi16(plane, _mm_cvtsi64_si128(4 - from))
                } else {
                    _mm256_srl_epi16(plane, _mm_cvtsi64_si128(from - 4))
                };
                *half = _mm256_or_si256(*half, _mm256_and_si256(at_bit_4, mask));
            }
            merged
        }
    }

    #[inline(always)]
    fn int_splat(self, value: i32) -> Pair {
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    fn int_from_u8(self, bytes: &[u8; 16]) -> Pair {
        unsafe {
            let all = _mm_loadu_si128(bytes.as_ptr().cast());
            [_mm256_cvtepu8_epi32(all), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(all))]
        }
    }

    #[inline(always)]
    fn pairs_from_u8(self, bytes: &[u8; 32]) -> Pair {
        unsafe {
            let [low, high] = halves(bytes);
            [_mm256_cvtepu8_epi16(low), _mm256_cvtepu8_epi16(high)]
        }
    }

    #[inline(always)]
    fn pairs_from_i8(self, bytes: &[u8; 32]) -> Pair {
        unsafe {
            let [low, high] = halves(bytes);
            [_mm256_cvtepi8_epi16(low), _mm256_cvtepi8_epi16(high)]
        }
    }

    #[inline(always)]
    fn split_pairs(self, halves: Pair) -> (Pair, Pair) {
        let [mut low, mut high] = [halves; 2];
        for (low, high) in low.iter_mut().zip(&mut high) {
            unsafe {
                *low = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(*low));
                *high = _mm256_srai_epi32::<16>(*high);
            }
        }
        (low, high)
    }

    #[inline(always)]
    fn int_add(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_add_epi32, a, b)
    }

    #[inline(always)]
    fn int_sub(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_sub_epi32, a, b)
    }

    #[inline(always)]
    fn int_mul(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_mullo_epi32, a, b)
    }

    #[inline(always)]
    fn dot_small(self, sum: Pair, weights: Pair, quad: i32) -> Pair {
        let quad = self.int_splat(quad);
        [dot_quads(sum[0], weights[0], quad[0]), dot_quads(sum[1], weights[1], quad[1])]
    }

    #[inline(always)]
    fn offset_start(self, _minus_128_sums: i32) -> Pair {
        // `dot_offset` takes the 128 away from each weight itself.
        self.int_splat(0)
    }

    #[inline(always)]
    fn dot_offset(self, sum: Pair, weights: Pair, quad: i32) -> Pair {
        unsafe {
            let quad = _mm256_set1_epi32(quad);
            let mut sum = sum;
            for (sum, weights) in sum.iter_mut().zip(weights) {
                let signed = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
                // |w| · (a with the sign of w) = w · a; |−128| is 128 as an unsigned byte.
                *sum = dot_quads(*sum, _mm256_abs_epi8(signed), _mm256_sign_epi8(quad, signed));
            }
            sum
        }
    }

    #[inline(always)]
    fn dot_pairs(self, sum: Pair, halves: Pair, pair: i32) -> Pair {
        let pair = self.int_splat(pair);
        let products = both!(_mm256_madd_epi16, halves, pair);
        self.int_add(sum, products)
    }

    #[inline(always)]
    fn float(self, ints: Pair) -> FloatPair {
        both!(_mm256_cvtepi32_ps, ints)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> FloatPair {
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, values: &[f32; 16]) -> FloatPair {
        unsafe { [_mm256_loadu_ps(values[..8].as_ptr()), _mm256_loadu_ps(values[8..].as_ptr())] }
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> FloatPair {
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(values[..8].as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(values[8..].as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn f16s(self, bytes: &[u8; 32]) -> FloatPair {
        let halves = halves(bytes);
        both!(_mm256_cvtph_ps, halves)
    }

    #[inline(always)]
    fn bf16s(self, bytes: &[u8; 32]) -> FloatPair {
        let halves = halves(bytes);
        let wide = both!(_mm256_cvtepu16_epi32, halves);
        wide.map(
            #[inline(always)]
            |half| unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(half)) },
        )
    }

    #[inline(always)]
    fn f32s(self, line: &Line) -> FloatPair {
        unsafe {
            [_mm256_loadu_ps(line.half(0).as_ptr().cast()), _mm256_loadu_ps(line.half(1).as_ptr().cast())]
        }
    }

    #[inline(always)]
    fn lanes(self, values: FloatPair) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        unsafe {
            _mm256_storeu_ps(lanes[..8].as_mut_ptr(), values[0]);
            _mm256_storeu_ps(lanes[8..].as_mut_ptr(), values[1]);
        }
        lanes
    }

    #[inline(always)]
    fn add(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_div_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn min(self, a: FloatPair, b: FloatPair) -> FloatPair {
        both!(_mm256_min_ps, a, b)
    }

    #[inline(always)]
    fn fma(self, a: FloatPair, b: FloatPair, c: FloatPair) -> FloatPair {
        both!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn first_or(self, values: FloatPair, count: usize, rest: FloatPair) -> FloatPair {
        let count = self.int_splat(count.min(16) as i32);
        let lanes = unsafe {
            [_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)]
        };
        let within = both!(_mm256_cmpgt_epi32, count, lanes);
        let mask = both!(_mm256_castsi256_ps, within);
        both!(_mm256_blendv_ps, rest, values, mask)
    }

    #[inline(always)]
    fn pow2(self, whole: FloatPair) -> FloatPair {
        whole.map(
            #[inline(always)]
            |half| unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(half), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            },
        )
    }
}

/// Both halves of 32 bytes.
#[inline(always)]
fn halves(bytes: &[u8; 32]) -> [__m128i; 2] {
    unsafe { [_mm_loadu_si128(bytes[..16].as_ptr().cast()), _mm_loadu_si128(bytes[16..].as_ptr().cast())] }
}
