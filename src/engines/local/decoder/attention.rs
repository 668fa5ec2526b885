//! Attention of new rows over everything that their sequence has read.
//!
//! Query head `h` reads the keys and values of head `h / (heads / kv_heads)`, which are never repeated in
//! memory.

use candle_core::{DType, Device, Result, Tensor};

use super::Span;
use super::arithmetic::on_cpu;
use super::kv_cache::LayerCache;
use crate::engines::local::packed;

/// Queries [n, heads, head_dim] and the new keys and values [n, kv_heads, head_dim] of a layer, the rows of
/// all sequences below each other. Writes keys and values into the caches → [n, heads · head_dim].
pub fn attend(
    layer: usize,
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    spans: &mut [Span<'_>],
) -> Result<Tensor> {
    let (n, heads, head_dim) = queries.dims3()?;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let width = heads * head_dim;
    let mut start = 0;
    // One of the two comes to be filled.
    let (mut out, mut outs) = (Vec::new(), Vec::new());
    for span in spans {
        let of_span = |rows: &Tensor| rows.narrow(0, start, span.rows);
        let (queries, keys, values) = (of_span(queries)?, of_span(keys)?, of_span(values)?);
        let len = span.cache.len() + span.rows;
        match span.cache.write(layer, &keys, &values)? {
            LayerCache::Blocks(past) => {
                out.resize(n * width, 0.0);
                let out = &mut out[start * width..][..span.rows * width];
                on_cpu(&queries, |queries| packed::attend(queries, heads, past, scale, out))?;
            }
            LayerCache::Tensors(None) => candle_core::bail!("the KV cache has no buffers"),
            LayerCache::Tensors(Some((keys, values))) => {
                let past = (keys.narrow(1, 0, len)?, values.narrow(1, 0, len)?);
                outs.push(attend_generic(&queries, past, scale, &span.mask)?);
            }
        }
        start += span.rows;
    }
    match outs.len() {
        0 => Tensor::from_vec(out, (n, width), &Device::Cpu),
        1 => Ok(outs.remove(0)),
        _ => Tensor::cat(&outs, 0),
    }
}

/// In candle's operations. `queries` [n, heads, head_dim], keys and values [kv_heads, len, head_dim]: the
/// queries that share a head of those are rows of one product.
fn attend_generic(
    queries: &Tensor,
    (mut keys, mut values): (Tensor, Tensor),
    scale: f32,
    mask: &CausalMask,
) -> Result<Tensor> {
    let (n, heads, head_dim) = queries.dims3()?;
    let (kv_heads, len, _) = keys.dims3()?;
    let group = heads / kv_heads;
    // GPUs multiply in the cache's own type; candle on the CPU has no fast 16-bit product.
    let dtype = if queries.device().is_cpu() { DType::F32 } else { keys.dtype() };
    (keys, values) = (keys.to_dtype(dtype)?, values.to_dtype(dtype)?);
    let queries = (queries * f64::from(scale))?
        .to_dtype(dtype)?
        .reshape((n, kv_heads, group, head_dim))?
        .permute((1, 2, 0, 3))?
        .reshape((kv_heads, group * n, head_dim))?;
    let mut scores = queries.matmul(&keys.transpose(1, 2)?)?.to_dtype(DType::F32)?;
    if let Some(mask) = &mask.added {
        scores = scores.reshape((heads, n, len))?.broadcast_add(mask)?;
    }
    let weights = candle_nn::ops::softmax_last_dim(&scores)?.reshape((kv_heads, group * n, len))?;
    weights
        .to_dtype(dtype)?
        .matmul(&values)?
        .reshape((kv_heads, group, n, head_dim))?
        .permute((2, 0, 1, 3))?
        .reshape((n, heads * head_dim))?
        .to_dtype(DType::F32)
}

/// Which of a sequence's new rows may see which positions, for candle: each its own and those before. Our
/// kernels need none.
#[derive(Debug)]
pub struct CausalMask {
    /// 0 or −∞, `[n, len]`; none for a single row, which may see all.
    added: Option<Tensor>,
}

impl CausalMask {
    /// For kernels.
    pub fn none() -> CausalMask {
        CausalMask { added: None }
    }

    /// For `n` rows that are the last of `len` positions.
    pub fn new(n: usize, len: usize, device: &Device) -> Result<CausalMask> {
        if n == 1 {
            return Ok(CausalMask::none());
        }
        let before = len - n;
        let added: Vec<f32> = (0..n)
            .flat_map(|row| {
                (0..len).map(move |position| if position > before + row { f32::NEG_INFINITY } else { 0.0 })
            })
            .collect();
        Ok(CausalMask { added: Some(Tensor::from_vec(added, (n, len), device)?) })
    }
}
