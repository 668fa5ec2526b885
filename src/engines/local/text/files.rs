//! Reading the text files of a model, within limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::TextError;

/// Bytes of a file, at most. The largest tokenizers known (262 k tokens) have 33 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;
const REMEDY: &str = "fetch the model's tokenizer files again";

fn bad(file: &Path, problem: impl ToString) -> TextError {
    TextError::Load { place: file.display().to_string(), problem: problem.to_string(), remedy: REMEDY }
}

/// Reads a UTF-8 file.
pub fn read_text(file: &Path) -> Result<String, TextError> {
    let cannot = |error: std::io::Error| bad(file, format!("it cannot be read: {error}"));
    let mut text = String::new();
    let opened = File::open(file).map_err(cannot)?;
    opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(bad(file, format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, TextError> {
    serde_json::from_str(&read_text(file)?).map_err(|error| bad(file, error))
}

/// Reads a JSON file that need not be there.
pub fn read_json_if_there<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, TextError> {
    if file.exists() { read_json(file).map(Some) } else { Ok(None) }
}
