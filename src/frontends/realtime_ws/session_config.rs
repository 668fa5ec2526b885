//! The session as a Realtime client configures it and gets it echoed: whole, whatever part it changed.
//!
//! What means something here becomes a [`SettingsPatch`] for the session; the rest (`tracing`,
//! `truncation`, …) is kept and echoed, as those fields are no promise about what is said.

use serde::Serialize;
use serde_json::{Value, json};

use super::audio::Format;
use super::client_events;
use super::fields::{Fields, Problem};
use super::server_events::{AudioBody, AudioOutputBody, FormatBody, MaxTokens};
use crate::audio::g711::Law;
use crate::engines::{Calls, ToolSpec};
use crate::session::settings::{Settings, SettingsPatch};
use crate::turn::config::TurnDetection;

/// Voices of OpenAI's models. Stock clients ask for them by default; they get the server's voice.
const FOREIGN_VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];
/// Tools of one session, at most.
const MAX_TOOLS: usize = 128;

/// The session, as `session.created` and `session.updated` echo it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SessionEcho {
    pub r#type: &'static str,
    pub object: &'static str,
    pub id: String,
    pub model: String,
    /// Seconds since 1970 UTC.
    pub expires_at: u64,
    pub output_modalities: [&'static str; 1],
    pub instructions: String,
    pub tools: Vec<Value>,
    pub tool_choice: Value,
    pub max_output_tokens: MaxTokens,
    pub audio: Audio,
    pub include: Value,
    pub prompt: Value,
    pub tracing: Value,
    pub truncation: Value,
}

/// See [`SessionEcho`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Audio {
    pub input: Input,
    pub output: Output,
}

/// See [`SessionEcho`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Input {
    pub format: FormatBody,
    pub transcription: Value,
    pub noise_reduction: Value,
    pub turn_detection: Option<Detection>,
}

/// See [`SessionEcho`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Output {
    pub format: FormatBody,
    pub voice: String,
    pub speed: f64,
}

/// How the end of the user's turn is found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Detection {
    ServerVad {
        threshold: f32,
        prefix_padding_ms: u32,
        silence_duration_ms: u32,
        create_response: bool,
        interrupt_response: bool,
        idle_timeout_ms: Option<u32>,
    },
    SemanticVad {
        eagerness: Eagerness,
        create_response: bool,
        interrupt_response: bool,
    },
}

/// How long a pause in the middle of a thought may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

impl Eagerness {
    fn limit_ms(self) -> u32 {
        match self {
            Eagerness::Low => 8_000,
            Eagerness::Medium | Eagerness::Auto => 4_000,
            Eagerness::High => 2_000,
        }
    }
}

/// How a response is to sound, where that differs from the session.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct OutputWish {
    pub format: Option<Format>,
    pub voice: Option<String>,
}

/// What this server has.
#[derive(Debug, Clone)]
pub struct Has {
    /// An end-of-turn model.
    pub judges_turns: bool,
    /// Voices of its TTS engine; empty: any.
    pub voices: Vec<String>,
    /// What `server_vad` means where a client leaves it open.
    pub server_vad: Detection,
}

/// The session in force.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// What is echoed.
    pub echo: SessionEcho,
    /// The same format as in the echo.
    pub input: Format,
    /// Likewise.
    pub output: Format,
    /// What the client runs.
    pub text_only: bool,
    has: Has,
}

impl SessionConfig {
    /// Before the client has asked for anything: what the operator configured. The patch makes the
    /// session so.
    pub fn new(id: String, model: String, expires_at: u64, settings: &Settings, has: Has) -> SessionConfig {
        let output = Output {
            format: format_body(Format::Pcm),
            voice: settings.persona.voice.clone().unwrap_or_else(|| "default".to_owned()),
            speed: 1.0,
        };
        let input = Input {
            format: format_body(Format::Pcm),
            transcription: Value::Null,
            noise_reduction: Value::Null,
            turn_detection: Some(has.server_vad.clone()),
        };
        let echo = SessionEcho {
            r#type: "realtime",
            object: "realtime.session",
            id,
            model,
            expires_at,
            output_modalities: ["audio"],
            instructions: settings.persona.prompt(),
            tools: Vec::new(),
            tool_choice: json!("auto"),
            max_output_tokens: MaxTokens(None),
            audio: Audio { input, output },
            include: Value::Null,
            prompt: Value::Null,
            tracing: Value::Null,
            truncation: json!("auto"),
        };
        SessionConfig { echo, input: Format::Pcm, output: Format::Pcm, text_only: false, has }
    }

    /// The session with `session` of a `session.update` in it, and what changes for the machine.
    pub fn updated(&self, session: &Value) -> Result<(SessionConfig, SettingsPatch), Problem> {
        let mut new = self.clone();
        let mut patch = SettingsPatch::default();
        let mut fields = Fields::of(session, "session")?;
        fields.ignore(&["object", "id", "expires_at", "parallel_tool_calls", "reasoning"]);
        match fields.optional::<String>("type")?.as_deref() {
            Some("realtime") | None => {}
            Some(other) => {
                let message = format!("sessions of the type '{other}' are not served here; 'realtime' is");
                return Err(Problem::value("session.type", message));
            }
        }
        if let Some(model) = fields.optional::<String>("model")?
            && model != self.echo.model
        {
            let message = format!("the model is chosen when the session begins; it is '{}'", self.echo.model);
            return Err(Problem { code: "cannot_update_model", ..Problem::value("session.model", message) });
        }
        if let Some(instructions) = client_events::text(&mut fields, "instructions")? {
            new.echo.instructions.clone_from(&instructions);
            // They are the client's, whole: the operator's facts were part of the ones before.
            (patch.system_prompt, patch.facts) = (Some(instructions), Some(Vec::new()));
        }
        if let Some(text_only) = modality(&mut fields)? {
            new.text_only = text_only;
            new.echo.output_modalities = [if text_only { "text" } else { "audio" }];
            patch.text_only = Some(text_only);
        }
        if let Some(Tools { raw, specs }) = tools(&mut fields)? {
            new.echo.tools = raw;
            patch.tools = Some(specs);
        }
        if let Some((raw, choice)) = tool_choice(&mut fields)? {
            new.echo.tool_choice = raw;
            patch.calls = Some(choice);
        }
        if let Some(most) = max_tokens(&mut fields)? {
            new.echo.max_output_tokens = MaxTokens(most);
            patch.max_new_tokens = Some(most);
        }
        for (name, kept) in [
            ("include", &mut new.echo.include),
            ("prompt", &mut new.echo.prompt),
            ("tracing", &mut new.echo.tracing),
            ("truncation", &mut new.echo.truncation),
        ] {
            if let Some(value) = fields.raw(name) {
                value.clone_into(kept);
            }
        }
        if let Some(mut audio) = fields.object("audio")? {
            if let Some(input) = audio.object("input")? {
                new.update_input(input, &mut patch)?;
            }
            if let Some(output) = audio.object("output")? {
                new.update_output(output, &mut patch)?;
            }
            audio.finish()?;
        }
        fields.finish()?;
        Ok((new, patch))
    }

    fn update_input(&mut self, mut fields: Fields<'_>, patch: &mut SettingsPatch) -> Result<(), Problem> {
        if let Some(format) = format(&mut fields)? {
            self.input = format;
            self.echo.audio.input.format = format_body(format);
        }
        if let Some(raw) = fields.raw("noise_reduction") {
            // What the operator chose is done, for all.
            self.echo.audio.input.noise_reduction = raw.clone();
        }
        if let Some(raw) = fields.raw("transcription") {
            if !raw.is_null() {
                let mut transcription = Fields::of(raw, fields.path("transcription"))?;
                patch.language = transcription.optional("language")?;
                if patch.language.as_ref().is_some_and(|language| language.len() != 2) {
                    let path = transcription.path("language");
                    return Err(Problem::value(path, "an ISO 639-1 code such as 'en'"));
                }
                // Which model hears is the operator's choice.
                transcription.ignore(&["model", "prompt", "delay", "keywords", "languages"]);
                transcription.finish()?;
            }
            self.echo.audio.input.transcription = raw.clone();
        }
        if let Some(raw) = fields.raw("turn_detection") {
            let path = fields.path("turn_detection");
            let detection = if raw.is_null() { None } else { Some(self.detection(Fields::of(raw, path)?)?) };
            detect(detection.as_ref(), self.has.judges_turns, patch);
            self.echo.audio.input.turn_detection = detection;
        }
        fields.finish()
    }

    fn update_output(&mut self, mut fields: Fields<'_>, patch: &mut SettingsPatch) -> Result<(), Problem> {
        if let Some(format) = format(&mut fields)? {
            self.output = format;
            self.echo.audio.output.format = format_body(format);
        }
        if let Some(voice) = voice(&mut fields)? {
            patch.voice = self.known_voice(&voice, fields.path("voice"))?;
            self.echo.audio.output.voice = voice;
        }
        if let Some(speed) = fields.optional::<f64>("speed")? {
            if !(0.25..=1.5).contains(&speed) {
                return Err(Problem::value(fields.path("speed"), "it is not within 0.25…1.5"));
            }
            // The TTS engines here have one pace each.
            self.echo.audio.output.speed = speed;
        }
        fields.finish()
    }

    /// The TTS engine's voice of that name; `None`: whichever it has.
    pub fn known_voice(&self, voice: &str, param: String) -> Result<Option<String>, Problem> {
        let voices = &self.has.voices;
        if voices.iter().any(|known| known == voice) {
            return Ok(Some(voice.to_owned()));
        }
        if FOREIGN_VOICES.contains(&voice) || voice == "default" {
            return Ok(if voices.is_empty() && voice != "default" { Some(voice.to_owned()) } else { None });
        }
        if voices.is_empty() {
            return Ok(Some(voice.to_owned()));
        }
        Err(Problem::value(param, format!("there is no voice '{voice}'; there is {}", voices.join(", "))))
    }

    /// The patch that makes a new session what its echo says.
    pub fn first_patch(&self) -> SettingsPatch {
        let mut patch = SettingsPatch::default();
        detect(self.echo.audio.input.turn_detection.as_ref(), self.has.judges_turns, &mut patch);
        patch
    }

    fn detection(&self, mut fields: Fields<'_>) -> Result<Detection, Problem> {
        let kind = fields.required::<String>("type")?;
        let create_response = fields.optional("create_response")?.unwrap_or(true);
        let interrupt_response = fields.optional("interrupt_response")?.unwrap_or(true);
        let detection = match kind.as_str() {
            "server_vad" => {
                let Detection::ServerVad { threshold, prefix_padding_ms, silence_duration_ms, .. } =
                    self.has.server_vad
                else {
                    return Err(Problem::value(fields.path("type"), "it is not to be had"));
                };
                let threshold: f32 = fields.optional("threshold")?.unwrap_or(threshold);
                if !(0.0..=1.0).contains(&threshold) {
                    return Err(Problem::value(fields.path("threshold"), "it is not within 0…1"));
                }
                let mut ms = |name: &'static str, default: u32, from: u32, to: u32| {
                    let ms: u32 = fields.optional(name)?.unwrap_or(default);
                    if (from..=to).contains(&ms) {
                        return Ok(ms);
                    }
                    Err(Problem::value(fields.path(name), format!("it is not within {from}…{to}")))
                };
                let prefix_padding_ms = ms("prefix_padding_ms", prefix_padding_ms, 0, 2_000)?;
                let silence_duration_ms = ms("silence_duration_ms", silence_duration_ms, 100, 10_000)?;
                let idle = ms("idle_timeout_ms", 0, 0, 3_600_000)?;
                Detection::ServerVad {
                    threshold,
                    prefix_padding_ms,
                    silence_duration_ms,
                    create_response,
                    interrupt_response,
                    idle_timeout_ms: (idle > 0).then_some(idle),
                }
            }
            "semantic_vad" => {
                // Clients send the fields of both kinds.
                fields.ignore(&["threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"]);
                let eagerness = fields.optional("eagerness")?.unwrap_or(Eagerness::Auto);
                Detection::SemanticVad { eagerness, create_response, interrupt_response }
            }
            other => {
                let message = format!("there is no '{other}'; there is server_vad, semantic_vad, and null");
                return Err(Problem::value(fields.path("type"), message));
            }
        };
        fields.ignore(&["eagerness"]);
        fields.finish()?;
        Ok(detection)
    }

    /// How a response sounds that wants this.
    pub fn audio_body(&self, wish: &OutputWish) -> AudioBody {
        let format = wish.format.unwrap_or(self.output);
        let voice = wish.voice.clone().unwrap_or_else(|| self.echo.audio.output.voice.clone());
        AudioBody { output: AudioOutputBody { format: format_body(format), voice } }
    }
}

/// What detection means for the machine. Without an end-of-turn model `semantic_vad` goes by silence.
fn detect(detection: Option<&Detection>, judges_turns: bool, patch: &mut SettingsPatch) {
    match detection {
        None => {
            patch.detection = Some(TurnDetection::Manual);
            (patch.auto_reply, patch.interrupts, patch.idle_reply_ms) = (Some(false), Some(false), Some(0));
        }
        Some(Detection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            create_response,
            interrupt_response,
            idle_timeout_ms,
        }) => {
            patch.detection = Some(TurnDetection::Vad);
            patch.threshold = Some(threshold.clamp(0.05, 0.95));
            patch.prefix_padding_ms = Some(*prefix_padding_ms);
            patch.hangover_ms = Some(*silence_duration_ms);
            patch.auto_reply = Some(*create_response);
            patch.interrupts = Some(*interrupt_response);
            patch.idle_reply_ms = Some(idle_timeout_ms.unwrap_or(0));
        }
        Some(Detection::SemanticVad { eagerness, create_response, interrupt_response }) => {
            patch.detection = Some(if judges_turns { TurnDetection::Smart } else { TurnDetection::Vad });
            patch.smart_limit_ms = Some(eagerness.limit_ms());
            patch.auto_reply = Some(*create_response);
            patch.interrupts = Some(*interrupt_response);
            patch.idle_reply_ms = Some(0);
        }
    }
}

fn format_body(format: Format) -> FormatBody {
    let rate = matches!(format, Format::Pcm).then(|| format.rate_hz());
    FormatBody { r#type: format.name(), rate }
}

fn format(fields: &mut Fields<'_>) -> Result<Option<Format>, Problem> {
    let Some(mut format) = fields.object("format")? else { return Ok(None) };
    let known = match format.required::<String>("type")?.as_str() {
        "audio/pcm" => Format::Pcm,
        "audio/pcmu" => Format::G711(Law::Mu),
        "audio/pcma" => Format::G711(Law::A),
        other => {
            let message = format!("there is no '{other}'; there is audio/pcm, audio/pcmu, audio/pcma");
            return Err(Problem::value(format.path("type"), message));
        }
    };
    if let Some(rate) = format.optional::<u32>("rate")?
        && rate != known.rate_hz()
    {
        let message = format!("{} has {} samples per second", known.name(), known.rate_hz());
        return Err(Problem::value(format.path("rate"), message));
    }
    format.finish()?;
    Ok(Some(known))
}

/// A name, or an object with an `id`.
fn voice(fields: &mut Fields<'_>) -> Result<Option<String>, Problem> {
    match fields.raw("voice") {
        Some(Value::Object(voice)) => match voice.get("id").and_then(Value::as_str) {
            Some(id) => Ok(Some(id.to_owned())),
            None => Err(Problem::value(fields.path("voice"), "an object with an id")),
        },
        _ => fields.optional("voice"),
    }
}

/// `output_modalities`: whether it is to be read, not heard.
pub fn modality(fields: &mut Fields<'_>) -> Result<Option<bool>, Problem> {
    let Some(modalities) = fields.optional::<Vec<String>>("output_modalities")? else { return Ok(None) };
    let known = modalities.iter().all(|modality| modality == "text" || modality == "audio");
    if modalities.is_empty() || !known {
        return Err(Problem::value(fields.path("output_modalities"), "one of [\"audio\"], [\"text\"]"));
    }
    Ok(Some(modalities.iter().all(|modality| modality == "text")))
}

/// `audio.output` of a response.
pub fn response_output(fields: &mut Fields<'_>) -> Result<OutputWish, Problem> {
    let mut wish = OutputWish::default();
    if let Some(mut audio) = fields.object("audio")? {
        if let Some(mut output) = audio.object("output")? {
            wish = OutputWish { format: format(&mut output)?, voice: voice(&mut output)? };
            output.finish()?;
        }
        audio.finish()?;
    }
    Ok(wish)
}

/// Tools of the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Tools {
    /// As they came.
    pub raw: Vec<Value>,
    /// What the model is told of them.
    pub specs: Vec<ToolSpec>,
}

/// `tools`
pub fn tools(fields: &mut Fields<'_>) -> Result<Option<Tools>, Problem> {
    let Some(raw) = fields.optional::<Vec<Value>>("tools")? else { return Ok(None) };
    let path = fields.path("tools");
    if raw.len() > MAX_TOOLS {
        return Err(Problem::value(path, format!("at most {MAX_TOOLS} of them")));
    }
    let mut specs: Vec<ToolSpec> = Vec::new();
    for (index, tool) in raw.iter().enumerate() {
        let mut tool = Fields::of(tool, format!("{path}[{index}]"))?;
        let kind = tool.required::<String>("type")?;
        if kind != "function" {
            let message = format!("tools of the type '{kind}' are not run here; 'function' is");
            return Err(Problem::value(tool.path("type"), message));
        }
        let name = tool.required::<String>("name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let message = "1 to 64 letters, digits, '_', '-'";
            return Err(Problem::value(tool.path("name"), message));
        }
        if specs.iter().any(|spec| spec.name == name) {
            return Err(Problem::value(tool.path("name"), "another tool has this name"));
        }
        let parameters = match tool.raw("parameters") {
            None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
            Some(parameters @ Value::Object(_)) => parameters.clone(),
            Some(_) => return Err(Problem::value(tool.path("parameters"), "a JSON schema is an object")),
        };
        let description = tool.optional("description")?.unwrap_or_default();
        tool.ignore(&["strict"]);
        tool.finish()?;
        specs.push(ToolSpec { name, description, parameters });
    }
    Ok(Some(Tools { raw, specs }))
}

/// `tool_choice`: as it is, and what it means.
pub fn tool_choice(fields: &mut Fields<'_>) -> Result<Option<(Value, Calls)>, Problem> {
    let choice = match fields.raw("tool_choice") {
        None | Some(Value::Null) => return Ok(None),
        Some(choice) => choice,
    };
    let calls = match (choice.as_str(), choice["type"].as_str(), choice["name"].as_str()) {
        (Some("auto"), ..) => Calls::May,
        (Some("none"), ..) => Calls::Never,
        (Some("required"), ..) => Calls::Must,
        (None, Some("function"), Some(name)) => Calls::MustBe(name.to_owned()),
        _ => {
            let message = "one of auto, none, required, or a function by its name";
            return Err(Problem::value(fields.path("tool_choice"), message));
        }
    };
    Ok(Some((choice.clone(), calls)))
}

/// `max_output_tokens`: `Some(None)` is `"inf"`.
pub fn max_tokens(fields: &mut Fields<'_>) -> Result<Option<Option<u32>>, Problem> {
    match fields.raw("max_output_tokens") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if word == "inf" => Ok(Some(None)),
        Some(number) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(most) if most > 0 => Ok(Some(Some(most))),
            _ => Err(Problem::value(fields.path("max_output_tokens"), "a whole number from 1, or \"inf\"")),
        },
    }
}
