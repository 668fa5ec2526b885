//! Our own client of the voice socket `/ws/chat`: what `talk`, `bench` and the tests speak with.
//!
//! [`connect`] opens a [`Connection`]; `split` gives its two halves to different tasks. [`wire`] has
//! the messages. [`realtime`] is a client of the other wire. Deliberately absent: devices ([`crate::audio::device`]), reconnection, and TLS
//! (`wss://`).

pub mod realtime;
pub mod wire;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, header};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::audio::pcm;
pub use wire::{Audio, ClientMessage, ServerMessage};

/// Connecting may take so long, upgrade included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no conversation, or no more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL or the token cannot be used.
    #[error("{0}")]
    Address(String),
    /// Nobody answers there.
    #[error("cannot connect to {url}: {message}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        message: String,
    },
    /// The server answers, but does not let us in.
    #[error("{url} refuses: {message} (HTTP {status})")]
    Refused {
        /// Where.
        url: String,
        /// The server's reason.
        message: String,
        /// HTTP status.
        status: u16,
    },
    /// The server ended the session.
    #[error("the server closed the session: {reason} (code {code})")]
    Closed {
        /// Close code of RFC 6455.
        code: u16,
        /// The server's reason.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// What came is not the protocol.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open voice socket.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    receiver: Receiver,
}

/// The half that sends.
#[derive(Debug)]
pub struct Sender(SplitSink<Socket, Message>);

/// The half that receives.
#[derive(Debug)]
pub struct Receiver {
    stream: SplitStream<Socket>,
    /// An `audio` message whose binary message has not come yet.
    announced: Option<wire::AudioHead>,
}

/// Opens a voice socket: `ws://host:port/ws/chat`, with a query if wanted. `token`: of a server that
/// asks for one.
///
/// # Errors
/// In one line each: a URL that is none, nobody there, or the server's reason to refuse.
pub async fn connect(url: &str, token: Option<&str>) -> Result<Connection, ClientError> {
    let (sink, stream) = open(url, token).await?.split();
    Ok(Connection { sender: Sender(sink), receiver: Receiver { stream, announced: None } })
}

/// A socket, whatever is spoken on it.
async fn open(url: &str, token: Option<&str>) -> Result<Socket, ClientError> {
    if url.starts_with("wss:") {
        return Err(ClientError::Address(format!("{url}: this client has no TLS; use ws://")));
    }
    let bad_url = |error: tungstenite::Error| {
        ClientError::Address(format!(
            "{url} is no URL of a voice socket ({error}); ws://HOST:PORT/ws/chat is"
        ))
    };
    let mut request = url.into_client_request().map_err(bad_url)?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            ClientError::Address("the token has characters that no token of this server has".to_owned())
        })?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let unreachable = |message: String| ClientError::Unreachable { url: url.to_owned(), message };
    // TCP_NODELAY: a frame of audio is not to wait for the next one.
    let connecting = tokio_tungstenite::connect_async_with_config(request, None, true);
    let (socket, _) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
        .map_err(|error| match error {
            tungstenite::Error::Http(response) => refused(url, &response),
            error @ tungstenite::Error::Url(_) => bad_url(error),
            error => unreachable(error.to_string()),
        })?;
    Ok(socket)
}

/// The server's reason: `{"error": {"message": …}}` where it gives one.
fn refused(url: &str, response: &Response<Option<Vec<u8>>>) -> ClientError {
    let status = response.status();
    let body = response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let message = body
        .as_ref()
        .and_then(|body: &serde_json::Value| body.pointer("/error/message")?.as_str())
        .or(status.canonical_reason())
        .unwrap_or("no reason given");
    ClientError::Refused { url: url.to_owned(), message: message.to_owned(), status: status.as_u16() }
}

impl Connection {
    /// Sends a message.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        self.sender.send(message).await
    }

    /// Sends audio: 16 kHz mono, any number of samples.
    pub async fn send_audio(&mut self, samples: &[i16]) -> Result<(), ClientError> {
        self.sender.send_pcm(pcm::bytes_from_samples(samples).into()).await
    }

    /// The next message; see [`Receiver::receive`].
    pub async fn receive(&mut self) -> Result<ServerMessage, ClientError> {
        self.receiver.receive().await
    }

    /// Both halves, for two tasks.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

impl Sender {
    /// Sends a message.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        let text =
            serde_json::to_string(message).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.send_text(text).await
    }

    /// Sends text as it is: also what is no message at all.
    pub async fn send_text(&mut self, text: String) -> Result<(), ClientError> {
        self.0.send(Message::Text(text.into())).await.map_err(lost)
    }

    /// Sends a message of the socket as it is.
    pub async fn send_raw(&mut self, message: tungstenite::Message) -> Result<(), ClientError> {
        self.0.send(message).await.map_err(lost)
    }

    /// Sends 16 kHz mono signed 16-bit little-endian PCM as it is.
    pub async fn send_pcm(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        self.0.send(Message::Binary(bytes)).await.map_err(lost)
    }

    /// Says goodbye. The server's answer ends [`Receiver::receive`].
    pub async fn close(&mut self) -> Result<(), ClientError> {
        self.0.close().await.map_err(lost)
    }
}

impl Receiver {
    /// The next message; audio is joined with its announcement. May be cancelled and called again.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the server has ended the session, with its reason.
    pub async fn receive(&mut self) -> Result<ServerMessage, ClientError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    if let Some(head) = &self.announced {
                        let head = head.chunk_id;
                        return Err(ClientError::Protocol(format!("chunk {head} has no audio behind it")));
                    }
                    match wire::decode(&text).map_err(ClientError::Protocol)? {
                        wire::Decoded::Message(message) => return Ok(message),
                        wire::Decoded::AudioFollows(head) => self.announced = Some(head),
                    }
                }
                Some(Ok(Message::Binary(pcm))) => {
                    let Some(head) = self.announced.take() else {
                        return Err(ClientError::Protocol("audio that was not announced".to_owned()));
                    };
                    return head.with(pcm).map_err(ClientError::Protocol);
                }
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(ClientError::Lost("it ended without a goodbye".to_owned())),
            }
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> ClientError {
    match frame {
        Some(frame) => ClientError::Closed { code: frame.code.into(), reason: frame.reason.to_string() },
        None => ClientError::Closed { code: 1005, reason: "no reason given".to_owned() },
    }
}

fn lost(error: tungstenite::Error) -> ClientError {
    ClientError::Lost(error.to_string())
}
