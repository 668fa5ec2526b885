//! The settings of one conversation: what the operator configured, and what its client changed.

use crate::config::{Config, Persona};
use crate::turn::config::{TurnConfig, TurnDetection};
use crate::turn::io::Fault;

/// The settings in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who the assistant is, and its voice.
    pub persona: Persona,
    /// ISO 639-1; `None`: the ASR engine's choice.
    pub language: Option<String>,
    /// What the turn machine reads.
    pub turn: TurnConfig,
}

/// A change, as a client asks for it: what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct SettingsPatch {
    pub system_prompt: Option<String>,
    pub facts: Option<Vec<String>>,
    pub voice: Option<String>,
    pub language: Option<String>,
    pub detection: Option<TurnDetection>,
    pub threshold: Option<f32>,
    pub hangover_ms: Option<u32>,
    pub prefix_padding_ms: Option<u32>,
    pub min_interrupt_ms: Option<u32>,
}

/// Longest text of a system prompt or a fact that a client may set, in characters.
const MAX_PROMPT_CHARS: usize = 32_000;
const MAX_FACTS: usize = 500;
const MAX_VOICE_CHARS: usize = 200;

impl Settings {
    /// What the operator configured. `clips`: a clip renderer is ready.
    pub fn new(config: &Config, persona: &Persona, clips: bool) -> Settings {
        let mut turn = TurnConfig::new(config, clips);
        turn.apology.clone_from(&persona.apology);
        Settings { persona: persona.clone(), language: None, turn }
    }

    /// The settings with `patch` applied; refused as a whole if any part of it is impossible.
    /// `voices`: those of the TTS engine; empty: only its server knows them.
    pub fn with(&self, patch: SettingsPatch, voices: &[String]) -> Result<Settings, Fault> {
        let mut new = self.clone();
        if let Some(prompt) = patch.system_prompt {
            check(prompt.chars().count() <= MAX_PROMPT_CHARS, || {
                format!("system_prompt: at most {MAX_PROMPT_CHARS} characters")
            })?;
            new.persona.system_prompt = prompt;
        }
        if let Some(facts) = patch.facts {
            let chars: usize = facts.iter().map(|fact| fact.chars().count()).sum();
            check(facts.len() <= MAX_FACTS && chars <= MAX_PROMPT_CHARS, || {
                format!("facts: at most {MAX_FACTS} of them, {MAX_PROMPT_CHARS} characters in all")
            })?;
            new.persona.facts = facts;
        }
        if let Some(voice) = patch.voice {
            check(!voice.trim().is_empty() && voice.chars().count() <= MAX_VOICE_CHARS, || {
                format!("voice: a name of 1 to {MAX_VOICE_CHARS} characters")
            })?;
            check(voices.is_empty() || voices.contains(&voice), || {
                format!("voice: there is no `{voice}`; there is {}", voices.join(", "))
            })?;
            new.persona.voice = Some(voice);
        }
        if let Some(language) = patch.language {
            let code = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
            check(code, || format!("language: `{language}` is no ISO 639-1 code such as `en`"))?;
            new.language = Some(language);
        }
        let turn = &mut new.turn;
        if let Some(detection) = patch.detection {
            turn.detection = detection;
        }
        if let Some(threshold) = patch.threshold {
            check((0.05..=0.95).contains(&threshold), || {
                format!("turn_detection.threshold: {threshold} is not within 0.05…0.95")
            })?;
            // The distance that the official iterator keeps, where there is room for it.
            turn.negative_threshold = (threshold - 0.15).max(0.01);
            turn.threshold = threshold;
        }
        set_within(&mut turn.hangover_ms, patch.hangover_ms, "turn_detection.hangover_ms", 100, 10_000)?;
        set_within(
            &mut turn.prefix_padding_ms,
            patch.prefix_padding_ms,
            "turn_detection.prefix_padding_ms",
            0,
            2_000,
        )?;
        set_within(&mut turn.min_interrupt_ms, patch.min_interrupt_ms, "min_interrupt_ms", 0, 5_000)?;
        Ok(new)
    }
}

fn set_within(field: &mut u32, value: Option<u32>, name: &str, min: u32, max: u32) -> Result<(), Fault> {
    if let Some(value) = value {
        check((min..=max).contains(&value), || format!("{name}: {value} is not within {min}…{max}"))?;
        *field = value;
    }
    Ok(())
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds {
        return Ok(());
    }
    Err(Fault { code: "bad_configure".to_owned(), message: message() })
}
