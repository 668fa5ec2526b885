//! The conversation as a Realtime client sees it: items in order. The truth is the log's; this is its
//! projection onto the wire's ids, kept right by what the session tells.

use serde::Serialize;

use super::server_events::Id;
use crate::session::messages::{Anchor, Of, Place};
use crate::turn::io::TurnId;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Unique in the conversation.
    pub id: Id,
    /// `realtime.item`
    pub object: &'static str,
    /// How far it is.
    pub status: Status,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Status {
    InProgress,
    Completed,
    /// It was cut off.
    Incomplete,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    Message { role: Role, content: Vec<Content> },
    FunctionCall { name: String, call_id: String, arguments: String },
    FunctionCallOutput { call_id: String, output: String },
}

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Content {
    InputText { text: String },
    InputAudio { transcript: Option<String> },
    OutputText { text: String },
    OutputAudio { transcript: String },
}

impl Item {
    /// A message of one part, or of none yet.
    pub fn message(id: Id, status: Status, role: Role, content: Option<Content>) -> Item {
        let content = content.into_iter().collect();
        Item { id, object: "realtime.item", status, kind: Kind::Message { role, content } }
    }

    /// One that is complete.
    pub fn completed(id: Id, kind: Kind) -> Item {
        Item { id, object: "realtime.item", status: Status::Completed, kind }
    }
}

/// An item and where its words are in the history.
#[derive(Debug, Clone)]
struct Entry {
    item: Item,
    /// `None`: nowhere, for there are none.
    anchor: Option<Anchor>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    entries: Vec<Entry>,
}

impl Conversation {
    /// The item of that id.
    pub fn get(&self, id: &str) -> Option<&Item> {
        self.position(id).map(|at| &self.entries[at].item)
    }

    /// Where its words are in the history.
    pub fn anchor(&self, id: &str) -> Option<&Anchor> {
        self.position(id).and_then(|at| self.entries[at].anchor.as_ref())
    }

    /// The last item.
    pub fn last(&self) -> Option<Id> {
        self.entries.last().map(|entry| Id::clone(&entry.item.id))
    }

    /// The item before that one.
    pub fn before(&self, id: &str) -> Option<Id> {
        let at = self.position(id)?.checked_sub(1)?;
        Some(Id::clone(&self.entries[at].item.id))
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: Item, anchor: Option<Anchor>) {
        self.entries.push(Entry { item, anchor });
    }

    /// Adds an item behind `previous`, which must be there; `None`: at the beginning. Gives its place in
    /// the history; `None` at its end.
    pub fn insert_after(
        &mut self,
        previous: Option<&str>,
        item: Item,
        anchor: Option<Anchor>,
    ) -> Option<Place> {
        let at = previous.and_then(|id| self.position(id)).map_or(0, |at| at + 1);
        let at_end = at == self.entries.len();
        let before = self.entries[..at].iter().rev().find_map(|entry| entry.anchor.clone());
        self.entries.insert(at, Entry { item, anchor });
        if at_end { None } else { Some(before.map_or(Place::First, Place::After)) }
    }

    /// Takes an item out.
    pub fn remove(&mut self, id: &str) {
        self.entries.retain(|entry| &*entry.item.id != id);
    }

    /// The call of that id.
    pub fn call(&self, call_id: &str) -> Option<&Anchor> {
        let is_it = |entry: &&Entry| matches!(&entry.item.kind, Kind::FunctionCall { call_id: id, .. } if id == call_id);
        self.entries.iter().rev().find(is_it).and_then(|entry| entry.anchor.as_ref())
    }

    /// Changes an item where it stands.
    pub fn update(&mut self, id: &str, change: impl FnOnce(&mut Item)) {
        if let Some(at) = self.position(id) {
            change(&mut self.entries[at].item);
        }
    }

    /// The words of a turn's reply, as the history has them now.
    pub fn set_heard(&mut self, turn: TurnId, heard: &str) {
        let of_turn = |entry: &&mut Entry| {
            entry.anchor.as_ref().is_some_and(|anchor| {
                anchor.of == Of::Turn(turn) && anchor.role == crate::conversation::history::Role::Assistant
            })
        };
        let Some(entry) = self.entries.iter_mut().rev().find(of_turn) else { return };
        if let Kind::Message { content, .. } = &mut entry.item.kind {
            for part in content {
                if let Content::OutputAudio { transcript: words } | Content::OutputText { text: words } = part
                {
                    heard.clone_into(words);
                }
            }
        }
    }

    /// What is shown of a turn's reply.
    #[cfg(test)]
    pub fn heard(&self, turn: TurnId) -> Option<String> {
        let of_turn = |entry: &&Entry| {
            entry.anchor.as_ref().is_some_and(|anchor| {
                anchor.of == Of::Turn(turn) && anchor.role == crate::conversation::history::Role::Assistant
            })
        };
        match &self.entries.iter().find(of_turn)?.item.kind {
            Kind::Message { content, .. } => content.iter().find_map(|part| match part {
                Content::OutputAudio { transcript: words } | Content::OutputText { text: words } => {
                    Some(words.clone())
                }
                Content::InputText { .. } | Content::InputAudio { .. } => None,
            }),
            Kind::FunctionCall { .. } | Kind::FunctionCallOutput { .. } => None,
        }
    }

    fn position(&self, id: &str) -> Option<usize> {
        // What is asked for is mostly new.
        self.entries.iter().rposition(|entry| &*entry.item.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::history;

    fn item(id: &str) -> Item {
        Item::message(id.into(), Status::Completed, Role::User, None)
    }

    fn anchor(turn: u64) -> Anchor {
        Anchor { of: Of::Turn(TurnId(turn)), role: history::Role::User, call_id: None }
    }

    #[test]
    fn items_stand_where_they_were_put_and_know_what_is_before_them() {
        let mut conversation = Conversation::default();
        conversation.push(item("a"), Some(anchor(1)));
        conversation.push(item("silence"), None);
        conversation.push(item("b"), Some(anchor(2)));
        assert_eq!(conversation.insert_after(Some("b"), item("end"), None), None);
        let place = conversation.insert_after(Some("silence"), item("between"), Some(anchor(3)));
        assert_eq!(place, Some(Place::After(anchor(1))), "what has no words is nowhere in the history");
        assert_eq!(conversation.insert_after(None, item("root"), None), Some(Place::First));
        let mut order = vec![conversation.last().unwrap()];
        while let Some(before) = conversation.before(order.last().unwrap()) {
            order.push(before);
        }
        assert_eq!(
            order.iter().map(|id| &**id).collect::<Vec<_>>(),
            ["end", "b", "between", "silence", "a", "root"]
        );
        conversation.remove("silence");
        assert_eq!(conversation.before("between").as_deref(), Some("a"));
    }
}
