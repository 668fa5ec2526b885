//! Events of the client on `/v1/realtime`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vivavoce::frontends::realtime_ws::client_events;

fuzz_target!(|text: &str| {
    if let (_, Err(problem)) = client_events::parse(text) {
        assert!(!problem.message.is_empty());
    }
});
