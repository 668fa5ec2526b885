//! `persona.*`: who the server is, and the system prompt that follows from it.

use serde::{Deserialize, Serialize};

/// `persona.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Persona {
    /// What it calls itself.
    pub name: String,
    /// How it behaves.
    pub system_prompt: String,
    /// What it knows: one sentence each.
    pub facts: Vec<String>,
    /// Spoken first, if set.
    pub greeting: Option<String>,
    /// Voice of the TTS engine.
    pub voice: Option<String>,
    /// Spoken when a stage fails; empty: nothing.
    pub apology: String,
}

impl Default for Persona {
    fn default() -> Self {
        Persona {
            name: "Vivavoce".into(),
            system_prompt: "You are {name}, a friendly assistant that people talk with by voice. Answer in \
                            one to three short spoken sentences, without lists, markdown or emoji."
                .into(),
            facts: vec![],
            greeting: None,
            voice: None,
            apology: "Sorry, something went wrong. Please try again.".into(),
        }
    }
}

impl Persona {
    /// The system prompt: `system_prompt` with `{name}` filled in, then, if there are any facts, an
    /// empty line, `What you know:` and the facts in their order, each closed as a sentence. The form
    /// is fixed, so that equal settings give equal prompts and a cached prefix stays valid.
    pub fn prompt(&self) -> String {
        let mut prompt = self.fill(&self.system_prompt);
        let facts: Vec<String> =
            self.facts.iter().map(|fact| as_sentence(&self.fill(fact))).filter(|f| !f.is_empty()).collect();
        if !facts.is_empty() {
            if !prompt.is_empty() {
                prompt.push_str("\n\n");
            }
            prompt.push_str("What you know: ");
            prompt.push_str(&facts.join(" "));
        }
        prompt
    }

    /// The greeting with `{name}` filled in, if one is to be spoken.
    pub fn greeting_text(&self) -> Option<String> {
        self.greeting.as_deref().map(|greeting| self.fill(greeting)).filter(|text| !text.is_empty())
    }

    fn fill(&self, text: &str) -> String {
        text.trim().replace("{name}", &self.name)
    }
}

/// Closes `text` with a full stop unless it ends like a sentence already.
fn as_sentence(text: &str) -> String {
    let text = text.trim();
    let unquoted = text.trim_end_matches(['"', '\'', '”', '’', ')', ']']);
    if text.is_empty() || unquoted.ends_with(['.', '!', '?', '…', '。', '！', '？']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}
