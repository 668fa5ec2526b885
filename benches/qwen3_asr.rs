//! Qwen3-ASR with random weights of the published shapes: how long an utterance takes, stage by stage, on one
//! thread and on two.
//!
//! A table of its own rather than criterion's: a line is many seconds, and only the best of a few means
//! something on a machine that does other work as well. The answer has a fixed number of tokens, since that
//! of a random model has any: 20 are an English sentence of five seconds and its language.
//!
//! ```sh
//! cargo bench --bench qwen3_asr [-- 1.7b]
//! ```
#![allow(clippy::print_stdout, reason = "the table is what this is for")]

use std::time::Instant;

use vivavoce::engines::CancelToken;
use vivavoce::engines::local::checkpoint::SafetensorsFolder;
use vivavoce::engines::local::decoder::Decoder;
use vivavoce::engines::mel::LogMel;
use vivavoce::engines::qwen3_asr::decode::{self, Beginning, Known, Question};
use vivavoce::engines::qwen3_asr::random_weights;
use vivavoce::engines::qwen3_asr::recogniser::{Precision, load_networks};
use vivavoce::engines::qwen3_asr::tower::Tower;

const SECONDS: usize = 5;
const ANSWER_TOKENS: usize = 20;
/// Of a prompt without a context.
const BEFORE: [u32; 9] = [151_644, 8_948, 198, 151_645, 198, 151_644, 872, 198, 151_669];
const AFTER: [u32; 6] = [151_670, 151_645, 198, 151_644, 77_091, 198];
/// The best of so many.
const TIMES: usize = 5;

fn main() {
    let size = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let size = size.as_deref().unwrap_or(random_weights::SIZES[0]);
    let config = random_weights::published(size).unwrap_or_else(|| panic!("{size} is none of 0.6b and 1.7b"));
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    random_weights::write(folder.path(), &config, 1).unwrap_or_else(|error| panic!("{error}"));
    let folder = SafetensorsFolder::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    let (tower, text) =
        load_networks(&folder, &config, Precision::EightBits).unwrap_or_else(|error| panic!("{error}"));
    let mb = |bytes: u64| bytes / 1_000_000;
    println!(
        "Qwen3-ASR {size}, 8 bits: tower {} MB, text model {} MB; {SECONDS} s, {ANSWER_TOKENS} tokens, best of {TIMES}",
        mb(tower.bytes() as u64),
        mb(text.weight_bytes())
    );
    println!(
        "| threads | load | spectrogram ms | tower ms | prompt ms | a token ms | all ms | RTF | guessed: all ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.unwrap_or_else(|error| panic!("{threads} threads: {error}"));
        let times = pool.install(|| {
            let all = (0..TIMES).map(|_| utterance(&tower, &text));
            all.reduce(Times::best).unwrap_or_default()
        });
        let token = times.answer / (ANSWER_TOKENS - 1) as f64;
        let all = times.mel + times.tower + times.prompt + times.answer;
        println!(
            "| {threads} | {} | {:.1} | {:.0} | {:.0} | {:.1} | {:.0} | {:.2} | {:.0} |",
            load(),
            times.mel * 1e3,
            times.tower * 1e3,
            times.prompt * 1e3,
            token * 1e3,
            all * 1e3,
            all / SECONDS as f64,
            (times.mel + times.tower + times.guessed) * 1e3,
        );
    }
}

/// Seconds.
#[derive(Clone, Copy, Default)]
struct Times {
    mel: f64,
    tower: f64,
    /// The prompt and the first token.
    prompt: f64,
    /// All other tokens.
    answer: f64,
    /// Prompt and answer, when all but the last five tokens were guessed.
    guessed: f64,
}

impl Times {
    fn best(self, other: Times) -> Times {
        Times {
            mel: self.mel.min(other.mel),
            tower: self.tower.min(other.tower),
            prompt: self.prompt.min(other.prompt),
            answer: self.answer.min(other.answer),
            guessed: self.guessed.min(other.guessed),
        }
    }
}

fn utterance(tower: &Tower, text: &Decoder) -> Times {
    let samples: Vec<f32> = (0..SECONDS * 16_000).map(|at| ((at * at) as f32 * 1e-5).sin() * 0.3).collect();
    let (mel, mel_s) = timed(|| LogMel::new(tower.config().num_mel_bins).extract(&samples));
    let (audio, tower_s) = timed(|| tower.forward(&mel, &CancelToken::new()));
    let audio = audio.unwrap_or_else(|error| panic!("{error}"));
    let answer = |beginning, max_tokens| {
        let question = Question { before: &BEFORE, audio: &audio, after: &AFTER, beginning, max_tokens };
        let known = Known { tokens: text.config().vocab_size, ends: &[] };
        let mut cache = text.new_cache();
        let written = decode::answer(text, &question, known, &mut cache, &CancelToken::new());
        written.unwrap_or_else(|error| panic!("{error}"))
    };
    let (_, prompt) = timed(|| answer(Beginning::Free, 1));
    let (written, all) = timed(|| answer(Beginning::Free, ANSWER_TOKENS));
    let guess = &written[..ANSWER_TOKENS - 5];
    let (again, guessed) = timed(|| answer(Beginning::Guessed(guess), ANSWER_TOKENS));
    assert_eq!(again, written);
    Times { mel: mel_s, tower: tower_s, prompt, answer: all - prompt, guessed }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let made = work();
    (made, begun.elapsed().as_secs_f64())
}

/// Processes that want a core, over the last minute: above the number of cores the figures mean little.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
