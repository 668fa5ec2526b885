//! Keys of access: origins, TLS, limits of addresses and tokens.

use expect_test::expect;

use super::super::*;
use super::{check, parse};

#[test]
fn an_impossible_value_is_named_with_what_is_allowed() {
    check(
        &[
            "server: {allowed_origins: ['https://good.example', app.example, 'https://a.example/page']}\n",
            "tls: sometimes\n",
            "tls: {mode: on}\n",
            "tls: files\n",
            "tls:\n  mode: files\n  cert: cert.pem\n",
            "tls:\n  mode: self_signed\n  key: key.pem\n",
            "limits: {sessions_per_token: 100001}\n",
            "limits: {connections_per_address: 1000001}\n",
            "limits: {requests_per_minute: 1000001}\n",
            "limits: {audio_seconds_per_hour: 100000001}\n",
            "limits: {upload_bytes: 10}\n",
            "limits: {uploads: 0}\n",
        ],
        expect![[r#"

            config.yml:1: server.allowed_origins: "app.example" is not allowed; must be a scheme, a host and, if need be, a port: https://app.example.org
            config.yml:1: server.allowed_origins: "https://a.example/page" is not allowed; must be a scheme, a host and, if need be, a port: https://app.example.org
            config.yml:1: tls.mode: expected one of off, self_signed, files, found the text "sometimes"
            config.yml:1: tls.mode: expected one of off, self_signed, files, found the text "on"
            config.yml:1: tls.cert: is missing: tls.mode `files` needs the path of a PEM file
            config.yml:1: tls.key: is missing: tls.mode `files` needs the path of a PEM file
            config.yml:2: tls.key: is missing: tls.mode `files` needs the path of a PEM file
            config.yml:3: tls.key: is of no use here; set tls.mode to files, or leave it out
            config.yml:1: limits.sessions_per_token: 100001 is not allowed; must be from 0 to 100000
            config.yml:1: limits.connections_per_address: 1000001 is not allowed; must be from 0 to 1000000
            config.yml:1: limits.requests_per_minute: 1000001 is not allowed; must be from 0 to 1000000
            config.yml:1: limits.audio_seconds_per_hour: 100000001 is not allowed; must be from 0 to 100000000
            config.yml:1: limits.upload_bytes: 10 is not allowed; must be from 1024 to 4294967296
            config.yml:1: limits.uploads: 0 is not allowed; must be from 1 to 100000
        "#]],
    );
}

#[test]
fn tls_has_a_short_form_and_files_are_relative_to_the_configuration() {
    let short = parse("tls: self_signed\n").unwrap();
    assert_eq!(short.tls, parse("tls: {mode: self_signed}\n").unwrap().tls);
    assert_eq!((short.tls.mode, parse("tls: off\n").unwrap().tls.mode), (TlsMode::SelfSigned, TlsMode::Off));
    let text = "tls: {mode: files, cert: c.pem, key: /etc/k.pem}\n";
    let files = Config::parse(text, &Source::File("/srv/config.yml".into()), std::iter::empty()).unwrap().tls;
    assert_eq!((files.cert, files.key), ("/srv/c.pem".into(), "/etc/k.pem".into()));
}
