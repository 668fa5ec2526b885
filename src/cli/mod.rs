//! The subcommands of the binary.

pub mod config_check;
pub mod logging;
pub mod db;
