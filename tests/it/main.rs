//! One binary with all integration tests: real sockets, real engines, real files.

mod packaging;
mod silero;
mod store;
