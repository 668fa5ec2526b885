//! The settings of one conversation that its turn machine reads. Durations are in ms.

use serde::{Deserialize, Serialize};

use crate::config;

/// How the end of a user's turn is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnDetection {
    /// By silence of `hangover_ms`.
    Vad,
    /// A model judges each pause: finished, or more to come.
    Smart,
    /// The client says so (`commit`).
    Manual,
}

/// See the keys of the same names in `config.yml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TurnConfig {
    pub detection: TurnDetection,
    pub threshold: f32,
    pub negative_threshold: f32,
    pub min_speech_ms: u32,
    pub hangover_ms: u32,
    #[serde(default = "default_smart_pause_ms")]
    pub smart_pause_ms: u32,
    #[serde(default = "default_smart_limit_ms")]
    pub smart_limit_ms: u32,
    pub prefix_padding_ms: u32,
    pub max_utterance_s: u32,
    pub speculate_after_ms: u32,
    pub interim_ms: u32,
    pub min_interrupt_ms: u32,
    pub min_interrupt_words: u32,
    pub resume_false_interruption: bool,
    pub lead_ms: u32,
    pub chunk_ms: u32,
    pub first_segment_chars: usize,
    pub max_segment_chars: usize,
    pub tts_ahead_ms: u32,
    pub played_grace_ms: u32,
    pub max_reply_chars: usize,
    pub asr_timeout_ms: u32,
    pub llm_first_token_timeout_ms: u32,
    pub llm_token_timeout_ms: u32,
    pub tts_timeout_ms: u32,
    pub render_timeout_ms: u32,
    /// Replies are clips: no audio and no `response_text` is sent.
    pub clips: bool,
    /// Spoken when a stage fails; empty: nothing.
    pub apology: String,
    /// Spoken, one of them, when a tool takes longer than `filler_after_ms`; empty: nothing.
    #[serde(default)]
    pub filler: Vec<String>,
    #[serde(default)]
    pub filler_after_ms: u32,
    /// The slowest tool's.
    #[serde(default)]
    pub tool_timeout_ms: u32,
    /// What the user says is answered without being asked to.
    #[serde(default = "yes")]
    pub auto_reply: bool,
    /// The user's voice stops a reply; else the reply goes on, and what was said is answered behind it.
    #[serde(default = "yes")]
    pub interrupts: bool,
    /// What the user said before a reply that was dropped unheard is part of the next contribution.
    #[serde(default = "yes")]
    pub joins: bool,
    /// Replies are read, not heard.
    #[serde(default)]
    pub text_only: bool,
    /// A reply is made when nobody has said anything for so long since the last one; 0: never.
    #[serde(default)]
    pub idle_reply_ms: u32,
    /// For so many replies back the client may say how much of them was heard.
    #[serde(default)]
    pub amendable_replies: usize,
    /// LLM requests of one reply, at most; the last one is without tools.
    #[serde(default = "default_max_rounds")]
    pub max_rounds: u32,
}

/// For recordings from before pauses were judged.
fn default_smart_pause_ms() -> u32 {
    config::Vad::default().smart_pause_ms
}

fn default_smart_limit_ms() -> u32 {
    config::Vad::default().smart_limit_ms
}

/// For recordings from before there were tools.
fn default_max_rounds() -> u32 {
    config::Tools::default().max_rounds
}

/// For recordings from before clients could choose.
fn yes() -> bool {
    true
}

impl TurnConfig {
    /// What the operator configured. `clips`: a clip renderer is ready.
    pub fn new(config: &config::Config, clips: bool) -> TurnConfig {
        let (vad, asr, llm, turn) = (&config.vad, &config.asr, &config.llm, &config.turn);
        let tools = &config.tools;
        TurnConfig {
            detection: TurnDetection::Vad,
            threshold: vad.threshold,
            negative_threshold: vad.negative_threshold,
            min_speech_ms: vad.min_speech_ms,
            hangover_ms: vad.hangover_ms,
            smart_pause_ms: vad.smart_pause_ms,
            smart_limit_ms: vad.smart_limit_ms,
            prefix_padding_ms: vad.prefix_padding_ms,
            max_utterance_s: vad.max_utterance_s,
            speculate_after_ms: asr.speculate_after_ms,
            interim_ms: asr.interim_ms,
            min_interrupt_ms: turn.min_interrupt_ms,
            min_interrupt_words: turn.min_interrupt_words,
            resume_false_interruption: turn.resume_false_interruption,
            lead_ms: turn.lead_ms,
            chunk_ms: turn.chunk_ms,
            first_segment_chars: turn.first_segment_chars,
            max_segment_chars: turn.max_segment_chars,
            tts_ahead_ms: turn.tts_ahead_ms,
            played_grace_ms: turn.played_grace_ms,
            max_reply_chars: turn.max_reply_chars,
            asr_timeout_ms: asr.timeout_ms,
            llm_first_token_timeout_ms: llm.first_token_timeout_ms,
            llm_token_timeout_ms: llm.token_timeout_ms,
            tts_timeout_ms: config.tts.timeout_ms,
            render_timeout_ms: config.video.timeout_ms,
            clips,
            apology: config.persona.apology.clone(),
            filler: tools.filler.clone(),
            filler_after_ms: tools.filler_after_ms,
            tool_timeout_ms: tools.longest_timeout_ms(),
            auto_reply: true,
            interrupts: true,
            joins: true,
            text_only: false,
            idle_reply_ms: 0,
            amendable_replies: 0,
            max_rounds: tools.max_rounds,
        }
    }
}
