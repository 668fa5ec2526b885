//! PCM, WAV, resampling, devices, and the sample clock.

pub mod framer;
