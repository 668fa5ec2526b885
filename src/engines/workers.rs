//! Worker pools: threads that run models, so that no async executor thread ever does.
//!
//! A pool has one bounded queue, first come first served. That is fair between sessions because a
//! session has at most one piece of work of a kind in it (one VAD frame, one segment, one reply).
//! Results go back through the callbacks that the work carries; they run on the worker's thread and
//! may block it (a full inbox), which is how a slow session slows its own synthesis.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{
    Asr, AsrRequest, AsrState, CancelToken, Clip, ClipRenderer, EngineError, Llm, LlmEvent, LlmRequest,
    LlmState, SpeechContext, Transcript, Tts, TtsEvent, TurnJudge, Usage, Vad, VadFrame,
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
    pub done: Done<(Box<VadFrame>, Result<Judged, EngineError>)>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It has a probability.
    Now,
    /// It will be judged with the next one: its noise is still being taken out.
    Later,
}

/// One pause to judge.
pub struct JudgeWork {
    /// The turn so far, 16 kHz mono.
    pub pcm: Vec<i16>,
    /// Stops the work before it is begun; once begun it is short.
    pub cancel: CancelToken,
    /// Gets the probability that the user has finished.
    pub done: Done<Result<f32, EngineError>>,
}

/// One utterance to recognise.
pub struct AsrWork {
    /// 16 kHz mono.
    pub pcm: Vec<i16>,
    /// ISO 639-1, a wish.
    pub language: Option<String>,
    /// What the conversation is about.
    pub context: Option<Arc<SpeechContext>>,
    /// What the engine keeps of this utterance; comes back with the words.
    pub state: AsrState,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Gets the words.
    pub done: Done<(AsrState, Result<Transcript, EngineError>)>,
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

/// Threads that take work of one kind from one bounded queue. Clones are the same pool; the last one that
/// is dropped ends it.
pub struct Pool<W>(Arc<Shared<W>>);

struct Shared<W> {
    name: &'static str,
    queue: Option<Sender<W>>,
    threads: Vec<JoinHandle<()>>,
}

impl<W> Clone for Pool<W> {
    fn clone(&self) -> Pool<W> {
        Pool(Arc::clone(&self.0))
    }
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
            let body = move || serve(&mut engine, &receiver);
            let thread = std::thread::Builder::new().name(format!("{name}-{index}")).spawn(body);
            threads.push(thread.map_err(|error| EngineError::Load {
                engine: name,
                message: format!("cannot start worker thread {index}: {error}"),
            })?);
        }
        Ok(Pool(Arc::new(Shared { name, queue: Some(queue), threads })))
    }

    /// Queues a piece of work; never blocks.
    pub fn submit(&self, work: W) -> Result<(), Saturated> {
        let Shared { name, queue, .. } = &*self.0;
        let Some(queue) = queue else { return Err(Saturated { pool: name }) };
        queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Saturated { pool: name },
        })
    }

    /// Pieces of work that wait.
    pub fn queued(&self) -> usize {
        self.0.queue.as_ref().map_or(0, Sender::len)
    }

    /// Pieces of work that can wait.
    pub fn capacity(&self) -> usize {
        self.0.queue.as_ref().and_then(Sender::capacity).unwrap_or(0)
    }

    /// Name of the pool, for logs and metrics.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<W> Drop for Shared<W> {
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
            let result = survive("vad", || {
                let mut judged = Vec::with_capacity(batch.len());
                let mut frames: Vec<&mut VadFrame> = Vec::with_capacity(batch.len());
                for VadWork { frame, .. } in &mut batch {
                    let now = take_noise_out(frame);
                    judged.push(if now { Judged::Now } else { Judged::Later });
                    frames.extend(now.then_some(&mut **frame));
                }
                vad.judge(&mut frames).map(|()| judged)
            });
            crate::metrics::vad_batch(batch.len());
            for (index, VadWork { frame, done }) in batch.drain(..).enumerate() {
                done((frame, result.clone().map(|judged| judged[index])));
            }
        }
    })
}

/// `false`: there is nothing to judge yet.
fn take_noise_out(frame: &mut VadFrame) -> bool {
    match &mut frame.denoiser {
        Some(denoiser) => denoiser.exchange(&mut frame.pcm),
        None => true,
    }
}

/// A pool that judges pauses.
pub fn judge_pool(
    engines: Vec<Box<dyn TurnJudge>>,
    queue_length: usize,
) -> Result<Pool<JudgeWork>, EngineError> {
    Pool::start("turn", engines, queue_length, |judge, queue| {
        for JudgeWork { pcm, cancel, done } in queue {
            done(unless_cancelled("turn", &cancel, || judge.judge(&pcm)));
        }
    })
}

/// A pool that recognises utterances.
pub fn asr_pool(engines: Vec<Box<dyn Asr>>, queue_length: usize) -> Result<Pool<AsrWork>, EngineError> {
    Pool::start("asr", engines, queue_length, |asr, queue| {
        for AsrWork { pcm, language, context, mut state, cancel, done } in queue {
            let request = AsrRequest { pcm: &pcm, language: language.as_deref(), context: context.as_ref() };
            let result =
                unless_cancelled("asr", &cancel, || asr.transcribe_on(&request, &mut state, &cancel));
            done((state, result));
        }
    })
}

/// A pool that writes replies.
pub fn llm_pool(engines: Vec<Box<dyn Llm>>, queue_length: usize) -> Result<Pool<LlmWork>, EngineError> {
    Pool::start("llm", engines, queue_length, |llm, queue| {
        for LlmWork { request, mut state, cancel, mut sink, done } in queue {
            let result =
                unless_cancelled("llm", &cancel, || llm.generate(&request, &mut state, &cancel, &mut *sink));
            done((state, result));
        }
    })
}

/// A pool that speaks segments.
pub fn tts_pool(engines: Vec<Box<dyn Tts>>, queue_length: usize) -> Result<Pool<TtsWork>, EngineError> {
    Pool::start("tts", engines, queue_length, |tts, queue| {
        for TtsWork { text, voice, cancel, mut sink, done } in queue {
            done(unless_cancelled("tts", &cancel, || {
                tts.synthesize(&text, voice.as_deref(), &cancel, &mut *sink)
            }));
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
            done(unless_cancelled("clip", &cancel, || {
                renderer.render_clip(&audio, super::OUTPUT_RATE_HZ, &text, &cancel)
            }));
        }
    })
}

/// Work that was cancelled while it waited is not begun, and late success counts as cancelled.
fn unless_cancelled<T>(
    pool: &'static str,
    cancel: &CancelToken,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    if cancel.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    survive(pool, work).and_then(
        |value| {
            if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(value) }
        },
    )
}

/// A panic inside a model fails the work at hand, and takes neither the pool nor the session with it.
fn survive<T>(pool: &'static str, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!(pool, "a model call panicked");
        let message = "a model call panicked; the server's standard error has the place".to_owned();
        Err(EngineError::Failed { engine: pool, code: "engine_panicked", message })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engines::VAD_FRAME_SAMPLES;
    use crate::engines::denoise::Denoiser;

    /// Says how many frames came together, and waits to be let go before each call.
    struct GatedVad {
        calls: mpsc::Sender<usize>,
        gate: mpsc::Receiver<()>,
    }

    impl Vad for GatedVad {
        fn judge(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), EngineError> {
            self.calls.send(frames.len()).unwrap();
            self.gate.recv().unwrap();
            frames.iter_mut().for_each(|frame| frame.probability = frame.pcm[0]);
            Ok(())
        }

        fn max_batch(&self) -> usize {
            3
        }
    }

    fn frame(first_sample: f32) -> Box<VadFrame> {
        let mut pcm = Box::new([0.0; VAD_FRAME_SAMPLES]);
        pcm[0] = first_sample;
        Box::new(VadFrame { pcm, probability: -1.0, ..VadFrame::silence() })
    }

    #[test]
    fn frames_that_wait_together_are_judged_together_and_each_goes_back_to_its_own() {
        let (calls, called) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let pool = vad_pool(vec![Box::new(GatedVad { calls, gate })], 8).unwrap();
        let (judged, results) = mpsc::channel();
        let submit = |value: f32| {
            let judged = judged.clone();
            let done: Done<_> =
                Box::new(move |(frame, result): (Box<VadFrame>, Result<Judged, EngineError>)| {
                    judged.send((value, frame.probability, result.is_ok())).unwrap();
                });
            pool.submit(VadWork { frame: frame(value), done }).unwrap();
        };
        submit(0.0);
        assert_eq!(called.recv().unwrap(), 1);
        (1..=4).for_each(|n| submit(n as f32));
        (0..3).for_each(|_| open.send(()).unwrap());
        assert_eq!((called.recv().unwrap(), called.recv().unwrap()), (3, 1));
        let results: Vec<(f32, f32, bool)> = results.iter().take(5).collect();
        assert_eq!(results, (0..5).map(|n| (n as f32, n as f32, true)).collect::<Vec<_>>());
    }

    #[test]
    fn a_frame_whose_noise_is_taken_out_is_judged_with_the_next_one() {
        let (calls, called) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let pool = vad_pool(vec![Box::new(GatedVad { calls, gate })], 8).unwrap();
        let (judged, results) = mpsc::channel();
        let mut stream = frame(0.0);
        stream.denoiser = Some(Box::new(Denoiser::new().unwrap()));
        let submit = |frame| {
            let judged = judged.clone();
            pool.submit(VadWork { frame, done: Box::new(move |back| judged.send(back).unwrap()) }).unwrap();
            open.send(()).unwrap();
            let (frame, result) = results.recv().unwrap();
            (frame, result.unwrap(), called.recv().unwrap())
        };
        let (back, first, frames) = submit(stream);
        assert_eq!((first, frames, back.probability), (Judged::Later, 0, -1.0));
        let (back, second, frames) = submit(back);
        assert_eq!((second, frames, back.probability), (Judged::Now, 1, 0.0));
    }

    /// Panics at the word, and else gives the number of samples.
    struct Fragile;

    impl Asr for Fragile {
        fn transcribe_on(
            &mut self,
            request: &AsrRequest<'_>,
            _: &mut AsrState,
            _: &CancelToken,
        ) -> Result<Transcript, EngineError> {
            assert_ne!(request.language, Some("xx"), "this is the panic of a test");
            Ok(Transcript { text: request.pcm.len().to_string(), language: None })
        }
    }

    type Answer = Result<Transcript, EngineError>;

    fn ask(pool: &Pool<AsrWork>, language: &str, cancel: &CancelToken) -> mpsc::Receiver<Answer> {
        let (tell, told) = mpsc::channel();
        let done: Done<(AsrState, Answer)> = Box::new(move |(_, answer)| tell.send(answer).unwrap());
        let (language, cancel) = (Some(language.to_owned()), cancel.clone());
        let state = AsrState::default();
        pool.submit(AsrWork { pcm: vec![0; 7], language, context: None, state, cancel, done }).unwrap();
        told
    }

    #[test]
    fn a_panic_fails_its_own_work_and_the_next_is_served() {
        let pool = asr_pool(vec![Box::new(Fragile)], 4).unwrap();
        let failed = ask(&pool, "xx", &CancelToken::new()).recv().unwrap().unwrap_err();
        assert_eq!(failed.code(), "engine_panicked");
        assert_eq!(ask(&pool, "en", &CancelToken::new()).recv().unwrap().unwrap().text, "7");
    }

    #[test]
    fn cancelled_work_is_not_begun() {
        let pool = asr_pool(vec![Box::new(Fragile)], 4).unwrap();
        let cancel = CancelToken::new();
        cancel.cancel();
        let answer = ask(&pool, "xx", &cancel).recv().unwrap();
        assert!(matches!(answer, Err(EngineError::Cancelled)), "{answer:?}");
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let (calls, called) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let pool = vad_pool(vec![Box::new(GatedVad { calls, gate })], 2).unwrap();
        let submit = || pool.submit(VadWork { frame: frame(0.0), done: Box::new(|_| {}) });
        submit().unwrap();
        called.recv().unwrap();
        submit().unwrap();
        submit().unwrap();
        assert_eq!((pool.queued(), pool.capacity()), (2, 2));
        assert!(submit().unwrap_err().to_string().contains("vad queue is full"));
        (0..2).for_each(|_| open.send(()).unwrap());
    }
}
