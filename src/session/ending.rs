//! How a session ends: the last turn, the log, the goodbye.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::messages::{CloseReason, ToClient};
use super::work::Arrival;
use super::{Over, Session};
use crate::metrics;
use crate::turn::io::Input;

/// After the client is gone, the last turn may take so long to become durable.
const LAST_COMMIT: Duration = Duration::from_secs(5);

impl Session {
    /// Ends the running turn, waits until it is durable, and says goodbye.
    pub(super) async fn finish(mut self, arrivals: &mut mpsc::Receiver<Arrival>) {
        let over = self.over.unwrap_or(Over::ClientGone);
        tracing::info!(?over, "session ends");
        self.work.cancel_all();
        self.cancel_compaction();
        self.feed(Input::Close);
        let until = Instant::now() + LAST_COMMIT;
        while !self.turn.is_idle() {
            match tokio::time::timeout_at(until, arrivals.recv()).await {
                Ok(Some(Arrival::Input(input @ Input::Committed { .. }))) => self.feed(input),
                Ok(Some(_)) => {} // of work that is cancelled
                Ok(None) => break,
                Err(_) => {
                    tracing::error!("the last turn did not become durable in time");
                    break;
                }
            }
        }
        let reason = match over {
            Over::ClientGone => "client_gone",
            Over::TooSlow => "slow_client",
            Over::Closed(CloseReason::Idle) => "idle",
            Over::Closed(CloseReason::TooLong) => "session_max",
            Over::Closed(CloseReason::Restart) => "restart",
            Over::Closed(CloseReason::Replaced) => "replaced",
            Over::Closed(CloseReason::Fault) => "fault",
            Over::Closed(CloseReason::HungUp) => "hung_up",
        };
        if tokio::time::timeout(LAST_COMMIT, self.journal.end(reason)).await.is_err() {
            tracing::error!("the end of the session did not become durable in time");
        }
        match over {
            Over::Closed(reason) => {
                // A frontend that still reads gets to hear why.
                let goodbye = self.to_client.send(ToClient::Close(reason));
                let _ = tokio::time::timeout(LAST_COMMIT, goodbye).await;
            }
            Over::TooSlow => metrics::error("slow_client"),
            Over::ClientGone => {}
        }
    }
}
