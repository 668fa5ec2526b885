//! `markdown.*`: conversations in Markdown files.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::agents::DEFAULT_AGENT;
use super::validate::{Check, is_host, is_http_url};
use super::{Config, Server};

/// The port of a listener that has only a host.
pub const MARKDOWN_PORT: u16 = 8003;
/// What may stand in braces in `markdown.log_path`.
pub const LOG_PATH_FIELDS: &[&str] = &["date", "time", "agent", "frontend", "id"];

/// `markdown.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Markdown {
    /// `/chat`, `/chat/stream` and `/agents` are there.
    pub enabled: bool,
    /// Folder of the files; `~/` is the user's home.
    pub vault_path: PathBuf,
    /// Address of a listener of its own; `None`: `server.host`, if it has a port of its own.
    pub host: Option<String>,
    /// Port of a listener of its own; `None`: [`MARKDOWN_PORT`] if there is a host, else the server's.
    pub port: Option<u16>,
    /// Who answers where neither request nor file says; `None`: nobody.
    pub default_agent: Option<String>,
    /// What other frontends hear and say is written into the vault, too.
    pub log_all_chats: bool,
    /// Folder of those files in the vault.
    pub logged_subdir: PathBuf,
    /// Their names below it; see [`LOG_PATH_FIELDS`].
    pub log_path: String,
    /// Under which address people reach it, without a slash at the end; empty: unknown.
    pub public_base_url: String,
}

impl Default for Markdown {
    fn default() -> Self {
        Markdown {
            enabled: false,
            vault_path: "vault".into(),
            host: None,
            port: None,
            default_agent: Some(DEFAULT_AGENT.into()),
            log_all_chats: false,
            logged_subdir: "_logs".into(),
            log_path: "{date}/{time} {agent} {id}.md".into(),
            public_base_url: String::new(),
        }
    }
}

impl Markdown {
    /// Host and port of its own listener; `None`: it shares the server's.
    pub fn own_address(&self, server: &Server) -> Option<(String, u16)> {
        let own = self.host.is_some() || self.port.is_some();
        let host = self.host.clone().unwrap_or_else(|| server.host.clone());
        own.then(|| (host, self.port.unwrap_or(MARKDOWN_PORT)))
    }

    /// Paths as they are meant: relative ones in `folder`, `~` the user's home; and no slash at the end of
    /// the address.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let home = std::env::home_dir().unwrap_or_default();
        self.vault_path = match self.vault_path.strip_prefix("~") {
            Ok(below) => home.join(below),
            Err(_) => folder.join(&self.vault_path),
        };
        self.public_base_url = self.public_base_url.trim_end_matches('/').to_owned();
    }
}

/// What stands in braces in a template.
pub(super) fn fields(template: &str) -> Vec<&str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(field, _)| field)).collect()
}

impl Check {
    pub(super) fn markdown(&mut self, config: &Config) {
        let markdown = &config.markdown;
        self.folder("markdown.vault_path", &markdown.vault_path);
        if let Some(host) = &markdown.host {
            let name = "an IP address or a host name, without scheme, port and path, or null";
            self.holds(is_host(host), "markdown.host", host, name);
        }
        if let Some(agent) = &markdown.default_agent {
            let names: Vec<&str> = config.agent_names().collect();
            let known = names.contains(&agent.as_str());
            self.holds(
                known,
                "markdown.default_agent",
                agent,
                &format!("one of {}, or null", names.join(", ")),
            );
        }
        let subdir = &markdown.logged_subdir;
        let below = subdir.components().all(|part| matches!(part, Component::Normal(_)));
        let shown = subdir.display().to_string();
        self.holds(below && !shown.is_empty(), "markdown.logged_subdir", &shown, "a folder in the vault");
        let unknown = fields(&markdown.log_path).into_iter().find(|field| !LOG_PATH_FIELDS.contains(field));
        if let Some(field) = unknown {
            let message = format!("there is no {{{field}}}; there is {{{}}}", LOG_PATH_FIELDS.join("}, {"));
            self.refuse("markdown.log_path", message);
        } else if markdown.log_path.trim().is_empty() {
            self.refuse("markdown.log_path", "must be the name of a file, as in {date}/{id}.md".to_owned());
        }
        let url = markdown.public_base_url.trim_end_matches('/');
        let allowed = "http:// or https://, a host and, if need be, a path; or empty";
        self.holds(url.is_empty() || is_http_url(url), "markdown.public_base_url", url, allowed);
    }
}
