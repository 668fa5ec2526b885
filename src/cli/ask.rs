//! `vivavoce ask TEXT`: the configured language model, without speech.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::engines::{
    CancelToken, ChatMessage, EngineError, Llm, LlmEvent, LlmRequest, LlmState, Role, ToolCall, Usage,
    load_llm,
};
use crate::tools::{Registry, ToolError};

/// Ask the language model a question, without speech
#[derive(Debug, clap::Args)]
pub struct Ask {
    /// What to say; without it, every line of the standard input is a turn of one conversation
    pub text: Option<String>,
    /// File with facts in place of those of the configuration, one a line
    #[arg(long, value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// Instructions in place of persona.system_prompt
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Add a line with times and token counts to every reply
    #[arg(long)]
    pub stats: bool,
}

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The engine's own words.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A tool of the configuration cannot be.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The facts cannot be read.
    #[error("--facts {}: {source}", path.display())]
    Facts {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Questions cannot be read, or replies not written.
    #[error("cannot read questions or write replies: {0}")]
    Stream(#[from] std::io::Error),
}

impl Ask {
    /// Writes each reply to `out` as it comes, and ends its line.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), AskError> {
        let mut config = config.clone();
        if let Some(path) = self.facts {
            let facts = std::fs::read_to_string(&path).map_err(|source| AskError::Facts { path, source })?;
            config.persona.facts =
                facts.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        }
        if let Some(system) = self.system {
            config.persona.system_prompt = system;
        }
        let mut conversation = Conversation::begin(&config)?;
        match self.text {
            Some(text) => conversation.turn(&text, self.stats, out)?,
            None => {
                for line in std::io::stdin().lock().lines() {
                    let line = line?;
                    if !line.trim().is_empty() {
                        conversation.turn(&line, self.stats, out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

struct Conversation {
    llm: Box<dyn Llm>,
    state: LlmState,
    messages: Vec<ChatMessage>,
    max_new_tokens: u32,
    tools: Registry,
    max_rounds: u32,
    /// Tools may talk to other servers.
    runtime: tokio::runtime::Runtime,
}

/// What came of one request.
struct Answer {
    text: String,
    calls: Vec<ToolCall>,
    usage: Usage,
    first: Option<Duration>,
}

impl Conversation {
    fn begin(config: &Config) -> Result<Conversation, AskError> {
        let tools = Registry::new(&config.tools)?;
        Ok(Conversation {
            llm: load_llm(config, tools.specs())?,
            state: LlmState::default(),
            messages: vec![ChatMessage::new(Role::System, config.persona.prompt())],
            max_new_tokens: config.llm.max_new_tokens,
            tools,
            max_rounds: config.tools.max_rounds,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// One turn, with as many requests as the tools want.
    fn turn(&mut self, said: &str, stats: bool, out: &mut dyn Write) -> Result<(), AskError> {
        self.messages.push(ChatMessage::new(Role::User, said));
        let began = Instant::now();
        let (mut first, mut tokens) = (None, Usage::default());
        for round in 1..=self.max_rounds {
            let answer = self.request(round < self.max_rounds, out)?;
            first = first.or(answer.first);
            tokens.input_tokens = answer.usage.input_tokens;
            tokens.output_tokens += answer.usage.output_tokens;
            let calls = answer.calls.clone();
            self.messages.push(ChatMessage {
                tool_calls: answer.calls,
                ..ChatMessage::new(Role::Assistant, answer.text.trim())
            });
            if calls.is_empty() {
                break;
            }
            for call in calls {
                let result = self.runtime.block_on(self.tools.run(&call.name, &call.arguments));
                if stats {
                    writeln!(out, "[{} {} → {}]", call.name, call.arguments, result.summary)?;
                }
                self.messages.push(ChatMessage {
                    tool_call_id: Some(call.id),
                    ..ChatMessage::new(Role::Tool, result.content)
                });
            }
        }
        writeln!(out)?;
        if stats {
            let (first, all) = (first.unwrap_or_default(), began.elapsed());
            let Usage { input_tokens, output_tokens } = tokens;
            writeln!(
                out,
                "[{input_tokens} tokens in, first out after {first:.1?}, {output_tokens} in {all:.1?}]"
            )?;
        }
        Ok(())
    }

    /// One request; the text is written as it comes.
    fn request(&mut self, with_tools: bool, out: &mut dyn Write) -> Result<Answer, AskError> {
        let request = LlmRequest {
            messages: self.messages.clone(),
            tools: if with_tools { self.tools.specs().to_vec() } else { Vec::new() },
            max_new_tokens: self.max_new_tokens,
            ..LlmRequest::default()
        };
        let began = Instant::now();
        let (mut text, mut calls, mut first, mut written) = (String::new(), Vec::new(), None, Ok(()));
        let sink = &mut |event| {
            match event {
                LlmEvent::Text(piece) => {
                    first.get_or_insert_with(|| began.elapsed());
                    written = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
                    text += &piece;
                }
                LlmEvent::Thought(_) => {}
                LlmEvent::ToolCall(call) => calls.push(call),
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let result = self.llm.generate(&request, &mut self.state, &CancelToken::new(), sink);
        written?;
        Ok(Answer { text, calls, usage: result?, first })
    }
}
