//! Sixteen lanes at a time: the few vector operations that the kernels of this module are written in.
//!
//! A kernel is generic code over [`Simd`]; an implementation exists for AVX-512 with VNNI, for AVX2 with
//! FMA and F16C, and in plain Rust for every other machine. A value of an implementing type is a *proof*
//! that the processor has the instructions (it can be made only by asking the processor), which is why
//! the operations are safe to call. [`Isa::run`] enters a function compiled for the instruction set and
//! everything generic is inlined into it.
//!
//! The integer operations are exact and the float operations that [`kernels`](super::kernels) uses are
//! separate multiplications and additions in a fixed order, so products of quantised matrices are the
//! same bits on every path. Only [`Simd::fma`] differs: it is fused where the hardware does that.
//!
//! Deliberately absent: NEON (the portable path is compiled for it as well as LLVM can), and AVX-VNNI
//! without AVX-512, which runs the AVX2 path.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use half::f16;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
use portable::Portable;

/// Lanes of a vector: rows of a group of weights, positions of a block of keys.
pub const LANES: usize = 16;

/// One cache line, the unit in which packed weights are laid out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

impl Line {
    /// A line of zeros.
    pub const ZERO: Self = Self([0; 64]);

    /// Bytes `16 * index ..`, one per lane.
    #[inline(always)]
    pub fn quarter(&self, index: usize) -> &[u8; 16] {
        &self.0.as_chunks().0[index & 3]
    }

    /// Bytes `32 * index ..`, two per lane.
    #[inline(always)]
    pub fn half(&self, index: usize) -> &[u8; 32] {
        &self.0.as_chunks().0[index & 1]
    }
}

/// The vector operations. `Bytes` are four per lane, lane after lane.
pub trait Simd: Copy + Send + Sync {
    /// 16 × 4 unsigned bytes.
    type Bytes: Copy;
    /// 16 × i32.
    type Ints: Copy;
    /// 16 × f32.
    type Floats: Copy;
    /// How many rows of activations a kernel should take through a group of weights at once: what the
    /// registers hold.
    const ROWS_PER_PASS: usize;

    /// The bytes of a line.
    fn bytes(self, line: &Line) -> Self::Bytes;
    /// The low four bits of each byte.
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The high four bits of each byte.
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// Each byte of `nibbles` with `BITS` (1 or 2) more bits above its four: the field at bit
    /// `BITS * index` of the same byte of `plane`.
    fn with_high_bits<const BITS: usize>(
        self,
        nibbles: Self::Bytes,
        plane: Self::Bytes,
        index: usize,
    ) -> Self::Bytes;

    /// The same integer in every lane.
    fn int_splat(self, value: i32) -> Self::Ints;
    /// Sixteen unsigned bytes as integers.
    fn int_from_u8(self, bytes: &[u8; 16]) -> Self::Ints;
    /// Two unsigned bytes per lane as two 16-bit halves, for [`Simd::dot_pairs`].
    fn pairs_from_u8(self, bytes: &[u8; 32]) -> Self::Ints;
    /// Two signed bytes per lane as two 16-bit halves, for [`Simd::dot_pairs`].
    fn pairs_from_i8(self, bytes: &[u8; 32]) -> Self::Ints;
    /// The low and the high 16-bit half of each lane, as integers.
    fn split_pairs(self, halves: Self::Ints) -> (Self::Ints, Self::Ints);
    /// a + b.
    fn int_add(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// a − b.
    fn int_sub(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// a · b, low half.
    fn int_mul(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// `sum` + the dot product of each lane's four weights, at most 127 each, with the four signed bytes
    /// of `quad`.
    fn dot_small(self, sum: Self::Ints, weights: Self::Bytes, quad: i32) -> Self::Ints;
    /// Where a sum of [`Simd::dot_offset`] over activations begins, given −128 · their sum.
    fn offset_start(self, minus_128_sums: i32) -> Self::Ints;
    /// `sum` + the dot product of each lane's four weights *less 128 each* with the four signed bytes of
    /// `quad` (none of which is −128), in a sum begun by [`Simd::offset_start`].
    fn dot_offset(self, sum: Self::Ints, weights: Self::Bytes, quad: i32) -> Self::Ints;
    /// `sum` + the dot product of each lane's two 16-bit halves with those of `pair`.
    fn dot_pairs(self, sum: Self::Ints, halves: Self::Ints, pair: i32) -> Self::Ints;

    /// Integers to the nearest float.
    fn float(self, ints: Self::Ints) -> Self::Floats;
    /// The same float in every lane.
    fn splat(self, value: f32) -> Self::Floats;
    /// Sixteen floats of memory.
    fn load(self, values: &[f32; 16]) -> Self::Floats;
    /// Sixteen half floats of memory.
    fn load_f16(self, values: &[f16; 16]) -> Self::Floats;
    /// Sixteen little-endian IEEE half floats in a packed line.
    fn f16s(self, bytes: &[u8; 32]) -> Self::Floats;
    /// Sixteen little-endian bfloat16 in a packed line.
    fn bf16s(self, bytes: &[u8; 32]) -> Self::Floats;
    /// Sixteen little-endian f32 in a packed line.
    fn f32s(self, line: &Line) -> Self::Floats;
    /// The lanes.
    fn lanes(self, values: Self::Floats) -> [f32; 16];
    /// a + b.
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// a − b.
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// a · b.
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// a / b.
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The greater of each lane's two.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The lesser of each lane's two.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// a · b + c, fused where the hardware does that.
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The first `count` lanes of `values`, the others of `rest`.
    fn first_or(self, values: Self::Floats, count: usize, rest: Self::Floats) -> Self::Floats;
    /// 2 to the power of a whole number from −126 to 127.
    fn pow2(self, whole: Self::Floats) -> Self::Floats;
}

/// e^x in each lane, exact to 2 units in the last place. Below −87.3 it is e^−87.3, above 88 e^88.
///
/// The exponential of the Cephes library: x = n · ln 2 + r, a polynomial in r, times 2^n.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    // 1.5 · 2^23 pushes the fraction out of the mantissa: adding and subtracting it rounds.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of few enough bits that n times it is exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = simd.min(simd.max(x, simd.splat(-87.3)), simd.splat(88.0));
    let round = simd.splat(ROUND);
    let n = simd.sub(simd.add(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)), round), round);
    let r = simd.fma(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.fma(n, simd.splat(-LN_2_LOW), r);
    let mut sum = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        sum = simd.fma(sum, r, simd.splat(*coefficient));
    }
    let sum = simd.add(simd.fma(sum, simd.mul(r, r), r), simd.splat(1.0));
    simd.mul(sum, simd.pow2(n))
}

/// The sum of all lanes, in the same order on every path.
#[inline(always)]
pub fn sum<S: Simd>(simd: S, values: S::Floats) -> f32 {
    fold(simd.lanes(values), |a, b| a + b)
}

/// The greatest of all lanes.
#[inline(always)]
pub fn greatest<S: Simd>(simd: S, values: S::Floats) -> f32 {
    fold(simd.lanes(values), |a, b| if a > b { a } else { b })
}

/// Halves the lanes four times.
#[inline(always)]
fn fold(mut lanes: [f32; 16], op: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = op(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// Work that is generic over the instruction set.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// The work. Implementations are `#[inline(always)]`, else they are compiled without the
    /// instructions that they use.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub enum Isa {
    /// AVX-512 F, BW, VL, VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2, FMA, F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// Whatever the compiler makes of plain Rust.
    Portable(Portable),
}

impl Isa {
    /// The fastest.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable(Portable))
    }

    /// All that this processor has, fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let special: [Option<Self>; 0] = [];
        special.into_iter().flatten().chain([Self::Portable(Portable)])
    }

    /// The name for logs and benches.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable(_) => "portable",
        }
    }

    /// Runs a kernel with this instruction set.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            // SAFETY: the value is the proof that the processor has what the functions are compiled for.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => unsafe { run_avx512(simd, kernel) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => unsafe { run_avx2(simd, kernel) },
            Self::Portable(simd) => kernel.run(simd),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn run_avx512<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}
