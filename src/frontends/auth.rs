//! Who may talk: tokens, and in open mode the Host and Origin checks that keep other web pages out.
//!
//! A browser page of somebody else can open a WebSocket to `localhost`, and with a DNS name that it
//! rebinds to 127.0.0.1 it can read everything here. Its requests carry its own Host or Origin, so
//! open mode answers only to names that are ours.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};

use crate::config::{AuthMode, Config};
use crate::conversation::error::StoreError;
use crate::conversation::ids::Hash;
use crate::conversation::tokens::TokenStore;

/// The sub-protocol of `/ws/chat`.
pub const SUBPROTOCOL: &str = "vivavoce.v1";
/// A sub-protocol that carries a token: browsers can send no Authorization header with a socket.
const BEARER_SUBPROTOCOL: &str = "bearer.";
/// The sub-protocol of `/v1/realtime`, as OpenAI's clients ask for it.
pub const REALTIME_SUBPROTOCOL: &str = "realtime";
/// The same as [`BEARER_SUBPROTOCOL`], as OpenAI's clients say it.
const OPENAI_KEY_SUBPROTOCOL: &str = "openai-insecure-api-key.";
/// A sub-protocol that carries the resume token of a session, for the same reason.
const RESUME_SUBPROTOCOL: &str = "resume.";

/// The check at the door.
pub struct Door {
    open: bool,
    check_names: bool,
    names: Vec<String>,
    tokens: Arc<TokenStore>,
}

/// Who came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// Hash of the token, under which sessions belong to somebody; `None` in open mode.
    pub owner: Option<Hash>,
}

/// Why somebody did not come in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request names a host that is not ours.
    #[error("this server does not answer to the host `{0}`; add it to server.allowed_hosts")]
    Host(String),
    /// The request comes from a page that is not ours.
    #[error("pages of `{0}` may not use this server; add its host to server.allowed_hosts")]
    Origin(String),
    /// A token is needed.
    #[error("a token is needed: Authorization: Bearer TOKEN, or the sub-protocol bearer.TOKEN")]
    NoToken,
    /// The token is not ours.
    #[error("the token is not valid; make one with `vivavoce token create`")]
    BadToken,
    /// The tokens cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// The HTTP status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Host(_) | Refusal::Origin(_) => StatusCode::FORBIDDEN,
            Refusal::NoToken | Refusal::BadToken => StatusCode::UNAUTHORIZED,
            Refusal::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable, snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Host(_) => "bad_host",
            Refusal::Origin(_) => "bad_origin",
            Refusal::NoToken => "token_needed",
            Refusal::BadToken => "bad_token",
            Refusal::Store(error) => error.code(),
        }
    }
}

impl Door {
    /// As `auth.mode` says for a server bound to `bound`.
    pub fn new(config: &Config, bound: IpAddr, tokens: Arc<TokenStore>) -> Door {
        let (open, check_names) = match config.auth.mode {
            AuthMode::Auto => (bound.is_loopback(), bound.is_loopback()),
            AuthMode::Tokens => (false, false),
            AuthMode::None => (true, false),
        };
        let ours = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let names = ours.into_iter().chain(config.server.allowed_hosts.iter().map(|h| h.to_lowercase()));
        Door { open, check_names, names: names.collect(), tokens }
    }

    /// Tokens are needed here.
    pub fn needs_tokens(&self) -> bool {
        !self.open
    }

    /// Lets a request in, or says why not. Blocks for a look-up if tokens are needed.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        self.check_names(headers)?;
        if self.open {
            return Ok(Visitor { owner: None });
        }
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let owner = self.tokens.verify(token)?.ok_or(Refusal::BadToken)?;
        Ok(Visitor { owner: Some(owner) })
    }

    /// The Host and Origin checks alone: for pages, which hold no secrets.
    pub fn check_names(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.check_names {
            return Ok(());
        }
        let host = text(headers, header::HOST.as_str()).unwrap_or_default();
        if !self.is_ours(host) {
            return Err(Refusal::Host(host.to_owned()));
        }
        match text(headers, header::ORIGIN.as_str()) {
            // Not a browser, or a page of our own.
            None => Ok(()),
            Some(origin) => {
                let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
                if self.is_ours(authority) { Ok(()) } else { Err(Refusal::Origin(origin.to_owned())) }
            }
        }
    }

    /// Whether `authority` (`host` or `host:port`) names this server.
    fn is_ours(&self, authority: &str) -> bool {
        let bracketed = authority.rfind(']').map_or(0, |end| end + 1);
        let end = authority[bracketed..].find(':').map_or(authority.len(), |colon| bracketed + colon);
        let host = authority[..end].to_lowercase();
        self.names.contains(&host)
    }
}

/// The token of a request: of its Authorization header, or of its sub-protocols.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = text(headers, header::AUTHORIZATION.as_str());
    let of_header = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let of_subprotocol = || in_subprotocol(headers, BEARER_SUBPROTOCOL);
    of_header.or_else(of_subprotocol).or_else(|| in_subprotocol(headers, OPENAI_KEY_SUBPROTOCOL))
}

/// The resume token among the sub-protocols of a request.
pub fn resume_token(headers: &HeaderMap) -> Option<&str> {
    in_subprotocol(headers, RESUME_SUBPROTOCOL)
}

fn in_subprotocol<'a>(headers: &'a HeaderMap, prefix: &str) -> Option<&'a str> {
    let offered = text(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str())?;
    offered.split(',').find_map(|protocol| protocol.trim().strip_prefix(prefix))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
