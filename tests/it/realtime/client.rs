//! A client of `/v1/realtime` that sends and reads plain JSON: no types of ours between it and the wire.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use vivavoce::audio::{pcm, resample};

use crate::e2e::person::spoken;
use crate::harness::TestServer;

/// One message of the microphone: 20 ms at 24 kHz.
const MESSAGE_SAMPLES: usize = 480;
/// Nothing in these tests takes so long, on any machine.
const LIMIT: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Somebody at the Realtime API, with a paced microphone once it is on.
pub struct Client {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    /// When the microphone went on, and the messages that it has sent.
    microphone: Option<(Instant, u32)>,
    speech: Vec<i16>,
    said: usize,
    /// The session's id and resume token.
    pub keys: (String, String),
    /// Everything that came.
    pub events: Vec<Value>,
    /// How the server ended it.
    pub closed: Option<CloseFrame>,
}

impl Client {
    /// Connects, and reads `session.created`.
    pub async fn connect(server: &TestServer) -> Client {
        let mut client =
            Client::open(&format!("ws://{}/v1/realtime?model=gpt-realtime", server.address)).await;
        client.until("session.created").await;
        client
    }

    /// Connects.
    pub async fn open(url: &str) -> Client {
        let (socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let keys = (header("x-vivavoce-session-id"), header("x-vivavoce-resume-token"));
        let (sink, stream) = socket.split();
        Client {
            sink,
            stream,
            microphone: None,
            speech: Vec::new(),
            said: 0,
            keys,
            events: Vec::new(),
            closed: None,
        }
    }

    /// Says goodbye.
    pub async fn leave(&mut self) {
        self.sink.send(Message::Close(None)).await.unwrap();
    }

    /// The same, with these settings.
    pub async fn with(server: &TestServer, session: Value) -> Client {
        let mut client = Client::connect(server).await;
        client.update(session).await;
        client
    }

    /// Sends an event.
    pub async fn send(&mut self, event: Value) {
        self.sink.send(Message::Text(event.to_string().into())).await.unwrap();
    }

    /// Sends what may be no event.
    pub async fn send_raw(&mut self, message: Message) {
        self.sink.send(message).await.unwrap();
    }

    /// Changes the session, and gives its echo.
    pub async fn update(&mut self, mut session: Value) -> Value {
        session["type"] = json!("realtime");
        self.send(json!({"type": "session.update", "session": session})).await;
        self.until("session.updated").await["session"].clone()
    }

    /// Puts a text into the conversation.
    pub async fn write(&mut self, role: &str, text: &str) -> Value {
        let kind = if role == "assistant" { "output_text" } else { "input_text" };
        let item = json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
        self.send(json!({"type": "conversation.item.create", "item": item})).await;
        self.until("conversation.item.done").await["item"].clone()
    }

    /// Asks for a response.
    pub async fn respond(&mut self, response: Value) {
        self.send(json!({"type": "response.create", "response": response})).await;
    }

    /// Says this from now on, in real time, while events are awaited; then is silent.
    pub fn say(&mut self, text: &str) {
        self.say_samples(&spoken(text));
    }

    /// The same of a recording (16 kHz).
    pub fn say_samples(&mut self, samples: &[i16]) {
        let samples = pcm::f32s_from_i16s(samples);
        self.speech = pcm::i16s_from_f32s(&resample::resample(&samples, 16_000, 24_000).unwrap());
        self.said = 0;
        self.microphone.get_or_insert((Instant::now(), 0));
    }

    /// Sends all of it at once, with no microphone.
    pub async fn upload(&mut self, text: &str) {
        let samples = pcm::f32s_from_i16s(&spoken(text));
        let samples = pcm::i16s_from_f32s(&resample::resample(&samples, 16_000, 24_000).unwrap());
        for piece in samples.chunks(4_800) {
            self.append(&pcm::bytes_from_samples(piece)).await;
        }
    }

    /// Sends bytes of audio.
    pub async fn append(&mut self, bytes: &[u8]) {
        let audio = STANDARD.encode(bytes);
        self.send(json!({"type": "input_audio_buffer.append", "audio": audio})).await;
    }

    /// Goes on until an event of this type comes.
    pub async fn until(&mut self, kind: &str) -> Value {
        self.until_such(kind, |_| true).await
    }

    /// Goes on until an event of this type comes that `wanted` accepts.
    pub async fn until_such(&mut self, kind: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let give_up = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < give_up, "no {kind} came: {:#?}", self.order());
            match self.next().await {
                Some(event) if event["type"] == kind && wanted(&event) => return event,
                Some(_) => {}
                None => panic!("the server went away before {kind}: {:?} {:#?}", self.closed, self.order()),
            }
        }
    }

    /// The microphone goes on for so long.
    pub async fn wait(&mut self, ms: u64) {
        let until = Instant::now() + Duration::from_millis(ms);
        while let Ok(Some(_)) = tokio::time::timeout_at(until, self.next()).await {}
    }

    /// The next event; `None` when the server has closed the socket.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let due = self.microphone.map(|(began, sent)| began + sent * Duration::from_millis(20));
            tokio::select! {
                biased;
                () = async { tokio::time::sleep_until(due.unwrap()).await }, if due.is_some() => {
                    self.send_microphone().await;
                }
                message = self.stream.next() => match message?.ok()? {
                    Message::Text(text) => {
                        assert!(text.len() < 1 << 20, "a frame of {} bytes", text.len());
                        let event: Value = serde_json::from_str(&text).unwrap();
                        self.events.push(event.clone());
                        return Some(event);
                    }
                    Message::Close(frame) => {
                        self.closed = frame;
                        return None;
                    }
                    _ => {}
                },
            }
        }
    }

    async fn send_microphone(&mut self) {
        let end = (self.said + MESSAGE_SAMPLES).min(self.speech.len());
        let mut samples = self.speech[self.said.min(end)..end].to_vec();
        samples.resize(MESSAGE_SAMPLES, 0);
        self.said = (self.said + MESSAGE_SAMPLES).min(self.speech.len());
        if let Some((_, sent)) = &mut self.microphone {
            *sent += 1;
        }
        self.append(&pcm::bytes_from_samples(&samples)).await;
    }

    /// The types of what came, runs of the same as one.
    pub fn order(&self) -> Vec<&str> {
        let mut order: Vec<&str> = self.events.iter().filter_map(|event| event["type"].as_str()).collect();
        order.dedup();
        order
    }

    /// The types of what came from this event on.
    pub fn order_from(&self, kind: &str) -> Vec<&str> {
        let order = self.order();
        let from = order.iter().position(|found| *found == kind).unwrap();
        order[from..].to_vec()
    }

    /// All audio of a response.
    pub fn audio(&self, response_id: &Value) -> Vec<u8> {
        let of_response = self.events.iter().filter(|event| {
            event["type"] == "response.output_audio.delta" && event["response_id"] == *response_id
        });
        of_response.flat_map(|event| STANDARD.decode(event["delta"].as_str().unwrap()).unwrap()).collect()
    }

    /// What was said in a response, by its deltas.
    pub fn said(&self, kind: &str, response_id: &Value) -> String {
        let of_response =
            self.events.iter().filter(|event| event["type"] == kind && event["response_id"] == *response_id);
        of_response.map(|event| event["delta"].as_str().unwrap()).collect()
    }

    /// An item, as the server has it now.
    pub async fn retrieve(&mut self, item_id: &Value) -> Value {
        self.send(json!({"type": "conversation.item.retrieve", "item_id": item_id})).await;
        self.until("conversation.item.retrieved").await["item"].clone()
    }
}
