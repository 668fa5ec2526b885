//! An OpenAI-compatible server in this process that answers as a test wants it to.
//!
//! Its runtime has a thread of its own. What it does can be waited for: channels tell when a request
//! has come, when an answer stalls and when the client has left one. Nothing is delayed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::serve::ListenerExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// A request as the server got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Counts requests of this path, from 1.
    pub number: usize,
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    pub headers: HeaderMap,
    /// `Null` if there was no JSON.
    pub body: Value,
    /// The same as it came.
    pub bytes: Bytes,
}

/// What happens next in an answer's body.
#[derive(Debug, Clone)]
pub enum Step {
    Send(Bytes),
    /// Nothing comes before the test says so.
    Await(Arc<Notify>),
    /// Nothing more comes; the client has to leave.
    Stall,
    /// The connection breaks.
    Break,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<Step>,
    /// Not even the head comes.
    pub stalls_at_once: bool,
}

impl Answer {
    /// A body in one piece.
    pub fn plain(status: u16, body: impl Into<Bytes>) -> Answer {
        Answer { status, headers: vec![], body: vec![Step::Send(body.into())], stalls_at_once: false }
    }

    /// Status 200 and a stream, one HTTP chunk per piece.
    pub fn stream<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>) -> Answer {
        let body = pieces.into_iter().map(|piece| Step::Send(piece.into())).collect();
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        Answer { status: 200, headers, body, stalls_at_once: false }
    }

    /// A whole reply of these tokens, well ended, with usage.
    pub fn reply(tokens: &[&str]) -> Answer {
        let begin = delta(json!({"role": "assistant", "content": ""}));
        let tokens = tokens.iter().map(|token| delta(json!({"content": token})));
        Answer::stream([begin].into_iter().chain(tokens).chain([stop(), usage(12, 5), done()]))
    }

    /// Text, then calls of tools: id, name, arguments.
    pub fn calls(text: &str, calls: &[(&str, &str, &str)]) -> Answer {
        let text = (!text.is_empty()).then(|| delta(json!({"content": text})));
        let calls = calls.iter().enumerate().map(|(index, (id, name, arguments))| {
            let function = json!({"name": name, "arguments": arguments});
            delta(
                json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
            )
        });
        let end = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
        Answer::stream(text.into_iter().chain(calls).chain([end, done()]))
    }

    pub fn models(names: &[&str]) -> Answer {
        let list: Vec<Value> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
        Answer::plain(200, json!({"object": "list", "data": list}).to_string())
    }

    /// A refusal in OpenAI's shape.
    pub fn error(status: u16, message: &str) -> Answer {
        Answer::plain(status, json!({"error": {"message": message, "code": null}}).to_string())
    }

    pub fn silence() -> Answer {
        Answer { stalls_at_once: true, ..Answer::plain(200, "") }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Answer {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn then(mut self, step: Step) -> Answer {
        self.body.push(step);
        self
    }
}

/// An event with this delta.
pub fn delta(delta: Value) -> String {
    event(
        &json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
    )
}

/// The event with which a model stops.
pub fn stop() -> String {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
}

pub fn usage(prompt_tokens: u32, completion_tokens: u32) -> String {
    event(
        &json!({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}}),
    )
}

pub fn done() -> String {
    "data: [DONE]\n\n".to_owned()
}

pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// The running server; it ends when this is dropped.
pub struct StubLlm {
    /// Base URL with `/v1`, for `llm.url`.
    pub url: String,
    /// Each request, before its answer.
    pub asked: mpsc::Receiver<Asked>,
    /// A message for each answer that has come to its stall.
    pub stalled: mpsc::Receiver<()>,
    /// A message for each answer that the client left before its end.
    pub left: mpsc::Receiver<()>,
    connections: Arc<AtomicUsize>,
    _end: tokio::sync::oneshot::Sender<Infallible>,
}

struct Script {
    answer: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
    chats: AtomicUsize,
    others: AtomicUsize,
    asked: mpsc::Sender<Asked>,
    stalled: mpsc::Sender<()>,
    left: mpsc::Sender<()>,
}

impl StubLlm {
    /// Answers every request as `answer` says.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> StubLlm {
        let ((asked, has_asked), (stalled, has_stalled), (left, has_left)) =
            (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let (chats, others) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let script = Arc::new(Script { answer: Box::new(answer), chats, others, asked, stalled, left });
        let connections = Arc::new(AtomicUsize::new(0));
        let (end, ended) = tokio::sync::oneshot::channel();

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let counter = Arc::clone(&connections);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap().tap_io(move |socket| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    socket.set_nodelay(true).unwrap();
                });
                let app = axum::Router::new().fallback(move |request| respond(Arc::clone(&script), request));
                tokio::select! {
                    served = axum::serve(listener, app) => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        StubLlm { url, asked: has_asked, stalled: has_stalled, left: has_left, connections, _end: end }
    }

    /// Answers every chat with these tokens at once, and lists one model, `stub`.
    pub fn saying(tokens: &'static [&'static str]) -> StubLlm {
        StubLlm::start(move |asked| match asked.path.as_str() {
            "/v1/models" => Answer::models(&["stub"]),
            _ => Answer::reply(tokens),
        })
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that have come since the last look.
    pub fn take_asked(&self) -> Vec<Asked> {
        self.asked.try_iter().collect()
    }
}

async fn respond(script: Arc<Script>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap_or_default();
    let path = head.uri.path().to_owned();
    let counter = if path.ends_with("/chat/completions") { &script.chats } else { &script.others };
    let asked = Asked {
        number: counter.fetch_add(1, Ordering::SeqCst) + 1,
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        bytes: body,
    };
    let answer = (script.answer)(&asked);
    // A test that no longer listens is no fault.
    let _ = script.asked.send(asked);

    // Dropped unfinished, with this future or with the body that it moves into: the client has left.
    let mut leaving = Leaving(Some(script.left.clone()));
    if answer.stalls_at_once {
        let _ = script.stalled.send(());
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let mut steps = answer.body.into_iter();
    let stalled = script.stalled.clone();
    let body = stream::unfold((), move |()| {
        let step = steps.next();
        if step.is_none() {
            leaving.stays();
        }
        let stalled = stalled.clone();
        async move {
            match step? {
                Step::Send(bytes) => Some((Ok(bytes), ())),
                Step::Await(signal) => {
                    signal.notified().await;
                    Some((Ok(Bytes::new()), ()))
                }
                Step::Break => {
                    // What was sent before is written out while this waits; an error would discard it.
                    tokio::task::yield_now().await;
                    Some((Err(std::io::Error::other("as the test wants it")), ()))
                }
                Step::Stall => {
                    let _ = stalled.send(());
                    std::future::pending().await
                }
            }
        }
    });
    response.body(Body::from_stream(body)).unwrap()
}

/// Tells when it is dropped, unless the client stayed to the end.
struct Leaving(Option<mpsc::Sender<()>>);

impl Leaving {
    fn stays(&mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            let _ = left.send(());
        }
    }
}
