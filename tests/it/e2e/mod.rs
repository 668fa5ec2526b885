//! Conversations over a real socket, with the real pace of a microphone.

mod abuse;
mod conversation;
mod durability;
mod faults;
mod person;
mod recording;
mod video;
