//! The engine `local`: language models inside the process, on the CPU or (feature `cuda`) a GPU.

pub mod checkpoint;
pub mod decoder;
pub mod packed;
pub mod random_weights;
pub mod text;
