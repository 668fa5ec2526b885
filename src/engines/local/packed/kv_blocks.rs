//! Keys and values of one layer's past, laid out for [`attend`](super::attend).
//!
//! Sixteen positions make a block. In a block each key/value head has its keys column by column (sixteen
//! positions side by side, so that a score is a sum within a lane) and its values position by position
//! (columns side by side, so that an output is). Both are read front to back. Blocks follow each other by
//! position, so the cache grows at its end and is cut there.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::simd::{LANES, Simd};

/// Keys and values of one layer.
#[derive(Debug, Clone)]
pub struct KvBlocks {
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    len: usize,
    pub(super) store: Store,
}

#[derive(Debug, Clone)]
pub(super) enum Store {
    F32(Blocks<f32>),
    F16(Blocks<f16>),
}

/// `keys`: block, head, column, position. `values`: block, head, position, column; as many columns as make
/// whole vectors.
#[derive(Debug, Clone)]
pub(super) struct Blocks<T> {
    pub keys: Vec<T>,
    pub values: Vec<T>,
}

impl KvBlocks {
    /// Empty. With `half_precision`, keys and values are rounded to 16 bits; sums stay in 32.
    pub fn new(kv_heads: usize, head_dim: usize, half_precision: bool) -> Self {
        let store = if half_precision {
            Store::F16(Blocks { keys: Vec::new(), values: Vec::new() })
        } else {
            Store::F32(Blocks { keys: Vec::new(), values: Vec::new() })
        };
        Self { kv_heads, head_dim, len: 0, store }
    }

    /// Positions that are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the positions from `len` on. The memory is kept for new ones.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Memory that is held.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::F32(blocks) => blocks.capacity() * size_of::<f32>(),
            Store::F16(blocks) => blocks.capacity() * size_of::<f16>(),
        }
    }

    /// Makes room for `more` positions, so that the next [`KvBlocks::append`] allocates nothing.
    pub fn reserve(&mut self, more: usize) {
        let blocks = (self.len + more).div_ceil(LANES);
        let keys = blocks * self.kv_heads * self.head_dim * LANES;
        let values = blocks * self.kv_heads * padded(self.head_dim) * LANES;
        match &mut self.store {
            Store::F32(blocks) => blocks.grow(keys, values),
            Store::F16(blocks) => blocks.grow(keys, values),
        }
    }

    /// Adds positions: `keys` and `values` are `[positions, kv_heads, head_dim]`.
    ///
    /// # Panics
    /// If they are not whole positions, or not equally many.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.kv_heads * self.head_dim;
        assert_eq!(keys.len(), values.len(), "as many keys as values");
        assert!(keys.len().is_multiple_of(width), "keys are whole positions of {width}");
        let more = keys.len() / width;
        self.reserve(more);
        match &mut self.store {
            Store::F32(blocks) => {
                blocks.write(self.len, [self.kv_heads, self.head_dim], keys, values);
            }
            Store::F16(blocks) => {
                let [mut narrow_keys, mut narrow_values] =
                    [vec![f16::ZERO; keys.len()], vec![f16::ZERO; keys.len()]];
                narrow_keys.convert_from_f32_slice(keys);
                narrow_values.convert_from_f32_slice(values);
                blocks.write(self.len, [self.kv_heads, self.head_dim], &narrow_keys, &narrow_values);
            }
        }
        self.len += more;
    }
}

/// Columns of values in memory: whole vectors.
pub(super) fn padded(head_dim: usize) -> usize {
    head_dim.next_multiple_of(LANES)
}

impl<T: Number> Blocks<T> {
    fn capacity(&self) -> usize {
        self.keys.capacity() + self.values.capacity()
    }

    fn grow(&mut self, keys: usize, values: usize) {
        if keys > self.keys.len() {
            self.keys.resize(keys, T::default());
            self.values.resize(values, T::default());
        }
    }

    fn write(&mut self, first: usize, [kv_heads, head_dim]: [usize; 2], keys: &[T], values: &[T]) {
        let padded = padded(head_dim);
        let heads = keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim));
        for (index, (key, value)) in heads.enumerate() {
            let (position, head) = (first + index / kv_heads, index % kv_heads);
            let (block, lane) = (position / LANES, position % LANES);
            let columns = &mut self.keys[(block * kv_heads + head) * head_dim * LANES..][..head_dim * LANES];
            for (column, key) in columns.as_chunks_mut::<LANES>().0.iter_mut().zip(key) {
                column[lane] = *key;
            }
            let rows = &mut self.values[(block * kv_heads + head) * LANES * padded..];
            rows[lane * padded..][..head_dim].copy_from_slice(value);
        }
    }
}

/// What keys and values are stored as.
pub(super) trait Number: Copy + Default + Send + Sync {
    fn load<S: Simd>(simd: S, values: &[Self; LANES]) -> S::Floats;
}

impl Number for f32 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, values: &[f32; LANES]) -> S::Floats {
        simd.load(values)
    }
}

impl Number for f16 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, values: &[f16; LANES]) -> S::Floats {
        simd.load_f16(values)
    }
}
