//! PCM, WAV, resampling, devices, and the sample clock.
