//! What is said by other frontends, as files in the vault: each finished turn is added to the file of its
//! conversation. One task does it, behind the turns: whatever goes wrong here is logged, and no turn waits
//! for it or hears of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Markdown;
use super::document::{Document, words_of};
use super::fork::{Turn, diff_and_fork, fingerprint, fingerprints};
use super::history;
use super::lines::Speaker;
use super::work::keys;
use super::write::write_atomically;
use crate::conversation::error::StoreError;
use crate::conversation::ids::SessionId;
use crate::conversation::shown::Shown;
use crate::frontends::server::Server;

/// Turns that wait. More at a time are logged with the next turn of their conversation.
pub const QUEUE_LENGTH: usize = 1_024;
/// A file that is being answered is looked at again after this time.
const BUSY_WAIT: Duration = Duration::from_millis(300);
/// Files of one name, at most.
const MAX_SAME_NAMES: usize = 1_000;

/// Why a turn is not in the vault.
#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("its file is being answered")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("markdown.log_path: {name:?} is no file in the vault ({reason})")]
    Name { name: String, reason: super::vault::BadName },
}

impl Server {
    /// A turn of this session has ended, and is in the log. Never blocks.
    pub fn turn_ended(&self, session: SessionId) {
        let Some(markdown) = self.markdown.as_ref().filter(|_| self.config.markdown.log_all_chats) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = markdown.turns.try_send(session) {
            tracing::warn!(session_id = %session, "the vault is behind: a turn is added to it with the next one");
        }
    }
}

/// Adds turns to their files until nobody can tell of more.
pub async fn keep(server: Arc<Server>, mut turns: mpsc::Receiver<SessionId>) {
    let mut waiting = BTreeSet::new();
    loop {
        let next = async {
            match waiting.is_empty() {
                true => turns.recv().await,
                false => tokio::time::timeout(BUSY_WAIT, turns.recv()).await.unwrap_or(None),
            }
        };
        match next.await {
            Some(session) => drop(waiting.insert(session)),
            None if waiting.is_empty() => return,
            None => {}
        }
        while let Ok(session) = turns.try_recv() {
            waiting.insert(session);
        }
        for session in std::mem::take(&mut waiting) {
            let shared = Arc::clone(&server);
            match tokio::task::spawn_blocking(move || add(&shared, session)).await {
                Ok(Ok(())) => {}
                Ok(Err(LogError::Busy)) => drop(waiting.insert(session)),
                Ok(Err(error)) => tracing::error!(session_id = %session, "not in the vault: {error}"),
                Err(_) => tracing::error!(session_id = %session, "not in the vault: the work was stopped"),
            }
        }
    }
}

/// Brings the file of a conversation up to date. Blocking.
fn add(server: &Server, session: SessionId) -> Result<(), LogError> {
    let Some(markdown) = &server.markdown else { return Ok(()) };
    let Some(shown) = server.log.shown(session)? else { return Ok(()) };
    let turns = history::turns(&shown);
    if turns.is_empty() {
        return Ok(());
    }
    let known = markdown.index.file_of(&shown.sessions());
    let known = known.or_else(|| markdown.index.file_that_ends(&fingerprints(&turns)[1..]));
    if let Some(path) = known
        && add_to(markdown, &path, &shown, &turns)?
    {
        return Ok(());
    }
    // It has none, or one in which somebody has changed what was said: that one stays as it is.
    let path = new_path(server, markdown, &shown)?;
    add_to(markdown, &path, &shown, &turns).map(drop)
}

/// Adds what the file has not; `false` if it is not the beginning of this conversation.
fn add_to(markdown: &Markdown, path: &PathBuf, shown: &Shown, turns: &[Turn]) -> Result<bool, LogError> {
    let claim = markdown.claims.claim(path).ok_or(LogError::Busy)?;
    let in_file = |source| LogError::File { path: path.clone(), source };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(in_file(error)),
    };
    let mut document = Document::parse(&text);
    let there = document.turns();
    let common = diff_and_fork(turns, &there).kept;
    if common < there.len() && common < turns.len() {
        return Ok(false);
    }
    if common < turns.len() {
        let mut spoken = 0;
        for (speaker, body) in history::written(shown) {
            if spoken >= common {
                document.add(speaker, &body);
            }
            spoken += usize::from(!words_of(speaker, &body).is_empty());
        }
        document.add(Speaker::User, "");
        let print = fingerprint(&document.turns());
        document.set(keys::AGENT, &shown.start.agent);
        document.set(keys::CONVERSATION, &shown.session.to_string());
        document.set(keys::FINGERPRINT, &print);
        write_atomically(path, &document.render()).map_err(in_file)?;
        markdown.index.note(path, Some(shown.session), Some(&print));
    }
    drop(claim);
    Ok(true)
}

/// A path of no file yet, as `markdown.log_path` says.
fn new_path(server: &Server, markdown: &Markdown, shown: &Shown) -> Result<PathBuf, LogError> {
    let config = &server.config.markdown;
    let began = Timestamp::from_microsecond(shown.began_at_unix_us).unwrap_or_default();
    let began = began.to_zoned(TimeZone::system());
    let id: String = shown.session.to_string().chars().take(8).collect();
    let name = config
        .log_path
        .replace("{date}", &began.strftime("%Y-%m-%d").to_string())
        .replace("{time}", &began.strftime("%H-%M-%S").to_string())
        .replace("{agent}", &shown.start.agent)
        .replace("{frontend}", &shown.start.frontend)
        .replace("{id}", &id);
    let name = name.trim().trim_end_matches(".md").to_owned();
    let mut last = PathBuf::new();
    for number in 1..=MAX_SAME_NAMES {
        let name = if number == 1 { name.clone() } else { format!("{name} ({number})") };
        let name = format!("{}/{name}.md", config.logged_subdir.display());
        last = markdown.vault.resolve(&name).map_err(|reason| LogError::Name { name, reason })?;
        if !last.exists() {
            break;
        }
    }
    Ok(last)
}
