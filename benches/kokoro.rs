//! Kokoro-82M of random weights in its true shape, by ONNX Runtime and in candle, side by side: real-time
//! factor, the first audio of a ten-word reply, memory.
//!
//! ```sh
//! python models/parity/kokoro/random_weights.py /some/folder        # once; see requirements.txt there
//! KOKORO_BENCH_MODEL=/some/folder KOKORO_BENCH_LEXICONS=/folder/of/us_gold.json cargo bench --bench kokoro
//! ```
//!
//! The folder is in the layout of the published ones, so those can be measured as well. Without
//! `KOKORO_BENCH_LEXICONS` the dictionaries that the set-up brought are used. Each line is a process of its own
//! (so that its memory is its own), the lines take turns for a few rounds, and the best round counts: machines
//! are shared and noisy.
//!
//! Random weights speak no words, but take as long: a phoneme gets about three frames of 25 ms, as a voice
//! that speaks 14 phonemes a second would give it.

#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vivavoce::config::Config;
use vivavoce::engines::kokoro::Kokoro;
use vivavoce::engines::{CancelToken, OUTPUT_RATE_HZ, Tts, TtsEvent};
use vivavoce::turn::segmenter::Segmenter;

const MODEL: &str = "KOKORO_BENCH_MODEL";
const LEXICONS: &str = "KOKORO_BENCH_LEXICONS";
const ROUNDS: usize = 3;
/// File of the network, and who runs it.
const WAYS: [(&str, &str); 2] = [("onnx/model.onnx", "ort"), ("kokoro-v1_0.pth", "candle")];
/// Ten words, with and without a place to breathe.
const REPLIES: [&str; 2] =
    ["The lift is on your left, just behind the desk.", "You can take the lift to the second floor now."];
/// A segment further on in a reply.
const LATER: &str = "It opens at nine in the morning and closes when the last visitor has left the building.";

/// Seconds, but for the memory.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Figures {
    /// Time by length of the audio, of the later segment.
    rtf: f64,
    /// From the first segment's text to its first audio, of each reply.
    first_audio: [f64; REPLIES.len()],
    /// How long that first audio is.
    first_length: [f64; REPLIES.len()],
    /// Peak of the process.
    memory_mb: f64,
}

impl Figures {
    fn best(self, other: Figures) -> Figures {
        let mut best = self;
        best.rtf = best.rtf.min(other.rtf);
        for (best, other) in best.first_audio.iter_mut().zip(other.first_audio) {
            *best = best.min(other);
        }
        best
    }
}

/// One way with so many threads, in this process.
fn measure(folder: &Path, network: &str, threads: usize) -> Figures {
    let mut config = Config::default();
    config.models.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    config.tts.kokoro.model = folder.join(network).to_string_lossy().into_owned();
    config.tts.kokoro.threads = threads;
    config.tts.workers = 1;
    config.tts.kokoro.lexicons = std::env::var_os(LEXICONS).map(PathBuf::from).unwrap_or_default();
    let kokoro = Kokoro::load(&config).unwrap_or_else(|error| panic!("{error}"));
    let mut tts = kokoro.tts();
    // Seconds to the first audio, to the end, of the first audio, of all of it.
    let mut say = |text: &str| {
        let began = Instant::now();
        let (mut first, mut samples) = (None, 0);
        tts.synthesize(text, None, &CancelToken::new(), &mut |event| {
            if let TtsEvent::Audio(audio) = event {
                first.get_or_insert((began.elapsed().as_secs_f64(), audio.len()));
                samples += audio.len();
            }
            ControlFlow::Continue(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
        let (first, length) = first.unwrap_or((f64::NAN, 0));
        let seconds = |samples: usize| samples as f64 / f64::from(OUTPUT_RATE_HZ);
        (first, began.elapsed().as_secs_f64(), seconds(length), seconds(samples))
    };
    say(REPLIES[0]);
    let (_, all, _, length) = say(LATER);
    let first = REPLIES.map(|reply| {
        let turn = &config.turn;
        let mut segmenter = Segmenter::new(turn.first_segment_chars, turn.max_segment_chars);
        segmenter.push(reply);
        segmenter.finish();
        let segment = segmenter.next_segment().unwrap_or_else(|| panic!("{reply:?} has no segment"));
        say(&segment.spoken)
    });
    Figures {
        rtf: all / length,
        first_audio: first.map(|(first, ..)| first),
        first_length: first.map(|(_, _, length, _)| length),
        memory_mb: peak_memory_mb(),
    }
}

/// What the kernel says was the most.
fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}

/// The same in a process of its own.
fn measured_apart(network: &str, threads: usize) -> Figures {
    let this = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(this).args([network, &threads.to_string()]).output();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{network}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn main() {
    let Some(folder) = std::env::var_os(MODEL).map(PathBuf::from) else {
        println!("{MODEL} names no folder; models/parity/kokoro/random_weights.py makes one");
        return;
    };
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [network, threads] = &arguments[..] {
        let threads = threads.parse().unwrap_or_else(|error| panic!("{threads}: {error}"));
        let figures = measure(&folder, network, threads);
        println!("{}", serde_json::to_string(&figures).unwrap_or_else(|error| panic!("{error}")));
        return;
    }
    let lines: Vec<_> = [1, 2].into_iter().flat_map(|threads| WAYS.map(|way| (threads, way))).collect();
    let mut best: Vec<Option<Figures>> = vec![None; lines.len()];
    for _ in 0..ROUNDS {
        for ((threads, (network, _)), best) in lines.iter().zip(&mut best) {
            let figures = measured_apart(network, *threads);
            *best = Some(best.map_or(figures, |best| best.best(figures)));
        }
    }
    println!("| threads | | RTF | by that of ort | first audio, a clause | first audio, a sentence | MB |");
    println!("|---|---|---|---|---|---|---|");
    let mut of_ort = f64::NAN;
    for ((threads, (_, name)), figures) in lines.iter().zip(best.into_iter().flatten()) {
        if *name == WAYS[0].1 {
            of_ort = figures.rtf;
        }
        let first = |at: usize| {
            format!("{:.0} ms (of {:.2} s)", 1e3 * figures.first_audio[at], figures.first_length[at])
        };
        println!(
            "| {threads} | {name} | {:.3} | {:.2} | {} | {} | {:.0} |",
            figures.rtf,
            figures.rtf / of_ort,
            first(0),
            first(1),
            figures.memory_mb
        );
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("best of {ROUNDS}; load average {}", load.trim());
}
