//! Which sessions are open here, so that a client that comes back takes over from the connection that
//! it lost: the old one ends first and writes what was heard, and the history goes on without a fork.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::conversation::ids::SessionId;
use crate::engines::CancelToken;
use crate::frontends::socket::Rejoin;
use crate::session::messages::Return;

/// A session that is to end may take so long; then it is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open sessions of this process.
#[derive(Debug, Default)]
pub struct LiveSessions(Mutex<HashMap<SessionId, Ends>>);

/// How an open session is told to end, and tells that it has; and where its client can come back.
#[derive(Debug, Clone, Default)]
struct Ends {
    replaced: CancelToken,
    over: Arc<CancelToken>,
    way_back: Option<WayBack>,
}

/// Where the client of an open session comes back.
#[derive(Debug, Clone)]
pub enum WayBack {
    /// To the session itself: its wire has nothing to remember.
    Session(mpsc::Sender<Return>),
    /// To its wire, which knows what it has told.
    Wire(mpsc::Sender<Rejoin>),
}

/// A session is open for as long as this lives.
#[derive(Debug)]
pub struct Live {
    sessions: Arc<LiveSessions>,
    ends: Ends,
}

impl LiveSessions {
    /// Opens a session. If it is open already, that one ends before.
    pub async fn enter(self: &Arc<Self>, id: SessionId) -> Live {
        self.enter_with(id, None).await
    }

    /// The same for a session to which clients that lost their connection can come back.
    pub async fn enter_with(self: &Arc<Self>, id: SessionId, way_back: Option<WayBack>) -> Live {
        loop {
            let before = {
                let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match open.get(&id) {
                    Some(before) => before.clone(),
                    None => {
                        let ends = Ends { way_back: way_back.clone(), ..Ends::default() };
                        open.insert(id, ends.clone());
                        return Live { sessions: Arc::clone(self), ends };
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

impl LiveSessions {
    /// Where the client of an open session comes back; `None` if that session is not open, or not to be gone
    /// on with.
    pub fn way_back(&self, id: SessionId) -> Option<WayBack> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&id)?.way_back.clone().filter(|way_back| match way_back {
            WayBack::Session(returns) => !returns.is_closed(),
            WayBack::Wire(rejoins) => !rejoins.is_closed(),
        })
    }
}

impl Live {
    /// Makes it known under the name of a session in which it goes on, too.
    pub fn mover(&self) -> Box<dyn Fn(SessionId) + Send> {
        let (sessions, ends) = (Arc::downgrade(&self.sessions), self.ends.clone());
        Box::new(move |id| {
            if let Some(sessions) = sessions.upgrade() {
                sessions.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ends.clone());
            }
        })
    }

    /// Set when another connection goes on with this session.
    pub fn replaced(&self) -> CancelToken {
        self.ends.replaced.clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut open = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Unless it was given up on, and another has its place.
        open.retain(|_, ends| !Arc::ptr_eq(&ends.over, &self.ends.over));
        drop(open);
        self.ends.over.cancel();
    }
}
