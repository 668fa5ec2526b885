//! Products of rows with weight matrices, of whatever type the weights are.

use std::borrow::Cow;
use std::fmt;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Result, Tensor, bail};

use super::WeightType;
use super::arithmetic::{Arithmetic, on_cpu};
use crate::engines::local::checkpoint::{RawTensor, widen, with_aligned};
use crate::engines::local::packed::{ActivationKind, Activations, PackError, PackedMatrix, multiply_all};

/// `x · Wᵀ + b` with one matrix or several, for the same rows `x`.
#[derive(Debug)]
pub struct Linear {
    matrices: Vec<Matrix>,
    bytes: u64,
}

/// A matrix with its bias, as the checkpoint has them.
#[derive(Debug)]
pub struct Part {
    /// `[out, in]`
    pub weight: RawTensor,
    /// `[out]`
    pub bias: Option<Vec<f32>>,
}

/// One matrix, of one part or of several with the rows of the first on top.
struct Matrix {
    weight: Weight,
    /// Rows of each part.
    widths: Vec<usize>,
    /// As long as the rows of all.
    bias: Option<Vec<f32>>,
    /// The same on the device.
    bias_on_device: Option<Tensor>,
}

enum Weight {
    /// For our kernels; always a single part, because they take several matrices at once.
    Packed(PackedMatrix),
    /// `[out, in]`, for candle.
    Dense(Tensor),
    /// Blocks, for candle.
    Blocks(QTensor),
}

impl Linear {
    /// All `parts` are as wide as `x`. Neighbours of one type become one matrix for candle.
    pub fn new(
        parts: Vec<Part>,
        weights: WeightType,
        device: &Device,
        arithmetic: Arithmetic,
    ) -> Result<Linear> {
        let matrices: Vec<Matrix> = match arithmetic {
            Arithmetic::Kernels => {
                parts.chunks(1).map(|part| Matrix::new(part, weights, device, arithmetic)).collect()
            }
            Arithmetic::Candle => parts
                .chunk_by(|left, right| left.weight.dtype == right.weight.dtype)
                .map(|parts| Matrix::new(parts, weights, device, arithmetic))
                .collect::<Result<_>>(),
        }?;
        let bytes = matrices.iter().map(|matrix| matrix.weight.bytes() as u64).sum();
        Ok(Linear { matrices, bytes })
    }

    /// `x` [n, in] → [n, out] for each part, contiguous 32-bit floats.
    pub fn forward<const PARTS: usize>(&self, x: &Tensor) -> Result<[Tensor; PARTS]> {
        let mut products = self.packed_products(x)?.into_iter();
        let mut outputs = Vec::with_capacity(PARTS);
        for matrix in &self.matrices {
            match &matrix.weight {
                Weight::Packed(_) => outputs.extend(products.next()),
                Weight::Dense(weight) => matrix.split(dense_product(x, weight)?, &mut outputs)?,
                Weight::Blocks(weight) => matrix.split(x.apply_op1_no_bwd(weight)?, &mut outputs)?,
            }
        }
        match <[Tensor; PARTS]>::try_from(outputs) {
            Ok(outputs) => Ok(outputs),
            Err(other) => bail!("{} parts, where {PARTS} were asked for", other.len()),
        }
    }

    /// [`Linear::forward`] of a single part.
    pub fn forward_one(&self, x: &Tensor) -> Result<Tensor> {
        let [product] = self.forward(x)?;
        Ok(product)
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Products with the packed matrices, in order. Rows are rounded once for all matrices that take
    /// them in the same form, and the threads meet once for them.
    fn packed_products(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let packed: Vec<(&PackedMatrix, &Matrix)> = self
            .matrices
            .iter()
            .filter_map(|matrix| match &matrix.weight {
                Weight::Packed(packed) => Some((packed, matrix)),
                _ => None,
            })
            .collect();
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        let (rows, columns) = x.dims2()?;
        let mut outputs: Vec<Vec<f32>> =
            packed.iter().map(|(packed, _)| vec![0.0; rows * packed.rows()]).collect();
        if let Some((wrong, _)) = packed.iter().find(|(packed, _)| packed.cols() != columns) {
            bail!("rows of {columns} cannot be multiplied with a matrix for rows of {}", wrong.cols());
        }
        on_cpu(x, |x| {
            for kind in [ActivationKind::Dense, ActivationKind::Blocks32, ActivationKind::Blocks256] {
                let mut jobs: Vec<(&PackedMatrix, &mut [f32])> = packed
                    .iter()
                    .zip(&mut outputs)
                    .filter(|((packed, _), _)| packed.activation_kind() == kind)
                    .map(|((packed, _), out)| (*packed, &mut out[..]))
                    .collect();
                if !jobs.is_empty() {
                    multiply_all(&Activations::quantize(kind, x, rows, columns), &mut jobs);
                }
            }
        })?;
        packed
            .iter()
            .zip(outputs)
            .map(|((packed, matrix), mut output)| {
                if let Some(bias) = &matrix.bias {
                    for row in output.chunks_exact_mut(bias.len()) {
                        row.iter_mut().zip(bias).for_each(|(number, bias)| *number += bias);
                    }
                }
                Tensor::from_vec(output, (rows, packed.rows()), &Device::Cpu)
            })
            .collect()
    }
}

impl Matrix {
    fn new(parts: &[Part], weights: WeightType, device: &Device, arithmetic: Arithmetic) -> Result<Matrix> {
        let widths: Vec<usize> = parts.iter().map(|part| part.weight.rows()).collect();
        let bias = joined_biases(parts, &widths);
        let bias_on_device =
            bias.as_ref().map(|bias| Tensor::from_slice(bias, bias.len(), device)).transpose()?;
        let weight = Weight::new(parts, weights, device, arithmetic)?;
        Ok(Matrix { weight, widths, bias, bias_on_device })
    }

    /// Adds the bias to candle's product and cuts it into parts.
    fn split(&self, mut product: Tensor, parts: &mut Vec<Tensor>) -> Result<()> {
        if let Some(bias) = &self.bias_on_device {
            product = product.broadcast_add(bias)?;
        }
        let mut start = 0;
        for width in &self.widths {
            parts.push(product.narrow(1, start, *width)?.contiguous()?);
            start += width;
        }
        Ok(())
    }
}

impl Weight {
    fn new(parts: &[Part], weights: WeightType, device: &Device, arithmetic: Arithmetic) -> Result<Weight> {
        let Some(first) = parts.first() else { bail!("a matrix of no parts") };
        let (dtype, columns) = (first.weight.dtype, first.weight.columns());
        let rows = parts.iter().map(|part| part.weight.rows()).sum();
        let data: Cow<'_, [u8]> = match parts {
            [only] => Cow::Borrowed(&only.weight.data),
            several => {
                Cow::Owned(several.iter().map(|part| &part.weight.data[..]).collect::<Vec<_>>().concat())
            }
        };
        let are_whole_blocks = columns.is_multiple_of(GgmlDType::Q8_0.block_size());
        let (dtype, data) = match (first.weight.is_dense(), weights) {
            (true, WeightType::Q8_0) if are_whole_blocks => {
                let dense = Tensor::from_vec(widen(dtype, &data)?, (rows, columns), &Device::Cpu)?;
                let blocks = QTensor::quantize(&dense, GgmlDType::Q8_0)?;
                (GgmlDType::Q8_0, Cow::Owned(blocks.data()?.into_owned()))
            }
            (_, WeightType::F32) if dtype != GgmlDType::F32 => {
                let wide = widen(dtype, &data)?.into_iter().flat_map(f32::to_le_bytes).collect();
                (GgmlDType::F32, Cow::Owned(wide))
            }
            _ => (dtype, data),
        };
        if arithmetic == Arithmetic::Kernels {
            match PackedMatrix::pack(dtype, rows, columns, &data) {
                Ok(packed) => return Ok(Weight::Packed(packed)),
                // Rare types, which candle multiplies.
                Err(PackError::Unsupported(_)) => {}
                Err(error) => bail!("{error}"),
            }
        }
        let raw = match dtype {
            GgmlDType::F32 => DType::F32,
            GgmlDType::F16 => DType::F16,
            GgmlDType::BF16 => DType::BF16,
            _ => {
                let storage =
                    with_aligned(&data, |data| QStorage::from_data(Cow::Borrowed(data), device, dtype))?;
                return Ok(Weight::Blocks(QTensor::new(storage, (rows, columns))?));
            }
        };
        if device.is_cpu() {
            // candle has no 16-bit products on the CPU.
            return Ok(Weight::Dense(Tensor::from_vec(widen(dtype, &data)?, (rows, columns), device)?));
        }
        Ok(Weight::Dense(Tensor::from_raw_buffer(&data, raw, &[rows, columns], device)?))
    }

    fn bytes(&self) -> usize {
        match self {
            Weight::Packed(packed) => packed.bytes(),
            Weight::Dense(dense) => dense.elem_count() * dense.dtype().size_in_bytes(),
            Weight::Blocks(blocks) => blocks.storage_size_in_bytes(),
        }
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.weight {
            Weight::Packed(_) => "packed",
            Weight::Dense(_) => "dense",
            Weight::Blocks(_) => "blocks",
        };
        write!(f, "Matrix({kind}, {:?})", self.widths)
    }
}

fn dense_product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(DType::F32)
}

/// One bias for all parts, zeros for those that have none; none if no part has one.
fn joined_biases(parts: &[Part], widths: &[usize]) -> Option<Vec<f32>> {
    parts.iter().any(|part| part.bias.is_some()).then(|| {
        let biases = parts.iter().zip(widths);
        biases.flat_map(|(part, width)| part.bias.clone().unwrap_or_else(|| vec![0.0; *width])).collect()
    })
}
