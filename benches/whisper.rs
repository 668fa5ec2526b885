//! Whisper on models of true shape and random weights: an utterance of five seconds, in a short window and in
//! a full one, and what a draft of an interim recognition saves.
//!
//! ```text
//! cargo bench --bench whisper [-- whisper-tiny whisper-base 2]     which models, and how many threads
//! WHISPER_BENCH_PYTHON=…/bin/python cargo bench --bench whisper     side by side with CTranslate2 int8
//! ```
//!
//! The Python needs ctranslate2, torch and transformers (`models/parity/whisper/bench_ctranslate2.py`). Both
//! write the same number of tokens of random weights, greedily. Machines are shared and noisy: what counts
//! are the ratios. The rounds of both alternate; shown are the medians. The load average is printed with them.

#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde::Deserialize;
use vivavoce::config::WhisperWeights;
use vivavoce::engines::CancelToken;
use vivavoce::engines::local::checkpoint::SafetensorsFolder;
use vivavoce::engines::local::packed;
use vivavoce::engines::mel::LogMel;
use vivavoce::engines::whisper::config::WhisperConfig;
use vivavoce::engines::whisper::network::Network;
use vivavoce::engines::whisper::random_weights::{self, Shape};

const ROUNDS: usize = 7;
/// Five seconds, and the second of silence that a short window ends in.
const SHORT_FRAMES: usize = 600;
const FULL_FRAMES: usize = 3000;
/// Tokens of five seconds of speech: about three words a second.
const TOKENS: usize = 24;
/// `<|startoftranscript|><|en|><|transcribe|><|notimestamps|>`
const PROMPT: [u32; 4] = [50_258, 50_259, 50_359, 50_363];
/// Tokens that are text.
const WORDS: usize = 50_257;

/// Seconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Times {
    encode: f64,
    /// All tokens, the prompt included.
    write: f64,
    /// One of them.
    step: f64,
    tokens: usize,
}

impl Times {
    fn total(&self) -> f64 {
        self.encode + self.write
    }
}

struct Ours {
    network: Network,
    mel: LogMel,
    threads: rayon::ThreadPool,
}

impl Ours {
    fn round(&self, frames: usize) -> (Times, f64) {
        self.threads.install(|| {
            let samples: Vec<f32> =
                (0..frames * 160).map(|at| ((at * 7_919) % 997) as f32 / 3_000.0).collect();
            let began = Instant::now();
            let mel = self.mel.extract(&samples);
            let encoded = self.network.encode(mel.by_frame(), &CancelToken::new()).unwrap();
            let heard = self.network.hear(&encoded);
            let encode = began.elapsed().as_secs_f64();

            let began = Instant::now();
            let mut past = self.network.past();
            let mut written = vec![likeliest(&mut self.network.decode(&PROMPT, &mut past, &heard, 1))];
            let first = began.elapsed().as_secs_f64();
            while written.len() < TOKENS {
                let last = written[written.len() - 1];
                written.push(likeliest(&mut self.network.decode(&[last], &mut past, &heard, 1)));
            }
            let write = began.elapsed().as_secs_f64();
            let step = (write - first) / (TOKENS - 1) as f64;

            // A draft that is right: everything is read at once.
            let began = Instant::now();
            let mut past = self.network.past();
            let prompt = [&PROMPT[..], &written].concat();
            let mut logits = self.network.decode(&prompt, &mut past, &heard, TOKENS);
            let again: Vec<u32> =
                logits.chunks_exact_mut(self.network.config().vocab_size).map(likeliest).collect();
            assert_eq!(again[..TOKENS - 1], written[1..]);
            (Times { encode, write, step, tokens: TOKENS }, began.elapsed().as_secs_f64())
        })
    }
}

/// The likeliest word, and as the engine does it, its probability.
fn likeliest(logits: &mut [f32]) -> u32 {
    logits[WORDS..].fill(f32::NEG_INFINITY);
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    assert!(logits[best] - packed::log_sum_exp(logits) <= 0.0);
    best as u32
}

/// The other engine, in a process that answers a line for each line.
struct Theirs {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct TheirTimes {
    short: Option<Times>,
    full: Option<Times>,
}

impl Theirs {
    fn start(folder: &Path, threads: usize) -> Option<Theirs> {
        let python = std::env::var_os("WHISPER_BENCH_PYTHON")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/models/parity/whisper/bench_ctranslate2.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg(folder)
            .args([threads, SHORT_FRAMES, TOKENS].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut theirs = Theirs { process, to, from };
        println!("CTranslate2: {}", theirs.line().trim());
        Some(theirs)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line
    }

    fn round(&mut self) -> TheirTimes {
        writeln!(self.to).unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(rounds: &[Times], of: impl Fn(&Times) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn show(who: &str, window: &str, rounds: &[Times]) {
    if rounds.is_empty() {
        return;
    }
    let ms = |of: fn(&Times) -> f64| 1e3 * median(rounds, of);
    println!(
        "  {who:<12} {window:<6} encode {:>7.1} ms   step {:>6.2} ms   {} tokens {:>7.1} ms   total {:>7.1} ms",
        ms(|times| times.encode),
        ms(|times| times.step),
        rounds[0].tokens,
        ms(|times| times.write),
        ms(Times::total),
    );
}

fn measure(name: &str, threads: usize) {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape::of(name).unwrap_or_else(|| panic!("there is no {name}"));
    random_weights::write(folder.path(), &shape.config(), 1).unwrap();
    let opened = SafetensorsFolder::open(folder.path()).unwrap();
    let config = WhisperConfig::read(&opened).unwrap();
    let began = Instant::now();
    let ours = Ours {
        mel: LogMel::new(config.num_mel_bins),
        network: Network::load(&opened, config, WhisperWeights::Int8).unwrap(),
        threads: rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap(),
    };
    println!(
        "{name}, {threads} threads, {}: {} MB, loaded in {:.2} s",
        packed::instruction_set(),
        ours.network.bytes() / 1_000_000,
        began.elapsed().as_secs_f64()
    );
    let mut theirs = Theirs::start(folder.path(), threads);
    ours.round(SHORT_FRAMES);
    let (mut short, mut full, mut drafts) = (vec![], vec![], vec![]);
    let (mut their_short, mut their_full) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let (times, draft) = ours.round(SHORT_FRAMES);
        short.push(times);
        drafts.push(Times { write: draft, encode: times.encode, ..times });
        full.push(ours.round(FULL_FRAMES).0);
        if let Some(theirs) = &mut theirs {
            let times = theirs.round();
            their_short.extend(times.short);
            their_full.extend(times.full);
        }
    }
    show("vivavoce", "short", &short);
    show("with a draft", "short", &drafts);
    show("vivavoce", "full", &full);
    show("CTranslate2", "short", &their_short);
    show("CTranslate2", "full", &their_full);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("  load average {}", load.trim());
}

fn main() {
    let (mut names, mut threads) = (vec![], 2);
    for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with('-')) {
        match argument.parse() {
            Ok(number) => threads = number,
            Err(_) => names.push(argument),
        }
    }
    if names.is_empty() {
        names = ["whisper-tiny", "whisper-base"].map(str::to_owned).to_vec();
    }
    names.iter().for_each(|name| measure(name, threads));
}
