//! Rows of activations, in the form that a matrix multiplies.
//!
//! Quantised matrices take activations as signed bytes with one scale per 32 columns (Q8_0, Q4_0) or per
//! 256 (the K-quants), as ggml does; the scale is max |x| / 127, so the error of an activation is at most
//! max |x| / 254 of its block. Dense matrices take them as they are.
//!
//! Rows that a kernel takes together (a *tile*: eight, then four, two and one of what is left) lie
//! interleaved, unit by unit, so that a kernel finds all of them at fixed distances from one pointer.

use std::marker::PhantomData;

use super::ggml::Encoding;
use super::simd::{Isa, Kernel, Simd};

/// What activations are quantised to. Matrices of one kind can share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    /// f32, for dense matrices.
    Dense,
    /// One scale per 32 columns, for Q8_0 and Q4_0.
    Blocks32,
    /// One scale per 256 columns, for Q4_K, Q5_K and Q6_K.
    Blocks256,
}

impl ActivationKind {
    pub(super) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::F32 | Encoding::F16 | Encoding::BF16 => Self::Dense,
            Encoding::Q8_0 | Encoding::Q4_0 => Self::Blocks32,
            Encoding::Q4K | Encoding::Q5K | Encoding::Q6K => Self::Blocks256,
        }
    }
}

/// Activations of 64 columns, in two runs of 32.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Unit64 {
    /// Four signed bytes each.
    pub quads: [i32; 16],
    /// max |x| / 127 of each run.
    pub scales: [f32; 2],
    /// −128 · the sum of each run's quants.
    pub minus_128_sums: [i32; 2],
    /// −8 · the sum of each run's quants.
    pub minus_8_sums: [i32; 2],
}

/// Activations of 256 columns.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Unit256 {
    /// Four signed bytes each.
    pub quads: [i32; 64],
    /// Sums of the quants of two neighbouring runs of 16 columns, in 16 bits each.
    pub sums_16: [i32; 8],
    /// Sums of the quants of two neighbouring runs of 32 columns, in 16 bits each.
    pub sums_32: [i32; 4],
    /// max |x| / 127.
    pub scale: f32,
}

/// Two columns of dense activations.
pub(super) type Unit2 = [f32; 2];

/// Rows of activations of one kind.
pub struct Activations {
    pub(super) count: usize,
    pub(super) cols: usize,
    pub(super) rows_per_tile: usize,
    pub(super) units: Units,
}

/// The units of all rows, tile after tile.
pub(super) enum Units {
    Dense(Vec<Unit2>),
    Blocks32(Vec<Unit64>),
    Blocks256(Vec<Unit256>),
}

/// Rows of the next tile, when `left` rows are left.
#[inline(always)]
pub(super) fn tile_rows(left: usize, rows_per_tile: usize) -> usize {
    match left.min(rows_per_tile) {
        8.. => 8,
        4.. => 4,
        2.. => 2,
        few => few,
    }
}

impl Activations {
    /// Quantises `count` rows of `cols` floats. A row's result does not depend on the others.
    ///
    /// NaN and infinite activations make their block's scale, and so every product, not finite.
    ///
    /// # Panics
    /// If `values` is not `count` × `cols` long.
    pub fn quantize(kind: ActivationKind, values: &[f32], count: usize, cols: usize) -> Self {
        Self::quantize_with(Isa::best(), kind, values, count, cols)
    }

    pub(super) fn quantize_with(
        isa: Isa,
        kind: ActivationKind,
        values: &[f32],
        count: usize,
        cols: usize,
    ) -> Self {
        assert!(cols > 0, "activations have columns");
        assert_eq!(values.len(), count * cols, "activations are {count} rows of {cols}");
        let units = match kind {
            ActivationKind::Dense => Units::Dense(isa.run(Quantize { values, cols, unit: PhantomData })),
            ActivationKind::Blocks32 => {
                Units::Blocks32(isa.run(Quantize { values, cols, unit: PhantomData }))
            }
            ActivationKind::Blocks256 => {
                Units::Blocks256(isa.run(Quantize { values, cols, unit: PhantomData }))
            }
        };
        Self { count, cols, rows_per_tile: isa.run(RowsPerTile), units }
    }

    /// What they were quantised to.
    pub fn kind(&self) -> ActivationKind {
        match self.units {
            Units::Dense(_) => ActivationKind::Dense,
            Units::Blocks32(_) => ActivationKind::Blocks32,
            Units::Blocks256(_) => ActivationKind::Blocks256,
        }
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A number of columns that are quantised together.
trait Unit: Copy {
    const COLS: usize;
    const ZERO: Self;
    /// `values` may be fewer than [`Unit::COLS`]: the rest are zeros.
    fn of(values: &[f32]) -> Self;
}

struct RowsPerTile;

impl Kernel for RowsPerTile {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        S::ROWS_PER_PASS
    }
}

struct Quantize<'a, U> {
    values: &'a [f32],
    cols: usize,
    unit: PhantomData<U>,
}

impl<U: Unit> Kernel for Quantize<'_, U> {
    type Output = Vec<U>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Vec<U> {
        let per_row = self.cols.div_ceil(U::COLS);
        let count = self.values.len() / self.cols;
        let mut units = vec![U::ZERO; count * per_row];
        let mut first = 0;
        while first < count {
            let rows = tile_rows(count - first, S::ROWS_PER_PASS);
            let values = &self.values[first * self.cols..][..rows * self.cols];
            let tile = &mut units[first * per_row..][..rows * per_row];
            for (at, row) in values.chunks_exact(self.cols).enumerate() {
                for (unit, values) in tile.chunks_exact_mut(rows).zip(row.chunks(U::COLS)) {
                    unit[at] = U::of(values);
                }
            }
            first += rows;
        }
        units
    }
}

impl Unit for Unit2 {
    const COLS: usize = 2;
    const ZERO: Self = [0.0; 2];

    #[inline(always)]
    fn of(values: &[f32]) -> Self {
        values.first_chunk().copied().unwrap_or_else(|| [values[0], 0.0])
    }
}

impl Unit for Unit64 {
    const COLS: usize = 64;
    const ZERO: Self =
        Self { quads: [0; 16], scales: [0.0; 2], minus_128_sums: [0; 2], minus_8_sums: [0; 2] };

    #[inline(always)]
    fn of(values: &[f32]) -> Self {
        let mut unit = Self::ZERO;
        for (run, values) in values.as_chunks::<32>().0.iter().enumerate().take(2) {
            let (scale, quants) = quantize(values);
            let sum: i32 = quants.iter().sum();
            pack_quads(&quants, &mut unit.quads[8 * run..][..8]);
            unit.scales[run] = scale;
            unit.minus_128_sums[run] = -128 * sum;
            unit.minus_8_sums[run] = -8 * sum;
        }
        unit
    }
}

impl Unit for Unit256 {
    const COLS: usize = 256;
    const ZERO: Self = Self { quads: [0; 64], sums_16: [0; 8], sums_32: [0; 4], scale: 0.0 };

    #[inline(always)]
    fn of(values: &[f32]) -> Self {
        let mut unit = Self::ZERO;
        let Some(values) = values.first_chunk::<256>() else { return unit };
        let (scale, quants) = quantize(values);
        pack_quads(&quants, &mut unit.quads);
        let mut sums = [0; 16];
        for (sum, run) in sums.iter_mut().zip(quants.as_chunks::<16>().0) {
            *sum = run.iter().sum();
        }
        for (pair, [first, second]) in unit.sums_16.iter_mut().zip(sums.as_chunks().0) {
            *pair = pack_pair(*first, *second);
        }
        for (pair, [a, b, c, d]) in unit.sums_32.iter_mut().zip(sums.as_chunks().0) {
            *pair = pack_pair(a + b, c + d);
        }
        unit.scale = scale;
        unit
    }
}

/// max |x| / 127 and the values in units of it, rounded to the nearest (ties to even).
#[inline(always)]
fn quantize<const N: usize>(values: &[f32; N]) -> (f32, [i32; N]) {
    // Magnitudes are compared as integers, which orders them as floats do and puts NaN above all.
    let mut greatest = 0;
    for value in values {
        greatest = greatest.max(value.to_bits() & 0x7fff_ffff);
    }
    let greatest = f32::from_bits(greatest);
    let inverse = if greatest > 0.0 { 127.0 / greatest } else { 0.0 };
    // 1.5 · 2^23 pushes the fraction out of the mantissa, which leaves the integer in its low bits.
    const ROUND: f32 = 12_582_912.0;
    let mut quants = [0; N];
    for (quant, value) in quants.iter_mut().zip(values) {
        let scaled = value * inverse;
        *quant = i32::from(((scaled + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i8);
    }
    (greatest / 127.0, quants)
}

#[inline(always)]
fn pack_quads(quants: &[i32], quads: &mut [i32]) {
    for (quad, quants) in quads.iter_mut().zip(quants.as_chunks::<4>().0) {
        *quad = i32::from_le_bytes(quants.map(|quant| quant as u8));
    }
}

/// Two sums of at most 32 quants, which fit 16 bits.
#[inline(always)]
fn pack_pair(low: i32, high: i32) -> i32 {
    low & 0xffff | high << 16
}
