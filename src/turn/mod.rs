//! DECISIONS. The turn machine: pure, replayable, without clock, thread, socket or model.

pub mod config;
pub mod io;
pub mod segmenter;
pub mod speakable;
