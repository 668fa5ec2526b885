//! `vivavoce bench` against a running server: what it counts is what happened.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use vivavoce::audio::wav::WavWriter;

use crate::harness::ServerProcess;

const SCRIPTED: &str = "asr: {engine: scripted}\nllm: {engine: scripted}\ntts: {engine: scripted}\n";

fn bench(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vivavoce"))
        .args(["bench", "--json", "--url", url])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn every_reply_is_interrupted_and_none_is_heard_afterwards() {
    let server = ServerProcess::start(SCRIPTED);
    let arguments = ["--sessions", "2", "--turns", "1", "--scenario", "interrupt", "--silence-ms", "3000"];
    let output = bench(&server.url(), &arguments);
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["turns"]["expected"], 2);
    assert_eq!(report["turns"]["outcomes"], serde_json::json!({"interrupted": 2}));
    assert_eq!((&report["late_audio"], &report["uninterrupted"]), (&0.into(), &0.into()));
    assert_eq!(report["interrupt"]["count"], 2);
    // The official iterator's 500 ms behind the first silent frame, in whole frames.
    assert_eq!(report["hangover"]["p50"], 544.0);
}

#[test]
fn the_realtime_wire_is_measured_alike() {
    let server = ServerProcess::start(SCRIPTED);
    let url = format!("ws://{}/v1/realtime", server.address);
    let bench = |arguments: &[&str]| {
        let output =
            bench(&url, &[&["--wire", "realtime", "--sessions", "2", "--turns", "1"], arguments].concat());
        let report = report(&output);
        assert!(output.status.success(), "{report:#}");
        report
    };
    let turns = bench(&[]);
    assert_eq!(turns["turns"]["outcomes"], serde_json::json!({"completed": 2}));
    for figure in ["first_audio_beyond_hangover", "transcript_beyond_hangover"] {
        assert_eq!(turns[figure]["count"], 2, "{turns:#}");
    }
    assert_eq!(turns["hangover"]["p50"], 544.0);
    let interrupted = bench(&["--scenario", "interrupt", "--silence-ms", "3000"]);
    assert_eq!(interrupted["turns"]["outcomes"], serde_json::json!({"interrupted": 2}));
    assert_eq!((&interrupted["late_audio"], &interrupted["uninterrupted"]), (&0.into(), &0.into()));
    let spoken = bench(&["--scenario", "interrupt", "--by", "speech"]);
    assert_eq!(spoken["turns"]["outcomes"], serde_json::json!({"completed": 2, "interrupted": 2}));
    assert_eq!((&spoken["late_audio"], &spoken["interrupt"]["count"]), (&0.into(), &2.into()));
}

/// The figure is measured from where a server with default settings decides: one that waits longer
/// is seen to be later by just that, and one that never answers misses its turns.
#[test]
fn a_slow_server_is_seen_to_be_slow() {
    let later = ServerProcess::start(&format!("{SCRIPTED}vad: {{hangover_ms: 1524}}\n"));
    let output = bench(&later.url(), &["--turns", "1"]);
    let report_of_later = report(&output);
    let first_audio = report_of_later["first_audio_beyond_hangover"]["p50"].as_f64().unwrap();
    assert!(first_audio >= 1_000.0, "{report_of_later:#}");

    let mute = ServerProcess::start(&format!("{SCRIPTED}scripted: {{transcripts: [\"\"]}}\n"));
    let output = bench(&mute.url(), &["--turns", "1"]);
    assert!(!output.status.success());
    assert_eq!(report(&output)["turns"]["missed"], 1);
}

#[test]
fn what_cannot_be_measured_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let silence = folder.path().join("silence.wav");
    let mut file = WavWriter::create(&silence, 16_000).unwrap();
    file.write_i16(&[0; 16_000]).unwrap();
    file.finish().unwrap();
    let nobody = "ws://127.0.0.1:1/ws/chat";
    for (arguments, part) in [
        (vec!["--wav", silence.to_str().unwrap()], "the VAD finds 0 utterances in turn 1 instead of 1"),
        (vec!["--scenario", "listen"], "cannot read the metrics of 127.0.0.1:1"),
    ] {
        let output = bench(nobody, &arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.lines().count() == 1 && text.contains(part), "{text}");
    }
}
