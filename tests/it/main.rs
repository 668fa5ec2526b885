//! Integration tests: real sockets, real engines.

mod silero;
