//! HTTP to other servers: what all of our clients have in common. No way around a server on this machine
//! through a proxy, no redirects by themselves, bodies only as far as somebody wants to read them, and
//! errors that show no credentials. The engines' clients share their [`Connections`].

mod connections;

use std::error::Error;

pub use connections::Connections;

use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, Response, Url};

/// A client for `url` and nothing else, with the proxies of the environment (`HTTPS_PROXY`, …) unless
/// that is here.
pub fn client(url: &Url) -> ClientBuilder {
    let builder = client_that_may_leave(url);
    // Plain HTTP must not fail on a machine without CA certificates.
    if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder }
}

/// The same for a server that sends its clients on to others.
pub fn client_that_may_leave(url: &Url) -> ClientBuilder {
    // An error only says that somebody else has installed a provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("vivavoce/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// What is wrong when a client cannot be made, and what to do about it.
pub fn no_client(key: &str, error: &reqwest::Error) -> String {
    format!(
        "cannot set up HTTPS for {key} ({}); install the system's CA certificates (Debian: ca-certificates)",
        root_cause(error)
    )
}

/// The value of an Authorization header, with the token in an environment variable; `None` without such
/// a variable. The error is a message; `key` is where the variable was named.
pub fn bearer(variable: &str, key: &str) -> Result<Option<HeaderValue>, String> {
    let token = match variable {
        "" => return Ok(None),
        name => std::env::var(name).unwrap_or_default(),
    };
    if token.trim().is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
        format!("the environment variable {variable} ({key}) holds characters that no key has")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Up to `max_bytes` of the body, as far as it can be read.
pub async fn read_body(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece[..piece.len().min(max_bytes - body.len())]);
        if body.len() == max_bytes {
            break;
        }
    }
    body
}

/// The innermost reason of an error; it names no address (that is, no credentials).
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "no reason given".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_recognised() {
        let loopback = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(["http://localhost:1", "http://127.0.0.9", "http://[::1]:1"].map(loopback) == [true; 3]);
        assert!(["http://10.0.0.1", "http://localhost.example"].map(loopback) == [false; 2]);
    }
}
