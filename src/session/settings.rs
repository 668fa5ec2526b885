//! The settings of one conversation: what the operator configured, and what its client changed.

use crate::config::{Config, Persona};
use crate::engines::{Calls, Engines, ToolSpec};
use crate::turn::config::{TurnConfig, TurnDetection};
use crate::turn::io::Fault;

/// What the engines at work can do for a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Offers<'a> {
    /// A clip renderer is ready.
    pub clips: bool,
    /// There is an end-of-turn model.
    pub judges_turns: bool,
    /// Voices of the TTS engine; empty: only its server knows them.
    pub voices: &'a [String],
}

impl<'a> Offers<'a> {
    /// Those of these engines.
    pub fn of(engines: &'a Engines) -> Offers<'a> {
        let (clips, judges_turns) = (engines.clip.is_some(), engines.turn.is_some());
        Offers { clips, judges_turns, voices: &engines.voices }
    }
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who the assistant is, and its voice.
    pub persona: Persona,
    /// ISO 639-1; `None`: the ASR engine's choice.
    pub language: Option<String>,
    /// What the turn machine reads.
    pub turn: TurnConfig,
    /// Tools that the client runs.
    pub tools: Vec<ToolSpec>,
    /// Whether the language model calls tools.
    pub calls: Calls,
    /// A reply's length; `None`: `llm.max_new_tokens`.
    pub max_new_tokens: Option<u32>,
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
    pub smart_limit_ms: Option<u32>,
    pub auto_reply: Option<bool>,
    pub interrupts: Option<bool>,
    pub text_only: Option<bool>,
    /// 0: no such replies.
    pub idle_reply_ms: Option<u32>,
    pub tools: Option<Vec<ToolSpec>>,
    pub calls: Option<Calls>,
    /// `Some(None)`: the operator's.
    pub max_new_tokens: Option<Option<u32>>,
}

/// Longest text of a system prompt or a fact that a client may set, in characters.
const MAX_PROMPT_CHARS: usize = 32_000;
const MAX_FACTS: usize = 500;
const MAX_VOICE_CHARS: usize = 200;

impl Settings {
    /// What the operator configured, as far as the engines can do it.
    pub fn new(config: &Config, persona: &Persona, offers: &Offers<'_>) -> Settings {
        let mut turn = TurnConfig::new(config, offers.clips);
        turn.apology.clone_from(&persona.apology);
        if offers.judges_turns && config.vad.turn_detection != "vad" {
            turn.detection = TurnDetection::Smart;
        }
        let persona = persona.clone();
        Settings { persona, language: None, turn, tools: Vec::new(), calls: Calls::May, max_new_tokens: None }
    }

    /// The settings with `patch` applied; refused as a whole if any part of it is impossible.
    pub fn with(&self, patch: SettingsPatch, offers: &Offers<'_>) -> Result<Settings, Fault> {
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
            let voices = offers.voices;
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
            check(detection != TurnDetection::Smart || offers.judges_turns, || {
                "turn_detection.mode: this server has no end-of-turn model for `smart`; use `vad` or `manual`"
                    .to_owned()
            })?;
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
        set_within(&mut turn.smart_limit_ms, patch.smart_limit_ms, "smart_limit_ms", 100, 30_000)?;
        set_within(&mut turn.idle_reply_ms, patch.idle_reply_ms, "idle_reply_ms", 0, 3_600_000)?;
        turn.auto_reply = patch.auto_reply.unwrap_or(turn.auto_reply);
        turn.interrupts = patch.interrupts.unwrap_or(turn.interrupts);
        turn.text_only = patch.text_only.unwrap_or(turn.text_only);
        new.tools = patch.tools.unwrap_or(new.tools);
        new.calls = patch.calls.unwrap_or(new.calls);
        new.max_new_tokens = patch.max_new_tokens.unwrap_or(new.max_new_tokens);
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Offers<'static> = Offers { clips: false, judges_turns: false, voices: &[] };

    fn settings(mode: &str, offers: &Offers<'_>) -> Settings {
        let mut config = Config::default();
        config.vad.turn_detection = mode.to_owned();
        Settings::new(&config, &config.persona, offers)
    }

    #[test]
    fn pauses_are_judged_where_a_model_can_and_the_operator_does_not_mind() {
        let judges = Offers { judges_turns: true, ..NOTHING };
        assert_eq!(settings("auto", &NOTHING).turn.detection, TurnDetection::Vad);
        assert_eq!(settings("auto", &judges).turn.detection, TurnDetection::Smart);
        assert_eq!(settings("smart", &judges).turn.detection, TurnDetection::Smart);
        assert_eq!(settings("vad", &judges).turn.detection, TurnDetection::Vad);
    }

    #[test]
    fn a_client_gets_smart_only_where_there_is_a_model() {
        let patch = || SettingsPatch { detection: Some(TurnDetection::Smart), ..SettingsPatch::default() };
        let fault = settings("auto", &NOTHING).with(patch(), &NOTHING).unwrap_err();
        assert_eq!(fault.code, "bad_configure");
        assert!(fault.message.contains("turn_detection.mode"), "{}", fault.message);
        let judges = Offers { judges_turns: true, ..NOTHING };
        let new = settings("vad", &judges).with(patch(), &judges).unwrap();
        assert_eq!(new.turn.detection, TurnDetection::Smart);
    }

    #[test]
    fn a_voice_is_one_of_the_engines_or_any_where_only_its_server_knows() {
        let voice = |voice: &str| SettingsPatch { voice: Some(voice.to_owned()), ..SettingsPatch::default() };
        let voices = ["slt".to_owned()];
        let flite = Offers { voices: &voices, ..NOTHING };
        let settings = settings("auto", &NOTHING);
        assert_eq!(settings.with(voice("slt"), &flite).unwrap().persona.voice.as_deref(), Some("slt"));
        assert!(settings.with(voice("nova"), &flite).unwrap_err().message.contains("there is slt"));
        assert_eq!(settings.with(voice("nova"), &NOTHING).unwrap().persona.voice.as_deref(), Some("nova"));
        for bad in ["", " ", &"x".repeat(201)] {
            assert_eq!(settings.with(voice(bad), &NOTHING).unwrap_err().code, "bad_configure");
        }
    }
}
