//! Session time, and the ids of what happens in it. See [`super::io`].

use serde::{Deserialize, Serialize};

/// Session time: microseconds since the session began. Drivers read a clock; the machine is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// `ms` after the session began.
    pub const fn from_ms(ms: u64) -> Time {
        Time(ms * 1_000)
    }

    /// This moment, later by `ms`.
    pub const fn plus_ms(self, ms: u64) -> Time {
        Time(self.0 + ms * 1_000)
    }

    /// Microseconds from `earlier` to this moment; 0 if it is not earlier.
    pub const fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds, with their fraction, from `earlier` to this moment.
    pub fn ms_since(self, earlier: Time) -> f64 {
        self.since(earlier) as f64 / 1_000.0
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
    };
}

id!(
    /// One contribution of the user and the reply to it. Counts up from 1 in a session.
    TurnId
);
id!(
    /// One LLM + TTS run. Every piece of work for it carries this stamp.
    ReplyId
);
id!(
    /// One segment (a sentence or so) of a reply; counts up from 0 in a reply.
    SegmentId
);
id!(
    /// One chunk of audio sent to the client; counts up from 0 for the whole connection.
    ChunkId
);
id!(
    /// One recognition job.
    AsrJob
);
id!(
    /// One question to the end-of-turn model.
    JudgementId
);
id!(
    /// A reply that the client has asked for by itself. The wire counts them.
    RequestId
);
id!(
    /// A message that the client puts into the conversation without a turn. The wire counts them.
    MessageId
);
id!(
    /// One call of a tool; counts up from 1 in a session. (The LLM's own id of it need not be unique.)
    CallId
);
