//! Matrices of quantised weights, packed for fast products on the CPU.
//!
//! A GGUF file stores a matrix row by row, in blocks. A processor with byte-product instructions would
//! rather have sixteen rows side by side: then one instruction multiplies four columns of sixteen rows
//! with four activations, and there is nothing to add up across lanes. So weights are packed once, when
//! the model is loaded ([`PackedMatrix::pack`]; see `layout`), and multiplied as they are: they stay as
//! small as in the file, since producing one token is as fast as memory can be read.
//!
//! Around the products: attention over a cache of its own layout, and what happens to rows in between.
//!
//! Two properties that the engine builds on:
//! - An output has the same bits whatever else is computed with it: one row of activations or a hundred,
//!   one thread or many. So a kept prefix, a prefill in chunks and a batch of sessions give exactly what
//!   a run alone gives.
//! - Products of quantised weights have the same bits on every processor.
//!
//! Work is shared among the threads of the rayon pool that the caller is in.
//!
//! Deliberately absent: GPUs (candle has those), and the quantisations that nobody stores models in.

mod activations;
mod attention;
pub(crate) mod disjoint;
mod ggml;
mod kernels;
mod kv_blocks;
mod layout;
mod multiply;
mod rowwise;
pub(crate) mod simd;

use candle_core::quantized::GgmlDType;

pub use activations::{ActivationKind, Activations};
pub use attention::{attend, attend_all};
use disjoint::Disjoint;
use ggml::Encoding;
pub use kv_blocks::KvBlocks;
use multiply::Job;
pub use rowwise::{gelu, layer_norm, log_sum_exp, rms_norm, rotate, swiglu};
use simd::{Isa, LANES, Line};

/// Why weights cannot be packed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackError {
    /// There are no kernels for this type.
    #[error(
        "{0:?} weights have no kernels here; convert the model to Q8_0, Q4_0, Q4_K, Q5_K, Q6_K, F16, BF16 or F32"
    )]
    Unsupported(GgmlDType),
    /// Rows are not whole blocks.
    #[error("a row of {cols} {dtype:?} weights is not a multiple of {block}")]
    Columns {
        /// The type of the weights.
        dtype: GgmlDType,
        /// Columns of the matrix.
        cols: usize,
        /// Columns of a block.
        block: usize,
    },
    /// The data is not what rows × cols take.
    #[error("{rows} × {cols} {dtype:?} weights are {given} bytes")]
    Length {
        /// The type of the weights.
        dtype: GgmlDType,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
        /// Bytes that were given.
        given: usize,
    },
}

/// A matrix of `rows` outputs × `cols` inputs.
pub struct PackedMatrix {
    encoding: Encoding,
    rows: usize,
    cols: usize,
    lines: Vec<Line>,
}

impl PackedMatrix {
    /// Packs row-major blocks as they stand in a GGUF file.
    ///
    /// # Errors
    /// If the type has no kernels, or the data is not `rows` × `cols` of it.
    pub fn pack(dtype: GgmlDType, rows: usize, cols: usize, blocks: &[u8]) -> Result<Self, PackError> {
        let encoding = Encoding::of(dtype).ok_or(PackError::Unsupported(dtype))?;
        let block = encoding.block_cols();
        if cols == 0 || !cols.is_multiple_of(block) {
            return Err(PackError::Columns { dtype, cols, block });
        }
        let bytes =
            rows.checked_mul(cols / block).and_then(|blocks| blocks.checked_mul(encoding.block_bytes()));
        if rows == 0 || bytes != Some(blocks.len()) {
            return Err(PackError::Length { dtype, rows, cols, given: blocks.len() });
        }
        Ok(Self { encoding, rows, cols, lines: layout::pack(encoding, rows, cols, blocks) })
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Memory that the packed weights take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// The kind of activations that it multiplies.
    pub fn activation_kind(&self) -> ActivationKind {
        ActivationKind::of(self.encoding)
    }

    /// Writes the floats of a row: an embedding.
    ///
    /// # Panics
    /// If there is no such row, or `values` is not [`PackedMatrix::cols`] long.
    pub fn row(&self, row: usize, values: &mut [f32]) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        assert_eq!(values.len(), self.cols, "a row is as long as the matrix is wide");
        let group_lines = self.lines.len() / self.rows.div_ceil(LANES);
        let group = &self.lines[row / LANES * group_lines..][..group_lines];
        layout::read_row(self.encoding, group, row % LANES, values);
    }

    /// `count` rows of [`PackedMatrix::cols`] inputs to `count` rows of [`PackedMatrix::rows`] outputs.
    ///
    /// # Panics
    /// If `inputs` or `outputs` have another length.
    pub fn multiply(&self, inputs: &[f32], count: usize, outputs: &mut [f32]) {
        self.multiply_with(Isa::best(), inputs, count, outputs);
    }

    fn multiply_with(&self, isa: Isa, inputs: &[f32], count: usize, outputs: &mut [f32]) {
        let acts = Activations::quantize_with(isa, self.activation_kind(), inputs, count, self.cols);
        multiply_all_with(isa, &acts, &mut [(self, outputs)]);
    }
}

/// Multiplies the same activations with several matrices at once: the threads meet once for all of them.
///
/// # Panics
/// If a matrix takes activations of another kind or width, or its outputs are not as many rows as the
/// activations.
pub fn multiply_all(acts: &Activations, matrices: &mut [(&PackedMatrix, &mut [f32])]) {
    multiply_all_with(Isa::best(), acts, matrices);
}

fn multiply_all_with(isa: Isa, acts: &Activations, matrices: &mut [(&PackedMatrix, &mut [f32])]) {
    if acts.count() == 0 {
        return;
    }
    let jobs: Vec<Job> = matrices
        .iter_mut()
        .map(|(matrix, out)| {
            assert_eq!(matrix.activation_kind(), acts.kind(), "activations as the matrix takes them");
            assert_eq!(matrix.cols, acts.cols, "activations as wide as the matrix");
            assert_eq!(out.len(), matrix.rows * acts.count(), "a row of outputs for each row of activations");
            Job {
                encoding: matrix.encoding,
                lines: &matrix.lines,
                rows: matrix.rows,
                cols: matrix.cols,
                out: Disjoint::new(out),
            }
        })
        .collect();
    multiply::multiply(isa, acts, &jobs);
}

/// The name of the instruction set that products run with, for the log.
pub fn instruction_set() -> &'static str {
    Isa::best().name()
}

#[cfg(test)]
mod tests;
