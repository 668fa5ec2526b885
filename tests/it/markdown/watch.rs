//! `vivavoce vault watch`, with real events of the file system.

use std::io::Write;
use std::sync::mpsc;

use vivavoce::cli::vault::Watch;
use vivavoce::config::Config;

use super::{Vault, body};
use crate::e2e::person::wait_until;

/// Lines go out as they come.
struct Lines(mpsc::Sender<String>, Vec<u8>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.extend_from_slice(bytes);
        while let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.1.drain(..=end).collect();
            let _ = self.0.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_file_is_answered_once() {
    let vault = Vault::start(&["One.", "Two.", "Three."], |config| {
        config.scripted.failures = vec!["llm@2".to_owned()];
    });
    let mut config = Config::default();
    config.markdown.vault_path = vault.path("");
    config.markdown.public_base_url = format!("http://{}", vault.server.address);
    let watch =
        Watch { url: None, token: Some(vault.token.clone()), token_env: None, agent: None, wait_ms: 20 };
    let (tell, lines) = mpsc::channel();
    let mut out = Lines(tell, vec![]);
    tokio::select! {
        ended = watch.run(&config, &mut out) => panic!("{ended:?}"),
        () = saves(&vault, &lines) => {}
    }
    vault.server.stop();
}

async fn saves(vault: &Vault, lines: &mpsc::Receiver<String>) {
    let mut told = vec![];
    let mut until = async |part: &str| {
        wait_until(|| {
            told.extend(lines.try_iter());
            told.iter().any(|line: &String| line.contains(part))
        })
        .await;
        std::mem::take(&mut told)
    };
    until("watching ").await;
    vault.write("_logs/x.md", "### User:\nNot this\n");
    vault.write("notes/a.md", "### User:\nFirst\n");
    assert_eq!(until("a.md").await, ["notes/a.md: answered by default"]);
    assert!(body(&vault.read("notes/a.md")).contains("One."));
    // What fails is told, and not asked again before the file is saved again.
    let text = vault.read("notes/a.md");
    vault.write("notes/a.md", &format!("{text}Second\n"));
    assert!(until("a.md").await[0].starts_with("notes/a.md: 500: backend error"));
    vault.write("notes/b.md", "### User:\nOther\n");
    assert_eq!(until("b.md").await, ["notes/b.md: answered by default"]);
    assert_eq!(vault.read("_logs/x.md"), "### User:\nNot this\n");
    assert!(!body(&vault.read("notes/a.md")).contains("Three."));
}
