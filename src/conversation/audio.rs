//! The audio of conversations: WAV files beside the log, deleted after a while.
//!
//! ```text
//! DIR/SESSION/TURN-user.wav        what the user said (16 kHz)
//! DIR/SESSION/TURN-assistant.wav   what was heard of the reply (24 kHz)
//! ```
//! They belong to the session in which the turn was logged, and go when it is deleted. One thread writes and
//! deletes; conversations never wait for it. A file is there whole or not at all.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::ids::SessionId;
use crate::audio::wav::{self, WavError, WavWriter};

/// Turns that wait for the disk, at most; what comes beyond them is not recorded, and that is logged.
const QUEUE_LENGTH: usize = 64;
/// How often files are looked for that have been kept long enough.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Ends the name of a file that is being written.
const UNFINISHED: &str = "part";

/// Who is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Speaker {
    User,
    Assistant,
}

impl Speaker {
    const ALL: [Speaker; 2] = [Speaker::User, Speaker::Assistant];
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        })
    }
}

impl FromStr for Speaker {
    type Err = ();

    fn from_str(text: &str) -> Result<Speaker, ()> {
        Speaker::ALL.into_iter().find(|speaker| speaker.to_string() == text).ok_or(())
    }
}

/// What somebody said in a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Turn of the session.
    pub turn: u64,
    /// Who is heard.
    pub speaker: Speaker,
    /// Samples per second.
    pub rate_hz: u32,
    /// Mono.
    pub samples: Vec<i16>,
}

/// What is recorded of a turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// Turn of the session.
    pub turn: u64,
    /// Who is heard.
    pub speaker: Speaker,
    /// How long.
    pub seconds: f64,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("record_audio.dir {}: cannot be used ({source}); make it a folder in which this user may write", dir.display())]
pub struct ArchiveError {
    dir: PathBuf,
    source: std::io::Error,
}

enum Job {
    Keep { session: SessionId, take: Take },
    Forget { session: SessionId, done: Sender<std::io::Result<()>> },
}

/// See the module. Dropping it waits until everything is written.
#[derive(Debug)]
pub struct AudioArchive {
    dir: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl AudioArchive {
    /// Uses `dir`, which need not be there yet, and deletes what has been there for longer than `keep_for`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn open(dir: &Path, keep_for: Duration) -> Result<AudioArchive, ArchiveError> {
        let (jobs, queue) = bounded::<Job>(QUEUE_LENGTH);
        let folder = dir.to_owned();
        let work = move || {
            let mut next_sweep = Instant::now();
            loop {
                if Instant::now() >= next_sweep {
                    next_sweep = Instant::now() + SWEEP_EVERY;
                    let before = SystemTime::now().checked_sub(keep_for).unwrap_or(SystemTime::UNIX_EPOCH);
                    if let Err(error) = sweep(&folder, before) {
                        tracing::error!(dir = %folder.display(), "old recordings are not deleted: {error}");
                    }
                }
                match queue.recv_deadline(next_sweep) {
                    Ok(job) => job.run(&folder),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let named = std::thread::Builder::new().name("audio-archive".to_owned());
        let thread = named.spawn(work).map_err(|source| ArchiveError { dir: dir.to_owned(), source })?;
        Ok(AudioArchive { dir: dir.to_owned(), jobs: Some(jobs), thread: Some(thread) })
    }

    /// Makes the folder, so that one that cannot be written to is known before anybody speaks.
    ///
    /// # Errors
    /// If it cannot be made, or is none.
    pub fn prepare(&self) -> Result<(), ArchiveError> {
        let made = make_folder(&self.dir).and_then(|()| fs::read_dir(&self.dir).map(drop));
        made.map_err(|source| ArchiveError { dir: self.dir.clone(), source })
    }

    /// Writes what was heard of somebody in a turn, soon. Never blocks.
    pub fn keep(&self, session: SessionId, take: Take) {
        let Some(jobs) = &self.jobs else { return };
        let turn = take.turn;
        if jobs.try_send(Job::Keep { session, take }).is_err() {
            tracing::error!(session_id = %session, turn, "audio is not recorded: the disk is too slow");
        }
    }

    /// What there is of a session, in order. Blocking.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self, session: SessionId) -> std::io::Result<Vec<Recorded>> {
        let entries = match fs::read_dir(self.folder_of(session)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some((turn, speaker)) = entry.file_name().to_str().and_then(parse_name) else { continue };
            // One that is swept at this moment is not there.
            let Ok(seconds) = wav::seconds(&entry.path()) else { continue };
            found.push(Recorded { turn, speaker, seconds });
        }
        found.sort_by_key(|recorded| (recorded.turn, recorded.speaker));
        Ok(found)
    }

    /// The WAV file of what was heard of somebody in a turn, if there is one. Blocking.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, session: SessionId, turn: u64, speaker: Speaker) -> std::io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder_of(session).join(file_name(turn, speaker))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes what there is of a session, and what of it still waits to be written. Blocks until that is
    /// done.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget(&self, session: SessionId) -> std::io::Result<()> {
        let stopped = || std::io::Error::other("the archive has stopped");
        let (done, told) = bounded(1);
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Job::Forget { session, done }).map_err(|_| stopped())?;
        told.recv().map_err(|_| stopped())?
    }

    fn folder_of(&self, session: SessionId) -> PathBuf {
        folder_of(&self.dir, session)
    }
}

impl Drop for AudioArchive {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It panics for nothing that could be mended here.
            let _ = thread.join();
        }
    }
}

impl Job {
    fn run(self, dir: &Path) {
        match self {
            Job::Keep { session, take } => {
                if let Err(error) = write(dir, session, &take) {
                    tracing::error!(session_id = %session, turn = take.turn, "audio is not recorded: {error}");
                }
            }
            Job::Forget { session, done } => {
                let removed = fs::remove_dir_all(folder_of(dir, session));
                // Whoever asked may have gone.
                let _ = done.send(match removed {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    other => other,
                });
            }
        }
    }
}

fn write(dir: &Path, session: SessionId, take: &Take) -> Result<(), WavError> {
    let folder = folder_of(dir, session);
    let path = folder.join(file_name(take.turn, take.speaker));
    let unfinished = path.with_extension(UNFINISHED);
    make_folder(&folder).map_err(|error| WavError::io(&folder, error))?;
    let written = WavWriter::create(&unfinished, take.rate_hz)
        .and_then(|mut wav| wav.write_i16(&take.samples).and_then(|()| wav.finish()))
        .and_then(|_| fs::rename(&unfinished, &path).map_err(|error| WavError::io(&path, error)));
    if written.is_err() {
        // The disk may be full: half a file is of no use.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// For nobody else to read: voices are private.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn folder_of(dir: &Path, session: SessionId) -> PathBuf {
    dir.join(session.to_string())
}

fn file_name(turn: u64, speaker: Speaker) -> String {
    format!("{turn}-{speaker}.wav")
}

fn parse_name(name: &str) -> Option<(u64, Speaker)> {
    let (turn, speaker) = name.strip_suffix(".wav")?.split_once('-')?;
    Some((turn.parse().ok()?, speaker.parse().ok()?))
}

/// Deletes the recordings in `dir` that were last written before `before`, and folders that are empty then.
/// Other files there are left alone.
fn sweep(dir: &Path, before: SystemTime) -> std::io::Result<()> {
    let sessions = match fs::read_dir(dir) {
        Ok(sessions) => sessions,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for session in sessions {
        let session = session?;
        let is_ours = session.file_name().to_str().is_some_and(|name| name.parse::<SessionId>().is_ok());
        if !is_ours || !session.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(session.path())? {
            let file = file?;
            let name = PathBuf::from(file.file_name()).with_extension("wav");
            let is_ours = name.to_str().and_then(parse_name).is_some();
            if is_ours && file.metadata()?.modified()? < before {
                fs::remove_file(file.path())?;
            }
        }
        // It stays if something is in it.
        let _ = fs::remove_dir(session.path());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const SESSION: SessionId = SessionId::from_bytes([7; 16]);
    const OTHER: SessionId = SessionId::from_bytes([8; 16]);

    fn recorded(turn: u64, speaker: Speaker, seconds: f64) -> Recorded {
        Recorded { turn, speaker, seconds }
    }

    /// A second of this.
    fn take(turn: u64, speaker: Speaker, sample: i16) -> Take {
        let rate_hz = if speaker == Speaker::User { 16_000 } else { 24_000 };
        Take { turn, speaker, rate_hz, samples: vec![sample; rate_hz as usize] }
    }

    #[test]
    fn what_is_kept_is_listed_and_read_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("audio");
        let archive = AudioArchive::open(&dir, DAY).unwrap();
        assert_eq!(archive.list(SESSION).unwrap(), []);
        archive.keep(SESSION, take(2, Speaker::Assistant, 5));
        archive.keep(SESSION, take(10, Speaker::User, 1));
        archive.keep(SESSION, Take { samples: vec![3; 8_000], ..take(2, Speaker::User, 3) });
        archive.keep(OTHER, take(1, Speaker::User, 4));
        drop(archive); // writes all of it

        let archive = AudioArchive::open(&dir, DAY).unwrap();
        let expected = [
            recorded(2, Speaker::User, 0.5),
            recorded(2, Speaker::Assistant, 1.0),
            recorded(10, Speaker::User, 1.0),
        ];
        assert_eq!(archive.list(SESSION).unwrap(), expected);
        let wav = archive.read(SESSION, 2, Speaker::Assistant).unwrap().unwrap();
        let read = hound::WavReader::new(&wav[..]).unwrap();
        assert_eq!((read.spec().sample_rate, read.spec().channels), (24_000, 1));
        assert!(read.into_samples::<i16>().all(|sample| sample.unwrap() == 5));
        assert_eq!(archive.read(SESSION, 3, Speaker::User).unwrap(), None);

        archive.keep(SESSION, take(11, Speaker::User, 1));
        archive.forget(SESSION).unwrap();
        archive.forget(SESSION).unwrap();
        assert_eq!(archive.list(SESSION).unwrap(), [], "nor is what had still been waiting");
        assert_eq!(archive.list(OTHER).unwrap().len(), 1);
    }

    #[test]
    fn what_was_kept_long_enough_is_deleted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let now = SystemTime::now();
        let put = |path: &str, age: Duration| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::File::create(at(path)).unwrap().set_modified(now - age).unwrap();
        };
        put(&format!("{SESSION}/1-user.wav"), 3 * DAY);
        put(&format!("{SESSION}/1-assistant.part"), 3 * DAY);
        put(&format!("{OTHER}/1-user.wav"), 3 * DAY);
        put(&format!("{OTHER}/2-user.wav"), DAY);
        put(&format!("{OTHER}/notes.txt"), 3 * DAY);
        put("music/1-user.wav", 3 * DAY);
        sweep(folder.path(), now - 2 * DAY).unwrap();
        assert!(!at(&SESSION.to_string()).exists());
        assert!(!at(&format!("{OTHER}/1-user.wav")).exists());
        for stays in [format!("{OTHER}/2-user.wav"), format!("{OTHER}/notes.txt"), "music/1-user.wav".into()]
        {
            assert!(at(&stays).exists(), "{stays}");
        }
        sweep(&at("nowhere"), now).unwrap();
    }

    #[test]
    fn a_folder_that_is_none_is_known_before_anybody_speaks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let archive = AudioArchive::open(&file, DAY).unwrap();
        let error = archive.prepare().unwrap_err().to_string();
        assert!(error.starts_with("record_audio.dir ") && error.contains("make it a folder"), "{error}");
        // Without asking, what cannot be written is lost, and nothing else happens.
        archive.keep(SESSION, take(1, Speaker::User, 1));
        drop(archive);
        assert!(file.is_file());
    }
}
