//! Properties of what is pure, and of the names of files.

use std::fs;
use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;

use super::document::{Document, words_of};
use super::fork::{Merged, Turn, diff_and_fork, fingerprint, fingerprints};
use super::lines::{Speaker, heading};
use super::reply::{self, Reply};
use super::vault::{BadName, Vault};

/// Lines that mean something, and some that look like it.
fn line() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "### User:",
        "### Assistant:",
        "### assistant: ",
        "### User",
        "\\### User:",
        "\\\\### Assistant:",
        "```",
        "~~~~",
        "```rust",
        "- ```",
        "   ```",
        "> [!error]- no",
        "> [!tool]- now",
        "> quoted",
        "---",
        "agent: a",
        "",
        "   ",
        "# Notes",
        "1. ~~~",
    ]);
    prop_oneof![
        4 => special.prop_map(str::to_owned),
        2 => "[a-z äöü日本é́]{0,12}",
        1 => "\\PC{0,8}",
    ]
}

fn file() -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["\n", "\r\n"]);
    let mark = prop::sample::select(vec!["", "\u{feff}"]);
    (mark, prop::collection::vec((line(), ends), 0..24), any::<bool>()).prop_map(|(mark, lines, ended)| {
        let mut text: String = lines.iter().map(|(line, end)| format!("{line}{end}")).collect();
        if !ended {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        format!("{mark}{text}")
    })
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 1..8)
        .prop_map(|lines| lines.join("\n"))
        .prop_filter("words", |words| !words.trim().is_empty())
}

fn turn() -> impl Strategy<Value = Turn> {
    let speaker = prop::sample::select(vec![Speaker::User, Speaker::Assistant]);
    (speaker, prop::sample::select(vec!["one", "two", "three\n  four"]))
        .prop_map(|(speaker, text)| Turn { speaker, text: text.to_owned() })
}

proptest! {
    #[test]
    fn reading_and_writing_a_file_changes_nothing(text in file()) {
        prop_assert_eq!(Document::parse(&text).render(), text);
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(text in file(), said in words(), asked in words()) {
        let mut document = Document::parse(&text);
        document.add(Speaker::User, &reply::written(&asked));
        let before = document.turns();
        prop_assert!(!document.is_answered());
        let replied = document.with_reply(&Reply::of_words(&said).markdown(), true);
        let text = replied.render();
        let again = Document::parse(&text);
        prop_assert_eq!(&again, &replied, "{}", text);
        let turns = again.turns();
        prop_assert_eq!(&turns[..turns.len() - 1], &before[..], "{}", text);
        let expected = words_of(Speaker::Assistant, &reply::written(&said));
        prop_assert_eq!(&turns.last().unwrap().text, &expected);
        prop_assert!(again.is_answered());
    }

    #[test]
    fn a_stamp_changes_the_frontmatter_only(text in file(), id in "[A-Za-z0-9_-]{1,22}") {
        let document = Document::parse(&text);
        let mut stamped = document.clone();
        stamped.set("conversation_id", &id);
        let again = Document::parse(&stamped.render());
        prop_assert_eq!(again.get("conversation_id"), Some(id.clone()));
        prop_assert_eq!(again.turns(), document.turns());
        let mut twice = again.clone();
        twice.set("conversation_id", &id);
        prop_assert_eq!(twice, again);
    }

    #[test]
    fn from_the_first_edited_turn_on_the_file_wins(
        stored in prop::collection::vec(turn(), 0..8),
        edit in (0usize..8, prop::option::of(turn())),
        more in prop::collection::vec(turn(), 0..3),
    ) {
        let (at, new) = edit;
        let mut incoming = stored.clone();
        match new {
            Some(new) if at < incoming.len() => incoming[at] = new,
            Some(_) => {}
            None => incoming.truncate(at),
        }
        incoming.extend(more);
        let Merged { kept, fresh } = diff_and_fork(&stored, &incoming);
        let whole: Vec<Turn> = stored[..kept].iter().cloned().chain(fresh).collect();
        prop_assert_eq!(&whole, &incoming);
        // No longer beginning is common.
        prop_assert!(kept == stored.len() || kept == incoming.len() || stored[kept] != incoming[kept]);
        let prints = fingerprints(&incoming);
        prop_assert_eq!(prints.len(), incoming.len() + 1);
        prop_assert_eq!(&prints[kept], &fingerprint(&stored[..kept]));
        prop_assert_eq!(fingerprint(&stored) == fingerprint(&incoming), stored == incoming);
    }
}

#[test]
fn a_huge_file_is_one_conversation() {
    let mut text = String::new();
    for number in 0..20_000 {
        text.push_str(&format!(
            "### User:\n\n{number}\n\n### Assistant:\n\n```\n### User:\n{number}\n```\n\n"
        ));
    }
    let document = Document::parse(&text);
    assert_eq!(document.turns().len(), 40_000);
    assert_eq!(document.render(), text);
}

#[test]
fn what_is_ours_is_told_from_what_is_said() {
    let text = "### Assistant:\n\n> [!thinking]- Hm\n> no words\n\nOne.\n\n> [!tool]- now\n> {}\n> → noon\n\nTwo.\n> said\n\n```\n> [!tool]- code\n```\n";
    let turns = Document::parse(text).turns();
    assert_eq!(turns.len(), 1);
    let lines: Vec<&str> = turns[0].text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["One.", "Two.", "> said", "```", "> [!tool]- code", "```"]);
    // What people quote is theirs.
    let quoted = Document::parse("### User:\n> [!error]- help\n").turns();
    assert_eq!(quoted[0].text, "> [!error]- help");
    for line in ["### User:", "###  assistant:\r\n", "### USER: \n"] {
        assert!(heading(line).is_some(), "{line:?}");
    }
    for line in ["## User:", "###User:", "### User", "### User: hi", " ### User:", "#### User:"] {
        assert!(heading(line).is_none(), "{line:?}");
    }
}

/// A vault with folders, links that stay and links that leave; and what is outside.
fn tree() -> (tempfile::TempDir, Vault) {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for made in ["vault/a/b", "vault/ü", "vault/e\u{301}t", "vault2", "outside/b"] {
        fs::create_dir_all(at(made)).unwrap();
    }
    for written in ["vault/n.md", "vault/a/n.md", "outside/n.md", "vault2/n.md", "n.md"] {
        fs::write(at(written), "x").unwrap();
    }
    for (link, target) in [
        ("vault/out", "../outside"),
        ("vault/a/up", "../.."),
        ("vault/a/in", "../ü"),
        ("vault/root", "/"),
        ("vault/loop", "loop"),
        ("vault/leave.md", "../outside/n.md"),
        ("vault/stay.md", "a/n.md"),
        ("vault/nowhere.md", "../outside/new.md"),
        ("vault/later.md", "a/new.md"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    symlink(at("vault/a"), at("vault/whole")).unwrap();
    symlink(at("vault"), at("outside/back")).unwrap();
    let vault = Vault::open(&at("vault")).unwrap();
    (folder, vault)
}

/// Where a path leads, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let mut there = path.to_owned();
    let mut behind = vec![];
    while fs::canonicalize(&there).is_err() {
        behind.push(there.file_name().unwrap().to_owned());
        there.pop();
    }
    behind.into_iter().rev().fold(fs::canonicalize(there).unwrap(), |path, name| path.join(name))
}

#[test]
fn names_are_resolved_in_the_vault() {
    let (folder, vault) = tree();
    let root = fs::canonicalize(folder.path().join("vault")).unwrap();
    for (name, expected) in [
        ("n", "n.md"),
        ("n.md", "n.md"),
        ("n.MD", "n.MD"),
        ("//n", "n.md"),
        ("./a/../n", "n.md"),
        ("new/er/file", "new/er/file.md"),
        ("a/in/n", "ü/n.md"),
        ("whole/n", "a/n.md"),
        ("stay", "a/n.md"),
        ("later", "a/new.md"),
        ("out/back/n", ""),
        ("u\u{308}/n", "ü/n.md"),
        ("ét/n", "e\u{301}t/n.md"),
    ] {
        let found = vault.resolve(name).map(|path| path.strip_prefix(&root).unwrap().display().to_string());
        let expected = if expected.is_empty() { Err(BadName::Escapes) } else { Ok(expected.to_owned()) };
        assert_eq!(found, expected, "{name:?}");
    }
    for name in [
        "..",
        "../n",
        "a/../../n",
        "a/../../vault2/n",
        "out/n",
        "out/new",
        "a/up/n",
        "root/etc/passwd",
        "loop/n",
        "leave",
        "nowhere",
        "a/up/vault2/n",
    ] {
        assert_eq!(vault.resolve(name), Err(BadName::Escapes), "{name:?}");
    }
    for name in ["", "/", "a/", "n\0", "."] {
        assert!(vault.resolve(name).is_err(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn no_name_leaves_the_vault(parts in prop::collection::vec(prop::sample::select(vec![
        "a", "b", "..", ".", "out", "up", "in", "root", "loop", "leave.md", "nowhere", "whole", "stay", "ü",
        "u\u{308}", "ét", "e\u{301}t", "back", "vault", "vault2", "outside", "n", "n.md", "A", "", "new", "later",
    ]), 1..8), absolute in any::<bool>()) {
        let (_folder, vault) = tree();
        let name = format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"));
        if let Ok(path) = vault.resolve(&name) {
            prop_assert!(path.starts_with(vault.root()), "{name:?} → {path:?}");
            prop_assert!(real(&path).starts_with(vault.root()), "{name:?} → {path:?}");
            prop_assert!(path.components().all(|part| !matches!(part, Component::ParentDir)));
            prop_assert!(fs::read_link(&path).is_err(), "a link would be written through");
        }
    }
}
