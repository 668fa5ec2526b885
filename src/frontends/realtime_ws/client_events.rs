//! What a Realtime client says, parsed: a message becomes one [`ClientEvent`], or a [`Problem`] that names
//! the field. What does not depend on the session is checked here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::fields::{Fields, Problem};
use super::server_events::Id;
use super::session_config::{self, OutputWish};
use crate::engines::{Calls, ToolSpec};

/// Longest id that a client may give, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Longest text of an item or of instructions, in characters.
const MAX_TEXT_CHARS: usize = 64_000;

/// One client event.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum ClientEvent {
    /// `session.update`: its `session` is read against the session in force.
    UpdateSession(Value),
    Commit,
    Clear,
    CreateItem {
        item: NewItem,
        previous: Option<Id>,
    },
    Retrieve {
        item_id: Id,
    },
    Delete {
        item_id: Id,
    },
    Truncate {
        item_id: Id,
        content_index: u32,
        audio_end_ms: u64,
    },
    Respond(Box<ResponseWish>),
    Cancel {
        response_id: Option<Id>,
    },
    ClearOutput,
}

/// A message: the event, or the base64 of `input_audio_buffer.append`.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Message<'a> {
    Append { audio: Cow<'a, str> },
    Event(ClientEvent),
}

/// An item that a client puts in.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct NewItem {
    pub id: Option<Id>,
    pub content: NewContent,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NewContent {
    System(String),
    User(String),
    /// Audio whose words the client knows.
    UserAudio(String),
    Assistant(String),
    Call {
        call_id: String,
        name: String,
        arguments: String,
    },
    Output {
        call_id: String,
        output: String,
    },
    /// One that is in the conversation already.
    Reference,
}

/// What a client wants of a response; what is `None` is as in the session.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct ResponseWish {
    pub beside: bool,
    pub input: Option<Vec<NewItem>>,
    pub instructions: Option<String>,
    pub text_only: Option<bool>,
    pub output: OutputWish,
    pub tools: Option<Vec<ToolSpec>>,
    pub calls: Option<Calls>,
    /// `Some(None)`: as many as there may be.
    pub max_output_tokens: Option<Option<u32>>,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// The head of a message, borrowed from it. (An append is read without anything else being made of it.)
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Append<'a> {
    #[serde(borrow)]
    audio: Option<Cow<'a, str>>,
}

/// Parses a message: its `event_id`, as far as there is one, and what it says.
pub fn parse(text: &str) -> (Option<Id>, Result<Message<'_>, Problem>) {
    let head: Head<'_> = match serde_json::from_str(text) {
        Ok(head) => head,
        Err(error) => {
            return (None, Err(Problem::new("invalid_json", format!("This is no event: {error}."))));
        }
    };
    let event_id = head.event_id.filter(|id| id.len() <= MAX_ID_BYTES).map(|id| Id::from(&*id));
    let Some(kind) = head.r#type else {
        let param = Some("type".to_owned());
        let message = "Missing required parameter: 'type'.".to_owned();
        return (event_id, Err(Problem { code: "missing_required_parameter", message, param }));
    };
    let message = match &*kind {
        "input_audio_buffer.append" => match serde_json::from_str::<Append<'_>>(text) {
            Ok(Append { audio: Some(audio) }) => Ok(Message::Append { audio }),
            Ok(Append { audio: None }) => Err(Problem {
                code: "missing_required_parameter",
                message: "Missing required parameter: 'audio'.".to_owned(),
                param: Some("audio".to_owned()),
            }),
            Err(error) => Err(Problem::value("audio", error)),
        },
        kind => parse_event(kind, text).map(Message::Event),
    };
    (event_id, message)
}

fn parse_event(kind: &str, text: &str) -> Result<ClientEvent, Problem> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problem::new("invalid_json", format!("This is no event: {error}.")))?;
    let mut fields = Fields::of(&value, "")?;
    fields.ignore(&["type", "event_id"]);
    let event = match kind {
        "session.update" => {
            let session = fields.raw("session").ok_or_else(|| fields.missing("session"))?;
            ClientEvent::UpdateSession(session.clone())
        }
        "input_audio_buffer.commit" => ClientEvent::Commit,
        "input_audio_buffer.clear" => ClientEvent::Clear,
        "conversation.item.create" => {
            let previous = id(&mut fields, "previous_item_id")?;
            let item = fields.object("item")?.ok_or_else(|| fields.missing("item"))?;
            ClientEvent::CreateItem { item: parse_item(item)?, previous }
        }
        "conversation.item.retrieve" => {
            ClientEvent::Retrieve { item_id: required_id(&mut fields, "item_id")? }
        }
        "conversation.item.delete" => ClientEvent::Delete { item_id: required_id(&mut fields, "item_id")? },
        "conversation.item.truncate" => ClientEvent::Truncate {
            item_id: required_id(&mut fields, "item_id")?,
            content_index: fields.required("content_index")?,
            audio_end_ms: fields.required("audio_end_ms")?,
        },
        "response.create" => {
            let wish = fields.object("response")?.map(parse_response).transpose()?;
            ClientEvent::Respond(Box::new(wish.unwrap_or_default()))
        }
        "response.cancel" => ClientEvent::Cancel { response_id: id(&mut fields, "response_id")? },
        "output_audio_buffer.clear" => ClientEvent::ClearOutput,
        unknown => {
            let message = format!("Invalid value: '{unknown}'. There is no such client event.");
            return Err(Problem { code: "invalid_value", message, param: Some("type".to_owned()) });
        }
    };
    fields.finish()?;
    Ok(event)
}

fn id(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Id>, Problem> {
    let Some(id) = fields.optional::<String>(name)? else { return Ok(None) };
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(Problem::value(fields.path(name), format!("an id has 1 to {MAX_ID_BYTES} bytes")));
    }
    Ok(Some(id.into()))
}

fn required_id(fields: &mut Fields<'_>, name: &'static str) -> Result<Id, Problem> {
    id(fields, name)?.ok_or_else(|| fields.missing(name))
}

/// A text that is not too long.
pub(super) fn text(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<String>, Problem> {
    let text = fields.optional::<String>(name)?;
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS) {
        return Err(Problem::value(
            fields.path(name),
            format!("it has more than {MAX_TEXT_CHARS} characters"),
        ));
    }
    Ok(text)
}

fn required_text(fields: &mut Fields<'_>, name: &'static str) -> Result<String, Problem> {
    text(fields, name)?.ok_or_else(|| fields.missing(name))
}

fn parse_item(mut fields: Fields<'_>) -> Result<NewItem, Problem> {
    // Clients send back items as they got them.
    fields.ignore(&["object", "status", "phase"]);
    let id = id(&mut fields, "id")?;
    let content = match &*fields.required::<String>("type")? {
        "message" => parse_message(&mut fields)?,
        "function_call" => NewContent::Call {
            call_id: required_text(&mut fields, "call_id")?,
            name: required_text(&mut fields, "name")?,
            arguments: required_text(&mut fields, "arguments")?,
        },
        "function_call_output" => NewContent::Output {
            call_id: required_text(&mut fields, "call_id")?,
            output: required_text(&mut fields, "output")?,
        },
        "item_reference" if id.is_some() => NewContent::Reference,
        "item_reference" => return Err(fields.missing("id")),
        other => {
            let message = format!(
                "there is no '{other}' here; there is message, function_call, function_call_output, item_reference"
            );
            return Err(Problem::value(fields.path("type"), message));
        }
    };
    fields.finish()?;
    Ok(NewItem { id, content })
}

fn parse_message(fields: &mut Fields<'_>) -> Result<NewContent, Problem> {
    let role = fields.required::<String>("role")?;
    let path = fields.path("content");
    let parts = match fields.raw("content") {
        Some(Value::Array(parts)) => parts.as_slice(),
        Some(_) => return Err(Problem::value(path, "an array of parts")),
        None => return Err(fields.missing("content")),
    };
    let (mut words, mut spoken) = (Vec::new(), false);
    for (index, part) in parts.iter().enumerate() {
        let mut part = Fields::of(part, format!("{path}[{index}]"))?;
        let kind = part.required::<String>("type")?;
        let is_audio = matches!(kind.as_str(), "input_audio" | "output_audio" | "audio");
        let fits = match role.as_str() {
            "system" => kind == "input_text",
            "user" => matches!(kind.as_str(), "input_text" | "input_audio"),
            _ => matches!(kind.as_str(), "output_text" | "output_audio" | "text" | "audio"),
        };
        if !fits {
            let message = format!("there is no '{kind}' in a message of the role '{role}' here");
            return Err(Problem::value(part.path("type"), message));
        }
        if is_audio {
            spoken = true;
            part.ignore(&["audio", "format", "text"]);
            let transcript = text(&mut part, "transcript")?.filter(|words| !words.trim().is_empty());
            let unheard = "audio is only heard through input_audio_buffer.append; give its transcript here";
            words.push(transcript.ok_or_else(|| Problem::value(part.path("transcript"), unheard))?);
        } else {
            part.ignore(&["audio", "transcript"]);
            words.push(required_text(&mut part, "text")?);
        }
        part.finish()?;
    }
    if words.is_empty() {
        return Err(Problem::value(path, "at least one part"));
    }
    let words = words.join("\n");
    Ok(match role.as_str() {
        "system" => NewContent::System(words),
        "user" if spoken => NewContent::UserAudio(words),
        "user" => NewContent::User(words),
        "assistant" => NewContent::Assistant(words),
        other => {
            let message = format!("there is no '{other}'; there is system, user, assistant");
            return Err(Problem::value(fields.path("role"), message));
        }
    })
}

fn parse_response(mut fields: Fields<'_>) -> Result<ResponseWish, Problem> {
    fields.ignore(&["parallel_tool_calls", "prompt", "reasoning"]);
    let beside = match fields.optional::<String>("conversation")?.as_deref() {
        None | Some("auto") => false,
        Some("none") => true,
        Some(other) => {
            let message = format!("there is no conversation '{other}'; there is auto, none");
            return Err(Problem::value(fields.path("conversation"), message));
        }
    };
    let input = match fields.optional::<Vec<Value>>("input")? {
        None => None,
        Some(_) if !beside => {
            let message = "own input is for responses beside the conversation (conversation: \"none\")";
            return Err(Problem::value(fields.path("input"), message));
        }
        Some(items) => {
            let path = fields.path("input");
            let item = |(index, item)| parse_item(Fields::of(item, format!("{path}[{index}]"))?);
            Some(items.iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
    };
    let wish = ResponseWish {
        beside,
        input,
        instructions: text(&mut fields, "instructions")?,
        text_only: session_config::modality(&mut fields)?,
        output: session_config::response_output(&mut fields)?,
        tools: session_config::tools(&mut fields)?.map(|tools| tools.specs),
        calls: session_config::tool_choice(&mut fields)?.map(|(_, calls)| calls),
        max_output_tokens: session_config::max_tokens(&mut fields)?,
        metadata: fields.optional("metadata")?,
    };
    fields.finish()?;
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (Option<String>, &'static str, Option<String>) {
        let (id, parsed) = parse(text);
        let problem = parsed.err().unwrap_or_else(|| panic!("{text} was taken"));
        (id.map(|id| id.to_string()), problem.code, problem.param)
    }

    #[test]
    fn what_is_wrong_is_named_with_its_event_and_place() {
        let cases = [
            ("", None, "invalid_json", None),
            ("[1]", None, "invalid_json", None),
            (r#"{"event_id":"e"}"#, Some("e"), "missing_required_parameter", Some("type")),
            (r#"{"type":"dance","event_id":"e"}"#, Some("e"), "invalid_value", Some("type")),
            (r#"{"type":"input_audio_buffer.append"}"#, None, "missing_required_parameter", Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":7}"#, None, "invalid_value", Some("audio")),
            (r#"{"type":"session.update"}"#, None, "missing_required_parameter", Some("session")),
            (r#"{"type":"response.cancel","id":"x"}"#, None, "unknown_parameter", Some("id")),
            (
                r#"{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":-1}"#,
                None,
                "invalid_type",
                Some("audio_end_ms"),
            ),
            (
                r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text"}]}}"#,
                None,
                "missing_required_parameter",
                Some("item.content[0].text"),
            ),
            (
                r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_image","image_url":"x"}]}}"#,
                None,
                "invalid_value",
                Some("item.content[0].type"),
            ),
            (
                r#"{"type":"response.create","response":{"conversation":"mine"}}"#,
                None,
                "invalid_value",
                Some("response.conversation"),
            ),
            (
                r#"{"type":"response.create","response":{"input":[]}}"#,
                None,
                "invalid_value",
                Some("response.input"),
            ),
            (
                r#"{"type":"response.create","response":{"output_modalities":["smell"]}}"#,
                None,
                "invalid_value",
                Some("response.output_modalities"),
            ),
        ];
        for (text, id, code, param) in cases {
            assert_eq!(problem(text), (id.map(str::to_owned), code, param.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn items_are_taken_back_as_they_were_given() {
        let text = r#"{"type":"conversation.item.create","event_id":"e","previous_item_id":"p","item":
            {"id":"i","object":"realtime.item","type":"message","status":"completed","role":"assistant",
             "content":[{"type":"output_audio","transcript":"Hello."}]}}"#;
        let (id, parsed) = parse(text);
        let Ok(Message::Event(ClientEvent::CreateItem { item, previous })) = parsed else {
            panic!("{parsed:?}")
        };
        assert_eq!(
            (id.as_deref(), previous.as_deref(), item.id.as_deref()),
            (Some("e"), Some("p"), Some("i"))
        );
        assert_eq!(item.content, NewContent::Assistant("Hello.".to_owned()));
    }
}
