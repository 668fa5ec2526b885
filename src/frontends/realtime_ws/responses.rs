//! One response on the wire: it opens and closes items and parts in order, and ends once.
//!
//! [`Response::end`] takes the response by value, so there is one `response.done` for each
//! `response.created` and nothing behind it; it closes what is open first.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::audio::{Format, Mouth};
use super::conversation::{Content, Conversation, Item, Kind, Role, Status};
use super::server_events::{
    At, AudioBody, Base64, Id, MaxTokens, Part, ResponseBody, ServerEvent, StatusDetails, StatusError,
    UsageBody,
};
use crate::engines::{ToolCall, Usage};
use crate::session::messages::Anchor;
use crate::turn::io::Fault;

/// What a response is from its beginning on.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Head {
    pub id: Id,
    /// `None`: it is beside the conversation.
    pub conversation_id: Option<Id>,
    pub text_only: bool,
    pub max_output_tokens: MaxTokens,
    pub audio: AudioBody,
    pub format: Format,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A response that is being made.
pub struct Response {
    head: Head,
    mouth: Mouth,
    open: Option<Open>,
    /// Items in their order; the open one's place is held.
    output: Vec<Item>,
    usage: Usage,
    /// The model had more to say than it was allowed to.
    pub cut: bool,
    /// What failed on the way.
    pub fault: Option<Fault>,
}

/// The message that is being said.
#[derive(Debug, Clone)]
pub struct Open {
    at: At,
    text: String,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum End {
    /// To its end, or as far as it got where something failed.
    Said,
    TurnDetected,
    ClientCancelled,
}

/// Where a response's items and events go.
pub struct Stage<'a> {
    /// `None`: beside the conversation.
    pub conversation: Option<&'a mut Conversation>,
    /// What the client is sent.
    pub events: &'a mut Vec<ServerEvent>,
}

impl Response {
    /// Begins.
    pub fn begin(head: Head, events: &mut Vec<ServerEvent>) -> Response {
        let response = Response {
            mouth: Mouth::new(head.format),
            head,
            open: None,
            output: Vec::new(),
            usage: Usage::default(),
            cut: false,
            fault: None,
        };
        events.push(ServerEvent::ResponseCreated { response: Box::new(response.body("in_progress", None)) });
        events.push(ServerEvent::RateLimits { rate_limits: [] });
        response
    }

    /// Its id.
    pub fn id(&self) -> &Id {
        &self.head.id
    }

    /// The model has counted a request's tokens.
    pub fn count(&mut self, usage: Usage) {
        self.usage.input_tokens = self.usage.input_tokens.saturating_add(usage.input_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
    }

    /// Words that are heard, or read.
    pub fn say(&mut self, words: &str, item: impl FnOnce() -> (Id, Option<Anchor>), stage: &mut Stage<'_>) {
        let text_only = self.head.text_only;
        let open = self.open(item, stage);
        open.text.push_str(words);
        let (at, delta) = (open.at.clone(), words.to_owned());
        stage.events.push(if text_only {
            ServerEvent::TextDelta { at, delta }
        } else {
            ServerEvent::AudioTranscriptDelta { at, delta }
        });
    }

    /// Words of a sentence of its own.
    pub fn say_segment(
        &mut self,
        words: &str,
        item: impl FnOnce() -> (Id, Option<Anchor>),
        stage: &mut Stage<'_>,
    ) {
        let first = self.open.as_ref().is_none_or(|open| open.text.is_empty());
        if first { self.say(words, item, stage) } else { self.say(&format!(" {words}"), item, stage) }
    }

    /// A chunk of speech, 24 kHz PCM.
    pub fn sound(&mut self, pcm: &Bytes, item: impl FnOnce() -> (Id, Option<Anchor>), stage: &mut Stage<'_>) {
        let audio = self.mouth.say(pcm);
        let at = self.open(item, stage).at.clone();
        push_audio(at, audio, stage.events);
    }

    /// Opens the message, if it is not open yet.
    pub fn open(&mut self, item: impl FnOnce() -> (Id, Option<Anchor>), stage: &mut Stage<'_>) -> &mut Open {
        let (head, output) = (&self.head, &mut self.output);
        self.open.get_or_insert_with(|| {
            let (item_id, anchor) = item();
            let response_id = Id::clone(&head.id);
            let output_index = output.len() as u32;
            let item = Item::message(Id::clone(&item_id), Status::InProgress, Role::Assistant, None);
            output.push(item.clone());
            add_item(&response_id, output_index, &item, anchor, stage);
            let at = At { response_id, item_id, output_index, content_index: 0 };
            let part = part(head.text_only, String::new());
            stage.events.push(ServerEvent::ContentPartAdded { at: at.clone(), part });
            Open { at, text: String::new() }
        })
    }

    /// The model calls a tool of the client.
    pub fn call(&mut self, call: ToolCall, item_id: Id, anchor: Option<Anchor>, stage: &mut Stage<'_>) {
        let ToolCall { id: call_id, name, arguments } = call;
        let (response_id, output_index) = (Id::clone(&self.head.id), self.output.len() as u32);
        let kind =
            Kind::FunctionCall { name: name.clone(), call_id: call_id.clone(), arguments: String::new() };
        let mut item = Item::completed(Id::clone(&item_id), kind);
        item.status = Status::InProgress;
        add_item(&response_id, output_index, &item, anchor, stage);
        stage.events.push(ServerEvent::ArgumentsDelta {
            response_id: Id::clone(&response_id),
            item_id: Id::clone(&item_id),
            output_index,
            call_id: call_id.clone(),
            delta: arguments.clone(),
        });
        stage.events.push(ServerEvent::ArgumentsDone {
            response_id: Id::clone(&response_id),
            item_id: Id::clone(&item_id),
            output_index,
            call_id: call_id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
        });
        let item = Item::completed(item_id, Kind::FunctionCall { name, call_id, arguments });
        finish_item(&response_id, output_index, &item, stage);
        self.output.push(item);
    }

    /// Ends: closes what is open, and says how it was.
    pub fn end(mut self, end: End, stage: &mut Stage<'_>) {
        if let Some(open) = self.open.take() {
            self.close(open, end, stage);
        }
        let (status, details) = match (end, &self.fault) {
            (End::TurnDetected, _) => ("cancelled", ("cancelled", Some("turn_detected"), None)),
            (End::ClientCancelled, _) => ("cancelled", ("cancelled", Some("client_cancelled"), None)),
            (End::Said, Some(fault)) => {
                let (code, message) = (fault.code.clone(), fault.message.clone());
                ("failed", ("failed", None, Some(StatusError { r#type: "server_error", code, message })))
            }
            (End::Said, None) if self.cut => ("incomplete", ("incomplete", Some("max_output_tokens"), None)),
            (End::Said, None) => ("completed", ("completed", None, None)),
        };
        let (kind, reason, error) = details;
        let details = (status != "completed").then_some(StatusDetails { r#type: kind, reason, error });
        stage.events.push(ServerEvent::ResponseDone { response: Box::new(self.body(status, details)) });
    }

    fn close(&mut self, open: Open, end: End, stage: &mut Stage<'_>) {
        let Open { at, text } = open;
        let said = end == End::Said && self.fault.is_none() && !self.cut;
        let status = if said { Status::Completed } else { Status::Incomplete };
        let content = if self.head.text_only {
            stage.events.push(ServerEvent::TextDone { at: at.clone(), text: text.clone() });
            Content::OutputText { text: text.clone() }
        } else {
            if end == End::Said {
                push_audio(at.clone(), self.mouth.finish(), stage.events);
            }
            stage.events.push(ServerEvent::AudioDone { at: at.clone() });
            stage.events.push(ServerEvent::AudioTranscriptDone { at: at.clone(), transcript: text.clone() });
            Content::OutputAudio { transcript: text.clone() }
        };
        let part = part(self.head.text_only, text);
        stage.events.push(ServerEvent::ContentPartDone { at: at.clone(), part });
        let item = Item::message(Id::clone(&at.item_id), status, Role::Assistant, Some(content));
        finish_item(&at.response_id, at.output_index, &item, stage);
        if let Some(place) = self.output.get_mut(at.output_index as usize) {
            *place = item;
        }
    }

    fn body(&self, status: &'static str, status_details: Option<StatusDetails>) -> ResponseBody {
        let head = &self.head;
        let usage = UsageBody::new(self.usage.input_tokens, self.usage.output_tokens);
        ResponseBody {
            object: "realtime.response",
            id: Id::clone(&head.id),
            status,
            status_details,
            output: self.output.clone(),
            conversation_id: head.conversation_id.clone(),
            output_modalities: [if head.text_only { "text" } else { "audio" }],
            max_output_tokens: head.max_output_tokens,
            audio: head.audio.clone(),
            usage: (status != "in_progress").then_some(usage),
            metadata: head.metadata.clone(),
        }
    }
}

fn part(text_only: bool, words: String) -> Part {
    if text_only { Part::Text { text: words } } else { Part::Audio { transcript: words } }
}

fn push_audio(at: At, audio: Bytes, events: &mut Vec<ServerEvent>) {
    if !audio.is_empty() {
        let At { response_id, item_id, output_index, content_index } = at;
        let delta = Base64(audio);
        events.push(ServerEvent::AudioDelta { response_id, item_id, output_index, content_index, delta });
    }
}

fn add_item(response_id: &Id, output_index: u32, item: &Item, anchor: Option<Anchor>, stage: &mut Stage<'_>) {
    let response_id = Id::clone(response_id);
    stage.events.push(ServerEvent::OutputItemAdded { response_id, output_index, item: item.clone() });
    if let Some(conversation) = &mut stage.conversation {
        let previous_item_id = conversation.last();
        conversation.push(item.clone(), anchor);
        stage.events.push(ServerEvent::ItemAdded { previous_item_id, item: item.clone() });
    }
}

fn finish_item(response_id: &Id, output_index: u32, item: &Item, stage: &mut Stage<'_>) {
    if let Some(conversation) = &mut stage.conversation {
        conversation.update(&item.id, |known| known.clone_from(item));
        let previous_item_id = conversation.before(&item.id);
        stage.events.push(ServerEvent::ItemDone { previous_item_id, item: item.clone() });
    }
    let response_id = Id::clone(response_id);
    stage.events.push(ServerEvent::OutputItemDone { response_id, output_index, item: item.clone() });
}
