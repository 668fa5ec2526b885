//! Speech that another server sends: bytes as they arrive → samples at a wanted rate.
//!
//! Bytes are 16-bit little-endian mono PCM, or a WAV file (told apart by its first bytes), whose header
//! then says what they are. Pieces may be cut anywhere, in the middle of a sample or of the header too;
//! the samples do not depend on the cuts. WAV files that are written while they are sent give no length,
//! or a wrong one; those go on to the end of the stream.
//!
//! Deliberately absent: WAV files on a disk ([`super::wav`]), compressed audio.

use super::pcm;
use super::resample::{ResampleError, Resampler};

/// Bytes of a WAV file before its samples, at most: longer than any header with its notes.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Why a stream is no speech.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadStream {
    /// The beginning of a file of another kind.
    #[error("it is {0} instead of PCM or WAV")]
    Compressed(&'static str),
    /// A WAV file that cannot be read.
    #[error("its WAV header is damaged: {0}")]
    Header(&'static str),
    /// A WAV file with a content that is not read here.
    #[error(
        "its WAV header announces format {format} with {bits} bits and {channels} channels; \
         16-bit PCM and 32-bit float are understood"
    )]
    Format {
        /// `wFormatTag`.
        format: u16,
        /// Per sample.
        bits: u16,
        /// Number of them.
        channels: u16,
    },
    /// Its rate is no rate of sound.
    #[error(transparent)]
    Rate(#[from] ResampleError),
}

/// A stream of bytes on its way to samples in −1…1.
pub struct PcmStream {
    to_hz: u32,
    /// Bytes that do not make a sample, or not the whole header, yet.
    waiting: Vec<u8>,
    state: State,
}

enum State {
    /// What it is has not been seen yet; if it is bare PCM, this is its rate.
    Unknown {
        raw_rate_hz: u32,
    },
    Playing(Playing),
    /// Behind the samples of a WAV file.
    Over(Option<Playing>),
}

struct Playing {
    layout: Layout,
    resampler: Resampler,
    /// Bytes of samples still to come, if the header says.
    left: Option<u64>,
}

/// How one moment of sound lies in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    rate_hz: u32,
    channels: u16,
    float: bool,
}

impl Layout {
    fn frame_bytes(self) -> usize {
        usize::from(self.channels) * if self.float { 4 } else { 2 }
    }

    /// Whole frames → mono.
    fn samples(self, bytes: &[u8]) -> Vec<f32> {
        let sample = |bytes: &[u8]| match *bytes {
            [a, b] => pcm::f32_from_i16(i16::from_le_bytes([a, b])),
            [a, b, c, d] => Some(f32::from_le_bytes([a, b, c, d])).filter(|s| s.is_finite()).unwrap_or(0.0),
            _ => 0.0,
        };
        let width = if self.float { 4 } else { 2 };
        let frames = bytes.chunks_exact(self.frame_bytes());
        let mono = |frame: &[u8]| frame.chunks_exact(width).map(sample).sum::<f32>();
        frames.map(|frame| mono(frame) / f32::from(self.channels)).collect()
    }
}

impl PcmStream {
    /// A stream that becomes `to_hz`; bare PCM in it has `raw_rate_hz`.
    pub fn new(raw_rate_hz: u32, to_hz: u32) -> PcmStream {
        PcmStream { to_hz, waiting: Vec::new(), state: State::Unknown { raw_rate_hz } }
    }

    /// Takes the next bytes; gives the samples that are complete, which may be none.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<f32>, BadStream> {
        if matches!(self.state, State::Over(_)) {
            return Ok(Vec::new());
        }
        self.waiting.extend_from_slice(bytes);
        if let State::Unknown { raw_rate_hz } = self.state {
            let Some(playing) = self.recognise(raw_rate_hz)? else { return Ok(Vec::new()) };
            self.state = State::Playing(playing);
        }
        self.play()
    }

    /// Ends the stream: gives the rest. Half a sample at its end is dropped.
    pub fn finish(&mut self) -> Result<Vec<f32>, BadStream> {
        if let State::Unknown { raw_rate_hz } = self.state {
            if self.waiting.starts_with(b"RIFF") {
                return Err(BadStream::Header("it ends before the samples"));
            }
            // So short that it could still have become a header.
            self.state = State::Playing(self.raw(raw_rate_hz)?);
        }
        let mut samples = self.play()?;
        let state = std::mem::replace(&mut self.state, State::Over(None));
        if let State::Playing(mut playing) | State::Over(Some(mut playing)) = state {
            samples.append(&mut playing.resampler.finish());
        }
        Ok(samples)
    }

    fn play(&mut self) -> Result<Vec<f32>, BadStream> {
        let State::Playing(playing) = &mut self.state else { return Ok(Vec::new()) };
        let frame = playing.layout.frame_bytes();
        let there = playing.left.map_or(self.waiting.len(), |left| {
            usize::try_from(left).unwrap_or(usize::MAX).min(self.waiting.len())
        });
        let whole = there - there % frame;
        let samples = playing.resampler.push(&playing.layout.samples(&self.waiting[..whole]));
        self.waiting.drain(..whole);
        if let Some(left) = &mut playing.left {
            *left -= whole as u64;
            if *left < frame as u64 {
                // What follows are notes about the recording.
                self.waiting = Vec::new();
                let state = std::mem::replace(&mut self.state, State::Over(None));
                if let State::Playing(playing) = state {
                    self.state = State::Over(Some(playing));
                }
            }
        }
        Ok(samples)
    }

    /// What the stream is, as soon as its beginning says so; takes a header out of it.
    fn recognise(&mut self, raw_rate_hz: u32) -> Result<Option<Playing>, BadStream> {
        let compressed = [(&b"ID3"[..], "MP3"), (b"OggS", "Ogg"), (b"fLaC", "FLAC")];
        for (magic, name) in compressed {
            if self.waiting.starts_with(magic) {
                return Err(BadStream::Compressed(name));
            }
        }
        // None of these beginnings is the beginning of another.
        let may_become = |magic: &[u8]| magic.starts_with(&self.waiting);
        if may_become(b"RIFF") || compressed.iter().any(|(magic, _)| may_become(magic)) {
            return Ok(None);
        }
        if !self.waiting.starts_with(b"RIFF") {
            return Ok(Some(self.raw(raw_rate_hz)?));
        }
        match read_header(&self.waiting)? {
            None if self.waiting.len() > MAX_HEADER_BYTES => {
                Err(BadStream::Header("there are no samples in its first 65536 bytes"))
            }
            None => Ok(None),
            Some(header) => {
                self.waiting.drain(..header.bytes);
                let resampler = Resampler::new(header.layout.rate_hz, self.to_hz)?;
                Ok(Some(Playing { layout: header.layout, resampler, left: header.data_bytes }))
            }
        }
    }

    fn raw(&self, rate_hz: u32) -> Result<Playing, BadStream> {
        let layout = Layout { rate_hz, channels: 1, float: false };
        Ok(Playing { layout, resampler: Resampler::new(rate_hz, self.to_hz)?, left: None })
    }
}

struct Header {
    layout: Layout,
    /// Where the samples begin.
    bytes: usize,
    /// How long they are; `None`: to the end of the stream.
    data_bytes: Option<u64>,
}

/// Reads up to the samples; `None`: more bytes are needed. A WAV file is `RIFF`, a length, `WAVE`, then
/// chunks: a name of 4 bytes, a length of 4, and so many bytes, filled up to an even number.
fn read_header(file: &[u8]) -> Result<Option<Header>, BadStream> {
    let Some((riff, mut rest)) = file.split_at_checked(12) else { return Ok(None) };
    if &riff[8..] != b"WAVE" {
        return Err(BadStream::Header("it is RIFF, but not WAVE"));
    }
    let mut layout = None;
    while let Some((head, body)) = rest.split_at_checked(8) {
        let (name, length) = head.split_at(4);
        let bytes = length.iter().rev().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if name == b"data" {
            let layout = layout.ok_or(BadStream::Header("samples come before their format"))?;
            // Writers that do not know the length leave 0 or the largest number there.
            let known = bytes != 0 && bytes < i32::MAX as usize;
            let data_bytes = known.then_some(bytes as u64);
            return Ok(Some(Header { layout, bytes: file.len() - body.len(), data_bytes }));
        }
        let Some(body_and_filler) = bytes.checked_next_multiple_of(2) else {
            return Err(BadStream::Header("one of its lengths is impossible"));
        };
        let Some((body, behind)) = body.split_at_checked(body_and_filler) else { return Ok(None) };
        if name == b"fmt " {
            layout = Some(read_format(body)?);
        }
        rest = behind;
    }
    Ok(None)
}

fn read_format(body: &[u8]) -> Result<Layout, BadStream> {
    const PCM: u16 = 1;
    const FLOAT: u16 = 3;
    const EXTENSIBLE: u16 = 0xFFFE;
    let word = |at: usize| Some(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let fields = || Some((word(0)?, word(2)?, long(4)?, word(14)?));
    let (tag, channels, rate_hz, bits) = fields().ok_or(BadStream::Header("its format is too short"))?;
    // The true tag then begins the sub-format.
    let format = if tag == EXTENSIBLE { word(24).unwrap_or(tag) } else { tag };
    let float = match (format, bits) {
        (PCM, 16) => false,
        (FLOAT, 32) => true,
        _ => return Err(BadStream::Format { format, bits, channels }),
    };
    if channels == 0 {
        return Err(BadStream::Format { format, bits, channels });
    }
    Ok(Layout { rate_hz, channels, float })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::audio::resample::resample;

    fn wav(rate_hz: u32, channels: u16, float: bool, samples: &[i16]) -> Vec<u8> {
        let mut file = Cursor::new(vec![]);
        let (bits_per_sample, sample_format) =
            if float { (32, hound::SampleFormat::Float) } else { (16, hound::SampleFormat::Int) };
        let spec = hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample, sample_format };
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for sample in samples {
            for _ in 0..channels {
                if float {
                    writer.write_sample(pcm::f32_from_i16(*sample)).unwrap();
                } else {
                    writer.write_sample(*sample).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    fn read(raw_rate_hz: u32, pieces: &[&[u8]]) -> Result<Vec<f32>, BadStream> {
        let mut stream = PcmStream::new(raw_rate_hz, 24_000);
        let mut samples = vec![];
        for piece in pieces {
            samples.append(&mut stream.push(piece)?);
        }
        samples.append(&mut stream.finish()?);
        Ok(samples)
    }

    fn sound() -> Vec<i16> {
        (0..3_000).map(|n| ((f64::from(n) * 0.05).sin() * 9_000.0) as i16).collect()
    }

    #[test]
    fn bare_pcm_and_every_wav_are_the_same_sound() {
        let (sound, floats) = (sound(), pcm::f32s_from_i16s(&sound()));
        assert_eq!(read(24_000, &[&pcm::bytes_from_samples(&sound)]).unwrap(), floats);
        for (channels, float) in [(1, false), (2, false), (1, true), (2, true)] {
            assert_eq!(read(8_000, &[&wav(24_000, channels, float, &sound)]).unwrap(), floats);
        }
    }

    #[test]
    fn other_rates_are_resampled() {
        let (sound, floats) = (sound(), pcm::f32s_from_i16s(&sound()));
        let expected = resample(&floats, 22_050, 24_000).unwrap();
        assert_eq!(read(22_050, &[&pcm::bytes_from_samples(&sound)]).unwrap(), expected);
        assert_eq!(read(24_000, &[&wav(22_050, 1, false, &sound)]).unwrap(), expected);
    }

    #[test]
    fn samples_come_before_the_end() {
        let mut stream = PcmStream::new(24_000, 24_000);
        assert_eq!(stream.push(&[0, 0x40, 0, 0xC0, 1]).unwrap(), [0.5, -0.5]);
        assert_eq!(stream.push(&[0]).unwrap(), [1.0 / 32_768.0]);
        assert!(stream.push(&[7]).unwrap().is_empty());
        assert!(stream.finish().unwrap().is_empty());
    }

    #[test]
    fn the_length_in_a_header_may_be_unknown_and_notes_behind_the_samples_are_not_heard() {
        let sound = sound();
        let whole = wav(24_000, 1, false, &sound);
        for unknown in [0_u32, u32::MAX] {
            let mut endless = whole.clone();
            endless[40..44].copy_from_slice(&unknown.to_le_bytes());
            assert_eq!(read(24_000, &[&endless]).unwrap().len(), sound.len());
        }
        let with_notes = [&whole[..], b"LIST\x04\0\0\0abcd"].concat();
        assert_eq!(read(24_000, &[&with_notes]).unwrap().len(), sound.len());
        assert_eq!(read(24_000, &[&whole, b"LIST", b"\x04\0\0\0abcd"]).unwrap().len(), sound.len());
    }

    #[test]
    fn what_is_no_speech_is_named() {
        for (bytes, words) in [
            (b"ID3\x04..".to_vec(), "MP3"),
            (b"OggS..".to_vec(), "Ogg"),
            (b"RIFF....AVI ".to_vec(), "not WAVE"),
            (b"RIFF....WAVEdata\x04\0\0\0abcd".to_vec(), "before their format"),
            (b"RIFF....WAVEfmt \x02\0\0\0ab".to_vec(), "too short"),
            (wav(24_000, 1, false, &[])[..30].to_vec(), "ends before"),
            ([&b"RIFF....WAVEjunk\xFF\xFF\xFF\x7F"[..], &[0; MAX_HEADER_BYTES]].concat(), "65536"),
        ] {
            let error = read(24_000, &[&bytes]).unwrap_err().to_string();
            assert!(error.contains(words), "`{words}` is not in: {error}");
        }
        let mut eight_bits = wav(24_000, 1, false, &[1]);
        eight_bits[34] = 8;
        let error = read(24_000, &[&eight_bits]).unwrap_err();
        assert_eq!(error, BadStream::Format { format: 1, bits: 8, channels: 1 });
        assert!(matches!(read(24_000, &[&wav(7, 1, false, &[1])]), Err(BadStream::Rate(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn cuts_change_nothing(
            kind in 0..3_usize,
            sound in proptest::collection::vec(any::<i16>(), 0..900),
            odd: bool,
            cuts in proptest::collection::vec(0_usize..200, 0..20),
        ) {
            let mut bytes = match kind {
                0 => pcm::bytes_from_samples(&sound),
                1 => wav(24_000, 2, false, &sound),
                _ => wav(16_000, 1, true, &sound),
            };
            if odd {
                bytes.push(b'R');
            }
            let whole = read(24_000, &[&bytes]);
            let (mut rest, mut pieces) = (bytes.as_slice(), vec![]);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(now);
                rest = later;
            }
            pieces.push(rest);
            prop_assert_eq!(read(24_000, &pieces), whole);
        }
    }
}
