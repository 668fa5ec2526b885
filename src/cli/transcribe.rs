//! `vivavoce transcribe FILE`: the words of a recording.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audio::wav::{self, WavError};
use crate::config::Config;
use crate::engines::{AsrRequest, CancelToken, EngineError, INPUT_RATE_HZ, SpeechContext, load_asr};

/// Print the words of a recording, as a server with these settings would hear them.
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
        let context = Arc::new(SpeechContext::of(&config.persona));
        let request = AsrRequest { pcm: &pcm, language: None, context: Some(&context) };
        let transcript = load_asr(config)?.transcribe(&request, &CancelToken::new())?;
        writeln!(out, "{}", transcript.text)?;
        Ok(())
    }
}
