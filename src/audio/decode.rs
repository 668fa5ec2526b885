//! Recordings as people have them (WAV, MP3, FLAC, Ogg Vorbis and Opus, M4A, WebM) → mono samples at a
//! wanted rate. Containers and codecs are symphonia's; Opus is libopus'.
//!
//! For recordings that come over the network: nothing in them makes this panic (where symphonia does, as it
//! may with made-up lengths, that is an error like others), and a small file that would become hours of
//! samples is refused when it does. Deliberately absent: the encoder's delay of Opus (a
//! hundredth of a second) is not cut off, and of several tracks the first one with sound is read.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::pcm;
use super::resample::{ResampleError, Resampler};

/// What can be read, for messages.
pub const FORMATS: &str = "WAV, MP3, FLAC, Ogg (Vorbis, Opus), M4A (AAC) and WebM (Opus, Vorbis)";

/// libopus decodes to this rate.
const OPUS_RATE_HZ: u32 = 48_000;
/// The longest packet of Opus, 120 ms.
const OPUS_PACKET_SAMPLES: usize = 5_760;
/// Packets in a row that cannot be decoded, before the file is given up.
const MAX_BAD_PACKETS: usize = 50;

/// Why a recording cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// It is of no kind that is known here, or it is broken at its beginning.
    #[error("the recording cannot be read ({0}); {FORMATS} can")]
    Unknown(String),
    /// A video without sound, or a codec that is not known here.
    #[error("the recording has no sound that can be decoded ({0}); {FORMATS} can be")]
    Codec(String),
    /// It breaks off, or is damaged.
    #[error("the recording is damaged after {seconds:.1} s: {cause}")]
    Damaged {
        /// What could be read.
        seconds: f64,
        /// What is wrong there.
        cause: String,
    },
    /// Its rate is no rate of sound.
    #[error(transparent)]
    Rate(#[from] ResampleError),
    /// It is longer than it may be.
    #[error("the recording is longer than {0} s; divide it")]
    TooLong(u32),
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(opus::Decoder),
}

/// Decodes a whole recording of at most `max_seconds` to mono samples at `rate_hz`; channels are averaged.
/// `extension`: of the file's name, a hint where the contents leave a doubt. Blocking.
///
/// # Errors
/// What is wrong with the recording.
pub fn decode(
    bytes: Bytes,
    extension: Option<&str>,
    rate_hz: u32,
    max_seconds: u32,
) -> Result<Vec<i16>, DecodeError> {
    // Everything that is touched in there is gone afterwards.
    let decoding = AssertUnwindSafe(|| decode_trusting(bytes, extension, rate_hz, max_seconds));
    catch_unwind(decoding)
        .unwrap_or_else(|_| Err(DecodeError::Unknown("its decoder cannot cope with it".to_owned())))
}

/// The same as long as the decoders keep what they promise.
fn decode_trusting(
    bytes: Bytes,
    extension: Option<&str>,
    rate_hz: u32,
    max_seconds: u32,
) -> Result<Vec<i16>, DecodeError> {
    let unknown = |error: Error| DecodeError::Unknown(error.to_string());
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let (format, meta) = (FormatOptions::default(), MetadataOptions::default());
    let mut reader = symphonia::default::get_probe().probe(&hint, stream, format, meta).map_err(unknown)?;
    let track = reader
        .default_track(TrackType::Audio)
        .ok_or_else(|| DecodeError::Codec("it has no track of audio".to_owned()))?;
    let track_id = track.id;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.ok_or_else(|| DecodeError::Codec("it does not say how it is coded".to_owned()))?;
    let codec = |error: String| DecodeError::Codec(error);
    let mut decoder = if params.codec == CODEC_ID_OPUS {
        let opus = opus::Decoder::new(OPUS_RATE_HZ, opus::Channels::Mono);
        Decoder::Opus(opus.map_err(|error| codec(error.to_string()))?)
    } else {
        let made =
            symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default());
        Decoder::Symphonia(made.map_err(|error| codec(error.to_string()))?)
    };

    let mut mono = Mono { rate_hz, resampler: None, samples: Vec::new() };
    let max_samples = max_seconds as usize * rate_hz as usize;
    let mut interleaved = Vec::new();
    let mut bad_packets = 0;
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            // A new stream begins in the same file: what comes first is the recording.
            Ok(None) | Err(Error::ResetRequired) => break,
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(mono.damaged(error.to_string())),
        };
        if packet.track_id != track_id {
            continue;
        }
        match decode_packet(&mut decoder, &packet, &mut interleaved) {
            Ok(Some((rate, channels))) => mono.push(&interleaved, rate, channels)?,
            Ok(None) => {}
            // One bad packet is a click; many are no recording.
            Err(_) if bad_packets < MAX_BAD_PACKETS => bad_packets += 1,
            Err(cause) => return Err(mono.damaged(cause)),
        }
        if mono.samples.len() > max_samples {
            return Err(DecodeError::TooLong(max_seconds));
        }
    }
    let samples = mono.finish();
    if samples.is_empty() && bad_packets > 0 {
        let cause = "none of its packets can be decoded".to_owned();
        return Err(DecodeError::Damaged { seconds: 0.0, cause });
    }
    Ok(samples)
}

/// Fills `interleaved`; gives the rate and the number of channels, or `None` for a packet without sound.
fn decode_packet(
    decoder: &mut Decoder,
    packet: &Packet,
    interleaved: &mut Vec<f32>,
) -> Result<Option<(u32, usize)>, String> {
    match decoder {
        Decoder::Opus(opus) => {
            interleaved.resize(OPUS_PACKET_SAMPLES, 0.0);
            let count = opus.decode_float(&packet.data, interleaved, false).map_err(|e| e.to_string())?;
            interleaved.truncate(count);
            Ok((count > 0).then_some((OPUS_RATE_HZ, 1)))
        }
        Decoder::Symphonia(decoder) => {
            let decoded: GenericAudioBufferRef<'_> = decoder.decode(packet).map_err(|e| e.to_string())?;
            let (rate, channels) = (decoded.spec().rate(), decoded.num_planes());
            interleaved.clear();
            decoded.copy_to_vec_interleaved(interleaved);
            Ok((!interleaved.is_empty() && channels > 0).then_some((rate, channels)))
        }
    }
}

/// What has been read so far.
struct Mono {
    rate_hz: u32,
    /// With the rate that it was made for.
    resampler: Option<(u32, Resampler)>,
    samples: Vec<i16>,
}

impl Mono {
    fn push(&mut self, interleaved: &[f32], rate: u32, channels: usize) -> Result<(), DecodeError> {
        if self.resampler.as_ref().is_none_or(|(made_for, _)| *made_for != rate) {
            self.flush();
            self.resampler = Some((rate, Resampler::new(rate, self.rate_hz)?));
        }
        let mono: Vec<f32> = interleaved
            .chunks_exact(channels)
            .map(|frame| frame.iter().sum::<f32>() / channels as f32)
            .collect();
        if let Some((_, resampler)) = &mut self.resampler {
            self.samples.extend(resampler.push(&mono).into_iter().map(pcm::i16_from_f32));
        }
        Ok(())
    }

    fn flush(&mut self) {
        if let Some((_, resampler)) = &mut self.resampler {
            self.samples.extend(resampler.finish().into_iter().map(pcm::i16_from_f32));
        }
    }

    fn finish(mut self) -> Vec<i16> {
        self.flush();
        self.samples
    }

    fn damaged(&self, cause: String) -> DecodeError {
        DecodeError::Damaged { seconds: self.samples.len() as f64 / f64::from(self.rate_hz), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a tone as a WAV file, at 24 kHz.
    fn tone_wav(seconds: usize) -> Bytes {
        let mut file = Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 24_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::new(&mut file, spec).unwrap();
        for sample in tone(seconds) {
            wav.write_sample(pcm::i16_from_f32(sample)).unwrap();
            wav.write_sample(0i16).unwrap();
        }
        wav.finalize().unwrap();
        file.into_inner().into()
    }

    /// 440 Hz at 24 kHz.
    fn tone(seconds: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * 440.0 / 24_000.0;
        (0..24_000 * seconds).map(|n| 0.5 * (step * n as f32).sin()).collect()
    }

    /// Crossings of zero upwards: the frequency of a tone that lasts a second.
    fn cycles(samples: &[i16]) -> usize {
        samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
    }

    /// Of a second at 16 kHz: 0.8 s without the encoder's beginning and end, 352 periods.
    fn middle(samples: &[i16]) -> &[i16] {
        &samples[1_600..14_400]
    }

    #[test]
    fn a_wav_file_becomes_mono_at_the_wanted_rate() {
        let samples = decode(tone_wav(1), Some("wav"), 16_000, 60).unwrap();
        assert_eq!(samples.len(), 16_000);
        assert!((438..=441).contains(&cycles(&samples)), "{}", cycles(&samples));
        let loudest = samples.iter().max().unwrap();
        assert!((8_000..8_400).contains(loudest), "half of 0.5, one channel being silent: {loudest}");
    }

    #[test]
    fn what_our_own_encoders_write_is_read() {
        let mut opus = crate::audio::ogg_opus::OggOpus::new().unwrap();
        let mut file = opus.push(&tone(1)).unwrap();
        file.extend(opus.finish().unwrap());
        let samples = decode(file.into(), None, 16_000, 60).unwrap();
        assert!(samples.len().abs_diff(16_000) < 800, "{}", samples.len());
        assert!((350..=354).contains(&cycles(middle(&samples))), "{}", cycles(middle(&samples)));

        if let Some(mut mp3) = crate::audio::mp3::Mp3::new() {
            let mut file = mp3.push(&tone(1)).unwrap();
            file.extend(mp3.finish().unwrap());
            let samples = decode(file.into(), None, 16_000, 60).unwrap();
            assert!(samples.len().abs_diff(16_000) < 2_400, "{}", samples.len());
            assert!((350..=354).contains(&cycles(middle(&samples))), "{}", cycles(middle(&samples)));
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_with_what_would_be() {
        for bytes in [&b""[..], b"hello", &[0; 4_096], b"\x1aE\xdf\xa3 not quite a WebM file"] {
            let error = decode(Bytes::copy_from_slice(bytes), Some("wav"), 16_000, 60).unwrap_err();
            assert!(error.to_string().contains("FLAC"), "{error}");
        }
    }

    /// The WAV reader multiplies these as 16-bit numbers, and panics where overflow is checked.
    #[test]
    fn a_file_with_impossible_channels_is_refused() {
        let mut file = tone_wav(1).to_vec();
        file[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
        let error = decode(file.into(), Some("wav"), 16_000, 60).unwrap_err();
        assert!(matches!(error, DecodeError::Unknown(_)), "{error}");
    }

    #[test]
    fn a_recording_that_breaks_off_is_read_as_far_as_it_goes() {
        let whole = tone_wav(2);
        let half = whole.slice(..44 + 96_000);
        assert_eq!(decode(half, None, 16_000, 60).unwrap().len(), 16_000);
    }

    #[test]
    fn a_long_recording_is_refused() {
        assert_eq!(decode(tone_wav(3), None, 16_000, 2).unwrap_err(), DecodeError::TooLong(2));
    }

    #[test]
    fn damaged_files_are_errors_or_sounds_and_never_panics() {
        let whole = tone_wav(1);
        let mut ogg = crate::audio::ogg_opus::OggOpus::new().unwrap();
        let mut opus = ogg.push(&tone(1)).unwrap();
        opus.extend(ogg.finish().unwrap());
        for file in [whole, Bytes::from(opus)] {
            for seed in 0..64_usize {
                let mut bytes = file.to_vec();
                for n in 0..8 {
                    let place =
                        seed.wrapping_mul(2_654_435_761).wrapping_add(n * 7_919) % bytes.len().min(4_096);
                    bytes[place] ^= (seed as u8).wrapping_mul(31).wrapping_add(n as u8) | 1;
                }
                let _ = decode(bytes.into(), None, 16_000, 60);
            }
        }
    }
}
