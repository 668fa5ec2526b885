//! `asr.openai.*` and `tts.openai.*`: recognition and speech by OpenAI-compatible servers.

use serde::{Deserialize, Serialize};

use super::validate::{Check, WAIT_MS, is_http_url, is_variable_name};

/// A server with `/audio/transcriptions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiAsr {
    /// Base URL, with its `/v1`.
    pub url: String,
    /// Name of the model.
    pub model: String,
    /// Environment variable with the bearer key.
    pub api_key_env: String,
    /// Tell the server the persona's name and facts, so that it knows their words.
    pub prompt: bool,
    /// Time to connect.
    pub connect_timeout_ms: u32,
    /// Tries again if there was no answer.
    pub retries: u32,
}

/// A server with `/audio/speech`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiTts {
    /// Base URL, with its `/v1`.
    pub url: String,
    /// Name of the model.
    pub model: String,
    /// The voice where `persona.voice` names none.
    pub voice: String,
    /// 1: as the voice speaks by itself.
    pub speed: f32,
    /// Rate of PCM that comes without a word about its rate.
    pub sample_rate_hz: u32,
    /// Environment variable with the bearer key.
    pub api_key_env: String,
    /// Time to connect.
    pub connect_timeout_ms: u32,
    /// Tries again before the first audio, never after it.
    pub retries: u32,
}

impl Default for OpenAiAsr {
    fn default() -> Self {
        OpenAiAsr {
            url: "http://127.0.0.1:8000/v1".into(),
            model: "whisper-1".into(),
            api_key_env: "OPENAI_API_KEY".into(),
            prompt: true,
            connect_timeout_ms: 3_000,
            retries: 2,
        }
    }
}

impl Default for OpenAiTts {
    fn default() -> Self {
        OpenAiTts {
            url: "http://127.0.0.1:8880/v1".into(),
            model: "tts-1".into(),
            voice: "alloy".into(),
            speed: 1.0,
            sample_rate_hz: 24_000,
            api_key_env: "OPENAI_API_KEY".into(),
            connect_timeout_ms: 3_000,
            retries: 2,
        }
    }
}

impl Check {
    pub(super) fn openai_asr(&mut self, openai: &OpenAiAsr) {
        self.server_of("asr.openai.url", &openai.url, "asr.openai.api_key_env", &openai.api_key_env);
        self.holds(!openai.model.trim().is_empty(), "asr.openai.model", &openai.model, "a name");
        self.range("asr.openai.connect_timeout_ms", openai.connect_timeout_ms, WAIT_MS);
        self.range("asr.openai.retries", openai.retries, 0..=10);
    }

    pub(super) fn openai_tts(&mut self, openai: &OpenAiTts) {
        self.server_of("tts.openai.url", &openai.url, "tts.openai.api_key_env", &openai.api_key_env);
        self.holds(!openai.model.trim().is_empty(), "tts.openai.model", &openai.model, "a name");
        self.holds(!openai.voice.trim().is_empty(), "tts.openai.voice", &openai.voice, "a name");
        self.range("tts.openai.speed", openai.speed, 0.25..=4.0);
        self.range("tts.openai.sample_rate_hz", openai.sample_rate_hz, 8_000..=192_000);
        self.range("tts.openai.connect_timeout_ms", openai.connect_timeout_ms, WAIT_MS);
        self.range("tts.openai.retries", openai.retries, 0..=10);
    }

    /// The address of a server and the name of the variable with its key, neither with a secret in it.
    pub(super) fn server_of(
        &mut self,
        url_key: &'static str,
        url: &str,
        key_key: &'static str,
        api_key_env: &str,
    ) {
        if url.contains('@') {
            // Not shown: there is a password in it.
            self.refuse(url_key, format!("must hold no user and password; use {key_key}"));
        } else {
            let allowed = "http:// or https://, a host, and the path";
            self.holds(is_http_url(url), url_key, url, allowed);
        }
        if !is_variable_name(api_key_env) {
            // What stands there may well be the key itself.
            let message = "not the name of an environment variable; the key itself does not belong here";
            self.refuse(key_key, message.into());
        }
    }
}
