//! The decoder with its two language models: the general one, and the domain's, which changes with the
//! conversation.
//!
//! The dictionary that the decoder gets holds only words that a language model has, since it finds no
//! others: that saves memory and time. New words of a conversation come into it and stay; when they
//! are many, a fresh decoder is loaded. A conversation's model is kept for a while, so that sessions
//! about different things can take turns.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Instant;

use super::domain::Domain;
use super::ffi::{Decoder, LanguageModel, Logarithms, MemoryFile, Options, Refused, Utterance};
use super::files::{Files, LANGUAGE_WEIGHT};
use super::pronounce::entries;
use super::{NAME, failed, load_error};
use crate::engines::{EngineError, SpeechContext};

/// Conversations whose models are kept.
const MAX_KEPT: usize = 8;
/// New words before a fresh decoder is loaded.
const MAX_NEW_WORDS: usize = 8_000;
/// Part of the domain's weight where there are no facts: people then talk about anything.
const SHARE_WITHOUT_FACTS: f32 = 0.01;

/// A decoder that expects something.
pub struct Ear {
    files: Files,
    options: Options,
    logarithms: Logarithms,
    general: LanguageModel,
    decoder: Decoder,
    /// Of the domain; 0: there is none.
    weight: f32,
    /// Words that came into the dictionary.
    new_words: Vec<String>,
    /// The one in use first, then by their last use.
    kept: Vec<Kept>,
}

struct Kept {
    context: Arc<SpeechContext>,
    model: LanguageModel,
    spellings: HashMap<String, String>,
}

impl Ear {
    /// Loads the decoder. `weight`: 0…1, of the domain beside general English at 1.
    pub fn open(files: Files, weight: f32) -> Result<Ear, EngineError> {
        let refused = |Refused| files.refused();
        let logarithms = Logarithms::new().map_err(refused)?;
        let options = files.front_end_options()?;
        let general =
            LanguageModel::read(&options, &logarithms, &files.language_model()?).map_err(refused)?;
        let (options, decoder) = load_decoder(&files, &general)?;
        Ok(Ear { files, options, logarithms, general, decoder, weight, new_words: vec![], kept: vec![] })
    }

    /// Expects what this conversation is about. Quick if it was expected lately (10 ms), else it has to
    /// learn its words (some 100 ms).
    pub fn expect(&mut self, context: &Arc<SpeechContext>) -> Result<(), EngineError> {
        if self.weight == 0.0 {
            return Ok(());
        }
        let is_it = |kept: &Kept| Arc::ptr_eq(&kept.context, context) || kept.context == *context;
        match self.kept.iter().position(is_it) {
            Some(0) => Ok(()),
            Some(at) => {
                self.kept[..=at].rotate_right(1);
                self.use_first()
            }
            None => self.learn(context),
        }
    }

    /// How the facts spell a word of theirs that no dictionary has.
    pub fn spelling(&self, word: &str) -> Option<String> {
        self.kept.first()?.spellings.get(word).cloned()
    }

    /// Begins an utterance.
    pub fn utterance(&mut self) -> Result<Utterance<'_>, Refused> {
        self.decoder.utterance()
    }

    fn learn(&mut self, context: &Arc<SpeechContext>) -> Result<(), EngineError> {
        let began = Instant::now();
        if self.new_words.len() > MAX_NEW_WORDS {
            (self.options, self.decoder) = load_decoder(&self.files, &self.general)?;
            self.new_words.clear();
            self.kept.clear();
        }
        let refused = |Refused| failed("the decoder refused the words of the facts");
        let has_word = |word: &str| CString::new(word).is_ok_and(|word| self.decoder.has_word(&word));
        let mut domain = Domain::of(context, &self.files.dictionary()?, &has_word);

        // The decoder's search has room for exactly those words that its models have. So this one has
        // all words that any conversation brought, though those of others are never said in it.
        self.new_words.iter().for_each(|word| _ = domain.counts.number(word));
        let file = MemoryFile::new(&domain.counts.arpa())
            .map_err(|e| failed(format!("cannot keep a language model in memory: {e}")))?;
        let path = CString::new(file.path()).unwrap_or_default();
        let model = LanguageModel::read(&self.options, &self.logarithms, &path).map_err(refused)?;
        self.kept.insert(0, Kept { context: Arc::clone(context), model, spellings: domain.spellings });
        self.kept.truncate(MAX_KEPT);
        let words = dictionary_words(&domain.new_words);
        let ready = self.use_first().and_then(|()| self.decoder.add_words(&words).map_err(refused));
        if ready.is_err() {
            self.kept.clear();
        }
        ready?;
        let new_words = domain.new_words.len();
        self.new_words.extend(domain.new_words.into_iter().map(|(word, _)| word));
        let ms = began.elapsed().as_millis() as u64;
        tracing::debug!(engine = NAME, facts = context.facts.len(), new_words, ms, "knows what it is about");
        Ok(())
    }

    fn use_first(&mut self) -> Result<(), EngineError> {
        let Some(kept) = self.kept.first() else { return Ok(()) };
        let share = if kept.context.facts.is_empty() { SHARE_WITHOUT_FACTS } else { 1.0 };
        // A weight of probabilities; the library weighs them after it has raised them to this power.
        let weight = (self.weight * share).powf(LANGUAGE_WEIGHT);
        let refused = |Refused| failed("the decoder refused a language model");
        self.decoder.set_domain(&kept.model, weight).map_err(refused)
    }
}

/// A decoder with the words of the general model, and its options.
fn load_decoder(files: &Files, general: &LanguageModel) -> Result<(Options, Decoder), EngineError> {
    let refused = |Refused| files.refused();
    let is_heard = |word: &str| CString::new(word).is_ok_and(|word| general.knows(&word));
    let full = files.dictionary()?;
    let lines = full.lines().filter(|line| entries(line).any(|(word, _)| is_heard(word)));
    let mut dictionary = String::with_capacity(full.len());
    lines.for_each(|line| {
        dictionary.push_str(line);
        dictionary.push('\n');
    });
    let dictionary = MemoryFile::new(&dictionary)
        .map_err(|e| load_error(format!("cannot keep a dictionary in memory: {e}")))?;
    let options = files.decoder_options(&dictionary.path())?;
    let mut decoder = Decoder::load(&options).map_err(refused)?;
    decoder.search_with(&options, general).map_err(refused)?;
    Ok((options, decoder))
}

/// `word`, `word(2)`, … with their phones.
fn dictionary_words(words: &[(String, Vec<String>)]) -> Vec<(CString, CString)> {
    let numbered = words.iter().flat_map(|(word, ways)| {
        ways.iter().enumerate().map(move |(n, phones)| match n {
            0 => (word.clone(), phones),
            n => (format!("{word}({})", n + 1), phones),
        })
    });
    // Words and phones hold no NUL, so nothing is lost here.
    numbered
        .filter_map(|(word, phones)| Some((CString::new(word).ok()?, CString::new(phones.as_str()).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn ear() -> Ear {
        let files = Files::check(&Config::default().asr.pocketsphinx_model_dir).unwrap();
        Ear::open(files, 0.5).unwrap()
    }

    fn context(fact: &str) -> Arc<SpeechContext> {
        Arc::new(SpeechContext { facts: vec![fact.into()], ..SpeechContext::default() })
    }

    #[test]
    fn the_models_of_the_latest_conversations_are_kept() {
        let mut ear = ear();
        let contexts: Vec<Arc<SpeechContext>> =
            (0..=MAX_KEPT).map(|n| context(&format!("There are {n} rooms"))).collect();
        for context in &contexts {
            ear.expect(context).unwrap();
        }
        assert_eq!(ear.kept.len(), MAX_KEPT);
        ear.expect(&contexts[1]).unwrap();
        let order: Vec<Option<usize>> =
            ear.kept.iter().map(|kept| contexts.iter().position(|c| *c == kept.context)).collect();
        // The first is gone; the second was the oldest and is now the one in use.
        let want: Vec<Option<usize>> = [1].into_iter().chain((2..=MAX_KEPT).rev()).map(Some).collect();
        assert_eq!(order, want);
    }

    #[test]
    fn a_fresh_decoder_is_loaded_when_there_were_too_many_words() {
        let mut ear = ear();
        ear.expect(&context("Ask Zorbane")).unwrap();
        let usual = ear.new_words.len();
        ear.expect(&context("Ask Quabbit")).unwrap();
        // The word and its possessive; what is usual is known by now.
        assert_eq!(ear.new_words.len(), usual + 2);
        ear.new_words.extend((0..MAX_NEW_WORDS).map(|n| format!("zab{n}")));
        ear.expect(&context("See Zorbane")).unwrap();
        assert_eq!(ear.new_words.len(), usual);
        assert_eq!(ear.kept.len(), 1);
        assert!(ear.decoder.has_word(c"zorbane") && !ear.decoder.has_word(c"quabbit"));
    }

    #[test]
    fn without_weight_nothing_is_learned() {
        let files = Files::check(&Config::default().asr.pocketsphinx_model_dir).unwrap();
        let mut ear = Ear::open(files, 0.0).unwrap();
        ear.expect(&context("Ask Zorbane")).unwrap();
        assert!(ear.kept.is_empty() && !ear.decoder.has_word(c"zorbane"));
        assert_eq!(ear.spelling("zorbane"), None);
    }
}
