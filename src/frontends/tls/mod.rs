//! TLS by rustls: which certificate the server shows, and how it becomes another one while it runs.
//!
//! HTTP/1.1 only, by ALPN: WebSockets are opened by its upgrade.

mod plain;
mod self_signed;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Config, TlsMode};

/// A handshake may take so long, the first byte included.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake: a record of this type.
const HANDSHAKE_RECORD: u8 = 22;
/// So often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of what it should.
    #[error("{}: {cause}; {key} has to name a PEM file with {what}", path.display())]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// Certificate and key are not of each other, or not to be used.
    #[error("{}: {cause}; is {} its key?", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// No certificate of its own could be made.
    #[error("{}: a certificate cannot be made: {cause}; set tls.mode to files, or off", path.display())]
    Make {
        /// The file it was to be.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// The server's certificate, and whoever shows it.
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
    /// What the files looked like when they were read last.
    read: Mutex<Stamp>,
}

/// What two files look like from outside: when they were written, and their lengths.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// The certificate for the next handshake.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificates {
    /// As `tls` says: `None` if it is off. A self-signed certificate is made where there is none, for a
    /// server bound to `bound`.
    ///
    /// # Errors
    /// There is none that can be shown.
    pub fn load(config: &Config, bound: IpAddr) -> Result<Option<Arc<Certificates>>, TlsError> {
        let (cert, key) = match config.tls.mode {
            TlsMode::Off => return Ok(None),
            TlsMode::Files => (config.tls.cert.clone(), config.tls.key.clone()),
            TlsMode::SelfSigned => self_signed::find_or_make(config, bound)?,
        };
        let provider = Arc::new(ring::default_provider());
        let stamp = stamp(&cert, &key);
        let first = read(&cert, &key, &provider)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(first))));
        let unusable = |cause: rustls::Error| TlsError::Pair {
            cert: cert.clone(),
            key: key.clone(),
            cause: cause.to_string(),
        };
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Arc::new(Certificates { cert, key, shown, config: Arc::new(tls), read: Mutex::new(stamp) })))
    }

    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let shown = self.shown.0.read().unwrap_or_else(PoisonError::into_inner);
        let digest = shown.cert.first().map(Sha256::digest).unwrap_or_default();
        let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// Reads the files again: the next handshakes show what is in them. Blocking.
    ///
    /// # Errors
    /// They cannot be used; the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp(&self.cert, &self.key);
        let new = read(&self.cert, &self.key, &ring::default_provider())?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        tracing::info!(fingerprint = self.fingerprint(), "the certificate was read again");
        Ok(())
    }

    /// The same, if the files look otherwise than when they were read last; says whether they did. Blocking.
    ///
    /// # Errors
    /// As [`Certificates::reload`]; they are read again when they change once more (a key that is written
    /// after its certificate, for example).
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let changed =
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) != stamp(&self.cert, &self.key);
        if changed {
            self.reload()?;
        }
        Ok(changed)
    }

    /// Looks at the files every few seconds, for as long as the server runs.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || this.reload_if_changed()).await;
            if let Ok(Err(error)) = looked {
                tracing::error!("the certificate has changed and cannot be used, the old one stays: {error}");
            }
        }
    }

    /// The handshake. Whoever speaks plain HTTP is told where to go, and gets no further.
    pub async fn shake_hands(self: Arc<Self>, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let shaking = async {
            let mut first = [0];
            if stream.peek(&mut first).await.ok()? == 0 {
                return None;
            }
            if first[0] != HANDSHAKE_RECORD {
                plain::send_away(stream).await;
                return None;
            }
            let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
            acceptor.accept(stream).await.inspect_err(|error| tracing::debug!("no handshake: {error}")).ok()
        };
        tokio::time::timeout(HANDSHAKE, shaking).await.ok().flatten()
    }
}

fn stamp(cert: &Path, key: &Path) -> Stamp {
    [cert, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let in_cert = |cause: String| TlsError::File {
        key: "tls.cert",
        path: cert.to_owned(),
        what: "the certificate",
        cause,
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| in_cert(error.to_string()))?;
    if chain.is_empty() {
        return Err(in_cert("there is no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
        key: "tls.key",
        path: key.to_owned(),
        what: "the private key",
        cause: error.to_string(),
    })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|cause| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        cause: cause.to_string(),
    })
}
