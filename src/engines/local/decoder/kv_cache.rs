//! Keys and values of the tokens that a sequence has read, per layer.

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, bail};
use half::slice::HalfFloatSliceExt;

use crate::engines::local::checkpoint::DecoderConfig;

/// Positions of the first buffers; they double when full.
const FIRST_CAPACITY: usize = 64;

/// What one sequence has read. It belongs to its conversation and grows with it.
#[derive(Debug)]
pub struct KvCache {
    /// Empty until the first tokens come.
    layers: Vec<LayerCache>,
    len: usize,
    layer_count: usize,
    kv_heads: usize,
    head_dim: usize,
    max_position: usize,
    dtype: DType,
    device: Device,
}

/// Keys and values of one layer: `[kv_heads, capacity, head_dim]` each, of which the first
/// positions are filled.
#[derive(Debug)]
pub struct LayerCache {
    keys: Tensor,
    values: Tensor,
}

impl KvCache {
    pub(super) fn new(config: &DecoderConfig, dtype: DType, device: &Device) -> KvCache {
        KvCache {
            layers: Vec::new(),
            len: 0,
            layer_count: config.layers,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            max_position: config.max_position,
            dtype,
            device: device.clone(),
        }
    }

    /// Tokens that have been read.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all tokens from the `len`-th on; nothing happens if there are fewer. The buffers
    /// keep their size.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Memory that the buffers take.
    pub fn bytes(&self) -> u64 {
        let positions = self.layers.len() * self.capacity();
        (positions * 2 * self.kv_heads * self.head_dim * self.dtype.size_in_bytes()) as u64
    }

    /// Whether this is a cache of such a model on such a device.
    pub(super) fn fits(&self, config: &DecoderConfig, dtype: DType, device: &Device) -> bool {
        (self.layer_count, self.kv_heads, self.head_dim, self.max_position)
            == (config.layers, config.kv_heads, config.head_dim, config.max_position)
            && self.dtype == dtype
            && self.device.same_device(device)
    }

    /// Makes room for so many more tokens. The caller has checked that they are within the context.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.len + more;
        if needed <= self.capacity() {
            return Ok(());
        }
        let capacity = needed.next_power_of_two().max(FIRST_CAPACITY).min(self.max_position.max(needed));
        // All layers grow, or none does.
        let mut layers = Vec::with_capacity(self.layer_count);
        for index in 0..self.layer_count {
            let old = self.layers.get(index);
            layers.push(LayerCache {
                keys: self.grown(old.map(|old| &old.keys), capacity)?,
                values: self.grown(old.map(|old| &old.values), capacity)?,
            });
        }
        self.layers = layers;
        Ok(())
    }

    /// Writes the rows of one layer behind the `len` that count. They count themselves only after
    /// [`KvCache::advance`].
    pub(super) fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<&LayerCache> {
        let at = self.len;
        let Some(layer) = self.layers.get_mut(layer) else { bail!("no room was made in the KV cache") };
        write_rows(&layer.keys, keys, at)?;
        write_rows(&layer.values, values, at)?;
        Ok(layer)
    }

    /// So many written rows count from now on.
    pub(super) fn advance(&mut self, rows: usize) {
        self.len += rows;
    }

    fn capacity(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.keys.dims()[1])
    }

    fn grown(&self, old: Option<&Tensor>, capacity: usize) -> Result<Tensor> {
        let new = Tensor::zeros((self.kv_heads, capacity, self.head_dim), self.dtype, &self.device)?;
        if let Some(old) = old.filter(|_| self.len > 0) {
            new.slice_set(&old.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
        }
        Ok(new)
    }
}

impl LayerCache {
    /// Keys of the first `len` positions, `[kv_heads, len, head_dim]`; a view.
    pub(super) fn keys(&self, len: usize) -> Result<Tensor> {
        self.keys.narrow(1, 0, len)
    }

    /// Values of the first `len` positions, `[kv_heads, len, head_dim]`; a view.
    pub(super) fn values(&self, len: usize) -> Result<Tensor> {
        self.values.narrow(1, 0, len)
    }
}

/// `rows` [n, kv_heads, head_dim] into `buffer` [kv_heads, capacity, head_dim] from position `at` on.
fn write_rows(buffer: &Tensor, rows: &Tensor, at: usize) -> Result<()> {
    if rows.device().is_cpu() {
        return buffer.inplace_op2(rows, &WriteRows { at });
    }
    let rows = rows.transpose(0, 1)?.to_dtype(buffer.dtype())?.contiguous()?;
    buffer.slice_set(&rows, 1, at)
}

/// [`write_rows`] on the CPU: from 32-bit floats, converted on the way, without a copy between.
struct WriteRows {
    at: usize,
}

impl InplaceOp2 for WriteRows {
    fn name(&self) -> &'static str {
        "write-kv-rows"
    }

    fn cpu_fwd(
        &self,
        buffer: &mut CpuStorage,
        buffer_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> Result<()> {
        let (kv_heads, capacity, head_dim) = buffer_layout.shape().dims3()?;
        let (n, row_heads, row_dim) = rows_layout.shape().dims3()?;
        let Some((start, end)) = rows_layout.contiguous_offsets() else { bail!("rows are not contiguous") };
        if (row_heads, row_dim) != (kv_heads, head_dim) || self.at + n > capacity {
            bail!("rows {:?} at {} do not fit {:?}", rows_layout.shape(), self.at, buffer_layout.shape());
        }
        let rows = &rows.as_slice::<f32>()?[start..end];
        // Heads of row after row; each has its own stretch of the buffer.
        let targets = (0..n)
            .flat_map(|row| (0..kv_heads).map(move |head| (head * capacity + self.at + row) * head_dim));
        let heads = rows.chunks_exact(head_dim).zip(targets);
        match buffer {
            CpuStorage::F32(buffer) => {
                heads.for_each(|(head, at)| buffer[at..at + head_dim].copy_from_slice(head));
            }
            CpuStorage::F16(buffer) => heads.for_each(|(head, at)| {
                buffer[at..at + head_dim].convert_from_f32_slice(head);
            }),
            _ => bail!("a KV cache holds {:?} or {:?}", DType::F32, DType::F16),
        }
        Ok(())
    }
}
