//! A tensor as it lies in a file: type, shape and bytes.

use std::borrow::Cow;

use bytes::Bytes;
use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// A tensor in a mapped file. A clone shares the bytes.
#[derive(Debug, Clone)]
pub struct RawTensor {
    /// Name in the checkpoint.
    pub name: String,
    /// Type of the numbers; those of safetensors are F32, F16 or BF16.
    pub dtype: GgmlDType,
    /// Lengths of the dimensions, the outermost first: a matrix is `[rows, columns]`.
    pub shape: Vec<usize>,
    /// Exactly as many bytes as type and shape ask for; a row of a matrix is whole blocks.
    pub data: Bytes,
}

impl RawTensor {
    /// Number of rows, all dimensions but the innermost taken together.
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// Length of the innermost dimension.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.columns() / self.dtype.block_size() * self.dtype.type_size()
    }

    /// Whether the numbers are plain (F32, F16, BF16) and not blocks with scales.
    pub fn is_dense(&self) -> bool {
        matches!(self.dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16)
    }

    /// All numbers as 32-bit floats, which holds each type exactly.
    pub fn to_f32(&self) -> Result<Vec<f32>, candle_core::Error> {
        widen(self.dtype, &self.data)
    }

    /// One row as 32-bit floats; `None` if there is no such row.
    pub fn row_to_f32(&self, row: usize) -> Option<Result<Vec<f32>, candle_core::Error>> {
        let start = row.checked_mul(self.row_bytes())?;
        let bytes = self.data.get(start..start.checked_add(self.row_bytes())?)?;
        Some(widen(self.dtype, bytes))
    }
}

/// Numbers of whole blocks of any type.
pub fn widen(dtype: GgmlDType, bytes: &[u8]) -> Result<Vec<f32>, candle_core::Error> {
    match dtype {
        GgmlDType::F32 => Ok(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
        GgmlDType::BF16 => {
            let wide = |two: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*two)) << 16);
            Ok(bytes.as_chunks().0.iter().map(wide).collect())
        }
        GgmlDType::F16 => {
            let narrow: Vec<f16> = bytes.as_chunks().0.iter().map(|two| f16::from_le_bytes(*two)).collect();
            let mut wide = vec![0.0; narrow.len()];
            narrow.convert_to_f32_slice(&mut wide);
            Ok(wide)
        }
        _ => {
            let numbers = bytes.len() / dtype.type_size() * dtype.block_size();
            match with_aligned(bytes, |bytes| dtype.from_data(Cow::Borrowed(bytes))).dequantize(numbers)? {
                CpuStorage::F32(numbers) => Ok(numbers),
                _ => candle_core::bail!("dequantising {dtype:?} did not give 32-bit floats"),
            }
        }
    }
}

/// Gives the same bytes at an address where candle's blocks (of half floats) may lie. In a mapped
/// file they are there already; a file inside the program's own image may lie anywhere.
pub fn with_aligned<R>(bytes: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    const ALIGNMENT: usize = align_of::<f16>();
    if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        return read(bytes);
    }
    let mut roomy = vec![0; bytes.len() + ALIGNMENT];
    let start = roomy.as_ptr().addr() % ALIGNMENT;
    roomy[start..start + bytes.len()].copy_from_slice(bytes);
    read(&roomy[start..start + bytes.len()])
}
