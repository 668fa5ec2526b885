//! The key-value part of a GGUF file: settings, vocabulary, chat template.
//!
//! Arrays stay in the file until somebody asks for them; a getter gives `None` if the key is not
//! there, and an error that names it if its value is of another kind.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::CheckpointError;
use super::cursor::Cursor;
use super::types::ValueType;

/// Least bytes of an entry: length of the key, type, value.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 1;

/// Keys and values of a GGUF file.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    bytes: Bytes,
    entries: BTreeMap<String, Value>,
}

#[derive(Debug)]
enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// Elements are checked to be whole and, if strings, UTF-8.
    Array {
        element: ValueType,
        count: u64,
        bytes: Range<usize>,
    },
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Unsigned(_) | Value::Signed(_) => "a whole number",
            Value::Float(_) => "a float",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "a string",
            Value::Array { .. } => "an array",
        }
    }
}

impl Metadata {
    pub(super) fn read(
        cursor: &mut Cursor<'_>,
        count: u64,
        bytes: Bytes,
    ) -> Result<Metadata, CheckpointError> {
        cursor.check_count(count, MIN_ENTRY_BYTES, "metadata count")?;
        let path = cursor.path();
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let key = cursor.text(&format!("key of metadata entry {index}"))?;
            let kind = read_type(cursor, key)?;
            let value = read_value(cursor, kind, key)?;
            if entries.insert(key.to_owned(), value).is_some() {
                return Err(CheckpointError::damaged(path, key, "is there twice"));
            }
        }
        Ok(Metadata { path: path.to_owned(), bytes, entries })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&str>, CheckpointError> {
        self.get(key, "a string", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A whole number that is not negative, of any width.
    pub fn count(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        self.get(key, "a whole number of at least 0", |value| match value {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// A number of any kind.
    pub fn number(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.get(key, "a number", |value| match value {
            Value::Float(number) => Some(*number),
            Value::Unsigned(number) => Some(*number as f64),
            Value::Signed(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        self.get(key, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// An array of strings.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, CheckpointError> {
        self.array(key, "an array of strings", |cursor, element| match element {
            ValueType::Text => Some(cursor.text(key).map(str::to_owned)),
            _ => None,
        })
    }

    /// An array of 32-bit floats.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f32>>, CheckpointError> {
        self.array(key, "an array of 32-bit floats", |cursor, element| match element {
            ValueType::F32 => Some(cursor.u32(key).map(f32::from_bits)),
            _ => None,
        })
    }

    /// An array of 32-bit whole numbers.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i32>>, CheckpointError> {
        self.array(key, "an array of 32-bit whole numbers", |cursor, element| match element {
            ValueType::I32 | ValueType::U32 => Some(cursor.u32(key).map(u32::cast_signed)),
            _ => None,
        })
    }

    /// Number of elements of an array.
    pub fn array_len(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        self.get(key, "an array", |value| match value {
            Value::Array { count, .. } => Some(*count),
            _ => None,
        })
    }

    fn get<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        let Some(value) = self.entries.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.wrong_kind(key, value, wanted)),
        }
    }

    fn array<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&mut Cursor<'_>, ValueType) -> Option<Result<T, CheckpointError>>,
    ) -> Result<Option<Vec<T>>, CheckpointError> {
        let Some(value) = self.entries.get(key) else { return Ok(None) };
        let Value::Array { element, count, bytes } = value else {
            return Err(self.wrong_kind(key, value, wanted));
        };
        let mut cursor = Cursor::new(&self.bytes[bytes.clone()], &self.path);
        let mut elements = Vec::new();
        for _ in 0..*count {
            match read(&mut cursor, *element) {
                Some(element) => elements.push(element?),
                None => return Err(self.wrong_kind(key, value, wanted)),
            }
        }
        Ok(Some(elements))
    }

    fn wrong_kind(&self, key: &str, value: &Value, wanted: &str) -> CheckpointError {
        let shown = match value {
            Value::Unsigned(number) => format!("{number}"),
            Value::Signed(number) => format!("{number}"),
            Value::Array { element, .. } => format!("an array of {element:?}"),
            other => other.kind().to_owned(),
        };
        CheckpointError::damaged(&self.path, key, format!("is {shown}, not {wanted}"))
    }
}

fn read_type(cursor: &mut Cursor<'_>, key: &str) -> Result<ValueType, CheckpointError> {
    let number = cursor.u32(key)?;
    ValueType::from_number(number).ok_or_else(|| {
        CheckpointError::damaged(cursor.path(), key, format!("has a value of the unknown type {number}"))
    })
}

fn read_value(cursor: &mut Cursor<'_>, kind: ValueType, key: &str) -> Result<Value, CheckpointError> {
    if kind == ValueType::Text {
        return Ok(Value::Text(cursor.text(key)?.to_owned()));
    }
    if kind == ValueType::Array {
        return read_array(cursor, key);
    }
    let bytes = cursor.take(kind.least_bytes(), key)?;
    let mut raw = [0; 8];
    raw[..bytes.len()].copy_from_slice(bytes);
    let raw = u64::from_le_bytes(raw);
    Ok(match kind {
        ValueType::I8 => Value::Signed(i64::from(raw as u8 as i8)),
        ValueType::I16 => Value::Signed(i64::from(raw as u16 as i16)),
        ValueType::I32 => Value::Signed(i64::from(raw as u32 as i32)),
        ValueType::I64 => Value::Signed(raw.cast_signed()),
        ValueType::F32 => Value::Float(f64::from(f32::from_bits(raw as u32))),
        ValueType::F64 => Value::Float(f64::from_bits(raw)),
        ValueType::Bool if raw > 1 => {
            return Err(CheckpointError::damaged(
                cursor.path(),
                key,
                format!("is {raw} where true or false should be"),
            ));
        }
        ValueType::Bool => Value::Bool(raw == 1),
        _ => Value::Unsigned(raw),
    })
}

fn read_array(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, CheckpointError> {
    let element = read_type(cursor, key)?;
    let count = cursor.u64(key)?;
    cursor.check_count(count, element.least_bytes(), key)?;
    let start = cursor.position() as usize;
    match element {
        ValueType::Array => {
            return Err(CheckpointError::unsupported(cursor.path(), key, "is an array of arrays"));
        }
        ValueType::Text => {
            for _ in 0..count {
                cursor.text(key)?;
            }
        }
        // Checked just above to be in the file, so the product is no overflow.
        _ => {
            cursor.take(count * element.least_bytes(), key)?;
        }
    }
    Ok(Value::Array { element, count, bytes: start..cursor.position() as usize })
}
