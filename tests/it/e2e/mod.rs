//! Conversations over a real socket, with the real pace of a microphone.

mod abuse;
mod audio;
mod conversation;
mod durability;
mod faults;
mod operations;
mod pauses;
pub mod person;
mod persona;
mod receptionist;
mod recording;
mod resume;
mod tools;
mod video;
