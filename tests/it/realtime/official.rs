//! OpenAI's own clients, unmodified, against a server with scripted engines.

use std::path::Path;
use std::process::Command;

use crate::harness::TestServer;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// Where `scripts/setup-clients.sh` puts their packages.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");

#[test]
fn the_python_client_understands_every_event() {
    let packages = Path::new(PACKAGES).join("python");
    if !packages.join("openai").exists() {
        eprintln!("skipped: there is no {}; run scripts/setup-clients.sh", packages.display());
        return;
    }
    let speech = tempfile::NamedTempFile::with_suffix(".pcm").unwrap();
    let samples =
        vivavoce::audio::pcm::f32s_from_i16s(&crate::e2e::person::spoken("where is the station please"));
    let samples = vivavoce::audio::resample::resample(&samples, 16_000, 24_000).unwrap();
    let bytes = vivavoce::audio::pcm::bytes_from_samples(&vivavoce::audio::pcm::i16s_from_f32s(&samples));
    std::fs::write(speech.path(), bytes).unwrap();
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["where is the station".into()];
        config.scripted.replies = vec!["{echo}".into()];
    });
    let output = Command::new("python3")
        .arg(Path::new(CLIENTS).join("python/realtime.py"))
        .arg(format!("ws://{}/v1", server.address))
        .arg(speech.path())
        .env("PYTHONPATH", &packages)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    server.stop();
}
