//! The network: a decoder-only transformer of the Qwen3 and Llama families.
