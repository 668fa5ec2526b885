//! [`Simd`] with AVX-512: every vector is one register.
//!
//! SAFETY of all `unsafe` blocks here: an [`Avx512`] exists only if [`Avx512::detect`] found the
//! instructions, so calling them is sound; the loads and stores go through references to arrays of
//! exactly the register's size and ask for no alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::f16;

use super::{Line, Simd};

/// Proof that the processor has AVX-512 F, BW, VL and VNNI (and AVX2, FMA, F16C, which all such have).
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// Asks the processor (once; the answer is kept by the standard library).
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

impl Simd for Avx512 {
    type Bytes = __m512i;
    type Ints = __m512i;
    type Floats = __m512;
    const ROWS_PER_PASS: usize = 8;

    #[inline(always)]
    fn bytes(self, line: &Line) -> __m512i {
        unsafe { _mm512_loadu_si512(line.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f)) }
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(0x0f)) }
    }

    #[inline(always)]
    fn with_high_bits<const BITS: usize>(self, nibbles: __m512i, plane: __m512i, index: usize) -> __m512i {
        unsafe {
            let from = (BITS * index) as i64;
            // The count is a constant after inlining, and the shift becomes one by an immediate.
            let at_bit_4 = if from <= 4 {
                _mm512_sll_epi16(plane, _mm_cvtsi64_si128(4 - from))
            } else {
                _mm512_srl_epi16(plane, _mm_cvtsi64_si128(from - 4))
            };
            let mask = _mm512_set1_epi8(if BITS == 1 { 0x10 } else { 0x30 });
            // nibbles | (at_bit_4 & mask)
            _mm512_ternarylogic_epi32::<0b1111_1000>(nibbles, at_bit_4, mask)
        }
    }

    #[inline(always)]
    fn int_splat(self, value: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn int_from_u8(self, bytes: &[u8; 16]) -> __m512i {
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn pairs_from_u8(self, bytes: &[u8; 32]) -> __m512i {
        unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn pairs_from_i8(self, bytes: &[u8; 32]) -> __m512i {
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn split_pairs(self, halves: __m512i) -> (__m512i, __m512i) {
        unsafe {
            let low = _mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(halves));
            (low, _mm512_srai_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    fn int_add(self, a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int_sub(self, a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn int_mul(self, a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    fn dot_small(self, sum: __m512i, weights: __m512i, quad: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, weights, _mm512_set1_epi32(quad)) }
    }

    #[inline(always)]
    fn offset_start(self, minus_128_sums: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(minus_128_sums) }
    }

    #[inline(always)]
    fn dot_offset(self, sum: __m512i, weights: __m512i, quad: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, weights, _mm512_set1_epi32(quad)) }
    }

    #[inline(always)]
    fn dot_pairs(self, sum: __m512i, halves: __m512i, pair: i32) -> __m512i {
        unsafe { _mm512_dpwssd_epi32(sum, halves, _mm512_set1_epi32(pair)) }
    }

    #[inline(always)]
    fn float(self, ints: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(ints) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; 16]) -> __m512 {
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast())) }
    }

    #[inline(always)]
    fn f16s(self, bytes: &[u8; 32]) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn bf16s(self, bytes: &[u8; 32]) -> __m512 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn f32s(self, line: &Line) -> __m512 {
        unsafe { _mm512_loadu_ps(line.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn lanes(self, values: __m512) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), values) };
        lanes
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn first_or(self, values: __m512, count: usize, rest: __m512) -> __m512 {
        let mask = if count >= 16 { 0xffff } else { (1u16 << count) - 1 };
        unsafe { _mm512_mask_blend_ps(mask, rest, values) }
    }

    #[inline(always)]
    fn pow2(self, whole: __m512) -> __m512 {
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(whole), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }
}
