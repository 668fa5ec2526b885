//! A conversation as a file for people (Markdown) or programs (JSON).

use std::fmt::Write as _;

use jiff::Timestamp;

use super::compaction;
use super::history::{Role, ToolNote};
use super::log::StoredSession;

/// JSON, as `GET /api/sessions/{id}` gives it.
pub fn json(session: &StoredSession) -> String {
    // Texts, numbers and maps with text keys: this cannot fail.
    serde_json::to_string_pretty(session).unwrap_or_default()
}

/// Markdown: who said what, as it was heard.
pub fn markdown(session: &StoredSession) -> String {
    let mut text = format!("# Conversation {}\n\n", session.session_id);
    let agent = if session.agent.is_empty() { "default" } else { &session.agent };
    let began = moment(session.started_at_unix_us);
    let _ = writeln!(text, "With `{agent}` by {}, begun {began}.", session.frontend);
    if let Some(origin) = session.compacted_from {
        let _ = writeln!(text, "\nCompacted from {}.", origin.session);
    }
    for message in &session.messages {
        let (head, body) = match (message.role, &message.tool) {
            (Role::System, _) if compaction::is_made(message) => ("Summary".to_owned(), message.text.clone()),
            (Role::System, _) => ("Instructions".to_owned(), message.text.clone()),
            (Role::User, _) => ("User".to_owned(), message.text.clone()),
            (Role::Assistant, _) if message.interrupted => {
                ("Assistant".to_owned(), format!("{} […]", message.text))
            }
            (Role::Assistant, _) => ("Assistant".to_owned(), message.text.clone()),
            (_, Some(ToolNote::Call { name, .. })) => (format!("Tool `{name}`"), fenced(&message.text)),
            (_, Some(ToolNote::Result { name, .. })) => (format!("From `{name}`"), fenced(&message.text)),
            (Role::ToolCall | Role::ToolResult, None) => continue,
        };
        let _ = write!(text, "\n### {head}\n\n{}\n", body.trim());
    }
    text
}

/// Code, whatever is in it.
fn fenced(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{code}\n{fence}")
}

fn moment(unix_us: i64) -> String {
    Timestamp::from_microsecond(unix_us).unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_with_fences_in_it_has_a_longer_fence() {
        assert_eq!(fenced("a"), "```\na\n```");
        assert_eq!(fenced("a ```` b"), "`````\na ```` b\n`````");
    }
}
