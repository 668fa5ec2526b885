//! The engine `local`: language models inside the process, on the CPU or (feature `cuda`) a GPU.
//!
//! ```text
//! worker of the LLM pool                        the model's thread (one)
//!   messages → text → prompt tokens ── job ──▶ scheduler: batch of all replies, step by step
//!   sink ◀── events ◀──────────────────────── writer ◀ logits ◀ decoder ⇄ KV cache (cache_pool)
//! ```
//!
//! - [`source`]: which model, and where its files are; [`checkpoint`]: what is in them;
//! - [`text`]: words ↔ tokens; [`decoder`] (on [`packed`] weights): tokens → logits;
//! - [`cache_pool`]: what was read stays with its session, within a budget;
//! - [`batch`]: the next step of all replies together; [`scheduler`]: the thread that makes the steps.
//!
//! A worker only prepares its prompt and waits for events; the network runs on one thread for all
//! sessions (and computes on `llm.local.threads`), since it is faster for all of them together than
//! one by one.

pub mod advice;
pub mod batch;
pub mod cache_pool;
pub mod checkpoint;
pub mod decoder;
pub mod packed;
pub mod random_weights;
pub mod scheduler;
pub mod source;
pub mod text;
pub mod writer;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use candle_core::Device;

use self::advice::Advice;
use self::batch::{Batch, Job, TOKENS_AHEAD, Written, channel};
use self::cache_pool::{CachePool, Held, Lease, common_prefix};
use self::decoder::{Decoder, LoadOptions, Sequence, WeightType};
use self::scheduler::Scheduler;
use self::source::Source;
use self::text::{ChatText, Constraint, ParseSpecial, Prompt, Sampler, Sampling};
use self::writer::Writer;
use super::{
    CancelToken, ChatMessage, EngineError, Llm, LlmEvent, LlmRequest, LlmState, ReplyForm, Role,
    TokenCounter, ToolSpec, Usage, forbid_executor_thread,
};
use crate::config::Config;

/// The name in `config.yml`.
pub const NAME: &str = "local";

/// Room for a reply that a prompt must leave, at least, in tokens.
const LEAST_ROOM: usize = 64;

/// A loaded model. Every [`Llm`] made by it shares its weights, its thread and its memory.
#[derive(Clone)]
pub struct LocalModel(Arc<Shared>);

/// The error's code of a reply that cannot be what is asked for.
pub const UNFIT_FORM: &str = "llm_unfit_form";

struct Shared {
    name: String,
    text: ChatText,
    scheduler: Scheduler,
    caches: Arc<CachePool>,
    context_tokens: usize,
    vocab_size: usize,
    sampling: Sampling,
    stop: Vec<String>,
    max_new_tokens: u32,
    seeds: Seeds,
    tools: ToolGrammar,
}

impl LocalModel {
    /// Loads what `llm.local` names, and reads the persona's instructions, with `tools`, once for all
    /// sessions. Blocks for as long as that takes: milliseconds (concierge) to seconds.
    pub fn load(config: &Config, tools: &[ToolSpec]) -> Result<LocalModel, EngineError> {
        let source = Source::of(config)?;
        let llm = &config.llm;
        let (checkpoint, text) = source.open()?;
        let device = device(&llm.local.device)?;
        let options = LoadOptions {
            weights: if llm.local.quantize && device.is_cpu() {
                WeightType::Q8_0
            } else {
                WeightType::AsStored
            },
            max_position: Some(llm.local.context_tokens),
            ..LoadOptions::default()
        };
        let decoder = Arc::new(Decoder::from_checkpoint(&checkpoint, &device, &options)?);
        let sampling = Advice::of(&checkpoint).sampling(llm);
        // Refused here, and not at the first reply.
        Sampler::new(sampling, 0).map_err(load_error)?;
        let threads = threads(llm.local.threads);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("llm-cpu-{index}"))
            .build()
            .map_err(load_error)?;

        let caches = CachePool::new((llm.local.cache_mb as u64) << 20, decoder.cache_bytes_per_token());
        let (vocab_size, context_tokens) = (text.tokenizer().vocab_size(), decoder.config().max_position);
        pool.install(|| warm_up(&decoder, &text, &caches, &config.persona.prompt(), tools))?;
        tracing::info!(
            model = source.name(),
            parameters_mb = decoder.weight_bytes() >> 20,
            threads,
            context_tokens,
            "language model"
        );
        let batch = Batch::new(decoder, Arc::clone(&caches));
        let step = Duration::from_millis(llm.local.step_ms.into());
        let scheduler = Scheduler::start(batch, pool, step).map_err(load_error)?;
        Ok(LocalModel(Arc::new(Shared {
            name: source.name().to_owned(),
            text,
            scheduler,
            caches,
            context_tokens,
            vocab_size,
            sampling,
            stop: llm.stop.clone(),
            max_new_tokens: llm.max_new_tokens,
            seeds: Seeds::new(llm.seed),
            tools: ToolGrammar::default(),
        })))
    }

    /// An engine for one worker.
    pub fn llm(&self) -> Box<dyn Llm> {
        Box::new(LocalLlm(Arc::clone(&self.0)))
    }

    /// Which model it is, for people.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

struct LocalLlm(Arc<Shared>);

impl Llm for LocalLlm {
    fn generate(
        &mut self,
        request: &LlmRequest,
        state: &mut LlmState,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Usage, EngineError> {
        forbid_executor_thread("local");
        let model = &*self.0;
        let max_new_tokens = match request.max_new_tokens {
            0 => model.max_new_tokens as usize,
            tokens => tokens as usize,
        };
        let prompt = model.prompt(request, max_new_tokens)?;
        let slot = model.lease(state).slot();
        let input_tokens = prompt.tokens.len();
        // However this call ends, its job ends with it.
        let stop = cancel.child_token();
        let _job_ends = stop.clone().drop_guard();
        let (written, events) = channel();
        model.scheduler.submit(Job {
            writer: model.writer(&prompt, request)?,
            max_new_tokens: max_new_tokens.min(model.context_tokens - input_tokens),
            prompt: prompt.tokens,
            slot,
            cancel: stop,
            written,
        });
        loop {
            let was_behind = events.len() >= TOKENS_AHEAD;
            let message = events.recv();
            if was_behind {
                model.scheduler.wake();
            }
            match message {
                Ok(Written::Events(events)) => {
                    for event in events {
                        if sink(event).is_break() {
                            return Err(EngineError::Cancelled);
                        }
                    }
                }
                Ok(Written::End(result)) => {
                    let tokens = result?;
                    tracing::debug!(?tokens, "reply written");
                    return Ok(Usage {
                        input_tokens: input_tokens as u32,
                        output_tokens: tokens.written as u32,
                    });
                }
                Err(_) => {
                    let message = "its thread has ended; restart the server".to_owned();
                    return Err(EngineError::Failed { engine: NAME, code: "llm_failed", message });
                }
            }
        }
    }
}

impl Shared {
    /// The prompt, with as many of the last messages as fit. What must go goes in steps, so that the
    /// beginning of the prompt, and with it what was read, stays the same for several turns.
    fn prompt(&self, request: &LlmRequest, max_new_tokens: usize) -> Result<Prompt, EngineError> {
        const STEP: usize = 8;
        let room = max_new_tokens.min(self.context_tokens / 4).max(LEAST_ROOM);
        let fits = |prompt: &Prompt| prompt.tokens.len() + room <= self.context_tokens;
        let instructions = request.messages.iter().take_while(|message| message.role == Role::System).count();
        let (system, said) = request.messages.split_at(instructions);
        let mut dropped = 0;
        loop {
            let messages: Vec<ChatMessage> = system.iter().chain(&said[dropped..]).cloned().collect();
            let prompt = self.text.encode(&messages, &request.tools).map_err(failed)?;
            if fits(&prompt) {
                if dropped > 0 {
                    tracing::debug!(dropped, "the oldest messages do not fit into the model's context");
                }
                return Ok(prompt);
            }
            if dropped + STEP >= said.len() {
                return Err(EngineError::Failed {
                    engine: NAME,
                    code: "llm_context_full",
                    message: format!(
                        "the instructions and the last message take {} of {} tokens; shorten them, or raise \
                         llm.local.context_tokens if the model can",
                        prompt.tokens.len(),
                        self.context_tokens
                    ),
                });
            }
            dropped += STEP;
        }
    }

    /// The session's place among the caches; a new one for a new session.
    fn lease<'a>(&self, state: &'a mut LlmState) -> &'a Lease {
        let known = state.0.as_ref().is_some_and(|kept| kept.is::<Lease>());
        if !known {
            state.0 = Some(Box::new(self.caches.lease()));
        }
        state
            .0
            .as_ref()
            .and_then(|kept| kept.downcast_ref())
            .unwrap_or_else(|| unreachable!("just put there"))
    }

    fn writer(&self, prompt: &Prompt, request: &LlmRequest) -> Result<Writer, EngineError> {
        let wished = &request.sampling;
        let seed = wished.seed.unwrap_or_else(|| self.seeds.next());
        let sampling = Sampling {
            temperature: wished.temperature.unwrap_or(self.sampling.temperature),
            top_p: wished.top_p.unwrap_or(self.sampling.top_p),
            ..self.sampling
        };
        let sampler = Sampler::new(sampling, seed).map_err(failed)?;
        let stop: Vec<String> = self.stop.iter().chain(&wished.stop).cloned().collect();
        let reader = self.text.reader(prompt, &stop, self.seeds.next_call());
        let constraint =
            match &request.form {
                ReplyForm::Free => self.tools.constraint(&self.text, &request.tools),
                form => self.text.bound(form, prompt, &request.tools).map_err(|problem| {
                    EngineError::Failed { engine: NAME, code: UNFIT_FORM, message: problem.to_string() }
                })?,
            };
        Ok(Writer::new(self.vocab_size, sampler, constraint, reader))
    }
}

/// Counts tokens by the tokenizer of the model that is at work (`own`), else by the built-in one's.
///
/// # Errors
/// Files that cannot be read.
pub fn token_counter(config: &Config, own: bool) -> Result<TokenCounter, EngineError> {
    let source = if own { Source::of(config)? } else { Source::BuiltIn };
    let (_, text) = source.open()?;
    let tokenizer = Arc::clone(text.tokenizer());
    // What no tokenizer takes still has a length.
    Ok(Arc::new(move |text| {
        tokenizer.encode(text, ParseSpecial::No).map_or(text.len() as u64 / 3, |tokens| tokens.len() as u64)
    }))
}

/// Reads the operator's instructions and pins them; the first step of a network is its slowest, too.
fn warm_up(
    decoder: &Decoder,
    text: &ChatText,
    caches: &CachePool,
    instructions: &str,
    tools: &[ToolSpec],
) -> Result<(), EngineError> {
    let prompt = |said: &str| {
        let messages = [ChatMessage::new(Role::System, instructions), ChatMessage::new(Role::User, said)];
        text.encode(&messages, tools).map(|prompt| prompt.tokens).map_err(load_error)
    };
    // Two conversations have in common what is the instructions' own.
    let (one, other) = (prompt("a")?, prompt("b")?);
    let common = common_prefix(&one, &other);
    if common == 0 || common + LEAST_ROOM > decoder.config().max_position {
        return Ok(());
    }
    let tokens = one[..common].to_vec();
    let mut cache = decoder.new_cache();
    decoder.forward(&mut [Sequence { tokens: &tokens, cache: &mut cache, wants_logits: true }])?;
    caches.pin(Held { tokens, cache });
    Ok(())
}

/// Where the chance of each reply comes from.
struct Seeds {
    fixed: Option<u64>,
    replies: AtomicU64,
}

impl Seeds {
    fn new(fixed: Option<u64>) -> Seeds {
        let start = getrandom::u64().unwrap_or(0);
        Seeds { fixed, replies: AtomicU64::new(start) }
    }

    /// Of the sampler: the operator's seed, or another one for each reply.
    fn next(&self) -> u64 {
        self.fixed.unwrap_or_else(|| self.next_call())
    }

    /// Of the ids of tool calls, which must differ.
    fn next_call(&self) -> u64 {
        self.replies.fetch_add(1, Ordering::Relaxed)
    }
}

/// The grammar of tool calls: made once for the same tools, since all sessions have the same.
#[derive(Default)]
struct ToolGrammar(Mutex<Option<(Vec<ToolSpec>, Option<Constraint>)>>);

impl ToolGrammar {
    /// A grammar that cannot be made leaves calls free: they are checked again before they are run.
    fn constraint(&self, text: &ChatText, tools: &[ToolSpec]) -> Option<Constraint> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, constraint)) = known.as_ref().filter(|(of, _)| of == tools) {
            return constraint.clone();
        }
        let constraint = text.tool_constraint(tools).unwrap_or_else(|error| {
            tracing::warn!("tool calls are not bound to their schemas: {error}");
            None
        });
        *known = Some((tools.to_vec(), constraint.clone()));
        constraint
    }
}

fn device(name: &str) -> Result<Device, EngineError> {
    let cuda = || Device::new_cuda(0);
    match name {
        "cuda" => cuda().map_err(|error| {
            let remedy =
                if cfg!(feature = "cuda") { "" } else { " (this binary was built without the feature cuda)" };
            let message = format!("llm.local.device: no CUDA device: {error}{remedy}; set it to cpu or auto");
            EngineError::Load { engine: NAME, message }
        }),
        "auto" if cfg!(feature = "cuda") => Ok(cuda().unwrap_or(Device::Cpu)),
        _ => Ok(Device::Cpu),
    }
}

/// Speech recognition and synthesis want some cores, too: a quarter of them, one at least.
fn threads(configured: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let for_speech = (cores / 4).max(1);
    if configured > 0 { configured } else { cores.saturating_sub(for_speech).max(1) }
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load { engine: NAME, message: error.to_string() }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed { engine: NAME, code: "llm_failed", message: error.to_string() }
}
