//! `vivavoce talk` with files in place of devices, against a running server, and its failures.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use vivavoce::audio::wav::{WavWriter, read_i16};
use vivavoce::config::Config;
use vivavoce::engines::flite::FliteTts;
use vivavoce::engines::{CancelToken, Tts, TtsEvent};

use crate::harness::{ServerProcess, TestServer};

/// Says `text` into a WAV file.
fn say(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("in.wav");
    let mut file = WavWriter::create(&path, 24_000).unwrap();
    let mut flite = FliteTts::load(&Config::default()).unwrap();
    flite
        .synthesize(text, None, &CancelToken::new(), &mut |event| {
            if let TtsEvent::Audio(samples) = event {
                file.write_f32(&samples).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    file.finish().unwrap();
    path
}

fn talk(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vivavoce"))
        .args(["talk", "--url", url])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Lines of the transcript.
fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// The one line of a failure.
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let line = text.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("vivavoce: "), "{text}");
    line
}

#[test]
fn a_spoken_question_is_answered_into_a_file() {
    let folder = TempDir::new().unwrap();
    let input = say(folder.path(), "What are your opening hours today?");
    let output = folder.path().join("out.wav");
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["what are your opening hours today".into()];
        config.scripted.replies = vec!["From nine to six. Come in!".into()];
        config.scripted.tts_ms_per_char = 40;
    });
    let files = ["--in", input.to_str().unwrap(), "--out", output.to_str().unwrap()];
    let lines = lines(&talk(&server.url(), &files));
    let words: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.starts_with('[')).collect();
    assert!(words[0].starts_with("session ") && words[0].contains("silero, scripted"), "{lines:?}");
    assert_eq!(
        words[1..],
        ["you:  what are your opening hours today", "they: From nine to six.", "they: Come in!"]
    );
    assert!(lines.contains(&"[you speak]".to_owned()) && lines.contains(&"[speaks]".to_owned()), "{lines:?}");

    // The whole reply was played, in one piece: nothing ran dry.
    let written = read_i16(&output, 24_000).unwrap();
    let first = written.iter().position(|sample| *sample != 0).unwrap();
    let last = written.iter().rposition(|sample| *sample != 0).unwrap();
    let spoken = (40 * "From nine to six.Come in!".len() * 24) as f64;
    let heard = (last + 1 - first) as f64;
    assert!((heard / spoken - 1.0).abs() < 0.02, "{heard} samples were heard of {spoken}");
    // The question was spoken before, in the same time.
    assert!(first > read_i16(&input, 24_000).unwrap().len());
}

#[test]
fn a_typed_question_is_answered_too() {
    let server = TestServer::start(|config| config.scripted.tts_ms_per_char = 5);
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("out.wav");
    let lines = lines(&talk(&server.url(), &["--text", "hello", "--out", output.to_str().unwrap()]));
    assert!(lines.contains(&"they: It has two sentences.".to_owned()), "{lines:?}");
    let played = read_i16(&output, 24_000).unwrap().iter().filter(|sample| **sample != 0).count();
    assert!(played > 4_000, "{played}");
}

#[test]
fn where_there_is_no_answer_one_line_says_why() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (silence, output) = (at("silence.wav"), at("out.wav"));
    WavWriter::create(Path::new(&silence), 16_000).unwrap().write_i16(&[0; 8_000]).unwrap();
    let files = ["--in", &silence, "--out", &output];
    let server = TestServer::start(|config| config.limits.sessions = 1);

    let line = failure(&talk(&server.url(), &files));
    assert!(line.contains("nothing was answered"), "{line}");
    let line = failure(&talk(&server.url(), &["--in", &at("missing.wav"), "--out", &output]));
    assert!(line.contains("missing.wav"), "{line}");
    let line = failure(&talk("ws://127.0.0.1:1/ws/chat", &files));
    assert!(line.contains("cannot connect to ws://127.0.0.1:1/ws/chat"), "{line}");
    server.stop();
}

#[test]
fn a_token_lets_in_where_one_is_asked_for() {
    let scripted = "auth: {mode: tokens}\nvad: {engine: scripted}\nasr: {engine: scripted}\n\
                    llm: {engine: scripted}\ntts: {engine: scripted}\nscripted: {tts_ms_per_char: 1}\n";
    let process = ServerProcess::start(scripted);
    let folder = process.folder();
    let made = Command::new(env!("CARGO_BIN_EXE_vivavoce"))
        .args(["token", "create", "--config"])
        .arg(folder.path().join("config.yml"))
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let output = folder.path().join("out.wav").to_str().unwrap().to_owned();
    let line = failure(&talk(&process.url(), &["--text", "hello", "--out", &output]));
    assert!(line.contains("refuses") && line.contains("HTTP 401"), "{line}");
    lines(&talk(&process.url(), &["--text", "hello", "--out", &output, "--token", &token]));
}
