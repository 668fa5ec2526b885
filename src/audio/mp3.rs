#![allow(unsafe_code)]
//! Speech as MP3, written as it is made: 24 kHz mono in, 64 kbit/s out. By LAME, where it is installed.
//!
//! LAME is under the LGPL. It is loaded when it is first needed and not linked, so this program stands
//! under its own licence, runs without LAME, and takes whatever version of it the system brings
//! (Debian: `libmp3lame0`). The signatures are those of `lame.h` 3.100, unchanged since 3.90.

use std::ffi::{c_float, c_int, c_uchar, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use libloading::Library;

const FILE: &str = "libmp3lame.so.0";
const RATE_HZ: c_int = 24_000;
const KBIT_PER_S: c_int = 64;
/// `MPEG_mode` of one channel.
const MONO: c_int = 3;
/// 0 (best) to 9 (fastest); LAME's own advice for "good and fast".
const QUALITY: c_int = 5;
/// Samples that are encoded in one call.
const BLOCK: usize = 24_000;
/// `lame.h`: the room that a call may need is 1.25 · samples + 7200 bytes.
const ROOM: usize = BLOCK + BLOCK / 4 + 7_200;

type Handle = *mut c_void;
type Set = unsafe extern "C" fn(Handle, c_int) -> c_int;

/// LAME's functions. The library is never unloaded.
struct Lame {
    init: unsafe extern "C" fn() -> Handle,
    set_in_samplerate: Set,
    set_out_samplerate: Set,
    set_num_channels: Set,
    set_mode: Set,
    set_brate: Set,
    set_quality: Set,
    set_write_vbr_tag: Set,
    init_params: unsafe extern "C" fn(Handle) -> c_int,
    encode: unsafe extern "C" fn(Handle, *const c_float, *const c_float, c_int, *mut c_uchar, c_int) -> c_int,
    flush: unsafe extern "C" fn(Handle, *mut c_uchar, c_int) -> c_int,
    close: unsafe extern "C" fn(Handle) -> c_int,
}

/// LAME refused. Not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("mp3: LAME answers {0}")]
pub struct Mp3Error(c_int);

/// A stream that is being written.
pub struct Mp3 {
    lame: &'static Lame,
    handle: NonNull<c_void>,
}

// SAFETY: a handle is LAME's whole state of one stream, with nothing of a thread's own in it, and is used
// by one thread at a time (`&mut self`).
unsafe impl Send for Mp3 {}

impl Mp3 {
    /// MP3 can be made here.
    pub fn is_available() -> bool {
        lame().is_some()
    }

    /// `None`: LAME is not installed, or has no memory.
    pub fn new() -> Option<Mp3> {
        let lame = lame()?;
        // SAFETY: no preconditions; what it gives is checked.
        let handle = NonNull::new(unsafe { (lame.init)() })?;
        // From here on it is closed in any case.
        let stream = Mp3 { lame, handle };
        let settings = [
            (lame.set_in_samplerate, RATE_HZ),
            (lame.set_out_samplerate, RATE_HZ),
            (lame.set_num_channels, 1),
            (lame.set_mode, MONO),
            (lame.set_brate, KBIT_PER_S),
            (lame.set_quality, QUALITY),
            // It would be a frame at the beginning that is filled in at the end.
            (lame.set_write_vbr_tag, 0),
        ];
        for (set, value) in settings {
            // SAFETY: the handle is LAME's, and not closed.
            if unsafe { set(stream.handle.as_ptr(), value) } < 0 {
                return None;
            }
        }
        // SAFETY: as above.
        (unsafe { (lame.init_params)(stream.handle.as_ptr()) } >= 0).then_some(stream)
    }

    /// Takes the next samples, −1…1; gives the frames that are complete.
    ///
    /// # Errors
    /// LAME's.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<u8>, Mp3Error> {
        let mut out = Vec::new();
        for block in samples.chunks(BLOCK) {
            let mut room = vec![0; ROOM];
            // SAFETY: `block` is read for its length (of two channels LAME reads the first one only, as
            // there is one), and at most `ROOM` bytes are written, which is what a call may need.
            let written = unsafe {
                (self.lame.encode)(
                    self.handle.as_ptr(),
                    block.as_ptr(),
                    block.as_ptr(),
                    block.len() as c_int,
                    room.as_mut_ptr(),
                    ROOM as c_int,
                )
            };
            out.extend_from_slice(taken(&room, written)?);
        }
        Ok(out)
    }

    /// Ends the stream: gives the rest.
    ///
    /// # Errors
    /// LAME's.
    pub fn finish(&mut self) -> Result<Vec<u8>, Mp3Error> {
        let mut room = vec![0; ROOM];
        // SAFETY: at most `ROOM` bytes are written, more than the 7200 that a flush may need.
        let written = unsafe { (self.lame.flush)(self.handle.as_ptr(), room.as_mut_ptr(), ROOM as c_int) };
        Ok(taken(&room, written)?.to_vec())
    }
}

/// What a call wrote; a negative number is an error.
fn taken(room: &[u8], written: c_int) -> Result<&[u8], Mp3Error> {
    usize::try_from(written).ok().and_then(|bytes| room.get(..bytes)).ok_or(Mp3Error(written))
}

impl Drop for Mp3 {
    fn drop(&mut self) {
        // SAFETY: closed once, and not used any more.
        unsafe { (self.lame.close)(self.handle.as_ptr()) };
    }
}

fn lame() -> Option<&'static Lame> {
    static LAME: OnceLock<Option<Lame>> = OnceLock::new();
    LAME.get_or_init(|| {
        // SAFETY: the loader finds the system's own library, whose initialisers do nothing but what any
        // linked library's do.
        let library = unsafe { Library::new(FILE) };
        let library = library.inspect_err(|error| tracing::debug!("no MP3: {error}")).ok()?;
        // Its functions are used until the end of the process.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: names and signatures are those of lame.h.
        unsafe { Lame::of(library) }.inspect_err(|error| tracing::warn!("no MP3: {error}")).ok()
    })
    .as_ref()
}

impl Lame {
    /// # Safety
    /// `library` is LAME.
    unsafe fn of(library: &'static Library) -> Result<Lame, libloading::Error> {
        // SAFETY: the caller's.
        unsafe {
            Ok(Lame {
                init: *library.get(c"lame_init")?,
                set_in_samplerate: *library.get(c"lame_set_in_samplerate")?,
                set_out_samplerate: *library.get(c"lame_set_out_samplerate")?,
                set_num_channels: *library.get(c"lame_set_num_channels")?,
                set_mode: *library.get(c"lame_set_mode")?,
                set_brate: *library.get(c"lame_set_brate")?,
                set_quality: *library.get(c"lame_set_quality")?,
                set_write_vbr_tag: *library.get(c"lame_set_bWriteVbrTag")?,
                init_params: *library.get(c"lame_init_params")?,
                encode: *library.get(c"lame_encode_buffer_ieee_float")?,
                flush: *library.get(c"lame_encode_flush")?,
                close: *library.get(c"lame_close")?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_frames_of_mpeg_2_layer_3() {
        let Some(mut stream) = Mp3::new() else {
            assert!(!Mp3::is_available());
            return;
        };
        let mut file = stream.push(&vec![0.1; 2 * 24_000]).unwrap();
        file.extend(stream.finish().unwrap());
        // 11 bits of sync, MPEG 2, layer III; 64 kbit/s at 24 kHz.
        assert_eq!((file[0], file[1] & 0xFE), (0xFF, 0xF2));
        assert!(file.len().abs_diff(2 * 64_000 / 8) < 1_000, "{}", file.len());
    }
}
