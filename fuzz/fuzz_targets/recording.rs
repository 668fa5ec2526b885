//! Recordings that are uploaded: WAV and what else is decoded. The first byte chooses the name's extension.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use vivavoce::audio::decode::decode;

const EXTENSIONS: [&str; 6] = ["wav", "mp3", "flac", "ogg", "m4a", "webm"];
const MOST_SECONDS: u32 = 30;

fuzz_target!(init: {
    // A panic inside a decoder is caught where it is called; one that is not caught still ends the run.
    std::panic::set_hook(Box::new(|_| {}));
}, |data: &[u8]| {
    let Some((first, recording)) = data.split_first() else { return };
    let extension = EXTENSIONS.get(usize::from(*first)).copied();
    if let Ok(samples) = decode(Bytes::copy_from_slice(recording), extension, 16_000, MOST_SECONDS) {
        assert!(samples.len() <= 16_000 * (MOST_SECONDS as usize + 1));
    }
});
