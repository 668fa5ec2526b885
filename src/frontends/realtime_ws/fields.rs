//! Reads the fields of a client's JSON object, and names what is wrong and where.
//!
//! Not by derived types: their errors know neither the path (`session.audio.input.turn_detection.type`)
//! nor whether a field was left out or given as `null`, and both mean something here.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Something that a client asked for and does not get. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, snake_case.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Which field.
    pub param: Option<String>,
}

impl Problem {
    /// One that concerns no field.
    pub fn new(code: &'static str, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), param: None }
    }

    /// A field has a value that cannot be.
    pub fn value(param: impl Into<String>, message: impl std::fmt::Display) -> Problem {
        let param = param.into();
        Problem {
            code: "invalid_value",
            message: format!("Invalid '{param}': {message}."),
            param: Some(param),
        }
    }
}

/// The fields of an object, each read once.
pub struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    read: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Those of `value`, which stands at `path` (empty: it is the message itself).
    pub fn of(value: &'a Value, path: impl Into<String>) -> Result<Fields<'a>, Problem> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Fields { path, map, read: Vec::new() }),
            other => Err(wrong_type(path, "an object", other)),
        }
    }

    /// Where a field stands.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The field as it is; `None`: it was left out.
    pub fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.push(name);
        self.map.get(name)
    }

    /// The field; `None`: it was left out, or is `null`.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        match self.raw(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value).map(Some).map_err(|error| Problem {
                code: "invalid_type",
                message: format!("Invalid type for '{}': {error}.", self.path(name)),
                param: Some(self.path(name)),
            }),
        }
    }

    /// The field, which must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Problem> {
        self.optional(name)?.ok_or_else(|| self.missing(name))
    }

    /// The fields of a field that is an object; `None`: it was left out, or is `null`.
    pub fn object(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, Problem> {
        match self.raw(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Fields::of(value, self.path(name)).map(Some),
        }
    }

    /// A field that must be there is not.
    pub fn missing(&self, name: &str) -> Problem {
        let param = self.path(name);
        let message = format!("Missing required parameter: '{param}'.");
        Problem { code: "missing_required_parameter", message, param: Some(param) }
    }

    /// These may stand there, and mean nothing here.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.read.extend(names);
    }

    /// Nothing else may stand there.
    pub fn finish(self) -> Result<(), Problem> {
        match self.map.keys().find(|key| !self.read.contains(&key.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let param = self.path(unknown);
                let message = format!("Unknown parameter: '{param}'.");
                Err(Problem { code: "unknown_parameter", message, param: Some(param) })
            }
        }
    }
}

fn wrong_type(path: String, expected: &str, found: &Value) -> Problem {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{path}': expected {expected}, but got {found}.");
    Problem { code: "invalid_type", message, param: Some(path) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_name_the_field() {
        let value = json!({"a": {"b": "x", "c": null, "d": 1}});
        let mut fields = Fields::of(&value, "").unwrap();
        let mut inner = fields.object("a").unwrap().unwrap();
        assert_eq!(inner.optional::<u32>("b").unwrap_err().param.as_deref(), Some("a.b"));
        assert_eq!((inner.raw("c"), inner.optional::<u32>("c").unwrap()), (Some(&Value::Null), None));
        let missing = inner.required::<u32>("e").unwrap_err();
        assert_eq!((missing.code, missing.param.as_deref()), ("missing_required_parameter", Some("a.e")));
        let unknown = inner.finish().unwrap_err();
        assert_eq!((unknown.code, unknown.param.as_deref()), ("unknown_parameter", Some("a.d")));
        assert!(fields.finish().is_ok());
        assert_eq!(Fields::of(&json!([]), "session").map(drop).unwrap_err().code, "invalid_type");
    }
}
