//! `vivavoce say TEXT`: the configured voice, to a file or the loudspeaker.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::audio::device::{AudioSink as _, DeviceError, Loudspeaker};
use crate::audio::pcm;
use crate::audio::wav::{WavError, WavWriter};
use crate::config::Config;
use crate::engines::{CancelToken, EngineError, OUTPUT_RATE_HZ, Tts, TtsEvent, load_tts};

/// Speak a text with the configured voice.
#[derive(Debug, clap::Args)]
pub struct Say {
    /// What to say
    pub text: String,
    /// Write a WAV file (24 kHz, mono) instead of playing
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Why a text was not spoken.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// The engine's own words.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The file's own words.
    #[error(transparent)]
    File(#[from] WavError),
    /// There is nothing to play on.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Nothing in it can be pronounced.
    #[error("there is nothing to say in {0:?}")]
    Nothing(String),
    /// The report could not be written.
    #[error("cannot write to the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Say {
    /// Speaks; `out` gets one line about a file that was written.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), SayError> {
        // What can fail for want of a file or device does so before the wait for a model.
        let sink = match &self.out {
            Some(path) => Sink::File(WavWriter::create(path, OUTPUT_RATE_HZ)?),
            None => Sink::Device(Box::new(Loudspeaker::open()?)),
        };
        let mut tts = load_tts(config)?;
        let samples = speak(tts.as_mut(), &self.text, sink)?;
        if samples == 0 {
            return Err(SayError::Nothing(self.text));
        }
        if let Some(path) = &self.out {
            report(path, samples, out)?;
        }
        Ok(())
    }
}

enum Sink {
    File(WavWriter),
    Device(Box<Loudspeaker>),
}

/// Streams the speech of `text` into `sink`; gives the number of samples.
fn speak(tts: &mut dyn Tts, text: &str, mut sink: Sink) -> Result<u64, SayError> {
    let mut samples = 0;
    let mut failed: Option<SayError> = None;
    tts.synthesize(text, None, &CancelToken::new(), &mut |event| {
        let TtsEvent::Audio(audio) = event else { return ControlFlow::Continue(()) };
        samples += audio.len() as u64;
        let written = match &mut sink {
            Sink::File(file) => file.write_f32(&audio).map_err(SayError::from),
            Sink::Device(device) => {
                device.queue().push(samples, pcm::i16s_from_f32s(&audio));
                Ok(())
            }
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    match sink {
        Sink::File(file) => drop(file.finish()?),
        Sink::Device(device) => device.play_to_end()?,
    }
    Ok(samples)
}

fn report(path: &Path, samples: u64, out: &mut dyn Write) -> std::io::Result<()> {
    let seconds = samples as f64 / f64::from(OUTPUT_RATE_HZ);
    writeln!(out, "{}: {seconds:.2} s of speech", path.display())
}
