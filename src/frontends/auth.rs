//! Who may talk: tokens with scopes, client secrets, and the Host and Origin checks that keep other web
//! pages out. [`super::gate`] asks here before any handler runs.
//!
//! A browser page of somebody else can open a WebSocket to `localhost`, and with a DNS name that it
//! rebinds to 127.0.0.1 it can read everything here. Its requests carry its own Host or Origin. So open
//! mode answers only to names that are ours, and in every mode a request that has an Origin must come
//! from a page of this server or of one in `server.allowed_origins`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::client_secrets::{self, ClientSecret, ClientSecrets};
use crate::config::{AuthMode, Config};
use crate::conversation::error::StoreError;
use crate::conversation::ids::Hash;
use crate::conversation::store::now_unix_us;
use crate::conversation::tokens::{Scope, TokenInfo, TokenStore};

/// The sub-protocol of `/ws/chat`.
pub const SUBPROTOCOL: &str = "vivavoce.v1";
/// The sub-protocol of `/v1/realtime`, as OpenAI's clients ask for it.
pub const REALTIME_SUBPROTOCOL: &str = "realtime";
/// Sub-protocols that carry a token: browsers can send no Authorization header with a socket. The second
/// one is that of OpenAI's clients.
const BEARER_SUBPROTOCOLS: [&str; 2] = ["bearer.", "openai-insecure-api-key."];
/// A sub-protocol that carries the resume token of a session, for the same reason.
const RESUME_SUBPROTOCOL: &str = "resume.";

/// What a route asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it shows no secrets and does no work. (Pages, health.)
    Nothing,
    /// A token with this scope, where tokens are needed.
    Scope(Scope),
    /// The same, or a client secret: the sockets.
    ScopeOrSecret(Scope),
    /// A token with this scope, in every mode: from pages of any origin, since no browser sends one by itself.
    Token(Scope),
    /// The token of what is asked for, in every mode; the handler compares it.
    Own,
}

/// The check at the door.
pub struct Door {
    open: bool,
    check_host: bool,
    names: Vec<String>,
    origins: Vec<String>,
    tokens: Arc<TokenStore>,
    /// Client secrets that are good.
    pub secrets: ClientSecrets,
}

/// Who came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Visitor {
    /// Hash of the token, under which sessions belong to somebody; `None` in open mode.
    pub owner: Option<Hash>,
    /// What the token is called.
    pub token_name: Option<String>,
    /// What the client secret with which they came stands for.
    pub secret: Option<Arc<ClientSecret>>,
}

/// Why somebody did not come in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request names a host that is not ours.
    #[error("this server does not answer to the host `{0}`; add it to server.allowed_hosts")]
    Host(String),
    /// The request comes from a page that is not ours.
    #[error("pages of `{0}` may not use this server; add it to server.allowed_origins")]
    Origin(String),
    /// A token is needed.
    #[error("a token is needed: Authorization: Bearer TOKEN, or the sub-protocol bearer.TOKEN")]
    NoToken,
    /// The token is not ours.
    #[error("the token is not valid; make one with `vivavoce token create`")]
    BadToken,
    /// The token was ours.
    #[error("the token `{0}` has expired; make a new one with `vivavoce token create`")]
    Expired(String),
    /// The token is not for this.
    #[error(
        "the token `{name}` lacks the scope `{scope}`; make one with `vivavoce token create --scope {scope}`"
    )]
    Scope {
        /// What the token is called.
        name: String,
        /// What it would have to allow.
        scope: Scope,
    },
    /// A client secret that is unknown, or no longer good.
    #[error("the client secret is not valid, or has expired; make one with POST /v1/realtime/client_secrets")]
    BadSecret,
    /// A client secret is not for this.
    #[error("a client secret opens /v1/realtime and /ws/chat only; a token is needed here")]
    SecretElsewhere,
    /// The tokens cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// The HTTP status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Host(_) | Refusal::Origin(_) | Refusal::Scope { .. } | Refusal::SecretElsewhere => {
                StatusCode::FORBIDDEN
            }
            Refusal::NoToken | Refusal::BadToken | Refusal::Expired(_) | Refusal::BadSecret => {
                StatusCode::UNAUTHORIZED
            }
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
            Refusal::Expired(_) => "token_expired",
            Refusal::Scope { .. } => "scope_needed",
            Refusal::BadSecret => "bad_client_secret",
            Refusal::SecretElsewhere => "token_needed",
            Refusal::Store(error) => error.code(),
        }
    }
}

impl Door {
    /// As `auth.mode` says for a server bound to `bound`.
    pub fn new(config: &Config, bound: IpAddr, tokens: Arc<TokenStore>) -> Door {
        let (open, check_host) = match config.auth.mode {
            AuthMode::Auto => (bound.is_loopback(), bound.is_loopback()),
            AuthMode::Tokens => (false, false),
            AuthMode::None => (true, false),
        };
        let ours = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let names = ours.into_iter().chain(config.server.allowed_hosts.iter().map(|h| h.to_lowercase()));
        let origins = config.server.allowed_origins.iter().map(|origin| origin.to_lowercase()).collect();
        let secrets = ClientSecrets::default();
        Door { open, check_host, names: names.collect(), origins, tokens, secrets }
    }

    /// Tokens are needed here.
    pub fn needs_tokens(&self) -> bool {
        !self.open
    }

    /// Lets a request in, or says why not. Blocks for a look-up if tokens are needed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn admit(&self, headers: &HeaderMap, needs: Needs) -> Result<Visitor, Refusal> {
        if needs == Needs::Nothing {
            return Ok(Visitor::default());
        }
        let token = bearer(headers);
        if let Needs::Token(scope) = needs {
            return self.admit_token(token, scope);
        }
        self.check_names(headers)?;
        if let Some(secret) = token.and_then(|token| self.secrets.find(token)) {
            return match needs {
                Needs::ScopeOrSecret(_) => {
                    Ok(Visitor { owner: secret.owner, secret: Some(secret), ..Visitor::default() })
                }
                _ => Err(Refusal::SecretElsewhere),
            };
        }
        match (needs, token) {
            (Needs::Nothing, _) => Ok(Visitor::default()),
            (Needs::Own, token) => token.map(|_| Visitor::default()).ok_or(Refusal::NoToken),
            // Its session would not be the one that it was made for.
            (_, Some(token)) if self.open && token.starts_with(client_secrets::PREFIX) => {
                Err(Refusal::BadSecret)
            }
            _ if self.open => Ok(Visitor::default()),
            (Needs::Scope(scope) | Needs::ScopeOrSecret(scope) | Needs::Token(scope), token) => {
                self.admit_token(token, scope)
            }
        }
    }

    fn admit_token(&self, token: Option<&str>, scope: Scope) -> Result<Visitor, Refusal> {
        let info = self.info(token.ok_or(Refusal::NoToken)?, scope)?;
        Ok(Visitor { owner: Some(info.hash), token_name: Some(info.name), secret: None })
    }

    /// The name under which `token` owns things, if it is good for `scope`. Blocks for a look-up.
    ///
    /// # Errors
    /// It is not.
    pub fn owner(&self, token: &str, scope: Scope) -> Result<Hash, Refusal> {
        self.info(token, scope).map(|info| info.hash)
    }

    fn info(&self, token: &str, scope: Scope) -> Result<TokenInfo, Refusal> {
        let info = self.tokens.find(token)?.ok_or(Refusal::BadToken)?;
        if info.has_expired(now_unix_us()) {
            return Err(Refusal::Expired(info.name));
        }
        if !info.scopes.iter().any(|has| has.covers(scope)) {
            return Err(Refusal::Scope { name: info.name, scope });
        }
        Ok(info)
    }

    /// The Host and Origin checks alone.
    fn check_names(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST.as_str()).unwrap_or_default().to_lowercase();
        if self.check_host && !self.is_ours(&host) {
            return Err(Refusal::Host(host));
        }
        match headers.get(header::ORIGIN) {
            // Not a browser.
            None => Ok(()),
            Some(origin) => {
                let origin = String::from_utf8_lossy(origin.as_bytes()).to_lowercase();
                let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
                let same = !authority.is_empty() && authority == host;
                if same || self.origins.contains(&origin) { Ok(()) } else { Err(Refusal::Origin(origin)) }
            }
        }
    }

    /// Whether pages of this origin are in `server.allowed_origins`.
    pub fn knows_page(&self, origin: &HeaderValue) -> bool {
        self.origins.contains(&String::from_utf8_lossy(origin.as_bytes()).to_lowercase())
    }

    /// Whether `authority` (`host` or `host:port`, in lower case) names this server.
    fn is_ours(&self, authority: &str) -> bool {
        let bracketed = authority.rfind(']').map_or(0, |end| end + 1);
        let end = authority[bracketed..].find(':').map_or(authority.len(), |colon| bracketed + colon);
        self.names.iter().any(|name| name == &authority[..end])
    }
}

/// The token of a request: of its Authorization header, or of its sub-protocols.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = text(headers, header::AUTHORIZATION.as_str());
    let of_header = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    of_header.or_else(|| BEARER_SUBPROTOCOLS.iter().find_map(|prefix| in_subprotocol(headers, prefix)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::conversation::tokens::NewToken;

    struct Fixture {
        _folder: tempfile::TempDir,
        tokens: Arc<TokenStore>,
        door: Door,
    }

    fn fixture(mode: AuthMode) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let tokens = Arc::new(TokenStore::open(&url).unwrap());
        let mut config = Config::default();
        config.auth.mode = mode;
        config.server.allowed_origins = vec!["https://App.example.org".into()];
        let door = Door::new(&config, IpAddr::from([127, 0, 0, 1]), Arc::clone(&tokens));
        Fixture { _folder: folder, tokens, door }
    }

    /// `admitted`, or the refusal's status and code, for a request with these headers.
    fn ask(door: &Door, needs: Needs, headers: &[(&'static str, &str)]) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        match door.admit(&headers, needs) {
            Ok(_) => "admitted".to_owned(),
            Err(refusal) => format!("{} {}", refusal.status().as_u16(), refusal.code()),
        }
    }

    #[test]
    fn pages_of_others_are_kept_out_in_every_mode() {
        for mode in [AuthMode::Auto, AuthMode::Tokens, AuthMode::None] {
            let Fixture { tokens, door, .. } = &fixture(mode);
            let scopes = &[Scope::Voice];
            let token =
                tokens.create(&NewToken { name: "a test", scopes, expires_at_unix_us: None }).unwrap();
            let bearer = format!("Bearer {token}");
            for (host, origin, expected) in [
                ("localhost:8080", "http://localhost:8080", "admitted"),
                ("localhost:8080", "HTTP://LOCALHOST:8080", "admitted"),
                ("localhost:8080", "https://app.example.org", "admitted"),
                ("localhost:8080", "http://app.example.org", "403 bad_origin"),
                ("localhost:8080", "http://localhost:3000", "403 bad_origin"),
                ("localhost", "http://localhost.evil.example", "403 bad_origin"),
                ("localhost", "null", "403 bad_origin"),
                ("localhost", "", "403 bad_origin"),
            ] {
                let headers = [("host", host), ("origin", origin), ("authorization", bearer.as_str())];
                assert_eq!(ask(door, Needs::Scope(Scope::Voice), &headers), expected, "{mode:?} {headers:?}");
            }
            let no_page = [("host", "localhost"), ("authorization", bearer.as_str())];
            assert_eq!(ask(door, Needs::Scope(Scope::Voice), &no_page), "admitted");
        }
    }

    #[test]
    fn names_that_were_rebound_are_kept_out_in_open_mode() {
        let voice = Needs::Scope(Scope::Voice);
        let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
        assert_eq!(ask(&fixture(AuthMode::Auto).door, voice, &rebound), "403 bad_host");
        assert_eq!(ask(&fixture(AuthMode::Auto).door, voice, &[]), "403 bad_host");
        assert_eq!(ask(&fixture(AuthMode::Auto).door, voice, &[("host", "[::1]:8080")]), "admitted");
        assert_eq!(ask(&fixture(AuthMode::None).door, voice, &rebound), "admitted");
        assert_eq!(ask(&fixture(AuthMode::Auto).door, Needs::Nothing, &rebound), "admitted");
    }

    #[test]
    fn a_token_is_good_for_its_scopes_and_its_time() {
        let Fixture { tokens, door, .. } = &fixture(AuthMode::Tokens);
        let make = |scopes: &[Scope], expires_at_unix_us| {
            let new = NewToken { name: "a test", scopes, expires_at_unix_us };
            format!("Bearer {}", tokens.create(&new).unwrap())
        };
        let good = make(&[Scope::Voice, Scope::Api], Some(i64::MAX));
        let ended = make(&[Scope::Voice], Some(1));
        for (needs, authorization, expected) in [
            (Needs::Scope(Scope::Voice), good.as_str(), "admitted"),
            (Needs::ScopeOrSecret(Scope::Voice), &good, "admitted"),
            (Needs::Scope(Scope::Api), &good, "admitted"),
            (Needs::Scope(Scope::Admin), &good, "403 scope_needed"),
            (Needs::Scope(Scope::Voice), &ended, "401 token_expired"),
            (Needs::Scope(Scope::Voice), "Bearer guess", "401 bad_token"),
            (Needs::Scope(Scope::Voice), "Basic Z3Vlc3M6", "401 token_needed"),
            (Needs::Own, "Bearer whatever", "admitted"),
            (Needs::Nothing, "", "admitted"),
        ] {
            assert_eq!(ask(door, needs, &[("authorization", authorization)]), expected, "{needs:?}");
        }
        assert_eq!(ask(door, Needs::Own, &[]), "401 token_needed");
        let token = good.strip_prefix("Bearer ").unwrap();
        for offered in [
            format!("vivavoce.v1, bearer.{token}"),
            format!("realtime, openai-insecure-api-key.{token}"),
            format!("realtime,openai-insecure-api-key.{token},openai-beta.realtime-v1"),
        ] {
            let headers = [("sec-websocket-protocol", offered.as_str())];
            assert_eq!(ask(door, Needs::Scope(Scope::Voice), &headers), "admitted", "{offered}");
        }
    }

    #[test]
    fn a_client_secret_opens_sockets_only() {
        for mode in [AuthMode::Tokens, AuthMode::None] {
            let Fixture { door, .. } = &fixture(mode);
            let session = json!({"type": "realtime"});
            let (secret, _) =
                door.secrets.create(Some(Hash::ZERO), session.clone(), Duration::from_secs(60)).unwrap();
            let offered = format!("realtime, openai-insecure-api-key.{secret}");
            let headers = [("sec-websocket-protocol", offered.as_str())];
            assert_eq!(ask(door, Needs::ScopeOrSecret(Scope::Realtime), &headers), "admitted");
            assert_eq!(ask(door, Needs::Scope(Scope::Realtime), &headers), "403 token_needed");
            assert_eq!(ask(door, Needs::Own, &headers), "403 token_needed");

            let visitor = door.admit(
                &HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, offered.parse().unwrap())]),
                Needs::ScopeOrSecret(Scope::Realtime),
            );
            let visitor = visitor.unwrap();
            assert_eq!((visitor.owner, &visitor.secret.unwrap().session), (Some(Hash::ZERO), &session));
            let unknown = [("authorization", "Bearer ek_unknown")];
            let expected = if mode == AuthMode::None { "401 bad_client_secret" } else { "401 bad_token" };
            assert_eq!(ask(door, Needs::ScopeOrSecret(Scope::Realtime), &unknown), expected);
        }
    }
}
