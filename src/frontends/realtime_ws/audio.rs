//! Audio of the Realtime wire: base64 of 24 kHz PCM or 8 kHz G.711 ↔ the session's 16 kHz in, 24 kHz out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};

use crate::audio::g711::{self, Law};
use crate::audio::pcm;
use crate::audio::resample::Resampler;
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};

/// Of the resampler of what comes in. Half of it, and what is left over of a message, is how much later a
/// client at 24 kHz is understood than one at 16 kHz: 4 to 8 ms with messages of 20 ms. It passes 90 % of the
/// band.
const EAR_BLOCK_MS: u32 = 8;

/// How samples lie in the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `audio/pcm`: 24 kHz mono signed 16-bit little-endian.
    #[default]
    Pcm,
    /// `audio/pcmu`, `audio/pcma`: 8 kHz mono.
    G711(Law),
}

impl Format {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Format::Pcm => "audio/pcm",
            Format::G711(Law::Mu) => "audio/pcmu",
            Format::G711(Law::A) => "audio/pcma",
        }
    }

    /// Its samples per second.
    pub fn rate_hz(self) -> u32 {
        match self {
            Format::Pcm => OUTPUT_RATE_HZ,
            Format::G711(_) => g711::RATE_HZ,
        }
    }
}

/// Why a piece of audio is none. Nothing of it is taken.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BadAudio {
    /// Not base64.
    #[error("it is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Half a sample.
    #[error(transparent)]
    Odd(#[from] pcm::OddBytes),
}

/// The client's audio on its way to the session. Buffers are kept from piece to piece.
pub struct Ear {
    format: Format,
    /// `None`: never, for the rates are fixed and good.
    resampler: Option<Resampler>,
    bytes: Vec<u8>,
    samples: Vec<f32>,
    resampled: Vec<f32>,
}

impl Ear {
    /// For audio of this format.
    pub fn new(format: Format) -> Ear {
        let resampler = Resampler::with_blocks(format.rate_hz(), INPUT_RATE_HZ, EAR_BLOCK_MS);
        let resampler =
            resampler.inspect_err(|error| tracing::error!("the client is not heard: {error}")).ok();
        Ear { format, resampler, bytes: Vec::new(), samples: Vec::new(), resampled: Vec::new() }
    }

    /// From here on audio is of this format. What was heard of the other one stays heard.
    pub fn set_format(&mut self, format: Format) {
        if format != self.format {
            *self = Ear::new(format);
        }
    }

    /// The next piece: 16 kHz samples that are complete, which may be none.
    pub fn hear(&mut self, base64: &str) -> Result<Vec<i16>, BadAudio> {
        self.bytes.clear();
        STANDARD.decode_vec(base64, &mut self.bytes)?;
        self.samples.clear();
        match self.format {
            Format::Pcm => {
                let (pairs, rest) = self.bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(pcm::OddBytes { bytes: self.bytes.len() }.into());
                }
                let sample = |pair: &[u8; 2]| pcm::f32_from_i16(i16::from_le_bytes(*pair));
                self.samples.extend(pairs.iter().map(sample));
            }
            Format::G711(law) => {
                let sample = |code: &u8| pcm::f32_from_i16(law.decode(*code));
                self.samples.extend(self.bytes.iter().map(sample));
            }
        }
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.push_into(&self.samples, &mut self.resampled);
        }
        Ok(pcm::i16s_from_f32s(&self.resampled))
    }
}

/// A reply's audio on its way to the client.
pub struct Mouth {
    format: Format,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
    resampled: Vec<f32>,
}

impl Mouth {
    /// For a client that wants this format.
    pub fn new(format: Format) -> Mouth {
        let resampler = match format {
            Format::Pcm => None,
            Format::G711(_) => Resampler::new(OUTPUT_RATE_HZ, g711::RATE_HZ).ok(),
        };
        Mouth { format, resampler, samples: Vec::new(), resampled: Vec::new() }
    }

    /// The bytes of the next chunk (24 kHz PCM), as far as they are complete, which may be none.
    pub fn say(&mut self, pcm: &Bytes) -> Bytes {
        let Format::G711(law) = self.format else { return pcm.clone() };
        let (pairs, _) = pcm.as_chunks::<2>();
        self.samples.clear();
        let sample = |pair: &[u8; 2]| pcm::f32_from_i16(i16::from_le_bytes(*pair));
        self.samples.extend(pairs.iter().map(sample));
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.push_into(&self.samples, &mut self.resampled);
        }
        encode(law, &self.resampled)
    }

    /// The rest of a reply that was said to its end.
    pub fn finish(&mut self) -> Bytes {
        match (self.format, &mut self.resampler) {
            (Format::G711(law), Some(resampler)) => encode(law, &resampler.finish()),
            _ => Bytes::new(),
        }
    }
}

fn encode(law: Law, samples: &[f32]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(samples.len());
    samples.iter().for_each(|sample| bytes.put_u8(law.encode(pcm::i16_from_f32(*sample))));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: u32, samples: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * 440.0 / rate_hz as f32;
        (0..samples).map(|n| 0.5 * (step * n as f32).sin()).collect()
    }

    fn loudest_error(found: &[f32], wanted: &[f32]) -> f32 {
        let inside = 800..found.len().min(wanted.len()) - 800;
        inside.map(|n| (found[n] - wanted[n]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_is_heard_at_16_khz_whatever_its_format_and_pieces() {
        for format in [Format::Pcm, Format::G711(Law::Mu), Format::G711(Law::A)] {
            let tone = sine(format.rate_hz(), format.rate_hz() as usize);
            let bytes = match format {
                Format::Pcm => pcm::bytes_from_samples(&pcm::i16s_from_f32s(&tone)),
                Format::G711(law) => encode(law, &tone).to_vec(),
            };
            let mut ear = Ear::new(format);
            let mut heard = Vec::new();
            for piece in bytes.chunks(1_234) {
                heard.extend(ear.hear(&STANDARD.encode(piece)).unwrap());
            }
            assert!(heard.len() > 15_600, "{}", heard.len());
            let error = loudest_error(&pcm::f32s_from_i16s(&heard), &sine(16_000, 16_000));
            assert!(error < 0.03, "{format:?}: off by {error}");
        }
    }

    #[test]
    fn what_is_no_audio_is_refused_and_changes_nothing() {
        let tone = STANDARD.encode(pcm::bytes_from_samples(&pcm::i16s_from_f32s(&sine(24_000, 4_800))));
        let mut calm = Ear::new(Format::Pcm);
        let mut disturbed = Ear::new(Format::Pcm);
        assert_eq!(disturbed.hear(&tone).unwrap(), calm.hear(&tone).unwrap());
        assert!(matches!(disturbed.hear("AAA"), Err(BadAudio::Base64(_))));
        assert!(matches!(disturbed.hear("*AAA"), Err(BadAudio::Base64(_))));
        assert_eq!(disturbed.hear("AAAA"), Err(BadAudio::Odd(pcm::OddBytes { bytes: 3 })));
        assert_eq!(disturbed.hear(""), Ok(vec![]));
        assert_eq!(disturbed.hear(&tone).unwrap(), calm.hear(&tone).unwrap());
    }

    #[test]
    fn a_reply_is_said_whole_in_the_clients_format() {
        let tone = sine(24_000, 24_000);
        let chunks = pcm::bytes_from_samples(&pcm::i16s_from_f32s(&tone));
        for format in [Format::Pcm, Format::G711(Law::Mu), Format::G711(Law::A)] {
            let mut mouth = Mouth::new(format);
            let mut said: Vec<u8> = Vec::new();
            for chunk in chunks.chunks(1_920) {
                said.extend(mouth.say(&Bytes::copy_from_slice(chunk)));
            }
            said.extend(mouth.finish());
            let samples: Vec<f32> = match format {
                Format::Pcm => pcm::f32s_from_i16s(&pcm::samples_from_bytes(&said).unwrap()),
                Format::G711(law) => said.iter().map(|code| pcm::f32_from_i16(law.decode(*code))).collect(),
            };
            assert_eq!(samples.len(), format.rate_hz() as usize);
            let error = loudest_error(&samples, &sine(format.rate_hz(), samples.len()));
            assert!(error < 0.03, "{format:?}: off by {error}");
        }
    }
}
