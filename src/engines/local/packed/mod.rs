//! Matrices of quantised weights, packed for fast products on the CPU.
