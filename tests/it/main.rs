//! The integration tests, in one binary.

// Tests tell why they skip and what they measured.
#![allow(clippy::print_stdout)]

mod speech;
