//! PCM, WAV, resampling, devices, and the sample clock.

pub mod device;
pub mod framer;
pub mod g711;
pub mod pcm;
pub mod pcm_stream;
pub mod playback;
pub mod resample;
pub mod wav;
