//! The subcommands of the binary.

pub mod ask;
pub mod bench;
pub mod config_check;
pub mod db;
pub mod logging;
pub mod memory;
pub mod models;
pub mod say;
pub mod talk;
pub mod token;
pub mod transcribe;
pub mod vault;
