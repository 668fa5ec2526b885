//! TLS with real clients: whom they trust, what they speak, and how the certificate changes.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vivavoce::config::{Config, TlsMode};
use vivavoce::frontends::tls::Certificates;

use crate::e2e::person::wait_until;
use crate::harness::{ServerProcess, TestServer};

fn self_signed(config: &mut Config) {
    config.vad.engine = "scripted".to_owned();
    config.tls.mode = TlsMode::SelfSigned;
}

/// A connection of a client that trusts this certificate and no other.
async fn connect(server: &TestServer, trusted: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(&server.address, trusted).await
}

async fn connect_to(address: &str, trusted: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    crate::tls();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Certificate and key as PEM.
fn new_pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

fn make_certificate(folder: &Path) {
    let (cert, key) = new_pair();
    std::fs::write(folder.join("cert.pem"), cert).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
}

#[tokio::test]
async fn a_conversation_behind_a_certificate_of_the_servers_own() {
    let server = TestServer::start(self_signed);
    let cert = server.folder().path().join("tls-cert.pem");
    let stream = connect(&server, &cert).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "and not HTTP/2");
    let mut request = format!("wss://{}/ws/chat", server.address).into_client_request().unwrap();
    // A page of this server.
    let own = format!("https://{}", server.address).parse().unwrap();
    request.headers_mut().insert("Origin", own);
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::text(r#"{"type":"text","text":"hello"}"#)).await.unwrap();
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if message.to_text().is_ok_and(|text| text.contains("\"turn_end\"")) {
            assert!(message.to_text().unwrap().contains("completed"), "{message}");
            break;
        }
    }
    server.stop();
}

#[tokio::test]
async fn the_certificate_is_private_stays_and_names_the_machine() {
    let server = TestServer::start(self_signed);
    let folder = server.folder();
    let (cert, key) = (folder.path().join("tls-cert.pem"), folder.path().join("tls-key.pem"));
    for file in [&cert, &key] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let fingerprint = server.server.certificates.as_ref().unwrap().fingerprint();
    assert_eq!(fingerprint.len(), 95, "{fingerprint}");
    let first = std::fs::read(&cert).unwrap();
    server.stop();

    let again = TestServer::start_in(folder, self_signed);
    assert_eq!(std::fs::read(&cert).unwrap(), first, "people have accepted it");
    assert_eq!(again.server.certificates.as_ref().unwrap().fingerprint(), fingerprint);
    crate::tls();
    let trusted = reqwest::Certificate::from_pem(&first).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let port = again.address.rsplit(':').next().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let answer = client.get(format!("https://{host}:{port}/healthz")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let hsts = answer.headers().get("strict-transport-security");
        assert_eq!(hsts, None, "nobody could get past the browser's warning");
    }
    again.stop();
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let server = TestServer::start(|config| {
        config.vad.engine = "scripted".to_owned();
        config.tls.mode = TlsMode::Files;
        (config.tls.cert, config.tls.key) = (cert.clone(), key.clone());
    });
    let old = folder.path().join("old.pem");
    std::fs::copy(&cert, &old).unwrap();
    connect(&server, &old).await.unwrap();
    let certificates = server.server.certificates.clone().unwrap();
    let before = certificates.fingerprint();

    // A certificate without its key, as in the middle of a renewal. (The server looks by itself, too.)
    let (new_cert, new_key) = new_pair();
    std::fs::write(&cert, new_cert).unwrap();
    let error = certificates.reload().unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("key.pem"), "{error}");
    assert_eq!(certificates.fingerprint(), before);
    connect(&server, &old).await.unwrap();
    assert!(!certificates.reload_if_changed().unwrap(), "it has been tried");

    std::fs::write(&key, new_key).unwrap();
    certificates.reload().unwrap();
    assert_ne!(certificates.fingerprint(), before);
    connect(&server, &cert).await.unwrap();
    assert!(connect(&server, &old).await.is_err());
    server.stop();
}

/// What certbot's hook does: new files, and a hangup.
#[tokio::test]
async fn a_hangup_reads_the_certificate_and_who_is_connected_stays() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let server = ServerProcess::start(&format!(
        "vad: {{engine: scripted}}\nasr: {{engine: scripted}}\nllm: {{engine: scripted}}\ntts: {{engine: scripted}}\n\
         tls: {{mode: files, cert: {cert:?}, key: {key:?}}}\n"
    ));
    let old = folder.path().join("old.pem");
    std::fs::copy(&cert, &old).unwrap();
    let mut early = connect_to(&server.address, &old).await.unwrap();

    let (new_cert, new_key) = new_pair();
    std::fs::write(&cert, new_cert).unwrap();
    server.signal("-HUP");
    // Without its key it is none yet. (Only a hangup says it so.)
    wait_until(|| server.log().contains("certificate not re-read, the old one stays")).await;
    connect_to(&server.address, &old).await.unwrap();

    std::fs::write(&key, new_key).unwrap();
    server.signal("-HUP");
    while connect_to(&server.address, &cert).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connect_to(&server.address, &old).await.is_err());
    early.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn files_are_read_again_when_they_have_changed_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let mut config = Config::default();
    config.tls.mode = TlsMode::Files;
    (config.tls.cert, config.tls.key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let certificates = Certificates::load(&config, [127, 0, 0, 1].into()).unwrap().unwrap();
    let before = certificates.fingerprint();
    assert!(!certificates.reload_if_changed().unwrap());
    make_certificate(folder.path());
    // Of another length: seen even where clocks are coarse.
    let key = std::fs::read_to_string(&config.tls.key).unwrap();
    std::fs::write(&config.tls.key, key + "\n").unwrap();
    assert!(certificates.reload_if_changed().unwrap());
    assert_ne!(certificates.fingerprint(), before);
    assert!(!certificates.reload_if_changed().unwrap());
}

#[tokio::test]
async fn files_that_are_none_stop_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let other = tempfile::tempdir().unwrap();
    make_certificate(other.path());
    let text = folder.path().join("text.pem");
    std::fs::write(&text, "no PEM at all").unwrap();
    let none = folder.path().join("none.pem");
    let other_key = other.path().join("key.pem");
    for (cert, key, part) in [
        (&none, &key, "tls.cert"),
        (&text, &key, "tls.cert"),
        (&cert, &none, "tls.key"),
        (&cert, &text, "tls.key"),
        (&cert, &other_key, "is "),
    ] {
        let mut config = Config::default();
        config.tls.mode = TlsMode::Files;
        (config.tls.cert, config.tls.key) = (cert.clone(), key.clone());
        let loaded = Certificates::load(&config, [127, 0, 0, 1].into());
        let error = loaded.err().expect("it cannot be used").to_string();
        assert!(error.contains(part) && error.contains(".pem"), "{error}");
    }
}

#[tokio::test]
async fn plain_http_is_sent_to_https_and_nobody_waits_for_a_handshake() {
    let server = TestServer::start(self_signed);
    // Connected, and says nothing.
    let _silent: Vec<TcpStream> =
        futures_util::future::join_all((0..8).map(|_| TcpStream::connect(&server.address)))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
    let address = server.address.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let mut socket = std::net::TcpStream::connect(&address).unwrap();
        write!(socket, "GET /docs HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("Location: https://{}/docs\r\n", server.address)), "{answer}");
    connect(&server, &server.folder().path().join("tls-cert.pem")).await.unwrap();
    server.stop();
}
