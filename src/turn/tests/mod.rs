//! Tests of the turn machine.
//!
//! - [`timeline`]: engines, user and client on virtual time; what the client saw, as text.
//! - [`driver`]: the same, but answering when and as a test chooses.
//! - [`witness`], [`tool_witness`]: check the promises on every single step, whoever drives.
//! - `endpointing`, `typed_and_manual`, `barge_in`, `heard`, `replies`, `tools`, `fillers`, `failures`, `clips`,
//!   `end_of_turn`: timelines, topic by topic.
//! - `properties`: random interleavings; `exhaustive`: all of the small ones.
//! - `purity`: what the machine's files may not name.

mod absence;
mod barge_in;
mod by_client;
mod clips;
mod driver;
mod end_of_turn;
mod endpointing;
mod exhaustive;
mod failures;
mod fillers;
mod heard;
mod properties;
mod purity;
mod replies;
mod timeline;
mod tool_witness;
mod tools;
mod typed_and_manual;
mod witness;
