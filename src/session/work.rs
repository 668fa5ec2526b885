//! Gives a session's work to the engines and tools, and brings what comes of it into the session's inbox.
//!
//! Everything here is called by the actor and never waits. The callbacks run on worker threads; a
//! full inbox blocks them there. The inbox cannot stay full: the actor waits for nothing but it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::messages::Aside;
use super::recognition::Recognition;
use crate::engines::workers::{AsrWork, ClipWork, JudgeWork, Judged, LlmWork, Saturated, TtsWork, VadWork};
use crate::engines::{
    AsrState, CancelToken, Clip, EngineError, Engines, LlmEvent, LlmRequest, LlmState, SpeechContext,
    Transcript, TtsEvent, Usage, VadFrame,
};
use crate::tools::Registry;
use crate::turn::io::{
    AsrJob, CallId, Fault, Heard, Input, JudgementId, ReplyId, RequestId, SegmentId, ToolResult, TurnId,
    WordTime,
};

/// Replies beside the conversation at a time, for one session.
const MAX_ASIDES: usize = 4;

/// What comes back from worker threads.
#[derive(Debug)]
pub enum Arrival {
    /// A frame was judged.
    Judged(Box<VadFrame>, Result<Judged, EngineError>),
    /// The next step of a compaction.
    Compaction(u64, super::upkeep::Step),
    /// Memories that fit what the reply is to answer.
    Recalled(ReplyId, Vec<String>),
    /// A search for memories has begun, or has ended.
    Remembered(super::upkeep::memories::News),
    /// Something that the turn machine takes as it is.
    Input(Input),
    /// Recognition has ended.
    Transcribed(AsrJob, AsrState, Result<Heard, Fault>),
    /// What the LLM thinks, for sessions that show it.
    Thought(ReplyId, String),
    /// The LLM has ended.
    Generated(ReplyId, LlmState, Result<Usage, EngineError>),
    /// The TTS made speech.
    Speech(ReplyId, SegmentId, Vec<f32>, Vec<WordTime>),
    /// Of a reply beside the conversation.
    Aside(RequestId, Aside),
    /// The renderer has ended.
    Rendered(ReplyId, Result<Clip, EngineError>),
}

/// The work of one session that is under way.
pub struct Work {
    engines: Arc<Engines>,
    tools: Arc<Registry>,
    inbox: mpsc::Sender<Arrival>,
    recognition: Recognition,
    /// The pause that is being judged.
    judgement: Option<(JudgementId, CancelToken)>,
    /// Replies beside the conversation.
    asides: HashMap<RequestId, CancelToken>,
    /// The reply at work: its id, its stop signal, and that of its LLM alone.
    reply: Option<(ReplyId, CancelToken, CancelToken)>,
    /// Travels with the LLM's work and comes back.
    pub llm_state: LlmState,
}

impl Work {
    /// No work yet.
    pub fn new(engines: Arc<Engines>, tools: Arc<Registry>, inbox: mpsc::Sender<Arrival>) -> Work {
        Work {
            engines,
            tools,
            inbox,
            recognition: Recognition::default(),
            judgement: None,
            asides: HashMap::new(),
            reply: None,
            llm_state: LlmState::default(),
        }
    }

    /// What the LLM may call.
    pub fn tools(&self) -> &Registry {
        &self.tools
    }

    /// The same engines, for work that may outlast the session.
    pub fn engines_shared(&self) -> Arc<Engines> {
        Arc::clone(&self.engines)
    }

    /// A task's way into the inbox.
    pub fn inbox(&self) -> mpsc::Sender<Arrival> {
        self.inbox.clone()
    }

    /// The engines that do the work.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// A callback's way into the inbox. A session that is gone wants nothing.
    fn deliver(&self) -> impl Fn(Arrival) -> ControlFlow<()> + Send + 'static + use<> {
        let inbox = self.inbox.clone();
        move |arrival| match inbox.blocking_send(arrival) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// The same for the last word of a piece of work.
    fn deliver_last(&self) -> impl FnOnce(Arrival) + Send + 'static + use<> {
        let deliver = self.deliver();
        move |arrival| {
            let _ = deliver(arrival);
        }
    }

    /// Judges a frame.
    pub fn judge(&self, frame: Box<VadFrame>) -> Result<(), Saturated> {
        let deliver = self.deliver_last();
        let done = Box::new(move |(frame, result)| deliver(Arrival::Judged(frame, result)));
        self.engines.vad.submit(VadWork { frame, done })
    }

    /// Recognises an utterance.
    pub fn transcribe(
        &mut self,
        job: AsrJob,
        pcm: Vec<i16>,
        language: Option<String>,
        context: Arc<SpeechContext>,
    ) -> Result<(), Saturated> {
        let cancel = CancelToken::new();
        let deliver = self.deliver_last();
        let done = Box::new(move |(state, result): (AsrState, Result<Transcript, EngineError>)| {
            let result = result.map(|t| Heard { text: t.text, language: t.language }).map_err(fault);
            deliver(Arrival::Transcribed(job, state, result));
        });
        let state = AsrState::default();
        let work = AsrWork { pcm, language, context: Some(context), state, cancel, done };
        self.recognition.start(job, work, &self.engines.asr)
    }

    /// A recognition job is no longer wanted.
    pub fn forget_transcription(&mut self, job: AsrJob) {
        self.recognition.cancel(job);
    }

    /// A recognition job has ended. The one that waited for it may find no room: then it has failed.
    pub fn transcription_ended(&mut self, job: AsrJob, state: AsrState) -> Result<(), (AsrJob, Saturated)> {
        self.recognition.ended(job, state, &self.engines.asr)
    }

    /// Judges a pause. The one before is no longer wanted.
    pub fn judge_turn(&mut self, id: JudgementId, pcm: Vec<i16>) -> Result<(), Fault> {
        self.forget_judgement();
        let Some(pool) = &self.engines.turn else {
            let message = "this server has no end-of-turn model; set vad.turn_detection to vad".to_owned();
            return Err(Fault { code: "turn_judge_failed".to_owned(), message });
        };
        let cancel = CancelToken::new();
        self.judgement = Some((id, cancel.clone()));
        let deliver = self.deliver_last();
        let done = Box::new(move |result: Result<f32, EngineError>| {
            deliver(Arrival::Input(Input::TurnJudged { judgement: id, result: result.map_err(fault) }));
        });
        pool.submit(JudgeWork { pcm, cancel, done }).map_err(saturated)
    }

    /// Nobody waits for a judgement any more.
    pub fn forget_judgement(&mut self) {
        if let Some((_, cancel)) = self.judgement.take() {
            cancel.cancel();
        }
    }

    /// Writes a reply, or a part of it. What is thought is told only if that is wanted.
    pub fn generate(
        &mut self,
        reply: ReplyId,
        request: LlmRequest,
        wants_thoughts: bool,
    ) -> Result<(), Saturated> {
        let cancel = self.cancel_of(reply).1;
        let (deliver, deliver_last) = (self.deliver(), self.deliver_last());
        let sink = Box::new(move |event| {
            deliver(match event {
                LlmEvent::Text(text) => Arrival::Input(Input::Token { reply, text }),
                LlmEvent::ToolCall(call) => Arrival::Input(Input::ToolCall { reply, call, by_client: false }),
                LlmEvent::Thought(thought) if wants_thoughts => Arrival::Thought(reply, thought),
                LlmEvent::Thought(_) => return ControlFlow::Continue(()),
            })
        });
        let done = Box::new(move |(state, result)| deliver_last(Arrival::Generated(reply, state, result)));
        let state = std::mem::take(&mut self.llm_state);
        self.engines.llm.submit(LlmWork { request, state, cancel, sink, done })
    }

    /// Writes something beside the conversation.
    pub fn write_aside(&mut self, id: RequestId, request: LlmRequest) -> Result<(), Fault> {
        if self.asides.len() >= MAX_ASIDES {
            let message = format!("{MAX_ASIDES} replies beside the conversation are being made already");
            return Err(Fault { code: "too_many_replies".to_owned(), message });
        }
        let cancel = CancelToken::new();
        let (deliver, deliver_last) = (self.deliver(), self.deliver_last());
        let sink = Box::new(move |event| {
            let aside = match event {
                LlmEvent::Text(text) => Aside::Text(text),
                LlmEvent::ToolCall(call) => Aside::Call(call),
                LlmEvent::Thought(_) => return ControlFlow::Continue(()),
            };
            deliver(Arrival::Aside(id, aside))
        });
        let most = request.max_new_tokens;
        let done = Box::new(move |(_, result): (LlmState, Result<Usage, EngineError>)| {
            let result = result.map(|usage| (usage, usage.output_tokens >= most)).map_err(fault);
            deliver_last(Arrival::Aside(id, Aside::Ended(result)));
        });
        let state = LlmState::default();
        let work = LlmWork { request, state, cancel: cancel.clone(), sink, done };
        self.engines.llm.submit(work).map_err(saturated)?;
        self.asides.insert(id, cancel);
        Ok(())
    }

    /// Whether a reply beside the conversation is still wanted; one that has ended is not any more.
    pub fn aside_goes_on(&mut self, id: RequestId, ended: bool) -> bool {
        if ended { self.asides.remove(&id).is_some() } else { self.asides.contains_key(&id) }
    }

    /// A reply beside the conversation is no longer wanted.
    pub fn cancel_aside(&mut self, id: RequestId) {
        if let Some(cancel) = self.asides.remove(&id) {
            cancel.cancel();
        }
    }

    /// The LLM may stop; the reply goes on.
    pub fn stop_generating(&mut self, reply: ReplyId) {
        if let Some((_, _, llm)) = self.reply.as_ref().filter(|(id, _, _)| *id == reply) {
            llm.cancel();
        }
    }

    /// Runs a tool, as a task of its own: tools wait for clocks and sockets and block nobody. The end of
    /// the reply ends it.
    pub fn run_tool(&mut self, reply: ReplyId, call: CallId, name: String, arguments: String) {
        let cancel = self.cancel_of(reply).0;
        let (tools, inbox) = (Arc::clone(&self.tools), self.inbox.clone());
        tokio::spawn(async move {
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                answer = tools.run(&name, &arguments) => answer,
            };
            let crate::tools::Answer { content, summary, failed, ends_session } = answer;
            let result = ToolResult { content, summary, failed, ends_session };
            // A session that is gone wants nothing.
            let _ = inbox.send(Arrival::Input(Input::ToolDone { reply, call, result })).await;
        });
    }

    /// Speaks a segment.
    pub fn synthesize(
        &mut self,
        reply: ReplyId,
        segment: SegmentId,
        text: String,
        voice: Option<String>,
    ) -> Result<(), Saturated> {
        let cancel = self.cancel_of(reply).0;
        let (deliver, deliver_last) = (self.deliver(), self.deliver_last());
        let sink = Box::new(move |event| match event {
            TtsEvent::Audio(samples) => deliver(Arrival::Speech(reply, segment, samples, Vec::new())),
            TtsEvent::Words(words) => deliver(Arrival::Speech(reply, segment, Vec::new(), words)),
            TtsEvent::Phonemes(_) => ControlFlow::Continue(()),
        });
        let done = Box::new(move |result: Result<(), EngineError>| {
            let result = result.map_err(fault);
            deliver_last(Arrival::Input(Input::Spoken { reply, segment, result }));
        });
        self.engines.tts.submit(TtsWork { text, voice, cancel, sink, done })
    }

    /// Renders the clip of a reply.
    pub fn render(&mut self, reply: ReplyId, audio: Vec<f32>, text: String) -> Result<(), Saturated> {
        let cancel = self.cancel_of(reply).0;
        let deliver = self.deliver_last();
        let done = Box::new(move |result| deliver(Arrival::Rendered(reply, result)));
        let Some(clip) = &self.engines.clip else { return Err(Saturated { pool: "clip" }) };
        clip.submit(ClipWork { audio, text, cancel, done })
    }

    /// Stops all work for a reply.
    pub fn cancel_reply(&mut self, reply: ReplyId) {
        if let Some((_, all, _)) = self.reply.take_if(|(id, _, _)| *id == reply) {
            all.cancel();
        }
    }

    /// Stops everything.
    pub fn cancel_all(&mut self) {
        self.recognition.cancel_all();
        self.forget_judgement();
        self.asides.drain().for_each(|(_, cancel)| cancel.cancel());
        if let Some((_, all, _)) = self.reply.take() {
            all.cancel();
        }
    }

    /// Told when a turn's events are durable, or cannot be made so: goes into the inbox from the
    /// log's writer thread. A log that refuses at once calls back on the actor's own thread, which
    /// may not wait for its own inbox.
    pub fn committed(&self, turn: TurnId) -> impl FnOnce(Result<(), Fault>) + Send + 'static + use<> {
        self.teller(move |result| Arrival::Input(Input::Committed { turn, result }))
    }

    /// The log's way into the inbox, see [`Work::committed`].
    pub fn teller<T, F>(&self, arrival: F) -> impl FnOnce(T) + Send + 'static + use<T, F>
    where
        F: FnOnce(T) -> Arrival + Send + 'static,
    {
        let inbox = self.inbox.clone();
        move |result| {
            let arrival = arrival(result);
            match tokio::runtime::Handle::try_current() {
                Ok(executor) => {
                    executor.spawn(async move {
                        let _ = inbox.send(arrival).await;
                    });
                }
                Err(_) => {
                    let _ = inbox.blocking_send(arrival);
                }
            }
        }
    }

    /// The stop signals of a reply, of all of it and of its LLM; a new reply replaces the one before.
    fn cancel_of(&mut self, reply: ReplyId) -> (CancelToken, CancelToken) {
        if let Some((id, all, llm)) = &self.reply
            && *id == reply
        {
            return (all.clone(), llm.clone());
        }
        let all = CancelToken::new();
        let llm = all.child_token();
        if let Some((_, before, _)) = self.reply.replace((reply, all.clone(), llm.clone())) {
            before.cancel();
        }
        (all, llm)
    }
}

impl Drop for Work {
    /// However a session ends, its work ends with it.
    fn drop(&mut self) {
        self.cancel_all();
    }
}

/// An engine's error as the turn machine and the client see it.
pub fn fault(error: EngineError) -> Fault {
    Fault { code: error.code().to_owned(), message: error.to_string() }
}

/// A full queue as the turn machine and the client see it.
pub fn saturated(error: Saturated) -> Fault {
    Fault { code: "saturated".to_owned(), message: error.to_string() }
}
