//! The translator on timelines.
