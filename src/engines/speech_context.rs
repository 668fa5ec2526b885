//! What recognisers may know of a conversation before they hear it.

use crate::config::Persona;

/// What a conversation is about: words that are likely in it. Belongs to the settings of a session and
/// changes with them; equal contents are an equal context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SpeechContext {
    /// What the assistant calls itself.
    pub name: String,
    /// What it was told to be.
    pub system_prompt: String,
    /// What it knows: one sentence each.
    pub facts: Vec<String>,
}

impl SpeechContext {
    /// The context of everybody who talks with this persona.
    pub fn of(persona: &Persona) -> SpeechContext {
        let fill = |text: &String| text.replace("{name}", &persona.name);
        SpeechContext {
            name: persona.name.clone(),
            system_prompt: fill(&persona.system_prompt),
            facts: persona.facts.iter().map(fill).collect(),
        }
    }
}
