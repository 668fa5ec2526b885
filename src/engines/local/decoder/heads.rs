//! From the rows of a projection to heads: norm (Qwen3) and rotation of queries and keys.
//!
//! As in [`super::rows`], one form on slices for the CPU and one in candle's operations.

use candle_core::{Device, Result, Tensor};

use super::rope::Rotations;
use super::rows::{Columns, CpuRmsNorm, RmsNorm, for_each_row, on_cpu};

/// `projected` [n, heads · head_dim] → [n, heads, head_dim], each head normed (if there is a norm)
/// and rotated to its row's position.
pub fn rotated(
    projected: &Columns,
    heads: usize,
    norm: Option<&RmsNorm>,
    rotations: &Rotations,
) -> Result<Tensor> {
    if !projected.is_on_cpu() {
        return rotated_generic(projected, heads, norm, rotations);
    }
    let rows = projected.len()?;
    let head_dim = projected.width() / heads;
    let pairs = head_dim / 2;
    let fill = |norm: Option<CpuRmsNorm<'_>>| {
        projected.on_cpu(|projected| {
            on_cpu(&rotations.cos, |cos| {
                on_cpu(&rotations.sin, |sin| {
                    let mut out = vec![0.0; rows * heads * head_dim];
                    for_each_row(&mut out, heads * head_dim, |row, out| {
                        let (cos, sin) = (&cos[row * pairs..][..pairs], &sin[row * pairs..][..pairs]);
                        let heads = projected.row(row).chunks_exact(head_dim);
                        for (head, out) in heads.zip(out.chunks_exact_mut(head_dim)) {
                            match norm {
                                Some(norm) => norm.apply(head, out),
                                None => out.copy_from_slice(head),
                            }
                            rotate(out, cos, sin);
                        }
                    });
                    out
                })
            })
        })
    };
    let out = match norm {
        Some(norm) => norm.on_cpu(|norm| fill(Some(norm)))?,
        None => fill(None),
    }???;
    Tensor::from_vec(out, (rows, heads, head_dim), &Device::Cpu)
}

/// Turns the pairs `(i, i + pairs)` of a head by their angles.
fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
    }
}

fn rotated_generic(
    projected: &Columns,
    heads: usize,
    norm: Option<&RmsNorm>,
    rotations: &Rotations,
) -> Result<Tensor> {
    let rows = projected.len()?;
    let head_dim = projected.width() / heads;
    let mut x = projected.to_tensor()?.reshape((rows * heads, head_dim))?;
    if let Some(norm) = norm {
        x = norm.forward_generic(&x)?;
    }
    let x = x.reshape((1, rows, heads, head_dim))?;
    candle_nn::rotary_emb::rope_thd(&x, &rotations.cos, &rotations.sin)?.squeeze(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_equal_candles_with_and_without_a_norm() {
        let (heads, head_dim) = (3, 8);
        let numbers = |count: usize, step: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * step + 5) % 2003) as f32 / 1000.0 - 1.0).collect()
        };
        for rows in [1, 5, 3000] {
            let all = Tensor::from_vec(numbers(rows * 40, 7919), (rows, 40), &Device::Cpu).unwrap();
            let projected = Columns::new(all, 9, heads * head_dim);
            let table = |step| Tensor::from_vec(numbers(rows * 4, step), (rows, 4), &Device::Cpu).unwrap();
            let rotations = Rotations { cos: table(31), sin: table(57) };
            let norm = RmsNorm::new(numbers(head_dim, 97), 1e-6, &Device::Cpu).unwrap();
            for norm in [None, Some(&norm)] {
                let ours = rotated(&projected, heads, norm, &rotations).unwrap();
                let reference = rotated_generic(&projected, heads, norm, &rotations).unwrap();
                assert_eq!(ours.dims(), [rows, heads, head_dim]);
                let worst = (ours - reference).unwrap().abs().unwrap().flatten_all().unwrap();
                let worst = worst.to_vec1::<f32>().unwrap().into_iter().fold(0.0, f32::max);
                assert!(worst < 1e-5, "differs by {worst}");
            }
        }
    }
}
