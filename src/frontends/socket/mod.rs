//! A WebSocket that carries a session, whatever its messages mean: limits, pings, the goodbye.
//!
//! A [`Wire`] says what messages mean; it is all that differs between `/ws/chat` and the Realtime API. A
//! session knows neither of them: another transport (WebRTC) brings its own counterpart of this module.
//!
//! Three tasks a connection: the session, this one, which reads and translates both ways, and a writer.
//! The queues between them are bounded. A client that does not read fills them, and its session cuts it
//! off; what it sends is read meanwhile. A wire that has something to remember outlives its connection for a
//! while: it waits for the client's next one ([`Rejoin`]), and the session with it.

pub mod opening;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;
use tracing::Instrument;

use super::limits::{Allowance, Excess};
use super::server::Server;
use crate::config::Config;
use crate::conversation::ids::SessionId;
use crate::metrics::{self, Direction};
use crate::session::messages::{CloseReason, FromClient, Hello, ToClient};
use crate::session::recording::Recorder;
use crate::session::settings::Settings;
use crate::session::tape::Tape;
use crate::session::{self, Journal, Start};
use crate::turn::io::{Event, Fault};
use opening::{Opened, Place, Returns};

/// Messages of the client that wait for its session.
const INBOUND_MESSAGES: usize = 32;
/// Messages that wait for the socket; more wait at the session.
const OUTBOUND_MESSAGES: usize = 64;
/// Messages that go to the socket in one write.
const WRITE_BATCH: usize = 32;
/// Small buffers: a listening session should cost little memory. What does not fit is sent without waiting.
pub const SOCKET_BUFFER_BYTES: usize = 8 * 1_024;
/// The socket's last messages may take so long.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// So much of what a client goes on sending is read after the goodbye.
const LAST_READ_BYTES: usize = 4 << 20;
/// What the client of the old connection is told.
const REPLACED: &str = "the session goes on in another connection";
/// A client that gave no sign of life for so many pings is gone.
const MISSED_PINGS: u32 = 3;

/// Close codes of RFC 6455 and its registry.
mod close {
    pub const DONE: u16 = 1000;
    pub const ABUSE: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const FAULT: u16 = 1011;
    pub const RESTART: u16 = 1012;
}

/// What messages mean.
pub trait Wire: Send + 'static {
    /// A message of the client.
    fn on_client(&mut self, frame: Frame<'_>, out: &mut Translated);
    /// A message of the session.
    fn on_session(&mut self, message: ToClient, out: &mut Translated);
    /// An error that the client is told before it is cut off.
    fn last_error(&mut self, fault: &Fault) -> Message;
    /// A ping of this wire has come back.
    fn on_pong(&mut self, _payload: &[u8]) {}
    /// Whether a client that loses its connection is waited for here. Only wires that outlive their
    /// connection are asked.
    fn is_worth_waiting_for(&self) -> bool {
        false
    }
    /// The client is back, and has all events up to `last_event`, if it says so. The session is told by
    /// [`FromClient::Back`].
    fn rejoin(&mut self, _last_event: Option<&str>, _out: &mut Translated) {}
}

/// A message of the client.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Frame<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// What a message becomes, in order.
#[derive(Debug, Default)]
pub struct Translated {
    /// For the session.
    pub session: Vec<FromClient>,
    /// For the client.
    pub client: Vec<Message>,
    /// It made no sense; with this code.
    pub nonsense: Option<String>,
}

/// A client that lost its connection is here again.
#[derive(Debug)]
pub struct Rejoin {
    /// The new connection.
    pub socket: WebSocket,
    /// The last event that it has of the old one, if it knows.
    pub last_event: Option<String>,
}

/// Why the connection ends.
enum End {
    /// It is lost.
    Lost,
    /// The client has said goodbye, or is not heard any more.
    Gone,
    /// The session is over, and everything it said is on its way.
    Over,
    /// The client has to go: close code and reason.
    CutOff(u16, &'static str),
    /// The client is here on a better one.
    Replaced(Box<Rejoin>),
}

/// Brings a client that is back to the wire that waits for it.
async fn hand_over(way_back: mpsc::Sender<Rejoin>, rejoin: Rejoin) {
    if let Err(mpsc::error::SendError(Rejoin { mut socket, .. })) = way_back.send(rejoin).await {
        // It ended at this moment. The client asks again, and goes on with the history.
        let farewell = CloseFrame { code: close::RESTART, reason: "the session has just ended".into() };
        let _ = tokio::time::timeout(LAST_WRITES, socket.send(Message::Close(Some(farewell)))).await;
    }
}

/// Runs a session over a socket until one of them is over. `settings` and `greeting` are those that it
/// begins with.
pub async fn serve(
    server: Arc<Server>,
    opened: Opened,
    settings: Settings,
    greeting: Option<String>,
    wire: impl Wire,
    socket: WebSocket,
) {
    let Opened { agent, session: session_id, place, hello, quota } = opened;
    let config = Arc::clone(&agent.config);
    let grace = Duration::from_millis(config.limits.resume_grace_ms);
    let (to_session, outbound, rejoins) = match place {
        Place::Wire { way_back, last_event } => {
            return hand_over(way_back, Rejoin { socket, last_event }).await;
        }
        Place::Session { to_session, from_session } => (to_session, from_session, None),
        Place::Log { admitted, writer, live, returns } => {
            let (to_client, outbound) = mpsc::channel(config.limits.outbound_messages);
            let (to_session, inbound) = mpsc::channel(INBOUND_MESSAGES);
            let (returns, rejoins) = match returns {
                Some(Returns::Session(returns)) => (Some((returns, grace)), None),
                Some(Returns::Wire(rejoins)) => (None, Some(rejoins)),
                None => (None, None),
            };
            let start = Start {
                returns,
                tape: config.record_audio.enabled.then(|| Tape::new(Arc::clone(&server.audio))),
                recorder: recorder(&config, &hello, &settings),
                hello,
                config: Arc::clone(&config),
                engines: Arc::clone(&agent.engines),
                tools: Arc::clone(&agent.tools),
                journal: Journal::new(*writer),
                settings,
                shows_thoughts: false,
                greeting,
                keeper: Arc::clone(&server.keeper),
                drain: server.drain.clone(),
                stop: server.stop.clone(),
                replaced: live.replaced(),
                moved: live.mover(),
            };
            let (session, host) = (session::run(start, inbound, to_client), Arc::clone(&server));
            server.sessions.spawn(
                async move {
                    session.await;
                    // Its last turn may have ended when nobody was there any more.
                    host.turn_ended(session_id);
                    drop((admitted, live));
                }
                .in_current_span(),
            );
            (to_session, outbound, rejoins)
        }
    };
    let ping = Duration::from_secs(config.limits.ping_s);
    let mut exchange = Exchange {
        allowance: Allowance::new(&config.limits, quota),
        began: Instant::now(),
        ping,
        server: Arc::clone(&server),
        session_id,
        wire,
        line: Line::open(socket, ping),
        to_session,
        unsaid: VecDeque::new(),
        outbound,
        rejoins,
    };
    let farewell = loop {
        match exchange.run().await {
            End::Lost => match exchange.wait(grace).await {
                Some(rejoin) => drop(exchange.rejoin(rejoin).await),
                None => break None,
            },
            End::Replaced(rejoin) => {
                let fault = Fault { code: "replaced".to_owned(), message: REPLACED.to_owned() };
                let error = exchange.wire.last_error(&fault);
                exchange.say(FromClient::Lost).await;
                let old = exchange.rejoin(*rejoin).await;
                let goodbye = async move {
                    let _ = tokio::time::timeout(LAST_WRITES, old.to_socket.send(error)).await;
                    old.close(Some(close_code(CloseReason::Replaced))).await;
                };
                server.sessions.spawn(goodbye.in_current_span());
            }
            End::CutOff(code, reason) => {
                // Who is cut off is not waited for.
                exchange.say(FromClient::Leave).await;
                break Some((code, reason));
            }
            End::Gone | End::Over => break None,
        }
    };
    let Exchange { line, .. } = exchange;
    line.close(farewell).await;
}

/// One connection.
struct Line {
    stream: SplitStream<WebSocket>,
    to_socket: mpsc::Sender<Message>,
    writer: JoinHandle<()>,
}

impl Line {
    fn open(socket: WebSocket, ping: Duration) -> Line {
        let (sink, stream) = socket.split();
        let (to_socket, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let writer = tokio::spawn(write(sink, messages, ping).in_current_span());
        Line { stream, to_socket, writer }
    }

    /// Sends what is still to be sent, and says goodbye.
    async fn close(self, farewell: Option<(u16, &'static str)>) {
        let Line { mut stream, to_socket, mut writer } = self;
        if let Some((code, reason)) = farewell {
            let farewell = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            let _ = tokio::time::timeout(LAST_WRITES, to_socket.send(farewell)).await;
        }
        drop(to_socket);
        // A client that does not read is not waited for.
        if !writer.is_finished() && tokio::time::timeout(LAST_WRITES, &mut writer).await.is_err() {
            writer.abort();
            return;
        }
        // What is still coming in is read, or TCP would reset the connection and the goodbye with it; but
        // not without end.
        let rest = async {
            let mut bytes = 0;
            while bytes < LAST_READ_BYTES
                && let Some(Ok(message)) = stream.next().await
            {
                bytes += message.into_data().len();
            }
        };
        let _ = tokio::time::timeout(LAST_WRITES, rest).await;
    }
}

/// Both directions between a client and its session.
struct Exchange<W> {
    server: Arc<Server>,
    session_id: SessionId,
    wire: W,
    allowance: Allowance,
    began: Instant,
    ping: Duration,
    line: Line,
    to_session: mpsc::Sender<FromClient>,
    /// What it has not been told yet.
    unsaid: VecDeque<FromClient>,
    outbound: mpsc::Receiver<ToClient>,
    /// Where the client comes back, if the wire outlives its connection.
    rejoins: Option<mpsc::Receiver<Rejoin>>,
}

/// The next client that comes back; never, if none is waited for here.
async fn next_rejoin(rejoins: &mut Option<mpsc::Receiver<Rejoin>>) -> Option<Rejoin> {
    match rejoins {
        Some(rejoins) => rejoins.recv().await,
        None => std::future::pending().await,
    }
}

impl<W: Wire> Exchange<W> {
    /// Until the connection or the session is over.
    async fn run(&mut self) -> End {
        let (session, socket) = (self.to_session.clone(), self.line.to_socket.clone());
        let session_ends = async {
            session.closed().await;
            tokio::time::sleep(LAST_WRITES).await;
        };
        // Whatever one of them waits for: that the session or the writer is gone ends it.
        tokio::select! {
            end = self.exchange() => end,
            () = socket.closed() => self.lost(),
            () = session_ends => End::Over,
        }
    }

    async fn exchange(&mut self) -> End {
        let mut last_sign = Instant::now();
        let mut out = Translated::default();
        let patience = self.ping * MISSED_PINGS;
        loop {
            // Nobody listens any more: what the client goes on sending waits in its own buffers.
            let listens = !self.to_session.is_closed();
            let Exchange { line: Line { stream, to_socket, .. }, outbound, rejoins, .. } = self;
            // While the socket is behind, so is the session.
            let next_of_session = async {
                let _room = to_socket.reserve().await;
                outbound.recv().await
            };
            let end = tokio::select! {
                message = tokio::time::timeout_at(last_sign + patience, stream.next()), if listens => {
                    last_sign = Instant::now();
                    match message {
                        Ok(Some(Ok(message))) => self.on_client(message, &mut out).await,
                        Ok(Some(Err(error))) if is_too_big(&error) => {
                            Some(End::CutOff(close::TOO_BIG, "too big"))
                        }
                        Ok(Some(Err(_)) | None) | Err(_) => Some(self.lost()),
                    }
                }
                message = next_of_session => match message {
                    Some(message) => self.on_session(message, &mut out).await,
                    None => Some(End::Over),
                },
                Some(rejoin) = next_rejoin(rejoins) => Some(End::Replaced(Box::new(rejoin))),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// What it means that the connection is lost.
    fn lost(&self) -> End {
        if self.rejoins.is_some() && self.wire.is_worth_waiting_for() { End::Lost } else { End::Gone }
    }

    /// Waits for the client without a connection. What the session tells goes to the wire alone, which
    /// remembers what it wants. `None`: it does not come, or the session is over.
    async fn wait(&mut self, grace: Duration) -> Option<Rejoin> {
        tracing::info!("the connection is lost; the session waits");
        self.line.writer.abort();
        self.say(FromClient::Lost).await;
        let until = Instant::now() + grace;
        let mut out = Translated::default();
        loop {
            tokio::select! {
                rejoin = next_rejoin(&mut self.rejoins) => return rejoin,
                message = self.outbound.recv() => {
                    if let ToClient::Event(Event::TurnEnd { .. }) = &message.as_ref()? {
                        self.server.turn_ended(self.session_id);
                    }
                    self.wire.on_session(message?, &mut out);
                    out.client.clear();
                    self.tell_session(&mut out).await;
                }
                () = tokio::time::sleep_until(until) => return None,
            }
        }
    }

    /// Goes on over the client's new connection; gives the old one.
    async fn rejoin(&mut self, rejoin: Rejoin) -> Line {
        tracing::info!("the client is back");
        let old = std::mem::replace(&mut self.line, Line::open(rejoin.socket, self.ping));
        let mut out = Translated::default();
        self.wire.rejoin(rejoin.last_event.as_deref(), &mut out);
        // If it is lost again at once, that is noticed where it is read.
        let _ = self.deliver(&mut out).await;
        old
    }

    /// Tells the session, unless that does not listen any more.
    async fn say(&mut self, message: FromClient) {
        self.unsaid.push_back(message);
        let _ = tokio::time::timeout(LAST_WRITES, self.tell_session(&mut Translated::default())).await;
    }

    /// A session that cannot keep up slows its client down here, by TCP. What is not said when this is
    /// stopped is said next time, since a wire that outlives its connection counts on its answer.
    async fn tell_session(&mut self, out: &mut Translated) {
        self.unsaid.extend(out.session.drain(..));
        while !self.unsaid.is_empty() {
            // What the session said before it ended is still to be told.
            let Ok(room) = self.to_session.reserve().await else { return self.unsaid.clear() };
            if let Some(message) = self.unsaid.pop_front() {
                room.send(message);
            }
        }
    }

    async fn on_client(&mut self, message: Message, out: &mut Translated) -> Option<End> {
        if matches!(message, Message::Close(_)) {
            // It says goodbye: nobody has to wait for it.
            let _ = self.to_session.send(FromClient::Leave).await;
            return Some(End::Gone);
        }
        match self.translate(&message, out) {
            Ok(true) => self.deliver(out).await,
            Ok(false) => Some(End::Gone),
            Err(excess) => {
                tracing::warn!("the client is cut off: {excess}");
                metrics::error("abuse");
                let fault = Fault { code: "abuse".to_owned(), message: excess.to_string() };
                let error = self.wire.last_error(&fault);
                let _ = self.line.to_socket.send(error).await;
                Some(End::CutOff(close::ABUSE, "too much"))
            }
        }
    }

    /// Whether the connection goes on.
    fn translate(&mut self, message: &Message, out: &mut Translated) -> Result<bool, Excess> {
        let now = self.began.elapsed();
        self.allowance.message(now)?;
        let frame = match message {
            Message::Text(text) => Frame::Text(text),
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Pong(payload) => {
                self.wire.on_pong(payload);
                return Ok(true);
            }
            Message::Ping(_) => return Ok(true),
            Message::Close(_) => return Ok(false),
        };
        self.wire.on_client(frame, out);
        for message in &out.session {
            if let FromClient::Audio(samples) = message {
                metrics::audio(Direction::In, samples.len());
                self.allowance.audio(samples.len(), now)?;
            }
        }
        if let Some(code) = out.nonsense.take() {
            metrics::error(code);
            self.allowance.bad_message()?;
        }
        Ok(true)
    }

    async fn on_session(&mut self, message: ToClient, out: &mut Translated) -> Option<End> {
        let closing = match &message {
            ToClient::Close(reason) => Some(close_code(*reason)),
            // By now it is in the log.
            ToClient::Event(Event::TurnEnd { .. }) => {
                self.server.turn_ended(self.session_id);
                None
            }
            _ => None,
        };
        self.wire.on_session(message, out);
        let end = self.deliver(out).await;
        end.or(closing.map(|(code, reason)| End::CutOff(code, reason)))
    }

    async fn deliver(&mut self, out: &mut Translated) -> Option<End> {
        self.tell_session(out).await;
        for message in out.client.drain(..) {
            if self.line.to_socket.send(message).await.is_err() {
                return Some(self.lost());
            }
        }
        None
    }
}

/// Writes until there is nothing more to say or the socket is gone.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut messages: mpsc::Receiver<Message>,
    ping: Duration,
) {
    let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    loop {
        let written = tokio::select! {
            biased;
            count = messages.recv_many(&mut batch, WRITE_BATCH) => {
                if count == 0 {
                    break;
                }
                let closes = matches!(batch.last(), Some(Message::Close(_)));
                let written = write_batch(&mut sink, &mut batch).await;
                if closes {
                    let _ = sink.close().await;
                    return;
                }
                written
            }
            _ = pings.tick() => sink.send(Message::Ping(bytes::Bytes::new())).await,
        };
        if written.is_err() {
            return;
        }
    }
    let _ = sink.send(Message::Close(Some(CloseFrame { code: close::DONE, reason: "done".into() }))).await;
    let _ = sink.close().await;
}

async fn write_batch(
    sink: &mut SplitSink<WebSocket, Message>,
    batch: &mut Vec<Message>,
) -> Result<(), axum::Error> {
    for message in batch.drain(..) {
        sink.feed(message).await?;
    }
    sink.flush().await
}

/// Writes down what the session's turn machine is told, if that is wanted.
fn recorder(config: &Config, hello: &Hello, settings: &Settings) -> Option<Recorder> {
    let made = config.record.then(|| Recorder::create(&config.record_dir, &hello.session_id, &settings.turn));
    made.and_then(|made| {
        made.inspect_err(|error| tracing::error!("this session is not recorded: {error}")).ok()
    })
}

fn close_code(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        CloseReason::Idle => (close::DONE, "idle"),
        CloseReason::TooLong => (close::DONE, "session maximum"),
        CloseReason::Restart => (close::RESTART, "restart"),
        CloseReason::Replaced => (close::DONE, "replaced"),
        CloseReason::Fault => (close::FAULT, "fault"),
        CloseReason::HungUp => (close::DONE, "hung up"),
    }
}

fn is_too_big(error: &axum::Error) -> bool {
    let inner = std::error::Error::source(error);
    let inner = inner.and_then(|inner| inner.downcast_ref::<tungstenite::Error>());
    matches!(inner, Some(tungstenite::Error::Capacity(_)))
}
