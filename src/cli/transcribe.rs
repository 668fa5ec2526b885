//! `vivavoce transcribe FILE`: the words of a recording.

use std::io::Write;
use std::path::PathBuf;

use crate::audio::wav::{self, WavError};
use crate::config::Config;
use crate::engines::{CancelToken, EngineError, INPUT_RATE_HZ, load_asr};

/// Print the words of a recording.
#[derive(Debug, clap::Args)]
pub struct Transcribe {
    /// A WAV file of any rate and number of channels
    pub file: PathBuf,
}

/// Why a file was not transcribed.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError {
    /// The file's own words.
    #[error(transparent)]
    File(#[from] WavError),
    /// The engine's own words.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The words could not be written.
    #[error("cannot write to the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Transcribe {
    /// Writes the words to `out`, in one line; an empty one if there are none.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), TranscribeError> {
        let pcm = wav::read_i16(&self.file, INPUT_RATE_HZ)?;
        let transcript = load_asr(config)?.transcribe(&pcm, None, &CancelToken::new())?;
        writeln!(out, "{}", transcript.text)?;
        Ok(())
    }
}
