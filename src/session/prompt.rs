//! The LLM's prompt: instructions, the history as it was heard, and the user's new words.
//!
//! Tools stand where they were used: what the model wrote before a call, the call, its result, what it
//! wrote then. A prompt that goes on after a tool is the one before it with more behind it, and the next
//! turn's prompt begins with the same messages, as far as they were heard, so that an engine can keep
//! what it has computed of them.

use crate::conversation::history::{self, HistoryMessage, ToolNote};
use crate::engines::{ChatMessage, Role, ToolCall};
use crate::turn::io::SoFar;

/// What the model is told of a tool that never answered.
const NO_RESULT: &str = r#"{"error": "stopped before there was a result"}"#;

/// A tool that was used in a reply.
struct Used<'a> {
    request: u32,
    /// Characters of the reply's text up to the end of that request.
    after_chars: usize,
    call: ToolCall,
    content: Option<&'a str>,
}

/// The prompt of a turn: instructions, the last messages of the history as it was heard (`max_messages`
/// or up to a quarter less), and the user's new words, if there are any.
pub fn of_turn(
    system_prompt: &str,
    history: &[HistoryMessage],
    max_messages: usize,
    user_text: String,
) -> Vec<ChatMessage> {
    let mut messages = vec![ChatMessage::new(Role::System, system_prompt)];
    let recent = &history[window_start(history.len(), max_messages)..];
    // A result without its call means nothing, and the words that asked for it are gone.
    let from = recent.iter().position(|message| message.tool.is_none()).unwrap_or(recent.len());
    let mut used: Vec<Used> = Vec::new();
    let mut turn = 0;
    for message in &recent[from..] {
        if message.turn != turn {
            push_reply(&mut messages, "", std::mem::take(&mut used));
            turn = message.turn;
        }
        match (&message.tool, message.role) {
            (Some(ToolNote::Call { id, name, request, after_chars }), _) => used.push(Used {
                request: *request,
                after_chars: usize::try_from(*after_chars).unwrap_or(usize::MAX),
                call: ToolCall { id: id.clone(), name: name.clone(), arguments: message.text.clone() },
                content: None,
            }),
            (Some(ToolNote::Result { id, .. }), _) => {
                if let Some(call) = used.iter_mut().find(|used| used.call.id == *id) {
                    call.content = Some(&message.text);
                }
            }
            (None, history::Role::Assistant) => {
                push_reply(&mut messages, &message.text, std::mem::take(&mut used));
            }
            (None, _) if message.text.is_empty() => {}
            (None, history::Role::System) => {
                messages.push(ChatMessage::new(Role::System, message.text.clone()));
            }
            (None, _) => messages.push(ChatMessage::new(Role::User, message.text.clone())),
        }
    }
    push_reply(&mut messages, "", used);
    if !user_text.is_empty() {
        messages.push(ChatMessage::new(Role::User, user_text));
    }
    messages
}

/// The first message that a prompt holds. The window moves on in steps, and not with every turn: in
/// between prompts begin with the same messages, which an engine then need not read again.
fn window_start(messages: usize, most: usize) -> usize {
    let step = (most / 4).max(1);
    (messages.saturating_sub(most).div_ceil(step) * step).min(messages)
}

/// Puts behind a turn's prompt what its reply has brought so far.
pub fn go_on(messages: &mut Vec<ChatMessage>, so_far: &SoFar) {
    let used = so_far.tools.iter().map(|used| Used {
        request: used.request,
        after_chars: used.after_chars,
        call: used.call.clone(),
        content: used.result.as_ref().map(|result| result.content.as_str()),
    });
    push_reply(messages, &so_far.text, used.collect());
}

/// A reply's messages: for each request that called tools, what was written up to its end, its calls
/// and their results; then what was written behind them.
fn push_reply(messages: &mut Vec<ChatMessage>, text: &str, used: Vec<Used>) {
    let mut rest = text;
    let mut chars_before = 0;
    for calls in used.chunk_by(|one, other| one.request == other.request) {
        let after_chars = calls.last().map_or(0, |last| last.after_chars);
        let (written, behind) = split_at_char(rest, after_chars.saturating_sub(chars_before));
        chars_before = chars_before.max(after_chars);
        rest = behind;
        messages.push(ChatMessage {
            tool_calls: calls.iter().map(|used| used.call.clone()).collect(),
            ..ChatMessage::new(Role::Assistant, written.trim())
        });
        messages.extend(calls.iter().map(|used| ChatMessage {
            tool_call_id: Some(used.call.id.clone()),
            ..ChatMessage::new(Role::Tool, used.content.unwrap_or(NO_RESULT))
        }));
    }
    if !rest.trim().is_empty() {
        messages.push(ChatMessage::new(Role::Assistant, rest.trim()));
    }
}

fn split_at_char(text: &str, chars: usize) -> (&str, &str) {
    let at = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{self, AssistantMessage, Event, TurnOutcome, UserMessage};
    use crate::turn::io::{ToolResult, ToolUse};

    #[test]
    fn the_window_moves_in_steps() {
        let starts: Vec<usize> = (38..52).map(|messages| window_start(messages, 40)).collect();
        assert_eq!(starts, [0, 0, 0, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 20]);
        assert_eq!((window_start(5, 0), window_start(5, 1), window_start(0, 40)), (5, 4, 0));
        for (messages, most) in (0..60).flat_map(|messages| (0..50).map(move |most| (messages, most))) {
            let held = messages - window_start(messages, most);
            assert!(held <= most && held + most / 4 >= messages.min(most), "{held} of {messages}, {most}");
        }
    }

    fn user(turn: u64, text: &str) -> Event {
        Event::UserMessage(UserMessage { turn, text: text.into(), typed: false })
    }

    fn heard(turn: u64, text: &str) -> Event {
        let outcome = TurnOutcome::Completed;
        let text = text.to_owned();
        Event::AssistantMessage(AssistantMessage { turn, text, whole_reply: None, estimated: false, outcome })
    }

    fn call(turn: u64, request: u32, id: &str, after_chars: u64) -> Event {
        let (id, name, arguments) = (id.to_owned(), "look".to_owned(), "{}".to_owned());
        Event::ToolCall(events::ToolCall { turn, request, id, name, arguments, after_chars })
    }

    fn result(turn: u64, id: &str, content: &str) -> Event {
        Event::ToolResult(events::ToolResult {
            turn,
            id: id.into(),
            name: "look".into(),
            content: content.into(),
            summary: "short".into(),
            failed: false,
        })
    }

    /// The prompt behind these events, a line for each message.
    fn prompt(events: &[Event], max_messages: usize) -> Vec<String> {
        let mut messages = vec![];
        events.iter().for_each(|event| history::apply(&mut messages, event, 0));
        lines(&of_turn("Be brief.", &messages, max_messages, "And now?".into()))
    }

    fn lines(messages: &[ChatMessage]) -> Vec<String> {
        let line = |message: &ChatMessage| {
            let calls: String = message.tool_calls.iter().map(|call| format!(" +{}", call.id)).collect();
            let answers = message.tool_call_id.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
            format!("{:?}{answers}: {}{calls}", message.role, message.content)
        };
        messages.iter().map(line).collect()
    }

    #[test]
    fn tools_stand_where_they_were_used() {
        let events = [
            user(1, "Where is it?"),
            call(1, 1, "a", 8),
            call(1, 1, "b", 8),
            result(1, "b", "B"),
            result(1, "a", "A"),
            call(1, 2, "c", 14),
            result(1, "c", "C"),
            heard(1, "Ich säh!\nThen.\nThere."),
            user(2, "Thanks."),
            heard(2, "Yes."),
        ];
        let expected = [
            "System: Be brief.",
            "User: Where is it?",
            "Assistant: Ich säh! +a +b",
            "Tool for a: A",
            "Tool for b: B",
            "Assistant: Then. +c",
            "Tool for c: C",
            "Assistant: There.",
            "User: Thanks.",
            "Assistant: Yes.",
            "User: And now?",
        ];
        assert_eq!(prompt(&events, 100), expected);
    }

    #[test]
    fn of_a_reply_that_was_interrupted_there_is_what_was_heard() {
        let events =
            [user(1, "Hi."), call(1, 1, "a", 12), heard(1, "Let me"), user(2, "Stop."), call(2, 1, "a", 0)];
        let expected = [
            "System: Be brief.",
            "User: Hi.",
            "Assistant: Let me +a",
            "Tool for a: {\"error\": \"stopped before there was a result\"}",
            "User: Stop.",
            "Assistant:  +a",
            "Tool for a: {\"error\": \"stopped before there was a result\"}",
            "User: And now?",
        ];
        assert_eq!(prompt(&events, 100), expected);
    }

    #[test]
    fn a_cut_history_does_not_begin_in_the_middle_of_a_tool() {
        let events = [
            user(1, "Hi."),
            call(1, 1, "a", 0),
            result(1, "a", "A"),
            call(1, 2, "b", 0),
            result(1, "b", "B"),
            heard(1, "Done."),
        ];
        let whole = prompt(&events, 6);
        assert_eq!(whole.len(), 8);
        for cut in 1..=5 {
            let expected = ["System: Be brief.", "Assistant: Done.", "User: And now?"];
            assert_eq!(prompt(&events, cut), expected, "{cut} messages");
        }
        assert_eq!(prompt(&events, 0), ["System: Be brief.", "User: And now?"]);
    }

    #[test]
    fn the_next_turns_prompt_begins_like_the_one_that_went_on() {
        let before = [user(1, "Hi."), heard(1, "Hello.")];
        let mut history = vec![];
        before.iter().for_each(|event| history::apply(&mut history, event, 0));
        let mut went_on = of_turn("Be brief.", &history, 100, "What time is it?".into());
        let first = went_on.clone();
        let result = |content: &str| ToolResult {
            content: content.into(),
            summary: String::new(),
            failed: false,
            ends_session: false,
        };
        let call = ToolCall { id: "a".into(), name: "now".into(), arguments: "{}".into() };
        let used = ToolUse { request: 1, call, after_chars: 7, result: Some(result("12:00")) };
        go_on(&mut went_on, &SoFar { text: "Well … \n".into(), tools: vec![used] });
        assert_eq!(lines(&went_on[first.len()..]), ["Assistant: Well … +a", "Tool for a: 12:00"]);
        assert_eq!(went_on[..first.len()], first);

        let then = [
            user(2, "What time is it?"),
            Event::ToolCall(events::ToolCall {
                turn: 2,
                request: 1,
                id: "a".into(),
                name: "now".into(),
                arguments: "{}".into(),
                after_chars: 7,
            }),
            Event::ToolResult(events::ToolResult {
                turn: 2,
                id: "a".into(),
                name: "now".into(),
                content: "12:00".into(),
                summary: "noon".into(),
                failed: false,
            }),
            heard(2, "Well … \nNoon."),
        ];
        then.iter().for_each(|event| history::apply(&mut history, event, 0));
        let next = of_turn("Be brief.", &history, 100, "Thanks.".into());
        assert_eq!(next[..went_on.len()], went_on);
        assert_eq!(lines(&next[went_on.len()..]), ["Assistant: Noon.", "User: Thanks."]);
    }
}
