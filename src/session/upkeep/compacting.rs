//! One compaction, step by step.
//!
//! ```text
//! begin ─▶ Summary (the model writes) ─▶ Settled (all that was appended is durable; the head's hash)
//!                                          ─▶ Started (the new session is durable) ─▶ compact_done
//! ```
//! What is said meanwhile goes into the old session up to the moment in which the new one is begun, and is
//! part of its tail; from then on into the new one. A request that waits for a compaction gets it or its
//! failure; one that comes while a summary is being written in a pause ends that, since the user waits.

use super::asking::CANCELLED;
use super::{Delay, summary};
use crate::conversation::compaction::{Occasion, Successor, Verdict, tail_start};
use crate::conversation::error::StoreError;
use crate::conversation::history::{HistoryMessage, Role};
use crate::conversation::store::Appended;
use crate::engines::CancelToken;
use crate::session::Session;
use crate::session::messages::{ToClient, Upkept};
use crate::session::requests::Request;
use crate::session::work::Arrival;
use crate::turn::io::{Fault, ReplyId};

/// A compaction that is under way.
pub struct Job {
    number: u64,
    cancel: CancelToken,
    occasion: Occasion,
    /// What the summary stands for: so many messages from the beginning.
    summarised: Vec<HistoryMessage>,
    stage: Stage,
}

enum Stage {
    /// The summary is being written.
    Writing,
    /// It is there; the old session's last appends are on their way to the disk.
    Settling { summary: String, appends: u64 },
    /// The new session is.
    Starting(Box<Successor>),
}

/// What brings a compaction on.
#[derive(Debug)]
pub enum Step {
    /// The summary, or why there is none.
    Summary(Result<String, Fault>),
    /// Where the old session stands.
    Settled(Result<Appended, StoreError>),
    /// Whether the new session is durable.
    Started(Result<Appended, StoreError>),
}

impl Session {
    /// Nobody says anything: is there something to be done?
    pub(in crate::session) fn use_pause(&mut self) {
        if self.upkeep.job.is_some() || !self.turn.is_idle() || self.over.is_some() {
            return;
        }
        // What is read waits for its compaction; who reads may have gone by now.
        if self.settings.turn.text_only || self.last_was_read {
            return;
        }
        match self.upkeep.judge_pause(&self.config.compaction) {
            Verdict::No => {}
            Verdict::Compact => {
                self.begin_compaction(None);
            }
            Verdict::Thrash => self.tell_thrash(),
        }
    }

    /// A request comes: `None`, nothing is in its way; else whether it waits for what is under way.
    pub(in crate::session) fn compaction_before(&mut self, request: &Request) -> Option<bool> {
        let job = self.upkeep.job.as_ref()?;
        if matches!(job.stage, Stage::Writing) {
            // Its words would be left out of the summary or said too late.
            self.cancel_compaction();
            return None;
        }
        // A few milliseconds.
        Some(request.so_far.is_none() || job.occasion == Occasion::Request)
    }

    /// Begins a compaction, before `request` or in a pause. `false`: there is nothing to be summarised, or no
    /// way to go on from here.
    pub(in crate::session) fn begin_compaction(&mut self, request: Option<&Request>) -> bool {
        let running = request.and_then(|request| self.running_turn(request.reply));
        let retained = self.config.compaction.retained_tokens;
        let upkeep = &mut self.upkeep;
        let history = self.journal.history();
        let start =
            tail_start(history, retained, running.map(|turn| turn.0), &mut |text| upkeep.tokens(text));
        let Some(start) = start else { return false };
        let summarised = history[..start].to_vec();
        if let (Some(turn), Some(request)) = (running, request) {
            let said = (!request.user_text.is_empty()).then(|| request.user_text.clone());
            self.journal.yield_turn(turn, said, self.typed, request.so_far.as_ref());
        }
        upkeep.jobs += 1;
        let (number, cancel) = (upkeep.jobs, CancelToken::new());
        let occasion = if request.is_some() { Occasion::Request } else { Occasion::Pause };
        let writing = summary::summarise(
            self.work.engines_shared(),
            self.config.compaction.clone(),
            summarised.clone(),
            cancel.clone(),
        );
        let inbox = self.work.inbox();
        tokio::spawn(async move {
            let step = Step::Summary(writing.await);
            // A session that is gone wants nothing.
            let _ = inbox.send(Arrival::Compaction(number, step)).await;
        });
        self.upkeep.job = Some(Job { number, cancel, occasion, summarised, stage: Stage::Writing });
        self.send(ToClient::Upkept(Upkept::CompactStart));
        true
    }

    /// The summary is no longer wanted. (A compaction whose new session is begun goes on.)
    pub(in crate::session) fn cancel_compaction(&mut self) {
        if self.upkeep.job.as_ref().is_some_and(|job| matches!(job.stage, Stage::Writing)) {
            let message = "the conversation went on; there will be another pause".to_owned();
            self.compaction_failed(Fault { code: CANCELLED.to_owned(), message });
        }
    }

    pub(in crate::session) fn on_compaction(&mut self, number: u64, step: Step) {
        let Some(job) = self.upkeep.job.as_mut().filter(|job| job.number == number) else { return };
        match (step, std::mem::replace(&mut job.stage, Stage::Writing)) {
            (Step::Summary(Ok(summary)), _) => self.settle(summary),
            (Step::Summary(Err(fault)), _) => self.compaction_failed(fault),
            (Step::Settled(Ok(_)), Stage::Settling { summary, appends })
                if appends != self.journal.appends() =>
            {
                // Something was appended since.
                self.settle(summary);
            }
            (Step::Settled(Ok(appended)), Stage::Settling { summary, .. }) => self.start(&summary, appended),
            (Step::Started(Ok(_)), Stage::Starting(successor)) => self.compaction_done(*successor),
            (Step::Started(Err(error)), _) => {
                self.journal.revert();
                self.compaction_failed(store_fault(&error));
            }
            (Step::Settled(Err(error)), _) => self.compaction_failed(store_fault(&error)),
            (Step::Settled(Ok(_)) | Step::Started(Ok(_)), _) => {}
        }
    }

    /// Waits until the log is what the history is.
    fn settle(&mut self, summary: String) {
        let Some(job) = self.upkeep.job.as_mut() else { return };
        let number = job.number;
        let tell = self.work.teller(move |result| Arrival::Compaction(number, Step::Settled(result)));
        self.journal.settle(Box::new(tell));
        job.stage = Stage::Settling { summary, appends: self.journal.appends() };
    }

    /// Begins the new session.
    fn start(&mut self, summary: &str, old: Appended) {
        let Some(job) = self.upkeep.job.as_mut() else { return };
        let summarised = job.summarised.len();
        let same =
            |one: &HistoryMessage, other: &HistoryMessage| one.turn == other.turn && one.role == other.role;
        let history = self.journal.history();
        let unchanged = history.len() >= summarised
            && history[..summarised].iter().zip(&job.summarised).all(|(one, other)| same(one, other));
        if !unchanged {
            let message = "messages were taken out of the conversation meanwhile".to_owned();
            self.compaction_failed(Fault { code: "conversation_changed".to_owned(), message });
            return;
        }
        // What the running reply has said so far comes again with the whole of it.
        let yielded = self.journal.yielded();
        let is_part =
            |m: &HistoryMessage| m.role == Role::Assistant && yielded.is_some_and(|turn| turn.0 == m.turn);
        let history: Vec<HistoryMessage> =
            history.iter().filter(|message| !is_part(message)).cloned().collect();
        let successor = Successor::new(&history, summarised, summary, self.journal.tasks());
        let number = job.number;
        let tell = self.work.teller(move |result| Arrival::Compaction(number, Step::Started(result)));
        if self.journal.begin_successor(old.place.head.hash, &successor, Box::new(tell)) {
            job.stage = Stage::Starting(Box::new(successor));
        } else {
            let message = "how the session began cannot be read in the log".to_owned();
            self.compaction_failed(Fault { code: "session_damaged".to_owned(), message });
        }
    }

    fn compaction_done(&mut self, successor: Successor) {
        let Some(job) = self.upkeep.job.take() else { return };
        self.journal.keep_successor();
        self.upkeep.breaker.done(job.occasion);
        self.upkeep.usage.begin_anew();
        // As if the new session had just been opened: it has not been looked through.
        self.upkeep.pointer = self.journal.writer().memory_pointer().clone();
        let session = self.journal.session_id();
        tracing::info!(new_session_id = %session, summarised = job.summarised.len(), "the conversation is compacted");
        (self.moved)(session);
        self.send(ToClient::Upkept(Upkept::CompactDone { session }));
        for made in successor.made {
            self.send(ToClient::Upkept(Upkept::SystemMessage { text: made.text }));
        }
        if let Some(request) = self.take_waiting(Delay::Compaction) {
            self.prompt = None;
            self.ask_with_room(request);
        }
    }

    fn compaction_failed(&mut self, fault: Fault) {
        let Some(job) = self.upkeep.job.take() else { return };
        job.cancel.cancel();
        if fault.code != CANCELLED {
            tracing::warn!(code = fault.code, "a compaction failed: {}", fault.message);
            if self.upkeep.breaker.failed() {
                tracing::warn!("compaction is off in this session: it failed three times in a row");
            }
        }
        self.send(ToClient::Upkept(Upkept::CompactFailed { fault }));
        if let Some(request) = self.take_waiting(Delay::Compaction) {
            self.ask_if_it_fits(request);
        }
    }

    pub(in crate::session) fn take_waiting(&mut self, delay: Delay) -> Option<Request> {
        self.upkeep.waiting.take_if(|(_, waits)| *waits == delay).map(|(request, _)| request)
    }

    /// A reply is no longer wanted: nor is what it waits for, if that has not gone too far.
    pub(in crate::session) fn forget_waiting(&mut self, reply: ReplyId) {
        self.upkeep.waiting.take_if(|(request, _)| request.reply == reply);
    }
}

fn store_fault(error: &StoreError) -> Fault {
    Fault { code: error.code().to_owned(), message: error.to_string() }
}
