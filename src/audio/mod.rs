//! PCM, WAV, resampling, devices, and the sample clock.

pub mod device;
pub mod framer;
pub mod pcm;
pub mod playback;
pub mod resample;
pub mod wav;
