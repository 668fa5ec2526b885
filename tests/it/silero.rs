//! Silero VAD against the official package: goldens in `tests/golden/silero`, made by
//! `models/parity/silero/generate.py`. Probabilities agree to 1e-5, boundaries exactly.
//!
//! Needs the files that `scripts/setup-models.sh` sets up. A recording that is not on this machine
//! is left out with a printed line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vivavoce::audio::framer::Framer;
use vivavoce::config;
use vivavoce::engines::silero::{MODEL, SileroVad};
use vivavoce::engines::{EngineError, VAD_FRAME_SAMPLES, Vad, VadFrame, VadState, onnx};
use vivavoce::turn::detector::{DetectorConfig, Edge, SpeechDetector};

const PROBABILITY_TOLERANCE: f32 = 1e-5;
const FRAME_SAMPLES: u64 = VAD_FRAME_SAMPLES as u64;

/// What the official package made of one recording.
#[derive(serde::Deserialize)]
struct Golden {
    wav: String,
    sha256: String,
    every_nth_sample: usize,
    threshold: f32,
    speech_pad_ms: u64,
    iterators: Vec<GoldenIterator>,
    probabilities: Vec<f32>,
}

#[derive(serde::Deserialize)]
struct GoldenIterator {
    min_silence_ms: u32,
    boundaries: Vec<Boundary>,
}

/// What the official iterator made of made-up probabilities.
#[derive(serde::Deserialize)]
struct GoldenCase {
    threshold: f32,
    speech_pad_ms: u64,
    min_silence_ms: u32,
    boundaries: Vec<Boundary>,
    probabilities: Vec<f32>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Boundary {
    Start(u64),
    End(u64),
}

#[test]
fn probabilities_equal_those_of_the_official_package() {
    let mut vad = vad();
    for (golden, pcm) in recordings("") {
        let ours = judge_alone(&mut vad, &framed(&pcm));
        assert_eq!(ours.len(), golden.probabilities.len(), "{}", golden.wav);
        for (frame, (ours, official)) in ours.iter().zip(&golden.probabilities).enumerate() {
            let difference = (ours - official).abs();
            assert!(
                difference <= PROBABILITY_TOLERANCE,
                "{} frame {frame}: {ours}, officially {official}",
                golden.wav
            );
        }
    }
}

#[test]
fn boundaries_equal_those_of_the_official_iterator() {
    let mut vad = vad();
    for (golden, pcm) in recordings("") {
        let probabilities = judge_alone(&mut vad, &framed(&pcm));
        for iterator in &golden.iterators {
            assert_eq!(
                boundaries(&probabilities, golden.threshold, iterator.min_silence_ms, golden.speech_pad_ms),
                iterator.boundaries,
                "{} with {} ms of silence",
                golden.wav,
                iterator.min_silence_ms
            );
        }
    }
}

#[test]
fn the_hysteresis_equals_the_official_iterators_in_its_corners() {
    let cases: Vec<GoldenCase> = read_json(&golden_dir().join("iterator.json"));
    assert!(!cases.is_empty());
    for (number, case) in cases.iter().enumerate() {
        assert_eq!(
            boundaries(&case.probabilities, case.threshold, case.min_silence_ms, case.speech_pad_ms),
            case.boundaries,
            "case {number}"
        );
    }
}

#[test]
fn noise_is_no_turn() {
    let mut vad = vad();
    for (golden, pcm) in recordings("noise") {
        let edges = edges(session_config(), &judge_alone(&mut vad, &framed(&pcm)));
        assert_eq!(edges, [], "{}", golden.wav);
    }
}

#[test]
fn pieces_of_any_length_give_the_same_utterances() {
    let mut vad = vad();
    for (golden, pcm) in recordings("speech").into_iter().take(3) {
        let pcm = with_silence_behind(&pcm);
        let mut utterances_of = |pieces: &mut dyn Iterator<Item = usize>| {
            let mut framer = Framer::default();
            let mut frames = vec![];
            let mut rest = &pcm[..];
            while !rest.is_empty() {
                let length = pieces.next().expect("lengths do not run out");
                let (piece, later) = rest.split_at(length.min(rest.len()));
                framer.push(piece, |frame| frames.push(*frame));
                rest = later;
            }
            utterances(&edges(session_config(), &judge_alone(&mut vad, &frames)))
        };
        let whole = utterances_of(&mut std::iter::once(pcm.len()));
        assert!(!whole.is_empty(), "{}", golden.wav);
        for length in [1, 320, 511, 512, 513, 4_000] {
            assert_eq!(utterances_of(&mut std::iter::repeat(length)), whole, "{} by {length}", golden.wav);
        }
        let mut uneven = (1..).map(|n: usize| n * 7_919 % 3_001);
        assert_eq!(utterances_of(&mut uneven), whole, "{} by uneven lengths", golden.wav);
    }
}

/// An utterance that is still going on where its recording breaks off ends in that break, which is
/// no edge of speech: of such a one only the start is compared.
#[test]
fn shifted_input_gives_as_many_utterances_with_edges_within_six_frames() {
    let mut vad = vad();
    for (golden, pcm) in recordings("speech") {
        let mut utterances_when_shifted = |samples: usize| {
            let shifted: Vec<i16> = [vec![0; samples], with_silence_behind(&pcm)].concat();
            utterances(&edges(session_config(), &judge_alone(&mut vad, &framed(&shifted))))
        };
        let unshifted = utterances_when_shifted(0);
        assert!(!unshifted.is_empty(), "{}", golden.wav);
        for samples in [64, 128, 200, 256, 333, 448] {
            let shifted = utterances_when_shifted(samples);
            assert_eq!(shifted.len(), unshifted.len(), "{} shifted by {samples}", golden.wav);
            for (moved, original) in shifted.iter().zip(&unshifted) {
                let distance =
                    |moved: u64, original: u64| moved.saturating_sub(samples as u64).abs_diff(original);
                let ended = original.end <= pcm.len() as u64;
                let furthest = distance(moved.start, original.start).max(if ended {
                    distance(moved.end, original.end)
                } else {
                    0
                });
                assert!(
                    furthest <= 6 * FRAME_SAMPLES,
                    "{} shifted by {samples}: {moved:?}, else {original:?}",
                    golden.wav
                );
            }
        }
    }
}

/// Streams of different lengths, so that the batch shrinks as they end: 64 rows down to 1.
#[test]
fn a_batch_gives_the_same_bits_as_frame_after_frame() {
    let mut vad = vad();
    let recordings = recordings("");
    let streams: Vec<Vec<[f32; VAD_FRAME_SAMPLES]>> = recordings
        .iter()
        .flat_map(|(_, pcm)| {
            let frames = framed(pcm);
            [frames.len(), frames.len() / 2, frames.len() / 3].map(|length| frames[..length].to_vec())
        })
        .take(vad.max_batch())
        .collect();
    let alone: Vec<Vec<f32>> = streams.iter().map(|frames| judge_alone(&mut vad, frames)).collect();

    let mut together: Vec<Vec<f32>> = vec![vec![]; streams.len()];
    let mut frames: Vec<VadFrame> = streams.iter().map(|_| new_stream()).collect();
    for at in 0..streams.iter().map(Vec::len).max().unwrap_or(0) {
        let mut batch: Vec<&mut VadFrame> = frames
            .iter_mut()
            .zip(&streams)
            .filter_map(|(frame, stream)| {
                frame.pcm.copy_from_slice(stream.get(at)?);
                Some(frame)
            })
            .collect();
        vad.judge(&mut batch).expect("frames are judged");
        for ((heard, frame), stream) in together.iter_mut().zip(&frames).zip(&streams) {
            if at < stream.len() {
                heard.push(frame.probability);
            }
        }
    }
    let bits = |streams: &[Vec<f32>]| -> Vec<Vec<u32>> {
        streams.iter().map(|stream| stream.iter().map(|p| p.to_bits()).collect()).collect()
    };
    assert_eq!(bits(&together), bits(&alone));
}

#[test]
fn too_large_a_batch_is_an_error_and_changes_nothing() {
    let mut vad = vad();
    let mut frames: Vec<VadFrame> = (0..=vad.max_batch()).map(|_| new_stream()).collect();
    let error = vad.judge(&mut frames.iter_mut().collect::<Vec<_>>()).expect_err("one too many");
    assert_eq!(error.code(), "vad_failed");
    assert!(frames.iter().all(|frame| frame.state == VadState::default()));
    assert!(vad.judge(&mut []).is_ok(), "nothing to judge is no error");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "Silero VAD was called on an async executor thread")]
fn a_call_on_an_executor_thread_panics() {
    let mut vad = vad();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime starts");
    runtime.block_on(async { vad.judge(&mut [&mut new_stream()]) }).expect("does not get here");
}

#[test]
fn a_missing_or_foreign_network_is_an_error_that_names_file_and_remedy() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let models = config::Models {
        dir: dir.path().into(),
        onnxruntime: models().dir.join(onnx::LIBRARY),
        ..Default::default()
    };
    let network = dir.path().join(MODEL);
    let check = |what: &str| {
        let Err(error) = SileroVad::load(&models) else { panic!("{what}: it loaded") };
        assert!(matches!(error, EngineError::Load { engine: "silero", .. }), "{what}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(&network.display().to_string()), "{what}: {message}");
        assert!(message.contains("scripts/setup-models.sh"), "{what}: {message}");
    };
    check("missing");
    std::fs::create_dir_all(network.parent().expect("has a folder")).expect("folder is made");
    std::fs::write(&network, "no network").expect("file is written");
    check("foreign");
}

fn models() -> config::Models {
    config::Models { dir: concat!(env!("CARGO_MANIFEST_DIR"), "/models").into(), ..Default::default() }
}

fn vad() -> SileroVad {
    SileroVad::load(&models()).unwrap_or_else(|error| panic!("{error}"))
}

/// The detector as a session has it by default.
fn session_config() -> DetectorConfig {
    let vad = config::Vad::default();
    DetectorConfig {
        threshold: vad.threshold,
        negative_threshold: vad.negative_threshold,
        min_speech_ms: vad.min_speech_ms,
        hangover_ms: vad.hangover_ms,
        prefix_padding_ms: vad.prefix_padding_ms,
        max_utterance_s: vad.max_utterance_s,
    }
}

fn edges(config: DetectorConfig, probabilities: &[f32]) -> Vec<Edge> {
    let mut detector = SpeechDetector::new(config);
    probabilities.iter().flat_map(|probability| detector.push(*probability)).collect()
}

/// What the official iterator returns: both of its edges lie `pad_ms` outside the frames.
fn boundaries(probabilities: &[f32], threshold: f32, min_silence_ms: u32, pad_ms: u64) -> Vec<Boundary> {
    let raw = DetectorConfig {
        threshold,
        negative_threshold: threshold - 0.15,
        min_speech_ms: 0,
        hangover_ms: min_silence_ms,
        prefix_padding_ms: 0,
        max_utterance_s: u32::MAX,
    };
    let pad = pad_ms * 16;
    edges(raw, probabilities)
        .into_iter()
        .filter_map(|edge| match edge {
            Edge::Start { sample } => Some(Boundary::Start(sample.saturating_sub(pad))),
            Edge::End { voice_end, .. } => Some(Boundary::End(voice_end + pad)),
            _ => None,
        })
        .collect()
}

fn utterances(edges: &[Edge]) -> Vec<Range<u64>> {
    let ends = edges.iter().filter_map(|edge| match edge {
        Edge::End { utterance, .. } => Some(utterance.clone()),
        _ => None,
    });
    ends.collect()
}

fn new_stream() -> VadFrame {
    VadFrame { probability: f32::NAN, ..VadFrame::silence() }
}

/// Probabilities of the frames of one stream, one call each.
fn judge_alone(vad: &mut SileroVad, frames: &[[f32; VAD_FRAME_SAMPLES]]) -> Vec<f32> {
    let mut frame = new_stream();
    let mut judge = |pcm: &[f32; VAD_FRAME_SAMPLES]| {
        frame.pcm.copy_from_slice(pcm);
        vad.judge(&mut [&mut frame]).expect("frame is judged");
        frame.probability
    };
    frames.iter().map(&mut judge).collect()
}

fn framed(pcm: &[i16]) -> Vec<[f32; VAD_FRAME_SAMPLES]> {
    let mut frames = vec![];
    Framer::default().push(pcm, |frame| frames.push(*frame));
    frames
}

/// With a second of silence, in which a last utterance can end.
fn with_silence_behind(pcm: &[i16]) -> Vec<i16> {
    [pcm, &[0; 16_000]].concat()
}

fn golden_dir() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/silero").into()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The goldens of a kind (`speech`, `noise`, `alsa`; empty: all) with their recordings' samples at
/// 16 kHz. Leaves out, and says so, what is not on this machine.
#[allow(clippy::print_stderr)]
fn recordings(kind: &str) -> Vec<(Golden, Vec<i16>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(golden_dir())
        .expect("goldens are there")
        .map(|entry| entry.expect("folder is readable").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "iterator.json"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no goldens in {}", golden_dir().display());
    let mut found = vec![];
    for golden in paths.iter().map(|path| read_json::<Golden>(path)) {
        if !golden.wav.starts_with(kind) {
            continue;
        }
        let path = match golden.wav.strip_prefix("alsa/") {
            Some(name) => Path::new("/usr/share/sounds/alsa").join(name),
            None => Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(&golden.wav),
        };
        let Ok(bytes) = std::fs::read(&path) else {
            eprintln!("skipped {}: no file {}", golden.wav, path.display());
            continue;
        };
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, golden.sha256, "{} is not the recording of its golden", path.display());
        let wav = hound::WavReader::new(&bytes[..]).expect("is a WAV file");
        let pcm = wav.into_samples::<i16>().step_by(golden.every_nth_sample);
        let pcm = pcm.collect::<Result<_, _>>().expect("samples are readable");
        found.push((golden, pcm));
    }
    found
}
