//! The subcommands of the binary.

pub mod config_check;
pub mod db;
pub mod logging;
