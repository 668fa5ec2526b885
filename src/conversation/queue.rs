//! The queue in front of a store's one writing thread, and what all such threads do alike.
//!
//! The thread takes everything that is queued, writes it in one transaction, and calls the callbacks
//! when the commit is durable: under load, 64 sessions pay for one commit, not for 64. An append that
//! cannot be written (too big for the disk, say) does not take the others of its group with it: each is
//! then tried alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::chain::Damage;
use super::chain::StoredEvent;
use super::error::StoreError;
use super::events::{Event, Origin, SessionStart};
use super::ids::{Head, SessionId};
use super::store::{
    Appended, CompactReport, NewEvent, OnDurable, Place, RebuildReport, SharedHead, now_unix_us,
};

/// Appends in one transaction, at most: a bound on how long the first of them waits for the last.
const MAX_GROUP: usize = 256;

/// What the thread is asked to do.
enum Job {
    Append(Pending),
    Rebuild(Sender<Result<RebuildReport, StoreError>>),
    Compact(Sender<Result<CompactReport, StoreError>>),
}

/// An append in the queue.
pub(super) struct Pending {
    pub head: SharedHead,
    pub events: Vec<NewEvent>,
    pub on_durable: OnDurable,
}

/// What the thread works with.
pub(super) trait Writer: Send + 'static {
    /// Writes the appends of the group in one transaction, and says of each where it ended up or why it
    /// was refused; after an error nothing of the group is written.
    fn try_commit(&mut self, group: &[Pending]) -> Result<Vec<Result<Appended, StoreError>>, StoreError>;
    /// See [`super::Store::rebuild`].
    fn rebuild(&mut self) -> Result<RebuildReport, StoreError>;
    /// See [`super::Store::compact`].
    fn compact(&mut self) -> Result<CompactReport, StoreError>;
}

/// The queue. Dropping it lets the thread write what is queued, and waits for that.
#[derive(Debug)]
pub(super) struct WriterQueue {
    place: PathBuf,
    len: usize,
    /// `None` only while dropping.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterQueue {
    /// Starts the thread. `place` is the store's, `len` how many jobs may wait.
    pub(super) fn start(place: PathBuf, len: usize, writer: impl Writer) -> Result<WriterQueue, StoreError> {
        let (jobs, queue) = bounded(len);
        let thread = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || run(writer, &queue))
            .map_err(|e| StoreError::Open { path: place.clone(), cause: e.to_string() })?;
        Ok(WriterQueue { place, len, jobs: Some(jobs), thread: Some(thread) })
    }

    /// See [`super::Store::append`].
    pub(super) fn append(&self, head: SharedHead, events: Vec<NewEvent>, on_durable: OnDurable) {
        let job = Job::Append(Pending { head, events, on_durable });
        let sent = match &self.jobs {
            Some(jobs) => jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        let (error, job) = match sent {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => {
                (StoreError::QueueFull { path: self.place.clone(), waiting: self.len }, job)
            }
            Err(TrySendError::Disconnected(job)) => (self.closed(), job),
        };
        if let Job::Append(pending) = job {
            (pending.on_durable)(Err(error));
        }
    }

    /// See [`super::Store::rebuild`].
    pub(super) fn rebuild(&self) -> Result<RebuildReport, StoreError> {
        self.ask(Job::Rebuild)
    }

    /// See [`super::Store::compact`].
    pub(super) fn compact(&self) -> Result<CompactReport, StoreError> {
        self.ask(Job::Compact)
    }

    /// Lets the thread do something else between two groups, and waits for it.
    fn ask<T>(&self, job: impl FnOnce(Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (answer, answered) = bounded(1);
        let jobs = self.jobs.as_ref().ok_or_else(|| self.closed())?;
        jobs.send(job(answer)).map_err(|_| self.closed())?;
        answered.recv().map_err(|_| self.closed())?
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.place.clone() }
    }
}

impl Drop for WriterQueue {
    fn drop(&mut self) {
        drop(self.jobs.take()); // the thread ends when its queue is empty
        if let Some(thread) = self.thread.take() {
            // The last owner may be a callback, which runs on the thread itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join(); // it has nothing to tell but a panic, which was printed
            }
        }
    }
}

/// Works until nobody can send any more and the queue is empty.
fn run(mut writer: impl Writer, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![];
        let mut next = Some(first);
        while let Some(Job::Append(pending)) = next {
            group.push(pending);
            next = if group.len() < MAX_GROUP { queue.try_recv().ok() } else { None };
        }
        commit(&mut writer, group);
        // Whoever asked may have gone.
        match next {
            Some(Job::Rebuild(answer)) => drop(answer.send(writer.rebuild())),
            Some(Job::Compact(answer)) => drop(answer.send(writer.compact())),
            Some(Job::Append(_)) | None => {}
        }
    }
}

fn commit(writer: &mut impl Writer, group: Vec<Pending>) {
    if group.is_empty() {
        return;
    }
    match writer.try_commit(&group) {
        Ok(results) => {
            for (pending, result) in group.into_iter().zip(results) {
                if let Ok(appended) = &result {
                    pending.head.set(appended.place);
                }
                answer(pending.on_durable, result);
            }
        }
        // What cannot be reached cannot be reached for each of them either.
        Err(error) if group.len() == 1 || matches!(error, StoreError::Unreachable { .. }) => {
            group.into_iter().for_each(|pending| answer(pending.on_durable, Err(error.clone())));
        }
        Err(_) => group.into_iter().for_each(|alone| commit(writer, vec![alone])),
    }
}

/// A callback that panics is a bug of its session; the others go on.
fn answer(on_durable: OnDurable, result: Result<Appended, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| on_durable(result))).is_err() {
        tracing::error!("a callback of the event log panicked; its session was not told of an append");
    }
}

/// Where the appends of a group stand: heads move when the commit is durable, until then the group's
/// own progress is kept here.
#[derive(Default)]
pub(super) struct Moved<'a>(Vec<(&'a SharedHead, Place)>);

impl<'a> Moved<'a> {
    /// Where this head stands.
    pub(super) fn place(&self, head: &SharedHead) -> Place {
        let earlier = self.0.iter().rev().find(|(other, _)| other.is_same(head));
        earlier.map_or_else(|| head.place(), |(_, place)| *place)
    }

    /// It moved.
    pub(super) fn set(&mut self, head: &'a SharedHead, place: Place) {
        self.0.push((head, place));
    }
}

/// Where the events of an append belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belongs {
    /// Behind the place on which the writer stands.
    Here,
    /// Into a new session, forked from there: somebody else has gone on.
    InFork,
}

/// Where `events` of a writer who stands at `place` belong, if the store has `found` as the head of that
/// session (not a deleted one).
pub(super) fn belongs(place: Place, found: Option<Head>, events: &[NewEvent]) -> Result<Belongs, StoreError> {
    let Place { session, head } = place;
    match found {
        Some(found) if found == head => Ok(Belongs::Here),
        None if head == Head::EMPTY => match events.first() {
            Some(first) if first.kind == "session_start" => Ok(Belongs::Here),
            _ => Err(StoreError::NotStarted { session }),
        },
        None => Err(StoreError::UnknownSession { session }),
        Some(_) => Ok(Belongs::InFork),
    }
}

/// The first event of a fork of the session at `place`, whose event there is `ours` and whose first is
/// `first`.
pub(super) fn fork_start(
    place: Place,
    ours: Option<Result<StoredEvent, Damage>>,
    first: Option<Result<StoredEvent, Damage>>,
) -> Result<NewEvent, StoreError> {
    let Place { session, head } = place;
    let stale = || StoreError::Stale { session };
    let damaged = |damage| StoreError::Damaged { session, damage };
    let ours = ours.ok_or_else(stale)?.map_err(damaged)?;
    if ours.hash != head.hash {
        let what = "it is not the one after which this server wrote".into();
        return Err(damaged(Damage { seq: Some(head.seq), what }));
    }
    let Some(Event::SessionStart(start)) = first.ok_or_else(stale)?.map_err(damaged)?.event() else {
        return Err(stale());
    };
    let start = SessionStart {
        forked_from: Some(Origin { session, hash: head.hash }),
        compacted_from: None,
        ..start
    };
    Ok(NewEvent::new(&Event::SessionStart(start), now_unix_us()))
}

/// A place for a new session.
pub(super) fn new_place() -> Place {
    Place { session: SessionId::random(), head: Head::EMPTY }
}
