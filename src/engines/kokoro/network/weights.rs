//! The published `.pth`: five state dicts in one pickle, every name with `module.` in front.
//!
//! Weight-normalised convolutions are stored as a direction `weight_v` and a length `weight_g`, and are
//! folded when they are read. Every tensor is asked for with the shape that `config.json` implies; an
//! error names file, tensor, expected and found shape.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};

use crate::engines::kokoro::error::KokoroError;

/// The state dicts, in the names of the published file.
pub const PARTS: [&str; 5] = ["bert", "bert_encoder", "predictor", "text_encoder", "decoder"];

/// An open checkpoint.
pub struct Checkpoint {
    path: PathBuf,
    parts: HashMap<&'static str, PthTensors>,
    device: Device,
}

impl Checkpoint {
    /// Reads the file's index.
    pub fn open(path: &Path, device: &Device) -> Result<Checkpoint, KokoroError> {
        std::fs::metadata(path).map_err(|error| KokoroError::unreadable(path, error))?;
        let mut parts = HashMap::new();
        for part in PARTS {
            let tensors = PthTensors::new(path, Some(part))
                .map_err(|error| KokoroError::damaged(path, part, error.to_string()))?;
            if tensors.tensor_infos().is_empty() {
                return Err(KokoroError::damaged(path, part, "there are no tensors of this part"));
            }
            parts.insert(part, tensors);
        }
        Ok(Checkpoint { path: path.to_owned(), parts, device: device.clone() })
    }

    /// The tensors of one part.
    pub fn part(&self, part: &'static str) -> Weights<'_> {
        Weights { checkpoint: self, part, prefix: String::new() }
    }
}

/// Tensors below a name.
#[derive(Clone)]
pub struct Weights<'c> {
    checkpoint: &'c Checkpoint,
    part: &'static str,
    prefix: String,
}

impl Weights<'_> {
    /// Those below `name`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        let prefix =
            if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) };
        Weights { prefix, ..self.clone() }
    }

    fn place(&self, name: &str) -> String {
        let dot = if self.prefix.is_empty() { "" } else { "." };
        format!("{}.module.{}{dot}{name}", self.part, self.prefix)
    }

    fn raw(&self, name: &str) -> Result<Option<Tensor>, KokoroError> {
        let place = self.place(name);
        let Some(tensors) = self.checkpoint.parts.get(self.part) else { return Ok(None) };
        let key = place.strip_prefix(self.part).and_then(|key| key.strip_prefix('.')).unwrap_or(&place);
        // Some files were saved without the wrapper that puts "module." in front.
        let plain = key.strip_prefix("module.").unwrap_or(key);
        let found = tensors.get(key).and_then(|found| match found {
            Some(tensor) => Ok(Some(tensor)),
            None => tensors.get(plain),
        });
        let found =
            found.map_err(|error| KokoroError::damaged(&self.checkpoint.path, &*place, error.to_string()))?;
        Ok(match found {
            Some(tensor) => Some(tensor.to_dtype(DType::F32)?.to_device(&self.checkpoint.device)?),
            None => None,
        })
    }

    /// A tensor of this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, KokoroError> {
        let Some(tensor) = self.raw(name)? else {
            let message = format!("it is missing; expected shape {shape:?}");
            return Err(KokoroError::damaged(&self.checkpoint.path, self.place(name), message));
        };
        if tensor.dims() == shape {
            return Ok(tensor);
        }
        let message = format!("expected shape {shape:?}, found {:?}", tensor.dims());
        Err(KokoroError::damaged(&self.checkpoint.path, self.place(name), message))
    }

    /// The shape of a tensor that decides sizes itself.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let place = self.place(name);
        let key = place.strip_prefix(self.part)?.strip_prefix('.')?;
        let infos = self.checkpoint.parts.get(self.part)?.tensor_infos();
        let info = infos.get(key).or_else(|| infos.get(key.strip_prefix("module.")?))?;
        Some(info.layout.shape().dims().to_vec())
    }

    /// A weight-normalised weight [first, …]: `g · v / |v|`, the length taken over all but the first axis.
    pub fn normed(&self, shape: &[usize; 3]) -> Result<Tensor, KokoroError> {
        if self.shape("weight_v").is_none() && self.shape("weight").is_some() {
            return self.get("weight", shape);
        }
        let v = self.get("weight_v", shape)?;
        let g = self.get("weight_g", &[shape[0], 1, 1])?;
        let length = v.sqr()?.sum_keepdim((1, 2))?.sqrt()?;
        Ok(v.broadcast_mul(&g.div(&length)?)?)
    }

    /// A bias `[size]`, or none.
    pub fn bias(&self, size: usize) -> Result<Tensor, KokoroError> {
        self.get("bias", &[size])
    }
}
