//! Attention of new rows over everything that their sequence has read.

use candle_core::{D, DType, Device, Result, Tensor};

use super::kv_cache::LayerCache;

/// Which of a step's rows may see which positions: each its own and those before.
#[derive(Debug, Clone)]
pub struct CausalMask {
    /// 0 or −∞, `[n, len]`; none for a single row, which may see all.
    added: Option<Tensor>,
}

impl CausalMask {
    /// For `n` rows that are the last of `len` positions.
    pub fn new(n: usize, len: usize, device: &Device) -> Result<CausalMask> {
        if n == 1 {
            return Ok(CausalMask { added: None });
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

/// `queries` [n, heads, head_dim], the last n of `len` positions, over the cache of a layer
/// → [n, heads · head_dim]. Head `h` reads the keys and values of head `h / (heads / kv_heads)`, which
/// are not repeated in memory: the queries that share a head are rows of one product.
pub fn attention(queries: &Tensor, cached: &LayerCache, len: usize, mask: &CausalMask) -> Result<Tensor> {
    let (n, heads, head_dim) = queries.dims3()?;
    let (mut keys, mut values) = (cached.keys(len)?, cached.values(len)?);
    let kv_heads = keys.dim(0)?;
    let group = heads / kv_heads;
    // GPUs multiply in the cache's own type; candle on the CPU has no fast 16-bit product.
    let dtype = if queries.device().is_cpu() { DType::F32 } else { keys.dtype() };
    (keys, values) = (keys.to_dtype(dtype)?, values.to_dtype(dtype)?);

    let scale = 1.0 / (head_dim as f64).sqrt();
    let queries = (queries * scale)?
        .to_dtype(dtype)?
        .reshape((n, kv_heads, group, head_dim))?
        .permute((1, 2, 0, 3))?
        .reshape((kv_heads, group * n, head_dim))?;
    let mut scores = queries.matmul(&keys.transpose(1, 2)?)?.to_dtype(DType::F32)?;
    if let Some(mask) = &mask.added {
        scores = scores.reshape((heads, n, len))?.broadcast_add(mask)?;
    }
    let weights = candle_nn::ops::softmax_last_dim(&scores)?.reshape((kv_heads, group * n, len))?;
    debug_assert_eq!(weights.dim(D::Minus1)?, len);
    weights
        .to_dtype(dtype)?
        .matmul(&values)?
        .reshape((kv_heads, group, n, head_dim))?
        .permute((2, 0, 1, 3))?
        .reshape((n, heads * head_dim))?
        .to_dtype(DType::F32)
}
