//! A connection that is lost, and a client that comes back on another one. What that means for a reply, the
//! turn machine decides ([`crate::turn::absence`]).

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Session;
use super::messages::{CloseReason, Hello, Return, ToClient};
use crate::turn::io::{ChunkId, Input};

/// The next client that comes back; never, if none is waited for.
pub(super) async fn next_return(returns: &mut Option<mpsc::Receiver<Return>>) -> Option<Return> {
    match returns {
        Some(returns) => returns.recv().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Something was said: there is something to go on with.
    pub(super) fn is_worth_waiting_for(&self) -> bool {
        !self.turn.is_idle() || self.journal.last_turn().0 > 0
    }

    /// The connection is lost. The client may come back.
    pub(super) fn lose_client(&mut self) {
        tracing::info!("the connection is lost; the session waits");
        self.absent = true;
        // The microphone's last samples stay what they are.
        self.feed(Input::Detached);
    }

    /// A client is here, on a connection of its own: the one that was lost, or a better one.
    pub(super) fn regain_client(
        &mut self,
        to_client: mpsc::Sender<ToClient>,
        last_chunk: Option<ChunkId>,
        hello: Hello,
    ) {
        if !self.absent {
            self.send(ToClient::Close(CloseReason::Replaced));
            self.feed(Input::Detached);
        }
        tracing::info!("the client is back");
        self.absent = false;
        self.to_client = to_client;
        self.last_activity = Instant::now();
        let session_id = self.journal.session_id().to_string();
        self.send(ToClient::Hello(Hello { session_id, live: true, resumed: true, ..hello }));
        let (enabled, reason) = (self.settings.turn.clips, self.work.engines().video_fault.clone());
        self.send(ToClient::VideoMode { enabled, reason });
        self.feed(Input::Attached { last_chunk });
    }
}
