//! Bad values of the keys of neural and remote speech engines.

use expect_test::expect;

use super::{check, parse};

#[test]
fn impossible_values_of_recognisers_are_refused() {
    check(
        &[
            "asr: {whisper: {model: ''}}\n",
            "asr: {whisper: {threads: 300}}\n",
            "asr: {whisper: {fallbacks: 9}}\n",
            "asr: {whisper: {window: medium}}\n",
            "asr: {whisper: {weights: int4}}\n",
            "asr: {qwen3_asr: {model: ' '}}\n",
            "asr: {qwen3_asr: {context_tokens: 9999}}\n",
            "asr: {openai: {url: 'ftp://host/v1'}}\n",
            "asr: {openai: {url: 'https://me:secret@host/v1'}}\n",
            "asr: {openai: {api_key_env: 'sk-1234'}}\n",
            "asr: {openai: {model: ' '}}\n",
            "asr: {openai: {connect_timeout_ms: 0}}\n",
            "asr: {openai: {retries: 11}}\n",
            "asr: {openai: {voice: alloy}}\n",
        ],
        expect![[r#"

            config.yml:1: asr.whisper.model: "" is not allowed; must be auto, the name of a model or a folder
            config.yml:1: asr.whisper.threads: 300 is not allowed; must be from 0 to 256
            config.yml:1: asr.whisper.fallbacks: 9 is not allowed; must be from 0 to 5
            config.yml:1: asr.whisper.window: expected short or full, found the text "medium"
            config.yml:1: asr.whisper.weights: expected int8 or f32, found the text "int4"
            config.yml:1: asr.qwen3_asr.model: " " is not allowed; must be auto, the name of a model or a folder
            config.yml:1: asr.qwen3_asr.context_tokens: 9999 is not allowed; must be from 0 to 4096
            config.yml:1: asr.openai.url: "ftp://host/v1" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: asr.openai.url: must hold no user and password; use asr.openai.api_key_env
            config.yml:1: asr.openai.api_key_env: not the name of an environment variable; the key itself does not belong here
            config.yml:1: asr.openai.model: " " is not allowed; must be a name
            config.yml:1: asr.openai.connect_timeout_ms: 0 is not allowed; must be from 1 to 600000
            config.yml:1: asr.openai.retries: 11 is not allowed; must be from 0 to 10
            config.yml:1: asr.openai.voice: unknown key; the nearest valid one is tts.openai.voice
        "#]],
    );
    let long = format!("asr: {{whisper: {{prompt: {}}}}}\n", "a".repeat(1_001));
    assert!(parse(&long).unwrap_err().to_string().ends_with("must be at most 1000 characters"));
}

#[test]
fn impossible_values_of_voices_are_refused() {
    check(
        &[
            "tts: {kokoro: {model: ''}}\n",
            "tts: {kokoro: {voice: ' '}}\n",
            "tts: {kokoro: {speed: 3}}\n",
            "tts: {kokoro: {threads: 0}}\n",
            "tts: {openai: {url: localhost}}\n",
            "tts: {openai: {api_key_env: 'my key'}}\n",
            "tts: {openai: {voice: ''}}\n",
            "tts: {openai: {speed: 5}}\n",
            "tts: {openai: {sample_rate_hz: 4000}}\n",
        ],
        expect![[r#"

            config.yml:1: tts.kokoro.model: "" is not allowed; must be auto, the name of a pulled model, or the path of a file or a folder
            config.yml:1: tts.kokoro.voice: " " is not allowed; must be the name of a voice
            config.yml:1: tts.kokoro.speed: 3 is not allowed; must be from 0.5 to 2
            config.yml:1: tts.kokoro.threads: 0 is not allowed; must be from 1 to 256
            config.yml:1: tts.openai.url: "localhost" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: tts.openai.api_key_env: not the name of an environment variable; the key itself does not belong here
            config.yml:1: tts.openai.voice: "" is not allowed; must be a name
            config.yml:1: tts.openai.speed: 5 is not allowed; must be from 0.25 to 4
            config.yml:1: tts.openai.sample_rate_hz: 4000 is not allowed; must be from 8000 to 192000
        "#]],
    );
}

#[test]
fn impossible_values_of_endpointing_and_noise_are_refused() {
    check(
        &[
            "vad: {turn_detection: semantic}\n",
            "vad: {smart_pause_ms: 5}\n",
            "vad: {smart_limit_ms: 100000}\n",
            "vad: {turn_detection: smart, smart_pause_ms: 600}\n",
            "vad: {smart_turn_model: ''}\n",
            "vad: {denoise: loud}\n",
        ],
        expect![[r#"

            config.yml:1: vad.turn_detection: "semantic" is not allowed; must be one of auto, vad, smart
            config.yml:1: vad.smart_pause_ms: 5 is not allowed; must be from 32 to 10000
            config.yml:1: vad.smart_limit_ms: 100000 is not allowed; must be from 32 to 60000
            config.yml:1: vad.hangover_ms: 500 is not allowed; must be at least vad.smart_pause_ms (600)
            config.yml:1: vad.smart_turn_model: "" is not allowed; must be auto, the name of a pulled model, or the path of an ONNX file
            config.yml:1: vad.denoise: expected true or false, found the text "loud"
        "#]],
    );
}
