//! The part of PocketSphinx's C interface (5prealpha, as Debian has it) that recognising whole
//! utterances needs, behind three safe types: [`Options`], [`FrontEnd`] and [`Decoder`].
//!
//! The front end and the decoder are used apart, and not through `ps_process_raw`, because only then
//! can cepstral means come from the whole utterance *and* the search be fed, and stopped, bit by bit.
//!
//! The library ends the process on an allocation failure and on utterances of more than
//! [`MAX_FRAMES`] frames; callers keep below. It has no other global state than its log, which is
//! turned off here.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
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
/// `arg_t`
#[repr(C)]
struct CArg {
    _opaque: [u8; 0],
}

unsafe extern "C" {
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

    fn ps_args() -> *const CArg;
    fn ps_init(options: *mut CCmdLn) -> *mut CDecoder;
    fn ps_free(decoder: *mut CDecoder) -> c_int;
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
