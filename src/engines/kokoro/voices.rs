//! Voices: 510 style vectors each, one for every length of a text in phonemes.
//!
//! Three formats are about: PyTorch's `.pt` and NumPy's `.npz` (zip files whose members are not
//! compressed) and raw little-endian f32 (`.bin`). A name may blend several: `af_heart(2)+af_bella(1)`.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::error::KokoroError;

/// No voice file is larger; `.npz` with all voices is about 28 MB.
const MAX_BYTES: u64 = 256 << 20;

/// A voice, or a blend of voices.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    /// [rows, width], row by row.
    values: Vec<f32>,
    width: usize,
}

impl Voice {
    /// The style for a text of so many phonemes: `[width]`.
    pub fn style(&self, phonemes: usize) -> &[f32] {
        let rows = self.values.len() / self.width;
        let row = phonemes.saturating_sub(1).min(rows.saturating_sub(1));
        &self.values[row * self.width..][..self.width]
    }

    fn new(values: Vec<f32>, width: usize, path: &Path, name: &str) -> Result<Voice, KokoroError> {
        if values.is_empty() || !values.len().is_multiple_of(width) {
            let message = format!("{} values, expected rows of {width}", values.len());
            return Err(KokoroError::damaged(path, name, message));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(KokoroError::damaged(path, name, "it holds values that are no numbers"));
        }
        Ok(Voice { values, width })
    }
}

/// The voices of a model's folder, by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Voices {
    /// Sorted by name.
    files: Vec<(String, PathBuf)>,
    width: usize,
}

impl Voices {
    /// Looks into `folder` and its folder `voices`. `width`: values of one style vector.
    pub fn find(folder: &Path, width: usize) -> Result<Voices, KokoroError> {
        let mut files = vec![];
        for folder in [folder.join("voices"), folder.to_owned()] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.map_err(|error| KokoroError::unreadable(&folder, error))?.path();
                let (Some(name), Some(kind)) = (path.file_stem().and_then(|s| s.to_str()), path.extension())
                else {
                    continue;
                };
                match kind.to_str() {
                    Some("npz") => files.extend(members(&path)?.into_iter().map(|name| (name, path.clone()))),
                    // `voices-v1.0.bin` is an .npz by another name.
                    Some("bin") if is_zip(&path) => {
                        files.extend(members(&path)?.into_iter().map(|name| (name, path.clone())));
                    }
                    Some("pt" | "bin") if language(name).is_some() => {
                        files.push((name.to_owned(), path.clone()))
                    }
                    _ => {}
                }
            }
        }
        files.retain(|(name, _)| language(name).is_some());
        files.sort();
        files.dedup_by(|a, b| a.0 == b.0);
        Ok(Voices { files, width })
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Reads a voice or a blend.
    pub fn load(&self, name: &str) -> Result<Voice, KokoroError> {
        let parts = parse_blend(name)?;
        let total: f32 = parts.iter().map(|(_, weight)| weight).sum();
        let mut blend: Option<Voice> = None;
        for (part, weight) in parts {
            let mut voice = self.load_one(part)?;
            voice.values.iter_mut().for_each(|value| *value *= weight / total);
            blend = Some(match blend {
                None => voice,
                Some(mut blend) if blend.values.len() == voice.values.len() => {
                    blend.values.iter_mut().zip(&voice.values).for_each(|(sum, value)| *sum += value);
                    blend
                }
                Some(_) => {
                    return Err(KokoroError::Voice(format!("the voices of {name:?} have different lengths")));
                }
            });
        }
        blend.ok_or_else(|| self.unknown(name))
    }

    fn load_one(&self, name: &str) -> Result<Voice, KokoroError> {
        let (_, path) =
            self.files.iter().find(|(known, _)| known == name).ok_or_else(|| self.unknown(name))?;
        let bytes = match path.extension().and_then(|kind| kind.to_str()) {
            Some("pt") => member(path, |member| member.ends_with("/data/0"))?,
            _ if is_zip(path) => {
                without_npy_header(member(path, |member| member == format!("{name}.npy"))?, path, name)?
            }
            _ => {
                let mut bytes = vec![];
                let file = File::open(path).map_err(|error| KokoroError::unreadable(path, error))?;
                file.take(MAX_BYTES)
                    .read_to_end(&mut bytes)
                    .map_err(|error| KokoroError::unreadable(path, error))?;
                bytes
            }
        };
        if !bytes.len().is_multiple_of(4) {
            return Err(KokoroError::damaged(
                path,
                name,
                format!("{} bytes are no 32-bit numbers", bytes.len()),
            ));
        }
        let value = |bytes: &[u8]| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes);
        Voice::new(bytes.chunks_exact(4).map(value).collect(), self.width, path, name)
    }

    fn unknown(&self, name: &str) -> KokoroError {
        KokoroError::Voice(format!("there is no voice {name:?}; the voices are: {}", self.names().join(", ")))
    }
}

/// The language of a voice, by the first letter of its name, as espeak-ng names it; `None`: no voice, or
/// one whose language cannot be pronounced (Japanese and Chinese).
pub fn language(name: &str) -> Option<&'static str> {
    let mut chars = name.chars();
    let (first, sex, bar) = (chars.next()?, chars.next()?, chars.next()?);
    if !matches!(sex, 'f' | 'm') || bar != '_' {
        return None;
    }
    match first {
        'a' => Some("en-us"),
        'b' => Some("en-gb"),
        'e' => Some("es"),
        'f' => Some("fr-fr"),
        'h' => Some("hi"),
        'i' => Some("it"),
        'p' => Some("pt-br"),
        _ => None,
    }
}

/// `af_heart(2)+af_bella(1)` → names and weights.
fn parse_blend(name: &str) -> Result<Vec<(&str, f32)>, KokoroError> {
    let wrong = || {
        KokoroError::Voice(format!(
            "{name:?} is no voice and no blend of voices; write af_heart(2)+af_bella(1)"
        ))
    };
    let mut parts = vec![];
    for part in name.split('+') {
        let (voice, weight) = match part.trim().split_once('(') {
            None => (part.trim(), 1.0),
            Some((voice, rest)) => {
                let weight = rest.strip_suffix(')').and_then(|weight| weight.trim().parse::<f32>().ok());
                (voice.trim(), weight.filter(|weight| weight.is_finite() && *weight > 0.0).ok_or_else(wrong)?)
            }
        };
        if voice.is_empty() {
            return Err(wrong());
        }
        parts.push((voice, weight));
    }
    Ok(parts)
}

fn is_zip(path: &Path) -> bool {
    let mut magic = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"PK"
}

fn open(path: &Path) -> Result<zip::ZipArchive<impl Read + Seek>, KokoroError> {
    let file = File::open(path).map_err(|error| KokoroError::unreadable(path, error))?;
    zip::ZipArchive::new(std::io::BufReader::new(file))
        .map_err(|error| KokoroError::damaged(path, "zip", error.to_string()))
}

/// Names of the arrays of an `.npz`.
fn members(path: &Path) -> Result<Vec<String>, KokoroError> {
    let archive = open(path)?;
    let names = archive.file_names().filter_map(Result::ok);
    Ok(names.filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect())
}

/// The bytes of the first member that is wanted.
fn member(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<u8>, KokoroError> {
    let mut archive = open(path)?;
    let name =
        archive.file_names().filter_map(Result::ok).find(|name| wanted(name)).map(|name| name.into_owned());
    let name = name.ok_or_else(|| KokoroError::damaged(path, "zip", "there is no voice in it"))?;
    let damaged = |message: String| KokoroError::damaged(path, &*name, message);
    let file = archive.by_name(&name).map_err(|error| damaged(error.to_string()))?;
    let mut bytes = vec![];
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(bytes)
}

/// The data behind the header of NumPy's format, which must say little-endian f32 in C's order.
fn without_npy_header(bytes: Vec<u8>, path: &Path, name: &str) -> Result<Vec<u8>, KokoroError> {
    let damaged = |message: &str| KokoroError::damaged(path, name, message);
    let length = match bytes.get(..12) {
        Some(&[0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..]) => {
            10 + usize::from(u16::from_le_bytes([low, high]))
        }
        Some(&[0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d]) => {
            12 + u32::from_le_bytes([a, b, c, d]) as usize
        }
        _ => return Err(damaged("it is no NumPy array")),
    };
    let header = bytes.get(..length).ok_or_else(|| damaged("it ends in its header"))?;
    let header = String::from_utf8_lossy(header);
    if !header.contains("'<f4'") || header.contains("'fortran_order': True") {
        return Err(damaged("expected 32-bit floats ('<f4') in C's order"));
    }
    Ok(bytes[length..].to_vec())
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use super::*;

    const WIDTH: usize = 16;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kokoro")
    }

    fn style() -> Vec<f32> {
        let golden =
            candle_core::safetensors::load(golden().join("golden.safetensors"), &candle_core::Device::Cpu);
        golden.expect("the golden")["style"].flatten_all().and_then(|t| t.to_vec1()).expect("numbers")
    }

    /// A folder with one voice in all formats.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        let voices = folder.path().join("voices");
        std::fs::create_dir(&voices).expect("folder is made");
        std::fs::copy(golden().join("voice.pt"), voices.join("af_heart.pt")).expect("file is copied");
        let bytes = member(&golden().join("voice.pt"), |name| name.ends_with("/data/0")).expect("its data");
        std::fs::write(voices.join("am_adam.bin"), &bytes).expect("file is written");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (510, 1, 16), }";
        let mut npy =
            [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
        npy.extend(&bytes);
        let file = File::create(folder.path().join("voices-v1.0.bin")).expect("file is made");
        let mut archive = zip::ZipWriter::new(file);
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file("bf_emma.npy", stored).expect("member");
        std::io::Write::write_all(&mut archive, &npy).expect("member is written");
        archive.finish().expect("archive is written");
        folder
    }

    #[test]
    fn all_formats_hold_the_same_voice() {
        let folder = folder();
        let voices = Voices::find(folder.path(), WIDTH).expect("voices");
        assert_eq!(voices.names(), ["af_heart", "am_adam", "bf_emma"]);
        let heart = voices.load("af_heart").expect("a voice");
        // The generator of the golden put the style where eleven phonemes find it.
        assert_eq!(heart.style(11), style());
        assert_ne!(heart.style(12), style());
        for other in ["am_adam", "bf_emma"] {
            assert_eq!(voices.load(other).expect("a voice"), heart);
        }
        assert_eq!(heart.style(0), heart.style(1));
        assert_eq!(heart.style(100_000), heart.style(510));
    }

    #[test]
    fn voices_are_blended_by_weight() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, value) in [("af_a", 1.0_f32), ("af_b", 4.0)] {
            let bytes: Vec<u8> = [value; 4].iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(folder.path().join(format!("{name}.bin")), bytes).expect("file is written");
        }
        let voices = Voices::find(folder.path(), 2).expect("voices");
        let blended = |name: &str| voices.load(name).expect("a blend").style(1).to_vec();
        assert_eq!(blended("af_a(2)+af_b(1)"), [2.0, 2.0]);
        assert_eq!(blended("af_a + af_b"), [2.5, 2.5]);
        for wrong in ["", "af_a(", "af_a(0)", "af_a(x)", "af_a++af_b", "af_c", "af_a(-1)", "af_a(nan)"] {
            assert!(matches!(voices.load(wrong), Err(KokoroError::Voice(_))), "{wrong}");
        }
    }

    #[test]
    fn the_published_voices_are_read() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/kokoro"));
        if !folder.is_dir() {
            eprintln!("skipped: there is no {}", folder.display());
            return;
        }
        let voices = Voices::find(folder, 256).expect("voices");
        assert_eq!(voices.names(), ["af_bella", "af_heart", "am_michael", "bf_emma"]);
        let heart = voices.load("af_heart").expect("a voice");
        assert_eq!(heart.values.len(), 510 * 256);
        assert!(heart.style(30).iter().all(|value| value.abs() < 3.0));
    }

    #[test]
    fn damaged_voices_are_errors_that_name_the_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("af_odd.bin"), [0; 6]).expect("file is written");
        std::fs::write(path("af_short.bin"), [0; 4]).expect("file is written");
        std::fs::write(path("af_nan.bin"), [0xff; 64]).expect("file is written");
        std::fs::write(path("af_zip.pt"), b"PK no zip").expect("file is written");
        let voices = Voices::find(folder.path(), WIDTH).expect("voices");
        for name in voices.names() {
            let error = voices.load(&name).expect_err("it is damaged").to_string();
            assert!(error.contains(&name) && error.contains("vivavoce models pull"), "{error}");
        }
        std::fs::write(path("all.npz"), b"PK").expect("file is written");
        assert!(
            Voices::find(folder.path(), WIDTH).expect_err("it is damaged").to_string().contains("all.npz")
        );
    }
}
