//! The default of every key, as `config.yml` shows them (a test compares the two).

use std::path::PathBuf;

use super::*;

impl Default for Config {
    fn default() -> Self {
        Config {
            server: Server::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            store: Store::default(),
            vad: Vad::default(),
            asr: Asr::default(),
            llm: Llm::default(),
            tts: Tts::default(),
            video: Video::default(),
            persona: Persona::default(),
            agents: Agents::new(),
            markdown: Markdown::default(),
            tools: Tools::default(),
            compaction: Compaction::default(),
            memory: Memory::default(),
            turn: Turn::default(),
            limits: Limits::default(),
            models: Models::default(),
            log: Log::default(),
            scripted: Scripted::default(),
            record_audio: RecordAudio::default(),
            record: false,
            record_dir: "data/recordings".into(),
        }
    }
}

impl Default for RecordAudio {
    fn default() -> Self {
        RecordAudio { enabled: false, dir: "data/audio".into(), retention_days: 30 }
    }
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: 8080,
            allowed_hosts: vec![],
            allowed_origins: vec![],
            executor_threads: 0,
            drain_ms: 10_000,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store { url: "sqlite://data/vivavoce.sqlite".into() }
    }
}

impl Default for Vad {
    fn default() -> Self {
        Vad {
            engine: "auto".into(),
            threshold: 0.5,
            negative_threshold: 0.35,
            min_speech_ms: 120,
            hangover_ms: 500,
            prefix_padding_ms: 300,
            turn_detection: "auto".into(),
            smart_pause_ms: 200,
            smart_limit_ms: 2_000,
            smart_turn_model: "auto".into(),
            denoise: false,
            max_utterance_s: 30,
            workers: 1,
        }
    }
}

impl Default for Asr {
    fn default() -> Self {
        Asr {
            engine: "auto".into(),
            workers: 2,
            speculate_after_ms: 96,
            interim_ms: 0,
            timeout_ms: 20_000,
            pocketsphinx_model_dir: "/usr/share/pocketsphinx/model/en-us".into(),
            pocketsphinx_domain_weight: 0.3,
            whisper: WhisperAsr::default(),
            openai: OpenAiAsr::default(),
            qwen3_asr: Qwen3Asr::default(),
        }
    }
}

impl Default for Qwen3Asr {
    fn default() -> Self {
        Qwen3Asr { model: "auto".into(), quantize: true, threads: 0, context_tokens: 256 }
    }
}

impl Default for WhisperAsr {
    fn default() -> Self {
        WhisperAsr {
            model: "auto".into(),
            window: WhisperWindow::Short,
            weights: WhisperWeights::Int8,
            threads: 0,
            fallbacks: 2,
            expect_names: true,
            prompt: String::new(),
        }
    }
}

impl Default for Llm {
    fn default() -> Self {
        Llm {
            engine: "auto".into(),
            workers: 0,
            url: "http://127.0.0.1:1234/v1".into(),
            model: String::new(),
            api_key_env: "OPENAI_API_KEY".into(),
            max_new_tokens: 512,
            temperature: None,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: None,
            seed: None,
            stop: vec![],
            connect_timeout_ms: 3_000,
            first_token_timeout_ms: 20_000,
            token_timeout_ms: 10_000,
            retries: 2,
            history_messages: 40,
            local: LocalLlm::default(),
        }
    }
}

impl Default for LocalLlm {
    fn default() -> Self {
        LocalLlm {
            model: "auto".into(),
            device: "auto".into(),
            threads: 0,
            context_tokens: 4096,
            cache_mb: 1024,
            step_ms: 100,
            quantize: true,
        }
    }
}

impl Default for Tts {
    fn default() -> Self {
        Tts {
            engine: "auto".into(),
            workers: 2,
            timeout_ms: 10_000,
            kokoro: KokoroTts::default(),
            openai: OpenAiTts::default(),
        }
    }
}

impl Default for KokoroTts {
    fn default() -> Self {
        KokoroTts {
            model: "auto".into(),
            voice: "af_heart".into(),
            speed: 1.0,
            threads: 2,
            early_audio: true,
            lexicons: PathBuf::new(),
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            min_interrupt_ms: 300,
            min_interrupt_words: 0,
            resume_false_interruption: true,
            lead_ms: 400,
            chunk_ms: 40,
            first_segment_chars: 40,
            max_segment_chars: 200,
            tts_ahead_ms: 3_000,
            played_grace_ms: 1_000,
            max_reply_chars: 8_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions: 64,
            sessions_per_address: 0,
            sessions_per_token: 0,
            connections: 1_024,
            connections_per_address: 0,
            requests_per_minute: 1_200,
            audio_seconds_per_hour: 0,
            upload_bytes: 25 << 20,
            uploads: 8,
            request_head_s: 20,
            request_body_s: 120,
            message_bytes: 1 << 20,
            messages_per_second: 200,
            audio_speed: 2.0,
            bad_messages: 20,
            outbound_messages: 256,
            idle_timeout_s: 300,
            session_max_s: 7_200,
            ping_s: 20,
            resume_grace_ms: 15_000,
        }
    }
}

impl Default for Video {
    fn default() -> Self {
        Video { enabled: false, engine: "auto".into(), timeout_ms: 60_000 }
    }
}

impl Default for Models {
    fn default() -> Self {
        Models { dir: "models".into(), cache: PathBuf::new(), offline: false, onnxruntime: PathBuf::new() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: "info".into(), json: false, transcripts: false }
    }
}

impl Default for Scripted {
    fn default() -> Self {
        Scripted {
            asr_delay_ms: 0,
            transcripts: vec!["scripted words".into()],
            judgements: vec![1.0],
            llm_first_token_ms: 0,
            llm_token_ms: 0,
            replies: vec!["This is a scripted reply. It has two sentences.".into()],
            tts_delay_ms: 0,
            tts_ms_per_char: 60,
            clip_delay_ms: 0,
            failures: vec![],
        }
    }
}
