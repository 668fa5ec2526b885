//! Worker pools: threads that run models, so that no async executor thread ever does.
//!
//! A pool has one bounded queue, first come first served. That is fair between sessions because a
//! session has at most one piece of work of a kind in it (one VAD frame, one segment, one reply).
//! Results go back through the callbacks that the work carries; they run on the worker's thread and
//! may block it (a full inbox), which is how a slow session slows its own synthesis.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{
    Asr, CancelToken, Clip, ClipRenderer, EngineError, Llm, LlmEvent, LlmRequest, LlmState, Transcript, Tts,
    TtsEvent, Usage, Vad, VadFrame,
};

/// Called once with the result of a piece of work.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;
/// Called for each event of streaming work; `Break` stops it.
pub type Sink<T> = Box<dyn FnMut(T) -> ControlFlow<()> + Send>;

/// One frame to judge. The frame comes back with its state advanced.
pub struct VadWork {
    /// The frame, with its stream's state.
    pub frame: Box<VadFrame>,
    /// Gets the frame back, judged or not.
    pub done: Done<(Box<VadFrame>, Result<(), EngineError>)>,
}

/// One utterance to recognise.
pub struct AsrWork {
    /// 16 kHz mono.
    pub pcm: Vec<i16>,
    /// ISO 639-1, a wish.
    pub language: Option<String>,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Gets the words.
    pub done: Done<Result<Transcript, EngineError>>,
}

/// One reply to write.
pub struct LlmWork {
    /// The prompt.
    pub request: LlmRequest,
    /// What the engine keeps of this conversation; comes back with the result.
    pub state: LlmState,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Gets the text as it is written.
    pub sink: Sink<LlmEvent>,
    /// Gets the state back, and how it ended.
    pub done: Done<(LlmState, Result<Usage, EngineError>)>,
}

/// One segment to speak.
pub struct TtsWork {
    /// Speakable text.
    pub text: String,
    /// A voice of the engine; `None`: its own choice.
    pub voice: Option<String>,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Gets the speech as it is made.
    pub sink: Sink<TtsEvent>,
    /// Told how it ended.
    pub done: Done<Result<(), EngineError>>,
}

/// One clip to render.
pub struct ClipWork {
    /// 24 kHz mono, −1…1.
    pub audio: Vec<f32>,
    /// The reply's text.
    pub text: String,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Gets the clip.
    pub done: Done<Result<Clip, EngineError>>,
}

/// The queue is full: the server is saturated.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the {pool} queue is full: the server is saturated")]
pub struct Saturated {
    /// Which pool.
    pub pool: &'static str,
}

/// Threads that take work of one kind from one bounded queue.
pub struct Pool<W> {
    name: &'static str,
    queue: Option<Sender<W>>,
    threads: Vec<JoinHandle<()>>,
}

impl<W: Send + 'static> Pool<W> {
    /// One thread for each of `engines`. `serve` runs until the queue is closed.
    fn start<E: Send + 'static>(
        name: &'static str,
        engines: Vec<E>,
        queue_length: usize,
        serve: fn(&mut E, &Receiver<W>),
    ) -> Result<Pool<W>, EngineError> {
        let (queue, receiver) = bounded(queue_length);
        let mut threads = Vec::with_capacity(engines.len());
        for (index, mut engine) in engines.into_iter().enumerate() {
            let receiver = receiver.clone();
            let body = move || {
                // A panic inside a model must not take the pool with it: the work at hand is lost
                // (its stage times out), the next piece is served.
                while catch_unwind(AssertUnwindSafe(|| serve(&mut engine, &receiver))).is_err() {
                    tracing::error!(pool = name, "a model call panicked");
                }
            };
            let thread = std::thread::Builder::new().name(format!("{name}-{index}")).spawn(body);
            threads.push(thread.map_err(|error| EngineError::Load {
                engine: name,
                message: format!("cannot start worker thread {index}: {error}"),
            })?);
        }
        Ok(Pool { name, queue: Some(queue), threads })
    }

    /// Queues a piece of work; never blocks.
    pub fn submit(&self, work: W) -> Result<(), Saturated> {
        let Some(queue) = &self.queue else { return Err(Saturated { pool: self.name }) };
        queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Saturated { pool: self.name },
        })
    }

    /// Pieces of work that wait.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    /// Pieces of work that can wait.
    pub fn capacity(&self) -> usize {
        self.queue.as_ref().and_then(Sender::capacity).unwrap_or(0)
    }

    /// Name of the pool, for logs and metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<W> Drop for Pool<W> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // The last user of a pool may be a callback on one of its own threads.
            if thread.thread().id() != std::thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

/// A pool that judges the frames of many sessions in one model call when they arrive together.
pub fn vad_pool(engines: Vec<Box<dyn Vad>>, queue_length: usize) -> Result<Pool<VadWork>, EngineError> {
    Pool::start("vad", engines, queue_length, |vad, queue| {
        let mut batch: Vec<VadWork> = Vec::new();
        while let Ok(first) = queue.recv() {
            batch.push(first);
            batch.extend(queue.try_iter().take(vad.max_batch() - 1));
            let result = {
                let mut frames: Vec<&mut VadFrame> = batch.iter_mut().map(|work| &mut *work.frame).collect();
                vad.judge(&mut frames)
            };
            crate::metrics::vad_batch(batch.len());
            for VadWork { frame, done } in batch.drain(..) {
                done((frame, result.clone()));
            }
        }
    })
}

/// A pool that recognises utterances.
pub fn asr_pool(engines: Vec<Box<dyn Asr>>, queue_length: usize) -> Result<Pool<AsrWork>, EngineError> {
    Pool::start("asr", engines, queue_length, |asr, queue| {
        for AsrWork { pcm, language, cancel, done } in queue {
            done(unless_cancelled(&cancel, || asr.transcribe(&pcm, language.as_deref(), &cancel)));
        }
    })
}

/// A pool that writes replies.
pub fn llm_pool(engines: Vec<Box<dyn Llm>>, queue_length: usize) -> Result<Pool<LlmWork>, EngineError> {
    Pool::start("llm", engines, queue_length, |llm, queue| {
        for LlmWork { request, mut state, cancel, mut sink, done } in queue {
            let result =
                unless_cancelled(&cancel, || llm.generate(&request, &mut state, &cancel, &mut *sink));
            done((state, result));
        }
    })
}

/// A pool that speaks segments.
pub fn tts_pool(engines: Vec<Box<dyn Tts>>, queue_length: usize) -> Result<Pool<TtsWork>, EngineError> {
    Pool::start("tts", engines, queue_length, |tts, queue| {
        for TtsWork { text, voice, cancel, mut sink, done } in queue {
            done(unless_cancelled(&cancel, || tts.synthesize(&text, voice.as_deref(), &cancel, &mut *sink)));
        }
    })
}

/// A pool that renders clips.
pub fn clip_pool(
    engines: Vec<Box<dyn ClipRenderer>>,
    queue_length: usize,
) -> Result<Pool<ClipWork>, EngineError> {
    Pool::start("clip", engines, queue_length, |renderer, queue| {
        for ClipWork { audio, text, cancel, done } in queue {
            done(unless_cancelled(&cancel, || {
                renderer.render_clip(&audio, super::OUTPUT_RATE_HZ, &text, &cancel)
            }));
        }
    })
}

/// Work that was cancelled while it waited is not begun, and late success counts as cancelled.
fn unless_cancelled<T>(
    cancel: &CancelToken,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    if cancel.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    work().and_then(|value| if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(value) })
}
