//! What noise does to the VAD, without and with noise suppression (`vad.denoise`):
//!
//! ```sh
//! cargo bench --bench denoise
//! ```
//!
//! The human recordings of `../shared/data/speech` are mixed with the noises of `../shared/data/noise` at
//! 20, 10, 5 and 0 dB: power of the speech where it is speech, to power of the noise. 4 s of noise come
//! before, 3 s behind. What is speech is what Silero and the detector (default settings) find in the clean
//! recording. The noises alone come last, as they were recorded.

#![allow(clippy::print_stdout)] // the table is what it is for

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vivavoce::audio::wav;
use vivavoce::config::{self, Config};
use vivavoce::engines::denoise::Denoiser;
use vivavoce::engines::silero::SileroVad;
use vivavoce::engines::{INPUT_RATE_HZ, VAD_FRAME_SAMPLES, Vad, VadFrame};
use vivavoce::turn::detector::{DetectorConfig, Edge, SpeechDetector};

const SNRS_DB: [f32; 4] = [20.0, 10.0, 5.0, 0.0];
const BEFORE_SAMPLES: usize = 4 * INPUT_RATE_HZ as usize;
const BEHIND_SAMPLES: usize = 3 * INPUT_RATE_HZ as usize;
/// An end so much behind the true one makes somebody wait.
const LATE_SAMPLES: u64 = 300 * INPUT_RATE_HZ as u64 / 1_000;

fn main() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let (speech, noises) = (recordings(&data.join("speech")), recordings(&data.join("noise")));
    if speech.is_empty() || noises.is_empty() {
        println!("skipped: there are no recordings in {}", data.display());
        return;
    }
    let mut listener = Listener::new();
    println!(
        "{} recordings, {} noises\n\n| SNR | noise suppression | speech missed | utterances missed | ends more than 300 ms late | \
         false starts | … a minute |\n|---|---|---|---|---|---|---|",
        speech.len(),
        noises.len()
    );
    for snr_db in SNRS_DB {
        for denoise in [false, true] {
            let mut found = Found::default();
            for (_, clean) in &speech {
                let clean = [vec![0.0; BEFORE_SAMPLES], clean.clone(), vec![0.0; BEHIND_SAMPLES]].concat();
                let truth = listener.utterances(&clean, false);
                for (_, noise) in &noises {
                    let mixed = mix(&clean, &truth, noise, snr_db);
                    found.add(&truth, &listener.utterances(&mixed, denoise), clean.len());
                }
            }
            found.print(&format!("{snr_db} dB"), denoise);
        }
    }
    for (name, noise) in &noises {
        for denoise in [false, true] {
            let mut found = Found::default();
            found.add(&[], &listener.utterances(noise, denoise), noise.len());
            found.print(name, denoise);
        }
    }
    let frames = listener.denoised.max(1);
    println!("\nnoise suppression: {} µs a frame of 32 ms", listener.took.as_micros() / frames);
}

/// Name and samples of all recordings in a folder.
fn recordings(folder: &Path) -> Vec<(String, Vec<f32>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "wav"));
    paths.sort();
    let read = |path: &PathBuf| {
        let samples = wav::read_f32(path, INPUT_RATE_HZ).unwrap_or_else(|error| panic!("{error}"));
        (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), samples)
    };
    paths.iter().map(read).collect()
}

/// Adds noise, round and round, at this distance to the power of what is speech.
fn mix(clean: &[f32], truth: &[Range<u64>], noise: &[f32], snr_db: f32) -> Vec<f32> {
    let speech = truth.iter().flat_map(|range| &clean[range.start as usize..range.end as usize]);
    let wanted = power(speech) / 10_f32.powf(snr_db / 10.0);
    let gain = (wanted / power(noise)).sqrt();
    clean.iter().zip(noise.iter().cycle()).map(|(speech, noise)| speech + gain * noise).collect()
}

fn power<'a>(samples: impl IntoIterator<Item = &'a f32>) -> f32 {
    let (sum, count) = samples.into_iter().fold((0.0, 0), |(sum, count), s| (sum + s * s, count + 1));
    sum / count.max(1) as f32
}

struct Listener {
    vad: SileroVad,
    took: Duration,
    denoised: u128,
}

impl Listener {
    fn new() -> Listener {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/models").into();
        let vad = SileroVad::load(&config::Models { dir, ..Default::default() });
        Listener { vad: vad.unwrap_or_else(|error| panic!("{error}")), took: Duration::ZERO, denoised: 0 }
    }

    /// From the first to the last voice of each utterance.
    fn utterances(&mut self, samples: &[f32], denoise: bool) -> Vec<Range<u64>> {
        let mut denoiser = denoise.then(|| Denoiser::new().unwrap_or_else(|error| panic!("{error}")));
        let mut detector = SpeechDetector::new(settings());
        let mut frame = VadFrame::silence();
        let (mut found, mut start) = (vec![], 0);
        // A frame more, for the one that the suppression holds back, and silence until the last end.
        let silence = [[0.0; VAD_FRAME_SAMPLES]; 21];
        for samples in samples.as_chunks::<VAD_FRAME_SAMPLES>().0.iter().chain(&silence) {
            frame.pcm.copy_from_slice(samples);
            if let Some(denoiser) = &mut denoiser {
                let began = Instant::now();
                let judged = denoiser.exchange(&mut frame.pcm);
                self.took += began.elapsed();
                self.denoised += 1;
                if !judged {
                    continue;
                }
            }
            self.vad.judge(&mut [&mut frame]).unwrap_or_else(|error| panic!("{error}"));
            for edge in detector.push(frame.probability) {
                match edge {
                    Edge::Start { sample } => start = sample,
                    Edge::End { voice_end, .. } => found.push(start..voice_end),
                    _ => {}
                }
            }
        }
        found
    }
}

/// The defaults, but without padding and splits.
fn settings() -> DetectorConfig {
    let vad = Config::default().vad;
    DetectorConfig {
        threshold: vad.threshold,
        negative_threshold: vad.negative_threshold,
        min_speech_ms: vad.min_speech_ms,
        hangover_ms: vad.hangover_ms,
        prefix_padding_ms: 0,
        max_utterance_s: 600,
    }
}

#[derive(Default)]
struct Found {
    speech_samples: u64,
    missed_samples: u64,
    utterances: usize,
    missed_utterances: usize,
    late: usize,
    false_starts: usize,
    other_samples: u64,
}

impl Found {
    fn add(&mut self, truth: &[Range<u64>], found: &[Range<u64>], samples: usize) {
        let overlap = |a: &Range<u64>, b: &Range<u64>| a.end.min(b.end).saturating_sub(a.start.max(b.start));
        for spoken in truth {
            let heard: u64 = found.iter().map(|found| overlap(spoken, found)).sum();
            let length = spoken.end - spoken.start;
            self.speech_samples += length;
            self.missed_samples += length - heard;
            self.utterances += 1;
            self.missed_utterances += usize::from(heard == 0);
            let last = found.iter().rfind(|found| overlap(spoken, found) > 0);
            self.late += usize::from(last.is_some_and(|last| last.end > spoken.end + LATE_SAMPLES));
        }
        let alone = |found: &&Range<u64>| truth.iter().all(|spoken| overlap(spoken, found) == 0);
        self.false_starts += found.iter().filter(alone).count();
        self.other_samples += samples as u64 - truth.iter().map(|t| t.end - t.start).sum::<u64>();
    }

    fn print(&self, what: &str, denoise: bool) {
        let percent = |part: f64, whole: f64| match whole {
            0.0 => "–".to_owned(),
            whole => format!("{:.1} %", 100.0 * part / whole),
        };
        let minutes = self.other_samples as f64 / f64::from(INPUT_RATE_HZ) / 60.0;
        println!(
            "| {what} | {} | {} | {} of {} | {} | {} | {:.1} |",
            if denoise { "on" } else { "off" },
            percent(self.missed_samples as f64, self.speech_samples as f64),
            self.missed_utterances,
            self.utterances,
            self.late,
            self.false_starts,
            self.false_starts as f64 / minutes
        );
    }
}
