//! Between words and tokens: tokenizers, chat templates, sampling, and the reading of what a model writes.
//!
//! ```text
//! messages, tools ─▶ template (Jinja) ─▶ border ─▶ tokenizer ─▶ prompt tokens ─▶ the network
//!                                                                                   │ logits
//! LlmEvent ◀─ reply (stream, markup, tool_calls) ◀─ token ◀─ sampler ◀─ constraint ◀┘
//! ```
//!
//! [`ChatText`] is all of it for one model; [`ChatText::encode`] begins a reply, a [`ReplyReader`] reads
//! it, a [`Constraint`] and a [`Sampler`] stand between the logits and the next token:
//!
//! ```text
//! let prompt = text.encode(&messages, &tools)?;
//! let mut reader = text.reader(&prompt, settings);
//! let mut constraint = text.tool_constraint(&tools)?;
//! loop {
//!     logits of the last token → constraint.mask → sampler.choose → token
//!     events of reader.push(token); constraint.accept(token, &reader)
//!     until reader.has_ended() or a limit
//! }
//! events of reader.finish()
//! ```
//!
//! Everything here is pure but for reading files: no thread, no network, no clock (a template may ask
//! for the date).

mod border;
mod constraint;
mod files;
#[cfg(test)]
mod golden;
mod markup;
mod random;
mod reply;
mod sampler;
mod stream;
mod template;
mod tokenizer;
mod tool_calls;

pub use constraint::{Constraint, ConstraintError, Vocabulary};
pub use random::SplitMix64;
pub use reply::{ReplyReader, ReplySettings};
pub use sampler::{BadSampling, NothingToChoose, Sampler, Sampling};
pub use stream::{StopStrings, Utf8Pieces};
pub use template::{ChatTemplate, Conversation};
pub use tokenizer::{AddedToken, AddedTokens, ParseSpecial, SpecialNames, TokenKind, Tokenizer};
pub use tool_calls::{CallFormat, CallIds, MALFORMED_CALL};

use std::path::Path;
use std::sync::{Arc, OnceLock};

use border::Bordered;

use super::checkpoint::EmbeddedVocabulary;
use crate::engines::{ChatMessage, ReplyForm, ToolSpec};

/// Why a model's words cannot be handled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TextError {
    /// A file of the model is missing or broken.
    #[error("{place}: {problem}; {remedy}")]
    Load {
        /// The file or folder.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The chat template does not take this conversation.
    #[error("{place}: its chat template does not take this conversation: {problem}")]
    Template {
        /// Where the template is from.
        place: String,
        /// What it says.
        problem: String,
    },
    /// A text could not be encoded.
    #[error("a text could not be turned into tokens: {0}")]
    Encode(String),
}

/// Everything between words and tokens of one model. Shared by its sessions.
#[derive(Debug)]
pub struct ChatText {
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    call_format: Option<CallFormat>,
    vocabulary: OnceLock<Result<Arc<Vocabulary>, ConstraintError>>,
}

/// What a model is asked, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The conversation, up to the beginning of the reply.
    pub tokens: Vec<u32>,
    /// The template made the reply begin with a thought.
    pub begins_in_thought: bool,
    /// Tools may be called.
    pub has_tools: bool,
}

impl ChatText {
    /// Reads the tokenizer and the chat template of a model's folder.
    pub fn from_folder(folder: &Path) -> Result<ChatText, TextError> {
        let template = match ChatTemplate::from_folder(folder)? {
            Some(template) => template,
            None => ChatTemplate::chatml()?,
        };
        Ok(Self::new(Tokenizer::from_folder(folder)?, template))
    }

    /// Reads what a GGUF file carries; `place` names the file in errors.
    pub fn from_embedded(vocabulary: &EmbeddedVocabulary, place: &str) -> Result<ChatText, TextError> {
        let template = match &vocabulary.chat_template {
            Some(source) => ChatTemplate::new(source, place)?,
            None => ChatTemplate::chatml()?,
        };
        Ok(Self::new(Tokenizer::from_embedded(vocabulary, place)?, template))
    }

    /// A tokenizer and the template that goes with it.
    pub fn new(tokenizer: Tokenizer, template: ChatTemplate) -> ChatText {
        let call_format = CallFormat::of_template(template.source());
        ChatText { tokenizer: Arc::new(tokenizer), template, call_format, vocabulary: OnceLock::new() }
    }

    /// The prompt of a conversation: thinking off, ready for the reply. What people, tools and the model
    /// said becomes ordinary text, whatever it looks like.
    pub fn encode(&self, messages: &[ChatMessage], tools: &[ToolSpec]) -> Result<Prompt, TextError> {
        let conversation = Conversation {
            messages,
            tools,
            enable_thinking: false,
            add_generation_prompt: true,
            names: self.tokenizer.names(),
        };
        let say = |content: &str| border::mark(content, self.tokenizer.added());
        let rendered = Bordered::read(&self.template.render(conversation, &say)?);
        let mut tokens = self.tokenizer.encode_bordered(&rendered)?;
        if let Some(bos) = self.tokenizer.bos().filter(|_| self.tokenizer.adds_bos())
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        Ok(Prompt {
            tokens,
            begins_in_thought: rendered.text.trim_end().ends_with("<think>"),
            has_tools: !tools.is_empty() && self.call_format.is_some(),
        })
    }

    /// Begins to read the reply to a prompt. `call_id_seed`: another one for every reply.
    pub fn reader(&self, prompt: &Prompt, stop: &[String], call_id_seed: u64) -> ReplyReader {
        let settings = ReplySettings {
            stop: stop.to_vec(),
            calls: self.call_format.filter(|_| prompt.has_tools),
            begins_in_thought: prompt.begins_in_thought,
            call_id_seed,
        };
        ReplyReader::new(Arc::clone(&self.tokenizer), &settings)
    }

    /// What keeps tool calls to `tools`; none without tools, or if the model's template knows none.
    pub fn tool_constraint(&self, tools: &[ToolSpec]) -> Result<Option<Constraint>, ConstraintError> {
        match self.call_format {
            Some(format) if !tools.is_empty() => Constraint::tool_calls(&self.vocabulary()?, format, tools),
            _ => Ok(None),
        }
    }

    /// What keeps the reply to a prompt to `form`; none where it is free.
    ///
    /// # Errors
    /// The model, or the schema, is not of a kind for which there is such a thing.
    pub fn bound(
        &self,
        form: &ReplyForm,
        prompt: &Prompt,
        tools: &[ToolSpec],
    ) -> Result<Option<Constraint>, ConstraintError> {
        let unfit = |why: &str| ConstraintError::Vocabulary(why.to_owned());
        if prompt.begins_in_thought && *form != ReplyForm::Free {
            return Err(unfit("the model thinks before it answers"));
        }
        match form {
            ReplyForm::Free => Ok(None),
            ReplyForm::Json(schema) => Constraint::json_schema(&self.vocabulary()?, schema).map(Some),
            ReplyForm::Call(name) => {
                let format = self.call_format.ok_or_else(|| unfit("its chat template knows no tools"))?;
                let wanted = |tool: &&ToolSpec| name.as_ref().is_none_or(|name| tool.name == *name);
                let tools: Vec<ToolSpec> = tools.iter().filter(wanted).cloned().collect();
                Constraint::call(&self.vocabulary()?, format, &tools).map(Some)
            }
        }
    }

    /// The vocabulary for constraints; built when it is first asked for.
    pub fn vocabulary(&self) -> Result<Arc<Vocabulary>, ConstraintError> {
        let build = || Vocabulary::new(Arc::clone(&self.tokenizer)).map(Arc::new);
        self.vocabulary.get_or_init(build).clone()
    }

    /// The tokenizer alone.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// How the model calls tools; none if its template has none.
    pub fn call_format(&self) -> Option<CallFormat> {
        self.call_format
    }
}

#[cfg(test)]
mod tests;
