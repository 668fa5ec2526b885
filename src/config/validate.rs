//! Which values can be: ranges, names, and keys that depend on each other. The one list of them.

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{
    Asr, Config, Limits, Llm, LocalLlm, Log, Models, Persona, Scripted, Server, Store, Tls, TlsMode, Tts,
    Turn, Vad, Video,
};

/// Valid values of `vad.engine`.
pub const VAD_ENGINES: &[&str] = &["auto", "silero", "scripted"];
/// Valid values of `vad.turn_detection`.
pub const TURN_DETECTIONS: &[&str] = &["auto", "vad", "smart"];
/// Valid values of `asr.engine`.
pub const ASR_ENGINES: &[&str] = &["auto", "qwen3-asr", "whisper", "pocketsphinx", "openai", "scripted"];
/// Valid values of `llm.engine`.
pub const LLM_ENGINES: &[&str] = &["auto", "local", "openai", "echo", "scripted"];
/// Valid values of `llm.local.device`.
pub const LLM_DEVICES: &[&str] = &["auto", "cpu", "cuda"];
/// Valid values of `tts.engine`.
pub const TTS_ENGINES: &[&str] = &["auto", "kokoro", "flite", "openai", "scripted"];
/// Valid values of `video.engine`.
pub const VIDEO_ENGINES: &[&str] = &["auto", "scripted"];

/// What `store.url` may be.
const STORE_URLS: &str = "use sqlite:// and the path of a file, or postgres:// and a database";

/// Durations that somebody waits for: up to ten minutes.
pub(super) const WAIT_MS: RangeInclusive<u32> = 1..=600_000;
/// Worker threads of a pool.
const WORKERS: RangeInclusive<usize> = 1..=256;

/// A value that cannot be.
pub(super) struct Finding {
    /// The key, then those that it depends on. Never empty.
    pub(super) keys: Vec<Cow<'static, str>>,
    pub(super) message: String,
}

/// Everything in `config` that cannot be, in the order of the keys.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut check = Check(Vec::new());
    check.server(&config.server);
    check.tls(&config.tls);
    check.store(&config.store);
    check.vad(&config.vad);
    check.asr(&config.asr);
    check.llm(&config.llm);
    check.tts(&config.tts);
    check.video(&config.video);
    check.persona(&config.persona);
    check.agents(config);
    check.markdown(config);
    check.tools(&config.tools);
    check.compaction(&config.compaction);
    check.memory(&config.memory);
    check.turn(&config.turn);
    check.limits(&config.limits, &config.turn);
    check.models(&config.models);
    check.log(&config.log);
    check.scripted(&config.scripted);
    check.folder("record_audio.dir", &config.record_audio.dir);
    check.range("record_audio.retention_days", config.record_audio.retention_days, 1..=36_500);
    check.folder("record_dir", &config.record_dir);
    check.0
}

pub(super) struct Check(pub(super) Vec<Finding>);

impl Check {
    fn server(&mut self, server: &Server) {
        let name = "an IP address or a host name, without scheme, port and path";
        self.holds(is_host(&server.host), "server.host", &server.host, name);
        for host in &server.allowed_hosts {
            self.holds(is_host(host), "server.allowed_hosts", host, name);
        }
        for origin in &server.allowed_origins {
            let allowed = "a scheme, a host and, if need be, a port: https://app.example.org";
            self.holds(is_origin(origin), "server.allowed_origins", origin, allowed);
        }
        self.range("server.executor_threads", server.executor_threads, 0..=1_024);
        self.range("server.drain_ms", server.drain_ms, 0..=600_000);
    }

    fn tls(&mut self, tls: &Tls) {
        let files = [("tls.cert", &tls.cert), ("tls.key", &tls.key)];
        for (key, path) in files {
            match (tls.mode, path.as_os_str().is_empty()) {
                (TlsMode::Files, true) => {
                    let message = "is missing: tls.mode `files` needs the path of a PEM file".to_owned();
                    self.0.push(Finding { keys: vec![key.into(), "tls.mode".into(), "tls".into()], message });
                }
                (TlsMode::Off | TlsMode::SelfSigned, false) => {
                    let message = "is of no use here; set tls.mode to files, or leave it out".to_owned();
                    self.0.push(Finding { keys: vec![key.into(), "tls.mode".into()], message });
                }
                _ => {}
            }
        }
    }

    fn store(&mut self, store: &Store) {
        let key = "store.url";
        // The URL of a database server may hold a password: it is never shown whole.
        let scheme = store.url.split_once("://").map_or("", |(scheme, _)| scheme);
        match (scheme, store.sqlite_path()) {
            (_, Some(path)) => {
                let file = !path.as_os_str().is_empty() && path != Path::new(":memory:");
                self.holds(file, key, &store.url, "sqlite:// and the path of a file");
            }
            // The store looks at the rest, which may hold a password, and says what is wrong with it.
            ("postgres" | "postgresql", _) => {}
            ("", _) => self.refuse(key, format!("has no scheme; {STORE_URLS}")),
            _ => self.refuse(key, format!("unknown scheme {scheme:?}; {STORE_URLS}")),
        }
    }

    fn vad(&mut self, vad: &Vad) {
        self.one_of("vad.engine", &vad.engine, VAD_ENGINES);
        self.range("vad.threshold", vad.threshold, 0.0..=1.0);
        self.range("vad.negative_threshold", vad.negative_threshold, 0.0..=1.0);
        let (high, low) = (vad.threshold, vad.negative_threshold);
        if low >= high {
            let message = format!("{low} is not allowed; must be below vad.threshold ({high})");
            let keys = vec!["vad.negative_threshold".into(), "vad.threshold".into()];
            self.0.push(Finding { keys, message });
        }
        self.range("vad.min_speech_ms", vad.min_speech_ms, 0..=10_000);
        self.range("vad.hangover_ms", vad.hangover_ms, 32..=10_000);
        self.range("vad.prefix_padding_ms", vad.prefix_padding_ms, 0..=5_000);
        self.one_of("vad.turn_detection", &vad.turn_detection, TURN_DETECTIONS);
        self.range("vad.smart_pause_ms", vad.smart_pause_ms, 32..=10_000);
        if vad.turn_detection == "smart" {
            self.at_least("vad.hangover_ms", vad.hangover_ms, "vad.smart_pause_ms", vad.smart_pause_ms);
        }
        self.range("vad.smart_limit_ms", vad.smart_limit_ms, 32..=60_000);
        let model = "auto, the name of a pulled model, or the path of an ONNX file";
        let named = !vad.smart_turn_model.trim().is_empty();
        self.holds(named, "vad.smart_turn_model", &vad.smart_turn_model, model);
        self.range("vad.max_utterance_s", vad.max_utterance_s, 1..=600);
        self.range("vad.workers", vad.workers, WORKERS);
    }

    fn asr(&mut self, asr: &Asr) {
        self.one_of("asr.engine", &asr.engine, ASR_ENGINES);
        self.range("asr.workers", asr.workers, WORKERS);
        self.range("asr.speculate_after_ms", asr.speculate_after_ms, 0..=10_000);
        self.range("asr.interim_ms", asr.interim_ms, 0..=60_000);
        self.range("asr.timeout_ms", asr.timeout_ms, WAIT_MS);
        self.folder("asr.pocketsphinx_model_dir", &asr.pocketsphinx_model_dir);
        self.range("asr.pocketsphinx_domain_weight", asr.pocketsphinx_domain_weight, 0.0..=1.0);
        self.holds(
            !asr.whisper.model.trim().is_empty(),
            "asr.whisper.model",
            &asr.whisper.model,
            "auto, the name of a model or a folder",
        );
        self.range("asr.whisper.threads", asr.whisper.threads, 0..=256);
        self.range("asr.whisper.fallbacks", asr.whisper.fallbacks, 0..=5);
        self.holds(
            asr.whisper.prompt.chars().count() <= 1_000,
            "asr.whisper.prompt",
            &asr.whisper.prompt,
            "at most 1000 characters",
        );
        self.openai_asr(&asr.openai);
        let qwen3_asr = &asr.qwen3_asr;
        let model = "auto, the name of a model or a folder";
        self.holds(!qwen3_asr.model.trim().is_empty(), "asr.qwen3_asr.model", &qwen3_asr.model, model);
        self.range("asr.qwen3_asr.threads", qwen3_asr.threads, 0..=256);
        self.range("asr.qwen3_asr.context_tokens", qwen3_asr.context_tokens, 0..=4_096);
    }

    pub(super) fn llm(&mut self, llm: &Llm) {
        self.one_of("llm.engine", &llm.engine, LLM_ENGINES);
        self.range("llm.workers", llm.workers, 0..=1_024);
        self.server_of("llm.url", &llm.url, "llm.api_key_env", &llm.api_key_env);
        self.range("llm.max_new_tokens", llm.max_new_tokens, 1..=1_000_000);
        self.range("llm.temperature", llm.temperature.unwrap_or(0.0), 0.0..=2.0);
        self.range("llm.top_k", llm.top_k.unwrap_or(1), 1..=1_000_000);
        self.range("llm.top_p", llm.top_p.unwrap_or(1.0), 0.0..=1.0);
        self.range("llm.min_p", llm.min_p.unwrap_or(0.0), 0.0..=1.0);
        self.range("llm.repetition_penalty", llm.repetition_penalty.unwrap_or(1.0), 0.1..=10.0);
        if llm.stop.len() > 16 || llm.stop.iter().any(|stop| stop.is_empty() || stop.len() > 256) {
            let message = "must be at most 16 texts of 1 to 256 bytes each";
            self.refuse("llm.stop", message.into());
        }
        self.range("llm.connect_timeout_ms", llm.connect_timeout_ms, WAIT_MS);
        self.range("llm.first_token_timeout_ms", llm.first_token_timeout_ms, WAIT_MS);
        self.range("llm.token_timeout_ms", llm.token_timeout_ms, WAIT_MS);
        self.range("llm.retries", llm.retries, 0..=10);
        self.range("llm.history_messages", llm.history_messages, 0..=10_000);
        self.local_llm(&llm.local);
    }

    fn local_llm(&mut self, local: &LocalLlm) {
        let model = "auto, concierge, the name of a pulled model, or the path of a GGUF file or a folder";
        self.holds(!local.model.trim().is_empty(), "llm.local.model", &local.model, model);
        self.one_of("llm.local.device", &local.device, LLM_DEVICES);
        self.range("llm.local.threads", local.threads, 0..=1_024);
        self.range("llm.local.context_tokens", local.context_tokens, 256..=1_000_000);
        self.range("llm.local.cache_mb", local.cache_mb, 1..=1 << 20);
        self.range("llm.local.step_ms", local.step_ms, 1..=10_000);
    }

    fn tts(&mut self, tts: &Tts) {
        self.one_of("tts.engine", &tts.engine, TTS_ENGINES);
        self.range("tts.workers", tts.workers, WORKERS);
        self.range("tts.timeout_ms", tts.timeout_ms, WAIT_MS);
        self.openai_tts(&tts.openai);
        let kokoro = &tts.kokoro;
        let model = "auto, the name of a pulled model, or the path of a file or a folder";
        self.holds(!kokoro.model.trim().is_empty(), "tts.kokoro.model", &kokoro.model, model);
        self.holds(!kokoro.voice.trim().is_empty(), "tts.kokoro.voice", &kokoro.voice, "the name of a voice");
        self.range("tts.kokoro.speed", kokoro.speed, 0.5..=2.0);
        self.range("tts.kokoro.threads", kokoro.threads, 1..=256);
    }

    fn video(&mut self, video: &Video) {
        self.one_of("video.engine", &video.engine, VIDEO_ENGINES);
        self.range("video.timeout_ms", video.timeout_ms, WAIT_MS);
    }

    pub(super) fn persona(&mut self, persona: &Persona) {
        self.holds(!persona.name.trim().is_empty(), "persona.name", &persona.name, "a name");
        if let Some(voice) = &persona.voice {
            self.holds(!voice.trim().is_empty(), "persona.voice", voice, "the name of a voice, or null");
        }
    }

    fn turn(&mut self, turn: &Turn) {
        self.range("turn.min_interrupt_ms", turn.min_interrupt_ms, 0..=60_000);
        self.range("turn.min_interrupt_words", turn.min_interrupt_words, 0..=100);
        self.range("turn.chunk_ms", turn.chunk_ms, 10..=1_000);
        self.range("turn.lead_ms", turn.lead_ms, 10..=60_000);
        self.at_least("turn.lead_ms", turn.lead_ms, "turn.chunk_ms", turn.chunk_ms);
        self.range("turn.first_segment_chars", turn.first_segment_chars, 1..=10_000);
        self.range("turn.max_segment_chars", turn.max_segment_chars, 1..=10_000);
        let (longest, first) = (turn.max_segment_chars, turn.first_segment_chars);
        self.at_least("turn.max_segment_chars", longest, "turn.first_segment_chars", first);
        self.range("turn.tts_ahead_ms", turn.tts_ahead_ms, WAIT_MS);
        self.range("turn.played_grace_ms", turn.played_grace_ms, 0..=60_000);
        self.range("turn.max_reply_chars", turn.max_reply_chars, 1..=1_000_000);
        self.at_least("turn.max_reply_chars", turn.max_reply_chars, "turn.max_segment_chars", longest);
    }

    fn limits(&mut self, limits: &Limits, turn: &Turn) {
        self.range("limits.sessions", limits.sessions, 1..=100_000);
        self.range("limits.sessions_per_address", limits.sessions_per_address, 0..=100_000);
        self.range("limits.sessions_per_token", limits.sessions_per_token, 0..=100_000);
        self.range("limits.connections", limits.connections, 1..=1_000_000);
        self.at_least("limits.connections", limits.connections, "limits.sessions", limits.sessions);
        self.range("limits.connections_per_address", limits.connections_per_address, 0..=1_000_000);
        self.range("limits.requests_per_minute", limits.requests_per_minute, 0..=1_000_000);
        self.range("limits.audio_seconds_per_hour", limits.audio_seconds_per_hour, 0..=100_000_000);
        self.range("limits.upload_bytes", limits.upload_bytes, 1_024..=4 << 30);
        self.range("limits.uploads", limits.uploads, 1..=100_000);
        self.range("limits.request_head_s", limits.request_head_s, 1..=3_600);
        self.range("limits.request_body_s", limits.request_body_s, 1..=86_400);
        self.range("limits.message_bytes", limits.message_bytes, 1_024..=64 << 20);
        self.range("limits.messages_per_second", limits.messages_per_second, 1..=100_000);
        self.range("limits.audio_speed", limits.audio_speed, 1.0..=20.0);
        self.range("limits.bad_messages", limits.bad_messages, 1..=1_000_000);
        self.range("limits.outbound_messages", limits.outbound_messages, 16..=65_536);
        // A reply begins with a burst of the whole lead, which no client can read in no time.
        let burst = 2 * (turn.lead_ms / turn.chunk_ms.max(1)) as usize + 16;
        if limits.outbound_messages < burst {
            let message = format!(
                "{} is not allowed; must be at least {burst}, for the chunks of turn.lead_ms",
                limits.outbound_messages
            );
            let keys = vec!["limits.outbound_messages".into(), "turn.lead_ms".into()];
            self.0.push(Finding { keys, message });
        }
        self.range("limits.idle_timeout_s", limits.idle_timeout_s, 1..=604_800);
        self.range("limits.session_max_s", limits.session_max_s, 1..=604_800);
        self.range("limits.ping_s", limits.ping_s, 1..=3_600);
        self.range("limits.resume_grace_ms", limits.resume_grace_ms, 0..=600_000);
    }

    fn models(&mut self, models: &Models) {
        self.folder("models.dir", &models.dir);
    }

    fn log(&mut self, log: &Log) {
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&log.level) {
            let allowed = "error, warn, info, debug, trace, or a list like info,vivavoce=debug";
            self.refuse("log.level", format!("{:?} is not allowed ({error}); use {allowed}", log.level));
        }
    }

    fn scripted(&mut self, scripted: &Scripted) {
        let delays = [
            ("scripted.asr_delay_ms", scripted.asr_delay_ms),
            ("scripted.llm_first_token_ms", scripted.llm_first_token_ms),
            ("scripted.llm_token_ms", scripted.llm_token_ms),
            ("scripted.tts_delay_ms", scripted.tts_delay_ms),
            ("scripted.clip_delay_ms", scripted.clip_delay_ms),
        ];
        for (key, delay_ms) in delays {
            self.range(key, delay_ms, 0..=600_000);
        }
        self.range("scripted.tts_ms_per_char", scripted.tts_ms_per_char, 1..=10_000);
        for (key, list) in
            [("scripted.transcripts", &scripted.transcripts), ("scripted.replies", &scripted.replies)]
        {
            if list.is_empty() {
                self.refuse(key, "an empty list is not allowed; must have at least one entry".into());
            }
        }
        if scripted.judgements.is_empty() || scripted.judgements.iter().any(|p| !(0.0..=1.0).contains(p)) {
            self.refuse("scripted.judgements", "must be one or more probabilities from 0 to 1".into());
        }
        for failure in &scripted.failures {
            let allowed =
                "asr, turn, llm, llm-mid, tts or clip, then @ and the number of a call from 1, or @*";
            self.holds(is_failure(failure), "scripted.failures", failure, allowed);
        }
    }

    pub(super) fn range<T: PartialOrd + Display + Debug>(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        value: T,
        allowed: RangeInclusive<T>,
    ) {
        if !allowed.contains(&value) {
            let message =
                format!("{value} is not allowed; must be from {} to {}", allowed.start(), allowed.end());
            self.refuse(key, message);
        }
    }

    pub(super) fn at_least<T: PartialOrd + Display>(
        &mut self,
        key: &'static str,
        value: T,
        other: &'static str,
        least: T,
    ) {
        if value < least {
            let message = format!("{value} is not allowed; must be at least {other} ({least})");
            self.0.push(Finding { keys: vec![key.into(), other.into()], message });
        }
    }

    pub(super) fn one_of(&mut self, key: impl Into<Cow<'static, str>>, value: &str, allowed: &[&str]) {
        self.holds(allowed.contains(&value), key, value, &format!("one of {}", allowed.join(", ")));
    }

    pub(super) fn folder(&mut self, key: &'static str, path: &Path) {
        self.holds(!path.as_os_str().is_empty(), key, "", "the path of a folder");
    }

    pub(super) fn holds(
        &mut self,
        valid: bool,
        key: impl Into<Cow<'static, str>>,
        value: &str,
        allowed: &str,
    ) {
        if !valid {
            self.refuse(key, format!("{value:?} is not allowed; must be {allowed}"));
        }
    }

    pub(super) fn refuse(&mut self, key: impl Into<Cow<'static, str>>, message: String) {
        self.0.push(Finding { keys: vec![key.into()], message });
    }
}

/// An IP address or a name that could be one of DNS.
pub(super) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(label))
}

/// `http://` or `https://`, a host, an optional port and path; no user, query or fragment.
pub(super) fn is_http_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // The colons inside [::1] are no port's.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = !rest.contains(['?', '#', '@']) && !rest.contains(char::is_whitespace);
    plain && is_host(host) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// `http://` or `https://`, a host and an optional port, as browsers write it.
fn is_origin(origin: &str) -> bool {
    let behind_scheme = origin.split_once("://").map_or("", |(_, rest)| rest);
    is_http_url(origin) && !behind_scheme.contains('/')
}

/// The name of an environment variable, or nothing.
pub(super) fn is_variable_name(name: &str) -> bool {
    let digit_first = name.chars().next().is_some_and(|c| c.is_ascii_digit());
    !digit_first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `stage@N` or `stage@*`.
fn is_failure(failure: &str) -> bool {
    failure.split_once('@').is_some_and(|(stage, call)| {
        let stage = ["asr", "turn", "llm", "llm-mid", "tts", "clip"].contains(&stage);
        stage && (call == "*" || call.parse::<u64>().is_ok_and(|call| call > 0))
    })
}
