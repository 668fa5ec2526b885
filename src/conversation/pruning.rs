//! What old tool results say in a prompt: their summary instead of their content.
//!
//! In the prompt only, never in the log. The newest messages are left as they are, and nothing is done for
//! a saving that is not worth a prompt's changed beginning.

use super::history::{HistoryMessage, ToolNote};

/// `compaction.prune_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruning {
    /// Tokens that must be saved at least.
    pub min_savings: u64,
    /// Tokens at the end in which nothing is pruned.
    pub protected_tokens: u64,
}

/// The history with the content of old tool results taken out; `None`: it stays as it is. `tokens` counts
/// a text. Pruning what was pruned changes nothing.
pub fn pruned(
    history: &[HistoryMessage],
    limits: Pruning,
    tokens: &mut dyn FnMut(&str) -> u64,
) -> Option<Vec<HistoryMessage>> {
    let mut behind = 0;
    let mut old = history.len();
    while old > 0 && behind < limits.protected_tokens {
        behind += tokens(&history[old - 1].text);
        old -= 1;
    }
    let mut saved = 0;
    let mut pruned = history.to_vec();
    for message in &mut pruned[..old] {
        let Some(ToolNote::Result { summary, .. }) = &message.tool else { continue };
        let saves = tokens(&message.text).saturating_sub(tokens(summary));
        if saves > 0 {
            saved += saves;
            message.text.clone_from(summary);
        }
    }
    (saved > 0 && saved >= limits.min_savings).then_some(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::events::{Event, ToolResult, UserMessage};
    use crate::conversation::history::apply;

    fn words(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    fn history(parts: &[(&str, &str)]) -> Vec<HistoryMessage> {
        let mut history = vec![];
        for (turn, (said, found)) in (1..).zip(parts) {
            let said = Event::UserMessage(UserMessage { turn, text: (*said).into(), typed: false });
            apply(&mut history, &said, 0);
            let found = Event::ToolResult(ToolResult {
                turn,
                id: "a".into(),
                name: "look".into(),
                content: (*found).into(),
                summary: "in short".into(),
                failed: false,
            });
            apply(&mut history, &found, 0);
        }
        history
    }

    fn texts(history: &[HistoryMessage]) -> Vec<&str> {
        history.iter().map(|message| message.text.as_str()).collect()
    }

    #[test]
    fn old_results_keep_their_summary_and_new_ones_everything() {
        let history = history(&[("one", "a b c d e f"), ("two", "g h i j k l"), ("three", "m n o p q r")]);
        let prune = |min_savings, protected_tokens| {
            pruned(&history, Pruning { min_savings, protected_tokens }, &mut words)
        };
        let both = prune(8, 7).expect("two results are outside the last seven tokens");
        assert_eq!(texts(&both), ["one", "in short", "two", "in short", "three", "m n o p q r"]);
        assert_eq!(prune(9, 7), None, "eight tokens are not nine");
        let one = prune(1, 8).expect("one result is outside");
        assert_eq!(texts(&one), ["one", "in short", "two", "g h i j k l", "three", "m n o p q r"]);
        assert_eq!(prune(1, 100), None);
        assert_eq!(pruned(&both, Pruning { min_savings: 0, protected_tokens: 7 }, &mut words), None);
    }

    #[test]
    fn a_result_that_is_shorter_than_its_summary_stays() {
        let history = history(&[("one", "x"), ("two", "y")]);
        assert_eq!(pruned(&history, Pruning { min_savings: 0, protected_tokens: 0 }, &mut words), None);
    }
}
