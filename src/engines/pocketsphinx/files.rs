//! The model's files, and the library's options for them.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::ffi::{Options, Refused};
use super::load_error;
use crate::engines::EngineError;

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

/// The power to which the search raises a language model's probabilities (the library's default).
pub const LANGUAGE_WEIGHT: f32 = 6.5;

/// The model's files, seen to be there: the library would end the process over some that are not.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    pub const ACOUSTIC: &'static str = "en-us";
    pub const DICTIONARY: &'static str = "cmudict-en-us.dict";
    pub const LANGUAGE: &'static str = "en-us.lm.bin";
    pub const ACOUSTIC_FILES: [&'static str; 7] =
        ["mdef", "feat.params", "means", "variances", "transition_matrices", "sendump", "noisedict"];

    /// Looks for them all in `dir`.
    pub fn check(dir: &Path) -> Result<Files, EngineError> {
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
        Ok(Files { dir: dir.to_owned() })
    }

    /// The library refused them.
    pub fn refused(&self) -> EngineError {
        load_error(format!(
            "cannot load the model in {}; reinstall it (apt-get install --reinstall pocketsphinx-en-us)",
            self.dir.display()
        ))
    }

    /// The text of the whole dictionary.
    pub fn dictionary(&self) -> Result<String, EngineError> {
        let file = self.dir.join(Self::DICTIONARY);
        std::fs::read_to_string(&file).map_err(|e| load_error(format!("cannot read {}: {e}", file.display())))
    }

    /// The path of the general language model.
    pub fn language_model(&self) -> Result<CString, EngineError> {
        CString::new(self.path(Self::LANGUAGE)?).map_err(|_| self.refused())
    }

    /// Options without a dictionary.
    pub fn front_end_options(&self) -> Result<Options, EngineError> {
        Options::parse(&self.pairs()?).map_err(|Refused| self.refused())
    }

    /// Options with the dictionary in the file `dictionary`, and no language model.
    pub fn decoder_options(&self, dictionary: &str) -> Result<Options, EngineError> {
        let mut pairs = self.pairs()?;
        pairs.push(("-dict".into(), dictionary.into()));
        Options::parse(&pairs).map_err(|Refused| self.refused())
    }

    fn path(&self, file: &str) -> Result<String, EngineError> {
        let path = self.dir.join(file);
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| load_error(format!("the path {} is not UTF-8", path.display())))
    }

    /// The library's options. The model's own (`feat.params`) are read here and not by the library, so
    /// that its cepstral mean normalisation can be replaced by ours.
    fn pairs(&self) -> Result<Vec<(String, String)>, EngineError> {
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
        set("-hmm", self.path(Self::ACOUSTIC)?);
        set("-lw", LANGUAGE_WEIGHT.to_string());
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
