//! I/O that drives one turn machine.
