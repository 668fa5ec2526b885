//! Speech as bytes of a file, as it is made.

use axum::http::StatusCode;
use bytes::Bytes;

use crate::audio::mp3::Mp3;
use crate::audio::ogg_opus::OggOpus;
use crate::audio::pcm;
use crate::audio::stretch::Stretch;
use crate::engines::OUTPUT_RATE_HZ;
use crate::frontends::problem::Problem;

/// `response_format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 24 kHz mono signed 16-bit little-endian, without a head.
    Pcm,
    /// The same with a head that does not know the length.
    Wav,
    /// In Ogg.
    Opus,
    /// 64 kbit/s.
    Mp3,
}

impl Format {
    /// What can be made here.
    pub fn of(name: &str) -> Result<Format, Problem> {
        match name {
            "pcm" => Ok(Format::Pcm),
            "wav" => Ok(Format::Wav),
            "opus" => Ok(Format::Opus),
            "mp3" if Mp3::is_available() => Ok(Format::Mp3),
            "mp3" => Err(Problem::bad_value(
                "response_format",
                "response_format: mp3 needs LAME on the server (Debian: libmp3lame0); there are opus, wav and pcm",
            )),
            other => {
                let mp3 = if Mp3::is_available() { "mp3, " } else { "" };
                let message =
                    format!("response_format: there is no {other:?}; there are {mp3}opus, wav and pcm");
                Err(Problem::bad_value("response_format", message))
            }
        }
    }

    /// Its Content-Type.
    pub fn mime(self) -> &'static str {
        match self {
            Format::Pcm => "audio/pcm",
            Format::Wav => "audio/wav",
            Format::Opus => "audio/ogg",
            Format::Mp3 => "audio/mpeg",
        }
    }
}

/// Writes one file.
pub struct Encoder {
    stretch: Stretch,
    stream: Stream,
}

enum Stream {
    Pcm,
    /// The head goes before the first samples.
    Wav {
        begun: bool,
    },
    Opus(Box<OggOpus>),
    Mp3(Mp3),
}

impl Encoder {
    /// Nothing has been said.
    pub fn new(format: Format, speed: f32) -> Result<Encoder, Problem> {
        let stream = match format {
            Format::Pcm => Stream::Pcm,
            Format::Wav => Stream::Wav { begun: false },
            Format::Opus => Stream::Opus(Box::new(OggOpus::new().map_err(|error| failed(&error))?)),
            Format::Mp3 => Stream::Mp3(Mp3::new().ok_or_else(|| failed(&"LAME does not start"))?),
        };
        Ok(Encoder { stretch: Stretch::new(speed), stream })
    }

    /// The bytes of the next samples; `None`: of the end.
    fn encode(&mut self, samples: Option<&[f32]>) -> Result<Vec<u8>, Problem> {
        let stretched = match samples {
            Some(samples) => self.stretch.push(samples),
            None => self.stretch.finish(),
        };
        let mut bytes = Vec::new();
        match &mut self.stream {
            Stream::Pcm => pcm::append_bytes_from_f32(&stretched, &mut bytes),
            Stream::Wav { begun } => {
                if !std::mem::replace(begun, true) {
                    bytes.extend(wav_head());
                }
                pcm::append_bytes_from_f32(&stretched, &mut bytes);
            }
            Stream::Opus(opus) => bytes = opus.push(&stretched).map_err(|error| failed(&error))?,
            Stream::Mp3(mp3) => bytes = mp3.push(&stretched).map_err(|error| failed(&error))?,
        }
        if samples.is_none() {
            match &mut self.stream {
                Stream::Pcm | Stream::Wav { .. } => {}
                Stream::Opus(opus) => bytes.extend(opus.finish().map_err(|error| failed(&error))?),
                Stream::Mp3(mp3) => bytes.extend(mp3.finish().map_err(|error| failed(&error))?),
            }
        }
        Ok(bytes)
    }
}

/// [`Encoder::encode`] off the executor: a segment may come as one long piece. `encoder` is empty only while
/// this runs, or after it has failed.
pub async fn encoded(encoder: &mut Option<Encoder>, samples: Option<Vec<f32>>) -> Result<Bytes, Problem> {
    let Some(mut moved) = encoder.take() else { return Err(failed(&"it has failed before")) };
    let encoding = tokio::task::spawn_blocking(move || {
        let bytes = moved.encode(samples.as_deref());
        (moved, bytes)
    });
    let (back, bytes) = encoding.await.map_err(|_| failed(&"it was stopped"))?;
    *encoder = Some(back);
    Ok(bytes?.into())
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    let message = format!("the audio cannot be encoded: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "encoder_failed", message)
}

/// The head of a WAV file of unknown length: 16-bit mono at 24 kHz. Both lengths are the greatest there are,
/// which is what programs that read from a pipe expect.
fn wav_head() -> Vec<u8> {
    const BYTES_PER_SAMPLE: u32 = 2;
    let mut head = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    head.extend(16u32.to_le_bytes());
    head.extend(1u16.to_le_bytes()); // PCM
    head.extend(1u16.to_le_bytes()); // channels
    head.extend(OUTPUT_RATE_HZ.to_le_bytes());
    head.extend((OUTPUT_RATE_HZ * BYTES_PER_SAMPLE).to_le_bytes());
    head.extend(2u16.to_le_bytes()); // bytes per frame
    head.extend(16u16.to_le_bytes()); // bits per sample
    head.extend(b"data\xff\xff\xff\xff");
    head
}
