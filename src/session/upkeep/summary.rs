//! Who writes the summary of a compaction.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::asking::Worker;
use super::tokens::Counter;
use crate::config::Compaction;
use crate::conversation::history::HistoryMessage;
use crate::conversation::{compaction, extractive};
use crate::engines::{CancelToken, Engines, ToolSpec};
use crate::turn::io::Fault;

const TOOL: &str = "write_summary";

#[derive(Deserialize)]
struct Written {
    text: String,
}

/// Writes a summary of what is no longer kept word for word.
///
/// # Errors
/// The model's, or there is nothing to be said.
pub async fn summarise(
    engines: Arc<Engines>,
    config: Compaction,
    summarised: Vec<HistoryMessage>,
    cancel: CancelToken,
) -> Result<String, Fault> {
    // Counting takes a while where there is much, and this is an executor's thread.
    let (shown, target) = (config.worker_context_max_tokens, config.summary_target_tokens);
    let count = Arc::clone(&engines.count_tokens);
    let by_rule = super::by_rule(&config.method, &engines);
    let prepared = tokio::task::spawn_blocking(move || {
        let mut counter = Counter::new(count);
        let mut tokens = |text: &str| counter.of(text);
        if by_rule {
            let earlier = summarised.iter().rev().find_map(compaction::summary_in);
            extractive::summary(&summarised, earlier, target, &mut tokens)
        } else {
            compaction::overview(&summarised, shown, &mut tokens)
        }
    });
    let prepared = prepared.await.map_err(|error| Fault {
        code: "upkeep_failed".to_owned(),
        message: format!("the conversation could not be read over: {error}"),
    })?;
    if by_rule {
        return Ok(prepared);
    }
    let most = config.summary_max_tokens;
    let worker = Worker {
        engines: &engines,
        tool: tool(),
        max_turns: config.worker_max_turns,
        // The call around the text takes some, too.
        max_new_tokens: u32::try_from(most.saturating_mul(2)).unwrap_or(u32::MAX),
        timeout: Duration::from_millis(config.timeout_ms.into()),
        cancel: &cancel,
    };
    let mut counter = Counter::new(Arc::clone(&engines.count_tokens));
    worker
        .ask(&instructions(&config), prepared, |arguments| {
            let Written { text } = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
            let (text, tokens) = (text.trim().to_owned(), counter.of(text.trim()));
            match () {
                () if text.is_empty() => Err("text: it is empty".to_owned()),
                () if tokens > most => {
                    Err(format!("text: it has about {tokens} tokens; write at most {most}, better {target}"))
                }
                () => Ok(text),
            }
        })
        .await
}

fn tool() -> ToolSpec {
    ToolSpec {
        name: TOOL.to_owned(),
        description: "Takes the summary. Called again, it takes the new one instead.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": { "text": { "type": "string" } },
            "required": ["text"],
            "additionalProperties": false,
        }),
    }
}

fn instructions(config: &Compaction) -> String {
    format!(
        "You keep the minutes of a conversation between a user and an assistant. The assistant will go on with \
         it and will know of the past only what you write down. Call {TOOL} with a summary of about {} tokens \
         (at most {}), in the language of the conversation, with these sections, leaving out what is empty:\n\
         Done: what was finished, and what came of it.\n\
         Active: what is being worked on or waited for.\n\
         Decisions: what was settled, and why.\n\
         Directives: what the user wants or forbids, in the user's own words.\n\
         Facts: names, numbers, places and dates that were told.\n\
         Just now: what the last words were about.\n\
         Write only what is in the conversation.",
        config.summary_target_tokens, config.summary_max_tokens
    )
}
