//! This machine's microphone and loudspeaker, by cpal.
//!
//! On a machine without a sound card ALSA itself writes some lines to standard error before cpal
//! reports the error.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use tokio::sync::mpsc;

use super::{
    AudioSink, AudioSource, DeviceError, FRAME_SAMPLES, Frame, Kind, LOUDSPEAKER, MICROPHONE, STEP_SAMPLES,
    WAITING_REPORTS, lock,
};
use crate::audio::pcm;
use crate::audio::playback::PlaybackQueue;
use crate::audio::resample::Resampler;
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};

/// Frames of a microphone that wait for their reader; more are dropped.
const WAITING_FRAMES: usize = 50;
/// A device that plays nothing for so long has gone.
const STALLED: Duration = Duration::from_secs(5);
/// What a device may hold back, at 24 kHz: 250 ms.
const DEVICE_BUFFER_SAMPLES: usize = OUTPUT_RATE_HZ as usize / 4;

/// This machine's microphone.
pub struct Microphone {
    frames: mpsc::Receiver<Result<Frame, DeviceError>>,
    _stream: cpal::Stream,
}

impl Microphone {
    /// Opens the default microphone, whatever its rate.
    pub fn open() -> Result<Microphone, DeviceError> {
        let kind = MICROPHONE;
        let device = cpal::default_host().default_input_device().ok_or_else(|| kind.missing())?;
        let config = device.default_input_config().map_err(|error| kind.broken(error))?;
        let resampler = Resampler::new(config.sample_rate(), INPUT_RATE_HZ)?;
        let (send, frames) = mpsc::channel(WAITING_FRAMES);
        let capture = Capture {
            channels: usize::from(config.channels().max(1)),
            resampler,
            mono: Vec::new(),
            waiting: Vec::new(),
            frames: send,
        };
        let format = config.sample_format();
        let stream = match format {
            SampleFormat::I16 => listen::<i16>(&device, config.into(), capture),
            SampleFormat::I32 => listen::<i32>(&device, config.into(), capture),
            SampleFormat::U8 => listen::<u8>(&device, config.into(), capture),
            SampleFormat::F32 => listen::<f32>(&device, config.into(), capture),
            other => return Err(kind.broken(format!("it gives samples of the kind {other}"))),
        };
        let stream = stream.map_err(|error| kind.broken(error))?;
        stream.play().map_err(|error| kind.broken(error))?;
        Ok(Microphone { frames, _stream: stream })
    }
}

impl AudioSource for Microphone {
    async fn next_frame(&mut self) -> Result<Frame, DeviceError> {
        self.frames.recv().await.unwrap_or_else(|| Err(MICROPHONE.broken("it has stopped")))
    }
}

/// What happens on the microphone's thread.
struct Capture {
    channels: usize,
    resampler: Resampler,
    mono: Vec<f32>,
    /// 16 kHz, less than a frame between two calls.
    waiting: Vec<f32>,
    frames: mpsc::Sender<Result<Frame, DeviceError>>,
}

impl Capture {
    fn take<T: Copy>(&mut self, samples: &[T])
    where
        f32: FromSample<T>,
    {
        self.mono.clear();
        let scale = 1.0 / self.channels as f32;
        self.mono.extend(
            samples
                .chunks_exact(self.channels)
                .map(|all| all.iter().map(|sample| f32::from_sample_(*sample)).sum::<f32>() * scale),
        );
        self.resampler.push_into(&self.mono, &mut self.waiting);
        let whole = self.waiting.len() - self.waiting.len() % FRAME_SAMPLES;
        for frame in self.waiting[..whole].chunks_exact(FRAME_SAMPLES) {
            let frame = Frame { samples: pcm::i16s_from_f32s(frame), after_end: false };
            // A reader that does not keep up loses audio, not time.
            let _ = self.frames.try_send(Ok(frame));
        }
        self.waiting.drain(..whole);
    }
}

fn listen<T: SizedSample>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut capture: Capture,
) -> Result<cpal::Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let failed = capture.frames.clone();
    device.build_input_stream(
        config,
        move |samples: &[T], _: &cpal::InputCallbackInfo| capture.take(samples),
        move |error| report_failure(&error, MICROPHONE, &failed),
        None,
    )
}

/// This machine's loudspeaker.
pub struct Loudspeaker {
    queue: Arc<Mutex<PlaybackQueue>>,
    reports: mpsc::Receiver<Result<u64, DeviceError>>,
    _stream: cpal::Stream,
}

impl Loudspeaker {
    /// Opens the default loudspeaker, whatever its rate.
    pub fn open() -> Result<Loudspeaker, DeviceError> {
        let kind = LOUDSPEAKER;
        let device = cpal::default_host().default_output_device().ok_or_else(|| kind.missing())?;
        let config = device.default_output_config().map_err(|error| kind.broken(error))?;
        let resampler = Resampler::new(OUTPUT_RATE_HZ, config.sample_rate())?;
        let queue = Arc::new(Mutex::new(PlaybackQueue::default()));
        let (report, reports) = mpsc::channel(WAITING_REPORTS);
        let playing = Playing {
            channels: usize::from(config.channels().max(1)),
            resampler,
            queue: Arc::clone(&queue),
            ready: Vec::new(),
            reports: report,
        };
        let format = config.sample_format();
        let stream = match format {
            SampleFormat::I16 => play::<i16>(&device, config.into(), playing),
            SampleFormat::I32 => play::<i32>(&device, config.into(), playing),
            SampleFormat::U8 => play::<u8>(&device, config.into(), playing),
            SampleFormat::F32 => play::<f32>(&device, config.into(), playing),
            other => return Err(kind.broken(format!("it takes samples of the kind {other}"))),
        };
        let stream = stream.map_err(|error| kind.broken(error))?;
        stream.play().map_err(|error| kind.broken(error))?;
        Ok(Loudspeaker { queue, reports, _stream: stream })
    }

    /// Waits until everything in the queue has been played. Blocking; not for an executor's threads.
    pub fn play_to_end(mut self) -> Result<(), DeviceError> {
        // The device's own buffer is filled before it is played: silence pushes speech out of it.
        self.queue().push(u64::MAX, vec![0; DEVICE_BUFFER_SAMPLES]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| LOUDSPEAKER.broken(error))?;
        runtime.block_on(async {
            while !self.queue().is_empty() {
                let played = tokio::time::timeout(STALLED, self.next_played()).await;
                played.map_err(|_| LOUDSPEAKER.broken("it takes no samples"))??;
            }
            Ok(())
        })
    }
}

impl AudioSink for Loudspeaker {
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue> {
        lock(&self.queue)
    }

    async fn next_played(&mut self) -> Result<u64, DeviceError> {
        self.reports.recv().await.unwrap_or_else(|| Err(LOUDSPEAKER.broken("it has stopped")))
    }

    async fn finish(self) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// What happens on the loudspeaker's thread.
struct Playing {
    channels: usize,
    resampler: Resampler,
    queue: Arc<Mutex<PlaybackQueue>>,
    /// At the device's rate, not played yet.
    ready: Vec<f32>,
    reports: mpsc::Sender<Result<u64, DeviceError>>,
}

impl Playing {
    fn fill<T: Copy + FromSample<f32>>(&mut self, out: &mut [T]) {
        let frames = out.len() / self.channels;
        while self.ready.len() < frames {
            let mut step = [0; STEP_SAMPLES];
            // Held for a copy of 20 ms; the other side holds it as briefly.
            lock(&self.queue).pull(&mut step, |id| drop(self.reports.try_send(Ok(id))));
            self.resampler.push_into(&pcm::f32s_from_i16s(&step), &mut self.ready);
        }
        for (all, sample) in out.chunks_exact_mut(self.channels).zip(&self.ready) {
            all.fill(T::from_sample_(*sample));
        }
        self.ready.drain(..frames);
    }
}

fn play<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut playing: Playing,
) -> Result<cpal::Stream, cpal::Error> {
    let failed = playing.reports.clone();
    device.build_output_stream(
        config,
        move |out: &mut [T], _: &cpal::OutputCallbackInfo| playing.fill(out),
        move |error| report_failure(&error, LOUDSPEAKER, &failed),
        None,
    )
}

/// Some of what a stream reports is no failure.
fn report_failure<T>(error: &cpal::Error, kind: Kind, to: &mpsc::Sender<Result<T, DeviceError>>) {
    use cpal::ErrorKind::{DeviceChanged, RealtimeDenied, Xrun};
    match error.kind() {
        DeviceChanged | RealtimeDenied | Xrun => tracing::warn!(device = kind.device, "{error}"),
        _ => drop(to.try_send(Err(kind.broken(error)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_device_becomes_frames_of_16_khz_and_back() {
        let (send, mut frames) = mpsc::channel(WAITING_FRAMES);
        let mut capture = Capture {
            channels: 2,
            resampler: Resampler::new(48_000, INPUT_RATE_HZ).unwrap(),
            mono: Vec::new(),
            waiting: Vec::new(),
            frames: send,
        };
        // Left 0.5, right 0: a quarter in the middle.
        let second: Vec<f32> = (0..96_000).map(|n| if n % 2 == 0 { 0.5 } else { 0.0 }).collect();
        second.chunks(1_000).for_each(|piece| capture.take(piece));
        let mut count = 0;
        while let Ok(frame) = frames.try_recv() {
            let Frame { samples, after_end: false } = frame.unwrap() else { panic!("no end") };
            if count > 2 {
                assert!(samples.iter().all(|sample| (8_150..8_240).contains(sample)), "{samples:?}");
            }
            count += 1;
        }
        assert!((46..=50).contains(&count), "{count} frames of a second");
    }

    #[test]
    fn a_queue_fills_any_device() {
        let queue = Arc::new(Mutex::new(PlaybackQueue::default()));
        queue.lock().unwrap().push(3, vec![8_192; 24_000]);
        let (reports, mut told) = mpsc::channel(WAITING_REPORTS);
        let mut playing = Playing {
            channels: 2,
            resampler: Resampler::new(OUTPUT_RATE_HZ, 44_100).unwrap(),
            queue,
            ready: Vec::new(),
            reports,
        };
        let mut out = vec![0.0f32; 2 * 44_100];
        out.chunks_mut(1_024).for_each(|buffer| playing.fill(buffer));
        assert!(out.chunks(2).all(|both| both[0] == both[1]));
        let middle = &out[20_000..60_000];
        assert!(middle.iter().all(|sample| (sample - 0.25).abs() < 0.01));
        assert_eq!(told.try_recv().ok().and_then(Result::ok), Some(3));
    }
}
