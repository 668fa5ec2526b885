//! The engines over HTTP, as OpenAI's clients ask for them: with scripted engines, with real ones, and with
//! the official client.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use vivavoce::audio::{decode, mp3};
use vivavoce::config::{AuthMode, Config};
use vivavoce::conversation::{NewToken, Scope};
use vivavoce::engines::workers::LlmWork;
use vivavoce::engines::{CancelToken, LlmRequest, LlmState};

use crate::e2e::person::wait_until;
use crate::harness::TestServer;

/// Where `scripts/setup-clients.sh` puts the Python packages.
const PYTHON_PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/python");
const PYTHON_TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python");

fn start(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.vad.engine = "scripted".to_owned();
        configure(config);
    })
}

fn http() -> reqwest::Client {
    crate::tls();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn url(server: &TestServer, path: &str) -> String {
    format!("http://{}/v1{path}", server.address)
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Response {
    http().post(url(server, path)).json(body).send().await.unwrap()
}

/// The status, the parameter and the message of a refusal.
async fn refused(response: Response) -> (u16, Value, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let error = &body["error"];
    (status, error["param"].clone(), error["message"].as_str().unwrap_or_default().to_owned())
}

/// The data of all events.
async fn events(response: Response) -> Vec<String> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

fn hello() -> Value {
    json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
}

#[tokio::test]
async fn an_engine_that_cannot_be_bound_refuses_what_binds_it() {
    let server = start(|_| {});
    let request = json!({"messages": hello(), "response_format": {"type": "json_object"}});
    let (status, _, message) = refused(post(&server, "/chat/completions", &request).await).await;
    assert_eq!(status, 400);
    assert!(message.contains("the engine `scripted` cannot be bound"), "{message}");
    server.stop();
}

#[tokio::test]
async fn models_are_those_that_are_loaded() {
    let server = start(|config| config.tts.engine = "flite".to_owned());
    let models: Value = http().get(url(&server, "/models")).send().await.unwrap().json().await.unwrap();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &models["object"]), (vec!["scripted", "flite"], &json!("list")));
    let one: Value = http().get(url(&server, "/models/flite")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&one["id"], &one["object"]), (&json!("flite"), &json!("model")));
    let (status, _, message) =
        refused(http().get(url(&server, "/models/gpt-4o")).send().await.unwrap()).await;
    assert_eq!(status, 404);
    assert!(message.contains("there is scripted, flite"), "{message}");
    server.stop();
}

#[tokio::test]
async fn a_chat_is_answered_whole_or_in_pieces() {
    let server = start(|config| config.scripted.replies = vec!["One two three four.".to_owned()]);
    let body = json!({"model": "gpt-4o", "messages": hello()});
    let whole: Value = post(&server, "/chat/completions", &body).await.json().await.unwrap();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "scripted", "who has answered, not who was asked");
    let choice = &whole["choices"][0];
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "One two three four.", "refusal": null})
    );
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(whole["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));

    let body = json!({"messages": hello(), "max_completion_tokens": 2});
    let short: Value = post(&server, "/chat/completions", &body).await.json().await.unwrap();
    assert_eq!(short["choices"][0]["message"]["content"], "One two ");
    assert_eq!(short["choices"][0]["finish_reason"], "length");

    let body = json!({"messages": hello(), "stream": true, "stream_options": {"include_usage": true}});
    let events = events(post(&server, "/chat/completions", &body).await).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "One two three four.");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["object"] == "chat.completion.chunk")
    );
    let [.., finish, usage] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(7)));
    server.stop();
}

#[tokio::test]
async fn a_tool_is_called_and_its_answer_is_read() {
    let server = start(|config| {
        config.scripted.replies =
            vec!["{call stock {\"article\": \"tea\"}}".to_owned(), "There are {tool}.".to_owned()];
    });
    let tools =
        json!([{"type": "function", "function": {"name": "stock", "parameters": {"type": "object"}}}]);
    let body = json!({"messages": hello(), "tools": tools});
    let called: Value = post(&server, "/chat/completions", &body).await.json().await.unwrap();
    let choice = &called["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &Value::Null)
    );
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("stock")));
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"article": "tea"}));

    let mut messages = hello();
    let messages_of = messages.as_array_mut().unwrap();
    messages_of.push(choice["message"].clone());
    messages_of.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "seven"}));
    let body = json!({"messages": messages, "tools": tools});
    let answered: Value = post(&server, "/chat/completions", &body).await.json().await.unwrap();
    assert_eq!(answered["choices"][0]["message"]["content"], "There are seven.");

    let body = json!({"messages": hello(), "tools": tools, "stream": true});
    let events = events(post(&server, "/chat/completions", &body).await).await;
    let call = events.iter().find(|event| event.contains("tool_calls\":[")).unwrap();
    let call: Value = serde_json::from_str(call).unwrap();
    let call = &call["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&call["index"], &call["function"]["name"]), (&json!(0), &json!("stock")));
    assert!(events.iter().any(|event| event.contains("\"finish_reason\":\"tool_calls\"")), "{events:?}");
    server.stop();
}

#[tokio::test]
async fn a_client_that_goes_frees_the_model() {
    let server = start(|config| {
        config.llm.workers = 1;
        config.scripted.llm_token_ms = 5_000;
        config.scripted.replies = vec!["and on ".repeat(200), "short".to_owned()];
    });
    let body = json!({"messages": hello(), "stream": true});
    let mut streaming = post(&server, "/chat/completions", &body).await.bytes_stream();
    streaming.next().await.unwrap().unwrap();
    drop(streaming);
    // The only worker would be busy for half an hour.
    let body = json!({"messages": hello()});
    let answer = post(&server, "/chat/completions", &body);
    let answer = tokio::time::timeout(Duration::from_secs(120), answer).await.expect("the worker is free");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "short");
    server.stop();
}

#[tokio::test]
async fn a_server_that_stops_lets_replies_finish() {
    let server = start(|config| {
        config.server.drain_ms = 120_000;
        config.scripted.llm_token_ms = 100;
        config.scripted.replies = vec!["word ".repeat(20)];
    });
    let streaming = post(&server, "/chat/completions", &json!({"messages": hello(), "stream": true})).await;
    let stopped = tokio::task::spawn_blocking(move || server.stop());
    let told = events(streaming).await;
    assert_eq!(told.last().unwrap(), "[DONE]");
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_saturated_server_says_when_to_come_back() {
    let server = start(|config| {
        config.limits.sessions = 1;
        config.llm.workers = 1;
        config.scripted.llm_first_token_ms = 600_000;
    });
    let cancel = CancelToken::new();
    let work = || LlmWork {
        request: LlmRequest::default(),
        state: LlmState::default(),
        cancel: cancel.clone(),
        sink: Box::new(|_| ControlFlow::Continue(())),
        done: Box::new(|_| {}),
    };
    let engines = &server.server.engines;
    // One at work, and then as many as may wait.
    engines.llm.submit(work()).unwrap();
    wait_until(|| engines.llm.queued() == 0).await;
    while engines.llm.submit(work()).is_ok() {}
    let refused = post(&server, "/chat/completions", &json!({"messages": hello()})).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.unwrap();
    assert!(body["error"]["message"].as_str().unwrap().contains("llm queue is full"), "{body}");
    cancel.cancel();
    server.stop();
}

#[tokio::test]
async fn a_failing_engine_is_named() {
    let server = start(|config| {
        config.scripted.failures = vec!["llm@1".into(), "llm-mid@2".into(), "tts@1".into(), "asr@1".into()];
    });
    let (status, _, message) =
        refused(post(&server, "/chat/completions", &json!({"messages": hello()})).await).await;
    assert!(status == 500 && message.contains("scripted"), "{status} {message}");
    // In the middle of a stream all that is left is an event.
    let body = json!({"messages": hello(), "stream": true});
    let told = events(post(&server, "/chat/completions", &body).await).await;
    assert!(told.last().unwrap().contains("\"type\":\"server_error\""), "{told:?}");
    let body = json!({"input": "Hello.", "response_format": "pcm"});
    assert_eq!(post(&server, "/audio/speech", &body).await.status(), 500);
    assert_eq!(transcribe(&server, sounds(&[true]), &[]).await.status(), 500);
    server.stop();
}

async fn spoken(server: &TestServer, body: Value) -> (String, Bytes) {
    let answer = post(server, "/audio/speech", &body).await;
    assert_eq!(answer.status(), 200, "{body}");
    (answer.headers()["content-type"].to_str().unwrap().to_owned(), answer.bytes().await.unwrap())
}

#[tokio::test]
async fn a_text_is_spoken_in_every_format() {
    let server = start(|config| config.scripted.tts_ms_per_char = 20);
    // Two segments of 13 and 18 characters: the space between them is in neither.
    let input = "**One** two three. Four five six seven.";
    let samples = (14 + 20) * 20 * 24;
    let (mime, pcm) =
        spoken(&server, json!({"input": input, "voice": "alloy", "response_format": "pcm"})).await;
    assert_eq!((mime.as_str(), pcm.len()), ("audio/pcm", samples * 2));
    let (mime, wav) = spoken(&server, json!({"input": input, "response_format": "wav"})).await;
    assert_eq!((mime.as_str(), wav.len()), ("audio/wav", 44 + samples * 2));
    assert_eq!(&wav[44..], &pcm[..]);
    let (_, fast) = spoken(&server, json!({"input": input, "response_format": "pcm", "speed": 2.0})).await;
    assert_eq!(fast.len(), samples);

    let length = |file: Bytes| decode::decode(file, None, 24_000, 60).unwrap().len();
    assert_eq!(length(wav), samples);
    let (mime, opus) = spoken(&server, json!({"input": input, "response_format": "opus"})).await;
    assert_eq!(mime, "audio/ogg");
    assert!(opus.len() < pcm.len() / 5);
    assert!(length(opus).abs_diff(samples) < 1_200);
    // What stock clients ask for by saying nothing.
    if mp3::Mp3::is_available() {
        let (mime, mp3) = spoken(&server, json!({"input": input})).await;
        assert_eq!(mime, "audio/mpeg");
        assert!(length(mp3).abs_diff(samples) < 3_600);
    } else {
        let (status, param, message) =
            refused(post(&server, "/audio/speech", &json!({"input": input})).await).await;
        assert_eq!((status, param), (400, json!("response_format")));
        assert!(message.contains("there are opus, wav and pcm"), "{message}");
    }
    server.stop();
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused() {
    let server = start(|config| config.turn.max_reply_chars = 500);
    for (body, wrong) in [
        (json!({"input": " \n"}), "input"),
        (json!({"input": "x".repeat(501)}), "input"),
        (json!({"input": "Hello", "response_format": "flac"}), "response_format"),
        (json!({"input": "Hello", "speed": 9}), "speed"),
        (json!({"input": "Hello", "stream_format": "sse"}), "stream_format"),
    ] {
        let mut body = body;
        if body["response_format"].is_null() {
            body["response_format"] = json!("pcm");
        }
        let (status, param, message) = refused(post(&server, "/audio/speech", &body).await).await;
        assert_eq!((status, &param), (400, &json!(wrong)), "{body}: {message}");
    }
    let broken = http().post(url(&server, "/audio/speech")).body("{\"input\": 7}").send().await.unwrap();
    let (status, param, message) = refused(broken).await;
    assert_eq!((status, param), (400, json!("input")), "{message}");
    server.stop();
}

/// A WAV file at 24 kHz of loud and silent seconds: what the scripted VAD takes for speech, and what not.
fn sounds(loud: &[bool]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::new(&mut file, spec).unwrap();
    for loud in loud {
        for n in 0..24_000 {
            let sample = if *loud { (f32::from(n as i16) * 0.1).sin() * 9_000.0 } else { 0.0 };
            wav.write_sample(sample as i16).unwrap();
        }
    }
    wav.finalize().unwrap();
    file.into_inner()
}

async fn transcribe(server: &TestServer, file: Vec<u8>, fields: &[(&'static str, &'static str)]) -> Response {
    let form = Form::new().part("file", Part::bytes(file).file_name("said.wav"));
    let form =
        fields.iter().fold(form.text("model", "whisper-1"), |form, (name, value)| form.text(*name, *value));
    http().post(url(server, "/audio/transcriptions")).multipart(form).send().await.unwrap()
}

/// Two utterances, each a second long, a second of silence between them.
const TWO: [bool; 5] = [false, true, false, true, false];

fn two_utterances() -> TestServer {
    start(|config| config.scripted.transcripts = vec!["First words.".to_owned(), "And more.".to_owned()])
}

#[tokio::test]
async fn a_recording_becomes_words_with_times_in_every_format() {
    let server = two_utterances();
    let json: Value = transcribe(&server, sounds(&TWO), &[]).await.json().await.unwrap();
    assert_eq!(json["text"], "First words. And more.");
    assert_eq!(json["usage"], json!({"type": "duration", "seconds": 5.0}));

    let verbose =
        [("response_format", "verbose_json"), ("language", "en"), ("timestamp_granularities[]", "segment")];
    let verbose: Value = transcribe(&server, sounds(&TWO), &verbose).await.json().await.unwrap();
    assert_eq!((&verbose["language"], &verbose["duration"]), (&json!("en"), &json!(5.0)));
    let segments = verbose["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2);
    for (segment, (text, start, end)) in
        segments.iter().zip([("First words.", 1.0, 2.0), ("And more.", 3.0, 4.0)])
    {
        assert_eq!(segment["text"], text);
        // With the padding before it, and the hangover behind it.
        let (from, to) = (segment["start"].as_f64().unwrap(), segment["end"].as_f64().unwrap());
        assert!((start - 0.4..start).contains(&from) && (end..end + 0.5).contains(&to), "{segment}");
    }
    let text = transcribe(&server, sounds(&TWO), &[("response_format", "text")]).await.text().await.unwrap();
    assert_eq!(text, "First words. And more.\n");
    let srt = transcribe(&server, sounds(&TWO), &[("response_format", "srt")]).await.text().await.unwrap();
    assert!(srt.starts_with("1\n00:00:00,") && srt.contains("\n\n2\n00:00:02,"), "{srt}");
    let vtt = transcribe(&server, sounds(&TWO), &[("response_format", "vtt")]).await.text().await.unwrap();
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00."), "{vtt}");

    let events = events(transcribe(&server, sounds(&TWO), &[("stream", "true")]).await).await;
    let events: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let [first, second, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!(first, &json!({"type": "transcript.text.delta", "delta": "First words."}));
    assert_eq!(second["delta"], " And more.");
    assert_eq!(
        (&done["type"], &done["text"]),
        (&json!("transcript.text.done"), &json!("First words. And more."))
    );
    server.stop();
}

#[tokio::test]
async fn silence_has_no_words_and_speech_to_the_end_has_all() {
    let server = two_utterances();
    let silence: Value = transcribe(&server, sounds(&[false; 3]), &[]).await.json().await.unwrap();
    assert_eq!(silence["text"], "");
    let to_the_end: Value = transcribe(&server, sounds(&[true]), &[]).await.json().await.unwrap();
    assert_eq!(to_the_end["text"], "First words.");
    server.stop();
}

#[tokio::test]
async fn what_is_no_recording_is_refused() {
    let server = start(|config| {
        config.limits.upload_bytes = 300_000;
        config.limits.audio_seconds_per_hour = 5;
    });
    for (file, fields, wrong) in [
        (b"hello".to_vec(), &[][..], "file"),
        (vec![], &[], "file"),
        (sounds(&[true]), &[("response_format", "docx")], "response_format"),
        (sounds(&[true]), &[("language", "English")], "language"),
        (sounds(&[true]), &[("stream", "perhaps")], "stream"),
        (sounds(&[true]), &[("stream", "true"), ("response_format", "srt")], "response_format"),
        (sounds(&[true]), &[("timestamp_granularities[]", "word")], "timestamp_granularities"),
    ] {
        let (status, param, message) = refused(transcribe(&server, file, fields).await).await;
        assert_eq!((status, &param), (400, &json!(wrong)), "{message}");
    }
    let (status, _, message) = refused(transcribe(&server, sounds(&[false; 8]), &[]).await).await;
    assert!(status == 413 && message.contains("limits.upload_bytes"), "{status} {message}");
    let no_form = http().post(url(&server, "/audio/transcriptions")).body("{}").send().await.unwrap();
    assert_eq!(refused(no_form).await.0, 400);
    // Five seconds an hour are allowed.
    assert_eq!(transcribe(&server, sounds(&[false; 4]), &[]).await.status(), 200);
    let more = transcribe(&server, sounds(&[false; 4]), &[]).await;
    assert!(more.headers().contains_key("retry-after"));
    assert_eq!(refused(more).await.0, 429);
    server.stop();
}

fn with_real_engines(config: &mut Config) {
    config.vad.engine = "silero".to_owned();
    config.asr.engine = "pocketsphinx".to_owned();
    config.llm.engine = "local".to_owned();
    config.llm.local.model = "concierge".to_owned();
    config.tts.engine = "flite".to_owned();
    config.persona.facts = vec!["The museum closes at six o'clock.".to_owned()];
}

#[tokio::test]
async fn real_engines_hear_what_they_say() {
    let server = TestServer::start(with_real_engines);
    let input = "When does the museum close? How much is a ticket?";
    let (_, wav) = spoken(&server, json!({"input": input, "response_format": "wav"})).await;
    let heard =
        transcribe(&server, wav.to_vec(), &[("prompt", "The museum closes at six. A ticket is five euros.")]);
    let heard: Value = heard.await.json().await.unwrap();
    let text = heard["text"].as_str().unwrap().to_lowercase();
    assert!(text.contains("museum"), "{text}");

    let body = json!({"messages": [{"role": "user", "content": "Hello, who are you?"}], "temperature": 0});
    let answer: Value = post(&server, "/chat/completions", &body).await.json().await.unwrap();
    assert!(!answer["choices"][0]["message"]["content"].as_str().unwrap().trim().is_empty(), "{answer}");
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{answer}");
    assert_eq!(answer["model"], "concierge");
    server.stop();
}

#[test]
fn the_official_python_client_finds_all_as_it_expects() {
    if !std::path::Path::new(PYTHON_PACKAGES).join("openai").is_dir() {
        println!("skipped: the client is not installed; run scripts/setup-clients.sh");
        return;
    }
    let server = TestServer::start(|config| {
        with_real_engines(config);
        config.auth.mode = AuthMode::Tokens;
    });
    let new = NewToken { name: "a test", scopes: &[Scope::Api, Scope::Realtime], expires_at_unix_us: None };
    let token = server.server.tokens.create(&new).unwrap();
    let ran = Command::new("python3")
        .arg(format!("{PYTHON_TESTS}/http_api.py"))
        .env("PYTHONPATH", PYTHON_PACKAGES)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("OPENAI_BASE_URL", format!("http://{}/v1", server.address))
        .env("OPENAI_API_KEY", token)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{error}");
    assert!(out.contains("all as expected"), "{out}\n{error}");
    server.stop();
}
