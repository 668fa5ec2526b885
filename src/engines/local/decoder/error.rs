//! Why a step of the network failed.

use crate::engines::EngineError;
use crate::engines::local::checkpoint::CheckpointError;

/// Name of the engine in `config.yml`.
const ENGINE: &str = "local";

/// Why a decoder could not be loaded, or a step not be made.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The files are not those of a decoder that we can run.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The sequence would be longer than the model can tell positions apart.
    #[error(
        "{len} tokens and {more} more exceed the model's context of {max_position}; shorten the conversation"
    )]
    ContextFull {
        /// Tokens in the cache.
        len: usize,
        /// Tokens to come.
        more: usize,
        /// Most of both.
        max_position: usize,
    },
    /// A token that the model has no embedding for.
    #[error(
        "token {token} is not in the model's vocabulary of {vocab_size}; tokenizer and model do not belong together"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Tokens that are known.
        vocab_size: usize,
    },
    /// A sequence without tokens in a batch.
    #[error("sequence {index} of the batch has no tokens")]
    EmptySequence {
        /// Its place.
        index: usize,
    },
    /// A cache or rows of another shape than the model's.
    #[error("{what} of sequence {index} was made for another model")]
    Foreign {
        /// Cache or rows.
        what: &'static str,
        /// Place of the sequence in the batch.
        index: usize,
    },
    /// The arithmetic failed: no memory on the device, most often.
    #[error("the network's arithmetic failed: {0}")]
    Compute(#[from] candle_core::Error),
}

impl From<DecoderError> for EngineError {
    fn from(error: DecoderError) -> EngineError {
        let message = error.to_string();
        let code = match error {
            DecoderError::Checkpoint(_) => return EngineError::Load { engine: ENGINE, message },
            DecoderError::ContextFull { .. } => "llm_context_full",
            _ => "llm_failed",
        };
        EngineError::Failed { engine: ENGINE, code, message }
    }
}
