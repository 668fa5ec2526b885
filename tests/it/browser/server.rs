//! The real server, as a process of its own that can be killed and started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Engines that need no weights but the VAD's; speech is real (flite), words come from a script.
const CONFIG: &str = "
server: {port: 0}
models: {dir: MODELS}
store: {url: sqlite://data.sqlite}
asr: {engine: scripted}
llm: {engine: scripted}
tts: {engine: flite}
";

pub struct Server {
    child: Child,
    folder: tempfile::TempDir,
    /// The address that it tells people to open.
    pub page: String,
}

impl Server {
    /// `more`: further sections of the configuration.
    pub fn start(more: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
        let config = CONFIG.replace("MODELS", models) + more;
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let (child, page) = spawn(&folder, "0");
        Server { child, folder, page }
    }

    /// `localhost:PORT`.
    pub fn authority(&self) -> &str {
        self.page.split('/').nth(2).unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port, with the same data.
    pub fn start_again(&mut self) {
        let (_, port) = self.authority().split_once(':').unwrap();
        (self.child, _) = spawn(&self.folder, port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &tempfile::TempDir, port: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vivavoce"))
        .args(["serve", "--config", "config.yml"])
        .current_dir(folder)
        .env("VIVAVOCE_SERVER__PORT", port)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let page = lines.find_map(|line| line.strip_prefix("open ").map(str::to_owned));
    (child, page.expect("the server starts and tells where"))
}
