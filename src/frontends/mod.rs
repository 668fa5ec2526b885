//! WIRES. They translate, and decide nothing.
