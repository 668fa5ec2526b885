//! A conversation as lines of text.

use std::io::{self, Write};

use crate::client::ServerMessage;
use crate::turn::io::{InterruptReason, Outcome, State};

/// Writes what the messages mean to a person.
pub struct Transcript<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Transcript<'a> {
    pub fn new(out: &'a mut dyn Write) -> Transcript<'a> {
        Transcript { out }
    }

    /// A line, or none.
    pub fn show(&mut self, message: &ServerMessage) -> io::Result<()> {
        match message {
            ServerMessage::Session { session_id, engines, resumed, .. } => {
                let again = if *resumed { ", goes on" } else { "" };
                let (vad, asr, llm, tts) = (&engines.vad, &engines.asr, &engines.llm, &engines.tts);
                self.line(&format!("session {session_id}{again} ({vad}, {asr}, {llm}, {tts})"))
            }
            ServerMessage::VideoMode { reason: Some(reason), .. } => {
                self.line(&format!("video is off: {reason}"))
            }
            ServerMessage::Status { state, .. } => self.line(&format!("[{}]", name_of(*state))),
            ServerMessage::Transcript { text, .. } if text.is_empty() => self.line("you:  (no words)"),
            ServerMessage::Transcript { text, .. } => self.line(&format!("you:  {text}")),
            ServerMessage::ResponseText { text, last: false, .. }
            | ServerMessage::SpeakingClip { text, .. } => self.line(&format!("they: {text}")),
            ServerMessage::Interrupt { heard_text, reason, .. } => {
                let by = match reason {
                    InterruptReason::Speech => "you spoke",
                    InterruptReason::Client => "you stopped it",
                };
                self.line(&format!("[interrupted: {by}; heard: {heard_text:?}]"))
            }
            ServerMessage::ToolCall { name, arguments, .. } => {
                self.line(&format!("[calls {name} {arguments}]"))
            }
            ServerMessage::ToolResult { name, summary, .. } => self.line(&format!("[{name}: {summary}]")),
            ServerMessage::TurnEnd { outcome: Outcome::Failed, .. } => self.line("[the turn failed]"),
            ServerMessage::Error { code, message, .. } => self.line(&format!("error: {message} ({code})")),
            _ => Ok(()),
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        // What the server sends must not become control characters of a terminal.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }
}

fn name_of(state: State) -> &'static str {
    match state {
        State::Listening => "listening",
        State::UserSpeaking => "you speak",
        State::Transcribing => "recognises",
        State::Thinking => "thinks",
        State::Speaking => "speaks",
        State::Rendering => "renders",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_a_line_for_its_call_and_one_for_its_result() {
        let mut out = Vec::new();
        let mut transcript = Transcript::new(&mut out);
        let (name, arguments) = ("now".to_owned(), "{}".to_owned());
        transcript.show(&ServerMessage::ToolCall { turn_id: 1, name: name.clone(), arguments }).unwrap();
        transcript.show(&ServerMessage::ToolResult { turn_id: 1, name, summary: "noon".into() }).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[calls now {}]\n[now: noon]\n");
    }

    #[test]
    fn nothing_of_the_server_controls_a_terminal() {
        let mut out = Vec::new();
        let message = ServerMessage::Error {
            code: "x".into(),
            message: "red \u{1b}[31m\nand a second line".into(),
            turn_id: None,
            fatal: false,
        };
        Transcript::new(&mut out).show(&message).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "error: red  [31m and a second line (x)\n");
    }
}
