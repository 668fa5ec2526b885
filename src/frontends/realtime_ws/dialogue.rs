//! The translator between a Realtime client and a session: pure, so that timelines can be tested.
//!
//! What the client says becomes messages for the session, which decides; what the session tells becomes
//! events. Answers that need the session's order (a retrieval behind a truncation) go through it and come
//! back ([`FromClient::Echo`]). What was asked of the session and not answered yet waits in `Asked`: the
//! session answers each kind in the order in which it was asked.
//!
//! What happens to the client's wishes is in `wishes`, the user's side in `user`.

use std::collections::{BTreeMap, VecDeque};

use super::audio::Ear;
use super::client_events::{self, ClientEvent, Message};
use super::conversation::Conversation;
use super::fields::Problem;
use super::responses::{End, Head, Response, Stage};
use super::server_events::{ErrorBody, Id, MaxTokens, ServerEvent};
use super::session_config::{OutputWish, SessionConfig};
use super::user::User;
use crate::conversation::history;
use crate::engines::ToolCall;
use crate::session::messages::{Anchor, Aside, CloseReason, FromClient, Of, ToClient};
use crate::turn::io::{Event, Fault, InterruptReason, ReplyId, RequestId, SegmentId, TurnId};

/// What comes of a message.
#[derive(Debug, Default)]
pub struct Out {
    /// For the session.
    pub session: Vec<FromClient>,
    /// For the client.
    pub client: Vec<ServerEvent>,
}

/// A client event that made no sense at all: it counts against the client's limit of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonsense;

/// See the module.
pub struct Dialogue {
    pub(super) ids: Ids,
    /// In force.
    pub(super) config: SessionConfig,
    /// As the client has asked for it so far.
    pub(super) wanted: SessionConfig,
    pub(super) ear: Ear,
    pub(super) conversation: Conversation,
    pub(super) user: User,
    /// The response of the conversation that is being made.
    pub(super) live: Option<Live>,
    /// Responses beside the conversation.
    pub(super) asides: BTreeMap<RequestId, Response>,
    /// The user's voice has stopped a response, and the client has not reacted to that yet.
    pub(super) absorbs_cancel: bool,
    /// The last response, which may still be playing.
    pub(super) last: Option<(TurnId, Id)>,
    pub(super) asked: Asked,
}

/// A response and the reply that it shows.
pub(super) struct Live {
    pub turn: TurnId,
    reply: ReplyId,
    /// The last segment of which the words were told. They come again when a lost client is back.
    told: Option<SegmentId>,
    pub response: Response,
}

/// What the session has been asked, oldest first, with the client's event ids.
#[derive(Default)]
pub(super) struct Asked {
    pub updates: VecDeque<(Option<Id>, SessionConfig)>,
    pub commits: VecDeque<Option<Id>>,
    pub cancels: VecDeque<Cancel>,
    pub truncations: VecDeque<(Option<Id>, Truncation)>,
    pub retrievals: VecDeque<(u64, Option<Id>, Id)>,
    pub responses: BTreeMap<RequestId, Wished>,
}

pub(super) struct Cancel {
    pub event_id: Option<Id>,
    /// That there is nothing to cancel is no error.
    pub quiet: bool,
}

pub(super) struct Truncation {
    pub item_id: Id,
    pub content_index: u32,
    pub audio_end_ms: u64,
}

/// What a response that was asked for looks like, when it comes.
pub(super) struct Wished {
    pub event_id: Option<Id>,
    pub text_only: bool,
    pub max_output_tokens: Option<Option<u32>>,
    pub output: OutputWish,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Makes ids. They are unique in all sessions by their tag.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    tag: String,
    next: u64,
}

impl Ids {
    pub fn next(&mut self, kind: &str) -> Id {
        let number = self.number();
        format!("{kind}_{}{number}", self.tag).into()
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn conversation(&self) -> Id {
        format!("conv_{}", self.tag).into()
    }
}

impl Dialogue {
    /// With a session that `config` describes. `tag` is a part of all ids.
    pub fn new(config: SessionConfig, tag: &str) -> Dialogue {
        Dialogue {
            ids: Ids { tag: tag.to_owned(), next: 0 },
            wanted: config.clone(),
            ear: Ear::new(config.input),
            config,
            conversation: Conversation::default(),
            user: User::default(),
            live: None,
            asides: BTreeMap::new(),
            absorbs_cancel: false,
            last: None,
            asked: Asked::default(),
        }
    }

    /// A message of the client.
    pub fn on_client(&mut self, text: &str, out: &mut Out) -> Result<(), Nonsense> {
        let (event_id, parsed) = client_events::parse(text);
        let problem = match parsed {
            Ok(Message::Append { audio }) => match self.ear.hear(&audio) {
                Ok(samples) => {
                    if !samples.is_empty() {
                        out.session.push(FromClient::Audio(samples));
                    }
                    return Ok(());
                }
                Err(error) => Problem::value("audio", error),
            },
            Ok(Message::Event(event)) => {
                if let Err(problem) = self.on_event(event, &event_id, out) {
                    out.client.push(refusal(problem, event_id));
                }
                return Ok(());
            }
            Err(problem) => problem,
        };
        out.client.push(refusal(problem, event_id));
        Err(Nonsense)
    }

    fn on_event(&mut self, event: ClientEvent, event_id: &Option<Id>, out: &mut Out) -> Result<(), Problem> {
        match event {
            ClientEvent::UpdateSession(session) => self.update_session(&session, event_id, out),
            ClientEvent::Commit => {
                self.asked.commits.push_back(event_id.clone());
                out.session.push(FromClient::Commit);
                Ok(())
            }
            ClientEvent::Clear => {
                self.user.clear();
                out.session.push(FromClient::Clear);
                out.client.push(ServerEvent::Cleared);
                Ok(())
            }
            ClientEvent::CreateItem { item, previous } => self.create_item(item, previous, out),
            ClientEvent::Retrieve { item_id } => {
                let number = self.ids.number();
                self.asked.retrievals.push_back((number, event_id.clone(), item_id));
                out.session.push(FromClient::Echo(number));
                Ok(())
            }
            ClientEvent::Delete { item_id } => self.delete_item(item_id, out),
            ClientEvent::Truncate { item_id, content_index, audio_end_ms } => {
                let truncation = Truncation { item_id, content_index, audio_end_ms };
                self.truncate_item(truncation, event_id, out)
            }
            ClientEvent::Respond(wish) => self.respond(*wish, event_id, out),
            ClientEvent::Cancel { response_id } => self.cancel(response_id, event_id, out),
            ClientEvent::ClearOutput => {
                self.clear_output(out);
                Ok(())
            }
        }
    }

    /// What the session tells.
    pub fn on_session(&mut self, message: ToClient, out: &mut Out) {
        match message {
            ToClient::Hello(_) => self.tell_session(out),
            ToClient::Event(event) => self.on_told(event, out),
            ToClient::Audio { turn, pcm, .. } => self.show(turn, out, |response, ids, stage| {
                response.sound(&pcm, || (ids.next("item"), Some(assistant(turn))), stage);
            }),
            ToClient::Committed { turn, assistant } => {
                self.conversation.set_heard(turn, &assistant);
                // A reply that ends without having said how: the session does.
                self.end_live(turn, End::ClientCancelled, out);
            }
            ToClient::Written { reply, usage, cut } => {
                if let Some(live) = self.live.as_mut().filter(|live| live.reply == reply) {
                    live.response.count(usage);
                    live.response.cut = cut;
                }
            }
            ToClient::Aside(request, aside) => self.on_aside(request, aside, out),
            ToClient::Echo(number) => self.retrieve(number, out),
            ToClient::Configured(_) => {
                let Some((_, config)) = self.asked.updates.pop_front() else { return };
                self.config = config;
                let session = Box::new(self.config.echo.clone());
                out.client.push(ServerEvent::SessionUpdated { session });
            }
            ToClient::Close(reason) => out.client.extend(farewell(reason)),
            // Replies are no clips on this wire; and its clients know nothing of compaction and memory, and
            // check what they are sent.
            ToClient::VideoMode { .. }
            | ToClient::Clip { .. }
            | ToClient::Upkept(_)
            | ToClient::Thought(_) => {}
        }
    }

    /// What the session is like.
    pub fn tell_session(&self, out: &mut Out) {
        let session = Box::new(self.config.echo.clone());
        out.client.push(ServerEvent::SessionCreated { session });
    }

    /// Something has been said, or will be.
    pub fn is_begun(&self) -> bool {
        self.live.is_some() || self.conversation.last().is_some()
    }

    fn on_told(&mut self, event: Event, out: &mut Out) {
        match event {
            Event::ReplyStarted { turn, reply, request } => self.begin_response(turn, reply, request, out),
            Event::NoReply { request, fault } => {
                let event_id = self.asked.responses.remove(&request).and_then(|wished| wished.event_id);
                let problem = Problem::new("conversation_already_has_active_response", fault.message);
                out.client.push(refusal(problem, event_id));
            }
            Event::ResponseText { last: false, filler: false, turn, segment, text } => {
                if !self.is_news(turn, segment) {
                    return;
                }
                self.show(turn, out, |response, ids, stage| {
                    response.say_segment(&text, || (ids.next("item"), Some(assistant(turn))), stage);
                });
            }
            Event::ReplyText { turn, text } => self.show(turn, out, |response, ids, stage| {
                response.say(&text, || (ids.next("item"), Some(assistant(turn))), stage);
            }),
            Event::ToolCall { turn, id, name, arguments, by_client: true, behind_words } => {
                self.show(turn, out, |response, ids, stage| {
                    if behind_words {
                        // Their item stands before the call's, although they are heard later.
                        response.open(|| (ids.next("item"), Some(assistant(turn))), stage);
                    }
                    let anchor = Anchor {
                        of: Of::Turn(turn),
                        role: history::Role::ToolCall,
                        call_id: Some(id.clone()),
                    };
                    let call = ToolCall { id, name, arguments };
                    response.call(call, ids.next("item"), Some(anchor), stage);
                });
            }
            Event::Delivered { turn } => {
                self.end_live(turn, End::Said, out);
            }
            Event::Interrupt { turn, heard_text, reason } => {
                let end = match reason {
                    InterruptReason::Speech => End::TurnDetected,
                    InterruptReason::Client => End::ClientCancelled,
                };
                let was_live = self.end_live(turn, end, out);
                self.absorbs_cancel |= was_live && reason == InterruptReason::Speech;
                if reason == InterruptReason::Client {
                    self.asked.cancels.pop_front();
                }
                self.conversation.set_heard(turn, &heard_text);
            }
            Event::Amended { turn, heard_text } => {
                self.conversation.set_heard(turn, &heard_text);
                if let Some((_, truncation)) = self.asked.truncations.pop_front() {
                    let Truncation { item_id, content_index, audio_end_ms } = truncation;
                    out.client.push(ServerEvent::ItemTruncated { item_id, content_index, audio_end_ms });
                }
            }
            Event::Error { turn, fault } => self.on_fault(turn, fault, out),
            Event::SpeechStarted { .. }
            | Event::SpeechStopped { .. }
            | Event::Contributed { .. }
            | Event::Idled { .. }
            | Event::PartialTranscript { .. }
            | Event::Transcript { .. } => self.on_user(event, out),
            // Other events say as much, or what they say has no words here.
            Event::Status { .. }
            | Event::ResponseText { .. }
            | Event::Audio { .. }
            | Event::SpeakingClip { .. }
            | Event::Pause { .. }
            | Event::Resume { .. }
            | Event::ToolCall { .. }
            | Event::ToolResult { .. }
            | Event::Metrics { .. }
            | Event::TurnEnd { .. } => {}
        }
    }

    /// Whether the words of a segment are told for the first time.
    fn is_news(&mut self, turn: TurnId, segment: SegmentId) -> bool {
        let Some(live) = self.live.as_mut().filter(|live| live.turn == turn) else { return false };
        let is_news = live.told.is_none_or(|told| segment > told);
        live.told = live.told.max(Some(segment));
        is_news
    }

    fn begin_response(&mut self, turn: TurnId, reply: ReplyId, request: Option<RequestId>, out: &mut Out) {
        if let Some(live) = &self.live {
            // One ends before the next begins; if the session forgot, the client may not suffer.
            debug_assert!(false, "{:?} begins within {:?}", turn, live.turn);
            let before = live.turn;
            self.end_live(before, End::Said, out);
        }
        let wished = request.and_then(|request| self.asked.responses.remove(&request));
        let head = self.head(wished, true);
        let response = Response::begin(head, &mut out.client);
        self.last = Some((turn, Id::clone(response.id())));
        self.live = Some(Live { turn, reply, told: None, response });
    }

    /// What a response is that begins now.
    pub(super) fn head(&mut self, wished: Option<Wished>, in_conversation: bool) -> Head {
        let config = &self.config;
        let wished = wished.unwrap_or_else(|| Wished {
            event_id: None,
            text_only: config.text_only,
            max_output_tokens: None,
            output: OutputWish::default(),
            metadata: None,
        });
        let most = wished.max_output_tokens.unwrap_or(config.echo.max_output_tokens.0);
        Head {
            id: self.ids.next("resp"),
            conversation_id: in_conversation.then(|| self.ids.conversation()),
            text_only: wished.text_only,
            max_output_tokens: MaxTokens(most),
            audio: self.config.audio_body(&wished.output),
            format: wished.output.format.unwrap_or(self.config.output),
            metadata: wished.metadata,
        }
    }

    /// Lets the response of `turn`, if it is live, do something.
    fn show(
        &mut self,
        turn: TurnId,
        out: &mut Out,
        act: impl FnOnce(&mut Response, &mut Ids, &mut Stage<'_>),
    ) {
        let Some(live) = self.live.as_mut().filter(|live| live.turn == turn) else { return };
        let mut stage = Stage { conversation: Some(&mut self.conversation), events: &mut out.client };
        act(&mut live.response, &mut self.ids, &mut stage);
    }

    /// Ends the response of `turn`, if it is live; whether it was.
    fn end_live(&mut self, turn: TurnId, end: End, out: &mut Out) -> bool {
        let Some(live) = self.live.take_if(|live| live.turn == turn) else { return false };
        let mut stage = Stage { conversation: Some(&mut self.conversation), events: &mut out.client };
        live.response.end(end, &mut stage);
        true
    }

    fn on_aside(&mut self, request: RequestId, aside: Aside, out: &mut Out) {
        let mut stage = Stage { conversation: None, events: &mut out.client };
        match aside {
            Aside::Text(words) => {
                if let Some(response) = self.asides.get_mut(&request) {
                    response.say(&words, || (self.ids.next("item"), None), &mut stage);
                }
            }
            Aside::Call(mut call) => {
                if let Some(response) = self.asides.get_mut(&request) {
                    call.id = self.ids.next("call").to_string();
                    response.call(call, self.ids.next("item"), None, &mut stage);
                }
            }
            Aside::Ended(result) => {
                let Some(mut response) = self.asides.remove(&request) else { return };
                match result {
                    Ok((usage, cut)) => {
                        response.count(usage);
                        response.cut = cut;
                    }
                    Err(fault) => response.fault = Some(fault),
                }
                response.end(End::Said, &mut stage);
            }
        }
    }

    fn retrieve(&mut self, number: u64, out: &mut Out) {
        let Some((_, event_id, item_id)) = self.asked.retrievals.pop_front_if(|(asked, ..)| *asked == number)
        else {
            return;
        };
        out.client.push(match self.conversation.get(&item_id) {
            Some(item) => ServerEvent::ItemRetrieved { item: item.clone() },
            None => refusal(no_such_item("item_id", &item_id), event_id),
        });
    }

    fn on_fault(&mut self, turn: Option<TurnId>, fault: Fault, out: &mut Out) {
        let asked = &mut self.asked;
        let refused = match fault.code.as_str() {
            "bad_configure" => asked.updates.pop_front().map(|(event_id, _)| {
                // What was asked for behind it was asked on top of it.
                self.wanted = self.config.clone();
                self.ear.set_format(self.wanted.input);
                (event_id, "invalid_value", Some("session"))
            }),
            "nothing_to_commit" => {
                asked.commits.pop_front().map(|id| (id, "input_audio_buffer_commit_empty", None))
            }
            "nothing_to_interrupt" => match asked.cancels.pop_front() {
                Some(Cancel { quiet: true, .. }) => return,
                Some(cancel) => Some((cancel.event_id, "response_cancel_not_active", None)),
                None => None,
            },
            "not_truncatable" | "truncated_beyond_end" => {
                asked.truncations.pop_front().map(|(id, _)| (id, "invalid_value", Some("audio_end_ms")))
            }
            _ => None,
        };
        if let Some((event_id, code, param)) = refused {
            let problem = Problem { code, message: fault.message, param: param.map(str::to_owned) };
            out.client.push(refusal(problem, event_id));
        } else if let Some(turn) = turn {
            match self.live.as_mut().filter(|live| live.turn == turn) {
                // Its end says it.
                Some(live) => live.response.fault = Some(fault),
                None => self.on_recognition_fault(turn, &fault, out),
            }
        } else {
            out.client.push(ServerEvent::Error { error: ErrorBody::failed(&fault.code, &fault.message) });
        }
    }
}

/// The client's event is refused.
pub(super) fn refusal(problem: Problem, event_id: Option<Id>) -> ServerEvent {
    ServerEvent::Error { error: ErrorBody::refused(problem, event_id) }
}

pub(super) fn no_such_item(param: &str, id: &str) -> Problem {
    let message = format!("Item with item_id '{id}' does not exist.");
    Problem { code: "item_not_found", message, param: Some(param.to_owned()) }
}

fn assistant(turn: TurnId) -> Anchor {
    Anchor { of: Of::Turn(turn), role: history::Role::Assistant, call_id: None }
}

/// The last event of a session that the server ends; `None` where nothing is wrong.
fn farewell(reason: CloseReason) -> Option<ServerEvent> {
    let (code, message) = match reason {
        CloseReason::Idle => ("idle_timeout", "nothing was said for too long; connect again to go on"),
        CloseReason::TooLong => ("session_expired", "the session reached its maximum length; connect again"),
        CloseReason::Restart => ("restart", "the server restarts; connect again in a moment"),
        CloseReason::Replaced => ("replaced", "the session goes on in another connection"),
        CloseReason::Fault => ("server_fault", "the session cannot go on; connect again"),
        CloseReason::HungUp => return None,
    };
    Some(ServerEvent::Error { error: ErrorBody::failed(code, message) })
}
