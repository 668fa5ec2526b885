//! Pulling a model: every file of it comes into the cache folder, or nothing is changed.
//!
//! A file comes as a part beside its place, is compared with its pin, and waits there until all files
//! of the model have come; then they take their places and are pinned. A broken connection is taken up
//! where it broke, by this pull or the next one. A present model is checked, and what is damaged in it
//! is fetched again.
//!
//! Deliberately absent: several connections at a time (the hub's are fast enough to fill a line), and
//! drawing bars ([`Progress`] is told).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::ModelError;
use super::cache::Cache;
use super::digest::Digest;
use super::hub::{Answer, Hub, HubSettings, Refusal};
use super::manifest::{Entry, HubParts, NamedFile};
use super::part::Part;
use super::pins::{Pin, PinnedModel, Pins};
use super::presence::Expected;
use crate::outbound::root_cause;

/// A file whose length nobody tells may be so long: settings are, weights are not.
const MAX_UNTOLD_BYTES: u64 = 64 << 20;

/// Hears how a pull goes on.
pub trait Progress {
    /// A file begins, or is taken up again: `done` bytes of `total` are through.
    fn begin(&mut self, doing: Doing, path: &str, done: u64, total: Option<u64>);
    /// So many bytes of it are through now.
    fn advance(&mut self, done: u64);
    /// Nothing more of it for now.
    fn end(&mut self);
    /// Something that a person may wonder about, in one line.
    fn note(&mut self, line: &str);
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Its sha256 is made.
    Checking,
    /// It comes from the hub.
    Fetching,
}

/// How to pull.
pub struct PullOptions<'o> {
    /// From where.
    pub hub: &'o HubSettings,
    /// Ask for the manifest's revision as it is now, and pin what comes in place of what was pinned.
    pub update: bool,
    /// Bytes that can still be written to the folder's disk: [`free_bytes`] but in tests.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
}

/// A model that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its folder.
    pub folder: PathBuf,
    /// Length of its files.
    pub bytes: u64,
    /// Files that came from the hub just now.
    pub fetched: usize,
}

/// Brings a model here, or checks that it is. Async for the network only; files are read and written
/// as they come, so this belongs on a runtime of its own.
///
/// # Errors
/// Whatever is wrong; what has come so far stays as parts, and what was here before is untouched.
pub async fn pull(
    entry: &Entry,
    cache: &Cache,
    options: &PullOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<Pulled, ModelError> {
    let hub = pullable(entry)?;
    let _guard = cache.enter(&entry.name)?;
    let pins = Pins::load(cache)?;
    let pinned = pins.of(&entry.name, hub).filter(|_| !options.update);
    let mut pulling = Pulling { entry, hub, cache, options, progress };

    let mut files = vec![];
    for file in &hub.files {
        let expected = Expected::of(file, pinned, cache);
        let here = pulling.check(file)?;
        let is_well = here.as_ref().is_some_and(|here| match expected.sha256 {
            Some(sha256) => here.sha256 == sha256,
            // Put there by hand, and nobody to ask.
            None => options.hub.offline.is_some() && expected.bytes.is_none_or(|bytes| bytes == here.bytes),
        });
        files.push(Wanted { file, expected, here, is_well });
    }
    pulling.refuse_offline(&files)?;

    let mut commit = pinned.and_then(|pinned| pinned.commit.clone());
    let mut pins =
        PinnedModel { repository: hub.repository.clone(), commit: None, files: Default::default() };
    let mut fetched = vec![];
    let mut later_bytes: u64 =
        files.iter().filter(|file| !file.is_well).map(|file| pulling.missing(file.file)).sum();
    for wanted in &files {
        let path = wanted.file.path.clone();
        let pin = match &wanted.here {
            Some(here) if wanted.is_well => here.clone(),
            _ => {
                later_bytes = later_bytes.saturating_sub(pulling.missing(wanted.file));
                let revision = commit.as_deref().unwrap_or(&hub.revision);
                let came = pulling.fetch(wanted, revision, later_bytes).await?;
                // All files of a model are of one commit, also if the branch moves on meanwhile.
                commit = commit.or(came.commit);
                if !came.was_here {
                    fetched.push(wanted.file);
                }
                came.pin
            }
        };
        pins.files.insert(path, pin);
    }
    pins.commit = commit;

    for file in &fetched {
        pulling.part(file).publish(&cache.file(&entry.name, &file.path))?;
    }
    let bytes = pins.files.values().map(|pin| pin.bytes).sum();
    Pins::write(cache, &entry.name, pins)?;
    Ok(Pulled { folder: cache.model(&entry.name), bytes, fetched: fetched.len() })
}

/// The files of a model that can be pulled.
///
/// # Errors
/// Says how what comes from elsewhere is set up.
pub fn pullable(entry: &Entry) -> Result<&HubParts, ModelError> {
    entry.hub().ok_or_else(|| ModelError::NotFromHub {
        name: entry.name.clone(),
        what: "pulled",
        reason: format!("it comes from elsewhere ({}): {}", entry.source, entry.setup),
    })
}

/// Bytes that this user can still write to the disk of a folder that exists.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// One pull under way.
struct Pulling<'p> {
    entry: &'p Entry,
    hub: &'p HubParts,
    cache: &'p Cache,
    options: &'p PullOptions<'p>,
    progress: &'p mut dyn Progress,
}

/// A file that belongs to the model.
struct Wanted<'w> {
    file: &'w NamedFile,
    expected: Expected<'w>,
    /// What lies in its place.
    here: Option<Pin>,
    /// … and is what it must be.
    is_well: bool,
}

/// A file that is whole, and what it is.
struct Came {
    pin: Pin,
    /// What lies in its place is it already; otherwise the part is it.
    was_here: bool,
    commit: Option<String>,
}

/// How a body ended.
enum Received {
    Whole(Digest),
    Broken { cause: String, gained: bool },
}

impl Pulling<'_> {
    fn part(&self, file: &NamedFile) -> Part {
        Part::of(self.cache, &self.entry.name, &file.path)
    }

    /// What still has to come of a file, roughly.
    fn missing(&self, file: &NamedFile) -> u64 {
        let here = self.part(file).beginning().map_or(0, |(beginning, _)| beginning.bytes);
        file.about_bytes().saturating_sub(here)
    }

    /// What lies in a file's place.
    fn check(&mut self, file: &NamedFile) -> Result<Option<Pin>, ModelError> {
        let at = self.cache.file(&self.entry.name, &file.path);
        let Ok(metadata) = at.metadata() else { return Ok(None) };
        self.progress.begin(Doing::Checking, &file.path, 0, Some(metadata.len()));
        let digest = Digest::of_file(&at, |done| self.progress.advance(done));
        self.progress.end();
        let digest = digest.map_err(ModelError::io("read", &at))?;
        Ok(Some(Pin { bytes: digest.bytes(), sha256: digest.sha256() }))
    }

    fn refuse_offline(&self, files: &[Wanted]) -> Result<(), ModelError> {
        let Some(why) = self.options.hub.offline else { return Ok(()) };
        let address = |wanted: &Wanted| {
            let file = wanted.file;
            let url = self.options.hub.url(self.hub, &self.hub.revision, &file.path);
            (url.to_string(), self.cache.file(&self.entry.name, &file.path))
        };
        let missing: Vec<_> = files.iter().filter(|wanted| !wanted.is_well).map(address).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(ModelError::Offline { why, name: self.entry.name.clone(), missing }),
        }
    }

    /// Gets one file whole: as a part, unless what lies in its place turns out to be it.
    /// `later_bytes` are still to come after it.
    async fn fetch(
        &mut self,
        wanted: &Wanted<'_>,
        revision: &str,
        later_bytes: u64,
    ) -> Result<Came, ModelError> {
        let hub = Hub::connect(self.options.hub)?;
        let part = self.part(wanted.file);
        let url = self.options.hub.url(self.hub, revision, &wanted.file.path);
        let mut patience = Patience::new(self.options.hub);
        let (mut may_start_over, mut was_reached) = (true, false);
        loop {
            let beginning = part.beginning();
            let is_whole = beginning.as_ref().is_some_and(|(begun, total)| *total == Some(begun.bytes));
            // Of a part that is whole only the head of the answer is wanted.
            let to_continue = beginning.as_ref().map(|(begun, _)| begun).filter(|_| !is_whole);
            let unreachable = |cause| self.unreachable(&url, wanted.file, cause);
            let accept = |sha256: Option<&str>, bytes| self.compare_announced(wanted, sha256, bytes);
            let answer = match hub.get(&url, to_continue, accept, unreachable).await {
                Ok(answer) => answer,
                Err(Refusal::Final(error)) => return Err(error),
                // A hub that nobody can reach is no passing fault.
                Err(Refusal::Passing { error: error @ ModelError::Unreachable { .. }, .. })
                    if !was_reached =>
                {
                    return Err(error);
                }
                Err(Refusal::Passing { error, pause }) => {
                    was_reached = true;
                    self.wait(&mut patience, pause, error).await?;
                    continue;
                }
                Err(Refusal::NotThatRange) if to_continue.is_some() => {
                    self.progress
                        .note(&format!("{}: it cannot be continued; starting over", wanted.file.path));
                    part.discard()?;
                    continue;
                }
                Err(Refusal::NotThatRange) => {
                    let problem = "answers with a part where the whole was asked for".to_owned();
                    return Err(ModelError::Redirect { url: url.to_string(), problem });
                }
            };
            was_reached = true;
            let commit = answer.commit.clone();
            let announced = answer.sha256().map(str::to_owned);
            if let Some(here) = wanted.here.as_ref().filter(|here| announced.as_ref() == Some(&here.sha256)) {
                part.discard()?;
                return Ok(Came { pin: here.clone(), was_here: true, commit });
            }
            let is_same = beginning.as_ref().is_some_and(|(begun, _)| begun.identity == answer.identity);
            let (digest, was_begun) = if is_whole && is_same {
                (self.digest_part(&part, wanted.file)?, true)
            } else {
                let was_begun = answer.from > 0;
                match self.receive(&part, wanted.file, answer, later_bytes).await? {
                    Received::Whole(digest) => (digest, was_begun),
                    Received::Broken { cause, gained } => {
                        if gained {
                            patience = Patience::new(self.options.hub);
                        }
                        let error = self.unreachable(&url, wanted.file, cause);
                        self.wait(&mut patience, None, error).await?;
                        continue;
                    }
                }
            };
            match self.compare(wanted, &digest, announced) {
                Ok(pin) => return Ok(Came { pin, was_here: false, commit }),
                Err(_) if was_begun && may_start_over => {
                    // The old part may be at fault, and not the hub.
                    let path = &wanted.file.path;
                    self.progress.note(&format!("{path}: its parts do not fit together; starting over"));
                    may_start_over = false;
                    part.discard()?;
                }
                Err(error) => {
                    part.discard()?;
                    return Err(error);
                }
            }
        }
    }

    fn unreachable(&self, url: &Url, file: &NamedFile, cause: String) -> ModelError {
        let path = self.cache.file(&self.entry.name, &file.path);
        ModelError::Unreachable { url: url.to_string(), cause, path }
    }

    /// Waits before another try, or gives up with `error`.
    async fn wait(
        &mut self,
        patience: &mut Patience,
        asked_for: Option<Duration>,
        error: ModelError,
    ) -> Result<(), ModelError> {
        let Some(pause) = patience.next() else { return Err(error) };
        let reason = match &error {
            ModelError::Unreachable { cause, .. } => cause.clone(),
            ModelError::Refused { status, .. } => format!("the hub answers {status}"),
            other => other.to_string(),
        };
        self.progress.note(&format!("{reason}; trying again"));
        tokio::time::sleep(asked_for.unwrap_or(pause)).await;
        Ok(())
    }

    /// What the hub announces is what is pinned, as far as it announces anything.
    fn compare_announced(
        &self,
        wanted: &Wanted,
        sha256: Option<&str>,
        bytes: Option<u64>,
    ) -> Result<(), ModelError> {
        match (wanted.expected.sha256, sha256, wanted.expected.bytes, bytes) {
            (Some(pinned), Some(has), ..) if pinned != has => {
                Err(self.mismatch(wanted, format!("expected sha256 {pinned}, the hub has {has}")))
            }
            (_, _, Some(pinned), Some(has)) if pinned != has => {
                Err(self.mismatch(wanted, format!("expected {pinned} bytes, the hub has {has}")))
            }
            _ => Ok(()),
        }
    }

    /// What came is what is pinned, and what the hub announced.
    fn compare(
        &self,
        wanted: &Wanted,
        digest: &Digest,
        announced: Option<String>,
    ) -> Result<Pin, ModelError> {
        let pin = Pin { bytes: digest.bytes(), sha256: digest.sha256() };
        let found = &pin.sha256;
        if let Some(pinned) = wanted.expected.sha256.filter(|pinned| pinned != found) {
            return Err(self.mismatch(wanted, format!("expected sha256 {pinned}, received {found}")));
        }
        if let Some(pinned) = wanted.expected.bytes.filter(|pinned| *pinned != pin.bytes) {
            return Err(self.mismatch(wanted, format!("expected {pinned} bytes, received {}", pin.bytes)));
        }
        match announced {
            Some(announced) if announced != *found => {
                Err(self.damaged(wanted.file, format!("sha256 {announced}"), found.clone()))
            }
            _ => Ok(pin),
        }
    }

    fn mismatch(&self, wanted: &Wanted, difference: String) -> ModelError {
        let pinned_in = wanted.expected.pinned_in.clone();
        let (name, file) = (self.entry.name.clone(), wanted.file.path.clone());
        ModelError::PinMismatch { name, file, pinned_in, difference }
    }

    fn damaged(&self, file: &NamedFile, expected: String, found: String) -> ModelError {
        ModelError::Damaged { name: self.entry.name.clone(), file: file.path.clone(), expected, found }
    }

    fn digest_part(&mut self, part: &Part, file: &NamedFile) -> Result<Digest, ModelError> {
        self.progress.begin(Doing::Checking, &file.path, 0, None);
        let digest = part.digest(|done| self.progress.advance(done));
        self.progress.end();
        digest
    }

    /// Takes the body of an answer into the part.
    async fn receive(
        &mut self,
        part: &Part,
        file: &NamedFile,
        mut answer: Answer,
        later_bytes: u64,
    ) -> Result<Received, ModelError> {
        let remaining = answer.total.map_or(0, |total| total.saturating_sub(answer.from));
        self.check_space(remaining.saturating_add(later_bytes))?;
        if answer.from > 0 {
            self.progress.begin(Doing::Checking, &file.path, 0, Some(answer.from));
        }
        let (mut out, mut digest) = part.open(&answer, |done| self.progress.advance(done))?;
        if digest.bytes() != answer.from {
            let cause = "the part changed while it was read".to_owned();
            return Ok(Received::Broken { cause, gained: false });
        }
        self.progress.begin(Doing::Fetching, &file.path, answer.from, answer.total);
        let limit = answer.total.unwrap_or(MAX_UNTOLD_BYTES);
        let received = loop {
            let broken =
                |cause, digest: &Digest| Received::Broken { cause, gained: digest.bytes() > answer.from };
            match answer.response.chunk().await {
                Ok(Some(piece)) if digest.bytes() + piece.len() as u64 > limit => {
                    self.progress.end();
                    part.discard()?;
                    let found = "more than that".to_owned();
                    return Err(self.damaged(file, format!("{limit} bytes"), found));
                }
                Ok(Some(piece)) => {
                    part.append(&mut out, &piece)?;
                    digest.update(&piece);
                    self.progress.advance(digest.bytes());
                }
                Ok(None) if answer.total.is_some_and(|total| digest.bytes() < total) => {
                    break broken("the connection ended early".to_owned(), &digest);
                }
                Ok(None) => {
                    part.flush(&out)?;
                    break Received::Whole(digest);
                }
                Err(error) => break broken(root_cause(&error), &digest),
            }
        };
        self.progress.end();
        Ok(received)
    }

    fn check_space(&self, needed_bytes: u64) -> Result<(), ModelError> {
        let folder = self.cache.folder();
        match (self.options.free_bytes)(folder) {
            Ok(free_bytes) if free_bytes < needed_bytes => Err(ModelError::NoSpace {
                name: self.entry.name.clone(),
                needed_bytes,
                folder: folder.to_owned(),
                free_bytes,
            }),
            // A disk that does not say is tried.
            _ => Ok(()),
        }
    }
}

/// Tries that are left, and the pause before the next.
struct Patience {
    tries: u32,
    pause: Duration,
}

impl Patience {
    fn new(settings: &HubSettings) -> Patience {
        Patience { tries: settings.retries, pause: settings.retry_pause }
    }

    fn next(&mut self) -> Option<Duration> {
        self.tries = self.tries.checked_sub(1)?;
        let pause = self.pause;
        self.pause *= 2;
        Some(pause)
    }
}
