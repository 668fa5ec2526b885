//! Output that follows a grammar: JSON of a schema, a Lark grammar, or tool calls that exist.
//!
//! llguidance says after every token which tokens can come next; the others' logits become −∞, so that
//! every sampler setting keeps to the grammar. What it needs of a vocabulary, a trie of all tokens'
//! bytes, is built once per model ([`Vocabulary`]) and shared.
//!
//! Tool calls ([`Constraint::tool_calls`]): text is free until the model has begun a call; then it must
//! name one of the tools and give arguments that satisfy its schema, and close the call; then text is
//! free again. Or the reply must begin with one ([`Constraint::call`]). Keywords of a schema that llguidance does not know are ignored there: the tool checks
//! its arguments anyhow.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::reply::ReplyReader;
use super::tokenizer::{ParseSpecial, TokenKind, Tokenizer};
use super::tool_calls::CallFormat;
use crate::engines::ToolSpec;

/// Longer tokens (runs of blanks) are not used under a constraint; the trie has no room for them.
const MAX_TOKEN_BYTES: usize = 512;

/// Why output cannot be constrained.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConstraintError {
    /// The vocabulary lacks something.
    #[error("output cannot be constrained with this vocabulary: {0}")]
    Vocabulary(String),
    /// The schema or grammar is not supported.
    #[error("the grammar cannot be used: {0}; simplify the schema")]
    Grammar(String),
    /// A token was not allowed, or the grammar is too complex to follow.
    #[error("the grammar cannot be followed: {0}")]
    Following(String),
}

/// What llguidance knows of a model's tokens; shared by all constraints on that model.
pub struct Vocabulary {
    factory: ParserFactory,
    tokenizer: Arc<Tokenizer>,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("tokens", &self.tokenizer.vocab_size()).finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// Builds the trie: half a second for 151 k tokens.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Result<Vocabulary, ConstraintError> {
        let ends = tokenizer.ends();
        let Some(&end) = ends.first() else {
            return Err(ConstraintError::Vocabulary(
                "no token ends a reply; name it in eos_token".to_owned(),
            ));
        };
        let len = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let words: Vec<Vec<u8>> = (0..len).map(|id| word(&tokenizer, id)).collect();
        let mut trie = TokTrie::from(&TokRxInfo::new(len, end), &words);
        if ends.len() > 1 {
            trie = trie.with_eos_tokens(ends);
        }
        let env: TokEnv = Arc::new(Env { trie, tokenizer: Arc::clone(&tokenizer) });
        let mut factory = ParserFactory::new_simple(&env)
            .map_err(|error| ConstraintError::Vocabulary(error.to_string()))?;
        factory.quiet();
        // Verbose errors quote the output so far: what people talk about belongs in no log.
        factory.limits_mut().verbose_errors = false;
        Ok(Vocabulary { factory, tokenizer })
    }

    fn matcher(&self, grammar: TopLevelGrammar) -> Result<Matcher, ConstraintError> {
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(ConstraintError::Grammar(first_line(&error))),
            None => Ok(matcher),
        }
    }
}

/// The bytes of a token in the trie. Added tokens are marked: text never spells them.
fn word(tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
    let bytes = tokenizer.token_bytes(id);
    if bytes.len() > MAX_TOKEN_BYTES || bytes.is_empty() {
        return vec![];
    }
    match tokenizer.kind(id) {
        TokenKind::Text => bytes.to_vec(),
        TokenKind::Added | TokenKind::Control => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
    }
}

struct Env {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let ids = self.tokenizer.encode(text, ParseSpecial::No);
            ids.unwrap_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.tokenizer.is_byte_level()
    }
}

/// What one reply must keep to. A copy follows the grammar from where the original is.
#[derive(Clone)]
pub struct Constraint {
    vocabulary: Arc<Vocabulary>,
    /// Follows the grammar from its beginning.
    fresh: Matcher,
    /// Follows the grammar now; none in free text.
    current: Option<Matcher>,
    /// The grammar is that of one tool call, not of the whole reply.
    of_calls: bool,
    /// Behind the grammar's end text is free again; else the reply ends there.
    goes_on: bool,
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let active = self.current.is_some();
        f.debug_struct("Constraint").field("of_calls", &self.of_calls).field("active", &active).finish()
    }
}

impl Constraint {
    /// The whole reply is JSON of this schema.
    pub fn json_schema(vocabulary: &Arc<Vocabulary>, schema: &Value) -> Result<Constraint, ConstraintError> {
        Self::of_reply(vocabulary, TopLevelGrammar::from_json_schema(compact(schema, false)))
    }

    /// The whole reply follows a grammar in llguidance's dialect of Lark.
    pub fn lark(vocabulary: &Arc<Vocabulary>, grammar: &str) -> Result<Constraint, ConstraintError> {
        Self::of_reply(vocabulary, TopLevelGrammar::from_lark(grammar.to_owned()))
    }

    fn of_reply(
        vocabulary: &Arc<Vocabulary>,
        grammar: TopLevelGrammar,
    ) -> Result<Constraint, ConstraintError> {
        let fresh = vocabulary.matcher(grammar)?;
        let current = Some(fresh.clone());
        Ok(Constraint { vocabulary: Arc::clone(vocabulary), fresh, current, of_calls: false, goes_on: false })
    }

    /// Text is free; tool calls are calls of `tools`. None without tools.
    pub fn tool_calls(
        vocabulary: &Arc<Vocabulary>,
        format: CallFormat,
        tools: &[ToolSpec],
    ) -> Result<Option<Constraint>, ConstraintError> {
        if tools.is_empty() {
            return Ok(None);
        }
        let grammar = call_grammar(format, "", tools, &vocabulary.tokenizer);
        let fresh = vocabulary.matcher(TopLevelGrammar::from_lark(grammar))?;
        Ok(Some(Constraint {
            vocabulary: Arc::clone(vocabulary),
            fresh,
            current: None,
            of_calls: true,
            goes_on: format.close().is_some(),
        }))
    }

    /// The reply begins with a call of one of `tools`; behind it text is free, if there is any.
    pub fn call(
        vocabulary: &Arc<Vocabulary>,
        format: CallFormat,
        tools: &[ToolSpec],
    ) -> Result<Constraint, ConstraintError> {
        let open = match vocabulary.tokenizer.id_of(format.open()) {
            Some(id) => format!("<[{id}]> "),
            None => format!("{} ", literal(format.open())),
        };
        let grammar = call_grammar(format, &open, tools, &vocabulary.tokenizer);
        let fresh = vocabulary.matcher(TopLevelGrammar::from_lark(grammar))?;
        Ok(Constraint {
            vocabulary: Arc::clone(vocabulary),
            current: Some(fresh.clone()),
            fresh,
            of_calls: false,
            goes_on: format.close().is_some(),
        })
    }

    /// Sets the logits of tokens that cannot come next to −∞. `logits`: one per id, padding allowed.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let Some(matcher) = &mut self.current else { return Ok(()) };
        let allowed = match matcher.compute_mask_or_eos() {
            Ok(allowed) => allowed,
            Err(error) => return self.lose(error),
        };
        let mut words = allowed.as_slice().iter();
        for logits in logits.chunks_mut(u32::BITS as usize) {
            let word = words.next().copied().unwrap_or(0);
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word & (1 << bit) == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    /// A token was chosen and `reader` has read it.
    pub fn accept(&mut self, token: u32, reader: &ReplyReader) -> Result<(), ConstraintError> {
        if let Some(matcher) = &mut self.current {
            if let Err(error) = matcher.consume_token(token) {
                return self.lose(error);
            }
            if self.goes_on && matcher.is_stopped() {
                self.current = None;
            }
        } else if let Some(written) = reader.call_so_far() {
            let mut matcher = self.fresh.clone();
            // The token that completed the mark may have brought the beginning of the call.
            let already = self.vocabulary.tokenizer.encode(written, ParseSpecial::No);
            let begun = matcher.consume_tokens(&already.unwrap_or_default());
            self.current = Some(matcher);
            if let Err(error) = begun {
                return self.lose(error);
            }
        }
        Ok(())
    }

    /// Whether the reply is complete and nothing can follow.
    pub fn is_finished(&self) -> bool {
        self.current.as_ref().is_some_and(Matcher::is_stopped)
    }

    /// Whether the next token is bound.
    pub fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// The grammar was left. A tool call can still be read, or answered with an error; a reply that must
    /// keep to a schema cannot.
    fn lose(&mut self, error: impl std::fmt::Display) -> Result<(), ConstraintError> {
        let error = first_line(&error.to_string());
        if !self.of_calls {
            return Err(ConstraintError::Following(error));
        }
        tracing::warn!("a tool call goes on without its grammar: {error}");
        self.current = None;
        Ok(())
    }
}

/// One call of one of `tools`, from behind the opening mark to the closing one; `open`: what stands before, in
/// Lark.
fn call_grammar(format: CallFormat, open: &str, tools: &[ToolSpec], tokenizer: &Tokenizer) -> String {
    let frame = match (format, format.close()) {
        (CallFormat::Mistral, _) => format!("start: {open}\" \"? \"[\" call (\", \" call)* \"]\""),
        (_, None) => format!("start: {open}call"),
        (_, Some(close)) => match tokenizer.id_of(close) {
            Some(id) => format!("start: {open}\"\\n\"? call \"\\n\" <[{id}]>"),
            None => format!("start: {open}\"\\n\"? call {}", literal(&format!("\n{close}"))),
        },
    };
    let alternatives: Vec<String> = (0..tools.len()).map(|number| format!("call_{number}")).collect();
    let mut grammar = format!("{frame}\ncall: {}\n", alternatives.join(" | "));
    for (rule, tool) in alternatives.iter().zip(tools) {
        let name = Value::from(tool.name.as_str());
        let head = literal(&format!("{{\"name\": {name}, \"{}\": ", format.arguments_key()));
        grammar += &format!("{rule}: {head} {rule}_arguments \"}}\"\n");
        grammar += &format!("{rule}_arguments: %json {}\n", compact(&tool.parameters, true));
    }
    grammar
}

/// A Lark string literal.
fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

/// A schema for JSON with the spaces that chat templates show. Free white space would let a model
/// write blanks without end.
fn compact(schema: &Value, lenient: bool) -> Value {
    let mut schema = match schema {
        Value::Object(schema) => schema.clone(),
        _ => [("type".to_owned(), json!("object"))].into_iter().collect(),
    };
    let style = json!({
        "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
        "coerce_one_of": true, "lenient": lenient,
    });
    schema.insert("x-guidance".to_owned(), style);
    Value::Object(schema)
}

fn first_line(error: &str) -> String {
    error.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
