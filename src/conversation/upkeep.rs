//! The log as those see it who look after it: memories, deletions, audits, and the store's health.
//!
//! What the server writes about conversations and memories is in sessions of its own, which are no
//! conversations and are listed nowhere.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::StoreError;
use super::events::{Audit, Event, SessionEnd};
use super::ids::SessionId;
use super::log::{BackgroundWriter, ConversationLog, NewSession};
use super::projections::{AuditRow, MemoryItemRow, MemoryRow, Whose};
use super::store::{Appended, CheckReport, CompactReport, RebuildReport};

/// The session of this process in which audits are written, once there is one.
#[derive(Debug, Default)]
pub(super) struct AuditPen(Arc<Mutex<Option<BackgroundWriter>>>);

impl ConversationLog {
    /// See [`super::Store::memory_items`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn memory_items(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryItemRow>, StoreError> {
        self.store.memory_items(whose, limit)
    }

    /// See [`super::Store::memories`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn memories(&self, whose: Whose, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.store.memories(whose, limit)
    }

    /// See [`super::Store::memory`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn memory(&self, id: SessionId) -> Result<Option<MemoryRow>, StoreError> {
        self.store.memory(id)
    }

    /// See [`super::Store::search_memories`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn search_memories(
        &self,
        whose: Whose,
        person: Option<&str>,
        query: &str,
        limit: usize,
    ) -> Result<Vec<(MemoryRow, f64)>, StoreError> {
        self.store.search_memories(whose, person, query, limit)
    }

    /// See [`super::Store::audits`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn audits(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.store.audits(limit)
    }

    /// Writes one event about something else than the session that it is in (a correction, a deletion),
    /// in a small session of its own. Blocks until it is durable.
    ///
    /// # Errors
    /// What the store says; nothing is written then.
    pub fn record(&self, event: Event) -> Result<Appended, StoreError> {
        let (tell, told) = crossbeam_channel::bounded(1);
        let on_durable = Box::new(move |result| drop(tell.send(result)));
        let end = Event::SessionEnd(SessionEnd { reason: "done".into() });
        self.start_session_with(upkeep("upkeep"), vec![event, end], on_durable);
        told.recv().map_err(|_| StoreError::Closed { path: self.store.place() })?
    }

    /// Writes that somebody asked for something. Never blocks; what cannot be written is logged.
    pub fn audit(&self, audit: Audit) {
        let event = Event::Audit(audit);
        let mut pen = self.audits.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::downgrade(&self.audits.0);
        // A session that did not start, or was deleted, is not written on.
        let on_durable = Box::new(move |result: Result<Appended, StoreError>| {
            let Err(error) = result else { return };
            tracing::error!("an audit is not in the log: {error}");
            if let Some(slot) = slot.upgrade() {
                // Not on the writer's own thread, if somebody holds it: the next failure drops it.
                if let Ok(mut pen) = slot.try_lock() {
                    *pen = None;
                }
            }
        });
        match &*pen {
            Some(pen) => pen.append(&[event], on_durable),
            None => {
                let started = self.start_session_with(upkeep("audit"), vec![event], on_durable);
                *pen = Some(started.writer.background());
            }
        }
    }

    /// Verifies every chain. Blocking.
    ///
    /// # Errors
    /// As [`super::Store::check`].
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        self.store.check()
    }

    /// Makes the projections again from the log. Blocking.
    ///
    /// # Errors
    /// As [`super::Store::rebuild`].
    pub fn rebuild(&self) -> Result<RebuildReport, StoreError> {
        self.store.rebuild()
    }

    /// See [`super::Store::compact`]. Blocking.
    ///
    /// # Errors
    /// What the store says.
    pub fn compact(&self) -> Result<CompactReport, StoreError> {
        self.store.compact()
    }

    /// See [`super::Store::backup`]. Blocking.
    ///
    /// # Errors
    /// As [`super::Store::backup`].
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.store.backup(to)
    }
}

/// A session that is no conversation, see [`super::projections::UPKEEP_FRONTENDS`].
fn upkeep(frontend: &str) -> NewSession {
    NewSession { frontend: frontend.into(), ..NewSession::default() }
}
