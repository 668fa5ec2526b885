//! Weights and settings of a model as files hold them: GGUF, and folders with safetensors.

mod vocabulary;

pub use vocabulary::EmbeddedVocabulary;
