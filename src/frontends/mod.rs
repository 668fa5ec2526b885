//! WIRES. They translate, and decide nothing.

pub mod metrics;
