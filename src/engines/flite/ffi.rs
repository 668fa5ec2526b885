//! The part of flite 2.2's C interface that speaking needs, and two safe functions on it:
//! [`Voice::speak`] and [`phones_of`].
//!
//! Threads: flite's only global state on this path is written while a voice is registered (once,
//! under a lock here). Speaking reads the voice and writes to the utterance, which is ours alone:
//! `utt_init` links the voice's features instead of copying them, and values in the voice's feature
//! list and in the models are only read, or have the fixed reference count −1. The streaming
//! callback is therefore set on the utterance and never on the voice. What threads do share is
//! libc's `rand()`, from which the vocoder draws its noise: the same text sounds the same but is not
//! the same sample for sample.

#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_float, c_int, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null, null_mut};
use std::sync::OnceLock;

/// Sample rate of the voice, in Hz.
pub const VOICE_RATE_HZ: u32 = 16_000;
/// Samples per callback, at least: 40 ms.
const MIN_CALLBACK_SAMPLES: c_int = 640;
const STREAM_STOP: c_int = -1;
const STREAM_CONTINUE: c_int = 0;

/// What flite decided to say and when, known before its first sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// When each token of the text has been said, in s, in their order; 0 for one without sound.
    pub token_end_s: Vec<f32>,
    /// Names and ends (in s) of the phones; `pau` is a pause.
    pub phones: Vec<(String, f32)>,
}

/// What [`Voice::speak`] reports: one plan, then samples.
#[derive(Debug)]
pub enum Progress<'a> {
    /// First.
    Plan(Plan),
    /// The next samples at [`VOICE_RATE_HZ`].
    Samples(&'a [i16]),
}

/// flite could not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakFailed;

/// The voice `slt`, registered once per process and never freed.
#[derive(Debug, Clone, Copy)]
pub struct Voice(NonNull<CVoice>);

// SAFETY: the voice is never changed or freed after registration, and speaking with it only reads it
// (see the head of this file).
unsafe impl Send for Voice {}
// SAFETY: as above.
unsafe impl Sync for Voice {}

impl Voice {
    /// Registers the voice, or gives the one that is.
    pub fn slt() -> Option<Voice> {
        library().voice
    }

    /// Speaks `text` until its end or a `Break`; both are `Ok`.
    ///
    /// The text must be what `text::clean` gives: flite's analysis overruns its buffers on long runs
    /// of punctuation and recurses once per character of a long mixed token.
    pub fn speak(
        self,
        text: &CStr,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(), SpeakFailed> {
        let mut listener = Listener { on_progress, planned: false, panic: None };
        // SAFETY: the utterance is created, used and deleted here. Its features own the streaming
        // info (flite deletes it with them), whose `userdata` points to `listener`, which outlives the
        // synthesis. `flite_do_synth` deletes the utterance itself if it gives NULL.
        let spoke = unsafe {
            let utterance = new_utterance();
            let info = new_audio_streaming_info();
            if utterance.is_null() || info.is_null() {
                return Err(SpeakFailed);
            }
            (*info).min_buffsize = MIN_CALLBACK_SAMPLES;
            (*info).asc = Some(on_audio);
            (*info).userdata = (&raw mut listener).cast();
            feat_set((*utterance).features, c"streaming_info".as_ptr(), audio_streaming_info_val(info));
            utt_set_input_text(utterance, text.as_ptr());
            let utterance = flite_do_synth(utterance, self.0.as_ptr(), utt_synth);
            if !utterance.is_null() {
                delete_utterance(utterance);
            }
            !utterance.is_null()
        };
        if let Some(panic) = listener.panic {
            resume_unwind(panic);
        }
        if spoke { Ok(()) } else { Err(SpeakFailed) }
    }
}

/// The phones of an English word by flite's lexicon or its letter-to-sound rules: CMU's alphabet in
/// small letters, `ax` for the schwa, vowels with a digit for their stress where that is known. Only
/// the letters a to z are looked at; none where there is nothing to say.
pub fn phones_of(word: &str) -> Vec<String> {
    let letters: Vec<u8> = word
        .bytes()
        .filter(u8::is_ascii_alphabetic)
        .map(|b| b.to_ascii_lowercase())
        .take(MAX_WORD_LETTERS)
        .collect();
    let (Some(lexicon), Ok(word)) = (library().lexicon, CString::new(letters)) else { return vec![] };
    if word.is_empty() {
        return vec![];
    }
    let mut phones = vec![];
    // SAFETY: the lexicon is only read; without a part of speech and features it takes the word's first
    // entry. The list is ours to delete, its strings are copied, its end is NULL.
    unsafe {
        let list = lex_lookup(lexicon.0.as_ptr(), word.as_ptr(), null(), null());
        let mut rest: *const CVal = list;
        while !rest.is_null() {
            phones.push(CStr::from_ptr(val_string(val_car(rest))).to_string_lossy().into_owned());
            rest = val_cdr(rest);
        }
        if !list.is_null() {
            delete_val(list);
        }
    }
    phones
}

/// The rules recurse for each letter.
const MAX_WORD_LETTERS: usize = 40;

/// `cmulex`, read-only once made.
#[derive(Debug, Clone, Copy)]
struct Lexicon(NonNull<CLexicon>);

// SAFETY: as for `Voice`: never changed or freed after its making, which `library` sees to.
unsafe impl Send for Lexicon {}
// SAFETY: as above.
unsafe impl Sync for Lexicon {}

/// What flite's globals hold after they have been written.
#[derive(Debug, Clone, Copy)]
struct Library {
    voice: Option<Voice>,
    lexicon: Option<Lexicon>,
}

fn library() -> Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    *LIBRARY.get_or_init(|| {
        // SAFETY: `OnceLock` makes this the only call of functions that write flite's globals.
        // The argument is a folder of voice data that this built-in voice does not read.
        let (voice, lexicon) = unsafe {
            flite_init();
            (register_cmu_us_slt(null()), cmu_lex_init())
        };
        Library { voice: NonNull::new(voice).map(Voice), lexicon: NonNull::new(lexicon).map(Lexicon) }
    })
}

struct Listener<'a> {
    on_progress: &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    planned: bool,
    /// A panic of `on_progress`, on its way around flite's stack frames.
    panic: Option<Box<dyn Any + Send>>,
}

/// flite's callback: `size` new samples at `start` of the wave.
unsafe extern "C" fn on_audio(
    wave: *const CWave,
    start: c_int,
    size: c_int,
    _last: c_int,
    info: *mut CStreamingInfo,
) -> c_int {
    // SAFETY: `userdata` is the `Listener` of the `speak` call that is running on this thread.
    let listener = unsafe { &mut *(*info).userdata.cast::<Listener<'_>>() };
    // SAFETY: the wave holds `start + size` samples when this is called, and flite writes no others
    // before it returns.
    let samples = unsafe {
        match (usize::try_from(start), usize::try_from(size)) {
            (Ok(start), Ok(size)) if !(*wave).samples.is_null() => {
                std::slice::from_raw_parts((*wave).samples.add(start), size)
            }
            _ => &[],
        }
    };
    let step = catch_unwind(AssertUnwindSafe(|| {
        if !listener.planned {
            listener.planned = true;
            // SAFETY: flite sets `utt` to the utterance before the first callback.
            let plan = unsafe { read_plan((*info).utt) };
            (listener.on_progress)(Progress::Plan(plan))?;
        }
        (listener.on_progress)(Progress::Samples(samples))
    }));
    match step {
        Ok(ControlFlow::Continue(())) => STREAM_CONTINUE,
        Ok(ControlFlow::Break(())) => STREAM_STOP,
        Err(panic) => {
            listener.panic = Some(panic);
            STREAM_STOP
        }
    }
}

/// # Safety
/// `utterance` is NULL or has been through flite's duration model.
unsafe fn read_plan(utterance: *const CUtterance) -> Plan {
    let mut plan = Plan::default();
    if utterance.is_null() {
        return plan;
    }
    // SAFETY: items are walked within the relations of a living utterance; the strings belong to it
    // and are copied. The path leads from a word to its last phone; where there is none flite gives 0
    // (the functions without `f` in their name would end the process instead).
    unsafe {
        let mut token = head_of(utterance, c"Token");
        while !token.is_null() {
            let mut end_s: c_float = 0.0;
            let mut word = item_daughter(token);
            while !word.is_null() {
                let path = c"R:SylStructure.daughtern.daughtern.end";
                end_s = end_s.max(flite_ffeature_float(word, path.as_ptr()));
                word = item_next(word);
            }
            plan.token_end_s.push(end_s);
            token = item_next(token);
        }
        let mut segment = head_of(utterance, c"Segment");
        while !segment.is_null() {
            let name = CStr::from_ptr(flite_ffeature_string(segment, c"name".as_ptr()));
            let end_s = flite_ffeature_float(segment, c"end".as_ptr());
            plan.phones.push((name.to_string_lossy().into_owned(), end_s));
            segment = item_next(segment);
        }
    }
    plan
}

/// # Safety
/// `utterance` is a living utterance.
unsafe fn head_of(utterance: *const CUtterance, relation: &CStr) -> *mut CItem {
    // SAFETY: asking for a relation that is not there would end the process, so that is checked.
    unsafe {
        if utt_relation_present(utterance, relation.as_ptr()) == 0 {
            return null_mut();
        }
        relation_head(utt_relation(utterance, relation.as_ptr()))
    }
}

/// `cst_voice`
#[repr(C)]
struct CVoice {
    _opaque: [u8; 0],
}
/// `cst_lexicon`
#[repr(C)]
struct CLexicon {
    _opaque: [u8; 0],
}
/// `cst_features`
#[repr(C)]
struct CFeatures {
    _opaque: [u8; 0],
}
/// `cst_val`
#[repr(C)]
struct CVal {
    _opaque: [u8; 0],
}
/// `cst_relation`
#[repr(C)]
struct CRelation {
    _opaque: [u8; 0],
}
/// `cst_item`
#[repr(C)]
struct CItem {
    _opaque: [u8; 0],
}

/// `cst_utterance`, cst_utterance.h
#[repr(C)]
struct CUtterance {
    features: *mut CFeatures,
    ffunctions: *mut CFeatures,
    relations: *mut CFeatures,
    ctx: *mut c_void,
}

/// `cst_wave`, cst_wave.h
#[repr(C)]
struct CWave {
    kind: *const c_char,
    sample_rate: c_int,
    num_samples: c_int,
    num_channels: c_int,
    samples: *mut i16,
}

/// `cst_audio_stream_callback`, cst_audio.h
type CStreamCallback = unsafe extern "C" fn(*const CWave, c_int, c_int, c_int, *mut CStreamingInfo) -> c_int;

/// `cst_audio_streaming_info`, cst_audio.h
#[repr(C)]
struct CStreamingInfo {
    min_buffsize: c_int,
    asc: Option<CStreamCallback>,
    utt: *const CUtterance,
    item: *const CItem,
    userdata: *mut c_void,
}

unsafe extern "C" {
    fn flite_init() -> c_int;
    fn register_cmu_us_slt(voxdir: *const c_char) -> *mut CVoice;
    fn cmu_lex_init() -> *mut CLexicon;
    fn lex_lookup(
        lexicon: *const CLexicon,
        word: *const c_char,
        part_of_speech: *const c_char,
        features: *const CFeatures,
    ) -> *mut CVal;
    fn val_car(list: *const CVal) -> *const CVal;
    fn val_cdr(list: *const CVal) -> *const CVal;
    fn val_string(value: *const CVal) -> *const c_char;
    fn delete_val(value: *mut CVal);
    fn new_utterance() -> *mut CUtterance;
    fn delete_utterance(utterance: *mut CUtterance);
    fn flite_do_synth(
        utterance: *mut CUtterance,
        voice: *mut CVoice,
        synth: unsafe extern "C" fn(*mut CUtterance) -> *mut CUtterance,
    ) -> *mut CUtterance;
    fn utt_synth(utterance: *mut CUtterance) -> *mut CUtterance;
    fn new_audio_streaming_info() -> *mut CStreamingInfo;
    fn audio_streaming_info_val(info: *mut CStreamingInfo) -> *mut CVal;
    fn feat_set(features: *mut CFeatures, name: *const c_char, value: *const CVal);
    fn utt_set_input_text(utterance: *mut CUtterance, text: *const c_char) -> c_int;
    fn utt_relation(utterance: *const CUtterance, name: *const c_char) -> *mut CRelation;
    fn utt_relation_present(utterance: *const CUtterance, name: *const c_char) -> c_int;
    fn relation_head(relation: *mut CRelation) -> *mut CItem;
    fn item_next(item: *const CItem) -> *mut CItem;
    fn item_daughter(item: *const CItem) -> *mut CItem;
    fn flite_ffeature_string(item: *const CItem, path: *const c_char) -> *const c_char;
    fn flite_ffeature_float(item: *const CItem, path: *const c_char) -> c_float;
}
