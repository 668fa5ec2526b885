//! The language model of a server that has none: says what it heard. Plainly named `echo` wherever
//! an engine is named, so that nobody takes it for a model.

use std::ops::ControlFlow;

use super::scripted::{last_user_words, tokens};
use super::{CancelToken, EngineError, Llm, LlmEvent, LlmRequest, LlmState, Usage, forbid_executor_thread};

/// The name in `config.yml`.
pub const NAME: &str = "echo";

/// Ends of a sentence that are kept; words without one get a full stop.
const SENTENCE_ENDS: [char; 7] = ['.', '!', '?', '…', '。', '！', '？'];

/// Answers "I heard: …" with the user's last words, a word at a time.
#[derive(Debug, Default)]
pub struct Echo;

impl Llm for Echo {
    fn generate(
        &mut self,
        request: &LlmRequest,
        _state: &mut LlmState,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(LlmEvent) -> ControlFlow<()>,
    ) -> Result<Usage, EngineError> {
        forbid_executor_thread("echo llm");
        let mut usage = Usage::default();
        for token in tokens(&reply(last_user_words(&request.messages))) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            if usage.output_tokens >= request.max_new_tokens {
                break;
            }
            usage.output_tokens += 1;
            if sink(LlmEvent::Text(token.to_owned())).is_break() {
                break;
            }
        }
        Ok(usage)
    }
}

fn reply(heard: &str) -> String {
    match heard.trim() {
        "" => "I heard nothing.".to_owned(),
        heard if heard.ends_with(SENTENCE_ENDS) => format!("I heard: {heard}"),
        heard => format!("I heard: {heard}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::{ChatMessage, Role};

    fn echo(messages: &[(Role, &str)], max_new_tokens: u32, cancel: &CancelToken) -> Vec<String> {
        let messages = messages.iter().map(|&(role, content)| ChatMessage::new(role, content));
        let request = LlmRequest { messages: messages.collect(), max_new_tokens, ..LlmRequest::default() };
        let mut pieces = vec![];
        let result = Echo.generate(&request, &mut LlmState::default(), cancel, &mut |event| {
            match event {
                LlmEvent::Text(text) => pieces.push(text),
                LlmEvent::Thought(_) | LlmEvent::ToolCall(_) => panic!("echo neither thinks nor calls tools"),
            }
            ControlFlow::Continue(())
        });
        assert_eq!(result.is_err(), cancel.is_cancelled());
        pieces
    }

    #[test]
    fn the_last_words_of_the_user_come_back_word_by_word() {
        let said = [(Role::User, "old"), (Role::User, "good day"), (Role::Assistant, "not these")];
        assert_eq!(echo(&said, 100, &CancelToken::new()), ["I ", "heard: ", "good ", "day."]);
        assert_eq!(echo(&said, 2, &CancelToken::new()), ["I ", "heard: "]);
    }

    #[test]
    fn a_sentence_ends_once() {
        let heard = |words| echo(&[(Role::User, words)], 100, &CancelToken::new()).concat();
        assert_eq!(heard("really?"), "I heard: really?");
        assert_eq!(heard(" fine. "), "I heard: fine.");
        assert_eq!(heard(" "), "I heard nothing.");
    }

    #[test]
    fn a_set_token_stops_it() {
        let cancel = CancelToken::new();
        cancel.cancel();
        assert_eq!(echo(&[(Role::User, "x")], 100, &cancel), Vec::<String>::new());
    }
}
