//! WAV files: any PCM or float file in, as mono at a wanted rate; 16-bit mono out, as it comes.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use super::{pcm, resample};

/// What is wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct WavError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: WavProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum WavProblem {
    /// It cannot be opened, read or written.
    #[error("{0}")]
    Io(std::io::Error),
    /// It is something else.
    #[error(
        "not a WAV file ({0}); convert it first, for example: ffmpeg -i INPUT -ac 1 -ar 16000 OUTPUT.wav"
    )]
    NotWav(&'static str),
    /// A WAV file with a content that is not read here.
    #[error("this kind of WAV is not supported: {0}; 8 to 32-bit PCM and 32-bit float are")]
    Unsupported(String),
    /// Its header promises more than is there.
    #[error("the file ends after {frames} samples, in the middle of its audio; it was not copied completely")]
    Truncated {
        /// Whole samples (of all channels) that are there.
        frames: usize,
    },
    /// Its rate is no rate of sound.
    #[error("{0}")]
    Rate(#[from] resample::ResampleError),
}

impl WavError {
    /// The system says no.
    pub fn io(path: &Path, error: std::io::Error) -> WavError {
        WavError { path: path.to_owned(), problem: WavProblem::Io(error) }
    }
}

/// Reads a file as mono samples in −1…1 at `rate_hz`. Channels are averaged.
pub fn read_f32(path: &Path, rate_hz: u32) -> Result<Vec<f32>, WavError> {
    let fault = |problem| WavError { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|e| fault(WavProblem::Io(e)))?;
    let mut reader = hound::WavReader::new(BufReader::new(file)).map_err(|e| fault(problem_of_header(e)))?;
    let spec = reader.spec();
    if spec.channels == 0 {
        return Err(fault(WavProblem::Unsupported("no channels".into())));
    }
    let channels = usize::from(spec.channels);
    let interleaved: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => read_samples::<f32>(&mut reader, channels, 1.0),
        hound::SampleFormat::Int => read_samples::<i32>(
            &mut reader,
            channels,
            (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32,
        ),
    }
    .map_err(fault)?;
    let mono: Vec<f32> = match channels {
        1 => interleaved,
        _ => interleaved.chunks_exact(channels).map(|f| f.iter().sum::<f32>() / channels as f32).collect(),
    };
    if spec.sample_rate == rate_hz {
        return Ok(mono);
    }
    resample::resample(&mono, spec.sample_rate, rate_hz).map_err(|e| fault(WavProblem::Rate(e)))
}

/// How long a file plays.
pub fn seconds(path: &Path) -> Result<f64, WavError> {
    let file = File::open(path).map_err(|error| WavError::io(path, error))?;
    let reader = hound::WavReader::new(BufReader::new(file))
        .map_err(|error| WavError { path: path.to_owned(), problem: problem_of_header(error) })?;
    Ok(f64::from(reader.duration()) / f64::from(reader.spec().sample_rate))
}

/// [`read_f32`] as integers.
pub fn read_i16(path: &Path, rate_hz: u32) -> Result<Vec<i16>, WavError> {
    Ok(pcm::i16s_from_f32s(&read_f32(path, rate_hz)?))
}

/// One sample of a file as a float; a conversion that hound's own sample types lack.
trait IntoF32: hound::Sample {
    fn into_f32(self) -> f32;
}

impl IntoF32 for f32 {
    fn into_f32(self) -> f32 {
        // A file can hold anything; not a number is silence.
        if self.is_finite() { self } else { 0.0 }
    }
}

impl IntoF32 for i32 {
    fn into_f32(self) -> f32 {
        self as f32
    }
}

fn read_samples<S: IntoF32>(
    reader: &mut hound::WavReader<BufReader<File>>,
    channels: usize,
    full_scale: f32,
) -> Result<Vec<f32>, WavProblem> {
    let mut samples = vec![];
    for sample in reader.samples::<S>() {
        match sample {
            Ok(sample) => samples.push(sample.into_f32() / full_scale),
            Err(hound::Error::IoError(e)) if is_early_end(&e) => {
                return Err(WavProblem::Truncated { frames: samples.len() / channels });
            }
            Err(hound::Error::IoError(e)) => return Err(WavProblem::Io(e)),
            Err(e) => return Err(WavProblem::Unsupported(e.to_string())),
        }
    }
    Ok(samples)
}

/// hound reports the end of a file in two ways, depending on where it comes.
fn is_early_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::Other)
}

fn problem_of_header(error: hound::Error) -> WavProblem {
    match error {
        hound::Error::FormatError(what) => WavProblem::NotWav(what),
        hound::Error::IoError(e) if is_early_end(&e) => WavProblem::NotWav("it is too short"),
        hound::Error::IoError(e) => WavProblem::Io(e),
        other => WavProblem::Unsupported(other.to_string()),
    }
}

/// A 16-bit mono file that grows. Dropped without [`WavWriter::finish`] it is left readable, but
/// errors are lost.
pub struct WavWriter {
    path: PathBuf,
    writer: hound::WavWriter<BufWriter<File>>,
}

impl WavWriter {
    /// Creates (or empties) the file.
    pub fn create(path: &Path, rate_hz: u32) -> Result<WavWriter, WavError> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate_hz,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        match hound::WavWriter::create(path, spec) {
            Ok(writer) => Ok(WavWriter { path: path.to_owned(), writer }),
            Err(e) => Err(WavError { path: path.to_owned(), problem: problem_of_writing(e) }),
        }
    }

    /// Appends samples in −1…1.
    pub fn write_f32(&mut self, samples: &[f32]) -> Result<(), WavError> {
        self.write(samples.iter().copied().map(pcm::i16_from_f32))
    }

    /// Appends samples.
    pub fn write_i16(&mut self, samples: &[i16]) -> Result<(), WavError> {
        self.write(samples.iter().copied())
    }

    /// Completes the header and closes the file; gives the number of samples written.
    pub fn finish(self) -> Result<u64, WavError> {
        let samples = u64::from(self.writer.len());
        match self.writer.finalize() {
            Ok(()) => Ok(samples),
            Err(e) => Err(WavError { path: self.path, problem: problem_of_writing(e) }),
        }
    }

    fn write(&mut self, samples: impl Iterator<Item = i16>) -> Result<(), WavError> {
        for sample in samples {
            if let Err(e) = self.writer.write_sample(sample) {
                return Err(WavError { path: self.path.clone(), problem: problem_of_writing(e) });
            }
        }
        Ok(())
    }
}

fn problem_of_writing(error: hound::Error) -> WavProblem {
    match error {
        hound::Error::IoError(e) => WavProblem::Io(e),
        other => WavProblem::Unsupported(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    fn file_with(
        spec: hound::WavSpec,
        write: impl FnOnce(&mut hound::WavWriter<BufWriter<File>>),
    ) -> tempfile::TempPath {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        write(&mut writer);
        writer.finalize().unwrap();
        path
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, float: bool) -> hound::WavSpec {
        let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
        hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format }
    }

    fn tone(rate_hz: u32) -> impl Iterator<Item = f32> {
        (0..rate_hz).map(move |n| 0.5 * (TAU * 440.0 * n as f32 / rate_hz as f32).sin())
    }

    #[test]
    fn every_width_and_rate_reads_as_the_same_tone() {
        let want: Vec<f32> = tone(16_000).collect();
        for rate_hz in [8_000, 16_000, 22_050, 44_100, 48_000] {
            for (bits, float, step) in [
                (8, false, 1.0 / 128.0),
                (16, false, 1e-4),
                (24, false, 1e-6),
                (32, false, 1e-6),
                (32, true, 1e-6),
            ] {
                for channels in [1u16, 2, 6] {
                    let path = file_with(spec(channels, rate_hz, bits, float), |writer| {
                        for sample in tone(rate_hz) {
                            for _ in 0..channels {
                                if float {
                                    writer.write_sample(sample).unwrap();
                                } else {
                                    let full = 2f64.powi(i32::from(bits) - 1);
                                    writer.write_sample((f64::from(sample) * full).round() as i32).unwrap();
                                }
                            }
                        }
                    });
                    let got = read_f32(&path, 16_000).unwrap();
                    assert_eq!(got.len(), want.len());
                    let error = (1_000..15_000).map(|n| (got[n] - want[n]).abs()).fold(0.0, f32::max);
                    assert!(error < step + 2e-3, "{rate_hz} Hz, {bits} bits, {channels} channels: {error}");
                }
            }
        }
    }

    #[test]
    fn channels_are_averaged() {
        let path = file_with(spec(2, 16_000, 16, false), |writer| {
            for sample in [1_000i16, 3_000, -4, -8] {
                writer.write_sample(sample).unwrap();
            }
        });
        assert_eq!(read_i16(&path, 16_000).unwrap(), [2_000, -6]);
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let message = read_f32(&path, 16_000).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
            message
        };
        assert!(problem("empty.wav", b"").contains("too short"));
        assert!(problem("song.mp3", &[0xff; 4_000]).contains("not a WAV file"));

        let whole =
            file_with(spec(1, 16_000, 16, false), |w| (0..100).for_each(|n| w.write_sample(n).unwrap()));
        let bytes = std::fs::read(&whole).unwrap();
        let cut = problem("cut.wav", &bytes[..bytes.len() - 51]);
        assert!(cut.contains("ends after 74 samples"), "{cut}");

        let mut silly = bytes.clone();
        silly[24..28].copy_from_slice(&7u32.to_le_bytes());
        // The byte rate has to agree, or hound already refuses.
        silly[28..32].copy_from_slice(&14u32.to_le_bytes());
        assert!(problem("slow.wav", &silly).contains("cannot resample from 7 Hz"));

        let mut alien = bytes.clone();
        alien[20] = 0x55; // MP3 inside WAV
        assert!(problem("alien.wav", &alien).contains("not supported"));

        let missing = read_f32(&folder.path().join("missing.wav"), 16_000).unwrap_err().to_string();
        assert!(missing.contains("missing.wav") && missing.contains("No such file"), "{missing}");
        let nowhere = WavWriter::create(&folder.path().join("no/such/folder.wav"), 24_000).err().unwrap();
        assert!(nowhere.to_string().contains("folder.wav"), "{nowhere}");
    }

    #[test]
    fn a_written_file_reads_back() {
        let path = tempfile::Builder::new().suffix(".wav").tempfile().unwrap().into_temp_path();
        let mut writer = WavWriter::create(&path, 24_000).unwrap();
        writer.write_i16(&[1, -2, i16::MAX]).unwrap();
        writer.write_f32(&[0.5, -3.0]).unwrap();
        assert_eq!(writer.finish().unwrap(), 5);
        assert_eq!(read_i16(&path, 24_000).unwrap(), [1, -2, i16::MAX, 16_384, i16::MIN]);
        assert_eq!(hound::WavReader::open(&path).unwrap().spec(), spec(1, 24_000, 16, false));
    }
}
