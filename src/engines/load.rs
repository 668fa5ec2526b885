//! Loads every model once, in a fixed order: VAD → ASR → LLM → TTS → video, and warms it up, so that
//! the first turn is as fast as the tenth.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::echo::Echo;
use super::flite::{self, FliteTts};
use super::kokoro::{self, Kokoro};
use super::llm_choice::choose_llm;
use super::local::{self, LocalModel};
use super::openai_http::{self, OpenAi, OpenAiAsr, OpenAiTts};
use super::pocketsphinx::{self, PocketSphinx};
use super::qwen3_asr::{self, Qwen3AsrModel};
use super::scripted::Scripted;
use super::silero::SileroVad;
use super::smart_turn::{self, SmartTurn};
use super::whisper::{self, WhisperModel};
use super::workers::{
    AsrWork, ClipWork, JudgeWork, LlmWork, Pool, TtsWork, VadWork, asr_pool, clip_pool, judge_pool, llm_pool,
    tts_pool, vad_pool,
};
use super::{
    Asr, AsrRequest, CancelToken, ClipRenderer, EngineError, INPUT_RATE_HZ, Llm, TokenCounter, ToolSpec, Tts,
    TurnJudge, Vad, VadFrame,
};
use crate::config::{self, ASR_ENGINES, Config, TTS_ENGINES, VAD_ENGINES};
use crate::tools::Registry;

/// All models of the server, behind their worker pools. A clone has the same ones.
#[derive(Clone)]
pub struct Engines {
    /// Judges frames.
    pub vad: Pool<VadWork>,
    /// Judges pauses; `None`: there is no end-of-turn model.
    pub turn: Option<Pool<JudgeWork>>,
    /// Recognises utterances.
    pub asr: Pool<AsrWork>,
    /// Writes replies.
    pub llm: Pool<LlmWork>,
    /// What writes them for agents with a language model of their own, by the agent's name.
    pub agent_llms: BTreeMap<String, AgentLlm>,
    /// Speaks segments.
    pub tts: Pool<TtsWork>,
    /// Renders clips; `None` unless `video.enabled` and a renderer is ready.
    pub clip: Option<Pool<ClipWork>>,
    /// What is at work.
    pub names: EngineNames,
    /// Counts tokens: by the local model's own tokenizer, else by that of the built-in one.
    pub count_tokens: TokenCounter,
    /// Voices that the TTS engine has; empty where only its server knows them.
    pub voices: Vec<String>,
    /// Why `clip` is `None` although `video.enabled`.
    pub video_fault: Option<String>,
}

/// A language model of an agent's own. Agents with equal settings share one.
#[derive(Clone)]
pub struct AgentLlm {
    /// Writes replies.
    pub pool: Pool<LlmWork>,
    /// See [`EngineNames::llm`].
    pub name: String,
    /// See [`EngineNames::llm_model`].
    pub model: Option<String>,
    /// See [`Engines::count_tokens`].
    pub count_tokens: TokenCounter,
}

/// Names of the engines at work, as clients and the log see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct EngineNames {
    pub vad: String,
    /// What judges pauses, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    pub asr: String,
    pub llm: String,
    /// Which model, where the engine can run several and it is known.
    pub llm_model: Option<String>,
    pub tts: String,
    pub video: Option<String>,
}

impl Engines {
    /// Loads and warms what `config` names. `tools`: those that sessions will have. Blocking; takes
    /// seconds.
    ///
    /// # Errors
    /// The first engine that cannot be loaded, with the file and the remedy. Video is the exception:
    /// its failure is logged and told to clients, and the server speaks without it.
    pub fn load(config: &Config, tools: &[ToolSpec]) -> Result<Engines, EngineError> {
        let scripted = Scripted::new(&config.scripted)?;
        // One VAD frame or segment a session is the rule; a little more for what was just cancelled.
        let queue_length = 2 * config.limits.sessions + 16;

        let (vad_name, vads) =
            loaded("vad", || load_many(config.vad.workers, || vad_for_worker(config, &scripted)))?;
        let judge = load_judge(config, &scripted)?;
        let turn_name = judge.as_ref().map(|_| match config.vad.smart_turn_model.as_str() {
            super::scripted::NAME => super::scripted::NAME,
            _ => smart_turn::NAME,
        });
        if let Some(name) = turn_name {
            tracing::info!(engine = name, "end of turn is ready");
        }
        let (asr_name, asrs) = loaded("asr", || load_asrs(config, &scripted))?;
        let (llm_name, (llm_model, llms)) = loaded("llm", || load_llms(config, &scripted, tools))?;
        let agent_llms = load_agent_llms(config, &scripted, queue_length)?;
        let (tts_name, (voices, ttss)) = loaded("tts", || load_ttss(config, &scripted))?;
        let (clip, video_name, video_fault) = match load_clips(config, &scripted, queue_length) {
            Ok(Some((name, pool))) => (Some(pool), Some(name), None),
            Ok(None) => (None, None, None),
            Err(error) => {
                tracing::error!("video is off: {error}");
                (None, None, Some(error.to_string()))
            }
        };
        Ok(Engines {
            vad: vad_pool(vads, queue_length)?,
            turn: judge.map(|judge| judge_pool(vec![judge], queue_length)).transpose()?,
            asr: asr_pool(asrs, queue_length)?,
            llm: llm_pool(llms, queue_length)?,
            agent_llms,
            tts: tts_pool(ttss, queue_length)?,
            clip,
            names: EngineNames {
                vad: vad_name.to_owned(),
                turn: turn_name.map(str::to_owned),
                asr: asr_name.to_owned(),
                llm: llm_name.to_owned(),
                llm_model,
                tts: tts_name.to_owned(),
                video: video_name.map(str::to_owned),
            },
            count_tokens: local::token_counter(config, llm_name == local::NAME)?,
            voices,
            video_fault,
        })
    }

    /// The engines as they are for one agent: all but the language model are everybody's.
    pub fn of_agent(self: &Arc<Self>, agent: &str) -> Arc<Engines> {
        let Some(AgentLlm { pool, name, model, count_tokens }) = self.agent_llms.get(agent).cloned() else {
            return Arc::clone(self);
        };
        let names = EngineNames { llm: name, llm_model: model, ..self.names.clone() };
        Arc::new(Engines { llm: pool, names, count_tokens, ..Engines::clone(self) })
    }

    /// The fullest queue, as a part of its capacity, 0…1.
    pub fn load_factor(&self) -> f64 {
        let factor = |queued: usize, capacity: usize| queued as f64 / capacity.max(1) as f64;
        let mut fullest = factor(self.vad.queued(), self.vad.capacity());
        fullest = fullest.max(factor(self.asr.queued(), self.asr.capacity()));
        fullest = fullest.max(factor(self.llm.queued(), self.llm.capacity()));
        fullest.max(factor(self.tts.queued(), self.tts.capacity()))
    }
}

/// The recogniser that `asr.engine` names, warm. It belongs to one thread.
pub fn load_asr(config: &Config) -> Result<Box<dyn Asr>, EngineError> {
    let mut one = config.clone();
    one.asr.workers = 1;
    let (_, mut asrs) = load_asrs(&one, &Scripted::new(&config.scripted)?)?;
    asrs.pop().ok_or_else(|| EngineError::Load { engine: "asr", message: "it has no worker".to_owned() })
}

/// The synthesiser that `tts.engine` names, warm. It belongs to one thread.
pub fn load_tts(config: &Config) -> Result<Box<dyn Tts>, EngineError> {
    let mut one = config.clone();
    one.tts.workers = 1;
    let (_, (_, mut ttss)) = load_ttss(&one, &Scripted::new(&config.scripted)?)?;
    let none = || EngineError::Load { engine: "tts", message: "it has no worker".to_owned() };
    ttss.pop().ok_or_else(none)
}

/// Something loaded, under its name in `config.yml`.
type Loaded<T> = Result<(&'static str, T), EngineError>;

/// Loads with a log line of what and how long.
fn loaded<T>(what: &'static str, load: impl FnOnce() -> Loaded<T>) -> Loaded<T> {
    let began = Instant::now();
    let (name, engines) = load()?;
    tracing::info!(engine = name, ms = began.elapsed().as_millis() as u64, "{what} is ready");
    Ok((name, engines))
}

/// One instance for each worker.
fn load_many<T>(
    workers: usize,
    mut load: impl FnMut() -> Loaded<T>,
) -> Result<(&'static str, Vec<T>), EngineError> {
    let (name, first) = load()?;
    let mut engines = vec![first];
    for _ in 1..workers {
        engines.push(load()?.1);
    }
    Ok((name, engines))
}

fn vad_for_worker(config: &Config, scripted: &Scripted) -> Loaded<Box<dyn Vad>> {
    let (name, mut vad): (_, Box<dyn Vad>) = match config.vad.engine.as_str() {
        "scripted" => ("scripted", scripted.vad()),
        "auto" | "silero" => ("silero", Box::new(SileroVad::load(&config.models)?)),
        other => return Err(unknown("vad", other, VAD_ENGINES)),
    };
    let mut frames: Vec<VadFrame> = (0..vad.max_batch().min(2)).map(|_| VadFrame::silence()).collect();
    vad.judge(&mut frames.iter_mut().take(1).collect::<Vec<_>>())?;
    vad.judge(&mut frames.iter_mut().collect::<Vec<_>>())?;
    Ok((name, vad))
}

/// The end-of-turn model; `None` where pauses are measured and no more.
fn load_judge(config: &Config, scripted: &Scripted) -> Result<Option<Box<dyn TurnJudge>>, EngineError> {
    if config.vad.smart_turn_model == super::scripted::NAME {
        return Ok(Some(scripted.turn_judge()));
    }
    match smart_turn::find(config)? {
        Some(network) => Ok(Some(Box::new(SmartTurn::load(&config.models, &network)?))),
        None if config.vad.turn_detection == "smart" => Err(EngineError::Load {
            engine: smart_turn::NAME,
            message:
                "vad.turn_detection is smart, and no model for it was pulled; run `vivavoce models pull \
                      smart-turn-v3`, or set vad.turn_detection to vad"
                    .to_owned(),
        }),
        None => Ok(None),
    }
}

/// The recogniser that `asr.engine` means: `auto` is the best that was pulled, else the one that needs none.
fn choose_asr(config: &Config) -> Result<&str, EngineError> {
    Ok(match config.asr.engine.as_str() {
        "auto" if qwen3_asr::find(config)?.is_some() => qwen3_asr::NAME,
        "auto" if whisper::find(config)?.is_some() => whisper::NAME,
        "auto" => pocketsphinx::NAME,
        named => named,
    })
}

/// A recogniser for each worker.
fn load_asrs(config: &Config, scripted: &Scripted) -> Loaded<Vec<Box<dyn Asr>>> {
    match choose_asr(config)? {
        whisper::NAME => {
            let model = WhisperModel::load(config)?;
            tracing::info!(model = model.name(), "asr: whisper");
            Ok((whisper::NAME, (0..config.asr.workers.max(1)).map(|_| model.asr()).collect()))
        }
        qwen3_asr::NAME => {
            let model = Qwen3AsrModel::load(config)?;
            tracing::info!(model = model.name(), "asr: qwen3-asr");
            Ok((qwen3_asr::NAME, (0..config.asr.workers.max(1)).map(|_| model.asr()).collect()))
        }
        name => load_many(config.asr.workers, || asr_for_worker(name, config, scripted)),
    }
}

fn asr_for_worker(name: &str, config: &Config, scripted: &Scripted) -> Loaded<Box<dyn Asr>> {
    let (name, mut asr): (_, Box<dyn Asr>) = match name {
        "scripted" => return Ok(("scripted", scripted.asr())),
        // Its server may be started later.
        openai_http::NAME => return Ok((openai_http::NAME, OpenAiAsr::new(&config.asr)?.asr())),
        pocketsphinx::NAME => (pocketsphinx::NAME, Box::new(PocketSphinx::load(config)?)),
        other => return Err(unknown("asr", other, ASR_ENGINES)),
    };
    asr.transcribe(&AsrRequest::new(&[0; INPUT_RATE_HZ as usize / 2]), &CancelToken::new())?;
    Ok((name, asr))
}

/// The voices there are, and an engine for each worker.
type TtsWorkers = (Vec<String>, Vec<Box<dyn Tts>>);

/// The synthesiser that `tts.engine` means: `auto` is the best that was pulled, else the one that needs none.
fn choose_tts(config: &Config) -> Result<&str, EngineError> {
    Ok(match config.tts.engine.as_str() {
        "auto" if kokoro::find(config)?.is_some() => kokoro::NAME,
        "auto" => flite::NAME,
        named => named,
    })
}

fn load_ttss(config: &Config, scripted: &Scripted) -> Loaded<TtsWorkers> {
    let flite_voices = || flite::VOICES.iter().map(|voice| (*voice).to_owned()).collect();
    let workers = config.tts.workers;
    let (name, voices, mut ttss): (_, _, Vec<Box<dyn Tts>>) = match choose_tts(config)? {
        "scripted" => {
            let ttss = (0..workers).map(|_| scripted.tts()).collect();
            return Ok(("scripted", (flite_voices(), ttss)));
        }
        openai_http::NAME => {
            // Its voices are the server's business, and nothing is asked of it before somebody speaks.
            let server = OpenAiTts::new(&config.tts)?;
            return Ok((openai_http::NAME, (Vec::new(), (0..workers).map(|_| server.tts()).collect())));
        }
        flite::NAME => {
            let load = || -> Loaded<Box<dyn Tts>> { Ok((flite::NAME, Box::new(FliteTts::load(config)?))) };
            let (name, ttss) = load_many(workers, load)?;
            (name, flite_voices(), ttss)
        }
        kokoro::NAME => {
            let model = Kokoro::load(config)?;
            let ttss = (0..workers).map(|_| Box::new(model.tts()) as Box<dyn Tts>).collect();
            (kokoro::NAME, model.voices(), ttss)
        }
        other => return Err(unknown("tts", other, TTS_ENGINES)),
    };
    let voice = config.persona.voice.as_deref();
    for tts in &mut ttss {
        tts.synthesize("Ready.", voice, &CancelToken::new(), &mut |_| ControlFlow::Continue(()))?;
    }
    Ok((name, (voices, ttss)))
}

fn unknown(stage: &'static str, name: &str, there_are: &[&str]) -> EngineError {
    let message =
        format!("there is no engine {name:?}; set {stage}.engine to one of {}", there_are.join(", "));
    EngineError::Load { engine: stage, message }
}

/// The language model that `llm.engine` means, warm: for one worker, with these tools.
pub fn load_llm(config: &Config, tools: &[ToolSpec]) -> Result<Box<dyn Llm>, EngineError> {
    let mut one = config.clone();
    one.llm.workers = 1;
    let (_, (_, mut llms)) = load_llms(&one, &Scripted::new(&config.scripted)?, tools)?;
    let none = || EngineError::Load { engine: "llm", message: "it has no worker".to_owned() };
    llms.pop().ok_or_else(none)
}

/// Which model, where that is known, and an engine for each worker.
type LlmWorkers = (Option<String>, Vec<Box<dyn Llm>>);

fn load_llms(config: &Config, scripted: &Scripted, tools: &[ToolSpec]) -> Loaded<LlmWorkers> {
    let choice = choose_llm(config)?;
    tracing::info!("{}", choice.reason);
    // A worker waits for its server, or for the model's thread: as many as there can be replies.
    let workers = if config.llm.workers == 0 { config.limits.sessions } else { config.llm.workers };
    let (model, llms): (_, Vec<Box<dyn Llm>>) = match choice.name {
        super::local::NAME => {
            let local = LocalModel::load(config, tools)?;
            (Some(local.name().to_owned()), (0..workers).map(|_| local.llm()).collect())
        }
        openai_http::NAME => {
            let server = OpenAi::new(&config.llm)?;
            let model = Some(config.llm.model.clone()).filter(|model| !model.is_empty());
            (model, (0..workers).map(|_| server.llm()).collect())
        }
        super::scripted::NAME => (None, (0..workers).map(|_| scripted.llm()).collect()),
        // It has nothing to wait for: one is enough.
        _ => (None, vec![Box::new(Echo)]),
    };
    Ok((choice.name, (model, llms)))
}

/// One pool for each setting of `llm` that some agent has and the others have not.
fn load_agent_llms(
    config: &Config,
    scripted: &Scripted,
    queue_length: usize,
) -> Result<BTreeMap<String, AgentLlm>, EngineError> {
    let mut loaded: Vec<(config::Llm, AgentLlm)> = Vec::new();
    let mut by_agent = BTreeMap::new();
    for name in config.agents.keys() {
        let Some(whole) = config.of_agent(name).filter(|whole| whole.llm != config.llm) else { continue };
        if let Some((_, same)) = loaded.iter().find(|(llm, _)| *llm == whole.llm) {
            by_agent.insert(name.clone(), same.clone());
            continue;
        }
        let in_agent = |message: String| EngineError::Load {
            engine: "llm",
            message: format!("agents.{name}.llm: {message}"),
        };
        // What is wrong with tools is found where the server makes them.
        let tools = Registry::new(&whole.tools).map_err(|error| in_agent(error.to_string()))?;
        let (engine, (model, llms)) =
            load_llms(&whole, scripted, tools.specs()).map_err(|error| in_agent(error.to_string()))?;
        tracing::info!(agent = name, engine, "a language model of an agent's own is ready");
        let count_tokens = local::token_counter(&whole, engine == local::NAME)?;
        let pool = llm_pool(llms, queue_length)?;
        let llm = AgentLlm { pool, name: engine.to_owned(), model, count_tokens };
        loaded.push((whole.llm, llm.clone()));
        by_agent.insert(name.clone(), llm);
    }
    Ok(by_agent)
}

type ClipPool = (&'static str, Pool<ClipWork>);

fn load_clips(
    config: &Config,
    scripted: &Scripted,
    queue_length: usize,
) -> Result<Option<ClipPool>, EngineError> {
    if !config.video.enabled {
        return Ok(None);
    }
    let (name, renderers) = loaded("video", || match config.video.engine.as_str() {
        "scripted" => Ok(("scripted", vec![scripted.clip()] as Vec<Box<dyn ClipRenderer>>)),
        _ => Err(EngineError::Load {
            engine: "video",
            message: "this version has no clip renderer; set video.enabled to false".to_owned(),
        }),
    })?;
    Ok(Some((name, clip_pool(renderers, queue_length)?)))
}
