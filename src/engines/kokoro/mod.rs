//! Kokoro-82M
pub mod g2p;
