//! Kokoro-82M
pub mod error;
pub mod g2p;
pub mod network;
pub mod settings;
pub mod speech;
/// name
pub const ENGINE: &str = "kokoro";
