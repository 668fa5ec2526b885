//! A real PostgreSQL server for tests, from the distribution's package, in a folder of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::backends::Backend;

/// A character that has to be encoded in it, to see that it is.
pub const PASSWORD: &str = "s3cret/w0rd";
const ENCODED_PASSWORD: &str = "s3cret%2Fw0rd";

/// A server on a socket in its folder. Ends when it is dropped.
pub struct PostgresServer {
    folder: TempDir,
    process: Option<Child>,
    databases: AtomicU32,
    port: u16,
    /// It listens at `localhost`, too, and who comes there has to speak TLS.
    encrypted: bool,
}

/// A database of a server.
pub struct Postgres {
    server: Arc<PostgresServer>,
    name: String,
}

/// PostgreSQL's programs refuse root; this user runs them then.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"]).unwrap_or(65_534), id(&["-g", "postgres"]).unwrap_or(65_534)))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).env("LC_ALL", "C");
    command
}

/// Where Debian puts the programs of its newest version, or where the path finds them.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = installed.chain(std::env::split_paths(&path)).collect();
    folders.retain(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    folders.into_iter().next()
}

impl PostgresServer {
    /// `None`, with a printed reason, where PostgreSQL is not installed.
    pub fn start() -> Option<Arc<PostgresServer>> {
        PostgresServer::make(None)
    }

    /// The same at a port of `localhost`, with TLS: the PEM of its certificate and key.
    pub fn start_encrypted(certificate: &str, key: &str) -> Option<Arc<PostgresServer>> {
        PostgresServer::make(Some((certificate, key)))
    }

    fn make(tls: Option<(&str, &str)>) -> Option<Arc<PostgresServer>> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL is not installed (scripts/setup-system.sh test)");
            return None;
        };
        let folder = TempDir::new().unwrap();
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let password_file = folder.path().join("password");
        std::fs::write(&password_file, PASSWORD).unwrap();
        let made = command(&programs.join("initdb"))
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--username=vivavoce", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"])
            .arg(format!("--pwfile={}", password_file.display()))
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let port = match tls {
            Some(_) => std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
            None => 5432,
        };
        for (name, pem) in tls.iter().flat_map(|(certificate, key)| [("crt", certificate), ("key", key)]) {
            let path = folder.path().join("data").join(format!("server.{name}"));
            std::fs::write(&path, pem).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((user, group)) = unprivileged() {
                std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
            }
        }
        let (databases, encrypted) = (AtomicU32::new(0), tls.is_some());
        let mut server = PostgresServer { folder, process: None, databases, port, encrypted };
        server.run();
        Some(Arc::new(server))
    }

    /// Runs it (again), and waits until it answers.
    pub fn run(&mut self) {
        let programs = programs().unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"));
        let process = command(&programs.join("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "fsync=off", "-p", &self.port.to_string()])
            .args(match self.encrypted {
                true => ["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"],
                false => ["-c", "listen_addresses=", "-c", "ssl=off"],
            })
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let patience = Instant::now() + Duration::from_secs(60);
        while let Err(error) = run_sql(&self.url("postgres"), "SELECT 1") {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "it does not start: {error}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it; connections break.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let stopped = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
            assert!(stopped.unwrap().success());
            process.wait().unwrap();
        }
    }

    /// A new, empty database.
    pub fn database(self: &Arc<PostgresServer>) -> Postgres {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run_sql(&self.url("postgres"), &format!("CREATE DATABASE {name}")).unwrap();
        Postgres { server: Arc::clone(self), name }
    }

    fn url(&self, database: &str) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://vivavoce:{ENCODED_PASSWORD}@{socket}:{}/{database}", self.port)
    }
}

impl Postgres {
    /// How it is reached over the network.
    pub fn url_with_tls(&self) -> String {
        let (port, name) = (self.server.port, &self.name);
        format!("postgres://vivavoce:{ENCODED_PASSWORD}@localhost:{port}/{name}?sslmode=require")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Backend for Postgres {
    fn url(&self) -> String {
        self.server.url(&self.name)
    }

    fn sql(&self, statements: &str) {
        run_sql(&self.url(), statements).unwrap();
    }
}

/// On a thread of its own: the caller may be on an executor's.
fn run_sql(url: &str, statements: &str) -> Result<(), tokio_postgres::Error> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute(statements).await
        })
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}
