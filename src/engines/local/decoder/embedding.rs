//! From tokens to rows.

use candle_core::{Device, Tensor};

use super::DecoderError;
use crate::engines::local::checkpoint::RawTensor;

/// The embedding table, read row by row out of the mapped file: a step needs a handful of its rows
/// (of 150 000), so there is no point in a copy of it.
#[derive(Debug)]
pub struct Embedding {
    table: RawTensor,
}

impl Embedding {
    /// `table`: `[vocabulary, hidden]`, of any type.
    pub fn new(table: RawTensor) -> Embedding {
        Embedding { table }
    }

    /// The rows of `tokens`, `[n, hidden]`, 32-bit floats.
    pub fn rows(&self, tokens: &[u32], device: &Device) -> Result<Tensor, DecoderError> {
        let (vocab_size, width) = (self.table.rows(), self.table.columns());
        let mut rows = Vec::with_capacity(tokens.len() * width);
        for &token in tokens {
            match self.table.row_to_f32(token as usize) {
                Some(row) => rows.extend(row?),
                None => return Err(DecoderError::UnknownToken { token, vocab_size }),
            }
        }
        Ok(Tensor::from_vec(rows, (tokens.len(), width), device)?)
    }

    /// The table itself, for models whose LM head it is too.
    pub fn table(&self) -> &RawTensor {
        &self.table
    }
}
