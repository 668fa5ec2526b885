//! What a client does to the conversation itself, as far as that is not for the turn machine to decide:
//! what the messages say that it puts in, and what it wants of the replies that it asks for.

use std::collections::HashMap;

use super::Session;
use super::messages::{Anchor, Aside, Beside, Given, NewMessage, Of, Place, ToClient, Wish};
use super::prompt;
use crate::conversation::events::{
    AssistantMessage, Event, Placed, Spot, SystemMessage, ToolCall, ToolResult, TurnOutcome, UserMessage,
};
use crate::conversation::history::{self, HistoryMessage, ToolNote};
use crate::engines::{Calls, LlmRequest, ToolSpec};
use crate::turn::io::{Input, MessageId, ReplyId, RequestId, TurnId};

/// A few words of a tool's answer stand for it once it is old.
const SUMMARY_CHARS: usize = 80;

/// Turns of messages that are in no conversation: behind all that are.
const OWN_TURNS: u64 = 1 << 48;

/// See the module.
#[derive(Debug, Default)]
pub struct ByClient {
    /// What was asked for and has not begun.
    wishes: HashMap<RequestId, Wish>,
    /// Of the reply at work.
    wish: Option<(ReplyId, Wish)>,
    /// Messages that wait for their place.
    waiting: HashMap<MessageId, (NewMessage, Option<Place>)>,
    /// Where those are that have it.
    turns: HashMap<MessageId, TurnId>,
}

impl ByClient {
    /// The reply begins that was asked for by `request`.
    pub fn begin(&mut self, reply: ReplyId, request: Option<RequestId>) {
        if let Some(wish) = request.and_then(|request| self.wishes.remove(&request)) {
            self.wish = Some((reply, wish));
        }
    }

    /// There is no such reply.
    pub fn refuse(&mut self, request: RequestId) {
        self.wishes.remove(&request);
    }

    /// What is wanted of `reply`.
    pub fn wish(&self, reply: ReplyId) -> Option<&Wish> {
        self.wish.as_ref().filter(|(id, _)| *id == reply).map(|(_, wish)| wish)
    }

    fn spot(&self, anchor: &Anchor) -> Option<Spot> {
        let TurnId(turn) = match anchor.of {
            Of::Turn(turn) => turn,
            Of::Message(id) => *self.turns.get(&id)?,
        };
        Some(Spot { turn, role: anchor.role, call_id: anchor.call_id.clone() })
    }
}

impl Session {
    pub(super) fn respond(&mut self, request: RequestId, wish: Wish) {
        let text_only = wish.text_only;
        self.by_client.wishes.insert(request, wish);
        self.feed(Input::Respond { request, text_only });
    }

    /// Everything that the LLM may call for a reply: the client's tools stand before the server's.
    pub(super) fn tools_for(&self, wish: Option<&Wish>) -> Vec<ToolSpec> {
        let own = self.client_tools(wish);
        let unshadowed = |spec: &&ToolSpec| own.iter().all(|tool| tool.name != spec.name);
        let servers = self.work.tools().specs().iter().filter(unshadowed);
        own.iter().chain(servers).cloned().collect()
    }

    fn client_tools<'a>(&'a self, wish: Option<&'a Wish>) -> &'a [ToolSpec] {
        wish.and_then(|wish| wish.tools.as_deref()).unwrap_or(&self.settings.tools)
    }

    /// Whether the client runs `tool` when `reply` calls it.
    pub(super) fn is_clients_tool(&self, reply: ReplyId, tool: &str) -> bool {
        self.client_tools(self.by_client.wish(reply)).iter().any(|spec| spec.name == tool)
    }

    pub(super) fn max_new_tokens(&self, wish: Option<&Wish>) -> u32 {
        let most = self.config.llm.max_new_tokens;
        let wanted = wish.and_then(|wish| wish.max_new_tokens).or(self.settings.max_new_tokens);
        wanted.map_or(most, |wanted| wanted.min(most))
    }

    pub(super) fn respond_aside(&mut self, id: RequestId, wish: Wish, beside: Beside) {
        let instructions = wish.instructions.clone().unwrap_or_else(|| self.settings.persona.prompt());
        let most = self.config.llm.history_messages;
        let messages = match beside {
            Beside::Conversation => {
                prompt::of_turn(&instructions, self.journal.history(), most, String::new())
            }
            Beside::These(given) => {
                let mut messages: Vec<HistoryMessage> = Vec::new();
                for (number, given) in (OWN_TURNS..).zip(given) {
                    match given {
                        Given::New(message) => {
                            let of_these = |id: &str| own_call(&messages, id);
                            let event = self.event_of(message, number, &of_these);
                            history::apply(&mut messages, &event, 0);
                        }
                        Given::Known(anchor) => {
                            let spot = self.by_client.spot(&anchor);
                            let found = self.journal.history().iter();
                            let found =
                                found.filter(|message| spot.as_ref().is_some_and(|s| message.is_at(s)));
                            messages.extend(found.cloned());
                        }
                    }
                }
                prompt::of_turn(&instructions, &messages, messages.len(), String::new())
            }
        };
        // The server's tools belong to the conversation.
        let calls = wish.calls.as_ref().unwrap_or(&self.settings.calls);
        let tools = if *calls == Calls::Never { Vec::new() } else { self.client_tools(Some(&wish)).to_vec() };
        let form = calls.form(&tools);
        let max_new_tokens = self.max_new_tokens(Some(&wish));
        let request = LlmRequest { messages, tools, max_new_tokens, form, ..LlmRequest::default() };
        if let Err(fault) = self.work.write_aside(id, request) {
            self.send(ToClient::Aside(id, Aside::Ended(Err(fault))));
        }
    }

    pub(super) fn on_aside(&mut self, id: RequestId, aside: Aside) {
        if self.work.aside_goes_on(id, matches!(aside, Aside::Ended(_))) {
            self.last_activity = tokio::time::Instant::now();
            self.send(ToClient::Aside(id, aside));
        }
    }

    pub(super) fn insert(&mut self, id: MessageId, message: NewMessage, place: Option<Place>) {
        self.last_activity = tokio::time::Instant::now();
        self.by_client.waiting.insert(id, (message, place));
        self.feed(Input::Insert { message: id });
    }

    /// A message of the client has its place in the conversation.
    pub(super) fn write_message(&mut self, TurnId(turn): TurnId, id: MessageId) {
        let Some((message, place)) = self.by_client.waiting.remove(&id) else { return };
        self.by_client.turns.insert(id, TurnId(turn));
        let event = self.event_of(message, turn, &|_| None);
        let placed = match place {
            None => None,
            Some(Place::First) => Some(Placed { turn, after: None }),
            // What is not there any more cannot be stood behind.
            Some(Place::After(anchor)) => {
                self.by_client.spot(&anchor).map(|spot| Placed { turn, after: Some(spot) })
            }
        };
        self.journal.insert(event, placed);
    }

    pub(super) fn withdraw(&mut self, anchor: &Anchor) {
        match self.by_client.spot(anchor) {
            Some(spot) => self.journal.withdraw(spot),
            None => {
                if let Of::Message(id) = anchor.of {
                    // It has not got its place yet, and gets none.
                    self.by_client.waiting.remove(&id);
                }
            }
        }
    }

    /// A message as the log keeps it. A tool's result belongs to the turn of its call: the history's, or
    /// the one that `own_call` knows.
    fn event_of(&self, message: NewMessage, turn: u64, own_call: &dyn Fn(&str) -> Option<u64>) -> Event {
        match message {
            NewMessage::System(text) => Event::SystemMessage(SystemMessage { turn, text }),
            NewMessage::User(text) => Event::UserMessage(UserMessage { turn, text, typed: true }),
            NewMessage::Assistant(text) => Event::AssistantMessage(AssistantMessage {
                turn,
                text,
                whole_reply: None,
                estimated: false,
                outcome: TurnOutcome::Completed,
            }),
            NewMessage::Call(call) => Event::ToolCall(ToolCall {
                turn,
                request: 1,
                id: call.id,
                name: call.name,
                arguments: call.arguments,
                after_chars: 0,
            }),
            NewMessage::Result { call, content } => {
                let id = call.call_id.clone().unwrap_or_default();
                let spot = self.by_client.spot(&call);
                let of_call = spot.as_ref().map(|spot| spot.turn).or_else(|| own_call(&id)).unwrap_or(turn);
                let called =
                    self.journal.history().iter().find(|m| spot.as_ref().is_some_and(|s| m.is_at(s)));
                let name = match called.and_then(|message| message.tool.as_ref()) {
                    Some(ToolNote::Call { name, .. }) => name.clone(),
                    _ => String::new(),
                };
                let summary = content.chars().take(SUMMARY_CHARS).collect();
                Event::ToolResult(ToolResult { turn: of_call, id, name, content, summary, failed: false })
            }
        }
    }
}

fn own_call(messages: &[HistoryMessage], call_id: &str) -> Option<u64> {
    let calls = messages.iter().filter(|message| message.role == history::Role::ToolCall);
    calls
        .rev()
        .find(|message| matches!(&message.tool, Some(ToolNote::Call { id, .. }) if id == call_id))
        .map(|m| m.turn)
}
