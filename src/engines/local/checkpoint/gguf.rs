//! GGUF, versions 2 and 3: header, metadata and the places of the tensors.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Own reader because
//! candle's takes at most four dimensions, trusts lengths before it allocates, and copies.
//!
//! Deliberately absent: version 1 (32-bit counts, unseen since 2023), big-endian files, arrays of
//! arrays (nobody writes them), writing.

mod cursor;
mod metadata;
mod types;

pub use metadata::Metadata;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use candle_core::quantized::GgmlDType;

use super::mapping;
use super::{CheckpointError, RawTensor};
use cursor::Cursor;

/// The most dimensions that a tensor may have: a video model's patch embedding has five.
const MAX_DIMENSIONS: u32 = 5;
/// Tensor data begins at multiples of this, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Least bytes that the description of a tensor takes: name length, dimensions, type, offset.
const MIN_TENSOR_INFO_BYTES: u64 = 8 + 4 + 4 + 8;

/// An open GGUF file. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Gguf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
    bytes: Bytes,
}

#[derive(Debug)]
struct TensorInfo {
    dtype: GgmlDType,
    /// The outermost first, as everywhere but in the file.
    shape: Vec<usize>,
    /// In the file.
    bytes: Range<usize>,
}

impl Gguf {
    /// Maps a file and reads its header.
    pub fn open(path: &Path) -> Result<Gguf, CheckpointError> {
        let bytes = mapping::map(path, "give a .gguf file, or a folder with config.json and safetensors")?;
        Gguf::from_bytes(bytes, path)
    }

    /// Reads the header of a file that is in memory; `name` stands for its path in errors.
    pub fn from_bytes(bytes: Bytes, name: &Path) -> Result<Gguf, CheckpointError> {
        let mut cursor = Cursor::new(&bytes, name);
        let magic = cursor.take(4, "magic")?;
        if magic != b"GGUF" {
            return Err(CheckpointError::unsupported(
                name,
                "first four bytes",
                format!("are {}, not GGUF: give a .gguf file, or a folder with safetensors", ascii(magic)),
            ));
        }
        match cursor.u32("version")? {
            2 | 3 => {}
            1 => return Err(wrong_version(name, "is version 1: convert the model again")),
            version if version.swap_bytes() <= 3 => {
                return Err(wrong_version(
                    name,
                    "is a big-endian file: convert the model without --bigendian",
                ));
            }
            version => {
                return Err(wrong_version(
                    name,
                    format!("is version {version}, known are 2 and 3: update this server"),
                ));
            }
        }
        let tensor_count = cursor.u64("tensor count")?;
        let entry_count = cursor.u64("metadata count")?;
        let metadata = Metadata::read(&mut cursor, entry_count, bytes.clone())?;
        let alignment = metadata.count("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(CheckpointError::damaged(
                name,
                "general.alignment",
                format!("is {alignment}, not a power of two up to a mebibyte"),
            ));
        }
        let tensors = read_tensor_infos(&mut cursor, tensor_count, alignment)?;
        Ok(Gguf { inner: Arc::new(Inner { metadata, tensors, bytes }) })
    }

    /// Settings and vocabulary.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.inner.metadata.path()
    }

    /// Whether a tensor of this name is there.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.inner.tensors.contains_key(name)
    }

    /// Names of all tensors, sorted.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.inner.tensors.keys().map(String::as_str)
    }

    /// The tensor of this name, without a copy.
    pub fn tensor(&self, name: &str) -> Result<RawTensor, CheckpointError> {
        let info = self.inner.tensors.get(name).ok_or_else(|| {
            CheckpointError::unsupported(
                self.path(),
                format!("tensor {name}"),
                "is not in the file: this is no complete model of its architecture",
            )
        })?;
        Ok(RawTensor {
            name: name.to_owned(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            data: self.inner.bytes.slice(info.bytes.clone()),
        })
    }
}

/// Reads the descriptions of all tensors and lays their data out in the file: inside it, aligned,
/// and no two on top of each other.
fn read_tensor_infos(
    cursor: &mut Cursor<'_>,
    count: u64,
    alignment: u64,
) -> Result<BTreeMap<String, TensorInfo>, CheckpointError> {
    cursor.check_count(count, MIN_TENSOR_INFO_BYTES, "tensor count")?;
    let path: PathBuf = cursor.path().to_owned();
    let mut unplaced = Vec::new();
    for index in 0..count {
        let name = cursor.text(&format!("name of tensor {index}"))?.to_owned();
        let place = format!("tensor {name}");
        let (dtype, shape, data_bytes) = read_type_and_shape(cursor, &place)?;
        let offset = cursor.u64(&place)?;
        if offset % alignment != 0 {
            return Err(CheckpointError::damaged(
                &path,
                place,
                format!("begins at {offset}, which is no multiple of the alignment {alignment}"),
            ));
        }
        unplaced.push((offset, data_bytes, name, dtype, shape));
    }
    let file_bytes = cursor.len();
    let data_start = cursor.position().next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    let mut occupied = Vec::new();
    for (offset, data_bytes, name, dtype, shape) in unplaced {
        let start = data_start.checked_add(offset);
        let range = start
            .and_then(|start| Some((start, start.checked_add(data_bytes)?)))
            .filter(|(_, end)| *end <= file_bytes);
        let Some((start, end)) = range else {
            return Err(CheckpointError::damaged(
                &path,
                format!("tensor {name}"),
                format!(
                    "takes {data_bytes} bytes from {offset} after {data_start}, the file has {file_bytes}"
                ),
            ));
        };
        occupied.push((start, end, name.clone()));
        // Both fit: they are positions in a slice in memory.
        let info = TensorInfo { dtype, shape, bytes: start as usize..end as usize };
        if tensors.insert(name.clone(), info).is_some() {
            return Err(CheckpointError::damaged(&path, format!("tensor {name}"), "is there twice"));
        }
    }
    occupied.sort_unstable();
    for pair in occupied.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && start < end
        {
            return Err(CheckpointError::damaged(
                &path,
                format!("tensor {second}"),
                format!("lies on top of tensor {first}"),
            ));
        }
    }
    Ok(tensors)
}

/// Type, shape (the outermost first) and number of bytes.
fn read_type_and_shape(
    cursor: &mut Cursor<'_>,
    place: &str,
) -> Result<(GgmlDType, Vec<usize>, u64), CheckpointError> {
    let path = cursor.path();
    let dimensions = cursor.u32(place)?;
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(CheckpointError::damaged(
            path,
            place,
            format!("has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are possible"),
        ));
    }
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(cursor.u64(place)?);
    }
    let dtype = types::ggml_type(cursor.u32(place)?)
        .map_err(|message| CheckpointError::unsupported(path, place, message))?;
    let block = dtype.block_size() as u64;
    // The file has the innermost dimension first.
    if lengths[0] % block != 0 {
        return Err(CheckpointError::damaged(
            path,
            place,
            format!("has rows of {}, no multiple of the {block} of a block of {dtype:?}", lengths[0]),
        ));
    }
    let numbers = lengths.iter().try_fold(1u64, |product, length| product.checked_mul(*length));
    let data_bytes = numbers
        .filter(|numbers| *numbers > 0)
        .and_then(|numbers| (numbers / block).checked_mul(dtype.type_size() as u64))
        .filter(|bytes| *bytes <= cursor.len());
    let Some(data_bytes) = data_bytes else {
        return Err(CheckpointError::damaged(
            path,
            place,
            format!("has the shape {lengths:?}, which cannot be in {} bytes", cursor.len()),
        ));
    };
    let shape = lengths.iter().rev().map(|length| *length as usize).collect();
    Ok((dtype, shape, data_bytes))
}

fn wrong_version(path: &Path, message: impl Into<String>) -> CheckpointError {
    CheckpointError::unsupported(path, "version", message)
}

fn ascii(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
