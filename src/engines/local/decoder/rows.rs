//! Work on rows that is no matrix product: norms, the gate of the feed-forward part, the way from a
//! projection to heads.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::arithmetic::{Arithmetic, on_cpu};
use super::rope::Rotations;
use crate::engines::local::packed;

/// A norm over the last dimension with a weight for each column.
#[derive(Debug)]
pub struct RmsNorm {
    /// `[width]`
    weight: Vec<f32>,
    /// The same on the device.
    weight_on_device: Tensor,
    eps: f32,
}

impl RmsNorm {
    /// `weight`: `[width]`.
    pub fn new(weight: Vec<f32>, eps: f32, device: &Device) -> Result<RmsNorm> {
        let weight_on_device = Tensor::from_slice(&weight, weight.len(), device)?;
        Ok(RmsNorm { weight, weight_on_device, eps })
    }

    /// `x / √(mean(x²) + eps) · weight` for each row of `x` [n, width].
    pub fn forward(&self, x: &Tensor, arithmetic: Arithmetic) -> Result<Tensor> {
        if arithmetic == Arithmetic::Candle {
            return candle_nn::ops::rms_norm(x, &self.weight_on_device, self.eps);
        }
        let normed = on_cpu(x, |x| {
            let mut out = vec![0.0; x.len()];
            in_pieces(&mut out, self.weight.len(), |rows, out| self.on_rows(&x[rows], out));
            out
        })?;
        Tensor::from_vec(normed, x.shape(), &Device::Cpu)
    }

    fn on_rows(&self, x: &[f32], out: &mut [f32]) {
        packed::rms_norm(x, &self.weight, self.eps, out);
    }
}

/// `silu(gate) · up`, `[n, width]` each.
pub fn swiglu(gate: &Tensor, up: &Tensor, arithmetic: Arithmetic) -> Result<Tensor> {
    if arithmetic == Arithmetic::Candle {
        return gate.silu()? * up;
    }
    let width = gate.dim(1)?;
    let gated = on_cpu(gate, |gate| {
        on_cpu(up, |up| {
            let mut out = vec![0.0; gate.len()];
            in_pieces(&mut out, width, |rows, out| packed::swiglu(&gate[rows.clone()], &up[rows], out));
            out
        })
    })??;
    Tensor::from_vec(gated, gate.shape(), &Device::Cpu)
}

/// `projected` [n, heads · head_dim] → [n, heads, head_dim]: each head normed, if there is a norm (Qwen3),
/// and turned to its row's position.
pub fn rotated_heads(
    projected: &Tensor,
    heads: usize,
    norm: Option<&RmsNorm>,
    rotations: &Rotations,
    arithmetic: Arithmetic,
) -> Result<Tensor> {
    let (rows, width) = projected.dims2()?;
    let head_dim = width / heads;
    if arithmetic == Arithmetic::Candle {
        let mut x = projected.reshape((rows * heads, head_dim))?;
        if let Some(norm) = norm {
            x = norm.forward(&x, arithmetic)?;
        }
        let x = x.reshape((1, rows, heads, head_dim))?;
        return candle_nn::rotary_emb::rope_thd(&x, &rotations.cos, &rotations.sin)?.squeeze(0);
    }
    let pairs = head_dim / 2;
    let turned = on_cpu(projected, |projected| {
        on_cpu(&rotations.cos, |cos| {
            on_cpu(&rotations.sin, |sin| {
                let mut out = vec![0.0; projected.len()];
                in_pieces(&mut out, width, |range, out| {
                    match norm {
                        Some(norm) => norm.on_rows(&projected[range.clone()], out),
                        None => out.copy_from_slice(&projected[range.clone()]),
                    }
                    for (index, row) in out.chunks_exact_mut(width).enumerate() {
                        let at = (range.start / width + index) * pairs;
                        packed::rotate(row, &cos[at..at + pairs], &sin[at..at + pairs]);
                    }
                });
                out
            })
        })
    })???;
    Tensor::from_vec(turned, (rows, heads, head_dim), &Device::Cpu)
}

/// From so many numbers on the threads of the pool share the work.
const PARALLEL_FROM: usize = 1 << 16;
/// Numbers that a thread takes at a time then.
const PIECE: usize = 1 << 13;

/// Fills `out` by pieces of whole rows; `fill` is told where in `out` its piece lies.
fn in_pieces(out: &mut [f32], width: usize, fill: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync) {
    if out.len() < PARALLEL_FROM {
        return fill(0..out.len(), out);
    }
    let piece = PIECE.next_multiple_of(width);
    out.par_chunks_mut(piece).enumerate().for_each(|(index, out)| {
        let start = index * piece;
        fill(start..start + out.len(), out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between −2 and 2 without a pattern that a wrong stride would keep.
    fn numbers(rows: usize, width: usize, step: usize) -> Tensor {
        let numbers = (0..rows * width).map(|i| ((i * step + 13) % 4001) as f32 / 1000.0 - 2.0);
        Tensor::from_vec(numbers.collect(), (rows, width), &Device::Cpu).unwrap()
    }

    /// The function in both arithmetics.
    fn assert_agree(function: impl Fn(Arithmetic) -> Result<Tensor>) {
        let (ours, candles) = (function(Arithmetic::Kernels).unwrap(), function(Arithmetic::Candle).unwrap());
        assert_eq!(ours.dims(), candles.dims());
        let difference = (ours - candles).unwrap().abs().unwrap().flatten_all().unwrap();
        let worst = difference.to_vec1::<f32>().unwrap().into_iter().fold(0.0, f32::max);
        assert!(worst < 1e-5, "differs by {worst}");
    }

    fn norm(width: usize) -> RmsNorm {
        let weight = numbers(1, width, 97).flatten_all().unwrap().to_vec1().unwrap();
        RmsNorm::new(weight, 1e-5, &Device::Cpu).unwrap()
    }

    #[test]
    fn norms_agree_on_few_and_many_rows() {
        for (rows, width) in [(1, 5), (3, 64), (700, 100)] {
            let (x, norm) = (numbers(rows, width, 7919), norm(width));
            assert_agree(|arithmetic| norm.forward(&x, arithmetic));
        }
    }

    #[test]
    fn gates_agree_on_few_and_many_rows() {
        for rows in [1, 3, 900] {
            let (gate, up) = (numbers(rows, 90, 7919), numbers(rows, 90, 31));
            assert_agree(|arithmetic| swiglu(&gate, &up, arithmetic));
        }
    }

    #[test]
    fn heads_agree_with_and_without_a_norm() {
        let (heads, head_dim) = (3, 8);
        for rows in [1, 5, 3000] {
            let projected = numbers(rows, heads * head_dim, 7919);
            let rotations = Rotations { cos: numbers(rows, 4, 31), sin: numbers(rows, 4, 57) };
            for norm in [None, Some(&norm(head_dim))] {
                assert_agree(|arithmetic| rotated_heads(&projected, heads, norm, &rotations, arithmetic));
            }
        }
    }
}
