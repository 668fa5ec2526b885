//! A certificate that the server makes for itself, once: for a network at home or in an office, so that
//! browsers on other machines may use the microphone. They warn until somebody compares the fingerprint.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};

use super::TlsError;
use crate::config::Config;

const CERT_FILE: &str = "tls-cert.pem";
const KEY_FILE: &str = "tls-key.pem";
const LIFETIME_YEARS: i32 = 10;

/// The two files beside the store; made if they are not there. One that is there stays as it is, also when
/// the machine has got other names since: people have accepted its fingerprint.
pub fn find_or_make(config: &Config, bound: IpAddr) -> Result<(PathBuf, PathBuf), TlsError> {
    let store = config.store.sqlite_path().and_then(Path::parent).unwrap_or(Path::new(""));
    let (cert, key) = (store.join(CERT_FILE), store.join(KEY_FILE));
    if cert.exists() && key.exists() {
        return Ok((cert, key));
    }
    let failed = |cause: String| TlsError::Make { path: cert.clone(), cause };
    if !store.as_os_str().is_empty() {
        std::fs::create_dir_all(store).map_err(|error| failed(error.to_string()))?;
    }
    let (cert_pem, key_pem) = make(names(config, bound)).map_err(|error| failed(error.to_string()))?;
    // The key first: with a certificate and no key the next start would have to make both again, too.
    for (path, pem) in [(&key, &key_pem), (&cert, &cert_pem)] {
        write_private(path, pem).map_err(|error| failed(error.to_string()))?;
    }
    Ok((cert, key))
}

/// Under which the server may be opened: the machine's names and addresses.
fn names(config: &Config, bound: IpAddr) -> Vec<String> {
    let mut names = BTreeSet::from(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    // Linux's own word for it; elsewhere the operator has server.allowed_hosts.
    if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        let name = name.trim().to_lowercase();
        // What cannot stand in a certificate would be refused as a whole.
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        {
            names.insert(format!("{}.local", name.split('.').next().unwrap_or_default()));
            names.insert(name);
        }
    }
    names.extend(config.server.allowed_hosts.iter().map(|host| host.to_lowercase()));
    if !bound.is_unspecified() {
        names.insert(bound.to_string());
    }
    names.extend(
        [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().filter_map(own_address),
    );
    names.into_iter().collect()
}

/// The address from which this machine would reach another one. (A UDP socket is told where it would send;
/// nothing is sent.)
fn own_address((from, to): (&str, &str)) -> Option<String> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then(|| address.to_string())
}

/// Certificate and key as PEM.
fn make(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Vivavoce (self-signed)");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let year = i32::from(today.year());
    // Clocks of other machines may be behind.
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + LIFETIME_YEARS, 1, 1);
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

/// A file that only its owner may read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
