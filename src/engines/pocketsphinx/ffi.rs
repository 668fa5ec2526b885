//! The part of PocketSphinx's C interface (5prealpha, as Debian has it) that recognising whole
//! utterances and changing the language model need, behind safe types: [`Options`], [`FrontEnd`],
//! [`LanguageModel`] and [`Decoder`].
//!
//! The front end and the decoder are used apart, and not through `ps_process_raw`, because only then
//! can cepstral means come from the whole utterance *and* the search be fed, and stopped, bit by bit.
//!
//! The library ends the process on an allocation failure and on utterances of more than
//! [`MAX_FRAMES`] frames; callers keep below. It has no other global state than its log, which is
//! turned off here.
//!
//! How the language models hang together: a *set* of models can be asked like one model. The decoder's
//! search makes a set around the model it is given, and that outer set is where a second model, the
//! *domain*, is put in and taken out. The general model stands in an inner set of its own, because a set
//! has a word for unknown words: into a model without one the library would write every word that comes
//! into the dictionary.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null, null_mut};
use std::sync::Once;

/// Cepstral coefficients per frame.
pub const CEPSTRUM_LEN: usize = 13;
/// One frame of the front end's output: C0…C12.
pub type Cepstrum = [f32; CEPSTRUM_LEN];
/// Frames that one utterance may have (160 s). The library's own limit is twice that; its buffer
/// doubles as it grows, and beyond the limit it ends the process.
pub const MAX_FRAMES: usize = 16_000;

/// What the library refused. It tells no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Options as on PocketSphinx's command line, checked.
pub struct Options(NonNull<CCmdLn>);

// SAFETY: never changed after parsing. References to it are counted without locks; as with
// `LanguageModel`, all who hold one belong to one engine.
unsafe impl Send for Options {}

impl Options {
    /// Parses name–value pairs such as `("-hmm", "folder")`. Of two with the same name the later
    /// counts; names that the library does not know are passed over (a model's own file has some).
    pub fn parse(pairs: &[(String, String)]) -> Result<Options, Refused> {
        static QUIET: Once = Once::new();
        // SAFETY: both functions only set a global pointer, before anything else of the library runs.
        QUIET.call_once(|| unsafe {
            err_set_logfp(null_mut());
            err_set_callback(None, null_mut());
        });
        let strings: Vec<CString> = pairs
            .iter()
            .flat_map(|(name, value)| [name, value])
            .map(|s| CString::new(s.as_str()).map_err(|_| Refused))
            .collect::<Result<_, _>>()?;
        let pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
        // SAFETY: `argc` strings that live through the call, which copies them. `ps_args` is static.
        let options =
            unsafe { cmd_ln_parse_r(null_mut(), ps_args(), pointers.len() as c_int, pointers.as_ptr(), 0) };
        NonNull::new(options).map(Options).ok_or(Refused)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: our reference; front end and decoder hold their own.
        unsafe { cmd_ln_free_r(self.0.as_ptr()) };
    }
}

/// Samples → cepstra.
pub struct FrontEnd(NonNull<CFrontEnd>);

// SAFETY: the object has no thread-bound state; `&mut self` keeps its use to one thread at a time.
unsafe impl Send for FrontEnd {}

impl FrontEnd {
    /// A front end with these options.
    pub fn new(options: &Options) -> Result<FrontEnd, Refused> {
        // SAFETY: the options live; the front end takes a reference of its own.
        let front_end = NonNull::new(unsafe { fe_init_auto_r(options.0.as_ptr()) }).ok_or(Refused)?;
        let front_end = FrontEnd(front_end);
        // SAFETY: a living front end. `cepstra` relies on the size.
        let size = unsafe { fe_get_output_size(front_end.0.as_ptr()) };
        if usize::try_from(size) == Ok(CEPSTRUM_LEN) { Ok(front_end) } else { Err(Refused) }
    }

    /// The frames of one whole utterance; nothing is left for the next. Silence may be left out.
    pub fn cepstra(&mut self, samples: &[i16]) -> Result<Vec<Cepstrum>, Refused> {
        let front_end = self.0.as_ptr();
        let mut unread = samples.as_ptr();
        let mut unread_len = samples.len();
        let mut frames: c_int = 0;
        // SAFETY: with a NULL buffer it only tells in `frames` how many frames there can be. The start
        // of a stream forgets the noise estimate, that of an utterance the samples carried over.
        unsafe {
            fe_start_stream(front_end);
            if fe_start_utt(front_end) < 0
                || fe_process_frames(
                    front_end,
                    null_mut(),
                    &mut unread_len,
                    null_mut(),
                    &mut frames,
                    null_mut(),
                ) < 0
            {
                return Err(Refused);
            }
        }
        // One more for the incomplete frame at the end.
        let mut cepstra = vec![[0.0; CEPSTRUM_LEN]; usize::try_from(frames).map_err(|_| Refused)? + 1];
        let mut rows: Vec<*mut f32> = cepstra.iter_mut().map(|row| row.as_mut_ptr()).collect();
        let mut tail: c_int = 0;
        // SAFETY: `frames` rows of CEPSTRUM_LEN floats to write to, `unread_len` samples to read from;
        // it writes `frames` rows at most and leaves the number it wrote. The row behind them exists.
        unsafe {
            if fe_process_frames(
                front_end,
                &mut unread,
                &mut unread_len,
                rows.as_mut_ptr(),
                &mut frames,
                null_mut(),
            ) < 0
            {
                return Err(Refused);
            }
            let row = usize::try_from(frames).ok().and_then(|n| rows.get(n)).ok_or(Refused)?;
            if fe_end_utt(front_end, *row, &mut tail) < 0 {
                return Err(Refused);
            }
        }
        cepstra.truncate((frames + tail) as usize);
        Ok(cepstra)
    }
}

impl Drop for FrontEnd {
    fn drop(&mut self) {
        // SAFETY: ours, and not used afterwards.
        unsafe { fe_free(self.0.as_ptr()) };
    }
}

/// The table of logarithms that language models calculate with.
pub struct Logarithms(NonNull<CLogarithms>);

// SAFETY: as for `FrontEnd`; see `LanguageModel` for the reference counts.
unsafe impl Send for Logarithms {}

impl Logarithms {
    /// With the decoder's own base; models of two bases could not be asked together.
    pub fn new() -> Result<Logarithms, Refused> {
        const BASE: f64 = 1.0001;
        // SAFETY: plain numbers: no shift, with a table.
        NonNull::new(unsafe { logmath_init(BASE, 0, 1) }).map(Logarithms).ok_or(Refused)
    }
}

impl Drop for Logarithms {
    fn drop(&mut self) {
        // SAFETY: our reference; models hold their own.
        unsafe { logmath_free(self.0.as_ptr()) };
    }
}

/// An n-gram model.
pub struct LanguageModel(NonNull<CLanguageModel>);

// SAFETY: as for `FrontEnd`. The library counts references without locks, so a model, its logarithms
// and the decoder that searches with it must move between threads together: they are fields of one
// engine, and nothing else holds them.
unsafe impl Send for LanguageModel {}

impl LanguageModel {
    /// Reads a model in the library's binary form or in ARPA text.
    ///
    /// The file must exist and be well-formed: on some broken ones the library ends the process.
    pub fn read(options: &Options, logarithms: &Logarithms, file: &CStr) -> Result<LanguageModel, Refused> {
        // SAFETY: living objects and a string; the model takes a reference to the logarithms. From the
        // options it takes the language weight.
        let model =
            unsafe { ngram_model_read(options.0.as_ptr(), file.as_ptr(), NGRAM_AUTO, logarithms.0.as_ptr()) };
        NonNull::new(model).map(LanguageModel).ok_or(Refused)
    }

    /// Whether the model has `word`.
    pub fn knows(&self, word: &CStr) -> bool {
        // SAFETY: a living model and a string.
        unsafe { ngram_wid(self.0.as_ptr(), word.as_ptr()) != ngram_unknown_wid(self.0.as_ptr()) }
    }
}

impl Drop for LanguageModel {
    fn drop(&mut self) {
        // SAFETY: our reference; sets hold their own.
        unsafe { ngram_model_free(self.0.as_ptr()) };
    }
}

/// A file in memory, for a library that reads files only.
pub struct MemoryFile(File);

impl MemoryFile {
    /// Holds `text`.
    pub fn new(text: &str) -> std::io::Result<MemoryFile> {
        use std::io::Write;
        // SAFETY: a string and no flags; what comes back, if it is not an error, is ours alone.
        let fd = unsafe {
            match memfd_create(c"vivavoce".as_ptr(), 0) {
                -1 => return Err(std::io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        let mut file = File::from(fd);
        file.write_all(text.as_bytes())?;
        Ok(MemoryFile(file))
    }

    /// A path under which this process can open it while it lives.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// Cepstra → words.
pub struct Decoder(NonNull<CDecoder>);

// SAFETY: as for `FrontEnd`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Loads the models. Files that are missing or broken can end the process: check them before.
    pub fn load(options: &Options) -> Result<Decoder, Refused> {
        // SAFETY: the options live; the decoder takes a reference of its own.
        NonNull::new(unsafe { ps_init(options.0.as_ptr()) }).map(Decoder).ok_or(Refused)
    }

    /// Searches for the words of `general` that are in the dictionary. To be called once, before the
    /// first utterance; the options must not name a language model.
    pub fn search_with(&mut self, options: &Options, general: &LanguageModel) -> Result<(), Refused> {
        let mut models = [general.0.as_ptr()];
        let mut names = [GENERAL.as_ptr().cast_mut()];
        // SAFETY: living objects, one model with one name. The set takes a reference to the model and
        // the search one to the set, so that ours can be given back.
        let (added, chosen) = unsafe {
            let set =
                ngram_model_set_init(options.0.as_ptr(), models.as_mut_ptr(), names.as_mut_ptr(), null(), 1);
            if set.is_null() {
                return Err(Refused);
            }
            let added = ps_set_lm(self.0.as_ptr(), SEARCH.as_ptr(), set);
            ngram_model_free(set);
            (added, ps_set_search(self.0.as_ptr(), SEARCH.as_ptr()))
        };
        if added < 0 || chosen < 0 { Err(Refused) } else { Ok(()) }
    }

    /// Asks `domain` beside the general model from now on, in place of the domain before.
    ///
    /// What the two say of a word w after the words h is log Σ weight · p(w | h)^L with the language
    /// weight L, the general model's weight being 1: nearly the larger of p(w | h) and
    /// weight^(1/L) · p(w | h), not a mixture that adds up to 1.
    ///
    /// The model must have a word `<UNK>`. Words of it that are not in the dictionary are not found.
    pub fn set_domain(&mut self, domain: &LanguageModel, weight: f32) -> Result<(), Refused> {
        let (names, weights) = ([GENERAL.as_ptr(), DOMAIN.as_ptr()], [1.0, weight]);
        // SAFETY: the set belongs to the search, and no utterance is under way, since it would borrow the
        // decoder. Taking a model out gives us the set's reference to it, putting one in gives the set
        // one of ours. The map from the set's words to the models' is reused, so `base.n_words`, on
        // which the search relies, does not change; it has room for two models when anything reads it.
        let mixed = unsafe {
            let set = ps_get_lm(self.0.as_ptr(), SEARCH.as_ptr());
            if set.is_null() {
                return Err(Refused);
            }
            if !ngram_model_set_lookup(set, DOMAIN.as_ptr()).is_null() {
                ngram_model_free(ngram_model_set_remove(set, DOMAIN.as_ptr(), 1));
            }
            let model = ngram_model_retain(domain.0.as_ptr());
            ngram_model_set_add(set, model, DOMAIN.as_ptr(), weight, 1);
            ngram_model_set_interp(set, names.as_ptr(), weights.as_ptr())
        };
        if mixed.is_null() { Err(Refused) } else { Ok(()) }
    }

    /// Whether `word` is in the dictionary.
    pub fn has_word(&self, word: &CStr) -> bool {
        // SAFETY: a living decoder and a string. The phones, if any, are ours to free.
        unsafe {
            let phones = ps_lookup_word(self.0.as_ptr(), word.as_ptr());
            let there = !phones.is_null();
            ckd_free(phones.cast());
            there
        }
    }

    /// Puts words with their phones (such as `T IY`) into the dictionary and into the search. A second
    /// pronunciation of `word` is called `word(2)` and comes after it. Slow: the search is made anew.
    ///
    /// No word may be there already, and a domain must have been set.
    pub fn add_words(&mut self, words: &[(CString, CString)]) -> Result<(), Refused> {
        for (n, (word, phones)) in words.iter().enumerate() {
            let is_last = c_int::from(n + 1 == words.len());
            // SAFETY: a living decoder and two strings, which are copied.
            if unsafe { ps_add_word(self.0.as_ptr(), word.as_ptr(), phones.as_ptr(), is_last) } < 0 {
                return Err(Refused);
            }
        }
        Ok(())
    }

    /// Begins an utterance, whose end is the drop of what it gives.
    pub fn utterance(&mut self) -> Result<Utterance<'_>, Refused> {
        // SAFETY: a living decoder; `Utterance` sees to it that the one before has ended.
        if unsafe { ps_start_utt(self.0.as_ptr()) } < 0 {
            return Err(Refused);
        }
        Ok(Utterance { decoder: self, frames: 0, ended: false })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: ours, and not used afterwards.
        unsafe { ps_free(self.0.as_ptr()) };
    }
}

/// An utterance that is being recognised.
pub struct Utterance<'a> {
    decoder: &'a mut Decoder,
    frames: usize,
    ended: bool,
}

impl Utterance<'_> {
    /// Searches through the next frames. The means must have been taken off them.
    pub fn feed(&mut self, cepstra: &mut [Cepstrum]) -> Result<(), Refused> {
        self.frames += cepstra.len();
        if self.frames >= MAX_FRAMES {
            return Err(Refused);
        }
        let mut rows: Vec<*mut f32> = cepstra.iter_mut().map(|row| row.as_mut_ptr()).collect();
        // SAFETY: an utterance has begun; as many rows as it is told, which it reads and may change.
        let searched =
            unsafe { ps_process_cep(self.decoder.0.as_ptr(), rows.as_mut_ptr(), rows.len() as c_int, 0, 0) };
        if searched < 0 { Err(Refused) } else { Ok(()) }
    }

    /// Ends the utterance: the words found, `None` if there are none.
    pub fn finish(mut self) -> Result<Option<String>, Refused> {
        self.end()?;
        let mut score: i32 = 0;
        // SAFETY: the text, if any, belongs to the decoder and lives until its next call; it is copied.
        let text = unsafe {
            let text = ps_get_hyp(self.decoder.0.as_ptr(), &mut score);
            if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
        };
        Ok(text)
    }

    fn end(&mut self) -> Result<(), Refused> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        // SAFETY: an utterance has begun and not yet ended.
        if unsafe { ps_end_utt(self.decoder.0.as_ptr()) } < 0 { Err(Refused) } else { Ok(()) }
    }
}

impl Drop for Utterance<'_> {
    fn drop(&mut self) {
        // A decoder that refuses to end an utterance refuses to begin the next; that is then reported.
        let _ = self.end();
    }
}

/// `cmd_ln_t`
#[repr(C)]
struct CCmdLn {
    _opaque: [u8; 0],
}
/// `fe_t`
#[repr(C)]
struct CFrontEnd {
    _opaque: [u8; 0],
}
/// `ps_decoder_t`
#[repr(C)]
struct CDecoder {
    _opaque: [u8; 0],
}
/// `ngram_model_t`
#[repr(C)]
struct CLanguageModel {
    _opaque: [u8; 0],
}
/// `logmath_t`
#[repr(C)]
struct CLogarithms {
    _opaque: [u8; 0],
}
/// `arg_t`
#[repr(C)]
struct CArg {
    _opaque: [u8; 0],
}

/// `NGRAM_AUTO`: whatever the file is.
const NGRAM_AUTO: c_int = 0;
/// Name of the one search.
const SEARCH: &CStr = c"words";
/// Name that a search gives to the model it is made with.
const GENERAL: &CStr = c"default";
/// Name of the model beside it.
const DOMAIN: &CStr = c"domain";

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;

    fn err_set_logfp(file: *mut c_void);
    fn err_set_callback(callback: Option<unsafe extern "C" fn()>, user_data: *mut c_void);
    fn cmd_ln_parse_r(
        update: *mut CCmdLn,
        definitions: *const CArg,
        argc: c_int,
        argv: *const *const c_char,
        strict: c_int,
    ) -> *mut CCmdLn;
    fn cmd_ln_free_r(options: *mut CCmdLn) -> c_int;

    fn fe_init_auto_r(options: *mut CCmdLn) -> *mut CFrontEnd;
    fn fe_free(front_end: *mut CFrontEnd) -> c_int;
    fn fe_get_output_size(front_end: *mut CFrontEnd) -> c_int;
    fn fe_start_stream(front_end: *mut CFrontEnd);
    fn fe_start_utt(front_end: *mut CFrontEnd) -> c_int;
    fn fe_process_frames(
        front_end: *mut CFrontEnd,
        samples: *mut *const i16,
        samples_len: *mut usize,
        cepstra: *mut *mut f32,
        frames: *mut c_int,
        first_frame: *mut c_int,
    ) -> c_int;
    fn fe_end_utt(front_end: *mut CFrontEnd, cepstrum: *mut f32, frames: *mut c_int) -> c_int;

    fn ckd_free(memory: *mut c_void);
    fn logmath_init(base: f64, shift: c_int, use_table: c_int) -> *mut CLogarithms;
    fn logmath_free(logarithms: *mut CLogarithms) -> c_int;
    fn ngram_model_read(
        options: *mut CCmdLn,
        file: *const c_char,
        format: c_int,
        logarithms: *mut CLogarithms,
    ) -> *mut CLanguageModel;
    fn ngram_model_retain(model: *mut CLanguageModel) -> *mut CLanguageModel;
    fn ngram_model_free(model: *mut CLanguageModel) -> c_int;
    fn ngram_wid(model: *mut CLanguageModel, word: *const c_char) -> i32;
    fn ngram_unknown_wid(model: *mut CLanguageModel) -> i32;
    fn ngram_model_set_init(
        options: *mut CCmdLn,
        models: *mut *mut CLanguageModel,
        names: *mut *mut c_char,
        weights: *const f32,
        models_len: i32,
    ) -> *mut CLanguageModel;
    fn ngram_model_set_lookup(set: *mut CLanguageModel, name: *const c_char) -> *mut CLanguageModel;
    fn ngram_model_set_add(
        set: *mut CLanguageModel,
        model: *mut CLanguageModel,
        name: *const c_char,
        weight: f32,
        reuse_map: c_int,
    ) -> *mut CLanguageModel;
    fn ngram_model_set_remove(
        set: *mut CLanguageModel,
        name: *const c_char,
        reuse_map: c_int,
    ) -> *mut CLanguageModel;
    fn ngram_model_set_interp(
        set: *mut CLanguageModel,
        names: *const *const c_char,
        weights: *const f32,
    ) -> *mut CLanguageModel;

    fn ps_args() -> *const CArg;
    fn ps_init(options: *mut CCmdLn) -> *mut CDecoder;
    fn ps_free(decoder: *mut CDecoder) -> c_int;
    fn ps_set_lm(decoder: *mut CDecoder, name: *const c_char, model: *mut CLanguageModel) -> c_int;
    fn ps_get_lm(decoder: *mut CDecoder, name: *const c_char) -> *mut CLanguageModel;
    fn ps_set_search(decoder: *mut CDecoder, name: *const c_char) -> c_int;
    fn ps_lookup_word(decoder: *mut CDecoder, word: *const c_char) -> *mut c_char;
    fn ps_add_word(
        decoder: *mut CDecoder,
        word: *const c_char,
        phones: *const c_char,
        update: c_int,
    ) -> c_int;
    fn ps_start_utt(decoder: *mut CDecoder) -> c_int;
    fn ps_process_cep(
        decoder: *mut CDecoder,
        cepstra: *mut *mut f32,
        frames: c_int,
        no_search: c_int,
        full_utterance: c_int,
    ) -> c_int;
    fn ps_end_utt(decoder: *mut CDecoder) -> c_int;
    fn ps_get_hyp(decoder: *mut CDecoder, best_score: *mut i32) -> *const c_char;
}
