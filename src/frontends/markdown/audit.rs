//! Who asked for what. The one place that says it.

use crate::conversation::events::Audit;
use crate::frontends::server::Server;

/// Takes down that somebody with a token asked for something. Never blocks.
pub fn audit(_server: &Server, audit: Audit) {
    let Audit { actor, kind, agent, filename, messages } = audit;
    tracing::info!(target: "vivavoce::audit", actor, kind, agent, filename, messages, "audit");
}
