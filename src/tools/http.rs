//! Tools on other servers: the arguments go out as a query or as JSON, and the model reads what comes
//! back.
//!
//! Redirects are followed only for GET and within the server that was configured: whoever runs it cannot send the
//! request, its token or the model's words to somebody else. Deliberately absent: repetition (a tool may
//! do something, and twice is not once) and anything but text.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use super::{Answer, MAX_CONTENT_BYTES, ToolError, shortened};
use crate::{config, outbound};

/// Redirects within the server, at most.
const MAX_REDIRECTS: usize = 3;
/// Idle connections are dropped before common servers close theirs.
const POOL_IDLE: Duration = Duration::from_secs(4);

pub struct HttpTool {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
}

impl HttpTool {
    /// `key`: where `tool` stands, for errors.
    pub fn new(tool: &config::HttpTool, key: &str) -> Result<HttpTool, ToolError> {
        let error = |name: &str, message: String| ToolError { key: format!("{key}.{name}"), message };
        let url = Url::parse(&tool.url).map_err(|wrong| error("url", format!("no address: {wrong}")))?;
        let method = Method::from_bytes(tool.method.as_bytes())
            .map_err(|_| error("method", format!("{:?} is no method of HTTP", tool.method)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &tool.headers {
            let place = format!("headers.{name}");
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| error(&place, "no name of a header".to_owned()))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| error(&place, "its value has characters that no header has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let bearer = outbound::bearer(&tool.token_env, &format!("{key}.token_env"));
        match bearer.map_err(|message| error("token_env", message))? {
            Some(bearer) => drop(headers.insert(AUTHORIZATION, bearer)),
            None if !tool.token_env.is_empty() => {
                let message = format!("there is no token in the environment variable {}", tool.token_env);
                return Err(error("token_env", message));
            }
            None => {}
        }
        let client = outbound::client(&url).pool_idle_timeout(POOL_IDLE).build();
        let client =
            client.map_err(|wrong| error("url", outbound::no_client(&format!("{key}.url"), &wrong)))?;
        Ok(HttpTool { client, method, url, headers })
    }

    /// `arguments`: a JSON object.
    pub async fn run(&self, arguments: &Value) -> Answer {
        let mut url = self.url.clone();
        let in_query = matches!(self.method, Method::GET | Method::DELETE);
        if in_query {
            put_into_query(&mut url, arguments);
        }
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                self.client.request(self.method.clone(), url.clone()).headers(self.headers.clone());
            if !in_query {
                request = request.header(CONTENT_TYPE, "application/json").body(arguments.to_string());
            }
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => {
                    let cause = outbound::root_cause(&error);
                    return Answer::error(&format!("the tool's server cannot be reached ({cause})"));
                }
            };
            if !response.status().is_redirection() {
                return answer_of(response).await;
            }
            match self.redirected(&url, &response) {
                Some(there) => url = there,
                None => return Answer::error("the tool's server redirects to somewhere else: not followed"),
            }
        }
        Answer::error("the tool's server redirects again and again")
    }

    /// Where a redirect leads to, if that is the same server and nothing is done twice on the way.
    fn redirected(&self, from: &Url, response: &Response) -> Option<Url> {
        if self.method != Method::GET {
            return None;
        }
        let to = from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
        (to.origin() == self.url.origin()).then_some(to)
    }
}

/// Each argument as `name=value`; of a list, once for each item. What is no text is JSON.
fn put_into_query(url: &mut Url, arguments: &Value) {
    let Value::Object(arguments) = arguments else { return };
    if arguments.is_empty() {
        return;
    }
    let mut query = url.query_pairs_mut();
    for (name, value) in arguments {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        for item in items {
            match item {
                Value::Null => {}
                Value::String(text) => drop(query.append_pair(name, text)),
                other => drop(query.append_pair(name, &other.to_string())),
            }
        }
    }
}

async fn answer_of(response: Response) -> Answer {
    let status = response.status();
    // One character more than may be shown, so that it is seen that something is missing.
    let body = outbound::read_body(response, MAX_CONTENT_BYTES + 4).await;
    let Ok(text) = into_text(body) else {
        return Answer::error(&format!("the tool's server answers {status} with something that is no text"));
    };
    if !status.is_success() {
        let mut message = format!("the tool's server answers {status}");
        if !text.trim().is_empty() {
            let _ = write!(message, ": {}", shortened(&text));
        }
        return Answer::error(&message);
    }
    let text = text.trim();
    let content = if text.is_empty() { r#"{"ok":true}"# } else { text };
    Answer::new(content.to_owned(), content)
}

/// Text that was cut inside a character loses that one.
fn into_text(body: Vec<u8>) -> Result<String, ()> {
    String::from_utf8(body).or_else(|error| {
        let good = error.utf8_error().valid_up_to();
        let cut = error.utf8_error().error_len().is_none();
        let mut body = error.into_bytes();
        body.truncate(good);
        if cut { String::from_utf8(body).map_err(drop) } else { Err(()) }
    })
}
