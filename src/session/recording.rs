//! Recordings of a turn machine: JSON lines of what it was told, when, and what it answered.
//!
//! The machine is a pure function of its inputs, so a recording replays byte for byte; where it does
//! not, the machine has changed (or was not pure). No audio is written, only positions, but what
//! people said is: recording is off unless `record: true`.
//!
//! ```text
//! {"vivavoce_recording":1,"config":{…}}
//! {"at":12000,"in":{"frame":{"probability":0.93}}}
//! {"out":{"tell":{"status":{"state":"user_speaking","turn":1}}}}
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::turn::config::TurnConfig;
use crate::turn::io::{Input, Output, Time};

/// Version of the format.
const VERSION: u32 = 1;
/// Lines that wait for the disk, at most; a recording that cannot keep up ends, and says so.
const QUEUE_LENGTH: usize = 4_096;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    vivavoce_recording: u32,
    config: TurnConfig,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    In {
        at: Time,
        #[serde(rename = "in")]
        input: Input,
    },
    Out {
        out: Output,
    },
}

/// Why a recording cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no line of a recording.
    #[error("{}, line {line}: {message}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// Writes one session's recording, on a thread of its own.
pub struct Recorder {
    lines: Option<Sender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins the recording `name`.jsonl in `dir`, which is made if need be.
    pub fn create(dir: &Path, name: &str, config: &TurnConfig) -> Result<Recorder, RecordingError> {
        let path = dir.join(format!("{name}.jsonl"));
        let in_file = |source| RecordingError::File { path: path.clone(), source };
        std::fs::create_dir_all(dir).map_err(in_file)?;
        // For nobody else to read: it holds what people said.
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = BufWriter::new(file.map_err(in_file)?);
        let (lines, queue) = bounded::<String>(QUEUE_LENGTH);
        let shown = path.clone();
        let body = move || {
            while let Ok(line) = queue.recv() {
                let mut written = writeln!(file, "{line}");
                if queue.is_empty() {
                    written = written.and_then(|()| file.flush());
                }
                if let Err(error) = written {
                    tracing::error!(path = %shown.display(), "the recording ends: {error}");
                    return;
                }
            }
        };
        let writer = std::thread::Builder::new().name("recorder".to_owned()).spawn(body).map_err(in_file)?;
        let mut recorder = Recorder { lines: Some(lines), writer: Some(writer) };
        recorder.write(&Header { vivavoce_recording: VERSION, config: config.clone() });
        Ok(recorder)
    }

    /// The machine is told something.
    pub fn input(&mut self, at: Time, input: &Input) {
        self.write(&Line::In { at, input: input.clone() });
    }

    /// The machine has answered.
    pub fn output(&mut self, output: &Output) {
        self.write(&Line::Out { out: output.clone() });
    }

    fn write(&mut self, line: &impl Serialize) {
        let Some(lines) = &self.lines else { return };
        let sent = serde_json::to_string(line).map_err(|error| error.to_string()).and_then(|text| {
            lines.try_send(text).map_err(|_| "the disk cannot keep up, or has failed".to_owned())
        });
        if let Err(reason) = sent {
            tracing::error!("the recording ends: {reason}");
            self.lines = None;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.lines = None;
        // The thread writes what it has and ends by itself; nothing waits for a disk here.
        drop(self.writer.take());
    }
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Inputs told.
    pub inputs: usize,
    /// Outputs that were the same, byte for byte.
    pub outputs: usize,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Where a replay differs from its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Line of the recording, counted from 1.
    pub line: usize,
    /// What the recording has there; empty if the machine says more than it did.
    pub recorded: String,
    /// What the machine says now; empty if it says nothing.
    pub replayed: String,
}

/// Tells a new machine what the recorded one was told, and compares every output byte for byte. A
/// recording that ends in the middle (a crash) is compared as far as it goes.
pub fn replay(path: &Path) -> Result<Replay, RecordingError> {
    let in_file = |source| RecordingError::File { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(in_file)?).lines().enumerate();
    let parse_error =
        |line: usize, message: String| RecordingError::Line { path: path.to_owned(), line, message };

    let (_, first) = lines.next().ok_or_else(|| parse_error(1, "the file is empty".to_owned()))?;
    let header: Header = serde_json::from_str(&first.map_err(in_file)?)
        .map_err(|error| parse_error(1, format!("this is no recording of a session: {error}")))?;
    if header.vivavoce_recording != VERSION {
        let found = header.vivavoce_recording;
        return Err(parse_error(1, format!("recordings of version {found} cannot be read, only {VERSION}")));
    }

    let mut turn = Turn::new(header.config);
    let mut replay = Replay { inputs: 0, outputs: 0, difference: None };
    let differ = |line: usize, recorded: String, replayed: Option<Output>| {
        let replayed = replayed.map(|out| to_json(&Line::Out { out })).unwrap_or_default();
        Some(Difference { line, recorded, replayed })
    };
    for (index, text) in lines {
        let text = text.map_err(in_file)?;
        let line = serde_json::from_str(&text).map_err(|error| parse_error(index + 1, error.to_string()))?;
        match line {
            Line::In { at, input } => {
                if let Some(more) = turn.poll_output() {
                    replay.difference = differ(index + 1, String::new(), Some(more));
                    return Ok(replay);
                }
                turn.handle(input, at);
                replay.inputs += 1;
            }
            Line::Out { .. } => {
                let said = turn.poll_output();
                if said.as_ref().map(|out| to_json(&Line::Out { out: out.clone() })) != Some(text.clone()) {
                    replay.difference = differ(index + 1, text, said);
                    return Ok(replay);
                }
                replay.outputs += 1;
            }
        }
    }
    Ok(replay)
}

fn to_json(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_default()
}
