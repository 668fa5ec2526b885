//! How models write tool calls, and how to read them.
//!
//! | format | who | a call |
//! |---|---|---|
//! | [`CallFormat::Hermes`] | Qwen2.5, Qwen3, Hermes | `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>` |
//! | [`CallFormat::Llama3`] | Llama 3.1 … 3.3 | `<\|python_tag\|>{"name": …, "parameters": {…}}` or that object alone, to the end of the reply |
//! | [`CallFormat::Mistral`] | Mistral from v3 on | `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]` to the end of the reply |
//!
//! A call that cannot be read becomes a call of [`MALFORMED_CALL`], a tool that does not exist, with
//! what is wrong as its arguments: whoever runs tools answers it with an error like any unknown tool,
//! the model reads that and can try again, and nothing of it is ever spoken.

use serde_json::{Map, Value, json};

use super::random::SplitMix64;
use crate::engines::ToolCall;

/// The name under which calls are reported that cannot be read.
pub const MALFORMED_CALL: &str = "malformed_tool_call";

/// Characters of a malformed call that are shown to the model again.
const MAX_QUOTED_CHARS: usize = 300;
/// Characters of a call's id: all that Mistral's templates accept.
const ID_CHARS: usize = 9;

/// How a model writes tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFormat {
    /// Between `<tool_call>` and `</tool_call>`.
    Hermes,
    /// Behind `<|python_tag|>`, or a reply that is nothing but the call.
    Llama3,
    /// A list behind `[TOOL_CALLS]`.
    Mistral,
}

impl CallFormat {
    /// The format that a chat template shows to its model; none if it has no tools.
    pub fn of_template(source: &str) -> Option<CallFormat> {
        let has = |needle: &str| source.contains(needle);
        match () {
            () if has("<tool_call>") => Some(CallFormat::Hermes),
            () if has("<|python_tag|>") || has("Environment: ipython") => Some(CallFormat::Llama3),
            () if has("[TOOL_CALLS]") => Some(CallFormat::Mistral),
            () => None,
        }
    }

    /// What begins a call.
    pub fn open(self) -> &'static str {
        match self {
            CallFormat::Hermes => "<tool_call>",
            CallFormat::Llama3 => "<|python_tag|>",
            CallFormat::Mistral => "[TOOL_CALLS]",
        }
    }

    /// What ends a call; without it the end of the reply does.
    pub fn close(self) -> Option<&'static str> {
        (self == CallFormat::Hermes).then_some("</tool_call>")
    }

    /// The key of a call's arguments.
    pub fn arguments_key(self) -> &'static str {
        if self == CallFormat::Llama3 { "parameters" } else { "arguments" }
    }
}

/// Whether a reply that begins so may be nothing but a call in Llama 3's form.
pub fn may_be_bare_call(reply: &str) -> bool {
    reply.trim_start().starts_with('{')
}

/// Reads a reply that may be nothing but a call in Llama 3's form.
pub fn read_bare_call(reply: &str, ids: &mut CallIds) -> Option<ToolCall> {
    let object: Map<String, Value> = serde_json::from_str(reply.trim()).ok()?;
    let has_arguments = object.contains_key("parameters") || object.contains_key("arguments");
    if has_arguments { read_call(Value::Object(object), ids).ok() } else { None }
}

/// Reads what stands between the marks: one call, or a list of them.
pub fn read_calls(written: &str, ids: &mut CallIds) -> Vec<ToolCall> {
    let calls = match serde_json::from_str(written.trim()) {
        Ok(Value::Array(calls)) if !calls.is_empty() => calls,
        Ok(call) => vec![call],
        Err(error) => return vec![malformed(written, &format!("it is no JSON: {error}"), ids)],
    };
    let read = |call: Value| {
        let text = call.to_string();
        read_call(call, ids).unwrap_or_else(|problem| malformed(&text, problem, ids))
    };
    calls.into_iter().map(read).collect()
}

/// A call that was written but not to its end.
pub fn unfinished(written: &str, ids: &mut CallIds) -> ToolCall {
    malformed(written, "the reply ended in the middle of it", ids)
}

fn read_call(call: Value, ids: &mut CallIds) -> Result<ToolCall, &'static str> {
    let Value::Object(mut call) = call else { return Err("it is no JSON object") };
    let name = match call.get("name") {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        _ => return Err("it has no name"),
    };
    let arguments = ["arguments", "parameters"].iter().find_map(|key| call.remove(*key));
    let arguments = match arguments {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        // Some models write the object as a string, as the OpenAI wire has it.
        Some(Value::String(text)) => {
            serde_json::from_str(&text).map_err(|_| "its arguments are no JSON object")?
        }
        Some(_) => return Err("its arguments are no JSON object"),
    };
    Ok(ToolCall { id: ids.next_id(), name, arguments: Value::Object(arguments).to_string() })
}

fn malformed(written: &str, problem: &str, ids: &mut CallIds) -> ToolCall {
    tracing::warn!(bytes = written.len(), "the model wrote a tool call that cannot be read: {problem}");
    let quoted: String = written.trim().chars().take(MAX_QUOTED_CHARS).collect();
    let arguments = json!({"error": format!("this tool call cannot be read: {problem}"), "text": quoted});
    ToolCall { id: ids.next_id(), name: MALFORMED_CALL.to_owned(), arguments: arguments.to_string() }
}

/// Ids of tool calls: nine letters and digits, random enough to be unique in a conversation.
#[derive(Debug, Clone)]
pub struct CallIds(SplitMix64);

impl CallIds {
    /// Two replies of a conversation must not have the same seed.
    pub fn new(seed: u64) -> CallIds {
        CallIds(SplitMix64::new(seed))
    }

    fn next_id(&mut self) -> String {
        const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut bits = self.0.next_u64();
        let mut id = String::with_capacity(ID_CHARS);
        for _ in 0..ID_CHARS {
            id.push(char::from(CHARACTERS[(bits % 62) as usize]));
            bits /= 62;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> Vec<(String, String)> {
        let calls = read_calls(written, &mut CallIds::new(7));
        calls.into_iter().map(|call| (call.name, call.arguments)).collect()
    }

    #[track_caller]
    fn check_malformed(written: &str, problem: &str) {
        let calls = read(written);
        let [(name, arguments)] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(name, MALFORMED_CALL);
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        let error = arguments["error"].as_str().unwrap();
        assert!(error.contains(problem), "{error}");
    }

    #[test]
    fn calls_are_read_in_every_usual_shape() {
        let expected = vec![("now".to_owned(), r#"{"zone":"Europe/Berlin"}"#.to_owned())];
        assert_eq!(read(r#" {"name": "now", "arguments": {"zone": "Europe/Berlin"}} "#), expected);
        assert_eq!(read(r#"{"name": "now", "parameters": {"zone": "Europe/Berlin"}}"#), expected);
        assert_eq!(read(r#"{"name": "now", "arguments": "{\"zone\": \"Europe/Berlin\"}"}"#), expected);
        assert_eq!(read(r#"[{"name": "now", "arguments": {"zone": "Europe/Berlin"}}]"#), expected);
        assert_eq!(read(r#"{"name": "end"}"#), [("end".to_owned(), "{}".to_owned())]);
    }

    #[test]
    fn the_order_of_arguments_is_kept() {
        let written = r#"{"name": "f", "arguments": {"z": 1, "a": [1.0, null], "m": {"y": 2, "b": 3}}}"#;
        assert_eq!(read(written)[0].1, r#"{"z":1,"a":[1.0,null],"m":{"y":2,"b":3}}"#);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        check_malformed(r#"{"name": "now", "arguments": {}"#, "no JSON");
        check_malformed("", "no JSON");
        check_malformed("[]", "no JSON object");
        check_malformed(r#"{"arguments": {}}"#, "no name");
        check_malformed(r#"{"name": 5}"#, "no name");
        check_malformed(r#"{"name": "now", "arguments": [1]}"#, "arguments are no JSON object");
        check_malformed(r#"{"name": "now", "arguments": "soon"}"#, "arguments are no JSON object");
    }

    #[test]
    fn only_a_whole_call_is_a_bare_call() {
        let read = |reply| read_bare_call(reply, &mut CallIds::new(1)).map(|call| call.name);
        assert_eq!(read(r#"{"name": "now", "parameters": {}}"#).as_deref(), Some("now"));
        assert_eq!(read(r#"{"name": "Ada"}"#), None, "an object that a person asked for");
        assert_eq!(read(r#"{"name": "now", "parameters": {}} is a call"#), None);
    }

    #[test]
    fn ids_are_nine_letters_and_digits_and_differ() {
        let mut ids = CallIds::new(0);
        let given: std::collections::BTreeSet<String> = (0..1000).map(|_| ids.next_id()).collect();
        assert_eq!(given.len(), 1000);
        assert!(given.iter().all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }
}
