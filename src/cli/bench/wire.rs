//! The two wires on which the people of the bench talk, as one.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use super::plan::PlanError;
use crate::audio::{pcm, resample};
use crate::client::{self, ClientError, ClientMessage, ServerMessage, realtime};
use crate::engines::{INPUT_RATE_HZ, OUTPUT_RATE_HZ};
use crate::frontends::realtime_ws::audio::{Ear, Format};
use crate::turn::io;

/// Time of one message.
pub const MESSAGE: Duration = Duration::from_millis(20);
/// Samples of a message, 16 kHz.
pub const MESSAGE_SAMPLES: usize = 320;
/// Samples of a message of the Realtime API, 24 kHz.
const REALTIME_SAMPLES: usize = 480;

/// How the server is talked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// `/ws/chat`: 16 kHz PCM in binary messages
    Voice,
    /// `/v1/realtime`: 24 kHz PCM as base64 in JSON
    Realtime,
}

/// What came of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Audio { turn: u64 },
    Transcript { turn: u64 },
    Pause { turn: u64 },
    Interrupt { turn: u64 },
    TurnEnd { outcome: String },
    Error { code: String },
    Other,
}

/// The half of a connection that sends.
pub enum Speaker {
    Voice(client::Sender),
    Realtime(realtime::Sender),
}

/// The half that receives.
pub enum Listener {
    Voice(client::Receiver),
    Realtime {
        receiver: realtime::Receiver,
        /// The last response that began.
        newest: u64,
        /// What comes next without anything more coming.
        next: Option<Heard>,
    },
}

/// What the server hears of messages: 16 kHz.
pub enum Hearing {
    Voice,
    Realtime(Box<Ear>),
}

impl Wire {
    /// Where a server is usually.
    pub fn usual_url(self) -> &'static str {
        match self {
            Wire::Voice => "ws://localhost:8080/ws/chat",
            Wire::Realtime => "ws://localhost:8080/v1/realtime",
        }
    }

    /// Opens a connection.
    pub async fn connect(self, url: &str, token: Option<&str>) -> Result<(Speaker, Listener), ClientError> {
        Ok(match self {
            Wire::Voice => {
                let (sender, receiver) = client::connect(url, token).await?.split();
                (Speaker::Voice(sender), Listener::Voice(receiver))
            }
            Wire::Realtime => {
                let (sender, receiver) = realtime::connect(url, token).await?;
                (Speaker::Realtime(sender), Listener::Realtime { receiver, newest: 0, next: None })
            }
        })
    }

    /// 16 kHz samples that will be repeated without end, as messages.
    pub fn messages(self, cycle: &[i16]) -> Result<Vec<Message>, PlanError> {
        Ok(match self {
            Wire::Voice => {
                let message = |samples: &[i16]| Message::Binary(pcm::bytes_from_samples(samples).into());
                cycle.chunks(MESSAGE_SAMPLES).map(message).collect()
            }
            Wire::Realtime => {
                // What is in the middle has its neighbours on both sides.
                let thrice = pcm::f32s_from_i16s(&cycle.repeat(3));
                let thrice = resample::resample(&thrice, INPUT_RATE_HZ, OUTPUT_RATE_HZ)?;
                let once = pcm::i16s_from_f32s(&thrice[thrice.len() / 3..2 * thrice.len() / 3]);
                let message = |samples: &[i16]| realtime::append(&pcm::bytes_from_samples(samples));
                once.chunks(REALTIME_SAMPLES).map(message).collect()
            }
        })
    }

    /// The server's ears on this wire.
    pub fn hearing(self) -> Hearing {
        match self {
            Wire::Voice => Hearing::Voice,
            Wire::Realtime => Hearing::Realtime(Box::new(Ear::new(Format::Pcm))),
        }
    }
}

impl Hearing {
    /// The samples that are complete with this message.
    pub fn hear(&mut self, message: &Message) -> Vec<i16> {
        // They are our own messages, and of the right form.
        match (self, message) {
            (Hearing::Voice, Message::Binary(bytes)) => pcm::samples_from_bytes(bytes).unwrap_or_default(),
            (Hearing::Realtime(ear), Message::Text(text)) => {
                let event: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
                ear.hear(event["audio"].as_str().unwrap_or_default()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

impl Speaker {
    /// Sends a message of the plan.
    pub async fn say(&mut self, message: Message) -> Result<(), ClientError> {
        match self {
            Speaker::Voice(sender) => sender.send_raw(message).await,
            Speaker::Realtime(sender) => sender.send(message).await,
        }
    }

    /// Stops the reply.
    pub async fn interrupt(&mut self) -> Result<(), ClientError> {
        match self {
            Speaker::Voice(sender) => sender.send(&ClientMessage::Interrupt { last_chunk_id: None }).await,
            Speaker::Realtime(sender) => sender.send(realtime::cancel()).await,
        }
    }

    /// Says goodbye.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        match self {
            Speaker::Voice(sender) => sender.close().await,
            Speaker::Realtime(sender) => sender.close().await,
        }
    }
}

impl Listener {
    /// What comes next. May be cancelled and called again.
    pub async fn hear(&mut self) -> Result<Heard, ClientError> {
        match self {
            Listener::Voice(receiver) => Ok(of_voice(receiver.receive().await?)),
            Listener::Realtime { receiver, newest, next } => {
                if let Some(heard) = next.take() {
                    return Ok(heard);
                }
                let (heard, then) = of_realtime(receiver.receive().await?, newest);
                *next = then;
                Ok(heard)
            }
        }
    }
}

fn of_voice(message: ServerMessage) -> Heard {
    match message {
        ServerMessage::Audio(audio) => Heard::Audio { turn: audio.turn_id },
        ServerMessage::Transcript { turn_id: turn, .. } => Heard::Transcript { turn },
        ServerMessage::Pause { turn_id: turn } => Heard::Pause { turn },
        ServerMessage::Interrupt { turn_id: turn, .. } => Heard::Interrupt { turn },
        ServerMessage::TurnEnd { outcome, .. } => Heard::TurnEnd { outcome: name_of(outcome).to_owned() },
        ServerMessage::Error { code, .. } => Heard::Error { code },
        _ => Heard::Other,
    }
}

/// A turn is a response. Two things for one event: a response that is cancelled is over, too.
fn of_realtime(event: realtime::Event, newest: &mut u64) -> (Heard, Option<Heard>) {
    use realtime::Event;
    match event {
        Event::Audio { response: turn } => (Heard::Audio { turn }, None),
        // Words come before the response to them.
        Event::Transcribed => (Heard::Transcript { turn: *newest + 1 }, None),
        Event::ResponseCreated { response } => {
            *newest = response;
            (Heard::Other, None)
        }
        Event::ResponseDone { response: turn, status } => {
            let interrupted = status == "cancelled";
            let outcome = if interrupted { name_of(io::Outcome::Interrupted).to_owned() } else { status };
            let end = Heard::TurnEnd { outcome };
            if interrupted { (Heard::Interrupt { turn }, Some(end)) } else { (end, None) }
        }
        Event::Error { code, .. } => (Heard::Error { code }, None),
        Event::SessionCreated | Event::SessionUpdated | Event::SpeechStarted | Event::Other => {
            (Heard::Other, None)
        }
    }
}

fn name_of(outcome: io::Outcome) -> &'static str {
    match outcome {
        io::Outcome::Completed => "completed",
        io::Outcome::Interrupted => "interrupted",
        io::Outcome::Empty => "empty",
        io::Outcome::Superseded => "superseded",
        io::Outcome::Failed => "failed",
    }
}
