//! Keys and values of the tokens that a sequence has read, per layer.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::arithmetic::{Arithmetic, on_cpu};
use crate::engines::local::checkpoint::DecoderConfig;
use crate::engines::local::packed::KvBlocks;

/// Positions of the first buffers on a GPU; they double when full.
const FIRST_CAPACITY: usize = 64;

/// What one sequence has read. It belongs to its conversation and grows with it.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    len: usize,
    kind: KvKind,
}

/// What caches of one decoder have in common.
#[derive(Debug, Clone)]
pub(super) struct KvKind {
    arithmetic: Arithmetic,
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    max_position: usize,
    /// 16- or 32-bit floats.
    pub dtype: DType,
    device: Device,
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(super) enum LayerCache {
    /// For our kernels.
    Blocks(KvBlocks),
    /// For candle: `[kv_heads, capacity, head_dim]` each, of which the first positions are filled;
    /// nothing before the first tokens.
    Tensors(Option<(Tensor, Tensor)>),
}

impl KvKind {
    pub fn new(config: &DecoderConfig, dtype: DType, device: &Device, arithmetic: Arithmetic) -> KvKind {
        KvKind {
            arithmetic,
            layers: config.layers,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            max_position: config.max_position,
            dtype,
            device: device.clone(),
        }
    }

    fn equals(&self, other: &KvKind) -> bool {
        let shape = |kind: &KvKind| {
            (kind.arithmetic, kind.layers, kind.kv_heads, kind.head_dim, kind.max_position, kind.dtype)
        };
        shape(self) == shape(other) && self.device.same_device(&other.device)
    }
}

impl KvCache {
    pub(super) fn new(kind: &KvKind) -> KvCache {
        let layer = || match kind.arithmetic {
            Arithmetic::Kernels => {
                LayerCache::Blocks(KvBlocks::new(kind.kv_heads, kind.head_dim, kind.dtype == DType::F16))
            }
            Arithmetic::Candle => LayerCache::Tensors(None),
        };
        KvCache { layers: (0..kind.layers).map(|_| layer()).collect(), len: 0, kind: kind.clone() }
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
        let bytes = |layer: &LayerCache| match layer {
            LayerCache::Blocks(blocks) => blocks.bytes(),
            LayerCache::Tensors(None) => 0,
            LayerCache::Tensors(Some((keys, values))) => {
                (keys.elem_count() + values.elem_count()) * self.kind.dtype.size_in_bytes()
            }
        };
        self.layers.iter().map(bytes).sum::<usize>() as u64
    }

    /// Whether this is a cache of such a decoder.
    pub(super) fn is_of(&self, kind: &KvKind) -> bool {
        self.kind.equals(kind)
    }

    /// Makes room for so many more tokens. The caller has checked that they are within the context.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let KvKind { kv_heads, head_dim, max_position, dtype, .. } = self.kind;
        let (len, needed) = (self.len, self.len + more);
        for layer in &mut self.layers {
            match layer {
                LayerCache::Blocks(blocks) => {
                    blocks.truncate(len);
                    blocks.reserve(more);
                }
                LayerCache::Tensors(Some((keys, _))) if needed <= keys.dim(1)? => {}
                LayerCache::Tensors(old) => {
                    let capacity =
                        needed.next_power_of_two().max(FIRST_CAPACITY).min(max_position.max(needed));
                    let grown = |old: Option<&Tensor>| -> Result<Tensor> {
                        let new = Tensor::zeros((kv_heads, capacity, head_dim), dtype, &self.kind.device)?;
                        if let Some(old) = old.filter(|_| len > 0) {
                            new.slice_set(&old.narrow(1, 0, len)?.contiguous()?, 1, 0)?;
                        }
                        Ok(new)
                    };
                    let (keys, values) = match &*old {
                        Some((keys, values)) => (grown(Some(keys))?, grown(Some(values))?),
                        None => (grown(None)?, grown(None)?),
                    };
                    *old = Some((keys, values));
                }
            }
        }
        Ok(())
    }

    /// Writes rows [n, kv_heads, head_dim] of one layer behind the `len` that count. They count themselves
    /// only after [`KvCache::advance`].
    pub(super) fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<&LayerCache> {
        let at = self.len;
        let Some(layer) = self.layers.get_mut(layer) else { bail!("the cache has no layer {layer}") };
        match layer {
            LayerCache::Blocks(blocks) => {
                // A step that failed may have left rows that do not count.
                blocks.truncate(at);
                on_cpu(keys, |keys| on_cpu(values, |values| blocks.append(keys, values)))??;
            }
            LayerCache::Tensors(None) => bail!("no room was made in the KV cache"),
            LayerCache::Tensors(Some((key_buffer, value_buffer))) => {
                let set = |buffer: &Tensor, rows: &Tensor| {
                    buffer.slice_set(&rows.transpose(0, 1)?.to_dtype(buffer.dtype())?.contiguous()?, 1, at)
                };
                set(key_buffer, keys)?;
                set(value_buffer, values)?;
            }
        }
        Ok(layer)
    }

    /// So many written rows count from now on.
    pub(super) fn advance(&mut self, rows: usize) {
        self.len += rows;
    }
}
