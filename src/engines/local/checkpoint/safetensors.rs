//! Folders as Hugging Face's libraries write them: `config.json`, and the weights in
//! `model.safetensors` or in the shards that `model.safetensors.index.json` lists.
//!
//! Deliberately absent: pickled weights (`pytorch_model.bin`), which are programs, and types of
//! 8 bits and less.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use candle_core::quantized::GgmlDType;
use safetensors::Dtype;
use safetensors::tensor::SafeTensors;
use serde_json::Value;

use super::{CheckpointError, RawTensor, mapping};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// A configuration is a page of text, an index a few hundred kilobytes.
const MAX_JSON_BYTES: u64 = 16 << 20;
const REMEDY: &str =
    "the folder needs config.json and model.safetensors (or shards with model.safetensors.index.json)";

/// An open folder. A clone shares everything.
#[derive(Debug, Clone)]
pub struct SafetensorsFolder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Debug)]
struct Stored {
    file: Arc<PathBuf>,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Bytes,
}

impl SafetensorsFolder {
    /// One file's bytes as if they lay in a folder; `name` stands for its path in errors.
    #[cfg(test)]
    pub(super) fn from_bytes(bytes: Bytes, name: &Path) -> Result<SafetensorsFolder, CheckpointError> {
        let mut tensors = BTreeMap::new();
        read_header(bytes, name, &mut tensors)?;
        Ok(SafetensorsFolder { inner: Arc::new(Inner { path: name.to_owned(), tensors }) })
    }

    /// Maps the folder's weights and reads their headers.
    pub fn open(path: &Path) -> Result<SafetensorsFolder, CheckpointError> {
        let mut tensors = BTreeMap::new();
        if path.join(WEIGHTS).exists() {
            read_weights(&path.join(WEIGHTS), &mut tensors)?;
        } else {
            for (file, names) in read_index(path)? {
                read_weights(&path.join(&file), &mut tensors)?;
                if let Some(missing) = names.iter().find(|name| !tensors.contains_key(*name)) {
                    return Err(CheckpointError::damaged(
                        &path.join(file),
                        format!("tensor {missing}"),
                        format!("is not in this file, where {INDEX} says it is"),
                    ));
                }
            }
        }
        Ok(SafetensorsFolder { inner: Arc::new(Inner { path: path.to_owned(), tensors }) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether a tensor of this name is there.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.inner.tensors.contains_key(name)
    }

    /// The tensor of this name, without a copy.
    pub fn tensor(&self, name: &str) -> Result<RawTensor, CheckpointError> {
        let place = || format!("tensor {name}");
        let stored = self.inner.tensors.get(name).ok_or_else(|| {
            CheckpointError::unsupported(
                self.path(),
                place(),
                "is not in the folder's safetensors: this is no complete model of its architecture",
            )
        })?;
        let dtype = match stored.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                return Err(CheckpointError::unsupported(
                    &stored.file,
                    place(),
                    format!("has the type {other:?}, which is not supported; use BF16, F16 or F32"),
                ));
            }
        };
        if stored.shape.is_empty() || stored.shape.contains(&0) {
            return Err(CheckpointError::damaged(
                &stored.file,
                place(),
                format!("has the shape {:?}", stored.shape),
            ));
        }
        let (shape, data) = (stored.shape.clone(), stored.data.clone());
        Ok(RawTensor { name: name.to_owned(), dtype, shape, data })
    }

    /// A JSON file of the folder; `None` if it is not there.
    pub fn json(&self, name: &str) -> Result<Option<Value>, CheckpointError> {
        read_json(&self.inner.path.join(name))
    }
}

/// Files of the shards, each with the tensors that should be in it.
fn read_index(folder: &Path) -> Result<BTreeMap<String, Vec<String>>, CheckpointError> {
    let path = folder.join(INDEX);
    let index = read_json(&path)?.ok_or_else(|| CheckpointError::Unreadable {
        path: folder.join(WEIGHTS),
        source: io::ErrorKind::NotFound.into(),
        remedy: REMEDY,
    })?;
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        return Err(CheckpointError::damaged(&path, "weight_map", "is not there or is no object"));
    };
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let name = file.as_str().filter(|name| is_plain_name(name)).ok_or_else(|| {
            CheckpointError::damaged(
                &path,
                format!("weight_map.{tensor}"),
                format!("is {file}, not the name of a file in this folder"),
            )
        })?;
        shards.entry(name.to_owned()).or_default().push(tensor.clone());
    }
    Ok(shards)
}

/// Whether a name stays in its folder.
fn is_plain_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name)
}

fn read_weights(path: &Path, tensors: &mut BTreeMap<String, Stored>) -> Result<(), CheckpointError> {
    read_header(mapping::map(path, REMEDY)?, path, tensors)
}

/// Adds the tensors of a file's bytes to `tensors`.
fn read_header(
    bytes: Bytes,
    path: &Path,
    tensors: &mut BTreeMap<String, Stored>,
) -> Result<(), CheckpointError> {
    let (header_bytes, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| CheckpointError::damaged(path, "header", error.to_string()))?;
    let data_start = size_of::<u64>() + header_bytes;
    let file = Arc::new(path.to_owned());
    for (name, info) in metadata.tensors() {
        let (start, end) = info.data_offsets;
        let (start, end) = (data_start.saturating_add(start), data_start.saturating_add(end));
        if start > end || end > bytes.len() {
            return Err(CheckpointError::damaged(
                path,
                format!("tensor {name}"),
                format!("takes bytes {start} to {end}, the file has {}", bytes.len()),
            ));
        }
        let data = bytes.slice(start..end);
        let stored = Stored { file: file.clone(), dtype: info.dtype, shape: info.shape.clone(), data };
        if let Some(other) = tensors.insert(name.clone(), stored) {
            return Err(CheckpointError::damaged(
                path,
                format!("tensor {name}"),
                format!("is in {} too", other.file.display()),
            ));
        }
    }
    Ok(())
}

fn read_json(path: &Path) -> Result<Option<Value>, CheckpointError> {
    let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source, remedy: REMEDY };
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if size > MAX_JSON_BYTES {
        return Err(CheckpointError::damaged(path, "file", format!("has {size} bytes")));
    }
    let text = fs::read(path).map_err(unreadable)?;
    let value = serde_json::from_slice(&text).map_err(|error| {
        CheckpointError::damaged(path, format!("line {}", error.line()), error.to_string())
    })?;
    Ok(Some(value))
}
