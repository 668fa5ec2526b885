//! The turn machine knows no executor, thread, socket, clock or file: its sources do not name one.

use std::path::{Path, PathBuf};

/// What no file of the machine may name, in a `use` line or by its path.
const FORBIDDEN: [&str; 22] = [
    "tokio",
    "async",
    "await",
    "futures",
    "futures_util",
    "crossbeam",
    "crossbeam_channel",
    "rayon",
    "thread",
    "mpsc",
    "net",
    "socket",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "fs",
    "io::stdin",
    "io::stdout",
    "env",
    "process",
    "getrandom",
    "session",
];

/// Crates and modules that it may use.
const ALLOWED_ROOTS: [&str; 8] =
    ["std", "serde", "serde_json", "unicode_properties", "crate", "super", "self", "core"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !["tests.rs", "properties.rs"].contains(&name) {
            found.push(path);
        }
    }
}

/// The code of a file: without comments, and without the tests at its bottom.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line.trim() == "#[cfg(test)]";
        if tests && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// Forbidden names and crates in `code`.
fn impurities(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    for name in FORBIDDEN {
        for (at, _) in code.match_indices(name) {
            let before = code[..at].chars().next_back();
            let after = code[at + name.len()..].chars().next();
            if !before.is_some_and(is_name) && !after.is_some_and(is_name) {
                found.push(name.to_owned());
            }
        }
    }
    for line in code.lines().map(str::trim_start) {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let Some(path) = line.strip_prefix("use ") else { continue };
        let root = path.split(|c| !is_name(c)).next().unwrap_or_default();
        // A module of the same folder begins with a small letter, too: those are listed by the file.
        let own = code.contains(&format!("mod {root};"));
        if !ALLOWED_ROOTS.contains(&root) && !own {
            found.push(format!("use {root}"));
        }
        if let Some(rest) = path.strip_prefix("crate::") {
            let module = rest.split(|c| !is_name(c)).next().unwrap_or_default();
            if !["engines", "config", "turn"].contains(&module) {
                found.push(format!("use crate::{module}"));
            }
        }
    }
    found
}

#[test]
fn the_machine_names_no_executor_thread_socket_clock_or_file() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/turn"), &mut files);
    assert!(files.len() >= 10, "where are the sources? {files:?}");
    for file in files {
        let found = impurities(&code(&std::fs::read_to_string(&file).unwrap()));
        assert_eq!(found, Vec::<String>::new(), "{} is not pure", file.display());
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let impure = [
        "use tokio::time::sleep;",
        "use std::{thread, collections::VecDeque};",
        "let now = std::time::Instant::now();",
        "use std::time::SystemTime as Wall;",
        "use crossbeam_channel as channel;",
        "pub use reqwest::Client;",
        "fn f(p: &std::net::TcpStream) {}",
        "let text = std::fs::read(path);",
        "async fn f() {}",
        "use crate::session::Session;",
        "use crate::audio::pcm;",
    ];
    for line in impure {
        assert_ne!(impurities(&code(line)), Vec::<String>::new(), "{line}");
    }
    let pure = "use std::ops::Range; // no tokio\nuse super::io::Time;\nmod a;\nuse a::B;\nlet internet = 1;\n\
                #[cfg(test)]\nmod tests {\n    use std::thread;\n}\n";
    assert_eq!(impurities(&code(pure)), Vec::<String>::new());
}
