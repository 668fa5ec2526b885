//! The subcommands of the binary.
