//! `vivavoce ask TEXT`: the configured language model, without speech.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use crate::config::Config;
use crate::engines::{
    CancelToken, ChatMessage, EngineError, Llm, LlmEvent, LlmRequest, LlmState, Role, load_llm,
};

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
}

impl Conversation {
    fn begin(config: &Config) -> Result<Conversation, EngineError> {
        Ok(Conversation {
            llm: load_llm(config)?,
            state: LlmState::default(),
            messages: vec![ChatMessage::new(Role::System, config.persona.prompt())],
            max_new_tokens: config.llm.max_new_tokens,
        })
    }

    fn turn(&mut self, said: &str, stats: bool, out: &mut dyn Write) -> Result<(), AskError> {
        self.messages.push(ChatMessage::new(Role::User, said));
        let request = LlmRequest {
            messages: self.messages.clone(),
            tools: Vec::new(),
            max_new_tokens: self.max_new_tokens,
        };
        let began = Instant::now();
        let (mut reply, mut first, mut written) = (String::new(), None, Ok(()));
        let sink = &mut |event| {
            if let LlmEvent::Text(piece) = event {
                first.get_or_insert_with(|| began.elapsed());
                written = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
                reply += &piece;
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let result = self.llm.generate(&request, &mut self.state, &CancelToken::new(), sink);
        written?;
        let usage = result?;
        writeln!(out)?;
        if stats {
            let (first, all) = (first.unwrap_or_default(), began.elapsed());
            let (read, wrote) = (usage.input_tokens, usage.output_tokens);
            writeln!(out, "[{read} tokens in, first out after {first:.1?}, {wrote} in {all:.1?}]")?;
        }
        self.messages.push(ChatMessage::new(Role::Assistant, reply));
        Ok(())
    }
}
