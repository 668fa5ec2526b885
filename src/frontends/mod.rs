//! WIRES. They translate, and decide nothing.
//!
//! - [`start`]: start and stop. [`server`]: what all connections share. [`listener`]: the TCP door, with
//!   [`tls`].
//! - [`routes`]: every route, and what it asks of who comes. [`gate`]: asks it; with [`auth`]: who may
//!   talk, [`client_secrets`]: who may for some minutes, [`quotas`]: how much each may ask for, [`cors`]: whose
//!   pages. [`slow_bodies`]: how long a request may take to come. [`problem`]: how all of them say no.
//! - [`admission`]: how many may talk at a time. [`limits`]: how much each socket may send ([`bucket`]).
//!   [`live`]: which sessions are open.
//! - [`socket`]: a WebSocket that carries a session. [`voice_ws`]: `/ws/chat`. [`realtime_ws`]:
//!   `/v1/realtime`. [`openai_api`]: the engines over HTTP. [`markdown`]: conversations in files.
//!   [`agents`]: who may be talked with. [`sessions_api`]: histories. [`ops`]: health
//!   and metrics. [`pages`]: the browser pages, with their [`security_headers`].

pub mod admission;
pub mod agents;
pub mod auth;
pub mod bucket;
pub mod client_secrets;
pub mod cors;
pub mod gate;
pub mod limits;
pub mod listener;

pub mod live;
pub mod markdown;
mod memories_api;
pub mod openai_api;
pub mod ops;
pub mod pages;
pub mod problem;
pub mod quotas;
pub mod realtime_ws;
pub mod routes;
pub mod security_headers;
pub mod server;
pub mod sessions_api;
pub mod slow_bodies;
pub mod socket;
pub mod start;
pub mod tls;
pub mod voice_ws;
