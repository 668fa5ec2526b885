//! Which sessions are open here, so that a client that comes back takes over from the connection that
//! it lost: the old one ends first and writes what was heard, and the history goes on without a fork.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::conversation::ids::SessionId;
use crate::engines::CancelToken;

/// A session that is to end may take so long; then it is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open sessions of this process.
#[derive(Debug, Default)]
pub struct LiveSessions(Mutex<HashMap<SessionId, Ends>>);

/// How an open session is told to end, and tells that it has.
#[derive(Debug, Clone, Default)]
struct Ends {
    replaced: CancelToken,
    over: Arc<CancelToken>,
}

/// A session is open for as long as this lives.
#[derive(Debug)]
pub struct Live {
    sessions: Arc<LiveSessions>,
    id: SessionId,
    ends: Ends,
}

impl LiveSessions {
    /// Opens a session. If it is open already, that one ends before.
    pub async fn enter(self: &Arc<Self>, id: SessionId) -> Live {
        loop {
            let before = {
                let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match open.get(&id) {
                    Some(before) => before.clone(),
                    None => {
                        let ends = Ends::default();
                        open.insert(id, ends.clone());
                        return Live { sessions: Arc::clone(self), id, ends };
                    }
                }
            };
            before.replaced.cancel();
            if tokio::time::timeout(PATIENCE, before.over.cancelled()).await.is_err() {
                tracing::error!(session_id = %id, "the session's old connection does not end");
                self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
        }
    }
}

impl Live {
    /// Set when another connection goes on with this session.
    pub fn replaced(&self) -> CancelToken {
        self.ends.replaced.clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut open = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Unless it was given up on, and another has its place.
        if open.get(&self.id).is_some_and(|ends| Arc::ptr_eq(&ends.over, &self.ends.over)) {
            open.remove(&self.id);
        }
        drop(open);
        self.ends.over.cancel();
    }
}
