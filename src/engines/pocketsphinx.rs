//! Speech recognition by PocketSphinx (US English), one whole utterance per call.
//!
//! Whole, because the cepstral mean over all of it makes recognition clearly better than a mean that
//! is learned on the way. The mean is therefore taken here, and the frames are then fed to the search
//! in slices, between which a cancel is noticed (20 ms of work; then the second pass runs once over
//! what has been fed: 40 to 100 ms for 3 s of audio, up to 0.7 s for 11 s). Nothing of an utterance is
//! kept for the next: the noise estimate of the front end and the search start afresh.
//!
//! Not here: interim results, confidence, times of words. No level is normalised and no dither added:
//! neither changed the error rate between 2 % and 180 % of the recorded level.

mod ffi;

use std::path::{Path, PathBuf};

use super::{Asr, CancelToken, EngineError, INPUT_RATE_HZ, Transcript, forbid_executor_thread};
use crate::config::Config;
use ffi::{CEPSTRUM_LEN, Cepstrum, Decoder, FrontEnd, Options, Refused};

const ENGINE: &str = "pocketsphinx";

/// Settings that differ from the library's defaults. Word error rate (WER) and processor time per
/// audio time (RTF), measured on 10 human recordings (121 words) and 20 sentences of flite (152):
///
/// | setting                                  | human WER, RTF | flite WER, RTF |
/// |------------------------------------------|----------------|----------------|
/// | defaults                                 | 28.1 %, 0.19   | 10.5 %, 0.11   |
/// | `maxhmmpf` 6000                          | 28.1 %, 0.15   | 10.5 %, 0.10   |
/// | `maxhmmpf` 3000                          | 38.8 %, 0.13   | 10.5 %, 0.10   |
/// | `fwdflatsfwin` 50                        | 28.1 %, 0.19   |  9.2 %, 0.11   |
/// | **both: 6000 and 50**                    | 28.1 %, 0.17   |  9.2 %, 0.12   |
/// | beams 1e-60                              | 28.1 %, 0.27   |  8.6 %, 0.17   |
/// | beams 1e-40                              | 37.2 %, 0.12   | 30.3 %, 0.08   |
/// | without the second pass (`fwdflat` no)   | 29.8 %, 0.16   | 17.1 %, 0.09   |
/// | without the lattice pass (`bestpath` no) | 31.4 %, 0.19   |  9.9 %, 0.12   |
/// | `ds` 2 (every second frame scored)       | 28.9 %, 0.16   | 13.2 %, 0.09   |
/// | `topn` 2                                 | 29.8 %, 0.16   | 14.5 %, 0.09   |
///
/// The last five rows were scored with `mister` and `mr` as two words, which makes their human figures
/// about 1.7 points too high. Few words, so a percent is chance; what is chosen bounds the work on hard audio, where there are
/// most competing words, and costs no accuracy.
const TUNING: [(&str, &str); 2] = [("-maxhmmpf", "6000"), ("-fwdflatsfwin", "50")];

/// Frames (10 ms each) between two looks at the cancel token.
const SLICE_FRAMES: usize = 10;
/// Frames that the library's deltas look ahead; so many copies of the last frame end an utterance.
const DELTA_FRAMES: usize = 3;
/// Longer audio is cut at its quietest moment between these two lengths.
const MIN_WINDOW_SAMPLES: usize = 20 * INPUT_RATE_HZ as usize;
const MAX_WINDOW_SAMPLES: usize = 30 * INPUT_RATE_HZ as usize;
/// What counts as a moment: 200 ms.
const MOMENT_SAMPLES: usize = INPUT_RATE_HZ as usize / 5;

/// One worker's decoder, with its own copy of the search (about 100 MB: a server with two
/// of them is larger by twice that than one without).
pub struct PocketSphinx {
    front_end: FrontEnd,
    decoder: Decoder,
}

impl PocketSphinx {
    /// Loads the model in `asr.pocketsphinx_model_dir` and recognises a moment of noise to warm up.
    pub fn load(config: &Config) -> Result<PocketSphinx, EngineError> {
        let model = Model::check(&config.asr.pocketsphinx_model_dir)?;
        let refused = |Refused| {
            load_error(format!(
                "cannot load the model in {}; reinstall it (apt-get install --reinstall pocketsphinx-en-us)",
                model.dir.display()
            ))
        };
        let options = Options::parse(&model.options()?).map_err(refused)?;
        let front_end = FrontEnd::new(&options).map_err(refused)?;
        let decoder = Decoder::load(&options).map_err(refused)?;
        let mut engine = PocketSphinx { front_end, decoder };
        engine.recognise(&warm_up_noise(), &CancelToken::new()).map_err(|e| load_error(e.to_string()))?;
        Ok(engine)
    }

    /// Recognises audio of at most [`MAX_WINDOW_SAMPLES`].
    fn recognise(&mut self, pcm: &[i16], cancel: &CancelToken) -> Result<String, EngineError> {
        let refused = |Refused| EngineError::Failed {
            engine: ENGINE,
            code: "asr_failed",
            message: "the decoder refused the audio; see that it is 16 kHz speech".into(),
        };
        let mut cepstra = self.front_end.cepstra(pcm).map_err(refused)?;
        let Some(&last) = cepstra.last() else {
            return Ok(String::new()); // only silence
        };
        cepstra.extend([last; DELTA_FRAMES]);
        subtract_mean(&mut cepstra);
        let mut utterance = self.decoder.utterance().map_err(refused)?;
        for slice in cepstra.chunks_mut(SLICE_FRAMES) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            utterance.feed(slice).map_err(refused)?;
        }
        let hypothesis = utterance.finish().map_err(refused)?;
        Ok(words_of(&hypothesis.unwrap_or_default()))
    }
}

impl Asr for PocketSphinx {
    /// `language` is only a wish, and this model knows English only.
    fn transcribe(
        &mut self,
        pcm: &[i16],
        _language: Option<&str>,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("PocketSphinx::transcribe");
        let mut texts = vec![];
        let mut rest = pcm;
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
    EngineError::Load { engine: ENGINE, message }
}

/// The model's files, seen to be there: the library would end the process over some that are not.
struct Model<'a> {
    dir: &'a Path,
}

impl Model<'_> {
    const ACOUSTIC: &'static str = "en-us";
    const DICTIONARY: &'static str = "cmudict-en-us.dict";
    const LANGUAGE: &'static str = "en-us.lm.bin";
    const ACOUSTIC_FILES: [&'static str; 7] =
        ["mdef", "feat.params", "means", "variances", "transition_matrices", "sendump", "noisedict"];

    fn check(dir: &Path) -> Result<Model<'_>, EngineError> {
        let acoustic = Self::ACOUSTIC_FILES.iter().map(|file| dir.join(Self::ACOUSTIC).join(file));
        for file in acoustic.chain([dir.join(Self::DICTIONARY), dir.join(Self::LANGUAGE)]) {
            readable(&file).map_err(|e| {
                load_error(format!(
                    "cannot read {}: {e}; install the model (apt-get install pocketsphinx-en-us) or set \
                     `asr.pocketsphinx_model_dir`",
                    file.display()
                ))
            })?;
        }
        Ok(Model { dir })
    }

    /// The library's options. The model's own (`feat.params`) are read here and not by the library, so
    /// that its cepstral mean normalisation can be replaced by ours.
    fn options(&self) -> Result<Vec<(String, String)>, EngineError> {
        let path = |path: PathBuf| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(load_error(format!("the path {} is not UTF-8", path.display()))),
        };
        let params_file = self.dir.join(Self::ACOUSTIC).join("feat.params");
        let params = std::fs::read_to_string(&params_file)
            .map_err(|e| load_error(format!("cannot read {}: {e}", params_file.display())))?;
        let params: Vec<&str> = params.split_whitespace().collect();
        let mut options: Vec<(String, String)> =
            params.as_chunks::<2>().0.iter().map(|[name, value]| ((*name).into(), (*value).into())).collect();
        let mut set = |name: &str, value: String| {
            options.retain(|(there, _)| there != name);
            options.push((name.into(), value));
        };
        set("-hmm", path(self.dir.join(Self::ACOUSTIC))?);
        set("-dict", path(self.dir.join(Self::DICTIONARY))?);
        set("-lm", path(self.dir.join(Self::LANGUAGE))?);
        set("-featparams", "/dev/null".into());
        set("-cmn", "none".into());
        for (name, value) in TUNING {
            set(name, value.into());
        }
        Ok(options)
    }
}

fn readable(file: &Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind, Read};
    match std::fs::File::open(file)?.read(&mut [0])? {
        0 => Err(Error::new(ErrorKind::UnexpectedEof, "the file is empty")),
        _ => Ok(()),
    }
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
/// a pronunciation (`the(2)`), and with "I" as English writes it.
fn words_of(hypothesis: &str) -> String {
    let is_filler = |word: &str| word.starts_with(['<', '[']) || word.starts_with("++");
    let words = hypothesis.split_whitespace().filter(|word| !is_filler(word)).map(|word| {
        let word = word.split_once('(').map_or(word, |(word, _)| word);
        if word == "i" || word.starts_with("i'") { word.replacen('i', "I", 1) } else { word.to_owned() }
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
