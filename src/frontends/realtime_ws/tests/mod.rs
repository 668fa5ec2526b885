//! The translator on timelines, in front of a real turn machine and engines that answer as a test wants.

mod configuration;
mod order;
mod properties;
mod simulation;
mod timelines;
