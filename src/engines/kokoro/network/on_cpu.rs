//! The kernels on slices, as operations on tensors in the processor's memory.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape};

use super::convolution::{Convolution, Transposed};
use crate::engines::local::packed::PackedMatrix;

/// The numbers of a contiguous tensor.
pub fn values<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::Msg("the tensor is not contiguous".to_owned()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn signal(values: Vec<f32>, rows: usize) -> (CpuStorage, Shape) {
    let frames = values.len() / rows.max(1);
    (CpuStorage::F32(values), Shape::from((1, rows, frames)))
}

impl CustomOp1 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(signal(self.run(values(x, layout)?, None), self.outputs()))
    }
}

/// With a residual that is added.
impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution-onto"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let residual = values(residual, residual_layout)?;
        Ok(signal(self.run(values(x, layout)?, Some(residual)), self.outputs()))
    }
}

impl CustomOp1 for Transposed {
    fn name(&self) -> &'static str {
        "transposed-convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(signal(self.run(values(x, layout)?), self.outputs()))
    }
}

/// A matrix product of rows, and a bias.
pub struct Dense {
    /// [out, in]
    pub matrix: PackedMatrix,
    /// One per output.
    pub bias: Vec<f32>,
}

impl CustomOp1 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, outputs) = (layout.shape().dims2()?.0, self.matrix.rows());
        let mut y = vec![0.0; count * outputs];
        self.matrix.multiply(values(x, layout)?, count, &mut y);
        for row in y.chunks_exact_mut(outputs) {
            row.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y += bias);
        }
        Ok((CpuStorage::F32(y), Shape::from((count, outputs))))
    }
}
