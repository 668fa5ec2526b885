//! WIRES. They translate, and decide nothing.
//!
//! - [`start`]: the routes, start and stop. [`server`]: what all connections share. [`listener`]: the
//!   TCP door.
//! - [`auth`]: who may talk. [`admission`]: how many may. [`limits`]: how much each may send.
//!   [`live`]: which sessions are open.
//! - [`socket`]: a WebSocket that carries a session. [`realtime_ws`]: `/v1/realtime`.
//! - [`voice_ws`]: `/ws/chat`. [`pages`]: the browser page. [`sessions_api`]: histories. [`ops`]:
//!   health and metrics.

pub mod admission;
pub mod auth;
pub mod limits;
pub mod listener;
pub mod live;
pub mod ops;
pub mod pages;
pub mod realtime_ws;
pub mod server;
pub mod sessions_api;
pub mod socket;
pub mod start;
pub mod voice_ws;
