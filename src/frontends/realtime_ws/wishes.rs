//! What a Realtime client wants of the session, beyond talking: other settings, items, responses.

use serde_json::Value;

use super::client_events::{NewContent, NewItem, ResponseWish};
use super::conversation::{Content, Item, Kind, Role, Status};
use super::dialogue::{Cancel, Dialogue, Out, Truncation, Wished, no_such_item};
use super::fields::Problem;
use super::responses::{End, Response, Stage};
use super::server_events::{Id, ServerEvent};
use crate::conversation::history;
use crate::engines::{OUTPUT_RATE_HZ, ToolCall};
use crate::session::messages::{Anchor, Beside, FromClient, Given, NewMessage, Of, Wish};
use crate::turn::io::{MessageId, RequestId};

/// As the previous item: none, the new one is the first.
const ROOT: &str = "root";
/// Output samples per millisecond.
const SAMPLES_PER_MS: u64 = OUTPUT_RATE_HZ as u64 / 1_000;

impl Dialogue {
    pub(super) fn update_session(
        &mut self,
        session: &Value,
        event_id: &Option<Id>,
        out: &mut Out,
    ) -> Result<(), Problem> {
        let (wanted, patch) = self.wanted.updated(session)?;
        // Audio that follows is what the client now says it is.
        self.ear.set_format(wanted.input);
        self.asked.updates.push_back((event_id.clone(), wanted.clone()));
        self.wanted = wanted;
        out.session.push(FromClient::Configure(patch));
        Ok(())
    }

    pub(super) fn create_item(
        &mut self,
        item: NewItem,
        previous: Option<Id>,
        out: &mut Out,
    ) -> Result<(), Problem> {
        if let Some(id) = item.id.as_ref().filter(|id| self.conversation.get(id).is_some()) {
            return Err(Problem::value("item.id", format!("there is an item '{id}' already")));
        }
        let previous = match previous {
            None => self.conversation.last(),
            Some(root) if &*root == ROOT => None,
            Some(id) if self.conversation.get(&id).is_some() => Some(id),
            Some(id) => return Err(no_such_item("previous_item_id", &id)),
        };
        let number = MessageId(self.ids.number());
        let (kind, message, anchor) = self.content(item.content, number, "item")?;
        let id = item.id.unwrap_or_else(|| self.ids.next("item"));
        let item = Item::completed(Id::clone(&id), kind);
        let is_result = matches!(message, NewMessage::Result { .. });
        let place = self.conversation.insert_after(previous.as_deref(), item.clone(), Some(anchor));
        // A result stands behind its call, wherever the client shows it.
        let place = place.filter(|_| !is_result);
        out.session.push(FromClient::Insert { id: number, message, place });
        out.client.push(ServerEvent::ItemAdded { previous_item_id: previous.clone(), item: item.clone() });
        out.client.push(ServerEvent::ItemDone { previous_item_id: previous, item });
        Ok(())
    }

    /// A new item as the client sees it, as the session gets it, and where it will be.
    fn content(
        &self,
        content: NewContent,
        number: MessageId,
        path: &str,
    ) -> Result<(Kind, NewMessage, Anchor), Problem> {
        let of = Of::Message(number);
        let message = |role, content, words: fn(String) -> NewMessage, text, side| {
            let kind = Kind::Message { role, content: vec![content] };
            (kind, words(text), Anchor { of, role: side, call_id: None })
        };
        Ok(match content {
            NewContent::System(text) => {
                let content = Content::InputText { text: text.clone() };
                message(Role::System, content, NewMessage::System, text, history::Role::System)
            }
            NewContent::User(text) => {
                let content = Content::InputText { text: text.clone() };
                message(Role::User, content, NewMessage::User, text, history::Role::User)
            }
            NewContent::UserAudio(text) => {
                let content = Content::InputAudio { transcript: Some(text.clone()) };
                message(Role::User, content, NewMessage::User, text, history::Role::User)
            }
            NewContent::Assistant(text) => {
                let content = Content::OutputText { text: text.clone() };
                message(Role::Assistant, content, NewMessage::Assistant, text, history::Role::Assistant)
            }
            NewContent::Call { call_id, name, arguments } => {
                let call = ToolCall { id: call_id.clone(), name: name.clone(), arguments: arguments.clone() };
                let anchor = Anchor { of, role: history::Role::ToolCall, call_id: Some(call_id.clone()) };
                (Kind::FunctionCall { name, call_id, arguments }, NewMessage::Call(call), anchor)
            }
            NewContent::Output { call_id, output } => {
                let Some(call) = self.conversation.call(&call_id).cloned() else {
                    let message = format!("Tool call ID '{call_id}' not found in conversation.");
                    let param = Some(format!("{path}.call_id"));
                    return Err(Problem { code: "invalid_tool_call_id", message, param });
                };
                let anchor = Anchor { role: history::Role::ToolResult, ..call.clone() };
                let message = NewMessage::Result { call, content: output.clone() };
                (Kind::FunctionCallOutput { call_id, output }, message, anchor)
            }
            NewContent::Reference => {
                let message = "a reference stands for an item only in the input of a response";
                return Err(Problem::value(format!("{path}.type"), message));
            }
        })
    }

    pub(super) fn delete_item(&mut self, item_id: Id, out: &mut Out) -> Result<(), Problem> {
        let item = self.conversation.get(&item_id).ok_or_else(|| no_such_item("item_id", &item_id))?;
        if item.status == Status::InProgress {
            return Err(Problem::value("item_id", "it is still being said; cancel its response first"));
        }
        if let Some(anchor) = self.conversation.anchor(&item_id).cloned() {
            out.session.push(FromClient::Withdraw(anchor));
        }
        self.conversation.remove(&item_id);
        out.client.push(ServerEvent::ItemDeleted { item_id });
        Ok(())
    }

    pub(super) fn truncate_item(
        &mut self,
        truncation: Truncation,
        event_id: &Option<Id>,
        out: &mut Out,
    ) -> Result<(), Problem> {
        let item_id = &truncation.item_id;
        let item = self.conversation.get(item_id).ok_or_else(|| no_such_item("item_id", item_id))?;
        let spoken = match &item.kind {
            Kind::Message { role: Role::Assistant, content } => {
                // One in progress has its content at its end.
                content.iter().all(|part| matches!(part, Content::OutputAudio { .. }))
            }
            _ => false,
        };
        let turn = match self.conversation.anchor(item_id) {
            Some(Anchor { of: Of::Turn(turn), role: history::Role::Assistant, .. }) if spoken => *turn,
            _ => {
                return Err(Problem::value("item_id", "only what the assistant said aloud can be truncated"));
            }
        };
        if truncation.content_index != 0 {
            return Err(Problem::value("content_index", "the item has but the content 0"));
        }
        let samples = truncation.audio_end_ms.saturating_mul(SAMPLES_PER_MS);
        self.asked.truncations.push_back((event_id.clone(), truncation));
        out.session.push(FromClient::Truncate(turn, samples));
        Ok(())
    }

    pub(super) fn respond(
        &mut self,
        wish: ResponseWish,
        event_id: &Option<Id>,
        out: &mut Out,
    ) -> Result<(), Problem> {
        let text_only = wish.text_only.unwrap_or(self.wanted.text_only);
        if wish.beside && !text_only {
            let message = "a response beside the conversation is text here: [\"text\"]";
            return Err(Problem::value("response.output_modalities", message));
        }
        let voice = match &wish.output.voice {
            Some(voice) => self.wanted.known_voice(voice, "response.audio.output.voice".to_owned())?,
            None => None,
        };
        let beside = wish.input.map(|items| self.given(items)).transpose()?;
        let request = RequestId(self.ids.number());
        let session_wish = Wish {
            text_only,
            instructions: wish.instructions,
            tools: wish.tools,
            calls: wish.calls,
            max_new_tokens: wish.max_output_tokens.flatten(),
            voice,
        };
        let wished = Wished {
            event_id: event_id.clone(),
            text_only,
            max_output_tokens: wish.max_output_tokens,
            output: wish.output,
            metadata: wish.metadata,
        };
        if wish.beside {
            let head = self.head(Some(wished), false);
            self.asides.insert(request, Response::begin(head, &mut out.client));
            let beside = beside.map_or(Beside::Conversation, Beside::These);
            out.session.push(FromClient::RespondAside(request, session_wish, beside));
        } else {
            self.asked.responses.insert(request, wished);
            out.session.push(FromClient::Respond(request, session_wish));
        }
        Ok(())
    }

    /// The input of a response beside the conversation.
    fn given(&self, items: Vec<NewItem>) -> Result<Vec<Given>, Problem> {
        let mut given: Vec<Given> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("response.input[{index}]");
            let id = item.id.as_ref();
            let known = id.and_then(|id| self.conversation.get(id)).is_some();
            given.push(match item.content {
                NewContent::Reference if known => {
                    let anchor = id.and_then(|id| self.conversation.anchor(id)).cloned();
                    match anchor {
                        Some(anchor) => Given::Known(anchor),
                        None => continue, // silence
                    }
                }
                NewContent::Reference => {
                    return Err(no_such_item(&format!("{path}.id"), id.map_or("", |id| id)));
                }
                // Its call may be among the input.
                NewContent::Output { call_id, output } => {
                    let of = Of::Message(MessageId(0));
                    let call = Anchor { of, role: history::Role::ToolCall, call_id: Some(call_id) };
                    Given::New(NewMessage::Result { call, content: output })
                }
                content => Given::New(self.content(content, MessageId(0), &path)?.1),
            });
        }
        Ok(given)
    }

    pub(super) fn cancel(
        &mut self,
        response_id: Option<Id>,
        event_id: &Option<Id>,
        out: &mut Out,
    ) -> Result<(), Problem> {
        // What the client wants to stop without naming it is what it heard when the user began to speak.
        // The user's voice has stopped that already; a response that began since is not meant.
        let absorbed = response_id.is_none() && std::mem::take(&mut self.absorbs_cancel);
        let of_id = |id: &Id| response_id.as_ref().is_none_or(|wanted| wanted == id);
        if let Some(live) = self.live.as_ref().filter(|live| of_id(live.response.id()) && !absorbed) {
            self.asked.cancels.push_back(Cancel { event_id: event_id.clone(), quiet: false });
            out.session.push(FromClient::Interrupt { last_chunk: None, turn: Some(live.turn) });
            return Ok(());
        }
        let aside = self.asides.iter().find(|(_, response)| response_id.as_ref() == Some(response.id()));
        if let Some(request) = aside.map(|(request, _)| *request) {
            out.session.push(FromClient::CancelAside(request));
            if let Some(response) = self.asides.remove(&request) {
                response
                    .end(End::ClientCancelled, &mut Stage { conversation: None, events: &mut out.client });
            }
            return Ok(());
        }
        Err(Problem::new("response_cancel_not_active", "Cancellation failed: no active response found."))
    }

    /// Stops what is heard, also what was sent already.
    pub(super) fn clear_output(&mut self, out: &mut Out) {
        let Some((turn, response_id)) = self.last.clone() else { return };
        self.asked.cancels.push_back(Cancel { event_id: None, quiet: true });
        out.session.push(FromClient::Interrupt { last_chunk: None, turn: Some(turn) });
        out.client.push(ServerEvent::OutputAudioCleared { response_id });
    }
}
