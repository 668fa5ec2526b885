//! What the fuzz targets are fed with (`fuzz/seeds`), and mutations of it, over real sockets: the server
//! stays well, and so does somebody who talks with it meanwhile.
//!
//! The mutations follow from a seed, which is printed: repeat them with `PROPTEST_RNG_SEED=…`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{SinkExt, StreamExt};
use reqwest::multipart::{Form, Part};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use vivavoce::client::Connection;
use vivavoce::turn::io::Outcome;

use crate::e2e::person::{Person, spoken, wait_until};
use crate::harness::TestServer;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
/// Mutations of each target's seeds.
const MUTATIONS: usize = 200;
/// Inputs on one connection.
const A_CONNECTION: usize = 32;
/// The extensions that the first byte of a recording stands for, as its fuzz target has them.
const EXTENSIONS: [&str; 6] = ["wav", "mp3", "flac", "ogg", "m4a", "webm"];
/// The server closes a socket so when it has failed itself.
const FAULT: u16 = 1011;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_harm_neither_the_server_nor_who_talks_with_it() {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("PROPTEST_RNG_SEED={seed}");
    let mut mutator = Mutator(seed);
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["what time is it".into()];
        config.scripted.replies = vec!["It is noon.".into()];
        // The limits would save the server from most of it.
        config.limits.requests_per_minute = 0;
        config.limits.resume_grace_ms = 50;
        config.limits.audio_seconds_per_hour = 0;
        config.limits.messages_per_second = 1_000_000;
        config.limits.audio_speed = 1e6;
        config.limits.bad_messages = 1_000_000;
    });
    let enough = Arc::new(AtomicBool::new(false));
    let friend = tokio::spawn(talk(server.connect().await, Arc::clone(&enough)));

    let url = |path: &str| format!("ws://{}{path}", server.address);
    on_a_socket(&url("/ws/chat"), &mutator.inputs("chat_message")).await;
    on_a_socket(&url("/v1/realtime"), &mutator.inputs("realtime_event")).await;
    crate::tls();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = || http.post(format!("http://{}/v1/audio/transcriptions", server.address));
    for input in mutator.inputs("multipart") {
        let request = request().header("content-type", "multipart/form-data; boundary=b");
        let status = request.body(input.clone()).send().await.unwrap().status();
        assert!(!status.is_server_error(), "{status}: {}", input.escape_ascii());
    }
    for input in mutator.inputs("recording") {
        let Some((first, recording)) = input.split_first() else { continue };
        let name = EXTENSIONS.get(usize::from(*first)).map_or_else(String::new, |end| format!("a.{end}"));
        let form = Form::new().part("file", Part::bytes(recording.to_vec()).file_name(name));
        let status = request().multipart(form).send().await.unwrap().status();
        assert!(!status.is_server_error(), "{status}: {}", input.escape_ascii());
    }

    enough.store(true, Ordering::Relaxed);
    let turns = friend.await.unwrap();
    println!("{turns} turns went well meanwhile");
    // Nothing of them is left, and there is room for the next.
    wait_until(|| server.server.admission.open_sessions() == 0).await;
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    server.stop();
}

/// Turn after turn, until it is enough: each is heard and answered as if nobody else were there.
async fn talk(connection: Connection, enough: Arc<AtomicBool>) -> u64 {
    let question = tokio::task::spawn_blocking(|| spoken("what time is it please")).await.unwrap();
    let mut person = Person::new(connection);
    loop {
        person.say(&question);
        let (turn, outcome) = person.until_turn_end().await;
        assert_eq!(outcome, Outcome::Completed, "{:#?}", person.log());
        assert_eq!((person.transcript(turn), person.reply(turn)), ("what time is it", "It is noon."));
        let audio_ms = person.audio(turn).len() / 24;
        assert_eq!(audio_ms, 60 * "It is noon.".len(), "{:#?}", person.log());
        if enough.load(Ordering::Relaxed) {
            person.hang_up().await;
            return turn;
        }
    }
}

/// Each connection ends with a goodbye that blames nobody, or the stranger.
async fn on_a_socket(url: &str, inputs: &[Vec<u8>]) {
    for group in inputs.chunk_by(|one, _| is_text(one)).flat_map(|group| group.chunks(A_CONNECTION)) {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let reading = tokio::spawn(async move {
            loop {
                match stream.next().await {
                    Some(Ok(Message::Close(frame))) => return Some(frame.map_or(1_005, |f| f.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None::<u16>,
                }
            }
        });
        for input in group {
            let frame = Frame::message(input.clone(), OpCode::Data(Data::Text), true);
            if sink.send(Message::Frame(frame)).await.is_err() {
                break;
            }
        }
        let _ = sink.close().await;
        let code = reading.await.unwrap();
        // Bytes that are no text break the protocol; the server may hang up.
        let may_hang_up = !group.iter().all(|input| is_text(input));
        let sent: Vec<_> = group.iter().map(|input| input.escape_ascii().to_string()).collect();
        assert!(code != Some(FAULT) && (code.is_some() || may_hang_up), "{code:?} after {sent:#?}");
    }
}

fn is_text(input: &[u8]) -> bool {
    std::str::from_utf8(input).is_ok()
}

/// SplitMix64 (Steele, Lea, Flood 2014), as good as any for this.
struct Mutator(u64);

impl Mutator {
    /// The seeds of a target, and mutations of them.
    fn inputs(&mut self, target: &str) -> Vec<Vec<u8>> {
        let mut paths: Vec<_> = std::fs::read_dir(Path::new(SEEDS).join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let mut inputs: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let seeds = inputs.len();
        for _ in 0..MUTATIONS {
            let mutation = self.mutation(&inputs[..seeds]);
            inputs.push(mutation);
        }
        inputs
    }

    fn mutation(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        /// What parsers stumble over.
        const TOKENS: [&[u8]; 12] = [
            b"null",
            b"-1",
            b"1e999",
            b"18446744073709551616",
            b"[[[[[[[[",
            b"\"\\ud800\"",
            b"{\"type\":",
            b"\xff\xfe",
            b"\0\0\0\0",
            b"\r\n--b\r\n",
            b"\xff\xff\xff\x7f",
            b"\"\"",
        ];
        let mut input = self.choose(seeds).clone();
        for _ in 0..=self.below(5) {
            let (from, to) = (self.below(input.len() + 1), self.below(input.len() + 1));
            let range = from.min(to)..from.max(to);
            match self.below(6) {
                0 => drop(input.drain(range)),
                1 => input.extend_from_within(range),
                2 => drop(input.splice(range.start..range.start, self.choose(&TOKENS).iter().copied())),
                3 => drop(input.splice(range, self.choose(&TOKENS).iter().copied())),
                4 => {
                    let other = self.choose(seeds);
                    input.truncate(range.start);
                    input.extend_from_slice(&other[range.start.min(other.len())..]);
                }
                _ => {
                    if let Some(byte) = input.get_mut(from) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        input
    }

    fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
