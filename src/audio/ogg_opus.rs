//! Speech as an Ogg Opus stream (RFC 7845), written as it is made: 24 kHz mono in, pages of 200 ms out.

use ogg::PacketWriter;
use ogg::writing::PacketWriteEndInfo;

use super::pcm;

const RATE_HZ: u32 = 24_000;
/// Positions in the stream count at this rate, whatever the input's.
const GRANULE_RATE_HZ: u32 = 48_000;
const GRANULES_PER_SAMPLE: u64 = (GRANULE_RATE_HZ / RATE_HZ) as u64;
/// 20 ms.
const FRAME_SAMPLES: usize = RATE_HZ as usize / 50;
/// 200 ms: what a player waits for at the beginning, against the cost of a page's head.
const FRAMES_PER_PAGE: u64 = 10;
/// Good speech at 24 kHz.
const BITRATE: i32 = 32_000;
/// More than any frame takes at that rate.
const MAX_PACKET_BYTES: usize = 1_500;

/// Why there is no such stream. Not expected: libopus does not refuse what it is given here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("opus: {0}")]
pub struct OggOpusError(String);

/// A stream that is being written.
pub struct OggOpus {
    encoder: opus::Encoder,
    pages: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    /// Samples of the next frame, as far as they are there.
    waiting: Vec<f32>,
    /// The frame before, which may turn out to be the last one.
    held: Option<Vec<u8>>,
    /// Input samples so far.
    taken: u64,
    /// Frames encoded so far.
    frames: u64,
    /// Samples by which the decoder's output lags behind.
    lookahead: u64,
}

impl OggOpus {
    /// The stream's two head pages come with the first audio.
    ///
    /// # Errors
    /// libopus'.
    pub fn new() -> Result<OggOpus, OggOpusError> {
        let mut encoder = opus::Encoder::new(RATE_HZ, opus::Channels::Mono, opus::Application::Audio)?;
        encoder.set_bitrate(opus::Bitrate::Bits(BITRATE))?;
        encoder.set_signal(opus::Signal::Voice)?;
        let lookahead = u64::try_from(encoder.get_lookahead()?).unwrap_or(0);
        let serial = getrandom::u32().unwrap_or(1);
        let mut stream = OggOpus {
            encoder,
            pages: PacketWriter::new(Vec::new()),
            serial,
            waiting: Vec::new(),
            held: None,
            taken: 0,
            frames: 0,
            lookahead,
        };
        let pre_skip = u16::try_from(lookahead * GRANULES_PER_SAMPLE).unwrap_or(u16::MAX);
        stream.write(head(pre_skip), PacketWriteEndInfo::EndPage, 0)?;
        stream.write(tags(), PacketWriteEndInfo::EndPage, 0)?;
        Ok(stream)
    }

    /// Takes the next samples, −1…1; gives the pages that are complete.
    ///
    /// # Errors
    /// libopus'.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<u8>, OggOpusError> {
        self.taken += samples.len() as u64;
        self.encode(samples)?;
        Ok(std::mem::take(self.pages.inner_mut()))
    }

    /// Ends the stream: gives the rest. Its end is at the last sample, not at that of the last frame.
    ///
    /// # Errors
    /// libopus'.
    pub fn finish(&mut self) -> Result<Vec<u8>, OggOpusError> {
        let end = self.taken + self.lookahead;
        let frames_in_all = end.div_ceil(FRAME_SAMPLES as u64);
        let missing = (frames_in_all.saturating_sub(self.frames) as usize * FRAME_SAMPLES)
            .saturating_sub(self.waiting.len());
        self.encode(&vec![0.0; missing])?;
        if let Some(last) = self.held.take() {
            self.write(last, PacketWriteEndInfo::EndStream, end * GRANULES_PER_SAMPLE)?;
        }
        Ok(std::mem::take(self.pages.inner_mut()))
    }

    fn encode(&mut self, samples: &[f32]) -> Result<(), OggOpusError> {
        self.waiting.extend_from_slice(samples);
        let whole = self.waiting.len() / FRAME_SAMPLES * FRAME_SAMPLES;
        let rest = self.waiting.split_off(whole);
        let ready = std::mem::replace(&mut self.waiting, rest);
        for frame in ready.chunks_exact(FRAME_SAMPLES) {
            let integers = pcm::i16s_from_f32s(frame);
            let packet = self.encoder.encode_vec(&integers, MAX_PACKET_BYTES)?;
            if let Some(before) = self.held.replace(packet) {
                let end = if self.frames.is_multiple_of(FRAMES_PER_PAGE) {
                    PacketWriteEndInfo::EndPage
                } else {
                    PacketWriteEndInfo::NormalPacket
                };
                let position = self.frames * FRAME_SAMPLES as u64 * GRANULES_PER_SAMPLE;
                self.write(before, end, position)?;
            }
            self.frames += 1;
        }
        Ok(())
    }

    fn write(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, position: u64) -> Result<(), OggOpusError> {
        self.pages
            .write_packet(packet, self.serial, end, position)
            .map_err(|error| OggOpusError(error.to_string()))
    }
}

impl From<opus::Error> for OggOpusError {
    fn from(error: opus::Error) -> OggOpusError {
        OggOpusError(error.to_string())
    }
}

/// RFC 7845, section 5.1: version 1, one channel, gain 0, mapping family 0.
fn head(pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(pre_skip.to_le_bytes());
    head.extend(RATE_HZ.to_le_bytes());
    head.extend([0, 0, 0]);
    head
}

/// RFC 7845, section 5.2: who wrote it, and no comments.
fn tags() -> Vec<u8> {
    let vendor = b"vivavoce";
    let mut tags = b"OpusTags".to_vec();
    tags.extend((vendor.len() as u32).to_le_bytes());
    tags.extend(vendor);
    tags.extend(0u32.to_le_bytes());
    tags
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ogg::PacketReader;

    use super::*;

    #[test]
    fn the_stream_is_as_long_as_what_was_said_however_it_was_cut() {
        for cuts in [vec![10_007], vec![1; 10_007], vec![0, 480, 479, 9_048], vec![]] {
            let mut stream = OggOpus::new().unwrap();
            let (mut file, mut samples) = (Vec::new(), 0);
            for cut in cuts {
                file.extend(stream.push(&vec![0.25; cut]).unwrap());
                samples += cut as u64;
            }
            file.extend(stream.finish().unwrap());

            let mut reader = PacketReader::new(Cursor::new(file));
            let head = reader.read_packet_expected().unwrap();
            assert_eq!(&head.data[..8], b"OpusHead");
            let pre_skip = u64::from(u16::from_le_bytes([head.data[10], head.data[11]]));
            assert!(reader.read_packet_expected().unwrap().data.starts_with(b"OpusTags"));
            let mut last = None;
            while let Some(packet) = reader.read_packet().unwrap() {
                last = Some((packet.absgp_page(), packet.last_in_stream()));
            }
            assert_eq!(last, Some((pre_skip + samples * 2, true)), "{samples} samples");
        }
    }

    #[test]
    fn pages_come_as_soon_as_they_are_full() {
        let mut stream = OggOpus::new().unwrap();
        let first = stream.push(&[0.0; FRAME_SAMPLES]).unwrap();
        assert!(first.starts_with(b"OggS"), "the head");
        let later: Vec<usize> = (0..25).map(|_| stream.push(&[0.1; FRAME_SAMPLES]).unwrap().len()).collect();
        assert_eq!(later.iter().filter(|bytes| **bytes > 0).count(), 2, "{later:?}");
    }
}
