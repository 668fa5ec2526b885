//! OpenAI's own clients, unmodified, against a server with scripted engines.

use std::path::Path;
use std::process::Command;

use vivavoce::audio::{pcm, resample};
use vivavoce::config::{Config, TlsMode};

use crate::harness::TestServer;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// Where `scripts/setup-clients.sh` puts the packages of the Python client.
const PYTHON_PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/python");

/// With scripted engines: what is heard is always the same, and the replies repeat what was said.
fn start(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.scripted.transcripts = vec!["where is the station".into()];
        config.scripted.replies = vec!["{echo}".into()];
        configure(config);
    })
}

/// A spoken question, 24 kHz 16-bit PCM.
fn question() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".pcm").unwrap();
    let samples = pcm::f32s_from_i16s(&crate::e2e::person::spoken("where is the station please"));
    let samples = resample::resample(&samples, 16_000, 24_000).unwrap();
    std::fs::write(file.path(), pcm::bytes_from_samples(&pcm::i16s_from_f32s(&samples))).unwrap();
    file
}

/// Whether the packages of a client are there.
fn is_installed(package: &Path) -> bool {
    let there = package.exists();
    if !there {
        eprintln!("skipped: there is no {}; run scripts/setup-clients.sh", package.display());
    }
    there
}

fn run(client: &mut Command) {
    let output = client.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{told}");
}

#[test]
fn the_python_client_understands_every_event() {
    if !is_installed(&Path::new(PYTHON_PACKAGES).join("openai")) {
        return;
    }
    let (server, speech) = (start(|_| {}), question());
    let script = Path::new(CLIENTS).join("python/realtime.py");
    let url = format!("ws://{}/v1", server.address);
    run(Command::new("python3").arg(script).arg(url).arg(speech.path()).env("PYTHONPATH", PYTHON_PACKAGES));
    server.stop();
}

/// A JavaScript client, which insists on TLS and is told whom to trust.
fn run_on_node(script: &str, package: &str, url: impl Fn(&TestServer) -> String) {
    let folder = Path::new(CLIENTS).join("node");
    if !is_installed(&folder.join("node_modules").join(package)) {
        return;
    }
    let (server, speech) = (start(|config| config.tls.mode = TlsMode::SelfSigned), question());
    let certificate = server.folder().path().join("tls-cert.pem");
    let mut node = Command::new("node");
    node.arg(folder.join(script)).arg(url(&server)).arg(speech.path());
    run(node.env("NODE_EXTRA_CA_CERTS", certificate));
    server.stop();
}

#[test]
fn the_node_client_talks_over_tls() {
    run_on_node("openai.mjs", "openai", |server| format!("https://{}/v1", server.address));
}

#[test]
fn the_agents_client_talks_and_runs_its_tools() {
    run_on_node("agents.mjs", "@openai/agents-realtime", |server| {
        format!("wss://{}/v1/realtime?model=gpt-realtime", server.address)
    });
}
