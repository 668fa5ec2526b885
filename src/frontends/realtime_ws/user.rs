//! The user's side of a dialogue: speech edges, items of what was said, and their words.

use std::collections::BTreeMap;

use super::conversation::{Content, Item, Kind, Role, Status};
use super::dialogue::{Dialogue, Out};
use super::server_events::{Duration, ErrorBody, Id, ServerEvent};
use crate::conversation::history;
use crate::session::messages::{Anchor, Of};
use crate::turn::io::{Event, Fault, TurnId};

/// Input samples per millisecond.
const SAMPLES_PER_MS: u64 = crate::engines::INPUT_RATE_HZ as u64 / 1_000;

/// What the user is saying.
#[derive(Debug, Default)]
pub(super) struct User {
    /// The item that what is being said will be.
    speaking: Option<Id>,
    /// What was told of its words so far.
    partial: String,
    /// Items whose words are not known yet, with what was told of them.
    wordless: BTreeMap<TurnId, (Id, String)>,
}

impl User {
    /// What was being said is forgotten.
    pub fn clear(&mut self) {
        self.speaking = None;
        self.partial.clear();
    }
}

impl Dialogue {
    pub(super) fn on_user(&mut self, event: Event, out: &mut Out) {
        match event {
            Event::SpeechStarted { sample } => {
                let item_id = self.ids.next("item");
                self.user.partial.clear();
                self.user.speaking = Some(Id::clone(&item_id));
                let audio_start_ms = sample / SAMPLES_PER_MS;
                self.absorbs_cancel = false;
                out.client.push(ServerEvent::SpeechStarted { item_id, audio_start_ms });
            }
            Event::SpeechStopped { sample } => {
                if let Some(item_id) = self.user.speaking.clone() {
                    let audio_end_ms = sample / SAMPLES_PER_MS;
                    out.client.push(ServerEvent::SpeechStopped { item_id, audio_end_ms });
                }
            }
            Event::Contributed { turn } => {
                self.asked.commits.pop_front();
                let id = self.user.speaking.take().unwrap_or_else(|| self.ids.next("item"));
                let partial = std::mem::take(&mut self.user.partial);
                self.user.wordless.insert(turn, (Id::clone(&id), partial));
                let anchor = Anchor { of: Of::Turn(turn), role: history::Role::User, call_id: None };
                self.add_spoken(id, Some(anchor), out);
            }
            Event::Idled { from, to, .. } => {
                let id = self.ids.next("item");
                out.client.push(ServerEvent::TimeoutTriggered {
                    item_id: Id::clone(&id),
                    audio_start_ms: from / SAMPLES_PER_MS,
                    audio_end_ms: to / SAMPLES_PER_MS,
                });
                self.add_spoken(id, None, out);
            }
            Event::PartialTranscript { turn, text } => self.tell_partial(turn, &text, out),
            Event::Transcript { turn, text, audio_ms, .. } => {
                self.tell_partial(turn, &text, out);
                let Some((id, _)) = self.user.wordless.remove(&turn) else { return };
                self.conversation.update(&id, |item| set_transcript(item, &text));
                if self.transcribes() {
                    out.client.push(ServerEvent::TranscriptionCompleted {
                        item_id: id,
                        content_index: 0,
                        transcript: text,
                        usage: Duration { seconds: audio_ms as f64 / 1_000.0 },
                    });
                }
            }
            _ => {}
        }
    }

    /// Recognition of what was said failed, or something else that belongs to no response.
    pub(super) fn on_recognition_fault(&mut self, turn: TurnId, fault: &Fault, out: &mut Out) {
        let error = ErrorBody::failed(&fault.code, &fault.message);
        match self.user.wordless.remove(&turn) {
            Some((item_id, _)) if self.transcribes() => {
                out.client.push(ServerEvent::TranscriptionFailed { item_id, content_index: 0, error });
            }
            _ => out.client.push(ServerEvent::Error { error }),
        }
    }

    fn transcribes(&self) -> bool {
        !self.config.echo.audio.input.transcription.is_null()
    }

    /// Words that go on from those told before; what was recognised otherwise since is told at the end.
    fn tell_partial(&mut self, turn: TurnId, text: &str, out: &mut Out) {
        let transcribes = self.transcribes();
        let (item_id, told) = match self.user.wordless.get_mut(&turn) {
            Some((id, told)) => (Id::clone(id), told),
            None => match &self.user.speaking {
                Some(id) => (Id::clone(id), &mut self.user.partial),
                None => return,
            },
        };
        if let Some(delta) = text.strip_prefix(told.as_str()).filter(|delta| !delta.is_empty() && transcribes)
        {
            let delta = delta.to_owned();
            told.push_str(&delta);
            out.client.push(ServerEvent::TranscriptionDelta { item_id, content_index: 0, delta });
        }
    }

    fn add_spoken(&mut self, id: Id, anchor: Option<Anchor>, out: &mut Out) {
        let content = Content::InputAudio { transcript: None };
        let item = Item::message(Id::clone(&id), Status::Completed, Role::User, Some(content));
        let previous_item_id = self.conversation.last();
        self.conversation.push(item.clone(), anchor);
        let previous = || previous_item_id.clone();
        out.client.push(ServerEvent::Committed { item_id: id, previous_item_id: previous() });
        out.client.push(ServerEvent::ItemAdded { previous_item_id: previous(), item: item.clone() });
        out.client.push(ServerEvent::ItemDone { previous_item_id: previous(), item });
    }
}

fn set_transcript(item: &mut Item, words: &str) {
    if let Kind::Message { content, .. } = &mut item.kind {
        for part in content {
            if let Content::InputAudio { transcript } = part {
                *transcript = Some(words.to_owned());
            }
        }
    }
}
