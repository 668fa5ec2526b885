//! The subcommands of the binary.

pub mod say;
pub mod transcribe;
