//! The engines `openai` for recognition and speech against a server on a real socket, called as worker
//! threads would.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::thread;

use serde_json::json;
use tokio::sync::Notify;
use vivavoce::audio::pcm;
use vivavoce::config;
use vivavoce::engines::openai_http::{OpenAi, OpenAiAsr, OpenAiTts};
use vivavoce::engines::{
    AsrRequest, CancelToken, EngineError, LlmRequest, LlmState, SpeechContext, Transcript, TtsEvent,
    forbid_executor_thread, load_asr, load_tts,
};

use crate::stub_llm::{Answer, Asked, Step, StubLlm};

/// A timeout far beyond any test: what ends earlier was ended by something else.
const MINUTE_MS: u32 = 60_000;

fn asr_config(url: &str) -> config::Asr {
    let openai = config::OpenAiAsr {
        url: url.to_owned(),
        model: "m".into(),
        api_key_env: String::new(),
        ..Default::default()
    };
    config::Asr { timeout_ms: MINUTE_MS, openai, ..Default::default() }
}

fn tts_config(url: &str) -> config::Tts {
    let openai = config::OpenAiTts {
        url: url.to_owned(),
        model: "m".into(),
        api_key_env: String::new(),
        ..Default::default()
    };
    config::Tts { timeout_ms: MINUTE_MS, openai, ..Default::default() }
}

/// Half a second of a tone.
fn utterance() -> Vec<i16> {
    (0..8_000).map(|n| ((f64::from(n) * 0.1).sin() * 8_000.0) as i16).collect()
}

fn hear(config: &config::Asr, request: &AsrRequest<'_>) -> Result<Transcript, EngineError> {
    OpenAiAsr::new(config)?.asr().transcribe(request, &CancelToken::new())
}

type Spoken = (Vec<Vec<f32>>, Result<(), EngineError>);

fn speak(config: &config::Tts, voice: Option<&str>, cancel: &CancelToken) -> Spoken {
    let mut pieces = vec![];
    let sink = &mut |event| {
        // The session's sink may block; that is forbidden inside a runtime.
        forbid_executor_thread("the sink");
        match event {
            TtsEvent::Audio(samples) => pieces.push(samples),
            other => panic!("nobody expects {other:?}"),
        }
        ControlFlow::Continue(())
    };
    let result = OpenAiTts::new(config).unwrap().tts().synthesize("Good day.", voice, cancel, sink);
    (pieces, result)
}

/// PCM in pieces of 8 bytes, and what comes then.
fn pcm_pieces(pieces: usize, end: Step) -> Answer {
    (1..pieces)
        .fold(Answer::plain(200, vec![1; 8]), |answer, _| answer.then(Step::Send(vec![1; 8].into())))
        .then(end)
}

fn speak_once(answer: Answer, edit: impl FnOnce(&mut config::Tts)) -> (Spoken, StubLlm) {
    let stub = StubLlm::start(move |_| answer.clone());
    let mut config = tts_config(&stub.url);
    edit(&mut config);
    (speak(&config, None, &CancelToken::new()), stub)
}

#[track_caller]
fn check_failed<T: std::fmt::Debug>(result: &Result<T, EngineError>, code: &str, message: &[&str]) {
    let error = result.as_ref().expect_err("the call should have failed");
    assert_eq!(error.code(), code, "{error}");
    for words in message {
        assert!(error.to_string().contains(words), "`{words}` is not in: {error}");
    }
}

/// Name → headers and content of each part of a form.
fn form(asked: &Asked) -> BTreeMap<String, (String, Vec<u8>)> {
    let kind = asked.headers["content-type"].to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mut parts = BTreeMap::new();
    let mut rest = &asked.bytes[..];
    while let Some(at) = find(rest, boundary.as_bytes()) {
        rest = &rest[at + boundary.len()..];
        let Some(end) = find(rest, boundary.as_bytes()) else { break };
        let part = &rest[2..end - 2];
        let head_end = find(part, b"\r\n\r\n").expect("a part has a head");
        let head = String::from_utf8(part[..head_end].to_vec()).unwrap();
        let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        parts.insert(name, (head, part[head_end + 4..].to_vec()));
    }
    parts
}

fn field(parts: &BTreeMap<String, (String, Vec<u8>)>, name: &str) -> Option<String> {
    parts.get(name).map(|(_, content)| String::from_utf8(content.clone()).unwrap())
}

fn words(text: &str) -> Answer {
    Answer::plain(200, json!({"text": text}).to_string())
}

#[test]
fn an_utterance_is_sent_as_a_wav_file_and_comes_back_as_words() {
    let stub = StubLlm::start(|_| words(" Guten Tag, Grüezi. "));
    let (pcm, context) = (
        utterance(),
        Arc::new(SpeechContext {
            name: "Ada".into(),
            system_prompt: "Be brief.".into(),
            facts: vec!["Our bread is called Miche.".into()],
        }),
    );
    let request = AsrRequest { pcm: &pcm, language: Some("de"), context: Some(&context) };
    let heard = hear(&asr_config(&stub.url), &request).unwrap();
    assert_eq!(heard, Transcript { text: "Guten Tag, Grüezi.".into(), language: Some("de".into()) });

    let asked = &stub.take_asked()[0];
    assert_eq!(asked.path, "/v1/audio/transcriptions");
    assert!(!asked.headers.contains_key("authorization"));
    let form = form(asked);
    let names: Vec<&str> = form.keys().map(String::as_str).collect();
    assert_eq!(names, ["file", "language", "model", "prompt", "response_format"]);
    assert_eq!(field(&form, "model").as_deref(), Some("m"));
    assert_eq!(field(&form, "language").as_deref(), Some("de"));
    assert_eq!(field(&form, "response_format").as_deref(), Some("json"));
    assert_eq!(field(&form, "prompt").as_deref(), Some("Ada. Our bread is called Miche."));
    let (head, wav) = &form["file"];
    assert!(head.contains("filename=\"speech.wav\"") && head.contains("audio/wav"), "{head}");
    let mut reader = hound::WavReader::new(Cursor::new(wav)).unwrap();
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (16_000, 1));
    assert_eq!(reader.samples::<i16>().map(Result::unwrap).collect::<Vec<_>>(), pcm);
}

#[test]
fn what_is_not_known_is_not_sent() {
    let stub = StubLlm::start(|_| words(""));
    let (pcm, context) = (utterance(), Arc::new(SpeechContext { name: "Ada".into(), ..Default::default() }));
    let mut config = asr_config(&stub.url);
    config.openai.prompt = false;
    let request = AsrRequest { pcm: &pcm, language: None, context: Some(&context) };
    assert_eq!(hear(&config, &request).unwrap(), Transcript::default());
    let form = form(&stub.take_asked()[0]);
    assert!(!form.contains_key("prompt") && !form.contains_key("language"));

    assert_eq!(hear(&config, &AsrRequest::new(&[])).unwrap(), Transcript::default());
    assert!(stub.take_asked().is_empty(), "silence of no length is nobody's work");
}

#[test]
fn the_keys_come_from_the_environment() {
    // A variable that every process of the test runner has.
    let bearer = format!("Bearer {}", std::env::var("PATH").unwrap());
    let stub = StubLlm::start(|_| words("x"));
    let mut config = asr_config(&stub.url);
    config.openai.api_key_env = "PATH".into();
    hear(&config, &AsrRequest::new(&utterance())).unwrap();
    assert_eq!(stub.take_asked()[0].headers["authorization"], bearer);

    let (_, stub) = speak_once(Answer::plain(200, vec![1; 8]), |c| c.openai.api_key_env = "PATH".into());
    assert_eq!(stub.take_asked()[0].headers["authorization"], bearer);
}

#[test]
fn an_answer_without_words_is_an_error_that_shows_it() {
    for (answer, shown) in [
        (Answer::plain(200, "<html>Welcome</html>"), "<html>Welcome</html>"),
        (Answer::plain(200, "{\"text\": \"cut o"), "cut o"),
        (Answer::plain(200, "{\"text\": 7}"), "7"),
        (Answer::plain(200, json!({"error": {"message": "out of memory"}}).to_string()), "out of memory"),
        (Answer::plain(200, vec![b' '; (1 << 20) + 1]), "longer than 1048576 bytes"),
        (Answer::stream(["{\"text\": "]).then(Step::Break), "broke off"),
    ] {
        let stub = StubLlm::start(move |_| answer.clone());
        let result = hear(&asr_config(&stub.url), &AsrRequest::new(&utterance()));
        check_failed(&result, "asr_failed", &[shown, &stub.url]);
        assert_eq!(stub.take_asked().len(), 1, "what an answer holds is not asked for again");
    }
}

#[test]
fn refusals_have_codes_and_remedies() {
    for (status, asr_code, tts_code, remedies) in [
        (401, "asr_refused", "tts_refused", ["asr.openai.api_key_env", "tts.openai.api_key_env"]),
        (404, "asr_bad_request", "tts_bad_request", ["asr.openai.model", "tts.openai.model"]),
        (400, "asr_bad_request", "tts_bad_request", ["asr.openai.model", "tts.openai.voice"]),
        (429, "asr_rate_limited", "tts_rate_limited", ["later", "later"]),
        (500, "asr_failed", "tts_failed", ["log", "log"]),
    ] {
        let stub = StubLlm::start(move |_| Answer::error(status, "no, thank you"));
        let (mut asr, mut tts) = (asr_config(&stub.url), tts_config(&stub.url));
        (asr.openai.retries, tts.openai.retries) = (0, 0);
        let heard = hear(&asr, &AsrRequest::new(&utterance()));
        check_failed(&heard, asr_code, &[&stub.url, "no, thank you", remedies[0]]);
        let (pieces, spoken) = speak(&tts, None, &CancelToken::new());
        check_failed(&spoken, tts_code, &[&stub.url, "no, thank you", remedies[1]]);
        assert!(pieces.is_empty());
    }
}

#[test]
fn a_server_error_is_tried_again_with_the_same_form() {
    let stub = StubLlm::start(|asked| match asked.number {
        1 => Answer::error(503, "busy"),
        _ => words("x"),
    });
    hear(&asr_config(&stub.url), &AsrRequest::new(&utterance())).unwrap();
    let asked = stub.take_asked();
    let files: Vec<_> = asked.iter().map(|asked| form(asked)["file"].1.clone()).collect();
    assert_eq!(files.len(), 2);
    assert_eq!(files[0], files[1]);
}

/// An address where nobody listens: bound once, so that no other test has it, and closed again.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

#[test]
fn servers_that_are_not_there_are_named_and_may_come_later() {
    let url = nobody();
    let mut config = config::Config { asr: asr_config(&url), tts: tts_config(&url), ..Default::default() };
    (config.asr.engine, config.tts.engine) = ("openai".into(), "openai".into());
    (config.asr.openai.retries, config.tts.openai.retries) = (0, 0);
    let heard = load_asr(&config).unwrap().transcribe(&AsrRequest::new(&utterance()), &CancelToken::new());
    check_failed(&heard, "asr_unreachable", &[&url, "refused", "asr.openai.url"]);
    let sink = &mut |_| ControlFlow::Continue(());
    let spoken = load_tts(&config).unwrap().synthesize("Hello.", None, &CancelToken::new(), sink);
    check_failed(&spoken, "tts_unreachable", &[&url, "refused", "tts.openai.url"]);
}

#[test]
fn an_address_that_is_none_is_named_by_its_key() {
    check_failed(
        &OpenAiAsr::new(&asr_config("nowhere")).map(drop),
        "engine_load_failed",
        &["asr.openai.url"],
    );
    check_failed(
        &OpenAiTts::new(&tts_config("nowhere")).map(drop),
        "engine_load_failed",
        &["tts.openai.url"],
    );
}

#[test]
fn speech_is_asked_for_as_configured() {
    let pcm = || Answer::plain(200, vec![1; 8]);
    let (_, stub) = speak_once(pcm(), |_| {});
    let asked = &stub.take_asked()[0];
    assert_eq!(
        (asked.path.as_str(), &asked.headers["content-type"]),
        ("/v1/audio/speech", &"application/json".parse().unwrap())
    );
    let expected = json!({"model": "m", "input": "Good day.", "voice": "alloy", "response_format": "pcm"});
    assert_eq!(asked.body, expected);

    let stub = StubLlm::start(move |_| pcm());
    let mut config = tts_config(&stub.url);
    config.openai.speed = 1.5;
    speak(&config, Some("nova"), &CancelToken::new()).1.unwrap();
    let body = &stub.take_asked()[0].body;
    assert_eq!((&body["voice"], &body["speed"]), (&json!("nova"), &json!(1.5)));
}

#[test]
fn speech_is_heard_before_it_has_all_come() {
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let stub = StubLlm::start(move |_| {
        let steps = [vec![0, 0x40, 0], vec![0xC0]].map(|bytes| Step::Send(bytes.into()));
        let [first, second] = steps;
        Answer { body: vec![first, Step::Await(Arc::clone(&waits)), second], ..Answer::plain(200, "") }
    });
    let mut heard = vec![];
    let sink = &mut |event| {
        // The server sends the rest only now.
        go_on.notify_one();
        heard.push(event);
        ControlFlow::Continue(())
    };
    let engine = OpenAiTts::new(&tts_config(&stub.url)).unwrap();
    engine.tts().synthesize("Good day.", None, &CancelToken::new(), sink).unwrap();
    // The piece that was cut inside a sample has given its whole ones.
    assert_eq!(heard, [TtsEvent::Audio(vec![0.5]), TtsEvent::Audio(vec![-0.5])]);
}

#[test]
fn a_wav_file_and_another_rate_are_understood() {
    let sound: Vec<i16> = (0..4_800).map(|n| ((f64::from(n) * 0.05).sin() * 9_000.0) as i16).collect();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = Cursor::new(vec![]);
    let mut writer = hound::WavWriter::new(&mut wav, spec).unwrap();
    sound.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    let bare = pcm::bytes_from_samples(&sound);
    let answers = [
        Answer::plain(200, wav.into_inner()),
        Answer::plain(200, bare.clone()).header("content-type", "audio/pcm; rate=48000"),
        Answer::plain(200, bare),
    ];
    let mut lengths = vec![];
    for answer in answers {
        let ((pieces, result), _stub) = speak_once(answer, |_| {});
        result.unwrap();
        lengths.push(pieces.concat().len());
    }
    // The last one says nothing about its rate: it is as configured.
    assert_eq!(lengths, [2_400, 2_400, 4_800]);
}

#[test]
fn what_is_no_audio_is_not_played() {
    for (answer, shown) in [
        (
            Answer::plain(200, json!({"error": "out of memory"}).to_string())
                .header("content-type", "application/json"),
            "out of memory",
        ),
        (Answer::plain(200, "<html>Hi</html>").header("content-type", "text/html"), "<html>Hi</html>"),
        (Answer::plain(200, vec![1; 8]).header("content-type", "audio/mpeg"), "audio/mpeg instead of PCM"),
        (Answer::plain(200, "ID3....."), "MP3"),
        (Answer::plain(200, ""), "no audio"),
    ] {
        let ((pieces, result), stub) = speak_once(answer, |_| {});
        check_failed(&result, "tts_failed", &[shown, &stub.url]);
        assert!(pieces.is_empty());
        assert_eq!(stub.take_asked().len(), 1);
    }
}

#[test]
fn speech_that_breaks_off_is_not_asked_for_again() {
    let ((pieces, result), stub) = speak_once(pcm_pieces(1, Step::Break), |_| {});
    check_failed(&result, "tts_failed", &["broke off", &stub.url]);
    assert_eq!((pieces.concat().len(), stub.take_asked().len()), (4, 1));
}

#[test]
fn a_stall_is_a_timeout() {
    let stub = StubLlm::start(|_| Answer::silence());
    let config = config::Asr { timeout_ms: 50, ..asr_config(&stub.url) };
    check_failed(&hear(&config, &AsrRequest::new(&utterance())), "asr_timeout", &["50 ms (asr.timeout_ms)"]);
    stub.left.recv().unwrap();

    for (answer, heard) in [(Answer::silence(), 0), (pcm_pieces(1, Step::Stall), 4)] {
        let ((pieces, result), stub) = speak_once(answer, |c| c.timeout_ms = 50);
        check_failed(&result, "tts_timeout", &["50 ms (tts.timeout_ms)"]);
        assert_eq!(pieces.concat().len(), heard);
        stub.left.recv().unwrap();
    }
}

/// The server never ends these calls; their cancel token has to, and the server sees them leave.
#[test]
fn a_cancel_ends_a_stall_at_once_and_hangs_up() {
    for answer in [Answer::silence(), Answer::stream(["{\"text\""]).then(Step::Stall)] {
        let stub = StubLlm::start(move |_| answer.clone());
        let (cancel, pcm) = (CancelToken::new(), utterance());
        let engine = OpenAiAsr::new(&asr_config(&stub.url)).unwrap();
        thread::scope(|scope| {
            let call = scope.spawn(|| engine.asr().transcribe(&AsrRequest::new(&pcm), &cancel));
            stub.stalled.recv().unwrap();
            cancel.cancel();
            assert!(matches!(call.join().unwrap(), Err(EngineError::Cancelled)));
        });
        stub.left.recv().unwrap();
    }
    for answer in [Answer::silence(), pcm_pieces(1, Step::Stall)] {
        let stub = StubLlm::start(move |_| answer.clone());
        let (cancel, config) = (CancelToken::new(), tts_config(&stub.url));
        thread::scope(|scope| {
            let call = scope.spawn(|| speak(&config, None, &cancel));
            stub.stalled.recv().unwrap();
            cancel.cancel();
            assert!(matches!(call.join().unwrap().1, Err(EngineError::Cancelled)));
        });
        stub.left.recv().unwrap();
    }
}

#[test]
fn a_cancel_from_the_sink_is_the_last_audio_and_hangs_up() {
    let (sent, has_sent) = mpsc::channel();
    let stub = StubLlm::start(|_| pcm_pieces(3, Step::Stall));
    let cancel = CancelToken::new();
    let sink = &mut |event| {
        sent.send(event).unwrap();
        cancel.cancel();
        ControlFlow::Continue(())
    };
    let engine = OpenAiTts::new(&tts_config(&stub.url)).unwrap();
    let result = engine.tts().synthesize("Good day.", None, &cancel, sink);
    assert!(matches!(result, Err(EngineError::Cancelled)));
    assert_eq!(has_sent.try_iter().count(), 1);
    stub.left.recv().unwrap();
}

#[test]
fn a_break_from_the_sink_is_the_last_audio_and_hangs_up() {
    let stub = StubLlm::start(|_| pcm_pieces(3, Step::Stall));
    let mut seen = 0;
    let sink = &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    };
    let engine = OpenAiTts::new(&tts_config(&stub.url)).unwrap();
    engine.tts().synthesize("Good day.", None, &CancelToken::new(), sink).unwrap();
    assert_eq!(seen, 1);
    stub.left.recv().unwrap();
}

#[test]
fn one_connection_serves_all_three_engines() {
    let stub = StubLlm::start(|asked| match asked.path.as_str() {
        "/v1/audio/transcriptions" => words("x"),
        "/v1/audio/speech" => Answer::plain(200, vec![1; 8]),
        _ => Answer::reply(&["x"]),
    });
    let asr = OpenAiAsr::new(&asr_config(&stub.url)).unwrap();
    let tts = OpenAiTts::new(&tts_config(&stub.url)).unwrap();
    let llm = config::Llm { url: stub.url.clone(), model: "m".into(), ..Default::default() };
    let llm = OpenAi::new(&config::Llm { api_key_env: String::new(), ..llm }).unwrap();
    let rounds = 20;
    // A connection comes free a moment after its answer has been read, so some reuses may be missed; all
    // of them are only if the engines do not share.
    for _ in 0..rounds {
        asr.asr().transcribe(&AsrRequest::new(&utterance()), &CancelToken::new()).unwrap();
        let sink = &mut |_| ControlFlow::Continue(());
        llm.llm()
            .generate(&LlmRequest::default(), &mut LlmState::default(), &CancelToken::new(), sink)
            .unwrap();
        let sink = &mut |_| ControlFlow::Continue(());
        tts.tts().synthesize("x", None, &CancelToken::new(), sink).unwrap();
    }
    assert_eq!(stub.take_asked().len(), 3 * rounds);
    assert!(stub.connections() < rounds, "{} connections for {rounds} rounds", stub.connections());
}
