//! WIRES. They translate, and decide nothing.
//!
//! - [`server`]: what all frontends share, the routes, start and stop. [`listener`]: the TCP door.
//! - [`auth`]: who may talk. [`admission`]: how many may. [`limits`]: how much each may send.
//! - [`voice_ws`]: `/ws/chat`. [`pages`]: the browser page. [`sessions_api`]: histories. [`ops`]:
//!   health and metrics.

pub mod admission;
pub mod auth;
pub mod limits;
pub mod listener;
pub mod ops;
pub mod pages;
pub mod server;
pub mod sessions_api;
pub mod voice_ws;
