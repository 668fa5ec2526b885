//! What a session could not store: kept until it can, so that a full disk or a database that is away
//! for a while leaves no hole in the log.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::StoreError;
use super::events::Event;

/// Events that one session keeps, at most. (A turn has about three.) Further ones are lost.
const MAX_EVENTS: usize = 10_000;

/// Events with their times, µs since 1970 UTC; in order.
pub(super) type Timed = Vec<(Event, i64)>;

/// The events of one session that wait for its next append.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<Mutex<Timed>>);

impl Backlog {
    /// Takes what waits: it goes in front of the next append.
    pub(super) fn take(&self) -> Timed {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what could not be stored, unless that would never change.
    pub(super) fn keep(&self, events: Timed, error: &StoreError) {
        if !may_pass(error) {
            return;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + events.len() > MAX_EVENTS {
            tracing::error!("{} events are lost: too many wait to be stored ({error})", events.len());
            return;
        }
        waiting.extend(events);
    }

    /// Takes out what is not wanted any more.
    pub(super) fn retain(&self, wanted: impl Fn(&Event) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(event, _)| wanted(event));
    }
}

/// Whether the same append may succeed later.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::DiskFull { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Locked { .. }
        | StoreError::NotStarted { .. } // its start waits in front of it
        | StoreError::QueueFull { .. }
        | StoreError::Unreachable { .. }
        | StoreError::Open { .. }
        | StoreError::Failed { .. } => true,
        StoreError::BadUrl { .. }
        | StoreError::Foreign { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::OlderSchema { .. }
        | StoreError::DamagedFile { .. }
        | StoreError::Damaged { .. }
        | StoreError::UnknownSession { .. }
        | StoreError::Stale { .. }
        | StoreError::Exists { .. }
        | StoreError::NoBackup { .. }
        | StoreError::Closed { .. } => false,
    }
}
