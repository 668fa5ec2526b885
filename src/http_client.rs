//! What all our HTTP clients share: the TLS provider, and how their errors are told.

use std::error::Error;
use std::net::IpAddr;

use reqwest::{Client, ClientBuilder, Url};

/// A client that names itself, follows no redirect, and asks no proxy for a server on this machine.
/// Certificates are checked against those of the system.
pub(crate) fn builder(base: &Url) -> ClientBuilder {
    // An error only says that somebody else has installed a provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("vivavoce/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(base) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The innermost reason of an error; it names no address (that is, no credentials and signatures).
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
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
