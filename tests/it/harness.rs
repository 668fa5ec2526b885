//! Running servers for tests: in this process, or as the binary where it is to be killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::oneshot;
use vivavoce::client::{self, Connection};
use vivavoce::config::Config;
use vivavoce::engines::Engines;
use vivavoce::frontends::server::Server;
use vivavoce::frontends::start::Listening;
use vivavoce::tools::Registry;

/// Where `scripts/setup-models.sh` puts the models.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models");

/// A server in this process, on threads of its own: its engines may be real, and a test's runtime may
/// be of any kind. Ends when it is dropped.
pub struct TestServer {
    /// Its shared state: for tests that look inside.
    #[allow(dead_code)]
    pub server: Arc<Server>,
    /// `127.0.0.1:PORT`.
    pub address: String,
    folder: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// With scripted ASR, LLM and TTS and the real VAD, a log in a folder of its own, and what
    /// `configure` changes. Blocks until the server listens.
    pub fn start(configure: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::start_in(Arc::new(TempDir::new().unwrap()), configure)
    }

    /// The same, in a folder in which another may have run before: see [`TestServer::folder`].
    pub fn start_in(folder: Arc<TempDir>, configure: impl FnOnce(&mut Config)) -> TestServer {
        let mut config = Config::default();
        config.server.port = 0;
        config.server.drain_ms = 1_000;
        config.store.url = format!("sqlite://{}/log.sqlite", folder.path().display());
        config.record_audio.dir = folder.path().join("audio");
        config.record_dir = folder.path().join("recordings");
        config.models.dir = MODELS.into();
        // What somebody has pulled would be used.
        config.models.cache = folder.path().join("models");
        for engine in [&mut config.asr.engine, &mut config.llm.engine, &mut config.tts.engine] {
            *engine = "scripted".to_owned();
        }
        configure(&mut config);
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("test-server".to_owned());
        let thread = thread.spawn(move || serve(config, &tell, stopped)).unwrap();
        let Ok((server, address)) = told.recv() else {
            std::panic::resume_unwind(thread.join().unwrap_err());
        };
        TestServer { server, address, folder, stop: Some(stop), thread: Some(thread) }
    }

    /// Of its voice socket.
    pub fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// A new voice socket.
    pub async fn connect(&self) -> Connection {
        client::connect(&self.url(), None).await.unwrap()
    }

    /// Where its log and recordings are.
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// Stops it as SIGTERM would, and waits until it has ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Engines refuse to run on an executor's threads, so they are loaded before there is one.
fn serve(config: Config, tell: &mpsc::Sender<(Arc<Server>, String)>, stopped: oneshot::Receiver<()>) {
    let tools = Arc::new(Registry::new(&config.tools).unwrap());
    let engines = Arc::new(Engines::load(&config, tools.specs()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listening = Listening::open(Arc::new(config), engines, tools).await.unwrap();
        tell.send((Arc::clone(&listening.server), listening.address.to_string())).unwrap();
        // A dropped sender means the same as a message.
        let stop = async move { drop(stopped.await) };
        listening.run(stop).await.unwrap();
    });
}

/// The binary, serving: for what a process has to be killed for. Killed when it is dropped.
pub struct ServerProcess {
    child: Child,
    /// `localhost:PORT`.
    pub address: String,
    /// The address that it tells people to open.
    pub page: String,
    folder: Arc<TempDir>,
}

impl ServerProcess {
    /// Runs `vivavoce serve` with this configuration, and waits until it listens. The port is a free
    /// one, and relative paths (those of the log and the recordings) are in a folder of its own.
    pub fn start(config_yaml: &str) -> ServerProcess {
        let folder = Arc::new(TempDir::new().unwrap());
        std::fs::write(folder.path().join("config.yml"), config_yaml).unwrap();
        ServerProcess::start_in(folder)
    }

    /// Runs it once more, where one has run before.
    pub fn start_in(folder: Arc<TempDir>) -> ServerProcess {
        ServerProcess::start_at("0", folder)
    }

    /// The same, on a given port: for clients that come back.
    pub fn start_at(port: &str, folder: Arc<TempDir>) -> ServerProcess {
        let stderr = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.path().join("stderr.log"))
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_vivavoce"))
            .arg("serve")
            .arg("--config")
            .arg(folder.path().join("config.yml"))
            .env("VIVAVOCE_SERVER__PORT", port)
            .env("VIVAVOCE_MODELS__DIR", MODELS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let page = lines.find_map(|line| line.strip_prefix("open ").map(str::to_owned));
        let Some((page, address)) =
            page.and_then(|page| page.split('/').nth(2).map(str::to_owned).map(|address| (page, address)))
        else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not start:\n{}", log_of(folder.path()));
        };
        ServerProcess { child, address, page, folder }
    }

    /// Of its voice socket.
    pub fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// A new voice socket.
    pub async fn connect(&self) -> Connection {
        client::connect(&self.url(), None).await.unwrap()
    }

    /// Where its configuration, its log and its standard error (`stderr.log`) are.
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// SIGKILL. Gives what [`ServerProcess::start_in`] takes.
    pub fn kill(mut self) -> Arc<TempDir> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder()
    }

    /// SIGTERM; waits until it has ended by itself.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    /// Sends a signal: `-HUP`, …
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        log_of(self.folder.path())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_of(folder: &Path) -> String {
    let path: PathBuf = folder.join("stderr.log");
    std::fs::read_to_string(path).unwrap_or_default()
}
