//! The engine `local` on models of true shape and random weights: tokens per second of prefill and
//! decode, the first token with and without what was read before, several sessions together, memory.
//!
//! ```text
//! cargo bench --bench llm [-- q4_k q8_0 concierge 2]     which weights, and how many threads
//! cargo bench --bench llm --features llama-cpp            side by side with llama.cpp
//! ```
//!
//! Machines are shared and noisy: what counts are the ratios. Each round measures both, one after the
//! other and in turns; shown are the medians, and the median of the rounds' ratios.

#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use vivavoce::engines::local::checkpoint::Checkpoint;
use vivavoce::engines::local::decoder::{Decoder, KvCache, LoadOptions, Sequence};
use vivavoce::engines::local::random_weights::{Shape, write_gguf};
use vivavoce::engines::local::source::Source;

const ROUNDS: usize = 5;
/// Tokens of the first turn's prompt, of what the second adds, and of a reply.
const PROMPT: usize = 256;
const MORE: usize = 24;
const REPLY: usize = 48;
/// Tokens of a prompt in one step.
const PIECE: usize = 64;

/// What one round found, in seconds.
#[derive(Clone, Copy, Default)]
struct Times {
    first_turn: f64,
    second_turn: f64,
    reply: f64,
}

trait Contender {
    fn name(&self) -> &'static str;
    fn round(&mut self) -> Times;
}

struct Ours {
    decoder: Decoder,
    pool: rayon::ThreadPool,
}

impl Ours {
    fn read(&self, cache: &mut KvCache, tokens: &[u32]) {
        let last = tokens.len().div_ceil(PIECE) - 1;
        for (index, piece) in tokens.chunks(PIECE).enumerate() {
            let sequence = Sequence { tokens: piece, cache, wants_logits: index == last };
            self.decoder.forward(&mut [sequence]).unwrap();
        }
    }

    /// Tokens per second of so many sessions that write at the same time, all together.
    fn together(&self, sessions: usize) -> f64 {
        self.pool.install(|| {
            let mut caches: Vec<KvCache> = (0..sessions).map(|_| self.decoder.new_cache()).collect();
            caches.iter_mut().for_each(|cache| self.read(cache, &tokens(PROMPT)));
            let began = Instant::now();
            for token in tokens(REPLY) {
                let step =
                    |cache| Sequence { tokens: std::slice::from_ref(&token), cache, wants_logits: true };
                self.decoder.forward(&mut caches.iter_mut().map(step).collect::<Vec<_>>()).unwrap();
            }
            (sessions * REPLY) as f64 / began.elapsed().as_secs_f64()
        })
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "vivavoce"
    }

    fn round(&mut self) -> Times {
        self.pool.install(|| {
            let mut cache = self.decoder.new_cache();
            let first_turn = timed(|| self.read(&mut cache, &tokens(PROMPT)));
            let reply = timed(|| {
                tokens(REPLY).into_iter().for_each(|token| self.read(&mut cache, &[token]));
            });
            let second_turn = timed(|| self.read(&mut cache, &tokens(MORE)));
            Times { first_turn, second_turn, reply }
        })
    }
}

fn tokens(count: usize) -> Vec<u32> {
    // Any that all vocabularies have.
    (0..count as u32).map(|n| 3 + n * 37 % 700).collect()
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A model of Qwen3-0.6B's shape; made once, below the target folder.
fn random_model(name: &str, dtype: GgmlDType) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("qwen3-0.6b-random-{name}.gguf"));
    if !path.exists() {
        println!("making {}", path.display());
        let unfinished = path.with_extension("part");
        write_gguf(&unfinished, Shape::QWEN3_0_6B, dtype, 1).unwrap();
        std::fs::rename(unfinished, &path).unwrap();
    }
    path
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn measure(name: &str, checkpoint: &Checkpoint, threads: usize) {
    let before_mb = resident_mb();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let options = LoadOptions::default();
    let decoder = pool.install(|| Decoder::from_checkpoint(checkpoint, &Device::Cpu, &options)).unwrap();
    let ours = Ours { decoder, pool };
    let mut contenders: Vec<Box<dyn Contender>> = vec![];
    let sessions = [1, 4].map(|sessions| ours.together(sessions));
    println!("\n{name}, {threads} thread(s)");
    println!(
        "  memory: weights {:.0} MB, cache {:.2} MB per 100 tokens, process {:+.0} MB",
        ours.decoder.weight_bytes() as f64 / 1e6,
        ours.decoder.cache_bytes_per_token() as f64 * 100.0 / 1e6,
        resident_mb() - before_mb,
    );
    println!(
        "  decode of 4 sessions together {:.1} tokens/s, of one {:.1}: {:.2} times",
        sessions[1],
        sessions[0],
        sessions[1] / sessions[0]
    );
    contenders.push(Box::new(ours));
    #[cfg(feature = "llama-cpp")]
    if checkpoint.path().is_file() {
        contenders.push(Box::new(theirs::Theirs::load(checkpoint.path(), threads)));
    }
    compare(&mut contenders);
}

fn compare(contenders: &mut [Box<dyn Contender>]) {
    let mut rounds: Vec<Vec<Times>> = vec![vec![]; contenders.len()];
    for round in 0..=ROUNDS {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            let times = contenders[at].round();
            // The first round warms up.
            if round > 0 {
                rounds[at].push(times);
            }
        }
    }
    for (contender, times) in contenders.iter().zip(&rounds) {
        let of = |value: fn(&Times) -> f64| median(times.iter().map(value).collect());
        println!(
            "  {:10} prefill {:7.1} tokens/s, decode {:6.1} tokens/s, first token {:6.1} ms, second turn's {:6.1} ms ({:.2})",
            contender.name(),
            PROMPT as f64 / of(|times| times.first_turn),
            REPLY as f64 / of(|times| times.reply),
            1e3 * of(|times| times.first_turn),
            1e3 * of(|times| times.second_turn),
            median(times.iter().map(|times| times.second_turn / times.first_turn).collect()),
        );
    }
    if let [ours, theirs] = &rounds[..] {
        let ratio = |value: fn(&Times) -> f64| {
            median(ours.iter().zip(theirs).map(|(ours, theirs)| value(theirs) / value(ours)).collect())
        };
        println!(
            "  ratio      prefill {:.2}, decode {:.2}",
            ratio(|times| times.first_turn),
            ratio(|times| times.reply)
        );
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let threads = arguments.iter().find_map(|argument| argument.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wants = |name: &str| {
        let names: Vec<&String> =
            arguments.iter().filter(|argument| argument.parse::<usize>().is_err()).collect();
        names.is_empty() || names.iter().any(|wanted| *wanted == name)
    };
    for (name, dtype) in [("q4_k", GgmlDType::Q4K), ("q8_0", GgmlDType::Q8_0)] {
        if wants(name) {
            let checkpoint = Checkpoint::open(&random_model(name, dtype)).unwrap();
            measure(&format!("Qwen3-0.6B's shape, {name}"), &checkpoint, threads.unwrap_or(cores));
        }
    }
    if wants("concierge") {
        let (checkpoint, _) = Source::BuiltIn.open().unwrap();
        measure("concierge, q8_0", &checkpoint, threads.unwrap_or(1));
    }
}

/// llama.cpp on the same file, with the same steps.
#[cfg(feature = "llama-cpp")]
mod theirs {
    use std::num::NonZeroU32;
    use std::path::Path;
    use std::sync::OnceLock;

    use llama_cpp_2::context::LlamaContext;
    use llama_cpp_2::context::params::LlamaContextParams;
    use llama_cpp_2::llama_backend::LlamaBackend;
    use llama_cpp_2::llama_batch::LlamaBatch;
    use llama_cpp_2::model::LlamaModel;
    use llama_cpp_2::model::params::LlamaModelParams;
    use llama_cpp_2::token::LlamaToken;

    use super::{Contender, MORE, PIECE, PROMPT, REPLY, Times, timed, tokens};

    pub struct Theirs {
        context: LlamaContext<'static>,
        batch: LlamaBatch<'static>,
        position: i32,
    }

    impl Theirs {
        /// The model lives until the process ends: its context borrows it.
        pub fn load(path: &Path, threads: usize) -> Theirs {
            static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
            let backend = BACKEND.get_or_init(|| {
                let mut backend = LlamaBackend::init().unwrap();
                backend.void_logs();
                backend
            });
            let model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default()).unwrap();
            let model: &'static LlamaModel = Box::leak(Box::new(model));
            let parameters = LlamaContextParams::default()
                .with_n_ctx(NonZeroU32::new(1024))
                .with_n_threads(threads as i32)
                .with_n_threads_batch(threads as i32);
            let context = model.new_context(backend, parameters).unwrap();
            Theirs { context, batch: LlamaBatch::new(PIECE.max(PROMPT), 1), position: 0 }
        }

        fn read(&mut self, tokens: &[u32]) {
            self.batch.clear();
            for (index, token) in tokens.iter().enumerate() {
                let last = index + 1 == tokens.len();
                self.batch.add(LlamaToken(*token as i32), self.position, &[0], last).unwrap();
                self.position += 1;
            }
            self.context.decode(&mut self.batch).unwrap();
            // It computes when it is asked for what came out.
            std::hint::black_box(self.context.get_logits_ith(tokens.len() as i32 - 1)[0]);
        }
    }

    impl Contender for Theirs {
        fn name(&self) -> &'static str {
            "llama.cpp"
        }

        fn round(&mut self) -> Times {
            self.context.clear_kv_cache();
            self.position = 0;
            // All of the prompt at once, as it likes best.
            let first_turn = timed(|| self.read(&tokens(PROMPT)));
            let reply = timed(|| tokens(REPLY).into_iter().for_each(|token| self.read(&[token])));
            let second_turn = timed(|| self.read(&tokens(MORE)));
            Times { first_turn, second_turn, reply }
        }
    }
}
