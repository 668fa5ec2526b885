//! Products of rows with weight matrices, of whatever type the weights are.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Result, Tensor};

use super::WeightType;
use super::rows::Columns;
use crate::engines::local::checkpoint::{RawTensor, widen, with_aligned};

/// `x · Wᵀ + b` for rows `x`.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    /// `[rows of W]`
    bias: Option<Tensor>,
    bytes: u64,
}

#[derive(Debug)]
enum Weight {
    /// `[out, in]`; 32-bit floats on the CPU, as in the file elsewhere.
    Dense(Tensor),
    /// Quantised blocks, multiplied by candle.
    Blocks(Arc<QTensor>),
}

/// A matrix with its bias, as the checkpoint has them.
#[derive(Debug)]
pub struct Part {
    /// `[out, in]`
    pub weight: RawTensor,
    /// `[out]`
    pub bias: Option<Vec<f32>>,
}

impl Part {
    fn width(&self) -> usize {
        self.weight.rows()
    }
}

impl Linear {
    /// Parts of one type and one input width become one matrix, the rows of the first on top.
    pub fn new(parts: &[Part], weights: WeightType, device: &Device) -> Result<Linear> {
        let Some(first) = parts.first() else { candle_core::bail!("a matrix of no parts") };
        let (dtype, columns) = (first.weight.dtype, first.weight.columns());
        let shape = (parts.iter().map(Part::width).sum::<usize>(), columns);
        let data: Cow<'_, [u8]> = match parts {
            [only] => Cow::Borrowed(&only.weight.data),
            several => {
                Cow::Owned(several.iter().map(|part| &part.weight.data[..]).collect::<Vec<_>>().concat())
            }
        };
        let is_whole_blocks = columns.is_multiple_of(GgmlDType::Q8_0.block_size());
        let weight = match (first.weight.is_dense(), weights) {
            (true, WeightType::Q8_0) if is_whole_blocks => {
                let dense = dense(dtype, &data, shape, &Device::Cpu)?;
                Weight::Blocks(Arc::new(QTensor::quantize_onto(&dense, GgmlDType::Q8_0, device)?))
            }
            (true, _) | (false, WeightType::F32) => Weight::Dense(dense(dtype, &data, shape, device)?),
            (false, _) => {
                let storage =
                    with_aligned(&data, |data| QStorage::from_data(Cow::Borrowed(data), device, dtype))?;
                Weight::Blocks(Arc::new(QTensor::new(storage, shape)?))
            }
        };
        let bytes = match &weight {
            Weight::Dense(weight) => weight.elem_count() * weight.dtype().size_in_bytes(),
            Weight::Blocks(weight) => weight.storage_size_in_bytes(),
        } as u64;
        Ok(Linear { weight, bias: joined_biases(parts, device)?, bytes })
    }

    /// `x` [n, in] → [n, out], 32-bit floats.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = match &self.weight {
            Weight::Dense(weight) if weight.dtype() == DType::F32 => x.matmul(&weight.t()?)?,
            Weight::Dense(weight) => {
                x.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(DType::F32)?
            }
            Weight::Blocks(weight) => x.apply_op1_no_bwd(weight.as_ref())?,
        };
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// On the CPU 32-bit floats; elsewhere as in the file, or 32-bit floats of blocks.
fn dense(dtype: GgmlDType, data: &[u8], shape: (usize, usize), device: &Device) -> Result<Tensor> {
    let raw = match dtype {
        GgmlDType::F16 => DType::F16,
        GgmlDType::BF16 => DType::BF16,
        _ => DType::F32,
    };
    if device.is_cpu() || raw == DType::F32 {
        Tensor::from_vec(widen(dtype, data)?, shape, device)
    } else {
        Tensor::from_raw_buffer(data, raw, &[shape.0, shape.1], device)
    }
}

/// One bias for all parts, zeros for those that have none; none if no part has one.
fn joined_biases(parts: &[Part], device: &Device) -> Result<Option<Tensor>> {
    if parts.iter().all(|part| part.bias.is_none()) {
        return Ok(None);
    }
    let joined: Vec<f32> =
        parts.iter().flat_map(|part| part.bias.clone().unwrap_or_else(|| vec![0.0; part.width()])).collect();
    let width = joined.len();
    Tensor::from_vec(joined, width, device).map(Some)
}

/// Several matrices over the same rows, as few products as their types allow: in a Q4_K_M file
/// queries and keys are often of one type and values of another.
#[derive(Debug)]
pub struct Projection {
    linears: Vec<Linear>,
    /// For each part: which of the linears, first column, number of columns.
    places: Vec<(usize, usize, usize)>,
}

impl Projection {
    /// Joins neighbours of one type.
    pub fn new(parts: Vec<Part>, weights: WeightType, device: &Device) -> Result<Projection> {
        let (mut linears, mut places) = (Vec::new(), Vec::new());
        for group in parts.chunk_by(|left, right| left.weight.dtype == right.weight.dtype) {
            let mut start = 0;
            for part in group {
                places.push((linears.len(), start, part.width()));
                start += part.width();
            }
            linears.push(Linear::new(group, weights, device)?);
        }
        Ok(Projection { linears, places })
    }

    /// `x` [n, in] → the product with each part, in the order of the parts.
    pub fn forward<const PARTS: usize>(&self, x: &Tensor) -> Result<[Columns; PARTS]> {
        let products: Vec<Tensor> =
            self.linears.iter().map(|linear| linear.forward(x)).collect::<Result<_>>()?;
        let columns = self
            .places
            .iter()
            .map(|(linear, start, width)| Columns::new(products[*linear].clone(), *start, *width));
        match <[Columns; PARTS]>::try_from(columns.collect::<Vec<_>>()) {
            Ok(columns) => Ok(columns),
            Err(other) => candle_core::bail!("a projection of {} parts, asked for {PARTS}", other.len()),
        }
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.linears.iter().map(Linear::bytes).sum()
    }
}
