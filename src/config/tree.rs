//! The YAML tree as such: which key paths there are, on which line one stands, which valid one is
//! nearest to a misspelt one. Knows no meaning of any key.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess};
use serde::de::{VariantAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// Full paths (`turn.lead_ms`) of all keys below `mapping` that are not sections, with their values,
/// in document order. Lists are values.
pub(super) fn leaves(mapping: &Mapping) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect_leaves("", mapping, &mut found);
    found
}

fn collect_leaves<'a>(prefix: &str, mapping: &'a Mapping, found: &mut Vec<(String, &'a Value)>) {
    for (key, value) in mapping {
        let path = join(prefix, &key_text(key));
        match value {
            Value::Mapping(section) => collect_leaves(&path, section, found),
            _ => found.push((path, value)),
        }
    }
}

/// `prefix.key`, or `key` at the top. A key with a dot of its own (`server.port: 1` instead of a
/// section) is put in quotes: it is not the path that it looks like.
pub(super) fn join(prefix: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("{key:?}") } else { key.to_owned() };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

/// A key as it is shown; keys that are not text (`8080: x`) are shown as YAML writes them.
pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default().trim().replace('\n', " "),
    }
}

/// Sets the value at `path`, making sections on the way.
pub(super) fn set(root: &mut Mapping, path: &str, value: Value) {
    let mut section = root;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let key = Value::from(part);
        if parts.peek().is_none() {
            section.insert(key, value);
            return;
        }
        let slot = section.entry(key).or_insert(Value::Null);
        if !slot.is_mapping() {
            *slot = Value::Mapping(Mapping::new());
        }
        let Value::Mapping(inner) = slot else { return };
        section = inner;
    }
}

/// The valid path that `wrong` most likely stands for. A key's own name counts as much as its whole
/// path does, so that a key in the wrong section is found as well as a misspelt one.
pub(super) fn nearest<'a>(wrong: &str, valid: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    fn name(path: &str) -> &str {
        path.rsplit('.').next().unwrap_or(path)
    }
    let likeness = |path: &str| {
        strsim::normalized_damerau_levenshtein(wrong, path)
            + strsim::normalized_damerau_levenshtein(name(wrong), name(path))
    };
    valid.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// The line (from 1) on which the key `path` stands in `text`, if it does.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    stop_at(text, &|key| key == path).map(|(_, line)| line)
}

/// The first key that stands twice in its section: its path, and the line of the second one.
pub(super) fn duplicate(text: &str) -> Option<(String, usize)> {
    let seen = RefCell::new(HashSet::new());
    stop_at(text, &|key| !seen.borrow_mut().insert(key.to_owned()))
}

/// Walks over all keys of a document until `stop` says yes to a path; gives it and its line.
///
/// The YAML library tells positions only in its errors; so the walk ends in an error of its own
/// making, and the library notes where.
fn stop_at(text: &str, stop: &dyn Fn(&str) -> bool) -> Option<(String, usize)> {
    let stopped_at = RefCell::new(None);
    let walk = Walk { prefix: "", stop, stopped_at: &stopped_at };
    let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    Some((stopped_at.take()?, error.location()?.line()))
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    prefix: &'a str,
    stop: &'a dyn Fn(&str) -> bool,
    stopped_at: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(path) = map.next_key_seed(Key(self))? {
            map.next_value_seed(Walk { prefix: &path, ..self })?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let path = format!("{}[{index}]", self.prefix);
            if seq.next_element_seed(Walk { prefix: &path, ..self })?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, content) = tagged.variant::<IgnoredAny>()?;
        content.newtype_variant::<IgnoredAny>().map(drop)
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i128<E>(self, _: i128) -> Result<(), E> {
        Ok(())
    }
    fn visit_u128<E>(self, _: u128) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Key<'a>(Walk<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        let path = join(self.0.prefix, key);
        if (self.0.stop)(&path) {
            *self.0.stopped_at.borrow_mut() = Some(path);
            return Err(E::custom("stopped here"));
        }
        Ok(path)
    }
}
