//! Where a person's voice comes from and where a reply goes: this machine's devices, or files that
//! behave like them.
//!
//! A source gives 20 ms frames as time passes; a sink plays a queue as time passes. Files keep the
//! same time as devices: a WAV file comes in at real time with silence behind its end, and a written
//! one holds what a loudspeaker would have played since it was opened, silence included.
//!
//! Deliberately absent: echo cancellation (use headphones, or the page), and a choice of device (the
//! system's default is taken).

mod file;
mod system;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::playback::PlaybackQueue;
use super::resample::ResampleError;
use super::wav::WavError;
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};

pub use file::{FileSink, FileSource};
pub use system::{Loudspeaker, Microphone};

/// Time of a frame of a source, and step of a sink.
pub const FRAME: Duration = Duration::from_millis(20);
/// Samples of a source's frame (16 kHz).
pub const FRAME_SAMPLES: usize = INPUT_RATE_HZ as usize / 50;
/// Samples of a sink's step (24 kHz).
const STEP_SAMPLES: usize = OUTPUT_RATE_HZ as usize / 50;
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
        // One line without a full stop, whatever the system's library says.
        let message = message.to_string().replace('\n', " ").trim_end_matches('.').to_owned();
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

fn lock(queue: &Mutex<PlaybackQueue>) -> MutexGuard<'_, PlaybackQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
