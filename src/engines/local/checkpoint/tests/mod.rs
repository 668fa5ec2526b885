//! Tests of the file formats: what is read, what is refused and how it is said, and that nothing
//! in a file can make the server panic or take memory that the file does not have.

mod folders;
mod gguf_files;
mod hostile;
mod writer;

use std::path::{Path, PathBuf};

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder").join(name)
}

/// The error's words must have every part.
#[track_caller]
fn assert_says<T>(result: Result<T, CheckpointError>, parts: &[&str]) {
    let Err(error) = result else { panic!("no error; expected one with {parts:?}") };
    let words = error.to_string();
    for part in parts {
        assert!(words.contains(part), "\"{words}\" does not say \"{part}\"");
    }
}
