//! PCM, recordings in and out, resampling, speed, devices, and the sample clock.

pub mod decode;
pub mod device;
pub mod framer;
pub mod g711;
pub mod mp3;
pub mod ogg_opus;
pub mod pcm;
pub mod pcm_stream;
pub mod playback;
pub mod resample;
pub mod stretch;
pub mod wav;
