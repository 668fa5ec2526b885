//! A model hub over HTTP, as Hugging Face serves it: `{endpoint}/{repository}/resolve/{revision}/{path}`.
//!
//! One question is asked here: give me this file, from this byte on if it is still the same one.
//! Redirects are followed by hand, because the token belongs to the hub and to nobody it points to, and
//! because the hub's own words about a file (its sha256, its commit) stand in the answer that redirects.
//!
//! Deliberately absent: listing repositories, uploading, the hub's chunk protocol (Xet), and tokens from
//! anywhere but `HF_TOKEN`.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url};

use super::ModelError;
use super::digest::is_sha256;
use super::manifest::HubParts;
use crate::config::Config;
use crate::outbound::{self, root_cause};

/// Where models come from unless `HF_ENDPOINT` says otherwise.
pub const PUBLIC_ENDPOINT: &str = "https://huggingface.co";
/// From the hub to where the bytes lie.
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence in the middle of a file that is taken for a broken connection.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// A hub that asks for more patience than this is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Of a refusal's reason, as much as is shown.
const REASON_CHARS: usize = 200;

/// Which hub to ask, and how.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Base address: the public hub, a mirror, or a proxy with the same paths.
    pub endpoint: Url,
    /// Sent to the endpoint's host only.
    pub token: Option<String>,
    /// The setting that forbids asking, if one does.
    pub offline: Option<&'static str>,
    /// Tries after the first without a single byte gained.
    pub retries: u32,
    /// Wait before the first of them; each further one waits twice as long.
    pub retry_pause: Duration,
}

impl HubSettings {
    /// From `models.offline` and the variables that other programs for the hub know as well:
    /// `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`.
    pub fn from_env(config: &Config) -> Result<HubSettings, ModelError> {
        HubSettings::new(config, |variable| std::env::var(variable).ok())
    }

    fn new(config: &Config, variable: impl Fn(&str) -> Option<String>) -> Result<HubSettings, ModelError> {
        let variable =
            |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let is_on = |value: String| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on");
        let offline = if config.models.offline {
            Some("models.offline is true")
        } else if variable("HF_HUB_OFFLINE").is_some_and(is_on) {
            Some("HF_HUB_OFFLINE is set")
        } else {
            None
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned());
        let url = Url::parse(&endpoint).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
        let endpoint = url.ok_or_else(|| ModelError::Setting {
            key: "HF_ENDPOINT",
            problem: format!("{endpoint:?} is no address of a hub; write it like {PUBLIC_ENDPOINT}"),
        })?;
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            let problem = "must hold no user and password; put a token into HF_TOKEN".to_owned();
            return Err(ModelError::Setting { key: "HF_ENDPOINT", problem });
        }
        let retry_pause = Duration::from_secs(1);
        Ok(HubSettings { endpoint, token: variable("HF_TOKEN"), offline, retries: 4, retry_pause })
    }

    /// Address of a file.
    pub fn url(&self, hub: &HubParts, revision: &str, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(hub.repository.split('/'));
            // A revision is one segment, also where it is a branch with a slash in its name.
            segments.push("resolve").push(revision).extend(path.split('/'));
        }
        url
    }
}

/// A part of a file that is here already.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beginning {
    pub bytes: u64,
    /// Of the answer that it came in; see [`Answer`].
    pub identity: Option<String>,
    pub validator: Option<String>,
}

impl Beginning {
    /// Whether a server can be asked for the rest: one of the two must tell this file from another.
    pub fn can_be_continued(&self) -> bool {
        self.bytes > 0 && (self.identity.is_some() || self.validator.is_some())
    }
}

/// A file is about to come.
pub(super) struct Answer {
    pub response: Response,
    /// The first byte of the body is this one of the file.
    pub from: u64,
    /// Length of the whole file, where the server says it.
    pub total: Option<u64>,
    /// What the hub calls this content: a sha256, or another name that changes with it.
    pub identity: Option<String>,
    /// For `If-Range`: the strong ETag of whoever sends the bytes.
    pub validator: Option<String>,
    /// Of the repository.
    pub commit: Option<String>,
}

impl Answer {
    /// The sha256 that the hub announces.
    pub fn sha256(&self) -> Option<&str> {
        self.identity.as_deref().filter(|identity| is_sha256(identity))
    }
}

/// Why no file comes.
pub(super) enum Refusal {
    /// Trying again makes no sense.
    Final(ModelError),
    /// It may go better next time, after the pause that the server asks for.
    Passing { error: ModelError, pause: Option<Duration> },
    /// The server has nothing behind that beginning: start over.
    NotThatRange,
}

/// A connection to the hub of some settings.
pub(super) struct Hub<'s> {
    pub settings: &'s HubSettings,
    client: Client,
}

impl Hub<'_> {
    pub fn connect(settings: &HubSettings) -> Result<Hub<'_>, ModelError> {
        let client = client(settings).map_err(|error| ModelError::Setting {
            key: "HTTPS",
            problem: format!(
                "cannot be set up ({}); install the system's CA certificates (Debian: ca-certificates), or \
                 name them in SSL_CERT_FILE",
                root_cause(&error)
            ),
        })?;
        Ok(Hub { settings, client })
    }

    /// Asks for a file, or for the rest of one.
    ///
    /// `accept` judges what the hub says of the file (its sha256 and length, where it does), before
    /// anybody is asked for its bytes; `unreachable` makes the error for when nobody answers.
    pub async fn get(
        &self,
        url: &Url,
        beginning: Option<&Beginning>,
        accept: impl Fn(Option<&str>, Option<u64>) -> Result<(), ModelError>,
        unreachable: impl Fn(String) -> ModelError,
    ) -> Result<Answer, Refusal> {
        let mut at = url.clone();
        let mut words = HubWords::default();
        for _ in 0..=MAX_REDIRECTS {
            // Once the hub has said that the file is another one, its beginning is worth nothing.
            let beginning = beginning.filter(|beginning| words.may_be(beginning));
            let response = match self.ask(&at, beginning).await {
                Ok(response) => response,
                Err(error) => {
                    return Err(Refusal::Passing { error: unreachable(root_cause(&error)), pause: None });
                }
            };
            words.listen(response.headers());
            accept(words.sha256(), words.linked_bytes).map_err(Refusal::Final)?;
            match response.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                    let answer = words.answer(response, beginning, url)?;
                    accept(answer.sha256(), answer.total).map_err(Refusal::Final)?;
                    return Ok(answer);
                }
                StatusCode::RANGE_NOT_SATISFIABLE => return Err(Refusal::NotThatRange),
                status if status.is_redirection() => at = redirect(&at, &response, url)?,
                _ => return Err(self.refusal(response, url)),
            }
        }
        let problem = format!("redirects more than {MAX_REDIRECTS} times");
        Err(Refusal::Final(ModelError::Redirect { url: url.to_string(), problem }))
    }

    async fn ask(&self, url: &Url, beginning: Option<&Beginning>) -> Result<Response, reqwest::Error> {
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.settings.token
            && url.origin() == self.settings.endpoint.origin()
            && let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {token}"))
        {
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some(beginning) = beginning {
            request = request.header(RANGE, format!("bytes={}-", beginning.bytes));
            if let Some(validator) = &beginning.validator {
                request = request.header(IF_RANGE, validator);
            }
        }
        request.send().await
    }

    fn refusal(&self, response: Response, url: &Url) -> Refusal {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let words: String =
            header("x-error-message").unwrap_or_default().chars().take(REASON_CHARS).collect();
        let words = if words.is_empty() { words } else { format!(": {words}") };
        let pause = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
        let pause = pause.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let is_public = self.settings.endpoint.as_str().trim_end_matches('/') == PUBLIC_ENDPOINT;
        let (again, remedy) = match (status, &self.settings.token) {
            (StatusCode::UNAUTHORIZED, None) => {
                (false, "it wants to know who asks: put a token of your account into HF_TOKEN".to_owned())
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                (false, "it does not accept the token in HF_TOKEN: make a new one there".to_owned())
            }
            (StatusCode::FORBIDDEN, token) => {
                let token = if token.is_some() { "the token in" } else { "a token of that account in" };
                let remedy = format!(
                    "accept the model's terms on its page there, and pull with {token} HF_TOKEN, which must \
                     be allowed to read it"
                );
                (false, remedy)
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) if is_public => {
                let remedy = "the file was renamed or removed there: a newer version of Vivavoce may know its new \
                              place; a pinned commit is given up with --update";
                (false, remedy.to_owned())
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                let remedy = "the mirror in HF_ENDPOINT may not have it: unset that, or try another; a pinned \
                              commit is given up with --update";
                (false, remedy.to_owned())
            }
            (StatusCode::TOO_MANY_REQUESTS, token) => {
                let hint = if token.is_some() { "" } else { "; a token in HF_TOKEN raises the limit" };
                (true, format!("try again later (what has come is kept){hint}"))
            }
            _ if status.is_server_error() => {
                (true, "try again later (what has come is kept), or set HF_ENDPOINT to a mirror".to_owned())
            }
            _ => (false, "check HF_ENDPOINT".to_owned()),
        };
        let error = ModelError::Refused { url: url.to_string(), status: status.to_string(), words, remedy };
        match again && pause.is_none_or(|pause| pause <= MAX_RETRY_AFTER) {
            true => Refusal::Passing { error, pause },
            false => Refusal::Final(error),
        }
    }
}

/// What the answers on the way to a file have said of it.
#[derive(Default)]
struct HubWords {
    /// `X-Linked-ETag`: of the file itself, where the hub keeps large files elsewhere.
    linked: Option<String>,
    linked_bytes: Option<u64>,
    commit: Option<String>,
}

impl HubWords {
    fn listen(&mut self, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // The first to say something is the hub; those behind it know less.
        let linked = text("x-linked-etag").map(|etag| bare(etag).to_owned());
        self.linked = self.linked.take().or(linked);
        let bytes = text("x-linked-size").and_then(|bytes| bytes.trim().parse().ok());
        self.linked_bytes = self.linked_bytes.or(bytes);
        let is_commit =
            |commit: &&str| commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let commit = text("x-repo-commit").filter(is_commit).map(str::to_owned);
        self.commit = self.commit.take().or(commit);
    }

    fn sha256(&self) -> Option<&str> {
        self.linked.as_deref().filter(|linked| is_sha256(linked))
    }

    fn may_be(&self, beginning: &Beginning) -> bool {
        match (&self.linked, &beginning.identity) {
            (Some(linked), Some(identity)) => linked == identity,
            _ => true,
        }
    }

    fn answer(self, response: Response, beginning: Option<&Beginning>, url: &Url) -> Result<Answer, Refusal> {
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let etag = text(ETAG);
        let validator = etag.filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        let identity = self.linked.or(etag.map(|etag| bare(etag).to_owned()));
        let (from, total) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(CONTENT_RANGE).and_then(content_range);
            let (from, total) = range.ok_or(Refusal::NotThatRange)?;
            // Not asked for, or not where it was asked for, or of another file.
            let same = |known: &Option<String>, now: &Option<String>| {
                known.is_none() || now.is_none() || known == now
            };
            let fits = beginning.is_some_and(|beginning| {
                beginning.bytes == from
                    && same(&beginning.identity, &identity)
                    && same(&beginning.validator, &validator)
            });
            if !fits {
                return Err(Refusal::NotThatRange);
            }
            (from, total)
        } else {
            (0, text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()))
        };
        if let (Some(linked), Some(total)) = (self.linked_bytes, total)
            && linked != total
        {
            let problem =
                format!("leads to a file of {total} bytes, but the hub says that it has {linked} bytes");
            return Err(Refusal::Final(ModelError::Redirect { url: url.to_string(), problem }));
        }
        let total = total.or(self.linked_bytes);
        Ok(Answer { response, from, total, identity, validator, commit: self.commit })
    }
}

/// Where a redirect leads.
fn redirect(at: &Url, response: &Response, url: &Url) -> Result<Url, Refusal> {
    let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
    let wrong = |problem: String| Err(Refusal::Final(ModelError::Redirect { url: url.to_string(), problem }));
    match at.join(location) {
        _ if location.is_empty() => wrong(format!("{} without an address", response.status())),
        Ok(to) if may_follow(at, &to) => Ok(to),
        // Without its query, which may hold a signature.
        Ok(to) => wrong(format!("redirects to {}://{}", to.scheme(), to.host_str().unwrap_or_default())),
        Err(_) => wrong("redirects to something that is no address".to_owned()),
    }
}

/// HTTPS may be come to, but never left.
fn may_follow(from: &Url, to: &Url) -> bool {
    to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http")
}

/// `bytes 3-9/10` → (3, 10).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((from.trim().parse().ok()?, total))
}

/// An ETag without what HTTP puts around it.
fn bare(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/").trim_matches('"')
}

fn client(settings: &HubSettings) -> Result<Client, reqwest::Error> {
    let endpoint = &settings.endpoint;
    let builder = || {
        outbound::client_that_may_leave(endpoint).connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT)
    };
    match builder().build() {
        // A mirror without TLS works on a machine without CA certificates too.
        Err(_) if endpoint.scheme() == "http" => builder().tls_certs_only([]).build(),
        built => built,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], offline: bool) -> Result<HubSettings, ModelError> {
        let mut config = Config::default();
        config.models.offline = offline;
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        HubSettings::new(&config, |name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_of_other_programs_for_the_hub_is_understood() {
        let public = settings(&[], false).unwrap();
        assert_eq!(
            (public.endpoint.as_str(), public.token, public.offline),
            ("https://huggingface.co/", None, None)
        );
        let variables =
            [("HF_ENDPOINT", " https://mirror.example/hf "), ("HF_TOKEN", "t\n"), ("HF_HUB_OFFLINE", "1")];
        let mirror = settings(&variables, false).unwrap();
        assert_eq!((mirror.token.as_deref(), mirror.offline), (Some("t"), Some("HF_HUB_OFFLINE is set")));
        let hub = HubParts { repository: "O/N".into(), revision: "main".into(), files: vec![] };
        let url = mirror.url(&hub, "refs/pr/1", "a b/c.gguf");
        assert_eq!(url.as_str(), "https://mirror.example/hf/O/N/resolve/refs%2Fpr%2F1/a%20b/c.gguf");
        assert_eq!(settings(&[("HF_HUB_OFFLINE", "0")], false).unwrap().offline, None);
        assert_eq!(settings(&[], true).unwrap().offline, Some("models.offline is true"));
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused() {
        for (endpoint, words) in [
            ("mirror.example", "HF_ENDPOINT: \"mirror.example\" is no address of a hub"),
            ("ftp://mirror.example", "is no address of a hub"),
            ("https://me:secret@mirror.example", "must hold no user and password"),
        ] {
            let error = settings(&[("HF_ENDPOINT", endpoint)], false).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn https_is_never_left() {
        let url = |text| Url::parse(text).unwrap();
        let may = |from, to| may_follow(&url(from), &url(to));
        assert!(
            may("https://a/", "https://b/")
                && may("http://a/", "http://b/")
                && may("http://a/", "https://b/")
        );
        assert!(
            !may("https://a/", "http://a/")
                && !may("http://a/", "ftp://a/")
                && !may("http://a/", "file:///a")
        );
    }

    #[test]
    fn headers_are_read_and_nonsense_is_not() {
        assert_eq!(content_range("bytes 3-9/10"), Some((3, Some(10))));
        assert_eq!(content_range("bytes 3-9/*"), Some((3, None)));
        assert_eq!(["", "bytes */10", "lines 3-9/10", "bytes 3-9/x", "3-9/10"].map(content_range), [None; 5]);
        assert_eq!(["W/\"a\"", "\"a\"", "a"].map(bare), ["a"; 3]);
    }
}
