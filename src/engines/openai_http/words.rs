//! What a server says that is not what was asked for, made fit for an error message.

/// Characters of a server's words that go into an error message.
const MAX_QUOTED_CHARS: usize = 300;

/// The words of an error that a server sent as JSON, in any of the usual shapes.
pub fn server_message(error: &serde_json::Value) -> String {
    let inner = ["error", "message", "detail"].iter().find_map(|key| error.get(key));
    match (error, inner) {
        (serde_json::Value::String(words), _) => quote(words),
        (_, Some(inner)) => server_message(inner),
        _ => quote(&error.to_string()),
    }
}

/// The beginning of what a server sent, on one line.
pub fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
