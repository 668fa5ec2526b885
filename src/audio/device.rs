//! The loudspeaker of this machine, by cpal.
//!
//! On a machine without a sound card ALSA itself writes some lines to standard error before cpal
//! reports the error.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{FromSample, SampleFormat, SizedSample};

use super::resample::Resampler;

/// Audio that waits for the device, at most.
const WAITING_MS: usize = 500;
/// A device that takes nothing for so long has gone.
const STALLED: Duration = Duration::from_secs(5);

/// Why nothing can be played.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("cannot play audio here: {0}")]
pub struct DeviceError(String);

impl From<cpal::Error> for DeviceError {
    /// cpal ends its messages with a full stop; ours go on.
    fn from(error: cpal::Error) -> DeviceError {
        DeviceError(error.to_string().trim_end_matches('.').to_owned())
    }
}

/// The default output device, playing one mono stream.
pub struct Loudspeaker {
    resampler: Resampler,
    waiting: Arc<Waiting>,
    /// Most samples in `waiting`.
    limit: usize,
    _stream: cpal::Stream,
}

/// Samples at the device's rate between us and its thread.
#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    samples: VecDeque<f32>,
    fault: Option<String>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loudspeaker {
    /// Opens the default output device for a stream of `rate_hz`.
    pub fn open(rate_hz: u32) -> Result<Loudspeaker, DeviceError> {
        let device = cpal::default_host()
            .default_output_device()
            .ok_or_else(|| DeviceError("there is no output device".into()))?;
        let supported = device.default_output_config()?;
        let format = supported.sample_format();
        let config: cpal::StreamConfig = supported.into();
        let device_rate_hz = config.sample_rate;
        let resampler = Resampler::new(rate_hz, device_rate_hz).map_err(|e| DeviceError(e.to_string()))?;
        let waiting = Arc::new(Waiting::default());
        let stream = match format {
            SampleFormat::F32 => start::<f32>(&device, config, &waiting),
            SampleFormat::I16 => start::<i16>(&device, config, &waiting),
            SampleFormat::I32 => start::<i32>(&device, config, &waiting),
            SampleFormat::U8 => start::<u8>(&device, config, &waiting),
            SampleFormat::U16 => start::<u16>(&device, config, &waiting),
            other => Err(DeviceError(format!("the device wants {other} samples"))),
        }?;
        let limit = device_rate_hz as usize * WAITING_MS / 1000;
        Ok(Loudspeaker { resampler, waiting, limit, _stream: stream })
    }

    /// Plays the next samples, −1…1; waits while enough are on their way.
    pub fn play(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        let samples = self.resampler.push(samples);
        self.wait_until(|waiting, limit| waiting < limit)?;
        self.waiting.lock().samples.extend(samples);
        Ok(())
    }

    /// Waits until the device has taken everything.
    pub fn finish(mut self) -> Result<(), DeviceError> {
        let rest = self.resampler.finish();
        // The device's own buffer is filled before it is played: silence pushes speech out of it.
        let silence = std::iter::repeat_n(0.0, self.limit / 2);
        self.waiting.lock().samples.extend(rest.into_iter().chain(silence));
        self.wait_until(|waiting, _| waiting == 0)
    }

    fn wait_until(&self, enough: impl Fn(usize, usize) -> bool) -> Result<(), DeviceError> {
        let mut state = self.waiting.lock();
        loop {
            if let Some(fault) = state.fault.take() {
                return Err(DeviceError(fault));
            }
            let before = state.samples.len();
            if enough(before, self.limit) {
                return Ok(());
            }
            let (next, timeout) =
                self.waiting.changed.wait_timeout(state, STALLED).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && state.samples.len() == before {
                return Err(DeviceError("the device takes no samples".into()));
            }
        }
    }
}

fn start<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    waiting: &Arc<Waiting>,
) -> Result<cpal::Stream, DeviceError> {
    let channels = usize::from(config.channels).max(1);
    let (source, fault) = (Arc::clone(waiting), Arc::clone(waiting));
    let stream = device.build_output_stream(
        config,
        move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
            let mut state = source.lock();
            for frame in data.chunks_mut(channels) {
                frame.fill(T::from_sample(state.samples.pop_front().unwrap_or(0.0)));
            }
            source.changed.notify_all();
        },
        move |error: cpal::Error| {
            // An underrun is silence for a moment; what else is reported ends the stream.
            if !matches!(error.kind(), cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied) {
                fault.lock().fault = Some(error.to_string());
                fault.changed.notify_all();
            }
        },
        None,
    )?;
    stream.play()?;
    Ok(stream)
}
