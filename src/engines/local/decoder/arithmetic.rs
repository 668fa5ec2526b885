//! Who does the arithmetic, and tensors as slices for those that want them.

use candle_core::{Device, Result, Storage, Tensor, bail};

/// Who does the arithmetic of a decoder. Everything that is done in two ways is done in both in the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// The kernels of [`super::super::packed`], on slices; for the CPU. A row's results do not depend on
    /// the rows beside it, so that sequences give the same bits alone, in a batch and in chunks.
    Kernels,
    /// candle's operations; for GPUs.
    Candle,
}

impl Arithmetic {
    /// The better for a device.
    pub fn of(device: &Device) -> Arithmetic {
        if device.is_cpu() { Arithmetic::Kernels } else { Arithmetic::Candle }
    }
}

/// Gives the numbers of a contiguous tensor on the CPU to `read`.
pub fn on_cpu<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("the tensor is not on the CPU") };
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the tensor is not contiguous") };
    Ok(read(&storage.as_slice::<f32>()?[start..end]))
}
