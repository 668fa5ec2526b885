//! What holds for every sequence of server events. Reads JSON, as a client does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Judges a connection's events, one after the other.
#[derive(Debug, Default)]
pub struct Order {
    ids: BTreeSet<String>,
    /// In their order.
    items: Vec<String>,
    done_items: BTreeSet<String>,
    /// Responses that are open, and their open items.
    open: BTreeMap<String, BTreeSet<String>>,
    /// Open content parts by response.
    parts: BTreeMap<String, String>,
    ended: BTreeSet<String>,
    /// Audio and words of a response, by kind of event: what its `done` must repeat.
    words: BTreeMap<String, String>,
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_else(|| panic!("{field} of {event}")).to_owned()
}

impl Order {
    /// The next event.
    pub fn see(&mut self, event: &Value) {
        assert!(self.ids.insert(text(event, "event_id")), "an event id came twice: {event}");
        let kind = text(event, "type");
        let response = event["response_id"].as_str().unwrap_or_default().to_owned();
        if !response.is_empty() && kind != "output_audio_buffer.cleared" {
            assert!(self.open.contains_key(&response), "{kind} outside its response");
        }
        match kind.as_str() {
            "conversation.item.added" => self.add(event),
            "conversation.item.done" => {
                let id = text(&event["item"], "id");
                let at = self.items.iter().position(|item| *item == id).expect("an item that was added");
                let before = at.checked_sub(1).map(|at| self.items[at].as_str());
                assert_eq!(event["previous_item_id"].as_str(), before, "{event}");
                assert!(self.done_items.insert(id), "an item is done twice: {event}");
                assert_ne!(event["item"]["status"], "in_progress");
            }
            "conversation.item.deleted" => {
                let id = text(event, "item_id");
                self.items.retain(|item| *item != id);
            }
            "response.created" => {
                let id = text(&event["response"], "id");
                assert_eq!(event["response"]["status"], "in_progress");
                assert!(!self.ended.contains(&id));
                assert!(self.open.insert(id, BTreeSet::new()).is_none());
            }
            "response.output_item.added" => {
                let open = self.open.get_mut(&response).expect("it is open");
                assert!(open.insert(text(&event["item"], "id")), "{event}");
            }
            "response.output_item.done" => {
                let id = text(&event["item"], "id");
                assert!(!self.parts.values().any(|part| *part == id), "done before its part: {event}");
                assert!(self.open.get_mut(&response).is_some_and(|open| open.remove(&id)), "{event}");
            }
            "response.content_part.added" => {
                let id = text(event, "item_id");
                assert!(self.open[&response].contains(&id), "{event}");
                assert!(self.parts.insert(response.clone(), id).is_none(), "a part within a part: {event}");
                self.words.remove(&response);
            }
            "response.content_part.done" => {
                let part = self.parts.remove(&response);
                assert_eq!(part, Some(text(event, "item_id")), "{event}");
                let said = self.words.get(&response).map_or("", String::as_str);
                let part = &event["part"];
                assert_eq!(part["transcript"].as_str().or(part["text"].as_str()), Some(said), "{event}");
            }
            "response.output_audio.delta" | "response.output_audio.done" => {
                self.within_part(&response, event)
            }
            "response.output_audio_transcript.delta" | "response.output_text.delta" => {
                self.within_part(&response, event);
                self.words.entry(response).or_default().push_str(&text(event, "delta"));
            }
            "response.output_audio_transcript.done" | "response.output_text.done" => {
                self.within_part(&response, event);
            }
            "response.done" => {
                let id = text(&event["response"], "id");
                let open = self.open.remove(&id);
                assert_eq!(open, Some(BTreeSet::new()), "open items, or none such: {event}");
                assert!(!self.parts.contains_key(&id), "an open part: {event}");
                assert!(self.ended.insert(id), "{event}");
                let reason = &event["response"]["status_details"]["reason"];
                let expected: &[Value] = match event["response"]["status"].as_str().unwrap_or_default() {
                    "completed" | "failed" => &[Value::Null],
                    "cancelled" => &["turn_detected".into(), "client_cancelled".into()],
                    "incomplete" => &["max_output_tokens".into()],
                    other => panic!("{other} is no end"),
                };
                assert!(expected.contains(reason), "{event}");
            }
            _ => {}
        }
    }

    /// Nothing is left open.
    pub fn finish(&self) {
        assert!(self.open.is_empty(), "without an end: {:?}", self.open);
        let undone: Vec<_> = self.items.iter().filter(|item| !self.done_items.contains(*item)).collect();
        assert!(undone.is_empty(), "items that were never done: {undone:?}");
    }

    /// Items that are there.
    pub fn items(&self) -> &[String] {
        &self.items
    }

    /// Responses that are open, and those that were.
    pub fn responses(&self) -> impl Iterator<Item = &String> {
        self.open.keys().chain(&self.ended)
    }

    fn add(&mut self, event: &Value) {
        let id = text(&event["item"], "id");
        assert!(!self.items.contains(&id), "an item was added twice: {event}");
        let at = match event["previous_item_id"].as_str() {
            None => 0,
            Some(previous) => 1 + self.items.iter().position(|item| item == previous).expect("a known item"),
        };
        self.items.insert(at, id);
    }

    fn within_part(&self, response: &str, event: &Value) {
        assert_eq!(self.parts.get(response), Some(&text(event, "item_id")), "outside its part: {event}");
    }
}
