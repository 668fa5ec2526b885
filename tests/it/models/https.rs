//! A hub behind TLS, with a certificate of this test's own: the program trusts whom the system trusts.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::command::{NAME, models, told};

/// An authority is not what a server shows, so this is none.
const CERTIFICATE: &str = "
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
";

/// `cert.pem` and `key.pem` in the folder. `openssl` comes with Debian's ca-certificates.
fn make_certificate(folder: &Path) {
    fs::write(folder.join("request.cnf"), CERTIFICATE).unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-config",
            "request.cnf",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A server that gives every request this answer; its address.
fn serve(folder: &Path, answer: &'static str) -> String {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    crate::tls();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    // Ends with the test's process.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut stream =
                StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket.unwrap());
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                // A client that does not trust us leaves here.
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    address
}

#[test]
fn a_hub_that_the_system_trusts_is_pulled_from_and_no_other() {
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let hub =
        serve(folder.path(), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nweights");
    let pull = || models(folder.path(), &hub, &["pull", NAME]);
    let (succeeded, _, error) = told(pull().env_remove("SSL_CERT_FILE").output().unwrap());
    assert!(!succeeded && error.contains("ertificate"), "{error}");

    let trusting = pull().env("SSL_CERT_FILE", folder.path().join("cert.pem")).output().unwrap();
    let (succeeded, out, error) = told(trusting);
    assert!(succeeded && out.contains("pulled (7 B in "), "{out}{error}");
}

#[test]
fn a_redirect_out_of_https_is_not_followed() {
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n";
    let mut pull = models(folder.path(), &serve(folder.path(), answer), &["pull", NAME]);
    let pulled = pull.env("SSL_CERT_FILE", folder.path().join("cert.pem")).output().unwrap();
    let (succeeded, _, error) = told(pulled);
    assert!(!succeeded && error.contains("redirects to http://127.0.0.1;"), "{error}");
}
