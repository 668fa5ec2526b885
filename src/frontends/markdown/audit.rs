//! Who asked for what. The one place that says it.

use crate::conversation::events::Audit;
use crate::frontends::server::Server;

/// Takes down that somebody with a token asked for something. Never blocks.
pub fn audit(server: &Server, audit: Audit) {
    server.log.audit(audit);
}
