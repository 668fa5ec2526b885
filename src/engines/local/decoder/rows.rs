//! Work on rows that is no matrix product: norms, the gate of the feed-forward part.
//!
//! Each function has one form on slices for the CPU, where candle's own would cost more in
//! allocations and waking of threads than in arithmetic, and one in candle's operations for GPUs.
//! Both are compared in the tests below.

use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

/// From so many numbers on a function uses all threads of the pool it is called in.
const PARALLEL_FROM: usize = 1 << 16;

/// Some columns of a matrix of rows, `[n, width]` of `[n, all]`.
#[derive(Debug, Clone)]
pub struct Columns {
    rows: Tensor,
    start: usize,
    width: usize,
}

impl Columns {
    /// The columns from `start` on; `rows` is contiguous.
    pub fn new(rows: Tensor, start: usize, width: usize) -> Columns {
        Columns { rows, start, width }
    }

    /// Number of rows.
    pub fn len(&self) -> Result<usize> {
        self.rows.dim(0)
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether they lie in memory that the CPU works on.
    pub fn is_on_cpu(&self) -> bool {
        self.rows.device().is_cpu()
    }

    /// The columns as a matrix of their own, `[n, width]`.
    pub fn to_tensor(&self) -> Result<Tensor> {
        self.rows.narrow(1, self.start, self.width)?.contiguous()
    }

    /// Gives each row's part to `visit`, in order.
    pub fn on_cpu<R>(&self, read: impl FnOnce(CpuColumns<'_>) -> R) -> Result<R> {
        let stride = self.rows.dim(1)?;
        on_cpu(&self.rows, |numbers| {
            read(CpuColumns { numbers, stride, start: self.start, width: self.width })
        })
    }
}

/// [`Columns`] as a slice.
#[derive(Clone, Copy)]
pub struct CpuColumns<'a> {
    numbers: &'a [f32],
    stride: usize,
    start: usize,
    width: usize,
}

impl<'a> CpuColumns<'a> {
    /// The columns of one row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.numbers[row * self.stride + self.start..][..self.width]
    }
}

/// Gives the numbers of a contiguous tensor on the CPU to `read`.
pub fn on_cpu<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("the tensor is not on the CPU") };
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the tensor is not contiguous") };
    Ok(read(&storage.as_slice::<f32>()?[start..end]))
}

/// A norm over the last dimension with a weight for each column.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f32,
}

impl RmsNorm {
    /// `weight`: `[width]`.
    pub fn new(weight: Vec<f32>, eps: f32, device: &Device) -> Result<RmsNorm> {
        let width = weight.len();
        Ok(RmsNorm { weight: Tensor::from_vec(weight, width, device)?, eps })
    }

    /// `x / √(mean(x²) + eps) · weight` for each row of `x` [n, width].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return self.forward_generic(x);
        }
        let normed = on_cpu(x, |x| {
            self.on_cpu(|norm| {
                let mut out = vec![0.0; x.len()];
                for_each_row(&mut out, norm.width(), |row, out| {
                    norm.apply(&x[row * norm.width()..][..norm.width()], out);
                });
                out
            })
        })??;
        Tensor::from_vec(normed, x.shape(), &Device::Cpu)
    }

    /// The same by candle's operations.
    pub fn forward_generic(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::rms_norm(x, &self.weight, self.eps)
    }

    /// Gives the norm's numbers to `read`.
    pub fn on_cpu<R>(&self, read: impl FnOnce(CpuRmsNorm<'_>) -> R) -> Result<R> {
        on_cpu(&self.weight, |weight| read(CpuRmsNorm { weight, eps: self.eps }))
    }
}

/// [`RmsNorm`] as a slice.
#[derive(Clone, Copy)]
pub struct CpuRmsNorm<'a> {
    weight: &'a [f32],
    eps: f32,
}

impl CpuRmsNorm<'_> {
    fn width(&self) -> usize {
        self.weight.len()
    }

    /// Norms one row.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        let scale = 1.0 / (sum_of_squares(x) / x.len() as f32 + self.eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
            *out = x * scale * weight;
        }
    }
}

/// In eight sums side by side, which the compiler can keep in one register.
fn sum_of_squares(x: &[f32]) -> f32 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

/// `silu(gate) · up`, `[n, width]` each.
pub fn swiglu(gate: &Columns, up: &Columns) -> Result<Tensor> {
    if !gate.is_on_cpu() {
        return swiglu_generic(gate, up);
    }
    let (rows, width) = (gate.len()?, gate.width());
    let gated = gate.on_cpu(|gate| {
        up.on_cpu(|up| {
            let mut out = vec![0.0; rows * width];
            for_each_row(&mut out, width, |row, out| {
                for ((out, gate), up) in out.iter_mut().zip(gate.row(row)).zip(up.row(row)) {
                    *out = gate / (1.0 + (-gate).exp()) * up;
                }
            });
            out
        })
    })??;
    Tensor::from_vec(gated, (rows, width), &Device::Cpu)
}

fn swiglu_generic(gate: &Columns, up: &Columns) -> Result<Tensor> {
    gate.to_tensor()?.silu()? * up.to_tensor()?
}

/// Fills `out` row by row, on several threads if it is large.
pub fn for_each_row(out: &mut [f32], width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    if out.len() < PARALLEL_FROM {
        out.chunks_exact_mut(width).enumerate().for_each(|(row, out)| fill(row, out));
    } else {
        out.par_chunks_exact_mut(width).enumerate().for_each(|(row, out)| fill(row, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between −2 and 2 without a pattern that a wrong stride would keep.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 4001) as f32 / 1000.0 - 2.0).collect()
    }

    fn assert_close(ours: &Tensor, reference: &Tensor) {
        assert_eq!(ours.dims(), reference.dims());
        let difference = (ours - reference).unwrap().abs().unwrap().flatten_all().unwrap();
        let worst = difference.to_vec1::<f32>().unwrap().into_iter().fold(0.0, f32::max);
        assert!(worst < 1e-5, "differs by {worst}");
    }

    #[test]
    fn norms_equal_candles_on_few_and_many_rows() {
        for (rows, width) in [(1, 5), (3, 64), (700, 100)] {
            let x = Tensor::from_vec(numbers(rows * width), (rows, width), &Device::Cpu).unwrap();
            let norm = RmsNorm::new(numbers(width), 1e-5, &Device::Cpu).unwrap();
            assert_close(&norm.forward(&x).unwrap(), &norm.forward_generic(&x).unwrap());
        }
    }

    #[test]
    fn gates_equal_candles_wherever_the_columns_lie() {
        for rows in [1, 3, 900] {
            let both = Tensor::from_vec(numbers(rows * 200), (rows, 200), &Device::Cpu).unwrap();
            let (gate, up) = (Columns::new(both.clone(), 7, 90), Columns::new(both, 101, 90));
            assert_close(&swiglu(&gate, &up).unwrap(), &swiglu_generic(&gate, &up).unwrap());
        }
    }
}
