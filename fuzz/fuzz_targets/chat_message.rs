//! Messages of the client on `/ws/chat`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vivavoce::frontends::voice_ws::wire;

fuzz_target!(|text: &str| {
    if let Err(fault) = wire::decode(text) {
        assert!(!fault.message.is_empty());
        wire::encode_error(&fault, false);
    }
});
