//! Keys and values of one layer's past, laid out for [`attend`](super::attend).
//!
//! Sixteen positions make a block. Keys lie column by column in it (sixteen positions side by side, so that
//! a score is a sum within a lane), values position by position (columns side by side, so that an output
//! is). Each key/value head has its own blocks one after the other: both are read front to back, and grow
//! and are cut at their end.

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

/// The blocks of each key/value head.
#[derive(Debug, Clone)]
pub(super) enum Store {
    F32(Vec<Blocks<f32>>),
    F16(Vec<Blocks<f16>>),
}

/// `keys`: block, column, position. `values`: block, position, column; as many columns as make whole vectors.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks<T> {
    pub keys: Vec<T>,
    pub values: Vec<T>,
}

impl KvBlocks {
    /// Empty. With `half_precision`, keys and values are rounded to 16 bits; sums stay in 32.
    pub fn new(kv_heads: usize, head_dim: usize, half_precision: bool) -> Self {
        let store = if half_precision {
            Store::F16(vec![Blocks::default(); kv_heads])
        } else {
            Store::F32(vec![Blocks::default(); kv_heads])
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
            Store::F32(heads) => heads.iter().map(Blocks::capacity).sum::<usize>() * size_of::<f32>(),
            Store::F16(heads) => heads.iter().map(Blocks::capacity).sum::<usize>() * size_of::<f16>(),
        }
    }

    /// Makes room for `more` positions, so that the next [`KvBlocks::append`] allocates nothing.
    pub fn reserve(&mut self, more: usize) {
        let blocks = (self.len + more).div_ceil(LANES);
        match &mut self.store {
            Store::F32(heads) => heads.iter_mut().for_each(|head| head.grow(blocks, self.head_dim)),
            Store::F16(heads) => heads.iter_mut().for_each(|head| head.grow(blocks, self.head_dim)),
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
            Store::F32(heads) => write(heads, self.len, self.head_dim, keys, values),
            Store::F16(heads) => {
                let mut narrow = vec![f16::ZERO; 2 * keys.len()];
                let (narrow_keys, narrow_values) = narrow.split_at_mut(keys.len());
                narrow_keys.convert_from_f32_slice(keys);
                narrow_values.convert_from_f32_slice(values);
                write(heads, self.len, self.head_dim, narrow_keys, narrow_values);
            }
        }
        self.len += more;
    }
}

/// Columns of values in memory: whole vectors.
pub(super) fn padded(head_dim: usize) -> usize {
    head_dim.next_multiple_of(LANES)
}

/// Writes rows of all heads, from position `first` on.
fn write<T: Number>(heads: &mut [Blocks<T>], first: usize, head_dim: usize, keys: &[T], values: &[T]) {
    let count = heads.len();
    let rows = keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim));
    for (index, (key, value)) in rows.enumerate() {
        heads[index % count].write(first + index / count, key, value);
    }
}

impl<T: Number> Blocks<T> {
    fn capacity(&self) -> usize {
        self.keys.capacity() + self.values.capacity()
    }

    fn grow(&mut self, blocks: usize, head_dim: usize) {
        let [keys, values] = [head_dim, padded(head_dim)].map(|columns| blocks * LANES * columns);
        if keys > self.keys.len() {
            self.keys.resize(keys, T::default());
            self.values.resize(values, T::default());
        }
    }

    fn write(&mut self, position: usize, key: &[T], value: &[T]) {
        let (block, lane) = (position / LANES, position % LANES);
        let columns = &mut self.keys[block * LANES * key.len()..][..LANES * key.len()];
        for (column, key) in columns.as_chunks_mut::<LANES>().0.iter_mut().zip(key) {
            column[lane] = *key;
        }
        let at = position * padded(value.len());
        self.values[at..at + value.len()].copy_from_slice(value);
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
