//! Speech recognition by PocketSphinx (US English), one whole utterance per call.
//!
//! It expects what the conversation is about: beside its general language model stands a small one of
//! usual questions and the words of the facts, whose unknown words come into its dictionary.
//!
//! - `spoken`, `numbers`: a fact's text as it is said;
//! - `nouns`: the things and names in it;
//! - `phrases`: those in the gaps of usual questions → counts;
//! - `ngram`: counts → a language model;
//! - `pronounce`: new words → phones;
//! - `domain`: all of these for one conversation;
//! - `ear`: the decoder with both language models;
//! - `files`: the model's files and the library's options; `ffi`: the library.
//!
//! Whole, because the cepstral mean over all of it makes recognition clearly better than a mean that
//! is learned on the way. The mean is therefore taken here, and the frames are then fed to the search
//! in slices, between which a cancel is noticed (20 ms of work; then the second pass runs once over
//! what has been fed: 40 to 100 ms for 3 s of audio, up to 0.7 s for 11 s). Nothing of an utterance is
//! kept for the next: the noise estimate of the front end and the search start afresh.
//!
//! Not here: interim results, confidence, times of words. No level is normalised and no dither added:
//! neither changed the error rate between 2 % and 180 % of the recorded level.

mod domain;
mod ear;
mod ffi;
mod files;
mod ngram;
mod nouns;
mod numbers;
mod phrases;
mod pronounce;
mod spoken;

use std::sync::Arc;

use super::{
    Asr, AsrRequest, AsrState, CancelToken, EngineError, INPUT_RATE_HZ, SpeechContext, Transcript,
    forbid_executor_thread,
};
use crate::config::Config;
use ear::Ear;
use ffi::{CEPSTRUM_LEN, Cepstrum, FrontEnd, Refused};
use files::Files;
use pronounce::base_of;

/// The name in `config.yml`.
pub const NAME: &str = "pocketsphinx";

/// Frames (10 ms each) between two looks at the cancel token.
const SLICE_FRAMES: usize = 10;
/// Frames that the library's deltas look ahead; so many copies of the last frame end an utterance.
const DELTA_FRAMES: usize = 3;
/// Longer audio is cut at its quietest moment between these two lengths.
const MIN_WINDOW_SAMPLES: usize = 20 * INPUT_RATE_HZ as usize;
const MAX_WINDOW_SAMPLES: usize = 30 * INPUT_RATE_HZ as usize;
/// What counts as a moment: 200 ms.
const MOMENT_SAMPLES: usize = INPUT_RATE_HZ as usize / 5;

/// One worker's decoder, with its own copy of the search (about 100 MB).
pub struct PocketSphinx {
    front_end: FrontEnd,
    ear: Ear,
    /// Expected when nothing is known of a conversation.
    no_context: Arc<SpeechContext>,
}

impl PocketSphinx {
    /// Loads the model in `asr.pocketsphinx_model_dir`, learns the words of the persona, and recognises a
    /// moment of noise to warm up.
    pub fn load(config: &Config) -> Result<PocketSphinx, EngineError> {
        let files = Files::check(&config.asr.pocketsphinx_model_dir)?;
        let front_end = FrontEnd::new(&files.front_end_options()?).map_err(|Refused| files.refused())?;
        let ear = Ear::open(files, config.asr.pocketsphinx_domain_weight)?;
        let mut engine = PocketSphinx { front_end, ear, no_context: Arc::default() };
        let context = Arc::new(SpeechContext::of(&config.persona));
        engine.ear.expect(&context).map_err(|e| load_error(e.to_string()))?;
        engine.recognise(&warm_up_noise(), &CancelToken::new()).map_err(|e| load_error(e.to_string()))?;
        Ok(engine)
    }

    /// Recognises audio of at most [`MAX_WINDOW_SAMPLES`].
    fn recognise(&mut self, pcm: &[i16], cancel: &CancelToken) -> Result<String, EngineError> {
        let refused = |Refused| failed("the decoder refused the audio; see that it is 16 kHz speech");
        let mut cepstra = self.front_end.cepstra(pcm).map_err(refused)?;
        let Some(&last) = cepstra.last() else {
            return Ok(String::new()); // only silence
        };
        cepstra.extend([last; DELTA_FRAMES]);
        subtract_mean(&mut cepstra);
        let mut utterance = self.ear.utterance().map_err(refused)?;
        for slice in cepstra.chunks_mut(SLICE_FRAMES) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            utterance.feed(slice).map_err(refused)?;
        }
        let hypothesis = utterance.finish().map_err(refused)?;
        Ok(words_of(&hypothesis.unwrap_or_default(), &|word| self.ear.spelling(word)))
    }
}

impl Asr for PocketSphinx {
    /// The language is only a wish, and this model knows English only.
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        _: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("PocketSphinx::transcribe");
        let mut texts = vec![];
        let mut rest = request.pcm;
        if !rest.is_empty() && !cancel.is_cancelled() {
            self.ear.expect(request.context.unwrap_or(&self.no_context))?;
        }
        while !rest.is_empty() {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let (window, later) = rest.split_at(window_len(rest));
            texts.push(self.recognise(window, cancel)?);
            rest = later;
        }
        texts.retain(|text| !text.is_empty());
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        Ok(Transcript { text: texts.join(" "), language: Some("en".into()) })
    }
}

fn load_error(message: String) -> EngineError {
    EngineError::Load { engine: NAME, message }
}

fn failed(message: impl Into<String>) -> EngineError {
    EngineError::Failed { engine: NAME, code: "asr_failed", message: message.into() }
}

/// Takes the mean of each coefficient off all frames, as the library does for whole utterances: frames
/// without energy (C0 below 0) do not count.
fn subtract_mean(cepstra: &mut [Cepstrum]) {
    let mut sum = [0.0f32; CEPSTRUM_LEN];
    let mut count = 0.0;
    for frame in cepstra.iter().filter(|frame| frame[0] >= 0.0) {
        count += 1.0;
        for (sum, value) in sum.iter_mut().zip(frame) {
            *sum += value;
        }
    }
    if count == 0.0 {
        return;
    }
    for frame in cepstra {
        for (value, sum) in frame.iter_mut().zip(&sum) {
            *value -= sum / count;
        }
    }
}

/// How much of `pcm` is recognised at once.
fn window_len(pcm: &[i16]) -> usize {
    if pcm.len() <= MAX_WINDOW_SAMPLES {
        return pcm.len();
    }
    let energy = |moment: &[i16]| moment.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum::<u64>();
    let candidates = pcm[MIN_WINDOW_SAMPLES..MAX_WINDOW_SAMPLES].chunks_exact(MOMENT_SAMPLES).enumerate();
    let quietest = candidates.min_by_key(|(_, moment)| energy(moment)).map_or(0, |(n, _)| n);
    MIN_WINDOW_SAMPLES + quietest * MOMENT_SAMPLES + MOMENT_SAMPLES / 2
}

/// The words of a hypothesis: without fillers (`<sil>`, `[NOISE]`, `++COUGH++`), without the number of
/// a pronunciation (`the(2)`), with "I" as English writes it and others as `spelling` has them.
fn words_of(hypothesis: &str, spelling: &dyn Fn(&str) -> Option<String>) -> String {
    let is_filler = |word: &str| word.starts_with(['<', '[']) || word.starts_with("++");
    let words = hypothesis.split_whitespace().filter(|word| !is_filler(word)).map(|word| {
        let word = base_of(word);
        match spelling(word) {
            Some(spelling) => spelling,
            None if word == "i" || word.starts_with("i'") => word.replacen('i', "I", 1),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Half a second of noise, loud enough not to be taken for silence.
fn warm_up_noise() -> Vec<i16> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) as i16) / 4
    };
    (0..INPUT_RATE_HZ / 2).map(|n| if n < 4_000 { 0 } else { next() }).collect()
}

#[cfg(test)]
mod tests;
