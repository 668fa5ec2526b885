//! What a client does itself instead of leaving it to the machine: it asks for replies, puts messages into
//! the conversation, and says afterwards how much of a reply was heard.
//!
//! The conversation has one order. A contribution of the user that gets no reply of its own, and a message
//! of the client, wait here until everything before them is in the log: the reply at work, and words that
//! are still being recognised. A reply that the client asks for waits for them in turn, so that it knows
//! them.
//!
//! Deliberately absent: what the messages say and what the client wants of a reply besides (the session
//! keeps both, by id), and replies beside the conversation (they are no turns).

use std::collections::VecDeque;

use super::Turn;
use super::contribution::{UserTurn, unanswered};
use super::io::{Event, Fault, InterruptReason, MessageId, Outcome, Output, RequestId, Time, TurnId};
use super::ledger::Ledger;
use super::playout::SAMPLES_PER_MS;

/// What waits for its place in the conversation, at most. Nobody needs so much; a flood is refused.
const MAX_WAITING: usize = 256;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct ByClient {
    waiting: VecDeque<Waiting>,
    /// A reply that starts when nothing waits any more.
    asked: Option<(RequestId, bool)>,
    /// Newest last.
    past: VecDeque<PastReply>,
    /// Since then, and since that microphone position, nobody has said anything.
    silence: Option<(Time, u64)>,
}

#[derive(Debug, Clone)]
enum Waiting {
    Said(Box<UserTurn>),
    Message(TurnId, MessageId),
}

/// A reply that was heard, or stopped.
#[derive(Debug, Clone)]
pub(super) struct PastReply {
    pub turn: TurnId,
    /// As the LLM wrote it.
    pub text: String,
    pub ledger: Ledger,
    /// Samples that the client got.
    pub sent: u64,
}

impl ByClient {
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_none()
    }

    /// The client has asked for a reply that has not begun.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Something is before what the user says now.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The user's among what waits.
    pub fn contributions(&mut self) -> impl Iterator<Item = &mut UserTurn> {
        self.waiting.iter_mut().filter_map(|waiting| match waiting {
            Waiting::Said(user) => Some(&mut **user),
            Waiting::Message(..) => None,
        })
    }

    /// Keeps what a later truncation needs, of the last `most` replies.
    pub fn remember(&mut self, reply: PastReply, most: usize) {
        self.past.push_back(reply);
        while self.past.len() > most {
            self.past.pop_front();
        }
    }

    /// A reply has been heard, and it is quiet.
    pub fn note_silence(&mut self, now: Time, position: u64) {
        self.silence = Some((now, position));
    }

    /// Somebody does something.
    pub fn forget_silence(&mut self) {
        self.silence = None;
    }
}

impl Turn {
    pub(super) fn on_respond(&mut self, request: RequestId, text_only: bool) {
        let answered_anyway = self.user.as_ref().is_some_and(|user| user.decided.is_some());
        let under_way = self.reply.as_ref().is_some_and(|reply| !reply.delivered);
        // The client has run a tool of the reply at work: what it found goes on behind it.
        let goes_on = self.reply.as_ref().is_some_and(|reply| reply.tools.for_client());
        if self.by_client.asked.is_some() || answered_anyway || (under_way && !goes_on) {
            let message = "a reply is being made already; wait for its end, or cancel it".to_owned();
            let fault = Fault { code: "reply_under_way".to_owned(), message };
            self.tell(Event::NoReply { request, fault });
            return;
        }
        self.by_client.asked = Some((request, text_only));
        self.by_client.forget_silence();
    }

    pub(super) fn on_insert(&mut self, message: MessageId) {
        if self.by_client.waiting.len() >= MAX_WAITING {
            self.refuse("too_many_messages", "too many messages wait for the reply to end");
            return;
        }
        let turn = self.new_turn();
        self.by_client.waiting.push_back(Waiting::Message(turn, message));
        self.by_client.forget_silence();
    }

    /// The user's contribution, complete but for its words, gets no reply of its own.
    pub(super) fn set_user_aside(&mut self) {
        if let Some(user) = self.user.take_if(|user| user.decided.is_some()) {
            self.by_client.waiting.push_back(Waiting::Said(Box::new(user)));
            self.settle_waiting();
        }
    }

    /// Lets go into the log what has nothing before it any more.
    pub(super) fn settle_waiting(&mut self) {
        let now = self.now;
        let told: Vec<Event> =
            self.by_client.contributions().filter_map(|user| user.words_known(now)).collect();
        told.into_iter().for_each(|event| self.tell(event));
        while self.reply.is_none()
            && let Some(next) = self.by_client.waiting.pop_front_if(|waiting| waiting.is_known())
        {
            self.put_into_log(next, None);
        }
    }

    fn put_into_log(&mut self, waiting: Waiting, outcome: Option<Outcome>) {
        match waiting {
            Waiting::Message(turn, message) => self.outputs.push_back(Output::Insert { turn, message }),
            Waiting::Said(user) => {
                let outcome = outcome.unwrap_or(match () {
                    () if user.failed() => Outcome::Failed,
                    () if user.text().is_empty() => Outcome::Empty,
                    () => Outcome::Completed,
                });
                self.end_turn(unanswered(&user, outcome, self.now));
            }
        }
    }

    /// The session ends: what was said and put in stays said.
    pub(super) fn close_waiting(&mut self) {
        self.by_client.asked = None;
        while let Some(next) = self.by_client.waiting.pop_front() {
            if let Waiting::Said(user) = &next {
                self.cancel_jobs_of(user);
            }
            self.put_into_log(next, Some(Outcome::Interrupted));
        }
    }

    /// Starts the reply that the client asked for, or the one that breaks a long silence.
    pub(super) fn start_asked_reply(&mut self) {
        if self.by_client.has_waiting() {
            return;
        }
        if let Some((request, text_only)) = self.by_client.asked.take() {
            let turn = self.new_turn();
            self.start_reply(turn, Some(request), text_only);
        } else if self.idle_deadline().is_some_and(|at| at <= self.now)
            && let Some((_, from)) = self.by_client.silence.take()
        {
            let (turn, to) = (self.new_turn(), self.detector.position());
            self.tell(Event::Idled { turn, from, to });
            self.start_reply(turn, None, self.config.text_only);
        }
    }

    /// When the silence has lasted too long.
    pub(super) fn idle_deadline(&self) -> Option<Time> {
        let (since, _) = self.by_client.silence?;
        let free = self.user.is_none() && self.reply.is_none() && self.by_client.is_idle();
        let wanted = self.config.idle_reply_ms > 0 && free && !self.closed && !self.absent;
        wanted.then(|| since.plus_ms(self.config.idle_reply_ms.into()))
    }

    pub(super) fn on_truncate(&mut self, turn: TurnId, samples: u64) {
        let of_turn = |past: &&PastReply| past.turn == turn;
        let sent = match self.reply.as_ref().filter(|reply| reply.turn == turn) {
            Some(reply) => Some(reply.sent()),
            None => self.by_client.past.iter().find(of_turn).map(|past| past.sent),
        };
        let Some(sent) = sent else {
            self.refuse("not_truncatable", "nothing of such a reply has been heard, or it is too long ago");
            return;
        };
        if samples > sent {
            let (there, asked) = (sent / SAMPLES_PER_MS, samples / SAMPLES_PER_MS);
            let message = format!("the audio of {there} ms is already shorter than {asked} ms");
            self.refuse("truncated_beyond_end", &message);
            return;
        }
        if self.reply.as_ref().is_some_and(|reply| reply.turn == turn) {
            let barge_in = self.barge_in.take();
            self.interrupt_reply(InterruptReason::Client);
            self.answer_barge_in(barge_in);
        }
        let Some(past) = self.by_client.past.iter().find(of_turn) else {
            self.refuse("not_truncatable", "nothing of such a reply has been heard");
            return;
        };
        let heard = past.ledger.heard(&past.text, samples);
        let heard_text = past.text[..heard.bytes].trim().to_owned();
        let (text, estimated) = (heard_text.clone(), heard.estimated);
        self.outputs.push_back(Output::Amend { turn, heard_text: text, estimated });
        self.tell(Event::Amended { turn, heard_text });
    }
}

impl Waiting {
    fn is_known(&self) -> bool {
        match self {
            Waiting::Said(user) => user.transcribed.is_some(),
            Waiting::Message(..) => true,
        }
    }
}
