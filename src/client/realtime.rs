//! Our own client of `/v1/realtime`, as far as `bench` needs one: who said something when, but not what.
//!
//! Responses are numbered in the order in which they begin, from 1. Deliberately absent: decoding of what
//! is heard, items, and settings beyond those that make the session do the work of one on `/ws/chat`.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{ClientError, Socket, closed, lost, open};

/// The half that sends.
#[derive(Debug)]
pub struct Sender(SplitSink<Socket, Message>);

/// The half that receives.
#[derive(Debug)]
pub struct Receiver {
    stream: SplitStream<Socket>,
    /// Responses that are not done, with their numbers.
    live: HashMap<String, u64>,
    /// Responses so far.
    begun: u64,
}

/// What came. `response`: its number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    /// An utterance's final words.
    Transcribed,
    ResponseCreated {
        response: u64,
    },
    Audio {
        response: u64,
    },
    ResponseDone {
        response: u64,
        status: String,
    },
    Error {
        code: String,
        message: String,
    },
    Other,
}

/// Opens a session with input transcription, as `/ws/chat` has it; its audio is 24 kHz PCM, and the server
/// detects turns as it is configured.
///
/// # Errors
/// As [`super::connect`].
pub async fn connect(url: &str, token: Option<&str>) -> Result<(Sender, Receiver), ClientError> {
    let (sink, stream) = open(url, token).await?.split();
    let mut sender = Sender(sink);
    let mut receiver = Receiver { stream, live: HashMap::new(), begun: 0 };
    receiver.until(&Event::SessionCreated).await?;
    let input = json!({"transcription": {"model": "any"}});
    let session = json!({"type": "realtime", "audio": {"input": input}});
    sender.send(text(json!({"type": "session.update", "session": session}))).await?;
    receiver.until(&Event::SessionUpdated).await?;
    Ok((sender, receiver))
}

/// 24 kHz mono PCM as an event; it may be sent any number of times.
pub fn append(pcm: &[u8]) -> Message {
    text(json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(pcm)}))
}

/// Stops the response that is being said.
pub fn cancel() -> Message {
    text(json!({"type": "response.cancel"}))
}

fn text(event: serde_json::Value) -> Message {
    Message::Text(Utf8Bytes::from(event.to_string()))
}

impl Sender {
    /// Sends an event.
    pub async fn send(&mut self, event: Message) -> Result<(), ClientError> {
        self.0.send(event).await.map_err(lost)
    }

    /// Says goodbye. The server's answer ends [`Receiver::receive`].
    pub async fn close(&mut self) -> Result<(), ClientError> {
        self.0.close().await.map_err(lost)
    }
}

impl Receiver {
    /// The next event. May be cancelled and called again.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the server has ended the session, with its reason.
    pub async fn receive(&mut self) -> Result<Event, ClientError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return self.read(&text),
                Some(Ok(Message::Binary(_))) => {
                    return Err(ClientError::Protocol("a binary message".to_owned()));
                }
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(ClientError::Lost("it ended without a goodbye".to_owned())),
            }
        }
    }

    async fn until(&mut self, wanted: &Event) -> Result<(), ClientError> {
        loop {
            match self.receive().await? {
                event if event == *wanted => return Ok(()),
                Event::Error { code, message } => {
                    return Err(ClientError::Protocol(format!("{message} ({code})")));
                }
                _ => {}
            }
        }
    }

    fn read(&mut self, text: &str) -> Result<Event, ClientError> {
        let head: Head<'_> = serde_json::from_str(text)
            .map_err(|error| ClientError::Protocol(format!("a message is no event: {error}")))?;
        let unknown = |kind: &str| ClientError::Protocol(format!("{kind} is of no response that is live"));
        Ok(match &*head.r#type {
            "session.created" => Event::SessionCreated,
            "session.updated" => Event::SessionUpdated,
            "input_audio_buffer.speech_started" => Event::SpeechStarted,
            "conversation.item.input_audio_transcription.completed" => Event::Transcribed,
            "response.created" => {
                self.begun += 1;
                let id = head.response.map(|response| response.id.into_owned()).unwrap_or_default();
                self.live.insert(id, self.begun);
                Event::ResponseCreated { response: self.begun }
            }
            kind @ "response.output_audio.delta" => {
                let number = head.response_id.and_then(|id| self.live.get(&*id));
                Event::Audio { response: *number.ok_or_else(|| unknown(kind))? }
            }
            kind @ "response.done" => {
                let response = head.response.ok_or_else(|| unknown(kind))?;
                let number = self.live.remove(&*response.id).ok_or_else(|| unknown(kind))?;
                Event::ResponseDone { response: number, status: response.status.into_owned() }
            }
            "error" => {
                let error = head.error.unwrap_or_default();
                Event::Error { code: error.code.into_owned(), message: error.message.into_owned() }
            }
            _ => Event::Other,
        })
    }
}

/// What is read of an event, borrowed from it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<ResponseHead<'a>>,
    #[serde(borrow, default)]
    error: Option<ErrorHead<'a>>,
}

#[derive(Deserialize)]
struct ResponseHead<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct ErrorHead<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}
