//! Where a person's voice comes from and where a reply goes: this machine's devices, or files that
//! behave like them.
//!
//! A source gives 20 ms frames as time passes; a sink plays a queue as time passes. Files keep the
//! same time as devices: a WAV file comes in at real time with silence behind its end, and a written
//! one holds what a loudspeaker would have played since it was opened, silence included.
//!
//! Deliberately absent: echo cancellation (use headphones, or the page), and a choice of device (the
//! system's default is taken).

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::pcm;
use super::playback::PlaybackQueue;
use super::resample::{ResampleError, Resampler};
use super::wav::{self, WavError, WavWriter};
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};

/// Time of a frame of a source, and step of a file that is written.
pub const FRAME: Duration = Duration::from_millis(20);
/// Samples of a source's frame (16 kHz).
pub const FRAME_SAMPLES: usize = INPUT_RATE_HZ as usize / 50;
const STEP_SAMPLES: usize = OUTPUT_RATE_HZ as usize / 50;
/// Frames of a microphone that wait for their reader; more are dropped.
const WAITING_FRAMES: usize = 50;
/// Played chunks whose report waits for its reader; reports beyond them are dropped.
const WAITING_REPORTS: usize = 256;

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The machine has no such device.
    #[error("this machine has no {device}; use {instead} FILE")]
    Missing {
        /// Which.
        device: &'static str,
        /// The option that needs none.
        instead: &'static str,
    },
    /// The device cannot be used, or fails.
    #[error("the {device} does not work: {message}; {instead} FILE needs none")]
    Broken {
        /// Which.
        device: &'static str,
        /// What the system says.
        message: String,
        /// The option that needs none.
        instead: &'static str,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] WavError),
    /// The device has a rate that is none.
    #[error(transparent)]
    Rate(#[from] ResampleError),
}

/// A kind of device, as messages name it.
#[derive(Debug, Clone, Copy)]
struct Kind {
    device: &'static str,
    instead: &'static str,
}

const MICROPHONE: Kind = Kind { device: "microphone", instead: "--in" };
const LOUDSPEAKER: Kind = Kind { device: "loudspeaker", instead: "--out" };

impl Kind {
    fn missing(self) -> DeviceError {
        DeviceError::Missing { device: self.device, instead: self.instead }
    }

    fn broken(self, message: impl ToString) -> DeviceError {
        // One line, whatever the system's library says.
        let message = message.to_string().replace('\n', " ");
        DeviceError::Broken { device: self.device, message, instead: self.instead }
    }
}

/// 20 ms of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// `[320]` samples, 16 kHz mono.
    pub samples: Vec<i16>,
    /// The source is a file, and this lies behind its end.
    pub after_end: bool,
}

/// Gives frames at real time.
pub trait AudioSource: Send {
    /// The next frame, when its time has come. May be cancelled and called again.
    fn next_frame(&mut self) -> impl Future<Output = Result<Frame, DeviceError>> + Send;
}

/// Plays chunks at real time.
pub trait AudioSink: Send {
    /// What is to be played: push, hold, release and flush take effect at once.
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue>;
    /// The id of the next chunk that has been played to its end. May be cancelled and called again.
    fn next_played(&mut self) -> impl Future<Output = Result<u64, DeviceError>> + Send;
    /// Stops playing; a file is complete after this.
    fn finish(self) -> impl Future<Output = Result<(), DeviceError>> + Send;
}

/// A WAV file as a microphone.
pub struct FileSource {
    samples: Vec<i16>,
    at: usize,
    due: Option<Instant>,
}

impl FileSource {
    /// Reads the file. Its time begins with the first call of [`AudioSource::next_frame`].
    pub fn open(path: &Path) -> Result<FileSource, DeviceError> {
        Ok(FileSource { samples: wav::read_i16(path, INPUT_RATE_HZ)?, at: 0, due: None })
    }
}

impl AudioSource for FileSource {
    async fn next_frame(&mut self) -> Result<Frame, DeviceError> {
        // A frame is there when its last sample has been spoken.
        let due = *self.due.get_or_insert_with(|| Instant::now() + FRAME);
        sleep_until(due).await;
        self.due = Some(due + FRAME);
        let rest = &self.samples[self.at..];
        let mut samples = rest[..rest.len().min(FRAME_SAMPLES)].to_vec();
        let after_end = samples.is_empty();
        self.at += samples.len();
        samples.resize(FRAME_SAMPLES, 0);
        Ok(Frame { samples, after_end })
    }
}

/// The queue, and what plays it.
struct Speaker {
    queue: Arc<Mutex<PlaybackQueue>>,
    reports: mpsc::Receiver<Result<u64, DeviceError>>,
}

fn lock(queue: &Mutex<PlaybackQueue>) -> MutexGuard<'_, PlaybackQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Speaker {
    async fn next_played(&mut self, kind: Kind) -> Result<u64, DeviceError> {
        self.reports.recv().await.unwrap_or_else(|| Err(kind.broken("it has stopped")))
    }
}

/// A WAV file as a loudspeaker.
pub struct FileSink {
    speaker: Speaker,
    stop: oneshot::Sender<()>,
    writing: tokio::task::JoinHandle<Result<(), DeviceError>>,
}

impl FileSink {
    /// Creates the file; its time begins now. Must be called in a runtime.
    pub fn create(path: &Path) -> Result<FileSink, DeviceError> {
        let mut file = WavWriter::create(path, OUTPUT_RATE_HZ)?;
        let queue = Arc::new(Mutex::new(PlaybackQueue::default()));
        let (report, reports) = mpsc::channel(WAITING_REPORTS);
        let (stop, mut stopped) = oneshot::channel();
        let playing = Arc::clone(&queue);
        let writing = tokio::spawn(async move {
            let mut step = [0; STEP_SAMPLES];
            let mut due = Instant::now();
            loop {
                due += FRAME;
                tokio::select! {
                    () = sleep_until(due) => {}
                    _ = &mut stopped => break,
                }
                lock(&playing).pull(&mut step, |id| drop(report.try_send(Ok(id))));
                file.write_i16(&step)?;
            }
            file.finish()?;
            Ok(())
        });
        Ok(FileSink { speaker: Speaker { queue, reports }, stop, writing })
    }
}

impl AudioSink for FileSink {
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue> {
        lock(&self.speaker.queue)
    }

    async fn next_played(&mut self) -> Result<u64, DeviceError> {
        match self.speaker.reports.recv().await {
            Some(report) => report,
            // The writer has ended, which it does by itself only with an error.
            None => match (&mut self.writing).await {
                Ok(Err(error)) => Err(error),
                _ => Err(LOUDSPEAKER.broken("the writer has stopped")),
            },
        }
    }

    async fn finish(self) -> Result<(), DeviceError> {
        let _ = self.stop.send(());
        self.writing.await.unwrap_or_else(|error| Err(LOUDSPEAKER.broken(error)))
    }
}

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
    speaker: Speaker,
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
        let (reports, told) = mpsc::channel(WAITING_REPORTS);
        let playing = Playing {
            channels: usize::from(config.channels().max(1)),
            resampler,
            queue: Arc::clone(&queue),
            ready: Vec::new(),
            reports,
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
        Ok(Loudspeaker { speaker: Speaker { queue, reports: told }, _stream: stream })
    }
}

impl AudioSink for Loudspeaker {
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue> {
        lock(&self.speaker.queue)
    }

    async fn next_played(&mut self) -> Result<u64, DeviceError> {
        self.speaker.next_played(LOUDSPEAKER).await
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

    fn file(rate_hz: u32, samples: &[i16]) -> tempfile::TempPath {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut writer = WavWriter::create(&path, rate_hz).unwrap();
        writer.write_i16(samples).unwrap();
        writer.finish().unwrap();
        path
    }

    #[tokio::test]
    async fn a_file_comes_in_real_time_with_silence_behind_it() {
        let samples: Vec<i16> = (1..=700).collect();
        let path = file(16_000, &samples);
        let mut source = FileSource::open(&path).unwrap();
        let began = Instant::now();
        let mut heard = Vec::new();
        for number in 1..=4 {
            let frame = source.next_frame().await.unwrap();
            assert!(began.elapsed() >= FRAME * number, "frame {number} came before it was spoken");
            assert_eq!((frame.samples.len(), frame.after_end), (FRAME_SAMPLES, number > 3));
            heard.extend(frame.samples);
        }
        assert_eq!(heard[..700], samples);
        assert!(heard[700..].iter().all(|sample| *sample == 0));
    }

    #[tokio::test]
    async fn a_reader_that_is_late_does_not_stretch_the_time_of_a_file() {
        let path = file(16_000, &[5; 16_000]);
        let mut source = FileSource::open(&path).unwrap();
        source.next_frame().await.unwrap();
        let second = source.due.unwrap();
        sleep_until(second + FRAME).await;
        for number in 1..=3 {
            source.next_frame().await.unwrap();
            assert_eq!(source.due, Some(second + FRAME * number));
        }
    }

    #[tokio::test]
    async fn a_written_file_holds_what_was_played_without_a_gap() {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut sink = FileSink::create(&path).unwrap();
        // Both before a step: the sink's task cannot run in between.
        sink.queue().push(7, vec![3; 1_000]);
        sink.queue().push(8, vec![4; 500]);
        assert_eq!(sink.next_played().await.unwrap(), 7);
        assert_eq!(sink.next_played().await.unwrap(), 8);
        sink.finish().await.unwrap();
        let written = wav::read_i16(&path, OUTPUT_RATE_HZ).unwrap();
        assert_eq!(written.len() % STEP_SAMPLES, 0);
        let played: Vec<i16> = written.into_iter().skip_while(|sample| *sample == 0).collect();
        assert_eq!(played[..1_500], [vec![3; 1_000], vec![4; 500]].concat());
        assert!(played[1_500..].iter().all(|sample| *sample == 0));
    }

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
