//! `vivavoce models …`, the program itself.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::weights;
use crate::stub_hub::{Answer, Step, StubHub, body, is_bytes};

pub const NAME: &str = "qwen3-0.6b-q8_0";
const FILE: &str = "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf";

/// The program with arguments, in a folder of its own.
pub fn models(folder: &Path, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vivavoce"));
    command
        .arg("models")
        .args(arguments)
        .current_dir(folder)
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_OFFLINE")
        .env("HF_ENDPOINT", endpoint)
        .env("VIVAVOCE_MODELS__CACHE", folder.join("cache"))
        .stdin(Stdio::null());
    command
}

/// Whether it succeeded, standard output and standard error.
pub fn told(output: Output) -> (bool, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn state(folder: &Path) -> Value {
    let (_, list, _) = told(models(folder, "http://127.0.0.1:1", &["list", "--json"]).output().unwrap());
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    list.into_iter().find(|entry| entry["name"] == NAME).unwrap()
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let content = weights(7);
    // The first time it stalls after a third.
    let number = std::sync::atomic::AtomicUsize::new(0);
    let hub = StubHub::with(&[(FILE, &content)], move |asked, answer| {
        if !is_bytes(asked) || number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return answer;
        }
        Answer { body: vec![Step::Send(body(&answer).slice(..100_000)), Step::Stall], ..answer }
    });
    let folder = TempDir::new().unwrap();
    let part = folder.path().join("cache").join(NAME).join("Qwen3-0.6B-Q8_0.gguf.part");
    let mut killed = models(folder.path(), &hub.url, &["pull", NAME]).stderr(Stdio::null()).spawn().unwrap();
    hub.server.stalled.recv().unwrap();
    // All that was sent is on its way; the file grows until it is there.
    while part.metadata().map_or(0, |metadata| metadata.len()) < 100_000 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(state(folder.path())["state"], "partial");

    let (succeeded, out, error) = told(models(folder.path(), &hub.url, &["pull", NAME]).output().unwrap());
    assert!(succeeded, "{error}");
    let path = folder.path().join("cache").join(NAME);
    assert_eq!(
        out,
        format!(
            "{NAME}: pulled (300.0 kB in {0})\n{NAME}: used with llm.local.model: {NAME}\n",
            path.display()
        )
        .replace("300.0 kB", "0.3 MB")
    );
    assert!(error.contains("fetching Qwen3-0.6B-Q8_0.gguf (0.3 MB) from 0.1 MB on"), "{error}");
    assert!(std::fs::read(path.join("Qwen3-0.6B-Q8_0.gguf")).unwrap() == content);
    let last = hub.server.take_asked().pop().unwrap();
    assert_eq!(last.headers["range"], "bytes=100000-");
    assert_eq!(state(folder.path())["state"], "present");

    let (verified, out, _) = told(models(folder.path(), &hub.url, &["verify", NAME]).output().unwrap());
    assert!(verified && out.contains("present"), "{out}");
    let (removed, out, _) = told(models(folder.path(), &hub.url, &["rm", NAME]).output().unwrap());
    assert!(removed && out == format!("{NAME}: removed, 0.3 MB freed\n"), "{out}");
    assert_eq!(state(folder.path())["state"], "missing");
    let (verified, ..) = told(models(folder.path(), &hub.url, &["verify", NAME]).output().unwrap());
    assert!(!verified, "what is named has to be here");
}

#[test]
fn a_name_that_is_none_stops_before_anything_is_done() {
    let hub = StubHub::start(&[(FILE, b"weights")]);
    let folder = TempDir::new().unwrap();
    let (succeeded, out, error) =
        told(models(folder.path(), &hub.url, &["pull", NAME, "qwen3-0.6b-q8"]).output().unwrap());
    assert_eq!((succeeded, out.as_str()), (false, ""));
    assert_eq!(
        error,
        "vivavoce: there is no model \"qwen3-0.6b-q8\"; did you mean qwen3-0.6b-q8_0?; `vivavoce models list` \
         names them all\n"
    );
    let (succeeded, _, error) =
        told(models(folder.path(), &hub.url, &["pull", NAME, "silero-vad"]).output().unwrap());
    assert!(!succeeded);
    assert_eq!(
        error,
        "vivavoce: silero-vad cannot be pulled: it comes from elsewhere (silero-vad 6.2.3 on PyPI (Silero Team)): \
         scripts/setup-models.sh\n"
    );
    assert_eq!(hub.take_paths().len(), 0);
}

#[test]
fn the_environment_keeps_it_offline() {
    let folder = TempDir::new().unwrap();
    let mut pull = models(folder.path(), "", &["pull", NAME]);
    let (succeeded, _, error) = told(pull.env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert!(!succeeded);
    let path = folder.path().join("cache").join(NAME).join("Qwen3-0.6B-Q8_0.gguf");
    assert_eq!(
        error,
        format!(
            "vivavoce: offline (HF_HUB_OFFLINE is set): {NAME} is not pulled; copy https://huggingface.co/Qwen/\
             Qwen3-0.6B-GGUF/resolve/main/Qwen3-0.6B-Q8_0.gguf to {}\n",
            path.display()
        )
    );
}
